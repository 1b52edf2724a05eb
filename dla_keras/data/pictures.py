"""The one reader of images; an error names the file that is broken."""

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

# Pillow's modes that it would clip to eight bits without a warning.
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
UNBOUNDED = ("F", "I")


def open_header(file, name=None) -> Image.Image:
    """Return the image of a path or file object, not decoded yet.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        ValueError: If it is no image.
    """
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name or file} is no picture: {error}.") from error


def open_picture(file, name=None) -> Image.Image:
    """Return the decoded image of a path or file object.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        ValueError: If it is no image, or cannot be decoded.
    """
    image = open_header(file, name)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        image.close()
        raise ValueError(
            f"{name or file} cannot be decoded: {error}."
        ) from error
    return image


def read_rgb(file, name=None) -> np.ndarray:
    """Return the pixels of a path or file object: uint8 `(height, width, 3)`.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        ValueError: If it is no image, cannot be decoded, or has more than
            eight bits a channel.
    """
    image = open_picture(file, name)
    if image.mode in SIXTEEN_BITS + UNBOUNDED:
        raise ValueError(
            "Expected a picture of 8 bits a channel. Received: "
            f"{name or file} in Pillow's mode {image.mode!r}; convert it."
        )
    return np.array(image.convert("RGB"))
