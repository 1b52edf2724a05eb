"""Reading segmentation splits from files; every fault is named."""

import numpy as np
import pytest
from list_folder import write_folder
from odd_pictures import exif
from paths import SHARED
from PIL import Image

from dla_keras.data.datasets import DATASETS
from dla_keras.data.segmentation import open_split

CAMVID = SHARED / "camvid"


def test_list_files_are_read_as_they_lie(tmp_path):
    folder = write_folder(tmp_path)
    Image.fromarray(np.array([[0, 3, 255]], np.uint8)).save(
        tmp_path / "labels_0.png"
    )
    Image.fromarray(np.zeros((1, 3, 3), np.uint8)).save(
        tmp_path / "images_0.png"
    )
    split = open_split(folder, "train")
    assert len(split) == 5
    assert split.info.class_names == ("a", "b", "c")
    assert split[0].label.tolist() == [[0, 255, 255]]  # both mean ignored
    assert split[1].image.shape == (48, 64, 3)
    assert split[1].name.endswith("images_1.png")
    # The same folder by --data-dir, under any name.
    assert len(open_split("anything", "val", folder)) == 5


def break_missing(folder):
    (folder / "images_2.png").unlink()
    return "names 1 of 10 files that do not exist.*images_2.png"


def break_lengths(folder):
    (folder / "train_labels.txt").write_text("labels_0.png\n")
    return "5 lines in .*train_images.txt and 1 in .*train_labels.txt"


def break_empty(folder):
    (folder / "train_images.txt").write_text("\n")
    (folder / "train_labels.txt").write_text("")
    return "at least one picture in .*train_images.txt"


def break_no_picture(folder):
    (folder / "images_3.png").write_text("no picture")
    return "images_3.png is no picture"


def break_truncated(folder):
    data = (folder / "labels_4.png").read_bytes()
    (folder / "labels_4.png").write_bytes(data[: len(data) // 2])
    return "labels_4.png cannot be decoded"


def break_size(folder):
    Image.new("L", (64, 47)).save(folder / "labels_1.png")
    return r"labels_1.png with \(47, 64\)"


def break_id(folder):
    Image.new("L", (64, 48), 7).save(folder / "labels_2.png")
    return r"ids \[7\] in .*labels_2.png"


def break_colors(folder):
    Image.new("RGB", (64, 48), "teal").save(folder / "labels_0.png")
    return "labels_0.png, or colors of .* colors #008080. Say with label_colors"


def break_depth(folder):
    Image.new("F", (64, 48)).save(folder / "images_1.png", "TIFF")
    return "8 or 16 bits a channel.*images_1.png"


def break_wide_id(folder):
    # 256 would be class 0 in a byte.
    wide = np.full((48, 64), 256, np.uint16)
    Image.fromarray(wide).save(folder / "labels_3.png")
    return r"ids \[256\] in .*labels_3.png"


def break_list(folder):
    (folder / "train_labels.txt").unlink()
    return "list of files at .*train_labels.txt"


def break_info(folder):
    (folder / "info.json").write_text("{")
    return "info.json is not valid JSON"


def break_classes(folder):
    (folder / "info.json").write_text("{}")
    return "Expected 'class_names' .* in .*info.json"


FAULTS = [f for n, f in sorted(globals().items()) if n.startswith("break_")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_faulty_files_are_named(tmp_path, fault):
    folder = write_folder(tmp_path)
    message = fault(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list(open_split(folder, "train"))


def test_a_picture_and_its_label_are_turned_alike(tmp_path):
    folder = write_folder(tmp_path)
    shown = open_split(folder, "train")[1]
    for kind, array in (("images", shown.image), ("labels", shown.label)):
        turned = Image.fromarray(np.ascontiguousarray(np.rot90(array)))
        turned.save(tmp_path / f"{kind}_1.png", exif=exif(6))
    again = open_split(folder, "train")[1]
    np.testing.assert_array_equal(again.image, shown.image)
    np.testing.assert_array_equal(again.label, shown.label)
    # As a tool exports it that knows no EXIF.
    turned.save(tmp_path / "labels_1.png")
    message = r"labels_1.png with \(64, 48\) for .*images_1.png with \(48, 64\)"
    with pytest.raises(ValueError, match=f"{message}.*If an EXIF tag turns"):
        open_split(folder, "train")


def test_a_tag_behind_the_pixels_turns_a_picture_too(tmp_path):
    """A header does not show it: sizes are compared once more."""
    folder = write_folder(tmp_path)
    whole = open_split(folder, "train")[0]
    path = tmp_path / "images_0.png"
    stored = np.ascontiguousarray(np.rot90(whole.image))
    Image.fromarray(stored).save(path, exif=exif(6))
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    tag, end_mark = data[start:end], data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[end:end_mark] + tag + data[end_mark:])
    split = open_split(folder, "train")
    np.testing.assert_array_equal(split[0].image, whole.image)


def test_unknown_dataset_names_the_known(tmp_path):
    with pytest.raises(ValueError, match="toy_streets, camvid.*'cityscape'"):
        open_split("cityscape", "train", str(tmp_path))


@pytest.mark.skipif(not CAMVID.exists(), reason="no CamVid beside the clone")
def test_camvid_is_read_as_it_lies():
    train = open_split("camvid", "train", str(CAMVID))
    val = open_split(str(CAMVID), "val")
    assert (len(train), len(val)) == (367, 101)
    assert train.info.class_names == DATASETS["camvid"].class_names
    assert train.info.mean != DATASETS["camvid"].mean  # info.json's own
    assert set(np.unique(val[0].label)) <= {*range(11), 255}
