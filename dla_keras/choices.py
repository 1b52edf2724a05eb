"""Choosing among named layers: the rows of a small table."""


def choose(argument: str, name: str, table: dict):
    """The entry called `name`.

    Args:
        argument: what the choice is called, for the message.
        name: a key of `table`.
        table: name -> layer class.

    Raises:
        ValueError: for a name that `table` does not hold.

    Example:

    >>> choose("node", "fast", {"conv": 1, "separable": 2})
    Traceback (most recent call last):
    ValueError: `node` must be one of conv, separable. Received: 'fast'.
    """
    if name not in table:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(table)}. "
            f"Received: {name!r}."
        )
    return table[name]
