"""Thin boundaries: of a mask by morphology, of a soft map by suppression."""

import numpy as np
from scipy import ndimage

# A pixel's neighbours (row, column) in the order of Lam, Lee and Suen (PAMI
# 1992, page 879), counter-clockwise from the east; neighbour k is bit k.
_AROUND = (
    (0, 1),
    (-1, 1),
    (-1, 0),
    (-1, -1),
    (0, -1),
    (1, -1),
    (1, 0),
    (1, 1),
)


def _removable(turn: int) -> np.ndarray:
    """Return whether a pixel goes, for each of the 256 neighborhoods.

    The conditions G1, G2 and G3 (in even turns) or G3' (in odd ones) that
    MATLAB's `bwmorph` documents for "thin".
    """
    x = np.arange(256)[:, None] >> np.arange(8) & 1 == 1  # x1 is x[:, 0]
    later = np.roll(x, -1, axis=1)
    crossings = (~x & (later | np.roll(x, -2, axis=1)))[:, ::2].sum(1)
    pairs = x | later
    neighbours = np.minimum(pairs[:, ::2].sum(1), pairs[:, 1::2].sum(1))
    x = np.roll(x, -4 * turn, axis=1)
    kept_side = (x[:, 1] | x[:, 2] | ~x[:, 7]) & x[:, 0]
    return (crossings == 1) & (2 <= neighbours) & (neighbours <= 3) & ~kept_side


_REMOVABLE = (_removable(0), _removable(1))


def thin(mask: np.ndarray) -> np.ndarray:
    """Thin lines to one pixel, as MATLAB's `bwmorph(mask, "thin", Inf)` does.

    The result equals that of scikit-image's `thin`, several times as fast: a
    pixel is looked at again only after a neighbor has gone.

    Args:
        mask: Boolean `(height, width)`.

    Returns:
        A boolean map of the same shape, a subset of `mask`.

    Example:

    >>> thin(np.ones((3, 5), bool)).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(
            "`thin` takes a boolean array (height, width). Received: "
            f"{mask.dtype} of shape {mask.shape}."
        )
    # Row by row in memory, whatever the mask's order: `flat` is a view.
    padded = np.zeros([side + 2 for side in mask.shape], bool)
    padded[1:-1, 1:-1] = mask
    flat = padded.reshape(-1).view(np.uint8)
    shifts = [row * padded.shape[1] + column for row, column in _AROUND]
    pixels = np.flatnonzero(flat)
    gone = [pixels, pixels]  # in the last two turns; all of them at first
    turn = 0
    while gone[0].size or gone[1].size:
        codes = np.zeros(len(pixels), np.uint8)
        for bit, shift in enumerate(shifts):
            codes |= flat[pixels + shift] << np.uint8(bit)
        leaving = pixels[_REMOVABLE[turn][codes]]
        flat[leaving] = 0
        gone = [gone[1], leaving]
        # The result of a turn holds until a neighbor goes, in this turn or in
        # the one before the next of its kind.
        touched = np.zeros(flat.size, bool)
        for pixels in gone:
            for shift in shifts:
                touched[pixels + shift] = True
        pixels = np.flatnonzero(touched & (flat == 1))
        turn = 1 - turn
    return padded[1:-1, 1:-1].copy()


def suppress_non_maxima(soft_map: np.ndarray, border: int = 5) -> np.ndarray:
    """Thin a soft map to its ridges, as papers on edge detection do.

    It computes what Dollar and Zitnick's `edgesNms` does (structured edges,
    PAMI 2015), which HED and RCF are evaluated with: a slight blur, the ridge's
    direction from the curvature of a wider blur, and zero where a pixel is
    lower than the value one pixel off on either side. OpenCV has it only as a
    method of its own detector, which needs a trained forest.

    Args:
        soft_map: `(height, width)`, from 0 (no boundary) to 1.
        border: Pixels over which values fade towards the image's edge, where
            detectors respond to the padding. Defaults to `5`.

    Returns:
        float32 `(height, width)`: the blurred map on its ridges, else 0.

    Example:

    >>> ramp = np.minimum(np.arange(41), np.arange(41)[::-1]) / 20
    >>> ridge = suppress_non_maxima(np.tile(ramp, (41, 1)))
    >>> np.flatnonzero(ridge[20])
    array([20])
    """
    soft_map = _triangle_blur(np.asarray(soft_map, np.float32), 1)
    angle = _across(_triangle_blur(soft_map, 4))
    rows, columns = np.indices(soft_map.shape)
    kept = np.ones(soft_map.shape, bool)
    for side in (-1, 1):
        beside = (rows + side * np.sin(angle), columns + side * np.cos(angle))
        neighbour = ndimage.map_coordinates(
            soft_map, beside, order=1, mode="nearest"
        )
        # On a plateau both stay, and are thinned later.
        kept &= 1.01 * soft_map >= neighbour
    for axis, size in enumerate(soft_map.shape):
        place = np.arange(size, dtype=np.float32)
        fade = np.minimum(place, place[::-1]) / max(border, 1)
        fade = np.minimum(fade, 1) if border else np.ones_like(fade)
        soft_map = soft_map * np.expand_dims(fade, 1 - axis)
    return np.where(kept, soft_map, 0)


def _triangle_blur(picture, radius):
    taps = radius + 1.0 - np.abs(np.arange(-radius, radius + 1))
    taps /= taps.sum()
    for axis in (0, 1):
        picture = ndimage.convolve1d(picture, taps, axis)
    return picture


def _across(picture):
    """Return the angle of the direction across ridges.

    It follows from the second derivatives. The tangent is squared, so oblique
    lines are taken for straighter ones, as in the original code whose figures
    the papers report.
    """
    along_rows, along_columns = np.gradient(picture)
    yy, xy = np.gradient(along_rows)
    xx = np.gradient(along_columns, axis=1)
    # The original's sign(0) is 0, which loses exactly level lines.
    slope = np.where(xy > 0, -yy, yy)
    return np.arctan(slope / (xx + 1e-5))
