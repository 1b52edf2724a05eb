"""Galleries: which pictures are shown, and what is drawn beside them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import PALETTE
from pictures import guess
from pictures import make_split
from PIL import Image

from dla_keras.data.classification import ClassificationInfo
from dla_keras.data.classification import LabelledPicture
from dla_keras.report import galleries
from dla_keras.report.galleries import BLUE
from dla_keras.report.galleries import GREEN
from dla_keras.report.galleries import RED
from dla_keras.report.galleries import extremes
from dla_keras.tasks.segmentation import evaluate


def pixels(image):
    return np.asarray(image.convert("RGB"))


def test_extremes_never_overlap():
    assert extremes([0.3, None, 0.1, 0.2], 2) == ([2, 3], [0])
    assert extremes([None, 0.3], 3) == ([1], [])
    assert extremes([0.3, 0.1, 0.2], 3) == ([1, 2], [0])
    assert extremes([], 3) == ([], [])
    assert extremes([1, 2], 0) == ([], [])


def test_extremes_are_not_neighbors_of_one_video():
    values = np.linspace(0, 1, 60)  # frame by frame a little better
    worst, best = extremes(values.tolist(), 3)
    assert worst == [0, 10, 20] and best == [59, 49, 39]
    # Where that leaves too few, neighbors are shown, and no middling ones.
    values = [0.1, *[None] * 8, 0.2, 0.3, 0.4]
    assert extremes(values, 2) == ([0, 9], [11, 10])


def test_segmentation_shows_picture_truth_prediction_and_errors():
    split = make_split()
    rows = evaluate(guess, split)["per_picture"]
    worst, best = galleries.segmentation_galleries(guess, split, rows, 2)
    assert len(worst.pictures) == len(best.pictures) == 2
    shown = best.pictures[0]
    assert shown.name == split[7].name and "mIoU 1.000" in shown.caption
    assert list(shown.views) == ["picture", "truth", "prediction", "errors"]
    assert {view.size for view in shown.views.values()} == {(30, 20)}
    assert not (pixels(shown.views["errors"]) == RED).all(-1).any()
    bad, example = worst.pictures[0], split[1]
    wrong = guess(example.image) != example.label
    errors = pixels(bad.views["errors"])
    np.testing.assert_array_equal((errors == RED).all(-1), wrong)
    # An overlay: the class's color over the picture in grey.
    grey = np.asarray(Image.fromarray(example.image).convert("L"))[..., None]
    expected = 0.7 * np.array(PALETTE)[example.label] + 0.3 * grey
    np.testing.assert_allclose(pixels(bad.views["truth"]), expected, atol=0.5)
    assert dict(best.colors)["wrong"] == RED
    with pytest.raises(ValueError, match="1 rows for 8 pictures"):
        galleries.segmentation_galleries(guess, split, [{}])


def test_pixels_without_a_label_are_no_errors():
    split = make_split(2)
    rows = [{"miou": 0.1 * i, "pixel_accuracy": 0.5} for i in (1, 2)]
    worst, _ = galleries.segmentation_galleries(guess, split, rows, 1)
    views = worst.pictures[0].views  # every pixel of the first is ignored
    assert (pixels(views["errors"]) == BLUE).all()
    grey = np.asarray(Image.fromarray(split[0].image).convert("L"))
    assert (pixels(views["truth"]) == grey[..., None]).all()


def test_boundaries_are_found_false_or_missed():
    truth = np.zeros((200, 300), bool)
    truth[:, 100] = truth[:, 200] = True
    found = np.zeros((200, 300), np.float32)
    found[:, 101] = found[:, 50] = 0.9
    found[:, 250] = 0.2  # below the threshold
    example = SimpleNamespace(
        name="x",
        image=np.full((200, 300, 3), 99, np.uint8),
        annotations=[truth],
    )
    row = {"f": 0.5, "threshold": 0.5, "recall": 0.5, "precision": 0.5}
    shown, _ = galleries.boundary_galleries(lambda _: found, [example], [row])
    errors = pixels(shown.pictures[0].views["errors"])[100]
    columns = [
        np.flatnonzero((errors == color).all(-1)).tolist()
        for color in (GREEN, RED, BLUE)
    ]
    assert columns == [[101], [50], [200]]
    assert list(shown.pictures[0].views) == [
        *("picture", "truth", "found", "errors")
    ]


def test_boundaries_without_a_picture():
    example = SimpleNamespace(
        name="x", image=None, annotations=[np.eye(40, dtype=bool)]
    )
    row = {"f": 0.5, "threshold": 0.5, "recall": 0.5, "precision": 0.5}
    shown, _ = galleries.boundary_galleries(
        lambda _: np.zeros((40, 40)), [example], [row]
    )
    assert list(shown.pictures[0].views) == ["truth", "found"]


def test_classification_shows_the_least_and_the_most_likely():
    pictures = [
        LabelledPicture(
            np.full((40, 50, 3), 9 * i, np.uint8), i % 2, f"{i}.png"
        )
        for i in range(4)
    ]
    info = ClassificationInfo("x", ("cat", "dog"))
    split = type("Split", (list,), {"info": info})(pictures)
    rows = [{"prediction": 0, "probability": p} for p in (0.9, 0.2, 0.99, 0.4)]
    shown = galleries.classification_galleries(split, rows, count=1)
    assert [g.pictures[0].name for g in shown] == ["1.png", "2.png"]
    assert shown[0].pictures[0].caption == "dog: 20.0%; found: cat"


def test_differences_are_marked_by_who_is_right():
    label, keras, found = np.uint8(
        [[[0, 0, 0, 0, 0, 255]], [[0, 0, 1, 1, 1, 1]], [[0, 1, 0, 2, 1, 0]]]
    )
    split = make_split(1)
    image = np.full((1, 6, 3), 255, np.uint8)
    split[0] = dataclasses.replace(split[0], image=image, label=label)
    shown = galleries.difference_gallery("f", split, {0: keras}, {0: found})
    marked = shown.pictures[0].views["difference"]
    red, green, orange, blue = galleries.DIFFERENCES.values()
    white = (255, 255, 255)
    assert marked.mode == "P" and list(map(tuple, pixels(marked)[0])) == [
        *(white, red, green, orange, white, blue)
    ]
    assert shown.pictures[0].caption == "66.67% of pixels differ"


def test_the_pictures_that_differ_most_come_first():
    split = make_split(3)
    masks = [guess(example.image) for example in split]
    other = {i: (mask + (i == 1)) % 3 for i, mask in enumerate(masks)}
    shown = galleries.difference_gallery("f", split, masks, other)
    assert [p.name for p in shown.pictures][0] == split[1].name
