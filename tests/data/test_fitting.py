"""Pictures of any size, and the size that a network works at."""

import numpy as np
import pytest
from PIL import Image

from dla_keras.data.boundaries import CERTAIN
from dla_keras.data.boundaries import BoundaryExample
from dla_keras.data.boundaries import resize_boundaries
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import WorkingSplit
from dla_keras.data.fitting import at_working_size
from dla_keras.data.fitting import central_crop
from dla_keras.data.fitting import default_max_side
from dla_keras.data.fitting import fit_of
from dla_keras.data.fitting import longest_side
from dla_keras.data.fitting import read_fit
from dla_keras.data.fitting import resize_label
from dla_keras.data.segmentation import Example
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.predictor import size_for

# Rule, picture, room -> height and width in the network. The page and the app
# have the same table in their tests.
CONTENTS = (
    (PAD, (3008, 4000), None, (3008, 4000)),
    (PAD, (360, 480), (384, 480), (360, 480)),
    (PAD, (360, 481), (384, 480), (384, 480)),
    (fit_of(1024), (3008, 4000), None, (770, 1024)),
    (fit_of(1024), (4000, 3008), None, (1024, 770)),
    (fit_of(1024), (600, 800), None, (600, 800)),
    (fit_of(1024), (3008, 4000), (800, 1024), (770, 1024)),
    (fit_of(1024), (4000, 3008), (800, 1024), (800, 602)),
    (fit_of(1024), (10, 4000), None, (3, 1024)),
    (fit_of(1024), (1, 4000), None, (1, 1024)),
    # A half is rounded up, where Python's own would go to the even one.
    (fit_of(64), (5, 128), None, (3, 64)),
    (fit_of(64), (1, 128), None, (1, 64)),
    # The working size fits: padding it to 32 takes nothing from the picture.
    (fit_of(1000), (3001, 4000), (768, 1024), (750, 1000)),
    (Fit("letterbox"), (360, 480), (192, 192), (144, 192)),
    (fit_of((384, 512)), (3008, 4000), None, (384, 512)),
    (Fit("stretch"), (30, 40), (384, 512), (384, 512)),
)


@pytest.mark.parametrize(("fit", "size", "room", "expected"), CONTENTS)
def test_the_size_of_a_picture_in_the_network(fit, size, room, expected):
    assert fit.content(*size, room) == expected


@pytest.mark.parametrize("fit", [PAD, fit_of(1024), Fit("letterbox")])
def test_a_picture_always_fits_and_keeps_its_shape(fit):
    rng = np.random.default_rng(0)
    for sides in rng.integers(1, 5000, (500, 4)).tolist():
        size, room = sides[:2], tuple(sides[2:])
        found = fit.content(*size, room)
        assert 1 <= found[0] <= room[0] and 1 <= found[1] <= room[1]
        if fit != PAD and min(found) > 1:
            # One zoom, rounded on either side.
            low, high = (
                [(n + half) / side for n, side in zip(found, size, strict=True)]
                for half in (-0.5, 0.5)
            )
            assert max(low) <= min(high)


def test_rules_are_read_from_facts_as_they_are_written():
    for fit in (PAD, fit_of(1024), Fit("stretch")):
        assert read_fit({"height": 32, **fit.facts}) == fit
    assert read_fit({"pad_color": [1, 2, 3]}) == PAD  # of earlier versions
    with pytest.raises(ValueError, match="Received: 'crop'; update dla_keras"):
        read_fit({"fit": "crop"})
    with pytest.raises(ValueError, match="height and width. Received: 'big'"):
        fit_of("big")


@pytest.mark.parametrize("side", [100, 257, 1024])
def test_labels_stay_within_half_a_pixel_of_their_pictures(side):
    """A ramp is its own coordinate: label and picture must name the same."""
    width, fit = 4000, fit_of(side)
    ramp = np.arange(width)
    # The coordinate, in three channels of eight bits each for the picture.
    picture = np.zeros((8, width, 3), np.uint8)
    picture[:] = np.minimum(255, ramp[None, :, None] // 16)
    size = fit.content(8, width)
    shrunk = fit.resize(picture)[0, :, 0].astype(float)
    found = resize_label((ramp // 16).astype(np.uint8)[None], 1, size[1])[0]
    # Where the label's pixel lies in the picture, from its index.
    step = width / size[1]
    exact = np.trunc((np.arange(size[1]) + 0.5) * step)
    assert np.abs(found - exact // 16).max() <= 1e-9
    middles = (np.arange(size[1]) + 0.5) * step
    assert np.abs(exact + 0.5 - middles).max() <= 0.5
    # And the picture's grey there: a step is 16 pixels, so half a pixel of
    # the result is `step / 32` of grey, and rounding half of one more.
    inside = slice(2, -2)  # at the ends the average is of one side
    grey = (middles - 8) / 16
    assert np.abs(shrunk - grey)[inside].max() <= step / 32 + 1


def examples(*sizes):
    rng = np.random.default_rng(1)
    for height, width in sizes:
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        label = rng.integers(0, 3, (height, width)).astype(np.uint8)
        yield Example(image, label, "x")


class Split(list):
    info = "info"


def test_training_and_prediction_see_the_same_pixels():
    split = Split(examples((90, 130), (130, 90), (20, 30)))
    fit, seen = fit_of(64), []

    def run(image):
        seen.append(image)
        return image[..., 0]

    predict = Predictor(run, fit=fit)
    trained = at_working_size(split, fit)
    assert trained.info == "info" and len(trained) == 3
    for example, own in zip(trained, split, strict=True):
        height, width = example.image.shape[:2]
        mask = predict(own.image)
        assert mask.shape == own.image.shape[:2]
        np.testing.assert_array_equal(seen[-1][:height, :width], example.image)
        # Back at its own size: the nearest pixel of the small mask.
        expected = resize_label(example.image[..., 0], *mask.shape)
        np.testing.assert_array_equal(mask, expected)
        assert example.label.shape == (height, width)
    assert at_working_size(split, PAD) is split
    # A file that holds the working sizes sees the same pixels too.
    room = size_for([own.image for own in split], fit)
    assert room == (64, 64)
    for example, own in zip(trained, split, strict=True):
        fitted = fit_picture(own.image, *room, fit)
        height, width = example.image.shape[:2]
        np.testing.assert_array_equal(fitted[:height, :width], example.image)


def test_pad_is_what_it_was():
    (large,) = examples((40, 100))
    shrunk = Image.fromarray(large.image).resize((64, 32), Image.BILINEAR)
    np.testing.assert_array_equal(fit_picture(large.image, 32, 64), shrunk)
    padded = fit_picture(large.image, 64, 128)
    np.testing.assert_array_equal(padded[:40, :100], large.image)
    assert (padded[40:] == (124, 116, 104)).all()


def drawn(height, width):
    """Draw a slanted line, half of it by few, beside an ignored corner."""
    label = np.zeros((height, width), np.uint8)
    label[:30, -30:] = IGNORE_LABEL
    for y in range(height):
        label[y, y * width // height] = CERTAIN if y % 2 else 100
    image = np.zeros((height, width, 3), np.uint8)
    return BoundaryExample(image, label, (label == CERTAIN,), "x")


def test_no_line_is_lost_at_a_working_size():
    small = resize_boundaries(drawn(300, 400), 30, 40)
    assert small.image.shape == (30, 40, 3) and small.label.shape == (30, 40)
    assert small.label.dtype == np.uint8
    assert small.annotations[0].dtype == bool
    # Nearest neighbors would keep one pixel of ten; every row has the line.
    assert (small.label == CERTAIN).any(1).all()
    assert small.annotations[0].any(1).all()
    assert small.annotations[0].sum() <= 2 * 40
    assert (small.label[:3, -3:] == IGNORE_LABEL).all()
    assert (small.label == IGNORE_LABEL).sum() == 9
    # Larger: nothing is lost between the lines' pixels.
    large = resize_boundaries(drawn(300, 400), 600, 800)
    assert large.annotations[0].sum() == 4 * 150


def test_lines_are_where_they_were():
    label = np.zeros((3, 1000), np.uint8)
    label[:, 437] = 254
    image = np.zeros((3, 1000, 3), np.uint8)
    example = BoundaryExample(image, label, (label > 0,), "x")
    for width in (100, 333, 999):
        (found,) = np.nonzero(resize_boundaries(example, 3, width).label[0])
        assert abs((found[0] + 0.5) * 1000 / width - 437.5) <= 500 / width + 0.5


def test_large_pictures_get_a_working_size():
    assert default_max_side(4000, (192, 256)) == 512
    assert default_max_side(4000, (512, 800)) == 1600
    assert default_max_side(2100, (1024, 1024)) == 2048
    assert default_max_side(2050, (1088, 1088)) is None
    assert default_max_side(2048, (192, 256)) is None


def test_the_longest_side_is_read_from_headers(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, size in zip(paths, ((30, 20), (10, 41), (9, 9)), strict=True):
        Image.new("RGB", size).save(path)
    split = Split()
    split.pairs = [(path, None) for path in paths]
    assert longest_side([split, Split()]) == 41
    assert longest_side([Split()]) is None


def test_a_split_is_resized_when_it_is_read():
    reads = []

    class Counted(Split):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    split = WorkingSplit(Counted(examples((90, 130))), fit_of(64))
    assert len(split) == 1 and not reads
    assert split[0].image.shape == (44, 64, 3)
    assert reads == [0]


def test_a_resized_split_is_still_a_drawn_one():
    drawn = Split(examples((90, 130)))
    assert WorkingSplit(drawn, fit_of(64)).drawn == ()
    drawn.drawn = ("images/a.png",)
    assert at_working_size(drawn, fit_of(64)).drawn == drawn.drawn


def coordinates(height, width):
    """Return an image whose pixels tell where they come from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)


def test_central_crop_is_the_middle():
    # 60 x 120 halved to 30 x 60; the middle 24 x 24 begins at (3, 18).
    image = coordinates(60, 120)
    crop = central_crop(image, (24, 24), crop_fraction=0.8)
    y, x = np.mgrid[3:27, 18:42]
    expected = np.stack([2 * y + 0.5, 2 * x + 0.5], -1)
    # Rounding of .5 either way, in each of two passes.
    np.testing.assert_allclose(crop[..., :2], expected, atol=1.0)
    assert central_crop(image, (24, 48), 1.0).shape == (24, 48, 3)
    whole = central_crop(coordinates(20, 20), (20, 20), 1.0)
    np.testing.assert_array_equal(whole, coordinates(20, 20))
