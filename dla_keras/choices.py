"""Reading what a person chose: a row of a table by its name, a size."""

import difflib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence


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
    raise ValueError(
        f"`{argument}` must be one of {', '.join(table)}. "
        f"Received: {name!r}.{did_you_mean(name, table)}"
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


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a hint at the words that may be meant, or nothing.

    Args:
        word: Word that is not one of `words`.
        words: Words to choose from.

    Example:

    >>> did_you_mean("--optimiser", ["--optimizer", "--steps"])
    ' Did you mean --optimizer?'
    """
    near = difflib.get_close_matches(str(word), words, n=2, cutoff=0.7)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def spread(items: Sequence, count: int | None) -> list:
    """Return so many of a sequence, evenly spread; all of them for `None`.

    Args:
        items: Sequence, for instance the examples of a split.
        count: Number to return, at most.

    Raises:
        ValueError: If the count is below 1.

    Example:

    >>> spread(range(6), 3)
    [0, 2, 4]
    """
    if count is None:
        return list(items)
    if count < 1:
        raise ValueError(f"Expected at least one picture. Received: {count}.")
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]
