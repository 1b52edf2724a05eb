"""One reader of pictures: what viewers show, or one line with the name."""

import io
import os
import pathlib

import numpy as np
import pytest
from odd_pictures import damaged
from odd_pictures import exif
from odd_pictures import png
from PIL import Image

from dla_keras.data import pictures
from dla_keras.data.pictures import list_pictures
from dla_keras.data.pictures import open_header
from dla_keras.data.pictures import picture_size
from dla_keras.data.pictures import read_rgb
from dla_keras.data.pictures import spoken_others

ROOT = pathlib.Path(__file__).parents[2]

RAMP = np.tile(np.arange(0, 256, 5, dtype=np.uint8), (20, 1))  # (20, 52)
GREY = np.repeat(RAMP[..., None], 3, -1)
COLOR = np.stack([RAMP, RAMP[:, ::-1], RAMP // 2], -1)
DEEP = RAMP.astype(np.uint16) * 257


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "array", "mode", "expected", "tolerance"),
    [
        ("grey.png", RAMP, None, GREY, 0),
        ("deep.png", DEEP, None, GREY, 0),
        ("deep.tif", DEEP, None, GREY, 0),
        ("deep.pgm", DEEP, None, GREY, 0),
        ("rgb.TIF", COLOR, None, COLOR, 0),
        ("rgb.bmp", COLOR, None, COLOR, 0),
        ("cmyk.tif", COLOR, "CMYK", COLOR, 0),
        # These lose a little; the palette has steps of 51.
        ("grey.webp", GREY, None, GREY, 8),
        ("rgb.jfif", GREY, None, GREY, 8),
        ("rgb.avif", GREY, None, GREY, 8),
        ("rgb.jp2", GREY, None, GREY, 8),
        ("cmyk.jpg", GREY, "CMYK", GREY, 8),
        ("palette.png", GREY, "P", GREY, 51),
        ("palette.gif", GREY, "P", GREY, 51),
    ],
)
def test_pictures_are_read_as_viewers_show_them(
    tmp_path, name, array, mode, expected, tolerance
):
    format = {".jfif": "JPEG"}.get(pathlib.Path(name).suffix)
    path = save(tmp_path / name, array, mode, format=format)
    found = read_rgb(path)
    assert found.dtype == np.uint8 and found.shape == (20, 52, 3)
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    assert picture_size(path) == (20, 52)
    assert list_pictures(tmp_path) == ([path], [])
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_rgb(file, "an open file"), found)


def test_iphones_pictures_need_a_package_that_is_named(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    path = save(tmp_path / "a.HEIC", GREY, format="HEIF", quality=90)
    assert np.abs(read_rgb(path).astype(int) - GREY).max() < 12
    monkeypatch.setattr(pictures, "_formats", lambda: ("PNG", "JPEG"))
    with pytest.raises(ValueError, match=r"a.HEIC .*dla-keras\[heif\]"):
        read_rgb(path)
    # Also under the name that a phone's browser gives it.
    with pytest.raises(ValueError, match=r"a.jpg .*dla-keras\[heif\]"):
        read_rgb(path.rename(tmp_path / "a.jpg"))


def test_what_is_transparent_lies_over_white_in_every_form(tmp_path):
    clear = np.zeros_like(RAMP)
    clear[:, 26:] = 255
    expected = np.where(clear[..., None] > 0, COLOR, 255)
    path = save(tmp_path / "rgba.png", np.dstack([COLOR, clear]))
    np.testing.assert_array_equal(read_rgb(path), expected)
    path = save(tmp_path / "la.png", np.dstack([RAMP, clear]), "LA")
    grey = np.where(clear[..., None] > 0, GREY, 255)
    np.testing.assert_array_equal(read_rgb(path), grey)
    index = Image.fromarray(clear // 255)
    index.putpalette([0, 255, 0, 9, 8, 7])
    index.save(tmp_path / "p.png", transparency=0)
    found = read_rgb(tmp_path / "p.png")
    assert found[0, 0].tolist() == [255] * 3
    assert found[0, -1].tolist() == [9, 8, 7]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_and_its_size(tmp_path, suffix, orientation):
    shown = np.zeros((32, 48, 3), np.uint8)
    shown[:16, :16] = 255  # the corner tells all eight apart
    shown[:16, 16:32] = 128
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.swapaxes(0, 1),
        6: np.rot90(shown),
        7: np.rot90(shown, 2).swapaxes(0, 1),
        8: np.rot90(shown, -1),
    }[orientation]
    path = tmp_path / f"a{suffix}"
    quality = {} if suffix in (".png", ".tif") else {"quality": 90}
    save(path, np.ascontiguousarray(stored), exif=exif(orientation), **quality)
    assert picture_size(path) == (32, 48)
    found = read_rgb(path)
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of Pillow
def test_exif_turns_deep_pictures_and_a_damaged_one_hides_nothing(tmp_path):
    path = save(tmp_path / "deep.png", DEEP, exif=exif(6))
    np.testing.assert_array_equal(read_rgb(path)[..., 0], np.rot90(RAMP, -1))
    bad = b"Exif\0\0II*\0\xff\xff\xff\xff"
    path = save(tmp_path / "bad.jpg", GREY, exif=bad)
    assert read_rgb(path).shape == GREY.shape == (*picture_size(path), 3)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    path = save(tmp_path / "float.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="float.tif in Pillow's mode 'F'"):
        read_rgb(path)


def test_a_picture_has_at_most_so_many_pixels(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(png((60000, 60000), 8, 2, b""))  # 65 bytes
    bound = Image.MAX_IMAGE_PIXELS
    message = "at most 268,435,456 pixels. .*bomb.png with 60000x60000.*PIXELS"
    with pytest.raises(ValueError, match=message):
        read_rgb(path)
    monkeypatch.setenv("DLA_KERAS_MAX_PIXELS", "1000")
    small = save(tmp_path / "a.png", COLOR)
    with pytest.raises(ValueError, match="at most 1,000 pixels"):
        picture_size(small)
    monkeypatch.setenv("DLA_KERAS_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="DLA_KERAS_MAX_PIXELS.*'many'"):
        picture_size(small)
    # Pillow's own bound raises no ValueError and is a third lower.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setenv("DLA_KERAS_MAX_PIXELS", "1040")
    assert read_rgb(small).shape == COLOR.shape
    assert Image.MAX_IMAGE_PIXELS == 10 < bound


def break_pipe(folder):
    os.mkfifo(folder / "a.png")
    return "Expected a file at .*a.png. Received: a pipe"


def break_folder(folder):
    (folder / "a.png").mkdir()
    return "Expected a file at .*a.png. Received: a folder"


def break_link_loop(folder):
    (folder / "a.png").symlink_to("a.png")
    return "a.png"


def break_absent(folder):
    return "No such file.*a.png"


def break_empty(folder):
    (folder / "a.png").touch()
    return "a.png is empty"


def break_text(folder):
    (folder / "a.png").write_text("no picture")
    return r"a.png is no picture \(of AVIF, BMP, "


def break_postscript(folder):
    # Pillow would start Ghostscript on it.
    Image.new("RGB", (4, 4)).save(folder / "a.png", "EPS")
    return r"a.png is no picture \(of"


def break_truncated(folder):
    data = io.BytesIO()
    Image.fromarray(COLOR).save(data, "PNG")
    (folder / "a.png").write_bytes(data.getvalue()[:-40])
    return "a.png cannot be decoded"


FAULTS = [f for n, f in sorted(globals().items()) if n.startswith("break_")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_what_is_no_picture_is_named_on_one_line(tmp_path, fault):
    message = fault(tmp_path)
    with pytest.raises((ValueError, OSError), match=message) as raised:
        read_rgb(tmp_path / "a.png")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", sorted({*pictures.SUFFIXES} - {".heif"}))
def test_damaged_pictures_raise_value_errors_only(suffix, monkeypatch):
    monkeypatch.setenv("DLA_KERAS_MAX_PIXELS", "1000000")
    format = pictures.FORMATS[suffix]
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = Image.fromarray(GREY[:16, :16] if format != "PPM" else RAMP)
    whole = io.BytesIO()
    tags = {"exif": exif(6)} if format in ("JPEG", "PNG", "WEBP") else {}
    image.save(whole, format, **tags)
    read = 0
    for data in damaged(whole.getvalue(), 120):
        for reader in (picture_size, read_rgb):
            try:
                reader(io.BytesIO(data), "a damaged file")
                read += 1
            except ValueError as error:
                assert "a damaged file" in str(error)
    assert read  # some bytes do not matter


def test_what_is_left_out_is_counted_and_named(tmp_path):
    for name in ("b.PNG", "a.heic", "sub/c.tif", ".hidden.png", ".dir/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("notes.txt", "x.xcf", "y.xcf", "README", "out/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found, others = list_pictures(tmp_path, without=tmp_path / "out")
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["a.heic", "b.PNG", "sub/c.tif"]
    said = spoken_others(others)
    assert said == (
        "Left out, no pictures by their names: 2 .xcf, 1 without suffix, "
        "1 .txt (README, ...)."
    )
    assert spoken_others([]) == ""


def test_nobody_else_opens_pictures():
    """A second reader would turn, blend and refuse in its own way."""
    folders = ("dla_keras", "tools", "training", "export", "benchmarks")
    paths = [path for top in folders for path in (ROOT / top).rglob("*.py")]
    openers = {path.name for path in paths if "Image.open(" in code(path)}
    # The second measures how fast the authors' code opens them.
    assert openers == {"pictures.py", "input_pipeline.py"}


def code(path):
    """Return a file without its examples."""
    lines = path.read_text().splitlines()
    return "\n".join(x for x in lines if not x.lstrip().startswith(">>>"))


def test_headers_are_not_decoded(tmp_path):
    data = io.BytesIO()
    Image.fromarray(COLOR).save(data, "PNG")
    (tmp_path / "a.png").write_bytes(data.getvalue()[:-40])
    with open_header(tmp_path / "a.png") as image:
        assert image.size == (52, 20)
    assert picture_size(tmp_path / "a.png") == (20, 52)
