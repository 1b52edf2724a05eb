"""Where a file's masks differ most from Keras', for people to look at."""

import numpy as np
from PIL import Image

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.report.galleries import Gallery
from dla_keras.report.galleries import ShownPicture
from dla_keras.report.galleries import colored_mask
from dla_keras.report.galleries import shrunk

# What a pixel of another class is -> its colour over the grey picture.
MARKS = {
    "only Keras is right": (214, 0, 50),
    "only the file is right": (0, 150, 60),
    "both are wrong": (235, 150, 0),
    "not labelled": (60, 110, 230),
}
GREYS = 32  # few, and pale: they are for orientation


def difference_gallery(
    name: str,
    found: dict[int, np.ndarray],
    masks: KerasMasks,
    width: int = 480,
) -> Gallery:
    """Pictures with two masks and where these differ, the worst first.

    Args:
        name: of the file.
        found: index of a picture -> the file's mask.
        masks: the Keras model's.
        width: that pictures are shrunk to, in pixels. Defaults to `480`.
    """
    info = masks.split.info
    share = {i: float((mask != masks[i]).mean()) for i, mask in found.items()}

    def show(index):
        example = masks.split[index]
        views = {
            "picture": Image.fromarray(example.image),
            "Keras": colored_mask(masks[index], info.palette),
            "the file": colored_mask(found[index], info.palette),
            "difference": mark_differences(
                example.image, example.label, masks[index], found[index]
            ),
        }
        views = {title: shrunk(view, width) for title, view in views.items()}
        caption = f"{share[index]:.2%} of pixels differ"
        return ShownPicture(example.name, caption, views)

    return Gallery(
        f"{name}: where it differs most",
        tuple(map(show, sorted(share, key=share.get, reverse=True))),
        (*zip(info.class_names, info.palette, strict=True), *MARKS.items()),
    )


def mark_differences(image, label, expected, found) -> Image.Image:
    """The picture in pale grey, differing pixels in the colours of `MARKS`.

    Args:
        image: uint8 `(h, w, 3)`.
        label: uint8 `(h, w)`, class ids or `IGNORE_LABEL`.
        expected: uint8 `(h, w)`, the mask of Keras.
        found: likewise, the file's.

    Returns:
        An image of mode `"P"`: a JPEG would smear single pixels.
    """
    grey = image.mean(-1) / 255  # (h, w)
    values = np.uint8(np.round(grey * (GREYS - 1)))
    kinds = (
        expected == label,
        found == label,
        label != IGNORE_LABEL,
        label == IGNORE_LABEL,
    )
    # From the last on, so that the first that holds remains.
    for mark in reversed(range(len(kinds))):
        values[(expected != found) & kinds[mark]] = GREYS + mark
    picture = Image.fromarray(values)
    pale = np.linspace(150, 255, GREYS).astype(np.uint8)
    colors = [*np.repeat(pale[:, None], 3, 1).tolist(), *MARKS.values()]
    picture.putpalette(np.uint8(colors).tobytes())
    return picture
