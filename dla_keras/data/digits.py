"""`digits`: real handwritten digits in the package, for training offline.

The test set of Alpaydin and Kaynak's "Optical Recognition of Handwritten
Digits" (UCI Machine Learning Repository, 1998, CC BY 4.0), in the file that
scikit-learn distributes: a line holds 8 x 8 greys from 0 to 16, and the digit.
"""

import functools
import pathlib

import numpy as np
from PIL import Image

SIZE = 32  # height and width of the pictures, enlarged from 8 pixels

# The lines follow the writers: the last ones' are validated on, so that most
# of those hands are new.
SPLITS = {"train": slice(0, 1437), "val": slice(1437, 1797)}


@functools.cache
def _lines():
    path = pathlib.Path(__file__).with_name("digits.csv.gz")
    return np.loadtxt(path, delimiter=",", dtype=np.uint8)


def count_digits(split: str) -> int:
    """Number of pictures in `"train"` or `"val"`."""
    return len(_lines()[SPLITS[split]])


def read_digit(split: str, index: int) -> tuple[np.ndarray, int]:
    """One picture, light on dark, and the digit it shows.

    Args:
        split: `"train"` or `"val"`.
        index: number of the picture in the split, from 0.

    Returns:
        The image, uint8 `(32, 32, 3)`, and an integer from 0 to 9.

    Example:

    >>> image, digit = read_digit("val", 0)
    >>> image.shape, digit
    ((32, 32, 3), 2)
    """
    line = _lines()[SPLITS[split]][index]
    grey = Image.fromarray((line[:64].reshape(8, 8) * 15.9375).astype("uint8"))
    enlarged = grey.resize((SIZE, SIZE), Image.BICUBIC).convert("RGB")
    return np.array(enlarged), int(line[64])
