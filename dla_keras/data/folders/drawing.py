"""Draws labels from outlines, as COCO and YOLO write them.

Polygons and run lengths become regions, and regions a label.
"""

import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL


class BoxAloneError(ValueError):
    """An error about an object that has a box and no outline."""


@dataclass(frozen=True)
class DrawnLabel:
    """A label that is drawn when it is read.

    Args:
        path: Path of the file that holds the annotations.
        name: Name of the label in messages.
        draw: Function that returns the values of the pixels: uint8 `(height,
            width)`, 0 where nobody annotated, `IGNORE_LABEL` where ignored.
        size: Height and width, where the annotations say them. Defaults to
            `None`: those of the image.
        ids: Class id of each value, `(256,)`. Defaults to `None`: the values
            themselves.
    """

    path: Path
    name: str
    draw: Callable[[], np.ndarray]
    size: tuple[int, int] | None = None
    ids: np.ndarray | None = None

    def read(self) -> np.ndarray:
        """Return the class ids and `IGNORE_LABEL`: uint8 `(height, width)`."""
        values = self.draw()
        return values if self.ids is None else self.ids[values]

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Region:
    """A part of an image that belongs to a class.

    Args:
        class_id: Class id, or `IGNORE_LABEL`.
        area: Number of its pixels, about.
        pixels: Function of a height and a width that returns its pixels,
            boolean `(height, width)`.
    """

    class_id: int
    area: float
    pixels: Callable[[int, int], np.ndarray]


def draw_regions(
    regions: Sequence[Region], height: int, width: int, rest: int
) -> np.ndarray:
    """Return a label with the regions drawn, the smaller above the larger.

    Where an object lies on another one, the smaller one is in front more
    often; annotations do not say. What is ignored lies below all.

    Args:
        regions: Regions of the image.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.
        rest: Class id of what no region covers.
    """
    label = np.full((height, width), rest, np.uint8)
    below = lambda region: (region.class_id != IGNORE_LABEL, -region.area)
    for region in sorted(regions, key=below):
        label[region.pixels(height, width)] = region.class_id
    return label


def fill_polygon(points, height: int, width: int) -> np.ndarray:
    """Return the pixels whose centers lie in a polygon: `(height, width)`.

    Args:
        points: `(n, 2)`: x and y in pixels; (0, 0) is the upper left corner
            of the image, not the center of its first pixel.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Example:

    >>> fill_polygon([(1, 0), (3, 0), (3, 2), (1, 2)], 2, 4).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0]])
    """
    points = np.asarray(points, np.float64)
    # A pixel is inside if an odd number of edges crosses its row before it.
    crossings = np.zeros((height, width + 1), np.uint8)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(
            min(max(math.ceil(low - 0.5), 0), height),
            min(max(math.ceil(high - 0.5), 0), height),
        )
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
            crossings[rows, columns] ^= 1
    return np.bitwise_xor.accumulate(crossings[:, :width], axis=1) > 0


def polygon_region(class_id: int, polygons: Sequence) -> Region:
    """Return the region of an object that consists of polygons.

    Args:
        class_id: Class id.
        polygons: `(n, 2)` points each, in pixels.
    """
    polygons = [np.asarray(points, np.float64) for points in polygons]

    def pixels(height, width):
        filled = (fill_polygon(points, height, width) for points in polygons)
        return np.logical_or.reduce([*filled])

    area = sum(_area(points) for points in polygons)
    return Region(class_id, area, pixels)


def _area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def decode_counts(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed masks.

    A length is stored as its difference to the one before the last, in
    pieces of five bits, the lowest first; a sixth bit says that more follow.

    Args:
        text: Value of `counts`.

    Example:

    >>> decode_counts("52203")
    [5, 2, 2, 2, 5]
    """
    counts, at = [], 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            piece = ord(text[at]) - 48
            value |= (piece & 31) << shift
            more, shift, at = piece & 32, shift + 5, at + 1
        if piece & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def run_length_region(class_id: int, counts, size: Sequence[int]) -> Region:
    """Return the region of COCO's run lengths.

    Args:
        class_id: Class id.
        counts: Lengths of the runs, of zeros first, column by column; a list,
            or compressed.
        size: Height and width.

    Raises:
        ValueError: If the runs do not cover the size.
    """
    if isinstance(counts, str):
        counts = decode_counts(counts)
    if sum(counts) != math.prod(size) or min(counts, default=0) < 0:
        raise ValueError(
            f"Expected runs over {size[0]} x {size[1]} pixels. Received: "
            f"{sum(counts)} pixels."
        )

    def pixels(height, width):
        runs = np.arange(len(counts)) % 2 > 0
        return np.repeat(runs, counts).reshape(size[::-1]).T

    return Region(class_id, sum(counts[1::2]), pixels)


def coco_region(
    annotation: dict, class_id: int, size: tuple[int, int], file
) -> Region:
    """Return the region of an annotation in COCO's format.

    Args:
        annotation: Entry of `annotations`.
        class_id: Class id of its category.
        size: Height and width of the image, in pixels.
        file: Path of the file, for messages.

    Raises:
        ValueError: If it has no outline, or a damaged one.
    """
    where = f"{file}, annotation {annotation.get('id')}"
    outline = annotation.get("segmentation")
    crowd = annotation.get("iscrowd")
    if crowd not in (0, 1, None):
        raise ValueError(
            f"{where}: expected 0 or 1 as 'iscrowd'. Received: {crowd!r}; "
            "export it again."
        )
    if crowd:
        class_id = IGNORE_LABEL
    if isinstance(outline, dict):
        try:
            if [*outline["size"]] != [*size]:
                raise ValueError(f"size {outline['size']}")
            return run_length_region(class_id, outline["counts"], size)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"{where}: expected 'counts' of a mask and its 'size', "
                f"{size[0]} x {size[1]}. Received: {error}; export it again."
            ) from error
    if not outline:
        raise BoxAloneError(
            f"{where}: expected a polygon or a mask as 'segmentation'. "
            "Received: a box alone; boxes are for detection: draw outlines, "
            "or remove the annotation."
        )
    polygons = [_points(flat, where) for flat in outline]
    _check_inside(np.concatenate(polygons), size, where)
    return polygon_region(class_id, polygons)


def _check_inside(points, size, where):
    """Raise `ValueError` if an outline cannot be one in pixels of an image."""
    low, high = points.min(0), points.max(0)
    height, width = size
    # What touches the border covers nothing, and does no harm.
    outside = (high < -1).any() or (low > (width + 1, height + 1)).any()
    if outside or np.abs(points).max() > 1e6:
        (left, top), (right, bottom) = low, high
        raise ValueError(
            f"{where}: expected an outline in an image of {width} x {height} "
            f"pixels. Received: x from {left:g} to {right:g}, y from {top:g} "
            f"to {bottom:g}; mend it, or remove the annotation."
        )


def yolo_regions(
    lines: Sequence[tuple[int, str]],
    values: Sequence[int],
    size: tuple[int, int],
    file,
) -> list[Region]:
    """Return the regions of a label file in YOLO's format.

    Args:
        lines: Lines of the file with their numbers: the class, and the points
            of a polygon as shares of the width and the height.
        values: Value of each of YOLO's classes in the label, in order.
        size: Height and width of the image, in pixels.
        file: Path of the file, for messages.

    Raises:
        ValueError: If a line holds a box, or something else.
    """
    regions = []
    for number, line in lines:
        where = f"{file}, line {number}"
        words = line.split()
        if not words[0].isdecimal() or int(words[0]) >= len(values):
            raise ValueError(
                f"{where}: expected a class from 0 to {len(values) - 1}. "
                f"Received: {words[0]!r}; mend it, or 'names' of the yaml file."
            )
        if len(words) == 5:
            raise BoxAloneError(
                f"{where}: expected a class and a polygon. Received: a box, "
                f"{line!r}; export polygons (YOLO segmentation)."
            )
        shares = _points(words[1:], where)
        if shares.min() < -0.5 or shares.max() > 1.5:
            raise ValueError(
                f"{where}: expected shares of the width and the height, 0 to "
                f"1. Received: {shares.min():g} to {shares.max():g}."
            )
        points = shares * (size[1], size[0])
        regions.append(polygon_region(values[int(words[0])], [points]))
    return regions


def _points(flat, where):
    """Return the points of x, y, x, y, ..."""
    try:
        values = np.array(flat, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(0)
    if (
        values.ndim != 1
        or len(values) < 6
        or len(values) % 2
        or not (np.isfinite(values).all())
    ):
        raise ValueError(
            f"{where}: expected three points or more, as x, y, x, y, ... "
            f"Received: {str(flat)[:80]}."
        )
    return values.reshape(-1, 2)
