"""Scores a predictor on a split, and the two baselines that need no model."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.tasks.confusion import confusion_matrix
from dla_keras.tasks.confusion import segmentation_scores
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.losses import joint_sums


def make_loss(
    train, class_weighting: float = 0.0, boundary_weight: float = 0.0
) -> Callable:
    """Labels and the network's outputs -> loss sum and its weight.

    Args:
        train: the training split.
        class_weighting: a class weighs its frequency to minus this power.
            Defaults to `0.0`.
        boundary_weight: of the boundaries' loss; `0` for a network without.
            Defaults to `0.0`.
    """
    weights = class_weights(train, class_weighting)
    if not boundary_weight:
        return partial(cross_entropy_sums, class_weights=weights)
    return partial(
        joint_sums, boundary_weight=boundary_weight, class_weights=weights
    )


def class_weights(train, power: float) -> np.ndarray | None:
    """Loss weights that are 1 for the average pixel.

    Args:
        train: the training split.
        power: see `make_loss`; `0` gives `None`.
    """
    if not power:
        return None
    frequency = np.maximum(class_frequencies(train), 1e-6)
    weights = frequency**-power
    return weights / (weights * frequency).sum()


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    split,
    progress=iter,
) -> dict:
    """Scores of masks over a whole split, at the pictures' own size.

    Args:
        predict: uint8 picture `(h, w, 3)` -> mask `(h, w)`.
        split: a sequence of `Example` with `info`.
        progress: wraps the indices, for instance `tqdm`. Defaults to none.

    Returns:
        `miou`, `per_class_iou` (class name -> IoU, `None` where the class
        neither occurs nor is predicted), `pixel_accuracy`, `confusion` (true
        classes in rows), `class_names`, `pictures`, `milliseconds`: the
        median time of one prediction, and `per_picture`: for each, in order,
        `name`, and `miou` and `pixel_accuracy` of it alone (`None` where
        every pixel is ignored).

    Raises:
        ValueError: for an empty split or a mask of another size.
    """
    if not len(split):
        raise ValueError("There is no picture to evaluate on.")
    names = split.info.class_names
    confusion = np.zeros((len(names), len(names)), np.int64)
    seconds, rows = [], []
    for index in progress(range(len(split))):
        example = split[index]
        start = time.perf_counter()
        mask = predict(example.image)
        seconds.append(time.perf_counter() - start)
        counts = confusion_matrix(example.label, mask, len(names))
        confusion += counts
        rows.append({"name": example.name, **_picture_scores(counts)})
    scores = segmentation_scores(confusion)
    scores["per_class_iou"] = dict(
        zip(names, scores["per_class_iou"], strict=True)
    )
    return {
        **scores,
        "confusion": confusion.tolist(),
        "class_names": list(names),
        "pictures": len(split),
        "milliseconds": 1000 * float(np.median(seconds)),
        "per_picture": rows,
    }


def _picture_scores(counts):
    """Of one picture: the mean is over the classes in it, true or found."""
    scores = segmentation_scores(counts)
    valid = bool(counts.sum())
    return {
        key: scores[key] if valid else None
        for key in ("miou", "pixel_accuracy")
    }


def majority_baseline(train) -> Callable[[np.ndarray], np.ndarray]:
    """Predicts the training pixels' most frequent class everywhere."""
    counts = sum(_class_counts(e.label, train.info.num_classes) for e in train)
    return lambda image: np.full(image.shape[:2], counts.argmax(), np.uint8)


def row_baseline(train, rows: int = 100) -> Callable[[np.ndarray], np.ndarray]:
    """Predicts each row's most frequent class in training.

    Args:
        train: the training split.
        rows: bands that a picture's height is divided into. Defaults to
            `100`.
    """
    classes = train.info.num_classes
    counts = np.zeros((rows, classes), np.int64)
    for example in train:
        bands = np.arange(len(example.label)) * rows // len(example.label)
        for band, line in zip(bands, example.label, strict=True):
            counts[band] += _class_counts(line, classes)
    best = counts.argmax(1).astype(np.uint8)

    def predict(image):
        height, width = image.shape[:2]
        bands = np.arange(height) * rows // height
        return np.repeat(best[bands][:, None], width, axis=1)

    return predict


def class_frequencies(split) -> np.ndarray:
    """Share of each class among a split's valid pixels."""
    counts = sum(_class_counts(e.label, split.info.num_classes) for e in split)
    return counts / counts.sum()


def _class_counts(label, classes):
    valid = label[label != IGNORE_LABEL]
    return np.bincount(valid, minlength=classes)
