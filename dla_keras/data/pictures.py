"""The one reader of pictures: what a viewer shows, or an error with the name.

Training, evaluation, export and prediction read here, so that all see the same
pixels of a file.
"""

import contextlib
import functools
import os
import pathlib
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from dla_keras.files import check_regular
from dla_keras.version import missing_extra

# Suffix -> name of the format in Pillow. No other format is opened, whatever
# the suffix: some start programs (EPS starts Ghostscript).
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif"), "JPEG"),
    ".png": "PNG",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".avif": "AVIF",
    ".jp2": "JPEG2000",
    **dict.fromkeys((".ppm", ".pgm"), "PPM"),
    **dict.fromkeys((".heic", ".heif"), "HEIF"),
}
SUFFIXES = tuple(FORMATS)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1", b"heim")

# Pixels of the largest picture: 16,384 x 16,384, which takes some 2 GB.
MAX_PIXELS = 2**28
MAX_PIXELS_VARIABLE = "DLA_KERAS_MAX_PIXELS"

BELOW_ALPHA = "white"  # what transparent pixels show

# Pillow's modes that it would clip to eight bits without a warning.
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
UNBOUNDED = ("F", "I")

_ORIENTATION = 0x0112  # tag of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Files by which a folder is known to hold what this package wrote.
_RESULTS = (("config.json", "steps.csv"), ("predictions.json",))


def is_results(folder) -> bool:
    """Return whether a folder is that of a run, or of `predict`'s results.

    Args:
        folder: Path of the folder; what such a one holds is no dataset's.
    """
    there = lambda name: os.path.isfile(os.path.join(folder, name))
    return any(all(map(there, names)) for names in _RESULTS)


def holds_results(folder) -> bool:
    """Return whether a folder is of results, or holds them and no picture.

    Args:
        folder: Path of the folder, for instance `runs/` among data.
    """
    if is_results(folder):
        return True
    found = False
    with os.scandir(folder) as entries:
        for entry in entries:
            if os.path.splitext(entry.name)[1].lower() in FORMATS:
                return False
            found = found or entry.is_dir() and is_results(entry.path)
    return found


def list_pictures(
    folder, without=None
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Return the pictures in a folder and below, and the other files.

    Args:
        folder: Path of the folder; what is hidden is neither, nor what lies
            in the folder of a run or of results.
        without: Path of a folder in it that is passed over. Defaults to
            `None`.

    Returns:
        Sorted paths of files whose suffix is in `SUFFIXES`, and of the rest.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.JPG", "b.txt", ".c.png"):
    ...         pathlib.Path(folder, name).touch()
    ...     [[path.name for path in kind] for kind in list_pictures(folder)]
    [['a.JPG'], ['b.txt']]
    """
    pictures, others = [], []
    passed = os.path.realpath(without) if without else None
    for parent, folders, names in os.walk(folder):
        inside = pathlib.Path(parent) != pathlib.Path(folder)
        if os.path.realpath(parent) == passed or (
            inside and is_results(parent)
        ):
            folders.clear()
            continue
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            if name[0] != ".":
                path = pathlib.Path(parent, name)
                known = path.suffix.lower() in FORMATS
                (pictures if known else others).append(path)
    return sorted(pictures), sorted(others)


def spoken_others(others: Sequence[pathlib.Path]) -> str:
    """Return a sentence that counts and names files that are no pictures.

    Args:
        others: Paths of the files that `list_pictures` left out.

    Example:

    >>> spoken_others([pathlib.Path("a.xcf"), pathlib.Path("b.xcf")])
    'Left out, no pictures by their names: 2 .xcf (a.xcf, ...).'
    """
    if not others:
        return ""
    kinds = Counter(path.suffix.lower() or "without suffix" for path in others)
    counted = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    more = ", ..." if len(others) > 1 else ""
    return (
        f"Left out, no pictures by their names: {counted} "
        f"({others[0].name}{more})."
    )


def open_header(file, name=None) -> Image.Image:
    """Return the image of a path or file object, not decoded yet.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture of a known format, or has too many
            pixels.
    """
    name, bound = name or file, _bound()
    if isinstance(file, (str, os.PathLike)):
        file = check_regular(file)
        if not file.stat().st_size:
            raise ValueError(f"{name} is empty: it is no picture; restore it.")
    try:
        with _without_pillows_bound():
            image = Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is no picture{_missing(file)}.") from error
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{name} is no picture: {error}.") from error
    except Exception as error:  # Pillow's readers raise what happens to them
        raise ValueError(f"{name} is no picture: {_spoken(error)}.") from error
    width, height = image.size
    if width * height > bound:
        image.close()
        raise ValueError(
            f"Expected a picture of at most {bound:,} pixels. Received: "
            f"{name} with {width}x{height}. Cut it, or set "
            f"{MAX_PIXELS_VARIABLE}={width * height} if it is meant and the "
            "memory is there."
        )
    return image


def decode(image: Image.Image, name) -> Image.Image:
    """Return an image from `open_header` decoded, and turned upright.

    Args:
        image: Image of `open_header`, which is closed.
        name: Name of the file in errors.

    Raises:
        ValueError: If it cannot be decoded.
    """
    with image:
        try:
            with _without_pillows_bound():
                image.load()
        except Exception as error:
            raise ValueError(
                f"{name} cannot be decoded: {_spoken(error)}."
            ) from error
        return upright(image)


def open_picture(file, name=None) -> Image.Image:
    """Return the decoded image of a path or file object, turned upright.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture, cannot be decoded, or has too many
            pixels.
    """
    return decode(open_header(file, name), name or file)


def picture_size(file, name=None) -> tuple[int, int]:
    """Return a picture's height and width, upright, from its header.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture, or has too many pixels.
    """
    with open_header(file, name) as image:
        width, height = image.size
        # A PNG's EXIF behind its pixels would take decoding.
        behind = image.format == "PNG" and "exif" not in image.info
        turned = not behind and _orientation(image) >= 5
        # Pillow gives a TIFF's size upright.
        swapped = turned and image.format != "TIFF"
        return (width, height) if swapped else (height, width)


def read_rgb(file, name=None) -> np.ndarray:
    """Return a picture as a viewer shows it: uint8 `(height, width, 3)`.

    Turned as its EXIF says; grey becomes RGB, 16 bits become 8, and what is
    transparent lies over white.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture, cannot be decoded, has too many
            pixels, or its pixels have no known range.
    """
    name = name or file
    header = open_header(file, name)
    # 16 bits of a PGM are in a mode of 32.
    deep = header.format == "PPM" and header.mode == "I"
    image = decode(header, name)
    return to_rgb(image.convert("I;16") if deep else image, name)


def to_rgb(image: Image.Image, name="the image") -> np.ndarray:
    """Return the pixels of an upright image: uint8 `(height, width, 3)`.

    Args:
        image: Decoded image of Pillow.
        name: Name of the file in errors. Defaults to `"the image"`.

    Raises:
        ValueError: If its pixels have no known range.
    """
    if image.mode in UNBOUNDED:
        raise ValueError(
            "Expected a picture of 8 or 16 bits a channel. Received: "
            f"{name} in Pillow's mode {image.mode!r}; convert it."
        )
    if image.mode in SIXTEEN_BITS:
        image = Image.fromarray((np.asarray(image) / 257).round().astype("u1"))
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            below = Image.new("RGBA", image.size, BELOW_ALPHA)
            image = Image.alpha_composite(below, image)
        # A conversion to the same mode would be a copy more.
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:  # of Pillow: no way from one mode to another
        raise ValueError(f"{name} cannot be shown as RGB: {error}.") from error


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF says, for instance by a camera.

    Args:
        image: Image of Pillow.
    """
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image):
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged EXIF does not hide the pixels from a viewer
        return 1


def _bound():
    """Return the number of pixels that a picture may have."""
    text = os.environ.get(MAX_PIXELS_VARIABLE, str(MAX_PIXELS))
    if not text.isdecimal():
        raise ValueError(
            f"Expected a number of pixels in {MAX_PIXELS_VARIABLE}. "
            f"Received: {text!r}."
        )
    return int(text)


@functools.cache
def _formats():
    """Return the claimed formats that this Pillow reads."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in {*FORMATS.values()} if name in Image.OPEN)


def _missing(file):
    """Return what is missing to read a file, or the formats that are read."""
    if isinstance(file, pathlib.Path):
        with file.open("rb") as opened:
            start = opened.read(12)
        if start[4:8] == b"ftyp" and start[8:] in _HEIF_BRANDS:
            return f" that is read here: {missing_extra('pillow_heif')}"
        if start[4:8] == b"ftyp" and start[8:11] == b"avi":
            return " that this Pillow reads: run pip install -U pillow"
    return f" (of {', '.join(sorted({*FORMATS.values()}))})"


def _spoken(error):
    """Return an exception's message on one line, or its name if it has none."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__


_lock = threading.Lock()
_pillows = {"users": 0, "pillow": None}


@contextlib.contextmanager
def _without_pillows_bound():
    """Lift Pillow's own bound, which raises no `ValueError`; ours follows."""
    with _lock:
        if not _pillows["users"]:
            _pillows["pillow"] = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _pillows["users"] += 1
    try:
        yield
    finally:
        with _lock:
            _pillows["users"] -= 1
            if not _pillows["users"]:
                Image.MAX_IMAGE_PIXELS = _pillows["pillow"]
