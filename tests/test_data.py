"""Reading, augmentation and the input pipeline."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dla_keras.commands import plain_message
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import augment
from dla_keras.data.augmentation import random_affine
from dla_keras.data.datasets import DATASETS
from dla_keras.data.pipeline import training_batches
from dla_keras.data.reading import open_split

CAMVID = pathlib.Path(__file__).parents[2] / "shared/data/camvid"


def write_folder(folder, count=5, size=(48, 64), classes=3):
    """A folder of list files with random pictures; returns its name."""
    random = np.random.default_rng(0)
    names = {"images": [], "labels": []}
    for index in range(count):
        image = random.integers(0, 256, (*size, 3), np.uint8)
        label = random.integers(0, classes, size).astype(np.uint8)
        for kind, picture in (("images", image), ("labels", label)):
            names[kind].append(f"{kind}_{index}.png")
            Image.fromarray(picture).save(folder / names[kind][-1])
    for split in ("train", "val"):
        for kind, files in names.items():
            (folder / f"{split}_{kind}.txt").write_text("\n".join(files))
    info = {"class_names": ["a", "b", "c"][:classes], "ignore_label": classes}
    (folder / "info.json").write_text(json.dumps(info))
    return str(folder)


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
    return "names 1 of 5 files that do not exist.*images_2.png"


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
    return r"labels_1.png with \(64, 47\)"


def break_id(folder):
    Image.new("L", (64, 48), 7).save(folder / "labels_2.png")
    return r"ids \[7\] in .*labels_2.png"


def break_colors(folder):
    Image.new("RGB", (64, 48)).save(folder / "labels_0.png")
    return "labels_0.png with shape .* convert its colours to ids"


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


def test_fault_inside_the_pipeline_is_named(tmp_path):
    folder = write_folder(tmp_path)
    break_id(tmp_path)
    split = open_split(folder, "train")
    batches = training_batches(split, Augmentation((32, 32)), 1, 1, 20, 0)
    with pytest.raises(tf.errors.OpError) as error:
        list(batches)
    message = plain_message(error.value)
    assert message.endswith("labels_2.png.") and "Traceback" not in message


def test_unknown_dataset_names_the_known(tmp_path):
    with pytest.raises(ValueError, match="toy_streets, camvid.*'cityscape'"):
        open_split("cityscape", "train", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="--data-dir FOLDER"):
        open_split("camvid", "train")


@pytest.mark.skipif(not CAMVID.exists(), reason="no CamVid beside the clone")
def test_camvid_is_read_as_it_lies():
    train = open_split("camvid", "train", str(CAMVID))
    val = open_split(str(CAMVID), "val")
    assert (len(train), len(val)) == (367, 101)
    assert train.info.class_names == DATASETS["camvid"].class_names
    assert train.info.mean != DATASETS["camvid"].mean  # info.json's own
    assert set(np.unique(val[0].label)) <= {*range(11), 255}


def still(size, **changes):
    """An augmentation that changes nothing but what is named."""
    plain = {"scale": (1, 1), "rotation": 0.0, "flip": False, "jitter": 0.0}
    return Augmentation(size, **{**plain, **changes})


def coordinates(height=40, width=60):
    """A picture whose pixels tell where they come from, and its label."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([y, x, np.zeros_like(x)], -1).astype(np.uint8)
    return image, ((y // 4 + x // 4) % 7).astype(np.uint8)


def test_augmentation_without_change_is_a_copy():
    image, label = coordinates()
    x, y = augment(image, label, (0, 0), still((40, 60)))
    np.testing.assert_allclose(x, image, atol=1e-3)
    np.testing.assert_array_equal(y, label)


def test_flip_mirrors_both():
    image, label = coordinates()
    seen = set()
    for seed in range(8):
        x, y = augment(image, label, (0, seed), still((40, 60), flip=True))
        mirrored = bool(x[0, 0, 1] > 1)
        step = -1 if mirrored else 1
        np.testing.assert_allclose(x, image[:, ::step], atol=1e-3)
        np.testing.assert_array_equal(y, label[:, ::step])
        seen.add(mirrored)
    assert seen == {True, False}


def test_crop_lies_inside_and_label_follows():
    image, label = coordinates()
    corners = set()
    for seed in range(20):
        x, y = augment(image, label, (1, seed), still((16, 16)))
        # Whole rows and columns were drawn, or fractions of them.
        top, left = float(x[0, 0, 0]), float(x[0, 0, 1])
        assert 0 <= top <= 24 and 0 <= left <= 44
        rows = np.clip(np.rint(np.asarray(x[..., 0])), 0, 39).astype(int)
        columns = np.clip(np.rint(np.asarray(x[..., 1])), 0, 59).astype(int)
        agree = np.mean(label[rows, columns] == y.numpy())
        assert agree > 0.98  # where a fraction is exactly one half
        corners.add((round(top), round(left)))
    assert len(corners) > 10


@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_picture_smaller_than_the_crop_is_framed_by_ignored(rotation):
    image, label = coordinates()
    config = still((80, 120), rotation=rotation)
    _, y = augment(image, np.zeros_like(label), (0, 3), config)
    share = np.mean(y.numpy() == 0)
    assert share == pytest.approx(40 * 60 / (80 * 120), abs=0.02)
    assert set(np.unique(y)) == {0, 255}


def test_zoom_magnifies():
    image, label = coordinates()
    x, _ = augment(image, label, (0, 0), still((16, 16), scale=(2, 2)))
    step = np.diff(x[..., 1].numpy(), axis=1)
    np.testing.assert_allclose(step, 0.5, atol=1e-3)


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
    x, y = augment(image, label, (0, 1), still((32, 32), jitter=0.4))
    assert x.numpy().min() >= 0 and x.numpy().max() <= 255
    assert np.abs(x - image).max() > 10
    np.testing.assert_array_equal(y, label)


def batches_of(split, replicas=1, steps=6, start_step=0, seed=1):
    dataset = training_batches(
        split, Augmentation((32, 32)), 4, replicas, steps, seed, start_step
    )
    return [(x.numpy(), y.numpy()) for x, y in dataset]


def test_pipeline_is_a_function_of_the_step(tmp_path):
    split = open_split(write_folder(tmp_path), "train")
    whole = batches_of(split)
    later = batches_of(split, start_step=4)
    assert len(whole) == 6 and len(later) == 2
    for (x, y), (later_x, later_y) in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(x, later_x)
        np.testing.assert_array_equal(y, later_y)
    other = batches_of(split, seed=2)
    assert not np.array_equal(whole[0][0], other[0][0])


def test_replicas_share_the_same_global_batch(tmp_path):
    split = open_split(write_folder(tmp_path), "train")
    whole, halves = batches_of(split), batches_of(split, replicas=2)
    joined = [
        np.concatenate([halves[i][0], halves[i + 1][0]])
        for i in range(0, 12, 2)
    ]
    for (x, _), parts in zip(whole, joined, strict=True):
        np.testing.assert_array_equal(x, parts)
    with pytest.raises(ValueError, match="multiple of 3"):
        batches_of(split, replicas=3)


def test_every_epoch_shows_every_picture_once():
    class Counting(list):
        """Pictures whose colour tells their index."""

        def __getitem__(self, index):
            shade = np.full((8, 8, 3), index, np.uint8)
            return type("E", (), {"image": shade, "label": shade[..., 0]})

    split = Counting(range(12))
    batches = training_batches(split, still((8, 8)), 4, 1, 6, 0)
    shown = np.concatenate([y[:, 0, 0].numpy() for _, y in batches])
    assert sorted(shown[:12]) == sorted(shown[12:]) == list(range(12))
    assert shown[:12].tolist() != shown[12:].tolist()
