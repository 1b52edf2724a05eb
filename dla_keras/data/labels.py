"""The one reader of labels: from what a file holds to class ids."""

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.pictures import open_picture


def read_label(file, info: DatasetInfo, name=None) -> np.ndarray:
    """Return a label's class ids and `IGNORE_LABEL`: uint8 `(height, width)`.

    Args:
        file: Path, or open file.
        info: Facts about the dataset, which say what the file's values mean.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        ValueError: If it is no picture, or holds what is no class.
    """
    label = np.array(open_picture(file, name))
    if label.ndim != 2:
        raise ValueError(
            f"A label holds one class id per pixel. Received: {name or file} "
            f"with shape {label.shape}; convert its colors to ids."
        )
    classes = np.full(256, -1, np.int16)  # by the value in the file
    classes[[IGNORE_LABEL, *info.ignored_ids]] = IGNORE_LABEL
    classes[list(info.values)] = list(info.values.values())
    byte = label.astype(np.uint8)
    # 16-bit files may hold more than a byte; -1 marks values of no class.
    mapped = np.where(byte == label, classes[byte], -1)
    if mapped.min() < 0:
        foreign = np.unique(label[mapped < 0]).tolist()
        raise ValueError(
            f"{info.name} has class ids {_spoken([*info.values])}, and "
            f"{_spoken([*info.ignored_ids, IGNORE_LABEL])} where ignored. "
            f"Received: ids {foreign} in {name or file}."
        )
    return mapped.astype(np.uint8)


def _spoken(ids):
    """Return `0 to 18` for ids without a gap, `7, 8, 11` for others."""
    if len(ids) > 1 and tuple(ids) == tuple(range(ids[0], ids[-1] + 1)):
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids))
