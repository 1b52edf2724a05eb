"""One reader of labels: ids in any form, by value, by color, by palette."""

import io
import time

import numpy as np
import pytest
from odd_pictures import damaged
from odd_pictures import exif
from odd_pictures import png
from PIL import Image

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.labels import read_label
from dla_keras.data.labels import stored_counts

NAMES = ("ground", "square", "disc")
COLORS = ((128, 64, 128), (0, 0, 142), (220, 20, 60))
IDS = np.array([[0, 1, 2, 2], [0, 0, 1, 255]], np.uint8)
PAINTED = np.array([*COLORS, *[(0, 0, 0)] * 253], np.uint8)[IDS]


def info(**coding):
    return DatasetInfo("set", NAMES, COLORS, **coding)


def stored(array, format="PNG", **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file


def paletted(ids, colors):
    image = Image.fromarray(ids)
    image.putpalette([*np.ravel(colors), *[0] * (768 - 3 * len(colors))])
    return image


def bits(ids, depth):
    """Return a grey PNG of few bits, which Pillow reads but does not write."""
    rows = b""
    for row in ids:
        number = 0
        for value in row:
            number = number << depth | int(value)
        rows += b"\0" + number.to_bytes(len(row) * depth // 8, "big")
    return io.BytesIO(png(ids.shape[::-1], depth, 0, rows))


def read(file, facts=None):
    return read_label(file, facts or info(), "a label").tolist()


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_ids_of_any_number_of_bits(dtype):
    format = "PNG" if dtype in ("u1", "u2") else "TIFF"
    assert read(stored(IDS.astype(dtype), format)) == IDS.tolist()
    if dtype == "u1":
        assert read(stored(IDS, "TIFF")) == IDS.tolist()
        assert read(stored(IDS, "GIF")) == IDS.tolist()
        assert read(stored(IDS, "WEBP", lossless=True)) == IDS.tolist()


def test_values_that_are_negative_or_wide_are_told_from_bytes():
    facts = info(label_values={-1: 0, 70000: 1, 2: 2}, ignored_ids=(-7,))
    values = np.array([[-1, 70000], [2, -7]], np.int32)
    assert read(stored(values, "TIFF"), facts) == [[0, 1], [2, 255]]
    for wide in (256, 257, -1):  # in a byte: 0, 1, 255
        values[0, 0] = wide
        with pytest.raises(ValueError, match=rf"ids \[{wide}\] in a label"):
            read(stored(np.full((2, 2), wide, np.int32), "TIFF"))
    with pytest.raises(ValueError, match="whole numbers. Received: a label"):
        read(stored(np.full((2, 2), 0.5, np.float32), "TIFF"))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_holds_ids_not_brightness(depth):
    ids = np.tile(np.minimum(np.arange(8), min(2, 2**depth - 1)), (2, 1))
    assert read(bits(ids, depth)) == ids.tolist()
    # Unless the dataset's values are what a viewer shows.
    full = 2**depth - 1
    values = {0: 0, 255 // full: 1, 510 // full: 2}
    values = {v: c for v, c in values.items() if v <= 255}
    assert read(bits(ids, depth), info(label_values=values)) == ids.tolist()


def test_a_pgm_of_fewer_levels_holds_ids():
    file = io.BytesIO(b"P5 4 2 18\n" + bytes([0, 1, 2, 2, 0, 0, 1, 1]))
    assert read(file) == [[0, 1, 2, 2], [0, 0, 1, 1]]


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_in_equal_channels_holds_ids(channels):
    equal = np.stack([IDS] * channels, -1)
    assert read(stored(equal)) == IDS.tolist()
    opaque = np.dstack([IDS, IDS, IDS, np.full_like(IDS, 255)])
    assert read(stored(opaque)) == IDS.tolist()


def test_ids_that_count_from_one_are_told_the_cure():
    with pytest.raises(ValueError, match='{"1": 0, ...} if ids count from 1'):
        read(stored(IDS[:1] + 1))
    with pytest.raises(ValueError, match="a value stands for.$"):
        read(stored(IDS[:1] + 7))


def test_two_meanings_of_a_pixel_are_refused():
    clear = np.dstack([IDS, IDS, IDS, np.full_like(IDS, 9)])
    with pytest.raises(ValueError, match="a label with transparent pixels"):
        read(stored(clear))


@pytest.mark.parametrize(
    ("values", "ignored", "expected"),
    [
        ({0: 0, 255: 1}, (), [[0, 1], [1, 0]]),
        # Several values are one class; several are ignored.
        ({7: 0, 255: 1, 0: 0}, (), [[0, 1], [1, 0]]),
        ({255: 2}, (0, 9), [[255, 2], [2, 255]]),
    ],
)
def test_values_stand_for_classes_by_a_table(values, ignored, expected):
    facts = info(label_values=values, ignored_ids=ignored)
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    assert read(stored(mask), facts) == expected
    # One bit, and a palette as optimizers of PNGs make it of the same.
    assert read(stored(Image.fromarray(mask).convert("1")), facts) == expected
    optimized = paletted(mask // 255, [(0, 0, 0), (255, 255, 255)])
    assert read(stored(optimized), facts) == expected


def test_255_is_ignored_unless_it_is_a_class():
    mask = np.array([[0, 255], [255, 2]], np.uint8)
    assert read(stored(mask)) == [[0, 255], [255, 2]]
    facts = info(label_values={0: 1, 2: 2})
    assert read(stored(mask), facts) == [[1, 255], [255, 2]]
    optimized = paletted(np.searchsorted([0, 2, 255], mask).astype("u1"), [])
    optimized.putpalette([0, 0, 0, 2, 2, 2, 255, 255, 255])
    assert read(stored(optimized), facts) == [[1, 255], [255, 2]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colors_stand_for_classes(mode):
    by_color = info(
        label_colors={color: index for index, color in enumerate(COLORS)},
        ignored_colors=((0, 0, 0), (1, 2, 3)),
    )
    painted = Image.fromarray(PAINTED)
    painted = painted.quantize(8) if mode == "P" else painted.convert(mode)
    assert read(stored(painted), by_color) == IDS.tolist()
    assert read(stored(painted, "TIFF"), by_color) == IDS.tolist()
    # Without a table, the colors of the dataset itself are known.
    classes = PAINTED[:1]
    assert read(stored(classes)) == IDS[:1].tolist()
    with pytest.raises(ValueError, match="colors:? #000000. Say with label_"):
        read(stored(painted))


def test_several_colors_are_one_class_and_foreign_ones_are_named():
    facts = info(label_colors={COLORS[0]: 0, COLORS[1]: 1, COLORS[2]: 1})
    assert read(stored(PAINTED[:1]), facts) == [[0, 1, 1, 1]]
    with pytest.raises(ValueError, match="#804080, .* Received: #000000 in a"):
        read(stored(PAINTED), facts)
    random = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="4096 colors, as a picture does"):
        read(stored(random), facts)
    many = np.arange(1 << 17, dtype=np.int32).reshape(256, 512)
    colors = np.stack([many & 255, many >> 8 & 255, many >> 16], -1)
    for deep in (stored(many, "TIFF"), stored(colors.astype(np.uint8))):
        with pytest.raises(ValueError, match="a label with 131072 of them"):
            read(deep, facts)


def test_grey_colors_are_colors_in_one_channel_too():
    facts = info(label_colors={(1, 1, 1): 0, (2, 2, 2): 1, (9, 9, 9): 2})
    grey = np.array([[1, 2, 9]], np.uint8)
    for form in (grey, np.stack([grey] * 3, -1)):
        assert read(stored(form), facts) == [[0, 1, 2]]


def test_colors_above_a_byte_are_not_cut():
    file = io.BytesIO(png((1, 1), 16, 2, bytes(7)))
    with pytest.raises(ValueError, match="16 bits in one channel. .*a label"):
        read(file)


OTHER = ((9, 0, 0), (0, 99, 0), (0, 0, 9))


def test_a_palette_is_compared_with_the_datasets():
    ids = IDS[:1]
    # The dataset's own colors, a tool's colors, a ramp of grey: the number.
    for colors in (COLORS, OTHER, [(40 * i,) * 3 for i in range(3)]):
        assert read(stored(paletted(ids, colors))) == ids.tolist(), colors
    # The dataset's colors in another order.
    swapped = paletted(ids, COLORS[::-1])
    message = "value 0, shown as #dc143c, is 'ground' by its number and 'disc'"
    with pytest.raises(ValueError, match=f"a label says two things: {message}"):
        read(stored(swapped))
    # As they lie behind a background that the dataset does not have.
    shifted = paletted(ids, ((0, 0, 0), *COLORS))
    with pytest.raises(ValueError, match="'square' by its number and 'ground'"):
        read(stored(shifted))
    # The person has said what counts: numbers, or colors.
    numbers = info(label_values={0: 0, 1: 1, 2: 2})
    assert read(stored(swapped), numbers) == ids.tolist()
    colors = info(label_colors={c: i for i, c in enumerate(COLORS)})
    assert read(stored(swapped), colors) == (2 - ids).tolist()
    # One color may be the dataset's by chance.
    chance = paletted(ids, (OTHER[0], OTHER[1], COLORS[1]))
    assert read(stored(chance)) == ids.tolist()


def test_a_color_that_is_ignored_wins_over_a_number_that_is_a_class():
    void = (9, 9, 9)
    file = stored(paletted(IDS % 255, (*COLORS[:2], void)))
    found = read(file, info(ignored_colors=(void,)))
    assert found == [[0, 1, 255, 255], [0, 0, 1, 0]]


def test_numbers_of_no_class_with_the_datasets_colors_are_colors():
    file = stored(paletted(IDS[:1] + 5, [(0, 0, 0)] * 5 + [*COLORS]))
    assert read(file) == IDS[:1].tolist()


def test_a_black_and_white_dataset_says_whether_255_is_white_or_ignored():
    facts = DatasetInfo("bw", ("no", "yes"), ((0, 0, 0), (255, 255, 255)))
    mask = np.array([[0, 255]], np.uint8)
    with pytest.raises(ValueError, match="is ignored by its number and 'yes'"):
        read(stored(mask), facts)
    with pytest.raises(ValueError, match="value 1, shown as #030303"):
        read(stored(paletted(mask // 255, [(0,) * 3, (3,) * 3])), brightness())


def brightness():
    """Return facts of a dataset in which 0, 1 and 3 are classes."""
    return info(label_values={0: 0, 1: 1, 3: 2})


@pytest.mark.parametrize(
    ("format", "options", "said"),
    [
        ("JPEG", {"quality": 100}, "JPEG"),
        ("WEBP", {"quality": 90}, "WebP"),
        ("AVIF", {}, "AVIF"),
        ("JPEG2000", {}, "JPEG 2000"),
        ("TIFF", {"compression": "jpeg"}, "JPEG"),
    ],
)
def test_formats_that_change_values_are_refused(format, options, said):
    label = np.kron(IDS[:, :3], np.ones((16, 16), np.uint8))
    with pytest.raises(ValueError, match=f"^{said} blurs ids.*Received: a lab"):
        read(stored(label, format, **options))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "I;16"])
def test_a_label_is_turned_as_its_picture_is(mode):
    ids = IDS[:, :3].copy()
    array = {
        "L": ids,
        "P": paletted(ids, OTHER),
        "RGB": PAINTED[:, :3].copy(),
        "I;16": ids.astype("u2"),
    }[mode]
    turned = np.rot90(ids, -1).tolist()
    assert read(stored(array, exif=exif(6))) == turned


def test_damaged_labels_raise_value_errors_only(monkeypatch):
    monkeypatch.setenv("DLA_KERAS_MAX_PIXELS", "1000000")
    label = np.kron(IDS, np.ones((8, 8), np.uint8))
    files = [
        stored(label),
        stored(label, "TIFF"),
        stored(label.astype("f4"), "TIFF"),
        stored(label, "BMP"),
        stored(label, "GIF"),
        stored(label, "PPM"),
        stored(np.stack([label] * 4, -1), "WEBP", lossless=True),
        stored(paletted(label, COLORS)),
    ]
    for file in files:
        for data in damaged(file.getvalue(), 80):
            try:
                found = read_label(io.BytesIO(data), info(), "a label")
                assert found.dtype == np.uint8 and found.ndim == 2
            except ValueError as error:
                assert "a label" in str(error) and "\n" not in str(error)


def test_twelve_megapixels_of_colors_take_a_fraction_of_a_second():
    facts = DATASETS["bdd100k"]
    small = np.random.default_rng(0).integers(0, 19, (75, 100))
    ids = np.kron(small, np.ones((40, 40), int)).astype(np.uint8)
    file = stored(np.array(facts.palette, np.uint8)[ids], "BMP")
    start = time.process_time()
    found = read_label(file, facts, "a label")
    assert time.process_time() - start < 0.8  # 0.2 s of one core
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "RGB", "RGBA"])
def test_pixels_of_each_value_are_counted(tmp_path, mode):
    grey = Image.fromarray(np.array([[0, 255, 255], [0, 255, 255]], np.uint8))
    grey.convert(mode).save(tmp_path / "label.png")
    counts = stored_counts(tmp_path / "label.png")
    assert [*counts.values()] == [2, 4]
