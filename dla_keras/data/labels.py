"""The one reader of labels: from what a file holds to class ids.

A `DatasetInfo` says what values and colors mean. A file can be read in several
ways, for instance a palette's pixel by its number and by its color: those that
explain all of its pixels have to agree.
"""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.pictures import SIXTEEN_BITS
from dla_keras.data.pictures import UNBOUNDED
from dla_keras.data.pictures import decode
from dla_keras.data.pictures import open_header

UNKNOWN = -1  # a value or a color that is neither a class nor ignored

# Formats that change values; WebP and TIFF may.
_LOSSY = {
    **dict.fromkeys(("JPEG", "MPO"), "JPEG"),
    "JPEG2000": "JPEG 2000",
    "AVIF": "AVIF",
    "HEIF": "HEIF",
}
_LOSSY_TIFF = {"jpeg": "JPEG", "tiff_jpeg": "JPEG", "webp": "WebP"}

# Largest number that grey of few bits stores; Pillow spreads it over 0 to 255.
_LARGEST = {"1": 1, "L;2": 3, "L;2R": 3, "L;4": 15, "L;4R": 15}

MAX_DISTINCT = 1 << 16  # values or colors; a photograph has more
MAX_NAMED = 8  # values or colors in a message


@dataclass(frozen=True)
class _Stored:
    """What a file holds, before it is known what that means.

    Args:
        keys: Integers `(height, width)`, one for each thing that is stored.
        distinct: The keys that occur, ascending.
        values: Number that each of these stores; `None` for colors.
        colors: Color that a viewer shows for each, `(n, 3)`; -1 for none.
        paletted: Whether the file says itself which color a number has.
    """

    keys: np.ndarray
    distinct: np.ndarray
    values: np.ndarray | None
    colors: np.ndarray
    paletted: bool = False

    @property
    def grey(self) -> bool:
        """Return whether a viewer shows nothing but grey."""
        same = (self.colors == self.colors[:, :1]).all()
        return bool(same and self.colors.min() >= 0)


@dataclass(frozen=True)
class _Way:
    """A way to read a file: by "number", by "brightness", by "color".

    Args:
        name: Name of the way, for messages.
        ids: Class id of each distinct key, `IGNORE_LABEL` or `UNKNOWN`.
        ignored: Whether the dataset names each as one to ignore.
    """

    name: str
    ids: np.ndarray
    ignored: np.ndarray

    @property
    def complete(self) -> bool:
        """Return whether every key is a class or ignored."""
        return UNKNOWN not in self.ids


def read_label(file, info: DatasetInfo, name=None) -> np.ndarray:
    """Return a label's class ids and `IGNORE_LABEL`: uint8 `(height, width)`.

    A file holds integers of any size, in one channel or in three or four equal
    ones, numbers into a palette, or colors. It is turned as its EXIF says, as
    a picture is.

    Args:
        file: Path, or open file.
        info: Facts about the dataset, which say what values and colors mean.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture, is of a format that changes values,
            or holds what is no class, or what is one class by its number and
            another by its color.
    """
    name = name or file
    stored = _read(file, name)
    ids = _class_ids(stored, info, name)
    if stored.distinct[0] < 0 or stored.distinct[-1] >= 1 << 24:
        return ids[np.searchsorted(stored.distinct, stored.keys)]
    table = np.empty(stored.distinct[-1] + 1, np.uint8)
    table[stored.distinct] = ids
    return np.take(table, stored.keys)  # twice as fast as an index


def stored_counts(file, name=None) -> dict[int, int]:
    """Return how many pixels hold each value, or nothing if they hold colors.

    Args:
        file: Path, or open file.
        name: Name of the file in errors. Defaults to `None`: the path.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If it is no picture, or of a format that changes values.
    """
    stored = _read(file, name or file)
    if stored.values is None:
        return {}
    if stored.keys.dtype == np.uint8:  # Pillow counts bytes in place
        pixels = np.array(Image.fromarray(stored.keys).histogram())
        pixels = pixels[stored.distinct]
    else:
        places = np.searchsorted(stored.distinct, stored.keys.ravel())
        pixels = np.bincount(places)
    counts = dict.fromkeys(stored.values.tolist(), 0)
    for value, count in zip(stored.values.tolist(), pixels, strict=True):
        counts[value] += int(count)
    return counts


def _read(file, name) -> _Stored:
    header = open_header(file, name)
    _refuse_lossy(header, file, name)
    raw_mode, largest = _storage(header)
    image = decode(header, name)
    if not all(image.size):
        raise ValueError(f"{name} has no pixels.")
    if image.mode in ("1", "L", "P", *SIXTEEN_BITS, *UNBOUNDED):
        return _stored_numbers(image, largest, name)
    return _stored_colors(image, raw_mode, name)


def _refuse_lossy(image, file, name):
    lossy = _LOSSY.get(image.format)
    if image.format == "TIFF":
        lossy = _LOSSY_TIFF.get(image.info.get("compression"))
    elif image.format == "WEBP" and b"VP8L" not in _start(file):
        lossy = "WebP"
    if lossy:
        image.close()
        raise ValueError(
            f"{lossy} blurs ids: the classes along edges are lost. Expected "
            f"labels in PNG, as their tool exports them. Received: {name}; "
            "export it anew."
        )


def _start(file):
    """Return the first 64 KiB of a path or file object."""
    if isinstance(file, (str, os.PathLike)):
        with pathlib.Path(file).open("rb") as opened:
            return opened.read(1 << 16)
    file.seek(0)
    return file.read(1 << 16)


def _storage(image):
    """Return how an image stores pixels, in Pillow's words, and its largest."""
    codec, _, _, args = image.tile[0] if image.tile else ("", (), 0, ())
    args = args if isinstance(args, tuple) else (args,)
    raw_mode = args[0] if args and isinstance(args[0], str) else ""
    if codec.startswith("ppm"):
        return raw_mode, args[1]
    return raw_mode, _LARGEST.get(image.mode, _LARGEST.get(raw_mode))


def _stored_numbers(image, largest, name):
    keys = np.asarray(image)
    if keys.dtype == bool:
        keys = keys.astype(np.uint8) * 255
    if keys.dtype.kind == "f":
        keys = _integers(keys, name)
    distinct = _distinct(keys, name)
    values = distinct
    if largest:
        full = 255 if keys.dtype == np.uint8 else 65535
        values = np.rint(distinct * (largest / full)).astype(np.int64)
    if image.mode == "P":
        palette = np.full((256, 3), -1)
        given = np.array(image.getpalette("RGB")).reshape(-1, 3)
        palette[: len(given)] = given
        return _Stored(keys, distinct, values, palette[distinct], True)
    shown = np.where((distinct >= 0) & (distinct < 256), distinct, -1)
    return _Stored(keys, distinct, values, np.stack([shown] * 3, 1))


def _integers(keys, name):
    rounded = np.rint(keys)
    if not np.array_equal(rounded, keys) or np.abs(keys).max() >= 1 << 24:
        raise ValueError(
            f"A label holds whole numbers. Received: {name} with "
            f"{keys.min()} to {keys.max()} and fractions between."
        )
    return rounded.astype(np.int32)


def _stored_colors(image, raw_mode, name):
    if ";16" in raw_mode:  # of which Pillow keeps the upper 8
        raise ValueError(
            "Expected a label of 16 bits in one channel. Received: "
            f"{name} of mode {raw_mode}; save one channel, or 8 bits."
        )
    alpha = "A" in image.getbands() or "transparency" in image.info
    data = image.convert("RGBA").tobytes()
    packed = np.frombuffer(data, "<u4").reshape(image.size[::-1])
    keys = packed & 0xFFFFFF
    distinct = _distinct(packed if alpha else keys, name)
    colors = np.stack([distinct >> shift & 255 for shift in (0, 8, 16, 24)], 1)
    if alpha:
        opaque = (colors[:, 3] == 255).all()
        # Four equal channels: a number, written into all of them.
        if not opaque and not (colors == colors[:, :1]).all():
            raise ValueError(
                "Expected one color for each pixel of a label. Received: "
                f"{name} with transparent pixels; lay it over one color."
            )
        distinct, first = np.unique(distinct & 0xFFFFFF, return_index=True)
        colors = colors[first]
    colors = colors[:, :3].astype(np.int64)
    grey = (colors == colors[:, :1]).all()
    return _Stored(keys, distinct, colors[:, 0] if grey else None, colors)


def _distinct(keys, name):
    """Return the values that occur, ascending: those that begin a run."""
    flat = keys.ravel()
    begins = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    found = np.unique(np.append(flat[:1], flat[begins])).astype(np.int64)
    if len(found) > MAX_DISTINCT:
        raise ValueError(
            "Expected a label, of one value or color for each class. "
            f"Received: {name} with {len(found)} of them, as a photograph has."
        )
    return found


def _class_ids(stored, info, name):
    """Return the class id of each distinct key, or raise `ValueError`."""
    ways = _ways(stored, info)
    complete = [way for way in ways if way.complete]
    if not complete:
        raise ValueError(_foreign(stored, ways, info, name))
    ids = complete[0].ids.copy()
    for way in complete[1:]:
        free = ~(complete[0].ignored | way.ignored)
        differ = np.flatnonzero((way.ids != complete[0].ids) & free)
        if len(differ):
            raise ValueError(
                _contradiction(stored, complete[0], way, differ[0], info, name)
            )
        ids[way.ignored] = IGNORE_LABEL
    return ids.astype(np.uint8)


def _ways(stored, info):
    """Return the ways to read a file, the one that is taken first."""
    colors = [tuple(color) for color in stored.colors.tolist()]
    named = info.label_colors
    table = _palette_classes(stored, info) if named is None else named
    by_color = _way("color", colors, table, info.ignored_colors)
    if stored.values is None or not info.values:
        return [by_color]
    numbers = stored.values.tolist()
    by_number = _way("number", numbers, info.values, info.ignored_ids)
    _ignore_255(by_number, numbers, info)
    ways = [by_number]
    greys = stored.colors[:, 0].tolist()
    if stored.grey and greys != numbers:
        # What optimizers make of grey: fewer bits, or a palette.
        by_grey = _way("brightness", greys, info.values, info.ignored_ids)
        if not by_number.complete and len({*greys} - {IGNORE_LABEL}) > 1:
            _ignore_255(by_grey, greys, info)
        ways.append(by_grey)
    if stored.paletted and named is None and by_number.complete:
        if (by_color.ids != UNKNOWN).sum() < 2:
            return ways  # a color may be the dataset's by chance
        # What is ignored, and the background, often has a color of its own.
        free = (by_number.ids == IGNORE_LABEL) | (stored.values == 0)
        free &= by_color.ids == UNKNOWN
        by_color.ids[free] = by_number.ids[free]
    return [*ways, by_color]


def _way(name, keys, classes: Mapping, ignored):
    ids = np.array([classes.get(key, UNKNOWN) for key in keys], np.int16)
    named = np.array([key in ignored for key in keys], bool)
    ids[named] = IGNORE_LABEL
    return _Way(name, ids, named)


def _ignore_255(way, keys, info):
    """Have 255 ignored, unless the dataset says that it is a class."""
    if IGNORE_LABEL in keys and IGNORE_LABEL not in info.values:
        way.ids[keys.index(IGNORE_LABEL)] = IGNORE_LABEL


def _palette_classes(stored, info):
    """Return the classes of the dataset's own colors, for a file of colors.

    Grey pixels are numbers, unless all of the dataset's colors are grey; so
    are those of a palette, where the dataset says what numbers mean.
    """
    grey = all(len(set(color)) == 1 for color in info.palette)
    numbers = stored.paletted and info.label_values is not None
    if numbers or stored.grey and not grey:
        return {}
    return {
        color: index
        for index, color in enumerate(info.palette)
        if info.palette.count(color) == 1
    }


def _foreign(stored, ways, info, name):
    """Return the message of a file that holds what is no class."""
    unknown = np.flatnonzero(ways[-1].ids == UNKNOWN)
    colors = _some([_hex(color) for color in stored.colors[unknown].tolist()])
    if ways[0].name == "number":
        nor = f" Nor are its colors: {colors}." if not stored.grey else ""
        unknown = np.flatnonzero(ways[0].ids == UNKNOWN)
        one = not info.label_values and info.num_classes in stored.values
        ignored = sorted({*info.ignored_ids, IGNORE_LABEL} - {*info.values})
        return (
            f"{info.name} has class ids {_spoken([*info.values])}"
            + (f", and {_spoken(ignored)} where ignored" if ignored else "")
            + f". Received: ids [{_some(stored.values[unknown].tolist())}] in "
            f"{name}.{nor} Say with label_values which class a value stands "
            "for"
            + (
                ', for instance {"1": 0, ...} if ids count from 1.'
                if one
                else "."
            )
            + (
                " If they lie along edges alone, save labels without smoothing."
                if {0, IGNORE_LABEL} <= {*stored.values.tolist()}
                else ""
            )
        )
    blurred = ""
    if len(unknown) > IGNORE_LABEL:
        blurred = (
            f" It holds {len(stored.distinct)} colors, as a picture does or a "
            "label that was resized with smoothing."
        )
    if info.label_colors is None:
        return (
            f"Expected class ids in {name}, or colors of {info.name}. "
            f"Received: colors {colors}. Say with label_colors which class a "
            f"color stands for.{blurred}"
        )
    known = _some([*map(_hex, info.label_colors)])
    return (
        f"{info.name} has labels of the colors {known}. Received: {colors} in "
        f"{name}. Say with label_colors or ignored_colors what a color stands "
        f"for.{blurred}"
    )


def _contradiction(stored, way, other, index, info, name):
    """Return the message of a file that says two things at once."""

    def meaning(row):
        label = row.ids[index]
        named = label != IGNORE_LABEL
        shown = repr(info.class_names[label]) if named else "ignored"
        return f"{shown} by its {row.name}"

    return (
        f"{name} says two things: value {stored.values[index]}, shown as "
        f"{_hex(stored.colors[index].tolist())}, is {meaning(way)} and "
        f"{meaning(other)}. Say with label_values which class each value is, "
        "or with label_colors which each color."
    )


def _hex(color):
    if min(color) < 0:
        return "none"
    return "#{:02x}{:02x}{:02x}".format(*color)


def _some(items):
    shown = ", ".join(map(str, items[:MAX_NAMED]))
    return shown if len(items) <= MAX_NAMED else f"{shown}, ..."


def _spoken(ids):
    """Return `0 to 18` for ids without a gap, `7, 8, 11` for others."""
    if len(ids) > 1 and tuple(ids) == tuple(range(ids[0], ids[-1] + 1)):
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids))
