"""Boxes from COCO, PASCAL VOC, YOLO and TFDS; their faults; their crops."""

import hashlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from box_folders import HEIGHT
from box_folders import NAMES
from box_folders import TRUTH
from box_folders import WIDTH
from box_folders import coco
from box_folders import pictures
from box_folders import voc
from box_folders import yolo
from PIL import Image

from dla_keras.data import boxes
from dla_keras.data import toy_streets
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import move_boxes
from dla_keras.data.augmentation import random_affine
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import at_working_size
from dla_keras.models import centers

# Found where one split is taken for both, and is small.
ALWAYS = {"shared-pictures", "absent-classes"}


def opened(folder):
    """Return the label of each image of both splits, by its name."""
    found = {}
    for split in ("train", "val"):
        for example in boxes.open_boxes(str(folder), split):
            found[example.name[-5]] = example.label
    return found


@pytest.mark.parametrize("write", [coco, voc, yolo])
def test_three_forms_say_the_same(write, tmp_path):
    write(tmp_path)
    train = boxes.open_boxes(str(tmp_path), "train")
    val = boxes.open_boxes(str(tmp_path), "val")
    assert list(train.info.class_names) == NAMES
    assert len(train) + len(val) == 3 and len(val.drawn) == 1
    found = opened(tmp_path)
    for name, rows in TRUTH.items():
        expected = [(NAMES.index(kind), *box) for kind, *box in rows]
        expected = np.float32(expected).reshape(-1, 5)
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, atol=1e-4)
    assert {f.kind for f in boxes.check_boxes(train, train)} <= ALWAYS


def test_crowds_are_ignored(tmp_path):
    coco(tmp_path, iscrowd=1)
    assert opened(tmp_path)["a"][0].tolist() == [-2, 4, 6, 20, 30]
    assert boxes.ignored(-2) == centers.ignored(-2) == 0
    assert boxes.NO_BOX == centers.NO_BOX


def test_objects_of_tfds_are_boxes(monkeypatch):
    """With TFDS' own features, which are no dictionary."""
    import tensorflow_datasets as tfds

    kinds = tfds.features.ClassLabel(names=NAMES)
    objects = {"bbox": tfds.features.BBoxFeature(), "label": kinds}
    objects = tfds.features.Sequence({**objects, "is_crowd": np.bool_})
    features = {"image": tfds.features.Image(), "objects": objects}
    png = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(png, "PNG")
    found = {"bbox": [[0.1, 0.1, 0.5, 0.5], [0, 0, 1, 1]], "label": [1, 0]}
    found["is_crowd"] = [False, True]
    row = {"image": png.getvalue(), "objects": found}
    told = SimpleNamespace(
        features=tfds.features.FeaturesDict(features), splits=["train", "test"]
    )
    builder = SimpleNamespace(info=told)
    monkeypatch.setattr(boxes, "open_builder", lambda *_: builder)
    monkeypatch.setattr(boxes, "open_source", lambda *_: [row])
    val = boxes.open_boxes("some/set", "val")
    assert val.info.class_names == (*NAMES,)
    expected = [[1, 4, 6, 20, 30], [-2, 0, 0, 40, 60]]
    np.testing.assert_allclose(val[0].label, expected, rtol=1e-6)
    told.features = tfds.features.FeaturesDict({"image": features["image"]})
    with pytest.raises(ValueError, match="'objects' .* some/set with image"):
        boxes.open_boxes("some/set", "val")


def test_lists_of_voc_are_its_splits(tmp_path):
    voc(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, names in {"train": "ab", "val": "c"}.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
    assert len(boxes.open_boxes(str(tmp_path), "train")) == 2
    assert len(boxes.open_boxes(str(tmp_path), "val")) == 1
    with pytest.raises(ValueError, match="Expected a split .*: train, val"):
        boxes.open_boxes(str(tmp_path), "test")
    (lists / "val.txt").write_text("z")
    with pytest.raises(ValueError, match="val.txt, line 1: expected an image"):
        boxes.open_boxes(str(tmp_path), "val")


@pytest.mark.parametrize(
    ("box", "message", "error"),
    [
        ((20, 6, 4, 30), "Boxes of train have their corners in reverse", True),
        ((4, 30, 20, 6), "Boxes of train have their corners in reverse", True),
        ((4, 6, 20, 90), "lie outside of their pictures: .*a.xml, box 1", True),
        ((4, 6, 4, 30), "have no area, and are left out", False),
        ((0, 0, 41, 30), None, False),  # by a pixel
    ],
)
def test_faulty_boxes_are_told(tmp_path, box, message, error):
    voc(tmp_path, spoiled=box)
    found = boxes.find_boxes(tmp_path)
    found.splits["train"] += found.splits.pop("val")
    split = boxes.FileBoxes(found, "train")
    told = [f for f in boxes.check_boxes(split, split) if f.kind == "boxes"]
    assert bool(told) == bool(message)
    if message:
        assert told[0].error == error
        assert re.search(message, told[0].message)
        assert told[0].message.endswith("(1 in all).")


def test_a_class_that_never_occurs_is_told(tmp_path):
    coco(tmp_path)
    path = tmp_path / "train.json"
    table = json.loads(path.read_text())
    table["categories"].append({"id": 9, "name": "cow"})
    path.write_text(json.dumps(table))
    train = boxes.open_boxes(str(tmp_path), "train")
    (absent, *_) = boxes.check_boxes(train, train)
    assert "'cow'" in absent.message and absent.error
    (absent, *_) = boxes.check_boxes(train, train, ["absent-classes"])
    assert not absent.error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", "a.xml is no whole XML file"),
        (
            "<annotation><object><name>x</name></object></annotation>",
            "a.xml, object 1: expected a box of 4 numbers",
        ),
        (
            "<annotation><object><name>x</name><bndbox><ymin>nan</ymin>"
            "<xmin>1</xmin><ymax>2</ymax><xmax>3</xmax></bndbox></object>"
            "</annotation>",
            r"Received: \['nan', '1', '2', '3'\]",
        ),
        (
            "<annotation><object><name/></object></annotation>",
            "object 1: expected a <name>",
        ),
    ],
)
def test_damaged_files_are_named(tmp_path, text, message):
    voc(tmp_path)
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        boxes.open_boxes(str(tmp_path), "train")


def test_a_folder_without_boxes_is_refused(tmp_path):
    pictures(tmp_path / "images")
    with pytest.raises(ValueError, match="No images with boxes in .*COCO json"):
        boxes.open_boxes(str(tmp_path), "train")
    voc(tmp_path / "voc")
    (tmp_path / "voc/JPEGImages/a.png").unlink()
    with pytest.raises(ValueError, match="a.xml: expected one image"):
        boxes.open_boxes(str(tmp_path / "voc"), "train")


def test_a_working_size_scales_boxes(tmp_path):
    coco(tmp_path)
    train = boxes.open_boxes(str(tmp_path), "train")
    half = at_working_size(
        train, Fit("stretch", size=(20, 60)), boxes.resize_boxes
    )
    for before, after in zip(train, half, strict=True):
        assert after.image.shape == (20, 60, 3)
        expected = before.label * [1, 0.5, 1, 0.5, 1]
        np.testing.assert_array_equal(after.label, np.float32(expected))


# --- toy_streets ---

# Of image and label, before there were boxes.
PIXELS = {
    ("train", 0): "c7d6fe4b0d68774d44452250cd33384e868ae66a",
    ("val", 3): "d802d5672db50e279fb338a0ec72b7cb2ad5f351",
}


@pytest.mark.parametrize(("split", "index"), PIXELS)
def test_toy_streets_draw_what_they_drew(split, index):
    image, label, numbers = toy_streets.draw_instances(split, index)
    drawn = hashlib.sha1(image.tobytes() + label.tobytes()).hexdigest()
    assert drawn == PIXELS[split, index]
    found = toy_streets.find_objects(label, numbers)
    assert len(found) > 5
    for each in found:  # the extent of what is seen of a thing
        box = np.multiply(each["bbox"], [192, 384, 192, 384])
        top, left, bottom, right = np.round(box).astype(int)
        assert each["is_crowd"] == (max(bottom - top, right - left) < 12)
        inside = numbers[top:bottom, left:right]
        shown = label[top:bottom, left:right]
        ids = {n: i for i, n in enumerate(toy_streets.CITYSCAPES_CLASSES)}
        fits = [
            all(
                ((inside == n) & (shown == ids[each["label"]]))
                .any(axis)[[0, -1]]
                .all()
                for axis in (0, 1)
            )
            for n in np.unique(inside[inside > 0])
        ]
        assert any(fits)


# --- Crops ---


def test_boxes_move_as_pixels_do():
    random = np.random.default_rng(0)
    for seed in range(20):
        top, left = random.integers(0, 60, 2)
        box = np.float32([[3, top, left, top + 40, left + 50]])
        image = np.zeros((100, 120, 3), np.float32)
        image[top : top + 40, left : left + 50] = 255
        crop = Augmentation(
            (64, 80), (0.7, 1.4), 0.0, jitter=0.0, move=move_boxes
        )
        x, y = crop(image, box, (1, seed))
        rows, columns = np.nonzero(x.numpy()[..., 0] > 200)
        kind, *found = y[0].numpy()
        if kind == -1:
            assert not rows.size
            continue
        expected = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        # Less than a pixel, where the map cuts through one.
        np.testing.assert_allclose(found, expected, atol=1.0)
        assert (y[1:, 0].numpy() == -1).all()


def test_a_mirror_twice_is_nothing():
    label = np.float32([[0, 3, 5, 20, 30], [-3, 0, 0, 10, 8]])
    mirror = tf.constant([-1.0, 0, 63, 0, 1, 0, 0, 0])
    once = move_boxes(label, mirror, (48, 64), count=2)
    np.testing.assert_allclose(once[0], [0, 3, 34, 20, 59])
    twice = move_boxes(once, mirror, (48, 64), count=2)
    np.testing.assert_allclose(twice, label)


def test_what_a_crop_hardly_shows_is_ignored():
    label = np.float32(
        [[1, 0, -30, 10, 8], [1, 0, 4, 10, 12], [1, 0, 90, 9, 99]]
    )
    still = tf.constant([1.0, 0, 0, 0, 1, 0, 0, 0])
    moved = move_boxes(label, still, (32, 64), count=4).numpy()
    assert moved[:, 0].tolist() == [-3, 1, -1, -1]  # the larger first
    most = move_boxes(label, still, (32, 64), count=1).numpy()
    assert most[:, 0].tolist() == [-3]


def test_equal_seeds_give_equal_crops():
    crop = Augmentation((32, 32), move=move_boxes)
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    label = np.float32([[0, 5, 5, 30, 40]])
    first, again = (crop(image, label, (3, 4)) for _ in "ab")
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    none = np.zeros((0, 5), np.float32)
    assert (crop(image, none, (3, 4))[1][:, 0].numpy() == -1).all()
    shape = tf.constant([50, 60])
    assert random_affine(shape, (3, 4), crop).shape == (8,)
