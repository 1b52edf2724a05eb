"""Which pictures an export is calibrated and verified on."""

from collections.abc import Sequence

from dla_keras.data.segmentation import open_split


def spread(items: Sequence, count: int | None) -> list:
    """Return so many of a sequence, evenly spread; all of them for `None`.

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


def take_pictures(dataset, data_dir, split: str, count: int) -> list:
    """Return pictures spread evenly over a split, the same every time.

    Args:
        dataset: Name or folder of the dataset, see `open_split`.
        data_dir: Folder of its data, see `open_split`.
        split: `"train"` to calibrate, `"val"` to verify.
        count: Number of pictures, at most.

    Returns:
        A list of uint8 `(h, w, 3)`.

    Raises:
        ValueError: If the count is below 1.
    """
    if count < 1:
        raise ValueError(
            f"Expected at least one picture of {split!r}. Received: {count}."
        )
    examples = open_split(dataset, split, data_dir)
    indices = spread(range(len(examples)), count)
    return [examples[index].image for index in indices]


def common_size(pictures) -> tuple[int, int]:
    """Return the smallest height and width that hold every picture."""
    heights, widths = zip(*(p.shape[:2] for p in pictures), strict=True)
    return max(heights), max(widths)
