"""Public functions of arrays see values, not where they lie in memory.

MATLAB's files and `.T` are ordered by columns, PyTorch's transposes have other
strides, files of other machines other bytes.
"""

import numpy as np
import pytest
from PIL import Image

from dla_keras.bsds.benchmark import boundary_counts
from dla_keras.bsds.benchmark import boundary_scores
from dla_keras.bsds.benchmark import spread_thresholds
from dla_keras.bsds.matching import BoundaryMatcher
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.bsds.thinning import thin
from dla_keras.data.boundaries import combined_label
from dla_keras.data.boundaries import label_edges
from dla_keras.data.fitting import central_crop
from dla_keras.inference.loaded_model import rgb_image
from dla_keras.inference.prediction_files import blend_mask
from dla_keras.inference.prediction_files import colorize
from dla_keras.inference.prediction_files import draw_boundaries
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.predictor import pad_picture
from dla_keras.inference.predictor import softmax

PALETTE = ((0, 0, 0), (250, 0, 0), (0, 250, 0))


def by_columns(array):
    return np.asfortranarray(array)


def transposed(array):
    return np.ascontiguousarray(array.T).T


def backwards(array):
    return array[::-1, ::-1].copy()[::-1, ::-1]


def every_second(array):
    return np.repeat(array, 2, axis=1)[:, ::2]


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def other_bytes(array):
    return array.astype(array.dtype.newbyteorder())


LAYOUTS = (
    *(by_columns, transposed, backwards, every_second, read_only),
    other_bytes,
)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 255, (40, 60, 3), dtype=np.uint8)
MASK = RANDOM.integers(0, 3, (40, 60), dtype=np.uint8)
LINES = RANDOM.uniform(size=(40, 60)) > 0.6
PICTURE = Image.fromarray(IMAGE)
SOFT = RANDOM.uniform(size=(40, 60))
COUNTS = RANDOM.integers(1, 50, (3, 4))

# Name -> array, and function of it.
FUNCTIONS = {
    "thin": (LINES, thin),
    "suppress_non_maxima": (SOFT, suppress_non_maxima),
    "boundary_counts, map": (SOFT, lambda x: boundary_counts(x, [LINES], 3)),
    "boundary_counts, truth": (LINES, lambda x: boundary_counts(SOFT, [x], 3)),
    "BoundaryMatcher": (LINES, lambda x: BoundaryMatcher(LINES, 0.03)(x)),
    "boundary_scores": (COUNTS, lambda x: boundary_scores("a", [x], 3)["ap"]),
    "spread_thresholds": (
        np.array([[0.2, 0.5]]),
        lambda x: spread_thresholds(x[0]),
    ),
    "combined_label": (SOFT, lambda x: combined_label([x], "soft")),
    "label_edges": (MASK, lambda x: np.asarray(label_edges(x))),
    "central_crop": (IMAGE, lambda x: central_crop(x, (16, 24))),
    "rgb_image": (IMAGE, rgb_image),
    "rgb_image, floats": (IMAGE.astype(np.float32), rgb_image),
    "fit_picture": (IMAGE, lambda x: fit_picture(x, 32, 64)),
    "pad_picture": (IMAGE, lambda x: pad_picture(x, 64, 64)),
    "softmax": (SOFT, softmax),
    "colorize": (MASK, lambda x: colorize(x, PALETTE)),
    "blend_mask, mask": (MASK, lambda x: blend_mask(PICTURE, x, PALETTE)),
    "draw_boundaries": (SOFT, lambda x: draw_boundaries(PICTURE, x)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_decide_not_where_they_lie(name, layout):
    array, function = FUNCTIONS[name]
    other = layout(array)
    np.testing.assert_array_equal(other, array)
    ours, expected = function(other), function(array)
    if not isinstance(ours, tuple):
        ours, expected = (ours,), (expected,)
    for got, wanted in zip(ours, expected, strict=True):
        # Sums in another order may end otherwise in the last bit.
        np.testing.assert_allclose(
            np.asarray(got), np.asarray(wanted), rtol=1e-14
        )
