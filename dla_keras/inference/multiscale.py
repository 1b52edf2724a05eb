"""Probabilities averaged over scales and the mirror image.

A function from picture to probabilities becomes another one, as in
`tiling.py`; `inference_flags.py` puts them together.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from dla_keras.inference.predictor import resize_scores


def parse_scales(text: str) -> tuple[float, ...]:
    """Reads a `--scales`: positive numbers with commas between.

    Raises:
        ValueError: for anything else.

    Example:

    >>> parse_scales("0.5,1,1.5")
    (0.5, 1.0, 1.5)
    """
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise ValueError(
            "Expected --scales as numbers above 0 and up to 8, for instance "
            f"0.5,0.75,1,1.25,1.5. Received: {text!r}."
        )
    return scales


def averaged(
    probabilities: Callable[[np.ndarray], np.ndarray],
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Probabilities averaged over scales and mirror, at the picture's size.

    Probabilities are averaged, as most do; the authors add their logarithms:
    https://github.com/ucbdrive/dla/blob/master/segment.py (`test_ms`).

    Args:
        probabilities: uint8 `(h, w, 3)` -> float32 `(h, w, classes)`.
        scales: that the picture is seen at. Defaults to `(1.0,)`.
        flip: whether it is also seen from left to right at each of them.
            Defaults to `False`.

    Example:

    >>> red = averaged(lambda image: np.float32(image), (0.5, 1), flip=True)
    >>> red(np.full((40, 50, 3), 7, "uint8")).mean()
    np.float32(7.0)
    """

    def predict(image):
        height, width = image.shape[:2]
        views = 0
        for scale in scales:
            view = _scaled(image, scale)
            scores = probabilities(view)
            if flip:
                mirrored = probabilities(view[:, ::-1])
                scores = (scores + mirrored[:, ::-1]) / 2
            views = views + resize_scores(scores, height, width)
        return views / len(scales)

    return predict


def _scaled(image, scale):
    if scale == 1:
        return image
    height, width = (max(1, round(scale * n)) for n in image.shape[:2])
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.BILINEAR))
