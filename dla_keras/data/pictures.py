"""Decodes pictures; a file that is none, or is broken, is named."""

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

# Pillow would clip these to eight bits without a word.
_DEEP_MODES = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")


def open_header(file, name=None) -> Image.Image:
    """The picture of a path or file object, not decoded yet.

    Args:
        file: a path, or an open file.
        name: what errors call it. Defaults to `None`: the path.

    Raises:
        ValueError: if it is no picture.
    """
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name or file} is no picture: {error}.") from error


def open_picture(file, name=None) -> Image.Image:
    """The decoded picture of a path or file object.

    Args:
        file: a path, or an open file.
        name: what errors call it. Defaults to `None`: the path.

    Raises:
        ValueError: if it is no picture, or cannot be decoded.
    """
    image = open_header(file, name)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{name or file} cannot be decoded: {error}."
        ) from error
    return image


def read_rgb(file, name=None) -> np.ndarray:
    """The pixels of a path or file object: uint8 `(height, width, 3)`.

    Args:
        file: a path, or an open file.
        name: what errors call it. Defaults to `None`: the path.

    Raises:
        ValueError: if it is no picture, cannot be decoded, or has more than
            eight bits a channel.
    """
    image = open_picture(file, name)
    if image.mode in _DEEP_MODES:
        raise ValueError(
            "Expected a picture of 8 bits a channel. Received: "
            f"{name or file} in Pillow's mode {image.mode!r}; convert it."
        )
    return np.array(image.convert("RGB"))
