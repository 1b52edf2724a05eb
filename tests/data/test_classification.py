"""Classification data from all its sources, and the batches of it."""

import contextlib
import io
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from dla_keras.data.augmentation import Mixing
from dla_keras.data.augmentation import RandomResizedCrop
from dla_keras.data.classification import open_classification_split
from dla_keras.data.pipeline import require_crop_memory
from dla_keras.data.pipeline import training_batches
from dla_keras.tasks import TASKS


def save(path, value, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_digits_are_there_without_a_download():
    train = open_classification_split("digits", "train")
    val = open_classification_split("digits", "val")
    assert (len(train), len(val)) == (1437, 360)
    seen = {example.image.tobytes() for example in train}
    assert not seen & {example.image.tobytes() for example in val}
    counts = np.bincount([example.label for example in val])
    assert len(counts) == 10 and counts.min() >= 30
    # Real digits: the mean picture of each class, taken from the training
    # split, tells four fifths of the new hands' digits. Chance is a tenth.
    pixels = np.stack([e.image[::4, ::4, 0] for e in train]).astype(float)
    labels = np.array([e.label for e in train])
    means = np.stack([pixels[labels == d].mean(0) for d in range(10)])
    right = [
        np.square(means - e.image[::4, ::4, 0]).sum((1, 2)).argmin() == e.label
        for e in val
    ]
    assert np.mean(right) > 0.8
    with pytest.raises(ValueError, match="'train' and 'val'. Received: 'test'"):
        open_classification_split("digits", "test")


@pytest.mark.parametrize("val_folder", ["val", "validation", "test"])
def test_class_folders(tmp_path, val_folder):
    save(tmp_path / "train/dog/b.png", 20)
    save(tmp_path / "train/dog/more/c.JPEG", 30)
    save(tmp_path / "train/cat/a.png", 10)
    (tmp_path / "train/cat/notes.txt").write_text("no picture")
    (tmp_path / "train/.cache").mkdir()
    save(tmp_path / val_folder / "dog/d.png", 40)  # no cat: dog is still 1
    for source in ((str(tmp_path), None), ("pets", str(tmp_path))):
        train = open_classification_split(source[0], "train", source[1])
        assert train.info.class_names == ("cat", "dog")
        assert [e.label for e in train] == [0, 1, 1]
        assert [round(e.image.mean(), -1) for e in train] == [10, 20, 30]
        assert train[0].name.endswith("train/cat/a.png")
        val = open_classification_split(source[0], "val", source[1])
        assert [e.label for e in val] == [1]
    save(tmp_path / val_folder / "cow/e.png", 50)
    with pytest.raises(ValueError, match="classes that .*train has not: cow"):
        open_classification_split(str(tmp_path), "val")


def test_faults_in_class_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="inside or outside a folder"):
        open_classification_split(str(tmp_path), "train")
    (tmp_path / "train/cat").mkdir(parents=True)
    (tmp_path / "train/cat/a.xcf").touch()
    empty = r"Received: none in .*train/cat. Left out.*: 1 .xcf \(a.xcf\)"
    with pytest.raises(ValueError, match=empty):
        open_classification_split(str(tmp_path), "train")
    (tmp_path / "val/cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="none in .*val/cat"):
        open_classification_split(str(tmp_path), "val")
    with pytest.raises(FileNotFoundError, match="a folder test"):
        open_classification_split(str(tmp_path), "test")
    (tmp_path / "train/cat/a.jpg").write_text("no picture")
    split = open_classification_split(str(tmp_path), "train")
    assert "1 .xcf" in split.said[0]
    with pytest.raises(ValueError, match="a.jpg is no picture"):
        split[0]


@pytest.mark.parametrize("root", ["", "train/"])
def test_class_folders_without_val_validate_on_a_fifth_of_each(tmp_path, root):
    for name, count in {"cat": 10, "dog": 5, "owl": 1}.items():
        for index in range(count):
            save(tmp_path / f"{root}{name}/{index}.TIFF", 10)
    opened = {
        split: open_classification_split(str(tmp_path), split)
        for split in ("train", "val")
    }
    labels = {s: [e.label for e in split] for s, split in opened.items()}
    # Two of ten cats, one of five dogs; the owl alone trains.
    assert labels == {"train": [0] * 8 + [1] * 4 + [2], "val": [0, 0, 1]}
    names = {s: {*split.drawn} for s, split in opened.items()}
    share = ("cat/1", "cat/8", "dog/1")
    assert names["val"] == {f"{root}{name}.TIFF" for name in share}
    assert not names["train"] & names["val"]
    assert opened["val"].info.class_names == ("cat", "dog", "owl")
    assert "3 of 16 pictures" in opened["train"].said[-1]


def test_names_places_and_headers_are_looked_at_first(tmp_path):
    for name in ("cat", "dog"):
        for split in ("train", "val"):
            save(tmp_path / split / name / "a.png", 10)
    train, val = (
        open_classification_split(str(tmp_path), split)
        for split in ("train", "val")
    )
    assert not TASKS["classification"].check(train, val)
    (tmp_path / "val/dog/a.png").write_text("no picture")
    (found,) = TASKS["classification"].check(train, val)
    assert found.error and found.message.startswith("1 of 2 pictures of val")
    assert "val/dog/a.png is no picture" in found.message
    for data_dir, what in (("no", "is not there"), ("val/cat/a.png", "a file")):
        with pytest.raises(ValueError, match=f"{data_dir}, which .*{what}"):
            open_classification_split(
                str(tmp_path), "train", str(tmp_path / data_dir)
            )
    (tmp_path / "train/dog").rename(tmp_path / "train/hot\ndog")
    with pytest.raises(ValueError, match=r"one line.*train/?\. Rec.*hot\\ndog"):
        open_classification_split(str(tmp_path), "train")


def test_images_and_masks_are_no_classes(tmp_path):
    for name in ("images", "masks"):
        save(tmp_path / f"train/{name}/a.png", 10)
    with pytest.raises(ValueError, match="images, masks, .* use train-seg"):
        open_classification_split(str(tmp_path), "train")


@pytest.mark.parametrize("root", [".", "data"])
def test_aircraft_in_its_published_layout(tmp_path, root):
    folder = tmp_path / root
    folder.mkdir(exist_ok=True)
    (folder / "variants.txt").write_text("707-320\nCessna 172\n")
    (folder / "images_variant_train.txt").write_text("1025794 707-320\n")
    (folder / "images_variant_val.txt").write_text("0056978 Cessna 172\n")
    save(folder / "images/1025794.jpg", 100, (50, 60))
    train = open_classification_split("fgvc_aircraft", "train", str(tmp_path))
    assert train.info.class_names == ("707-320", "Cessna 172")
    assert train[0].label == 0
    assert train[0].image.shape == (30, 60, 3)  # without the 20-row banner
    with pytest.raises(FileNotFoundError, match="1 of 1 files .*0056978.jpg"):
        open_classification_split("fgvc_aircraft", "val", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="images_variant_test.txt"):
        open_classification_split("fgvc_aircraft", "test", str(tmp_path))
    (folder / "images_variant_val.txt").write_text("0056978 Boeing\n")
    with pytest.raises(ValueError, match="variants.txt has not: Boeing"):
        open_classification_split("fgvc_aircraft", "val", str(tmp_path))


@contextlib.contextmanager
def mocked_tfds(row, splits):
    source = lambda self, split, decoders=None, **_: {s: [row] for s in splits}[
        split
    ]
    names = mock.patch(
        "tensorflow_datasets.core.dataset_info.DatasetInfo.splits",
        dict.fromkeys(splits, SimpleNamespace(num_examples=1)),
    )
    with tfds.testing.mock_data(as_data_source_fn=source), names:
        yield


@pytest.mark.parametrize(
    "name, classes, val",
    [
        ("imagenet2012", 1000, "validation"),
        ("caltech_birds2011", 200, "test"),
        ("cars196", 196, "test"),
        ("food101", 101, "validation"),
        ("oxford_iiit_pet", 37, "test"),
        ("stanford_dogs", 120, "test"),
        ("mnist", 10, "test"),
    ],
)
def test_any_classification_dataset_of_tfds(name, classes, val):
    file = io.BytesIO()
    Image.new("L", (5, 4), 77).save(file, "PNG")  # MNIST's has one channel
    row = {"image": file.getvalue(), "label": np.int64(7)}
    with mocked_tfds(row, ("train", val)):
        split = open_classification_split(name, "val")
    assert split.info.num_classes == len(set(split.info.class_names)) == classes
    assert split[0].label == 7 and split[0].name == f"{name}/{val}/0"
    assert split[0].image.shape == (4, 5, 3) and split[0].image.max() == 77
    row["label"] = np.int64(-1)
    with pytest.raises(ValueError, match=f"none for {name}/{val}/0"):
        split[0]


def test_what_is_no_classification_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'imagnet'.*train/<class>"):
        open_classification_split("imagnet", "train", str(tmp_path))
    with mocked_tfds({}, ("train",)):
        with pytest.raises(ValueError, match="'image' and 'label', a class"):
            open_classification_split("cityscapes", "train")


def test_training_batches_of_pictures():
    split = open_classification_split("digits", "train")
    crop = RandomResizedCrop((24, 24), area=(0.5, 1.0), flip=False)
    ((x, y),) = training_batches(split, crop, 6, 1, 1, seed=0)
    assert x.shape == (6, 24, 24, 3) and x.dtype == tf.float32
    assert y.shape == (6,) and y.dtype == tf.int64
    mix = Mixing(10, mixup=0.2, cutmix=1.0)
    whole = list(training_batches(split, crop, 8, 1, 2, seed=0, mix=mix))
    halves = list(training_batches(split, crop, 8, 2, 2, seed=0, mix=mix))
    assert whole[0][1].shape == (8, 10) and len(halves) == 4
    shares = np.concatenate([y.numpy().max(1) for _, y in whole])
    assert len(set(shares.round(3))) > 4  # each pair has its own
    np.testing.assert_allclose(tf.reduce_sum(whole[0][1], 1), 1, atol=1e-6)
    for part in (0, 1):
        np.testing.assert_array_equal(
            whole[1][part], tf.concat([halves[2][part], halves[3][part]], 0)
        )


def test_crops_beyond_all_memory_are_refused():
    require_crop_memory((32, 32), 4)
    with pytest.raises(ValueError, match=r"take more than .* --batch-size\."):
        require_crop_memory((2**15, 2**15), 1000)
