"""Reading what a person chose: a row of a table by its name, a size."""

import difflib
from collections.abc import Mapping


def choose(argument: str, name: str, table: Mapping):
    """Return the entry of a table that is called `name`.

    Args:
        argument: Name of the argument, for the message.
        name: Key of `table`.
        table: Names and what they stand for.

    Raises:
        ValueError: If `table` does not hold the name; the message proposes
            near matches.

    Example:

    >>> choose("node", "fast", {"conv": 1, "separable": 2})
    Traceback (most recent call last):
    ValueError: `node` must be one of conv, separable. Received: 'fast'.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(
        f"`{argument}` must be one of {', '.join(table)}. "
        f"Received: {name!r}.{hint}"
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return the height and width, in pixels, that a text names.

    Raises:
        ValueError: If it is not two numbers with an "x" between.

    Example:

    >>> parse_size("384x480")
    (384, 480)
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(
            "Expected HEIGHTxWIDTH in pixels, for instance 384x480. "
            f"Received: {text!r}."
        )
    return int(height), int(width)
