"""Scores a classifier on a split: top-1, top-5, and who is taken for whom."""

from collections.abc import Callable

import numpy as np

from dla_keras.data.augmentation import central_crop
from dla_keras.inference.predictor import softmax

_BATCH = 32  # pictures


def evaluate_classifier(
    predict: Callable[[np.ndarray], np.ndarray],
    split,
    size: tuple[int, int],
    crop_pct: float = 0.875,
    progress=iter,
) -> dict:
    """Scores of a classifier over a whole split, on central crops.

    Args:
        predict: uint8 pictures `(n, *size, 3)` -> logits `(n, classes)`.
        split: a sequence of labelled pictures with `info`.
        size: height and width of the crops, in pixels.
        crop_pct: see `central_crop`. Defaults to `0.875`.
        progress: wraps the batches' starts, for instance `tqdm`. Defaults to
            none.

    Returns:
        `top1`, `top5`, `confusion` (true classes in rows), `class_names`,
        `pictures`, and `per_picture`: rows of `name`, `prediction` and the
        `probability` of the true class.

    Raises:
        ValueError: for an empty split.
    """
    if not len(split):
        raise ValueError("There is no picture to evaluate on.")
    names = split.info.class_names
    confusion = np.zeros((len(names), len(names)), np.int64)
    near, rows = 0, []
    for start in progress(range(0, len(split), _BATCH)):
        stop = min(start + _BATCH, len(split))
        pictures = [split[index] for index in range(start, stop)]
        crops = [central_crop(p.image, size, crop_pct) for p in pictures]
        labels = np.array([p.label for p in pictures])
        logits = np.asarray(predict(np.stack(crops)))
        order = np.argsort(-logits, axis=-1)
        rows += [
            {
                "name": picture.name,
                "prediction": int(found),
                "probability": float(shares[picture.label]),
            }
            for picture, found, shares in zip(
                pictures, order[:, 0], softmax(logits), strict=True
            )
        ]
        np.add.at(confusion, (labels, order[:, 0]), 1)
        near += int((order[:, :5] == labels[:, None]).sum())
    return {
        "top1": float(np.trace(confusion) / len(split)),
        "top5": near / len(split),
        "confusion": confusion.tolist(),
        "class_names": list(names),
        "pictures": len(split),
        "per_picture": rows,
    }
