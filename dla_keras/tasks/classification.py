"""Scores a classifier on a split: top-1, top-5, and who is taken for whom."""

from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

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


def confusion_picture(confusion, class_names, side: int = 720):
    """The confusion matrix as a picture: true classes down, found across.

    Args:
        confusion: counts, true classes in rows.
        class_names: one per row.
        side: of the matrix, in pixels; more where classes are many. Defaults
            to `720`.

    Returns:
        A PIL image; a cell is as dark as its share of its row.

    Example:

    >>> confusion_picture([[3, 1], [0, 4]], ("cat", "dog"), side=100).mode
    'RGB'
    """
    counts = np.asarray(confusion, np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = max(1, side // len(counts))
    light, dark = np.array([255.0, 255, 255]), np.array([8.0, 48, 107])
    colors = light + shares[..., None] * (dark - light)
    matrix = Image.fromarray(colors.round().astype(np.uint8))
    matrix = matrix.resize((cell * len(counts),) * 2, Image.NEAREST)
    font = ImageFont.load_default(size=min(14, max(6, cell - 2)))
    margin = 30
    if cell >= 8:  # room for names
        margin = 16 + int(max(font.getlength(name) for name in class_names))
    picture = Image.new("RGB", (matrix.width + margin + 8, matrix.height + 30))
    picture.paste("white", (0, 0, *picture.size))
    picture.paste(matrix, (margin, 24))
    draw = ImageDraw.Draw(picture)
    draw.text((margin, 4), "found (across), true (down)", "black", font)
    for index, name in enumerate(class_names):
        y = 24 + cell * index
        if cell >= 8:
            draw.text((6, y + (cell - font.size) // 2 - 1), name, "black", font)
        if cell >= 24:
            _write_counts(draw, counts[index], shares[index], margin, y, cell)
    return picture


def _write_counts(draw, counts, shares, left, top, cell):
    font = ImageFont.load_default(size=min(13, cell // 2))
    for index, (count, share) in enumerate(zip(counts, shares, strict=True)):
        if count:
            draw.text(
                (left + cell * (index + 0.5), top + cell / 2),
                str(int(count)),
                "white" if share > 0.5 else "black",
                font,
                anchor="mm",
            )
