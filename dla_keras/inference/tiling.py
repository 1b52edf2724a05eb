"""Tiled inference: pictures too large for a model, a tile at a time.

Tiles overlap. Near an edge that was cut through the picture a model has not
seen all that it looks at, so the outer quarter of each overlap is dropped on
both sides, and the half between fades smoothly from one tile to the next.
"""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dla_keras.models.backbone import MAX_STRIDE

DEFAULT_OVERLAP = 128  # pixels


@dataclass(frozen=True)
class Span:
    """A tile along one side of the picture, in pixels.

    Args:
        start: where the tile starts.
        stop: where it ends.
        first: of its pixels that count.
        last: behind them.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def window(self) -> slice:
        """In the picture."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """In the tile."""
        return slice(self.first - self.start, self.last - self.start)


def check_tile(tile: tuple[int, int], overlap: int) -> None:
    """Raises `ValueError` for a tile that cannot be laid."""
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
    """Tiles along a side, spread evenly.

    Tiles start at multiples of 32, where the model's strides fall on the same
    pixels as in the whole picture. Their parts that count share `overlap / 2`
    pixels with each neighbour, and none with any other tile.

    Args:
        length: of the side, in pixels.
        tile: length of a tile, a multiple of 32.
        overlap: of neighbours, at least; a multiple of 32.

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
    half = overlap // 4  # of what fades
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
    """A picture's probabilities, in pieces that lie side by side.

    Beside one tile, what is held is a strip of `overlap / 2` rows as wide as
    the picture.

    Args:
        probabilities: uint8 `(h, w, 3)` -> float32 `(h, w, classes)`.
        image: `(height, width, 3)`; anything that gives its windows as
            uint8, for instance `numpy.memmap`.
        tile: height and width, multiples of 32.
        overlap: of neighbouring tiles, in pixels; a multiple of 32, and at
            most half a tile.

    Yields:
        Top, left and `(rows, columns, classes)`, row by row.

    Raises:
        ValueError: for a tile or an overlap that does not fit.
    """
    check_tile(tile, overlap)
    rows, columns = (
        spans(length, side, overlap)
        for length, side in zip(image.shape[:2], tile, strict=True)
    )
    above = None  # what fades into the next row of tiles
    for row in rows:
        before = None  # what fades into the next tile
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
    """Picture -> mask, a tile at a time.

    Beyond the picture and its uint8 mask, memory grows with the width of the
    picture only, and little: see `probability_pieces`.

    Args:
        probabilities: uint8 `(h, w, 3)` -> float32 `(h, w, classes)`.
        tile: height and width, multiples of 32.
        overlap: of neighbouring tiles, in pixels; a multiple of 32, and at
            most half a tile. Pixels are as in the whole picture where the
            model sees no further than a quarter of it. Defaults to `128`.

    Raises:
        ValueError: for a tile or an overlap that does not fit.

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
    """Without its last `count` pixels, and these."""
    return np.split(piece, [piece.shape[axis] - count], axis)


def _fade(old, new):
    """Blends the first rows of `new` with `old`, in place."""
    x = (np.arange(len(old), dtype=np.float32) + 0.5) / len(old)
    share = (x * x * (3 - 2 * x))[:, None, None]  # smooth at both ends
    new[: len(old)] = old + share * (new[: len(old)] - old)
