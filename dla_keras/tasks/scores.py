"""Scores by class, from the counts of a confusion matrix."""

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL

# Score -> its name in tables; means over the classes that occur.
MEANS = {
    "mean_accuracy": "mean accuracy",
    "mean_f1": "mean F1",
    "frequency_weighted_iou": "fw IoU",
}
# Score by class -> its name in tables.
BY_CLASS = {
    "per_class_iou": "IoU",
    "per_class_precision": "precision",
    "per_class_recall": "recall",
    "per_class_f1": "F1",
}


_PART = 2**20  # pixels that are counted at once


def confusion_matrix(label, prediction, num_classes: int) -> np.ndarray:
    """Return counts of pixels by true class (rows) and found class (columns).

    Args:
        label: Class ids or `IGNORE_LABEL`, which does not count.
        prediction: Class ids, of the label's shape.
        num_classes: Number of classes.

    Returns:
        int64 `(num_classes, num_classes)`.

    Example:

    >>> confusion_matrix(np.array([0, 1, 255]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 0]])
    """
    if label.shape != prediction.shape:
        raise ValueError(
            "Label and prediction must be of one shape. Received: "
            f"{label.shape} and {prediction.shape}."
        )
    if prediction.size and prediction.max() >= num_classes:
        raise ValueError(
            f"Expected class ids below {num_classes}. Received: a mask with "
            f"{prediction.max()}; it is of a model with other classes."
        )
    counts = np.zeros(num_classes**2, np.int64)
    labels, found = label.ravel(), prediction.ravel()
    # In parts: whole numbers of a photograph would take 300 MB.
    for start in range(0, labels.size, _PART):
        part = slice(start, start + _PART)
        valid = labels[part] != IGNORE_LABEL
        truth = labels[part][valid].astype(np.int64)
        pairs = num_classes * truth + found[part][valid]
        counts += np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_scores(confusion, names) -> dict:
    """Return precision, recall, F1 and IoU by class, and their means.

    F1 of pixels is also called Dice. A score that would be divided by nothing
    is `None`, and enters no mean: the precision of a class that is never
    found, the recall of one that does not occur, F1 and IoU of one that is
    neither.

    Args:
        confusion: `(num_classes, num_classes)`, true classes in rows.
        names: Names of the classes.

    Returns:
        The keys of `BY_CLASS`, each a dictionary by class name, and those of
        `MEANS`: the mean recall and F1, and the mean IoU weighted by the
        classes' frequencies; `None` where nothing was counted.

    Example:

    >>> scores = class_scores([[3, 1, 0], [0, 4, 0], [0, 0, 0]], "abc")
    >>> scores["per_class_precision"]
    {'a': 1.0, 'b': 0.8, 'c': None}
    >>> scores["mean_accuracy"], scores["frequency_weighted_iou"]
    (0.875, 0.775)
    """
    confusion = np.asarray(confusion, np.float64)
    hits, truth, found = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    by_class = {
        "per_class_iou": _quotients(hits, truth + found - hits),
        "per_class_precision": _quotients(hits, found),
        "per_class_recall": _quotients(hits, truth),
        "per_class_f1": _quotients(2 * hits, truth + found),
    }
    ious = [iou or 0.0 for iou in by_class["per_class_iou"]]
    weighted = _quotients([truth @ ious], [truth.sum()])
    return {
        **{k: dict(zip(names, v, strict=True)) for k, v in by_class.items()},
        "mean_accuracy": mean_of(by_class["per_class_recall"]),
        "mean_f1": mean_of(by_class["per_class_f1"]),
        "frequency_weighted_iou": weighted[0],
    }


def mean_of(values) -> float | None:
    """Return the mean of those that are not `None`; `None` if all are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _quotients(parts, wholes):
    return [
        float(part / whole) if whole else None
        for part, whole in zip(parts, wholes, strict=True)
    ]
