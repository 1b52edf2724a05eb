"""Predicts an image in several views: scales, mirror images, overlapping tiles.

Each function turns a function from image to probabilities into another one.
Tiles are for images too large for a model. Near an edge that cuts through the
image a model lacks a part of its context, so the outer quarter of each overlap
is dropped on both sides, and the half between fades from one tile to the next.
"""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from itertools import pairwise

import numpy as np

from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import resize_picture
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import resize_scores
from dla_keras.models.backbone import MAX_STRIDE

DEFAULT_OVERLAP = 128  # pixels that tiles share


@dataclass(frozen=True)
class Views:
    """Views of an image that predictions are made of.

    Each task uses the fields that concern it.

    Args:
        scales: Scales to average probabilities over. Defaults to `(1.0,)`.
        flip: Whether to average over the mirror image too. Defaults to
            `False`.
        tile: Height and width of a tile; `None` for the whole picture.
            Defaults to `None`.
        overlap: Overlap of tiles, in pixels. Defaults to `128`.
        nms: Whether only ridges of boundaries are kept. Defaults to `True`.
        size: Height and width of a classifier's crop. Defaults to `None`: the
            model file's.
        crop_fraction: Share of a picture that a classifier sees. Defaults to
            `None`: the model file's.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    tile: tuple[int, int] | None = None
    overlap: int = DEFAULT_OVERLAP
    nms: bool = True
    size: tuple[int, int] | None = None
    crop_fraction: float | None = None

    @property
    def several(self) -> bool:
        """Return whether probabilities of several views are averaged."""
        return self.flip or self.scales != (1.0,)

    def check_scales(self, name: str, size: tuple[int, int] | None) -> None:
        """Raise `ValueError` if a model of fixed size shall see scales."""
        if size and self.scales != (1.0,):
            raise ValueError(
                f"--scales needs a model that takes any size, and {name} takes "
                f"{size[0]}x{size[1]} only: leave --scales out, or use the "
                ".keras file."
            )


def parse_scales(text: str) -> tuple[float, ...]:
    """Return the scales that a text names, with commas between.

    Raises:
        ValueError: If it is anything but positive numbers.

    Example:

    >>> parse_scales("0.5,1,1.5")
    (0.5, 1.0, 1.5)
    """
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise ValueError(
            "Expected --scales as numbers above 0 and up to 8, for instance "
            f"0.5,0.75,1,1.25,1.5. Received: {text!r}."
        )
    return scales


def averaged(
    probabilities: Callable[[np.ndarray], np.ndarray],
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that averages probabilities over scales and mirror.

    The result has the picture's size.

    Probabilities are averaged, as most do; the authors add their logarithms:
    https://github.com/ucbdrive/dla/blob/master/segment.py (`test_ms`).

    Args:
        probabilities: Function: uint8 `(h, w, 3)` -> float32
            `(h, w, classes)`.
        scales: Scales to see the picture at. Defaults to `(1.0,)`.
        flip: Whether its mirror image is seen too. Defaults to `False`.

    Example:

    >>> red = averaged(lambda image: np.float32(image), (0.5, 1), flip=True)
    >>> red(np.full((40, 50, 3), 7, "uint8")).mean()
    np.float32(7.0)
    """

    def predict(image):
        height, width = image.shape[:2]
        views = 0
        for scale in scales:
            view = _scaled(image, scale)
            scores = probabilities(view)
            if flip:
                mirrored = probabilities(view[:, ::-1])
                scores = (scores + mirrored[:, ::-1]) / 2
            views = views + resize_scores(scores, height, width)
        return views / len(scales)

    return predict


def seen_at(
    fit: Fit, find: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that sees a picture at its working size.

    The result has the picture's own size.

    Args:
        fit: Rule of the working size.
        find: Function: uint8 `(h, w, 3)` -> mask or probabilities of its size.
    """

    def predict(image):
        return resize_scores(find(fit.resize(image)), *image.shape[:2])

    return predict if fit != PAD else find


def viewed(predict: Predictor, views: Views) -> Predictor:
    """Return a predictor that fits views, whose working size is outside them.

    Where it takes any size, they have the size that they ought to have; tiles
    of a fixed size are cut, not fitted.

    Args:
        predict: Predictor of a model file.
        views: Views of an image.
    """
    own = predict.size is None or views.tile
    return replace(predict, fit=PAD) if own else predict


def _scaled(image, scale):
    height, width = (max(1, round(scale * n)) for n in image.shape[:2])
    return resize_picture(image, height, width)


@dataclass(frozen=True)
class Span:
    """A tile along one side of the image, in pixels.

    Args:
        start: Start of the tile.
        stop: End of the tile.
        first: Start of its pixels that count.
        last: End of its pixels that count.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def window(self) -> slice:
        """Return the slice of the image that the tile covers."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """Return the slice of the tile that counts."""
        return slice(self.first - self.start, self.last - self.start)


def check_tile(tile: tuple[int, int], overlap: int) -> None:
    """Raise `ValueError` if tiles of this size and overlap do not fit."""
    sides = (*tile, overlap)
    if min(tile) < 1 or overlap < 0 or any(s % MAX_STRIDE for s in sides):
        raise ValueError(
            f"A tile's sides and the overlap are multiples of {MAX_STRIDE} "
            f"pixels. Received: --tile {tile[0]}x{tile[1]} --overlap "
            f"{overlap}."
        )
    if min(tile) < 2 * overlap:
        raise ValueError(
            "A tile's sides are at least twice the overlap. Received: --tile "
            f"{tile[0]}x{tile[1]} --overlap {overlap}; make the tile larger, "
            f"or the overlap at most {min(tile) // 2}."
        )


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Return tiles along a side, evenly spread.

    Tiles start at multiples of 32, so that the model's strides fall on the same
    pixels as in the whole image. The parts that count share `overlap / 2`
    pixels with each neighbor, and none with any other tile.

    Args:
        length: Length of the side, in pixels.
        tile: Length of a tile, a multiple of 32.
        overlap: Least overlap of neighbors, a multiple of 32.

    Example:

    >>> for span in spans(200, 128, 64):
    ...     print(span)
    Span(start=0, stop=128, first=0, last=96)
    Span(start=32, stop=160, first=64, last=144)
    Span(start=96, stop=200, first=112, last=200)
    """
    full = -(-length // MAX_STRIDE) * MAX_STRIDE
    if full <= tile:
        return [Span(0, length, 0, length)]
    steps = -(-(full - tile) // (tile - overlap))
    starts = [
        index * (full - tile) // (steps * MAX_STRIDE) * MAX_STRIDE
        for index in range(steps + 1)
    ]
    half = overlap // 4  # half of the pixels that fade
    seams = [(left + right + tile) // 2 for left, right in pairwise(starts)]
    firsts = (0, *(seam - half for seam in seams))
    lasts = (*(seam + half for seam in seams), length)
    return [
        Span(start, min(start + tile, length), first, last)
        for start, first, last in zip(starts, firsts, lasts, strict=True)
    ]


def probability_pieces(
    probabilities: Callable, image, tile: tuple[int, int], overlap: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield an image's probabilities in pieces that lie side by side.

    Apart from one tile, only a strip of `overlap / 2` rows, as wide as the
    image, is in memory.

    Args:
        probabilities: Function from uint8 `(h, w, 3)` to float32
            `(h, w, classes)`.
        image: uint8 `(height, width, 3)`, or anything that is sliced like it,
            for instance `numpy.memmap`.
        tile: Height and width of a tile, multiples of 32.
        overlap: Overlap of neighboring tiles in pixels, a multiple of 32 and at
            most half a tile.

    Yields:
        Top, left and `(rows, columns, classes)`, row by row.

    Raises:
        ValueError: If a tile or the overlap does not fit.
    """
    check_tile(tile, overlap)
    rows, columns = (
        spans(length, side, overlap)
        for length, side in zip(image.shape[:2], tile, strict=True)
    )
    above = None  # strip that fades into the next row of tiles
    for row in rows:
        before = None  # strip that fades into the next tile
        for column in columns:
            window = np.asarray(image[row.window, column.window])
            piece = probabilities(window)[row.kept, column.kept].copy()
            if column is not columns[0]:
                _fade(before.swapaxes(0, 1), piece.swapaxes(0, 1))
            if column is not columns[-1]:
                piece, before = _cut(piece, overlap // 2, axis=1)
            if above is None and len(rows) > 1:
                shape = (overlap // 2, image.shape[1], piece.shape[2])
                above = np.empty(shape, piece.dtype)
            left = column.first
            place = slice(left, left + piece.shape[1])
            if row is not rows[0]:
                _fade(above[:, place], piece)
            if row is not rows[-1]:
                piece, above[:, place] = _cut(piece, overlap // 2, axis=0)
            yield row.first, left, piece


def tiled(
    probabilities: Callable,
    tile: tuple[int, int],
    overlap: int = DEFAULT_OVERLAP,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an image to its mask, a tile at a time.

    Apart from the image and its uint8 mask, memory grows only with the width
    of the image, and little: see `probability_pieces`.

    Args:
        probabilities: Function from uint8 `(h, w, 3)` to float32
            `(h, w, classes)`.
        tile: Height and width of a tile, multiples of 32.
        overlap: Overlap of neighboring tiles in pixels, a multiple of 32 and at
            most half a tile. Pixels are as in the whole image if the model sees
            no farther than a quarter of it. Defaults to `128`.

    Raises:
        ValueError: If a tile or the overlap does not fit.

    Example:

    >>> reds = tiled(lambda tile: np.float32(tile[..., :2]), (64, 64), 32)
    >>> reds(np.full((100, 200, 3), (9, 0, 0), "uint8")).max()
    np.uint8(0)
    """
    check_tile(tile, overlap)

    def predict(image):
        mask = np.empty(image.shape[:2], np.uint8)
        pieces = probability_pieces(probabilities, image, tile, overlap)
        for top, left, piece in pieces:
            height, width = piece.shape[:2]
            place = slice(top, top + height), slice(left, left + width)
            mask[place] = piece.argmax(-1)
        return mask

    return predict


def _cut(piece, count, axis):
    """Split off the last `count` pixels."""
    return np.split(piece, [piece.shape[axis] - count], axis)


def _fade(old, new):
    """Blend the first rows of `new` with `old`, in place."""
    x = (np.arange(len(old), dtype=np.float32) + 0.5) / len(old)
    share = (x * x * (3 - 2 * x))[:, None, None]  # smooth at both ends
    new[: len(old)] = old + share * (new[: len(old)] - old)
