"""Scales, mirror and tiles, each against the whole picture or arithmetic."""

import argparse
import tracemalloc

import keras
import numpy as np
import pytest
from files import convert

import dla_keras
from dla_keras.commands.flags import add_inference_flags
from dla_keras.commands.flags import read_views
from dla_keras.inference.model_files import ModelFile
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.predictor import model_probabilities
from dla_keras.inference.predictor import most_likely
from dla_keras.inference.views import averaged
from dla_keras.inference.views import parse_scales
from dla_keras.inference.views import probability_pieces
from dla_keras.inference.views import spans
from dla_keras.inference.views import tiled
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.tasks.segmentation import file_finder

pytestmark = pytest.mark.usefixtures("small_networks")

# How far DLA-46-C-Up looks to each side, in pixels, as far as float32 tells:
# one changed column of a picture moved outputs up to 218 pixels away.
REACH = 224


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = dla_keras.DLASegmenter("dla46_c", num_classes=5)
    # Logits of about 1: untrained, they are of 1000, and softmax is 0 or 1.
    model.fc.kernel.assign(model.fc.kernel / 1000)
    return model


def draw(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8)


def joined(probabilities, image, tile, overlap):
    """Join the pieces, and check that each pixel comes once."""
    classes = probabilities(image[:32, :32]).shape[-1]
    whole = np.full((*image.shape[:2], classes), np.nan, np.float32)
    for top, left, piece in probability_pieces(
        probabilities, image, tile, overlap
    ):
        place = whole[top : top + len(piece), left : left + piece.shape[1]]
        assert place.shape == piece.shape and np.isnan(place).all()
        place[:] = piece
    return whole


@pytest.mark.parametrize("overlap", [0, 32, 64, 128])
def test_spans_cover_a_side_and_share_half_the_overlap(overlap):
    tile = 256
    for length in range(1, 2000, 7):
        laid = spans(length, tile, overlap)
        assert laid[0].first == laid[0].start == 0
        assert laid[-1].last == laid[-1].stop == length
        for span in laid:
            assert span.start % 32 == 0 and span.stop - span.start <= tile
        for left, right in zip(laid, laid[1:], strict=False):
            assert left.last - right.first == overlap // 2
            assert left.stop - left.last >= overlap // 4
            assert right.first - right.start >= overlap // 4
        for left, right in zip(laid, laid[2:], strict=False):
            assert left.last <= right.first  # never three at once
        # No more tiles than needed.
        assert (len(laid) - 1) * (tile - overlap) < max(
            length + 31 - overlap, 1
        )


def blurred(image):
    """Return scores that look 8 pixels far, by the place modulo 32."""
    padded = np.pad(image[..., 0].astype(np.float32), 8)
    height, width = image.shape[:2]
    total = sum(
        padded[y : y + height, x : x + width] * (y - 2 * x + 40)
        for y in (0, 5, 16)
        for x in (0, 9, 16)
    )
    phase = np.add.outer(np.arange(height) % 32, np.arange(width) % 32 * 3)
    return np.stack([total * phase, total - phase], -1).astype(np.float32)


@pytest.mark.parametrize("size", [(200, 300), (64, 500), (129, 95), (30, 40)])
def test_tiles_equal_the_whole_where_the_overlap_is_four_reaches(size):
    image = draw(*size)
    whole = blurred(image)
    found = joined(blurred, image, (96, 128), 32)
    # Nothing differs but the rounding of `old + share * (new - old)`.
    np.testing.assert_allclose(found, whole, rtol=1e-6, atol=1e-2)
    mask = tiled(blurred, (96, 128), 32)(image)
    assert mask.dtype == np.uint8 and mask.shape == size
    assert (mask == whole.argmax(-1)).mean() > 0.999


def test_tiles_of_a_network_equal_the_whole(model):
    scores = model_probabilities(model)
    image = draw(32, 2688)  # two tiles, however large the overlap
    whole = scores(image)
    # Four reaches: everywhere. Measured 1e-6, which is rounding.
    found = joined(scores, image, (1792, 1792), 4 * REACH)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    # Less: further than a reach from the edges that were cut.
    found = joined(scores, image, (1408, 1408), 128)
    away = np.ones(2688, bool)
    away[1280 - REACH : 1408 + REACH] = False
    np.testing.assert_allclose(found[:, away], whole[:, away], atol=1e-5)
    assert np.abs(found - whole).max() > 1e-4  # or the test shows nothing


def test_tiles_fade_without_a_seam():
    """Two tiles that disagree by 1 meet in steps that grow and shrink."""
    image = np.zeros((128, 192, 3), np.uint8)
    image[:, 64:] = 1  # where the second tile starts
    seen = lambda tile: np.full((*tile.shape[:2], 1), tile[0, 0, 0], np.float32)
    row = joined(seen, image, (128, 128), 64)[0, :, 0]
    steps = np.diff(row)
    assert row[0] == 0 and row[-1] == 1 and (steps >= 0).all()
    # Over 32 pixels, 1.5 / 32 in the middle, where a straight line has 1 / 32.
    assert 1.4 / 32 < steps.max() < 1.6 / 32
    np.testing.assert_allclose(row + row[::-1], 1, atol=1e-6)  # even-handed
    assert set(joined(seen, image, (128, 128), 0)[0, :, 0]) == {0, 1}


def test_memory_does_not_grow_with_height():
    """numpy tells tracemalloc of each array."""
    probabilities = lambda tile: np.zeros((*tile.shape[:2], 19), np.float32)
    predict = tiled(probabilities, (128, 128), 32)
    peaks = []
    for height in (512, 8192):
        image = np.zeros((height, 512, 3), np.uint8)
        tracemalloc.start()
        mask = predict(image)
        peaks.append(tracemalloc.get_traced_memory()[1] - mask.nbytes)
        tracemalloc.stop()
    tile = 128 * 128 * 19 * 4
    strip = 16 * 512 * 19 * 4
    assert peaks[1] < 1.05 * peaks[0]  # 16 times the height
    assert peaks[0] < 4 * tile + strip


def test_scales_and_mirror_are_averaged():
    # Height of the view, and whether its first column is the brighter one.
    def seen(view):
        facts = len(view), view[0, 0, 0] > view[0, -1, 0]
        return np.full((*view.shape[:2], 2), facts, np.float32)

    image = np.zeros((40, 50, 3), np.uint8)
    image[:, :10] = 200
    scores = averaged(seen, (0.5, 1, 1.26), flip=True)(image)
    assert scores.shape == (40, 50, 2)
    # Resizing a constant is exact but for rounding.
    expected = [(20 + 40 + 50) / 3, 0.5]
    np.testing.assert_allclose(scores, np.broadcast_to(expected, scores.shape))
    np.testing.assert_array_equal(averaged(seen)(image), seen(image))


def test_mirror_and_scales_of_a_network(model):
    probabilities = model_probabilities(model)
    image = draw(64, 96)
    both = averaged(probabilities, (1.0,), flip=True)
    # By definition, and the same for the mirror image.
    expected = probabilities(image) + probabilities(image[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(both(image), expected / 2, atol=1e-6)
    np.testing.assert_allclose(
        both(image[:, ::-1])[:, ::-1], both(image), atol=1e-6
    )
    # Twice as large by Keras' own resize, which pads nothing here.
    large = keras.ops.image.resize(
        image.astype(np.float32), (128, 192), "bilinear"
    )
    logits = model(np.asarray(large).round()[None])
    shares = keras.ops.softmax(logits)
    expected = keras.ops.image.resize(
        shares, (64, 96), "bilinear", antialias=True
    )[0]
    found = averaged(probabilities, (2.0,))(image)
    # Pillow rounds pixels in another order than Keras: one level of 255 in
    # few of them. A picture at another size, or a shift, is off by 0.1.
    assert np.abs(found - np.asarray(expected)).mean() < 1e-3
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_model_files_give_masks_and_probabilities(model, tmp_path):
    image = draw(50, 90)
    model.save(tmp_path / "m.keras")
    write_saved_model(model, tmp_path / "saved", (64, 96))
    lite = convert(model, (64, 96), head="logits")
    (tmp_path / "m.tflite").write_bytes(lite)
    expected = model_probabilities(model)(image)
    for name in ("m.keras", "saved", "m.tflite"):
        opened = open_model(tmp_path / name)
        found = opened.probabilities(image)
        assert found.shape == (50, 90, 5)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(opened.masks(image), found.argmax(-1))
    np.testing.assert_array_equal(
        model_predictor(model)(image), most_likely(lambda i: expected)(image)
    )


def arguments(text):
    parser = argparse.ArgumentParser()
    add_inference_flags(parser)
    return parser.parse_args(text.split())


def find(text, size=None, with_probabilities=True):
    """Return a finder as flags ask; the likeliest class is the brightest."""
    shares = Predictor(lambda image: np.float32(image), size)
    opened = ModelFile(
        "m.keras",
        ("segmentation",),
        size,
        masks=Predictor(lambda image: np.uint8(image.argmax(-1)), size),
        probabilities=shares if with_probabilities else None,
    )
    return file_finder(opened, read_views(arguments(text)))


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--flip",
        "--scales 0.5,1,2 --flip",
        "--tile 64x96 --overlap 32",
        "--tile 64x64 --overlap 0 --scales 0.5,1 --flip",
    ],
)
def test_flags_compose(flags):
    image = np.zeros((100, 150, 3), np.uint8)
    image[:50, :, 1] = 255
    image[50:, :, 2] = 255
    mask = find(flags)(image)
    assert mask.dtype == np.uint8 and mask.shape == (100, 150)
    assert (mask[:46] == 1).all() and (mask[54:] == 2).all()


def test_a_file_of_one_size_can_be_tiled():
    predict = find("--tile 64x96 --overlap 32 --flip", size=(64, 96))
    image = draw(100, 150) // 4 * 4
    np.testing.assert_array_equal(predict(image), image.argmax(-1))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scales 1,big", "numbers above 0"),
        ("--scales 0.5,0", "numbers above 0"),
        ("--scales=-1", "numbers above 0"),
        ("--scales nan", "numbers above 0"),
        ("--scales inf", "numbers above 0"),
        ("--scales ,", "numbers above 0"),
        ("--tile 100x128", "multiples of 32"),
        ("--tile 256x256 --overlap 40", "multiples of 32"),
        ("--tile 128x512", "at least twice the overlap.*at most 64"),
        ("--overlap 64", "pass --tile"),
    ],
)
def test_bad_flags_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        find(flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--tile 0x128", "at least 1"),
        ("--tile 256x256 --overlap=-32", "at least 0"),
        ("--tile 512", "HEIGHTxWIDTH"),
    ],
)
def test_what_no_flag_takes_is_refused_when_it_is_read(flags, message, capsys):
    with pytest.raises(SystemExit):
        find(flags)
    assert message in capsys.readouterr().err


def test_what_a_file_cannot_do_is_said():
    with pytest.raises(ValueError, match="64x96 only: leave --scales out"):
        find("--scales 0.5,1", size=(64, 96))
    with pytest.raises(ValueError, match="pass --tile 64x96"):
        find("--tile 128x128 --overlap 64", size=(64, 96))
    with pytest.raises(ValueError, match="masks only.*--head logits"):
        find("--flip", size=(64, 96), with_probabilities=False)
    find("", size=(64, 96), with_probabilities=False)  # needs none


def test_scales_are_read():
    assert parse_scales("0.5, .75,1") == (0.5, 0.75, 1.0)
