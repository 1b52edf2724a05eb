"""Scores, losses, baselines and padding against plain definitions."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from dla_keras.data.datasets import DATASETS
from dla_keras.data.segmentation import Example
from dla_keras.inference.predictor import Predictor
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.scores import confusion_matrix
from dla_keras.tasks.segmentation import cells
from dla_keras.tasks.segmentation import evaluate
from dla_keras.tasks.segmentation import majority_baseline
from dla_keras.tasks.segmentation import measure
from dla_keras.tasks.segmentation import named_scores
from dla_keras.tasks.segmentation import row_baseline
from dla_keras.tasks.segmentation import summarize


class Split(list):
    info = DATASETS["camvid"]


def example(label):
    label = np.asarray(label, np.uint8)
    return Example(np.zeros((*label.shape, 3), np.uint8), label, "made")


def test_photographs_are_counted_in_parts():
    random = np.random.default_rng(0)
    label, found = random.integers(0, 5, (2, 1100, 2000), np.uint8)
    label[:, 7] = 255
    counts = confusion_matrix(label, found.T.copy().T, 5)  # column by column
    assert counts.sum() == 1100 * 1999
    for truth, guess in ((0, 0), (3, 1)):
        both = (label == truth) & (found == guess)
        assert counts[truth, guess] == both.sum()


def test_scores_equal_the_definition():
    random = np.random.default_rng(0)
    label = random.integers(0, 5, (20, 30))
    label[:3] = 255
    prediction = random.integers(0, 5, (20, 30))
    label[label == 4] = 3  # class 4 is predicted but never occurs
    info = SimpleNamespace(class_names=tuple(range(6)))
    scores = named_scores(confusion_matrix(label, prediction, 6), info)
    valid = label != 255
    for index in range(6):
        truth = (label == index) & valid
        guess = (prediction == index) & valid
        hits = (truth & guess).sum()
        for name, part, whole in (
            ("iou", hits, (truth | guess).sum()),
            ("precision", hits, guess.sum()),
            ("recall", hits, truth.sum()),
            ("f1", 2 * hits, truth.sum() + guess.sum()),
        ):
            expected = part / whole if whole else None
            assert scores[f"per_class_{name}"][index] == expected
    ious, recalls = scores["per_class_iou"], scores["per_class_recall"]
    assert ious[4] == 0 and ious[5] is None and recalls[4] is None
    shares = [np.mean(label[valid] == index) for index in range(5)]
    assert scores["miou"] == np.mean([ious[index] for index in range(5)])
    assert scores["mean_accuracy"] == np.mean([recalls[i] for i in range(4)])
    assert scores["frequency_weighted_iou"] == pytest.approx(
        sum(share * ious[index] for index, share in enumerate(shares))
    )
    assert scores["pixel_accuracy"] == np.mean((label == prediction)[valid])


def test_scores_that_rest_on_no_pixel_are_none():
    split = Split([example([[255, 255, 255]])])
    scores = evaluate(lambda image: np.zeros((1, 3), np.uint8), split)
    shown = cells(scores)
    assert scores["miou"] is scores["pixel_accuracy"] is None
    assert {*shown.values()} == {"-"} and "mIoU" in shown


def test_machines_that_share_a_split_find_the_scores_of_one():
    random = np.random.default_rng(1)
    split = Split(example(random.integers(0, 11, (7, 9))) for _ in range(5))
    split[3].label[:] = 255
    found = {id(e.image): random.integers(0, 11, (7, 9)) for e in split}
    find = lambda image: found[id(image)]
    one = evaluate(find, split)
    shares = [list(measure(find, split, part)) for part in ([0, 2, 4], [1, 3])]
    shares = json.loads(json.dumps(shares))  # as they travel
    records = [shares[index % 2][index // 2] for index in range(5)]
    several = summarize(records, split.info)
    assert several.pop("milliseconds") > 0 and one.pop("milliseconds") > 0
    assert several == one


def test_miou_is_of_the_set_not_the_mean_of_pictures():
    split = Split([example([[0, 0, 0, 1]]), example([[1, 1, 1, 1]])])
    masks = iter([np.array([[0, 0, 0, 0]]), np.array([[1, 1, 1, 1]])])
    scores = evaluate(lambda image: next(masks), split)
    assert scores["per_class_iou"]["sky"] == 3 / 4
    assert scores["per_class_iou"]["building"] == 4 / 5
    assert scores["miou"] == (3 / 4 + 4 / 5) / 2
    assert scores["per_class_iou"]["car"] is None
    assert np.sum(scores["confusion"]) == 8


def test_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 4\) and \(1, 3\)"):
        evaluate(lambda i: np.zeros((1, 3)), Split([example([[0] * 4])]))
    with pytest.raises(ValueError, match="no picture"):
        evaluate(lambda i: i, Split())


def test_baselines():
    train = Split([example([[0, 0, 255], [1, 1, 2], [0, 0, 0]])])
    picture = np.zeros((6, 2, 3), np.uint8)
    assert np.unique(majority_baseline(train)(picture)).tolist() == [0]
    rows = row_baseline(train, rows=3)(picture)
    assert rows[:, 0].tolist() == [0, 0, 1, 1, 0, 0]


def test_loss_leaves_ignored_pixels_out_and_weights_classes():
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    labels = random.integers(0, 5, (2, 3, 4))
    labels[0] = 255
    weights = np.arange(1.0, 6.0)
    loss, weight = cross_entropy_sums(labels, logits, weights)
    shifted = np.exp(logits[1] - logits[1].max(-1, keepdims=True))
    probability = shifted / shifted.sum(-1, keepdims=True)
    rows, columns = np.mgrid[:3, :4]
    per_pixel = -np.log(probability[rows, columns, labels[1]])
    expected = (per_pixel * weights[labels[1]]).sum()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(weight) == weights[labels[1]].sum()


def test_loss_without_a_valid_pixel_is_zero():
    labels = np.full((1, 2, 2), 255)
    loss, weight = cross_entropy_sums(labels, np.zeros((1, 2, 2, 3)))
    assert float(loss) == 0 and float(weight) == 0


@pytest.mark.parametrize(
    ("shape", "size", "seen"),
    [
        ((40, 70), None, (64, 96)),  # padded to multiples of 32
        ((40, 70), (64, 128), (64, 128)),  # padded to the model's size
        ((100, 70), (64, 64), (64, 64)),  # shrunk to it
    ],
)
def test_predictor_returns_the_pictures_size(shape, size, seen):
    def run(image):
        assert image.shape == (*seen, 3)
        return image[..., 0]

    image = np.full((*shape, 3), 7, np.uint8)
    mask = Predictor(run, size)(image)
    assert mask.shape == shape
    assert np.unique(mask).tolist() == [7]  # nothing of the padding
