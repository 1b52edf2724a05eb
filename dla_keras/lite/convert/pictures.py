"""Which pictures an export is calibrated and verified on."""

from dla_keras.data.segmentation import open_split


def take_pictures(dataset, data_dir, split: str, count: int) -> list:
    """Pictures spread evenly over a split, the same every time.

    Args:
        dataset: as `open_split` takes it.
        data_dir: likewise.
        split: `"train"` to calibrate, `"val"` to verify.
        count: how many at most.

    Returns:
        A list of uint8 `(h, w, 3)`.

    Raises:
        ValueError: for a count below 1.
    """
    if count < 1:
        raise ValueError(
            f"Expected at least one picture of {split!r}. Received: {count}."
        )
    examples = open_split(dataset, split, data_dir)
    count = min(count, len(examples))
    return [examples[i * len(examples) // count].image for i in range(count)]


def common_size(pictures) -> tuple[int, int]:
    """The smallest height and width that hold every picture."""
    return (
        max(picture.shape[0] for picture in pictures),
        max(picture.shape[1] for picture in pictures),
    )
