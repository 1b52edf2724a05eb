"""Segmentation scores from one confusion matrix of a whole split."""

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL


def confusion_matrix(label, prediction, num_classes: int) -> np.ndarray:
    """Count pixels by true class (rows) and predicted class (columns).

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
    valid = label != IGNORE_LABEL
    pairs = num_classes * label[valid].astype(np.int64) + prediction[valid]
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def segmentation_scores(confusion: np.ndarray) -> dict:
    """Mean IoU, IoU per class and pixel accuracy.

    A class that neither occurs nor is predicted has no IoU (`None`) and does
    not enter the mean.

    Args:
        confusion: `(classes, classes)`, true classes in rows.

    Returns:
        `{"miou", "per_class_iou", "pixel_accuracy"}`.

    Example:

    >>> scores = segmentation_scores(np.array([[3, 1], [0, 4]]))
    >>> scores["per_class_iou"], scores["pixel_accuracy"]
    ([0.75, 0.8], 0.875)
    """
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hits
    total = confusion.sum()
    ious = [
        float(hit / size) if size else None
        for hit, size in zip(hits, union, strict=True)
    ]
    present = [iou for iou in ious if iou is not None]
    return {
        "miou": float(np.mean(present)) if present else 0.0,
        "per_class_iou": ious,
        "pixel_accuracy": float(hits.sum() / total) if total else 0.0,
    }
