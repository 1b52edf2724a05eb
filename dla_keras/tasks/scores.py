"""Scores by class: from the counts of a confusion matrix, and of boxes."""

import numpy as np

from dla_keras.data.boxes import ignored
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
    "per_class_ap": "AP",
    "per_class_ap50": "AP50",
}
# The twelve figures of COCO, in its order.
COCO_FIGURES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)


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


def box_scores(records, names) -> dict:
    """Return COCO's figures of found boxes, and precision and recall.

    Args:
        records: For each picture `truth`, rows of class, top, left, bottom,
            right, with `ignored(class)` where a box is to be ignored; and
            `found`, rows of class, score and the same corners.
        names: Names of the classes.

    Returns:
        The keys of `COCO_FIGURES` (`None` where there is no such object),
        `per_class_ap` and `per_class_ap50`; `thresholds`, rows of
        `threshold` of the score, mean `precision`, `recall` and `f` at an
        overlap of 0.5; and `best`, the row of the best `f`.

    Example:

    >>> box = [10.0, 10.0, 60.0, 50.0]
    >>> picture = {"truth": [[0, *box]], "found": [[0, 0.9, *box]]}
    >>> scores = box_scores([picture], ["car"])
    >>> round(scores["ap"], 3), scores["ap_large"], scores["best"]["f"]
    (1.0, None, 1.0)
    """
    evaluation = _coco_evaluation(records, names)
    figures = [float(x) if x > -1 else None for x in evaluation.stats[:12]]
    # Overlaps, recalls, classes; of all areas, a hundred boxes a picture.
    precision = evaluation.eval["precision"][..., 0, -1]
    scores = evaluation.eval["scores"][0, :, :, 0, -1]
    by_class = [_mean_known(precision[:, :, k]) for k in range(len(names))]
    at_half = [_mean_known(precision[0, :, k]) for k in range(len(names))]
    recalls = np.asarray(evaluation.params.recThrs)
    rows = _by_threshold(precision[0], scores, recalls)
    return {
        **dict(zip(COCO_FIGURES, figures, strict=True)),
        "per_class_ap": dict(zip(names, by_class, strict=True)),
        "per_class_ap50": dict(zip(names, at_half, strict=True)),
        "thresholds": rows,
        "best": max(rows, key=lambda row: row["f"]),
    }


def _coco_evaluation(records, names):
    """Return the evaluation of faster-coco-eval, summed up."""
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster

    truth, found = [], []
    for number, record in enumerate(records, start=1):
        for class_id, *box in record["truth"]:
            crowd = class_id < 0
            category = ignored(class_id) if crowd else class_id
            corner = _corner(box)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": number,
                    "category_id": int(category),
                    "bbox": corner,
                    "area": corner[2] * corner[3],
                    "iscrowd": int(crowd),
                }
            )
        for class_id, score, *box in record["found"]:
            found.append(
                {
                    "image_id": number,
                    "category_id": int(class_id),
                    "bbox": _corner(box),
                    "score": score,
                }
            )
    coco = COCO(
        {
            "images": [{"id": n + 1} for n in range(len(records))],
            "annotations": truth,
            "categories": [{"id": i, "name": n} for i, n in enumerate(names)],
        }
    )
    evaluation = COCOeval_faster(coco, coco.loadRes(found), iouType="bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _corner(box):
    """Return left, top, width and height, as COCO has them."""
    top, left, bottom, right = box
    return [left, top, right - left, bottom - top]


def _mean_known(values):
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _by_threshold(precision, scores, recalls):
    """Return mean precision, recall and F over classes by least score."""
    known = (precision > -1).any(0)
    rows = []
    for threshold in np.arange(1, 100) / 100:
        # Up to the recall that needs no lower score.
        reached = (scores[:, known] >= threshold) & (precision[:, known] > 0)
        last = np.maximum(reached.sum(0) - 1, 0)
        any_at_all = reached.any(0)
        recall = np.where(any_at_all, recalls[last], 0.0)
        right = precision[:, known][last, range(last.size)]
        right = np.where(any_at_all, right, 0.0)
        f = 2 * right * recall / np.maximum(right + recall, 1e-9)
        mean = lambda values: float(values.mean()) if values.size else 0.0
        rows.append(
            {
                "threshold": float(threshold),
                "precision": mean(right),
                "recall": mean(recall),
                "f": mean(f),
            }
        )
    return rows


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the overlap (IoU) of each box with each other one.

    Args:
        first: `(n, 4)`: top, left, bottom, right.
        second: `(m, 4)`.

    Example:

    >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 4]]))
    array([[0.5]])
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), -1)
    area = lambda box: np.prod(box[:, 2:] - box[:, :2], -1)
    either = area(first)[:, None] + area(second)[None] - both
    return both / np.maximum(either, 1e-9)


def count_matches(truth, found, least_score: float) -> dict[str, int]:
    """Return how many boxes of a picture are found, and how many are not.

    Each box of the truth is found once, by the surest of its class that
    overlaps it by a half. What lies on an ignored box counts as neither.

    Args:
        truth: Rows of class and corners, see `box_scores`.
        found: Rows of class, score and corners.
        least_score: Score below which nothing is found.

    Returns:
        `hits`, `missed` and `wrong`.
    """
    truth = np.reshape(np.asarray(truth, float), (-1, 5))
    found = np.reshape(np.asarray(found, float), (-1, 6))
    found = found[found[:, 1] >= least_score]
    found = found[np.argsort(-found[:, 1], kind="stable")]
    share = overlaps(found[:, 2:], truth[:, 1:])
    same = found[:, :1] == truth[None, :, 0]
    hidden = found[:, :1] == ignored(truth[None, :, 0])
    taken, hits, wrong = set(), 0, 0
    for index, row in enumerate(share):
        free = [
            j
            for j in np.flatnonzero(same[index] & (row >= 0.5))
            if j not in taken
        ]
        if free:
            taken.add(max(free, key=row.__getitem__))
            hits += 1
        elif not (hidden[index] & (row >= 0.5)).any():
            wrong += 1
    objects = int((truth[:, 0] >= 0).sum())
    return {"hits": hits, "missed": objects - hits, "wrong": wrong}
