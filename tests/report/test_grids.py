"""Grids: pictures of one width side by side, and the colors explained."""

from types import SimpleNamespace

import numpy as np
from pictures import PALETTE
from pictures import guess
from pictures import make_split
from PIL import Image

from dla_keras.report.galleries import boundary_grid
from dla_keras.report.galleries import drawable
from dla_keras.report.galleries import prediction_grid
from dla_keras.report.galleries import resized


def test_pictures_truth_and_predictions_side_by_side():
    split = make_split()
    grid = prediction_grid(guess, split, count=2, width=30)
    pixels = np.asarray(grid)
    assert grid.width == 3 * 38 + 8
    # The first picture and that in the middle, below each other.
    for top, example in ((28, split[0]), (56, split[len(split) // 2])):
        views = [
            pixels[top : top + 20, left : left + 30] for left in (8, 46, 84)
        ]
        colors = np.array([*PALETTE, *[(0, 0, 0)] * 253])
        np.testing.assert_array_equal(views[0], example.image)
        np.testing.assert_array_equal(views[1], colors[example.label])
        np.testing.assert_array_equal(views[2], colors[guess(example.image)])
    legend = {tuple(c) for c in pixels[84:].reshape(-1, 3).tolist()}
    assert legend >= {*PALETTE, (0, 0, 0)}


def test_large_pictures_are_shrunk_before_they_are_drawn():
    image = np.zeros((100, 4096, 3), np.uint8)
    mask = np.arange(4096, dtype=np.uint8).repeat(100).reshape(-1, 100).T
    small, found = drawable(image, mask)
    assert small.shape == (50, 2048, 3)
    np.testing.assert_array_equal(found[0], mask[0, 1::2])
    kept, same = drawable(image[:, :2048], mask[:, :2048])
    assert kept.shape == (100, 2048, 3)
    np.testing.assert_array_equal(same, mask[:, :2048])


def test_boundaries_are_dark_on_white():
    truth = np.eye(30, dtype=bool)
    example = SimpleNamespace(
        image=np.zeros((30, 30, 3), np.uint8), annotations=[truth, ~truth]
    )
    grid = boundary_grid(lambda _: 0.2 * truth, [example], width=30)
    pixels = np.asarray(grid)[..., 0]
    assert grid.size == (122, 66)  # no legend
    assert (pixels[28:58, 46:76] == 128).all()  # the mean of two annotators
    np.testing.assert_array_equal(
        pixels[28:58, 84:114], np.where(truth, 204, 255)
    )


def test_colors_of_a_mask_are_not_mixed():
    image = Image.fromarray(np.uint8([[0, 1] * 8] * 4))
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert {*np.asarray(resized(image, 5)).flat} <= {0, 1}
    assert resized(image, 5).size == (5, 1)
