"""What a model sees of a picture: scales, the mirror image, tiles.

A function from picture to probabilities becomes another one that averages
them, as in `tiling.py`; the rows of `tasks/` put them together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.inference.predictor import resize_scores
from dla_keras.inference.tiling import DEFAULT_OVERLAP


@dataclass(frozen=True)
class Views:
    """What a model sees of a picture; each task takes what concerns it.

    Args:
        scales: Scales to average probabilities over. Defaults to `(1.0,)`.
        flip: Whether to average over the mirror image too. Defaults to
            `False`.
        tile: Height and width of a tile; `None` for the whole picture.
            Defaults to `None`.
        overlap: Overlap of tiles, in pixels. Defaults to `128`.
        nms: Whether only ridges of boundaries are kept. Defaults to `True`.
        size: Height and width of a classifier's crop. Defaults to `None`: the
            file's own.
        crop_fraction: Share of a picture that a classifier sees. Defaults to
            `None`: the usual one.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    tile: tuple[int, int] | None = None
    overlap: int = DEFAULT_OVERLAP
    nms: bool = True
    size: tuple[int, int] | None = None
    crop_fraction: float | None = None

    @property
    def several(self) -> bool:
        """Whether probabilities of several views are averaged."""
        return self.flip or self.scales != (1.0,)

    def check_scales(self, name: str, size: tuple[int, int] | None) -> None:
        """Raise `ValueError` if a model of fixed size shall see scales."""
        if size and self.scales != (1.0,):
            raise ValueError(
                f"--scales needs a model that takes any size, and {name} takes "
                f"{size[0]}x{size[1]} only: leave --scales away, or use the "
                ".keras file."
            )


def parse_scales(text: str) -> tuple[float, ...]:
    """Return the scales that a text names, with commas between.

    Raises:
        ValueError: If it is anything but positive numbers.

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
    """Return a function that averages probabilities over scales and mirror.

    The result has the picture's size.

    Probabilities are averaged, as most do; the authors add their logarithms:
    https://github.com/ucbdrive/dla/blob/master/segment.py (`test_ms`).

    Args:
        probabilities: Function: uint8 `(h, w, 3)` -> float32
            `(h, w, classes)`.
        scales: Scales to see the picture at. Defaults to `(1.0,)`.
        flip: Whether its mirror image is seen too. Defaults to `False`.

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
