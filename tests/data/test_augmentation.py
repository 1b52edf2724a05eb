"""Random crops for classification, mixup and CutMix."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dla_keras.data.augmentation import Mixing
from dla_keras.data.augmentation import RandomResizedCrop
from dla_keras.data.augmentation import random_box


def coordinates(height, width):
    """Return an image whose pixels tell where they come from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)


def test_random_boxes_have_the_area_and_aspect_asked_for():
    shape, area, aspect = (200, 250), (0.08, 1.0), (3 / 4, 4 / 3)
    box = tf.function(lambda seed: random_box(shape, seed, area, aspect))
    seeds = tf.constant([(0, seed) for seed in range(300)], tf.int64)
    boxes = np.stack([box(seed) for seed in seeds])
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (top + height <= 200).all()
    assert (left >= 0).all() and (left + width <= 250).all()
    # A side is rounded by half a pixel, of at least 49 (the smallest box).
    assert (height * width > 0.08 * 200 * 250 * 0.98).all()
    ratios = width / height
    assert ratios.min() > 0.75 * 0.98 and ratios.max() < 4 / 3 * 1.02
    # Even in area up to where the tallest ones no longer fit.
    below = np.mean(height * width < 0.3 * 200 * 250)
    assert 0.2 < below < 0.4
    assert np.ptp(top) > 100 and np.ptp(left) > 100


def test_a_picture_too_long_for_any_box_gives_its_middle():
    box = random_box((30, 1000), (0, 0), (0.9, 1.0), (3 / 4, 4 / 3))
    assert box.numpy().tolist() == [0, 480, 30, 40]


def test_random_crop_is_pillows_resize_of_its_box():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (90, 120, 3), np.uint8)
    crop = RandomResizedCrop((32, 32), flip=False)
    for seed in range(5):
        seeds = tf.random.split((0, seed), 3)
        top, left, height, width = random_box(
            image.shape[:2], seeds[0], crop.area, crop.aspect
        ).numpy()
        x, label = crop(image, 3, (0, seed))
        box = (left, top, left + width, top + height)
        expected = (
            Image.fromarray(image)
            .crop(box)
            .resize((32, 32), Image.Resampling.BILINEAR)
        )
        # Pillow rounds after each of two passes: half a level twice.
        np.testing.assert_allclose(x, np.asarray(expected), atol=1.01)
        assert label == 3


def test_random_crop_flips_half_and_keeps_the_range():
    crop = RandomResizedCrop((16, 16), jitter=0.4)
    rising = set()
    for seed in range(12):
        x, _ = crop(coordinates(60, 80), 0, (0, seed))
        assert x.numpy().min() >= 0 and x.numpy().max() <= 255
        rising.add(bool(x[0, -1, 1] > x[0, 0, 1]))
    assert rising == {True, False}


def pair(size=40):
    images = np.stack([np.full((size, size, 3), v) for v in (10.0, 110.0)])
    return images, np.array([1, 4])


@pytest.mark.parametrize("rule", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_labels_are_the_shares_of_the_pixels(rule):
    images, labels = pair()
    shares = []
    for seed in range(40):
        x, y = Mixing(6, **rule)(images, labels, (0, seed))
        x, y = x.numpy(), y.numpy()
        share = (110 - x.mean((1, 2, 3))) / 100  # of class 1's picture
        np.testing.assert_allclose(y[:, 1], share, atol=1e-5)
        np.testing.assert_allclose(y[:, 4], 1 - share, atol=1e-5)
        # In both directions: what one gives, the other has.
        np.testing.assert_allclose(x.sum(0), 120, atol=1e-4)
        shares.append(y[0, 1])
        values = np.unique(x[0].round(3))
        if "cutmix" in rule:
            assert set(values) <= {10, 110}
        else:
            assert len(values) == 1
    assert np.std(shares) > 0.15 and 0.2 < np.mean(shares) < 0.95


def test_cutmix_pastes_a_box():
    images, labels = pair()
    for seed in range(10):
        x, _ = Mixing(6, cutmix=1.0)(images, labels, (0, seed))
        pasted = x[0, ..., 0].numpy() == 110
        rows, columns = pasted.any(1), pasted.any(0)
        assert pasted.sum() == rows.sum() * columns.sum()


def test_cutmix_boxes_have_the_area_drawn():
    """Of a box of area a, uniform, a square's side is its root s; with its
    centre anywhere in the picture, s - s**2 / 4 of it lies inside on average,
    down and across. The mean of the square of that over a is 77 / 240."""
    images, labels = pair()
    mix = tf.function(Mixing(6, cutmix=1.0))
    seeds = tf.constant([(0, seed) for seed in range(400)], tf.int64)
    pasted = [mix(images, labels, seed)[1][0, 4] for seed in seeds]
    # Areas deviate by 0.2 from it, the mean of 400 by a twentieth of that.
    assert np.mean(pasted) == pytest.approx(77 / 240, abs=0.04)


def test_both_ways_of_mixing_take_turns():
    images, labels = pair()
    mix = Mixing(6, mixup=0.8, cutmix=1.0)
    blended = [
        not set(np.unique(mix(images, labels, (0, seed))[0])) <= {10, 110}
        for seed in range(40)
    ]
    assert 0.2 < np.mean(blended) < 0.8
    x, y = Mixing(6)(images, labels, (0, 0))
    np.testing.assert_array_equal(x, images)
    assert y.numpy().argmax(1).tolist() == [1, 4]


def test_mixup_shares_follow_their_distribution():
    """Variance of Beta(a, a) is 1 / (4 (2a + 1))."""
    images, labels = pair(1)
    for strength in (0.05, 0.2, 1.0):
        mix = tf.function(Mixing(6, mixup=strength))
        seeds = tf.constant([(0, seed) for seed in range(400)], tf.int64)
        shares = np.array([mix(images, labels, s)[1][0, 1] for s in seeds])
        assert np.isfinite(shares).all()
        variance = 1 / (4 * (2 * strength + 1))
        # 400 draws: the variance is known to about a tenth.
        assert np.var(shares) == pytest.approx(variance, rel=0.2)
