"""Which pictures an export is calibrated and verified on, and their size."""

from collections.abc import Sequence


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


def common_size(pictures) -> tuple[int, int]:
    """Return the smallest height and width that hold every picture."""
    heights, widths = zip(*(p.shape[:2] for p in pictures), strict=True)
    return max(heights), max(widths)
