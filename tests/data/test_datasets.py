"""Every known dataset in its real layout, without a download."""

import contextlib
import io
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from dla_keras.commands.shared import run_command
from dla_keras.data.classification import open_classification_split
from dla_keras.data.datasets import CITYSCAPES_CLASSES
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.info_file import folder_info
from dla_keras.data.segmentation import open_split


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def grey(*shape):
    return np.full(shape, 128, np.uint8)


@contextlib.contextmanager
def mocked_tfds(rows, splits):
    """TFDS with `rows` in every split; no file, no network.

    Its own mock data draws an image and a mask of different sizes.
    """

    def as_data_source(self, split, decoders=None, **_):
        assert split in splits, f"{split} is none of {splits}"
        for row in rows:
            assert set(row) <= set(self.info.features)
            assert set(decoders) <= set(row)
        return rows

    names = mock.patch(
        "tensorflow_datasets.core.dataset_info.DatasetInfo.splits",
        dict.fromkeys(splits, SimpleNamespace(num_examples=len(rows))),
    )
    with tfds.testing.mock_data(as_data_source_fn=as_data_source), names:
        yield


# Ids that the files hold -> class names, "" where ignored. The Cityscapes ids
# are those of cityscapesScripts' labels.py, ADE20K's of its objectInfo150.
MEANINGS = {
    "cityscapes": {
        7: "road",
        8: "sidewalk",
        9: "",  # parking
        11: "building",
        12: "wall",
        13: "fence",
        14: "",  # guard rail
        17: "pole",
        19: "traffic light",
        20: "traffic sign",
        23: "sky",
        26: "car",
        29: "",  # caravan
        31: "train",
        33: "bicycle",
        0: "",
        255: "",  # the licence plate's -1
    },
    "oxford_iiit_pet": {1: "pet", 2: "background", 3: "border"},
    "ade20k": {0: "", 1: "wall", 2: "building", 13: "person", 150: "flag"},
    "bdd100k": {0: "road", 13: "car", 18: "bicycle", 255: ""},
    "toy_streets": {0: "road", 18: "bicycle", 255: ""},
    "camvid": {0: "sky", 3: "road", 10: "bicyclist", 11: ""},
}


def test_every_dataset_is_tested():
    assert set(MEANINGS) == set(DATASETS)
    for name, info in DATASETS.items():
        assert info.tfds or info.how_to_get, name


def assert_meanings(name, split):
    info = DATASETS[name]
    assert split.info.class_names == info.class_names
    shown = [
        "" if label == 255 else info.class_names[label]
        for label in split[0].label[0]
    ]
    assert shown == list(MEANINGS[name].values())


@pytest.mark.parametrize(
    "name, image, mask, splits",
    [
        (
            "cityscapes",
            "image_left",
            "segmentation_label",
            ("train", "validation"),
        ),
        ("oxford_iiit_pet", "image", "segmentation_mask", ("train", "test")),
        ("toy_streets", "image", "segmentation_label", ("train", "val")),
    ],
)
def test_tfds_names_and_label_mapping(name, image, mask, splits):
    ids = np.array([list(MEANINGS[name])], np.uint8)
    row = {image: png(grey(*ids.shape, 3)), mask: png(ids)}
    with mocked_tfds([row], splits):
        for split in ("train", "val"):
            assert_meanings(name, open_split(name, split))


LAYOUTS = [
    (
        "cityscapes",
        "leftImg8bit/{}/ulm/ulm_000001_000019_leftImg8bit.png",
        "gtFine/{}/ulm/ulm_000001_000019_gtFine_labelIds.png",
        ("train", "val"),
    ),
    (
        "bdd100k",
        "images/10k/{}/00a00b1a-7c39d841.jpg",
        "labels/sem_seg/masks/{}/00a00b1a-7c39d841.png",
        ("train", "val"),
    ),
    (
        "bdd100k",
        "seg/images/{}/00a00b1a-7c39d841.jpg",
        "seg/labels/{}/00a00b1a-7c39d841_train_id.png",
        ("train", "val"),
    ),
    (
        "ade20k",
        "images/{}/ADE_train_00000001.jpg",
        "annotations/{}/ADE_train_00000001.png",
        ("training", "validation"),
    ),
    (
        "camvid",
        "{}/0001TP_006690.png",
        "{}annot/0001TP_006690.png",
        ("train", "val"),
    ),
]


@pytest.mark.parametrize("name, image, label, folders", LAYOUTS)
def test_published_folders_and_label_mapping(
    tmp_path, name, image, label, folders
):
    ids = np.array([list(MEANINGS[name])], np.uint8)
    for folder in folders:
        save(tmp_path / image.format(folder), grey(*ids.shape, 3))
        save(tmp_path / label.format(folder), ids)
    for split in ("train", "val"):
        assert_meanings(name, open_split(name, split, str(tmp_path)))
        assert_meanings(name, open_split(str(tmp_path), split))
    lone = tmp_path / image.format(folders[0]).replace("00", "70")
    save(lone, grey(*ids.shape, 3))
    with pytest.raises(ValueError, match="2 pairs, 1 images without a label"):
        open_split(name, "train", str(tmp_path))


def test_camvid_list_files_and_label_mapping(tmp_path):
    ids = np.array([list(MEANINGS["camvid"])], np.uint8)
    save(tmp_path / "a.png", grey(*ids.shape, 3))
    save(tmp_path / "b.png", ids)
    (tmp_path / "train_images.txt").write_text("a.png\n")
    (tmp_path / "train_labels.txt").write_text("b.png\n")
    assert_meanings("camvid", open_split("camvid", "train", str(tmp_path)))
    # Lists hold class ids even where the archives do not.
    city = open_split("cityscapes", "train", str(tmp_path))
    assert city[0].label.tolist() == ids.tolist()
    save(tmp_path / "b.png", np.full_like(ids, 29))  # a caravan there
    with pytest.raises(ValueError, match=r"ids \[29\] in .*b.png"):
        city[0]


@pytest.mark.parametrize(
    "name, foreign", [("cityscapes", 34), ("oxford_iiit_pet", 0)]
)
def test_ids_outside_the_label_definition_are_named(name, foreign):
    names = DATASETS[name].tfds
    row = {
        names.image: png(grey(4, 4, 3)),
        names.label: png(np.full((4, 4), foreign, np.uint8)),
    }
    with mocked_tfds([row], ("train",)):
        split = open_split(name, "train")
        message = rf"ids \[{foreign}\] in {name}/train/0"
        with pytest.raises(ValueError, match=message):
            split[0]


def test_facts_that_do_not_fit_are_refused():
    grays = ((0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="names that differ. Received: a, a"):
        DatasetInfo("x", ("a", "a"), grays)
    with pytest.raises(ValueError, match="entry of palette per class"):
        DatasetInfo("x", ("a", "b"), grays[:1])
    for coding in (
        {"label_values": {0: 0, 255: 2}},
        {"label_colors": {(0, 0, 0): -1}},
    ):
        with pytest.raises(ValueError, match="class ids, 0 to 1. Received"):
            DatasetInfo("x", ("a", "b"), grays, **coding)
    many = tuple(map(str, range(256)))
    with pytest.raises(ValueError, match="at most 255 classes"):
        DatasetInfo("x", many, tuple((i, i, i) for i in range(256)))


@pytest.mark.parametrize(
    "coding",
    [
        {"ignored_ids": (1,)},
        {"ignored_ids": (9, 7), "label_values": {0: 0, 7: 1}},
        {
            "ignored_colors": ((1, 1, 1),),
            "label_colors": {(0, 0, 0): 0, (1, 1, 1): 1},
        },
    ],
)
def test_a_class_that_is_ignored_too_is_refused(coding):
    grays = ((0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="Received: both, the class 'b'"):
        DatasetInfo("x", ("a", "b"), grays, **coding)


@pytest.mark.parametrize("name", ["camvid", "ade20k", "bdd100k"])
def test_without_its_files_it_says_how_to_get_them(name, tmp_path, capsys):
    for folder in (None, str(tmp_path)):
        assert run_command(lambda f=folder: open_split(name, "train", f)) == 2
        message = capsys.readouterr().err
        assert DATASETS[name].how_to_get in message
        assert "pass --data-dir FOLDER" in message


@pytest.mark.parametrize(
    "open_it, name, archive",
    [
        (open_split, "cityscapes", "gtFine_trainvaltest.zip"),
        (open_classification_split, "imagenet2012", "ILSVRC2012_img_train.tar"),
    ],
)
def test_manual_downloads_are_explained(
    open_it, name, archive, tmp_path, capsys
):
    folder = str(tmp_path)
    assert run_command(lambda: open_it(name, "train", folder)) == 2
    message = capsys.readouterr().err
    assert archive in message and f"{folder}/downloads/manual" in message
    if open_it is open_split:
        assert message.strip().endswith(DATASETS[name].how_to_get)


def test_street_names_have_the_colors_of_cityscapes():
    others = DATASETS["camvid"].class_names
    palette = dict(zip(others, distinct_palette(11, others), strict=True))
    same = {
        **{name: name for name in ("sky", "building", "pole", "road", "fence")},
        **{"pavement": "sidewalk", "tree": "vegetation", "car": "car"},
        **{"sign_symbol": "traffic sign", "pedestrian": "person"},
        "bicyclist": "bicycle",
    }
    assert palette == {name: CITYSCAPES_CLASSES[same[name]] for name in others}


def test_other_classes_are_far_from_those_colors():
    names = ("person", "Car", "vehicle", "Tree s", "trees", *map(str, range(9)))
    palette = np.array(distinct_palette(20, names))
    assert [tuple(palette[i]) for i in (0, 1, 4)] == [
        CITYSCAPES_CLASSES[name] for name in ("person", "car", "vegetation")
    ]
    distances = np.linalg.norm(palette[:, None] - palette, axis=-1)
    distances += 999 * np.eye(20)
    assert distances[[0, 1, 4]].min() > 64 and distances.min() > 20
    # Without names: hues alone, as before; the first of a class has its color.
    assert distinct_palette(2) == ((230, 57, 57), (57, 230, 108))


def test_a_folder_of_street_names_has_known_colors(tmp_path):
    (tmp_path / "info.json").write_text('{"class_names": ["road", "lamp"]}')
    road, lamp = folder_info(tmp_path, None).palette
    assert road == CITYSCAPES_CLASSES["road"] and lamp == (230, 57, 57)
