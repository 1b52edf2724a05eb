"""`toy_streets`: the drawn scenes, and the TFDS builder that stores them."""

import math
import socket

import numpy as np
import pytest

from dla_keras.data import toy_streets
from dla_keras.data.datasets import CITYSCAPES_CLASSES
from dla_keras.data.toy_streets.canvas import Brush
from dla_keras.data.toy_streets.canvas import Camera
from dla_keras.data.toy_streets.canvas import Canvas
from dla_keras.data.toy_streets.canvas import Light
from dla_keras.data.toy_streets.scene import Stand
from dla_keras.data.toy_streets.scene import back_to_front
from dla_keras.data.toy_streets.scene import draw_street

NUM_CLASSES = len(CITYSCAPES_CLASSES)
VOID = 255
TRAIN, VAL = 60, 40  # pictures drawn for the statistics


def draw_split(split, count):
    pairs = [toy_streets.draw_picture(split, index) for index in range(count)]
    images, labels = zip(*pairs, strict=True)
    return np.stack(images), np.stack(labels)


@pytest.fixture(scope="module")
def train():
    return draw_split("train", TRAIN)


@pytest.fixture(scope="module")
def val():
    return draw_split("val", VAL)


def mean_iou(labels, guess):
    """Mean IoU of a guess, over the classes that `labels` hold."""
    guess = np.broadcast_to(guess, labels.shape)
    scores = []
    for index in np.unique(labels[labels != VOID]):
        truth, said = labels == index, (guess == index) & (labels != VOID)
        scores.append((truth & said).sum() / (truth | said).sum())
    return np.mean(scores)


def most_frequent(labels, axis):
    counts = [(labels == index).sum(axis) for index in range(NUM_CLASSES)]
    return np.argmax(counts, axis=0)


def test_same_seed_same_pixels():
    first, again = (draw_street(np.random.default_rng([3, 4])) for _ in "ab")
    other, _ = draw_street(np.random.default_rng([3, 5]))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert np.mean(first[0] != other) > 0.9


def test_shapes_types_and_ids(train):
    images, labels = train
    assert images.shape == (TRAIN, 192, 384, 3)
    assert labels.shape == (TRAIN, 192, 384)
    assert images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {*range(NUM_CLASSES), VOID}


def test_other_sizes():
    image, label = draw_street(np.random.default_rng(1), height=96, width=128)
    assert image.shape == (96, 128, 3)
    assert label.shape == (96, 128)


def test_every_class_is_common_enough_to_learn(train):
    _, labels = train
    for index, name in enumerate(CITYSCAPES_CLASSES):
        shown = ((labels == index).sum((1, 2)) > 100).mean()
        assert shown >= 0.2, f"{name} shows in {shown:.0%} of the pictures"


def test_every_class_appears_in_val(val):
    _, labels = val
    assert set(range(NUM_CLASSES)) <= set(np.unique(labels))


def test_place_alone_does_not_solve_it(train, val):
    # Measured: 0.01 for one class everywhere, 0.06 for the others.
    everywhere = most_frequent(train[1], axis=(0, 1, 2))
    by_row = most_frequent(train[1], axis=(0, 2))[None, :, None]
    by_pixel = most_frequent(train[1], axis=0)[None]
    assert mean_iou(val[1], everywhere) < 0.03
    assert mean_iou(val[1], by_row) < 0.12
    assert mean_iou(val[1], by_pixel) < 0.12


def test_color_alone_does_not_solve_it(train, val):
    # The most frequent class of each of 16^3 colors; measured: 0.08.
    def colors(images):
        red, green, blue = (images // 16).astype(int).transpose(3, 0, 1, 2)
        return (red * 16 + green) * 16 + blue

    counts = np.zeros((16**3, VOID + 1), int)
    np.add.at(counts, (colors(train[0]), train[1]), 1)
    guess = counts[:, :NUM_CLASSES].argmax(axis=1)[colors(val[0])]
    assert mean_iou(val[1], guess) < 0.15


def test_label_borders_lie_on_color_edges(val):
    # Pictures step most just where labels change, not a pixel beside it.
    images, labels = val
    steps = np.abs(np.diff(images.astype(int), axis=2)).mean(axis=-1)
    border = np.diff(labels.astype(int), axis=2) != 0
    contrast = {
        shift: steps[np.roll(border, shift, axis=2)].mean()
        for shift in range(-3, 4)
    }
    assert max(contrast, key=contrast.get) == 0, contrast


def test_canvas_projects_metres_and_hides_faces_turned_away():
    # Focal length 100, 2 m up: at 10 m, a metre is 10 canvas pixels.
    camera = Camera((400, 200), 100.0, 2.0, 0.0, (200.0, 80.0), 0.0, 0.0)
    assert camera.project(1.0, 0.0, 10.0) == (210.0, 100.0)
    assert camera.project(-3.0, 2.0, 20.0) == (185.0, 80.0)
    canvas = Canvas(camera, Light((0, 1, 0), 1.0, (0, 0, 0), math.inf, 0.0))
    box = ((-2, 0, 0), (-2, 2, 0), (2, 2, 0), (2, 0, 0))
    brush = Brush(canvas, 0.0, 10.0)
    brush.face(box, (200, 100, 50), "car", normal=(0, 0, -1))
    brush.face(box, (9, 9, 9), "truck", normal=(0, 0, 1))
    image, label, _ = canvas.develop()
    car = label == list(CITYSCAPES_CLASSES).index("car")
    rows, columns = np.nonzero(car)
    # A box of 4 m by 2 m, in picture pixels: 20 by 10, edges drawn in full.
    assert (rows.min(), rows.max()) == (40, 50)
    assert (columns.min(), columns.max()) == (90, 110)
    assert np.all(image[42:49, 92:109] == (200, 100, 50))
    assert not (label == list(CITYSCAPES_CLASSES).index("truck")).any()


def test_a_tram_hides_who_waits_beyond_it():
    camera = Camera((400, 200), 300.0, 2.0, 0.0, (200.0, 80.0), 0.0, 0.0)
    canvas = Canvas(camera, Light((0, 1, 0), 1.0, (0, 0, 0), math.inf, 0.0))

    def stand(name, x, z, wide, long):
        foot = tuple((x + a * wide, z + b * long) for a in (-1, 1)
                     for b in (-1, 1))  # fmt: skip
        return Stand(foot, name, Brush(canvas, x, z))

    tram = stand("tram", 3.0, 16.0, 1.2, 8.0)
    beyond = stand("beyond", 6.0, 13.0, 0.3, 0.3)
    before = stand("before", 1.2, 10.0, 0.3, 0.3)
    behind = stand("behind", 3.0, 30.0, 0.3, 0.3)
    names = [s.draw for s in back_to_front([before, tram, behind, beyond])]
    assert names.index("beyond") < names.index("tram") < names.index("before")
    assert names.index("behind") < names.index("tram")


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("toy_streets asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_builder_stores_pictures_in_order(tmp_path, monkeypatch, offline):
    counts = {"train": (1, 3), "val": (2, 2)}
    monkeypatch.setattr(toy_streets, "SPLITS", counts)
    builder = toy_streets.ToyStreets(
        data_dir=tmp_path, file_format="array_record"
    )
    assert builder.name == "toy_streets"
    builder.download_and_prepare()
    for split, (_, count) in counts.items():
        source = builder.as_data_source(split)
        assert len(source) == count
        for index in reversed(range(count)):
            image, label = toy_streets.draw_picture(split, index)
            record = source[index]
            np.testing.assert_array_equal(record["image"], image)
            np.testing.assert_array_equal(
                record["segmentation_label"][..., 0], label
            )


def test_train_and_val_differ(train, val):
    seen = {image.tobytes() for image in train[0]}
    assert len(seen) == TRAIN
    assert not seen & {image.tobytes() for image in val[0]}
