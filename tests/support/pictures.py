"""A split of noise whose classes are its colors, with names to be escaped."""

import numpy as np

from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.segmentation import Example

EVIL = '<script>alert("1")</script>&\''
PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


class Split(list):
    info = DatasetInfo("made", ("road", EVIL, "sky"), PALETTE)


def make_split(count=8):
    """Pictures whose class is the brightest color, the more so the later."""
    random = np.random.default_rng(0)
    split = Split()
    for index in range(count):
        label = random.integers(0, 3, (20, 30)).astype(np.uint8)
        image = np.uint8(255 * (label[..., None] == np.arange(3)))
        wrong = random.random((20, 30)) > (index + 1) / count
        image[wrong] = (200, 0, 0)
        split.append(Example(image, label, f"{index}{EVIL}.png"))
    split[0].label[:] = 255  # nothing to score
    return split


def guess(image):
    """Return the class of each pixel by its brightest channel."""
    return image.argmax(-1).astype(np.uint8)
