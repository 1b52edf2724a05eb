"""The tasks that are learned: a row each, with the same functions.

A row is a module. In the order of the data it opens a split, augments it,
makes the model, sums the loss, scores a split and draws; commands loop over
rows and never ask which task it is.
"""

NAMES = ("segmentation", "boundary", "classification")


def __getattr__(name):
    """Import the rows when the table is first asked for.

    Flags and recipes are read from this room without Keras.
    """
    if name != "TASKS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    rows = {row: importlib.import_module(f"{__name__}.{row}") for row in NAMES}
    globals()["TASKS"] = rows
    return rows


def options(args, names: tuple[str, ...]) -> dict:
    """Return those of some flags that a command has, by name.

    Args:
        args: Parsed flags.
        names: Flags that a row's function takes, for instance `SPLIT_FLAGS`.

    Example:

    >>> from types import SimpleNamespace
    >>> options(SimpleNamespace(thresholds=9), ("thresholds", "processes"))
    {'thresholds': 9}
    """
    known = vars(args)
    return {name: known[name] for name in names if name in known}
