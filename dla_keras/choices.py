"""Choosing a row of a table by its name: the one message for a wrong name."""

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
