"""Augmentation and the input pipeline."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from PIL import ImageEnhance
from scipy.ndimage import map_coordinates
from scipy.stats import kstest

from dla_keras.commands.shared import plain_message
from dla_keras.data import pipeline
from dla_keras.data.augmentation import LUMINANCE
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import change_colors
from dla_keras.data.augmentation import change_sharpness
from dla_keras.data.augmentation import draw_colors
from dla_keras.data.augmentation import random_affine
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.pipeline import ClassDraw
from dla_keras.data.pipeline import RememberedSplit
from dla_keras.data.pipeline import batch_names
from dla_keras.data.pipeline import remember
from dla_keras.data.pipeline import training_batches
from dla_keras.data.segmentation import Example


class Shades(list):
    """A split of pictures whose color tells their index."""

    def __getitem__(self, index):
        shade = np.full((8, 8, 3), super().__getitem__(index), np.uint8)
        return Example(shade, shade[..., 0], f"shade {index}")


def still(size, **changes):
    """Return an augmentation that makes only the changes named."""
    plain = {"scale": (1, 1), "rotation": 0.0, "flip": False, "jitter": 0.0}
    return Augmentation(size, **{**plain, **changes})


def coordinates(height=40, width=60):
    """Return an image whose pixels tell where they come from, and its label."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
    return image, ((y // 4 + x // 4) % 7).astype(np.uint8)


def test_augmentation_without_change_is_a_copy():
    image, label = coordinates()
    x, y = still((40, 60))(image, label, (0, 0))
    np.testing.assert_allclose(x, image, atol=1e-3)
    np.testing.assert_array_equal(y, label)


def test_flip_mirrors_both():
    image, label = coordinates()
    seen = set()
    for seed in range(8):
        x, y = still((40, 60), flip=True)(image, label, (0, seed))
        mirrored = bool(x[0, 0, 1] > 1)
        step = -1 if mirrored else 1
        np.testing.assert_allclose(x, image[:, ::step], atol=1e-3)
        np.testing.assert_array_equal(y, label[:, ::step])
        seen.add(mirrored)
    assert seen == {True, False}


def test_crop_lies_inside_and_label_follows():
    image, label = coordinates()
    # Slopes look alike between pixels and on them; noise does not.
    random = np.random.default_rng(0)
    image[..., 2] = random.integers(0, 256, label.shape)
    corners = set()
    for seed in range(20):
        x, y = still((16, 16))(image, label, (1, seed))
        top, left = int(x[0, 0, 0]), int(x[0, 0, 1])
        # Nothing is zoomed or turned: whole pixels, as sharp as they were.
        crop = np.s_[top : top + 16, left : left + 16]
        np.testing.assert_array_equal(x, image[crop])
        np.testing.assert_array_equal(y, label[crop])
        corners.add((top, left))
    assert len(corners) > 10


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_picture_smaller_than_the_crop_is_framed_by_ignored(rotation):
    image, label = coordinates()
    config = still((80, 120), rotation=rotation)
    _, y = config(image, np.zeros_like(label), (0, 3))
    share = np.mean(y.numpy() == 0)
    assert share == pytest.approx(40 * 60 / (80 * 120), abs=0.02)
    assert set(np.unique(y)) == {0, 255}


def test_zoom_magnifies():
    image, label = coordinates()
    zoom = still((16, 16), scale=(2, 2))
    x, _ = zoom(np.float32(image), label, (0, 0))
    step = np.diff(x[..., 1].numpy(), axis=1)
    np.testing.assert_allclose(step, 0.5, atol=1e-3)


def test_a_label_stays_within_half_a_pixel_of_its_picture():
    image, _ = coordinates(200, 250)
    # Reflected, so that no color of outside is mixed in.
    changes = {"scale": (0.5, 2.0), "rotation": 30.0, "flip": True}
    crop = still((60, 90), **changes, reflect=True)
    for seed in range(10):
        for axis in (0, 1):
            # Each pixel's label is its own row, or column.
            label = image[..., axis].copy()
            x, y = crop(np.float32(image), label, (2, seed))
            inside = y.numpy() != IGNORE_LABEL
            away = (np.float32(y) - x[..., axis].numpy())[inside]
            assert inside.sum() > 1000
            assert np.abs(away).max() < 0.501  # of float32's places
            # To either side: the mean of so many is even.
            assert abs(away.mean()) < 0.02


def test_map_keeps_shapes_whatever_it_combines():
    config = Augmentation((16, 24), scale=(0.5, 2.0), rotation=30.0)
    signs = set()
    for seed in range(20):
        matrix = random_affine((40, 60), (3, seed), config).numpy()
        linear = matrix[[0, 1, 3, 4]].reshape(2, 2)
        # Zoom, rotation and mirror only: nothing is sheared or squeezed.
        square = linear @ linear.T
        zoom = square[0, 0]
        np.testing.assert_allclose(square, zoom * np.eye(2), atol=1e-5)
        assert 0.25 <= zoom <= 4.0
        signs.add(np.sign(np.linalg.det(linear)))
    assert signs == {-1.0, 1.0}


def test_jitter_keeps_the_range_and_the_label():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (32, 32, 3), np.uint8)
    label = random.integers(0, 5, (32, 32)).astype(np.uint8)
    x, y = still((32, 32), jitter=0.4)(image, label, (0, 1))
    assert x.numpy().min() >= 0 and x.numpy().max() <= 255
    assert np.abs(x - image).max() > 10
    np.testing.assert_array_equal(y, label)


def test_one_matrix_does_all_color_changes():
    """Against the four steps one after the other, in float64."""
    image = np.random.default_rng(0).uniform(50, 190, (20, 30, 3))
    for seed in range(5):
        factors = draw_colors((0, seed), 0.2, tint=0.3).numpy()
        brightness, contrast, saturation, *gains = np.float64(factors)
        assert 0.1 < np.ptp(gains) < 0.6 and 0.7 <= min(gains)
        expected = brightness * image
        mean = (expected @ LUMINANCE).mean()
        expected = mean + contrast * (expected - mean)
        gray = (expected @ LUMINANCE)[..., None]
        expected = (gray + saturation * (expected - gray)) * gains
        x = change_colors(image.astype(np.float32), factors)
        # float32's rounding of sums of a few hundred.
        np.testing.assert_allclose(x, expected.clip(0, 255), atol=1e-3)


def test_saturation_may_be_left_out_of_the_jitter():
    image = np.random.default_rng(0).uniform(90, 120, (9, 9, 3))
    image = image.astype(np.float32)
    same = draw_colors((0, 3), 0.4, saturation=0.4)
    np.testing.assert_array_equal(draw_colors((0, 3), 0.4), same)
    # Brightness and contrast are one line for all pixels and channels.
    factors = draw_colors((0, 3), 0.4, saturation=0.0).numpy()
    assert factors[3:].tolist() == [1, 1, 1]
    x = change_colors(image, factors).ravel()
    line = np.polyfit(image.ravel(), x, 1)
    np.testing.assert_allclose(x, np.polyval(line, image.ravel()), atol=1e-3)
    assert abs(line[0] - 1) > 0.1


def test_sharpness_is_pillows():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (40, 50, 3), np.uint8)
    for factor in (0.0, 0.6, 0.93, 1.0, 1.4):
        x = change_sharpness(image.astype(np.float32), factor)
        pillow = ImageEnhance.Sharpness(Image.fromarray(image)).enhance(factor)
        # Pillow rounds the smoothed pixels, which count 1 - factor times, and
        # then cuts the fraction off.
        bound = abs(1 - factor) / 2 + 1.0
        difference = np.clip(x, 0, 255) - np.asarray(pillow)
        assert np.abs(difference).max() <= bound + 1e-3


def test_crops_are_as_sharp_as_drawn():
    image, label = coordinates()
    image = np.random.default_rng(0).integers(100, 150, image.shape, np.uint8)
    detail = change_sharpness(image.astype(np.float32), 2.0) - image
    sharpen = tf.function(still(image.shape[:2], sharpness=0.4))
    factors = []
    for seed in tf.constant([(0, seed) for seed in range(200)], tf.int64):
        x, y = sharpen(np.float32(image), label, seed)
        change = x - np.float32(image)
        factors.append(float(np.sum(change * detail) / np.sum(detail**2)))
        np.testing.assert_allclose(change, factors[-1] * detail, atol=1e-2)
        np.testing.assert_array_equal(y, label)
    # At a level of 1 % for so many draws from the right distribution.
    assert kstest(factors, "uniform", (-0.4, 0.8)).pvalue > 0.01


@pytest.mark.parametrize("even", [False, True])
def test_zooms_are_drawn_evenly_or_evenly_in_their_logarithm(even):
    config = still((8, 8), scale=(0.5, 2.0), even_scale=even)
    draw = tf.function(lambda seed: random_affine((9, 9), seed, config)[0])
    seeds = tf.constant([(0, seed) for seed in range(1000)], tf.int64)
    zooms = 1 / np.array([draw(seed) for seed in seeds])
    likely = {
        True: kstest(zooms, "uniform", (0.5, 1.5)).pvalue,
        False: kstest(np.log2(zooms), "uniform", (-1, 2)).pvalue,
    }
    assert likely[even] > 0.01 and likely[not even] < 1e-6
    assert np.mean(zooms > 1) == pytest.approx(
        2 / 3 if even else 1 / 2, abs=0.05
    )


@pytest.mark.parametrize("rotation", [0.0, 180.0])
def test_a_border_reflects_the_picture_and_hides_the_label(rotation):
    """Against NumPy's padding, and SciPy's pixels between the padded ones."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (20, 30, 3), np.uint8)
    label = random.integers(0, 5, (20, 30)).astype(np.uint8)
    size, pad = (96, 128), 160  # the picture comes back four times and more
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    changes = {"scale": (0.7, 1.5), "rotation": rotation, "flip": True}
    config = still(size, **changes, reflect=True)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for seed in range(4):
        x, y = config(np.float32(image), label, (0, seed))
        seeds = tf.unstack(tf.random.split((0, seed), 2), num=2)
        xx, xy, x0, yx, yy, y0, *_ = random_affine(
            label.shape, seeds[0], config
        ).numpy()
        places = [
            yx * columns + yy * rows + y0 + pad,
            xx * columns + xy * rows + x0 + pad,
        ]
        expected = np.stack(
            [
                map_coordinates(np.float64(padded[..., c]), places, order=1)
                for c in range(3)
            ],
            -1,
        )
        # Places of up to 200 pixels in float32, 2e-5, between levels that
        # differ by 255.
        np.testing.assert_allclose(x, expected, atol=0.05)
        # Bytes are rounded to whole levels.
        x, y = config(image, label, (0, seed))
        np.testing.assert_allclose(x, expected, atol=0.55)
        # The label ends where the picture does, as without a reflection.
        plain, same = still(size, **changes)(image, label, (0, seed))
        np.testing.assert_array_equal(y, same)
        inside = y.numpy() != IGNORE_LABEL
        assert 0.02 < inside.mean() < 0.3
        differs = np.abs(x - plain).max(-1) > 0
        assert np.mean(differs[~inside]) > 0.95
        assert np.mean(differs[inside]) < 0.25  # of its outermost pixels


def test_every_change_is_a_function_of_the_seed():
    image, label = coordinates()
    config = Augmentation(
        (32, 48), sharpness=0.4, saturation=0.0, even_scale=True, reflect=True
    )
    traced = tf.function(config)
    for seed in tf.constant([(3, 1), (3, 2)], tf.int64):
        first, again = traced(image, label, seed), traced(image, label, seed)
        other = traced(image, label, seed + 5)
        for one, same, another in zip(first, again, other, strict=True):
            np.testing.assert_array_equal(one, same)
            assert np.any(one != another)


def batches_of(split, size=(8, 8), replicas=1, steps=6, seed=1, **changes):
    dataset = training_batches(
        split, Augmentation(size), 4, replicas, steps, seed, **changes
    )
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def assert_same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        for array, other_array in zip(batch, other, strict=True):
            np.testing.assert_array_equal(array, other_array)


def test_pipeline_is_a_function_of_the_step():
    whole = batches_of(Shades(range(5)))
    assert len(whole) == 6
    assert_same(whole[4:], batches_of(Shades(range(5)), start_step=4))
    other = batches_of(Shades(range(5)), seed=2)
    assert not np.array_equal(whole[0][0], other[0][0])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_replicas_and_pipelines_share_the_same_global_batch(parts, mixed):
    mix = (lambda x, y, seed: (x + x[::-1], y)) if mixed else None
    split = Shades(range(5))
    whole = batches_of(split, mix=mix)
    streams = [
        batches_of(split, replicas=2, pipeline=(part, parts), mix=mix)
        for part in range(parts)
    ]
    # Two replicas in turn of one pipeline, or one of each of two.
    halves = [half for step in zip(*streams, strict=True) for half in step]
    assert len(halves) == 12
    joined = [
        tuple(map(np.concatenate, zip(halves[i], halves[i + 1], strict=True)))
        for i in range(0, 12, 2)
    ]
    assert_same(whole, joined)


def test_shares_that_do_not_fit_are_refused():
    split = Shades(range(5))
    with pytest.raises(ValueError, match="multiple of 3 .3 replicas"):
        batches_of(split, replicas=3)
    with pytest.raises(ValueError, match="multiple of 8 .4 replicas, in pairs"):
        batches_of(split, replicas=4, mix=lambda x, y, seed: (x, y))
    with pytest.raises(ValueError, match="1 replicas for pipeline 0 of 2"):
        batches_of(split, pipeline=(0, 2))
    with pytest.raises(ValueError, match="no picture to train on"):
        batches_of(Shades())


def test_every_epoch_shows_every_picture_once():
    batches = training_batches(
        Shades(range(12)), still((8, 8)), 4, 1, 6, seed=0
    )
    shown = np.concatenate([y[:, 0, 0].numpy() for _, y in batches])
    assert sorted(shown[:12]) == sorted(shown[12:]) == list(range(12))
    assert shown[:12].tolist() != shown[12:].tolist()


def test_a_single_picture_is_a_dataset():
    ((x, y),) = batches_of(Shades([7]), steps=1)
    assert x.shape == (4, 8, 8, 3) and set(np.unique(y)) <= {7, 255}


def test_names_are_those_of_the_batch():
    split = Shades(range(12))
    batches = training_batches(split, still((8, 8)), 4, 1, 6, seed=3)
    for step, (_, y) in enumerate(batches):
        shown = [f"shade {i}" for i in y[:, 0, 0].numpy()]
        assert batch_names(split, 4, step, seed=3) == shown


def test_a_fault_in_the_middle_of_training_is_named():
    class Faulty(Shades):
        def __getitem__(self, index):
            if index == 29:  # not among those that tell the size of all
                raise ValueError("b.png cannot be decoded: it is short.")
            return super().__getitem__(index)

    with pytest.raises(tf.errors.OpError) as error:
        batches_of(Faulty(range(30)), steps=8)
    message = plain_message(error.value)
    quoting = ValueError("a.npz is damaged (ValueError: pickled).")
    assert plain_message(quoting) == str(quoting)
    assert message == "b.png cannot be decoded: it is short."


def test_pictures_are_decoded_once_where_memory_allows():
    class Counting(Shades):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    size = 10 * (8 * 8 * 3 + 8 * 8)
    split = Counting(range(10))
    assert remember(split, limit=size - 1) is split
    remembered = remember(split, limit=size)
    assert isinstance(remembered, RememberedSplit)
    assert remember(remembered) is remembered
    split.reads = 0
    for _ in range(3):
        assert [e.name for e in map(remembered.__getitem__, range(10))] == [
            f"shade {index}" for index in range(10)
        ]
    assert split.reads == 10


def test_memory_is_what_a_container_may_take(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(pipeline, "_CONTAINER_LIMITS", (limit,))
    machine = pipeline.free_memory()
    assert machine > 0
    limit.write_text("max\n")
    # Others come and go meanwhile.
    assert pipeline.free_memory() == pytest.approx(machine, rel=0.5)
    limit.write_text("1000\n")
    assert pipeline.free_memory() < 1000
    split = Shades(range(10))
    assert remember(split) is split


# === Pictures by class ===


def test_classes_are_drawn_by_their_frequency():
    random = np.random.default_rng(0)
    counts = random.integers(0, 2, (40, 4)) * [1000, 100, 10, 0]
    draw = ClassDraw(counts, power=0.5)
    seeds = tf.constant([(3, index) for index in range(4000)], tf.int64)
    drawn = tf.data.Dataset.from_tensor_slices(seeds).map(draw).batch(4000)
    pictures, classes = map(np.array, next(iter(drawn)))
    assert (counts[pictures, classes] > 0).all()
    weights = (counts.sum(0)[:3] / counts.sum()) ** -0.5
    shares = np.bincount(classes) / len(classes)
    # Four standard deviations of 4,000 draws are at most 0.032.
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.032)
    for index in range(3):
        seen = np.bincount(pictures[classes == index], minlength=40)
        held = seen[counts[:, index] > 0]
        assert held.min() > 0.3 * held.mean() and held.max() < 2 * held.mean()


def test_drawn_pictures_are_a_function_of_the_step():
    labels = np.zeros((9, 40, 40), np.uint8)
    labels[4, 30:33, 5:8] = 1
    split = [
        Example(np.full((40, 40, 3), i, np.uint8), label, str(i))
        for i, label in enumerate(labels)
    ]
    draw = ClassDraw(np.array([[np.sum(x == 0), np.sum(x)] for x in labels]), 1)
    augment = still((16, 16))
    make = lambda start: [
        (x.numpy(), y.numpy())
        for x, y in training_batches(
            split, augment, 4, 1, 6, seed=5, start_step=start, draw=draw
        )
    ]
    whole, later = make(0), make(3)
    for (x, y), (again, label) in zip(whole[3:], later, strict=True):
        assert (x == again).all() and (y == label).all()
    for step, (x, _) in enumerate(whole):
        assert batch_names(split, 4, step, 5, draw) == [
            str(round(float(image.max()))) for image in x
        ]
    # Half of them are about the one patch; the class is in each such crop.
    of_4 = [y for x, labels in whole for y in labels if (y == 1).any()]
    fours = [x for images, _ in whole for x in images if x.max() > 3.5]
    assert len(of_4) >= 6 and len(fours) >= len(of_4)


def test_a_crop_is_about_its_class():
    label = np.zeros((90, 120), np.uint8)
    label[44, 60] = label[3, 2] = 7
    image = np.zeros((90, 120, 3), np.uint8)
    crop = still((32, 40), flip=True)
    about = tf.function(lambda seed: crop(image, label, seed, 7)[1])
    found = [about(tf.constant((1, i), tf.int64)).numpy() for i in range(40)]
    assert all((y == 7).any() and (y != IGNORE_LABEL).all() for y in found)
    places = {tuple(np.argwhere(y == 7)[0]) for y in found}
    # Near the corner the crop has one place; else the class is anywhere in it.
    assert len(places) > 12
    # A label without the class gives any crop.
    _, other = crop(image, label, (1, 1), 3)
    assert other.shape == (32, 40)
