"""The best and the worst pictures of an evaluation, for `html_report.py`."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.inference.prediction_files import colorize
from dla_keras.report.grids import dark_on_white


@dataclass(frozen=True)
class ShownPicture:
    """A picture with what belongs beside it.

    Args:
        name: file or key it came from.
        caption: what to say about it.
        views: title -> a PIL image; pictures are of mode `"RGB"`, masks in
            colours of mode `"P"`.
    """

    name: str
    caption: str
    views: dict[str, Image.Image]


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading.

    Args:
        title: the heading.
        pictures: what it shows.
        colors: class name -> RGB colour, the legend. Defaults to none.
    """

    title: str
    pictures: tuple[ShownPicture, ...]
    colors: tuple[tuple[str, tuple[int, int, int]], ...] = ()


def extremes(values: Sequence[float | None], count: int) -> tuple[list, list]:
    """Indices of the lowest and of the highest values, no index in both.

    Args:
        values: by index; `None` is neither.
        count: of each, at most.

    Example:

    >>> extremes([0.5, None, 0.1, 0.9], 1)
    ([2], [3])
    """
    order = sorted(
        (index for index, value in enumerate(values) if value is not None),
        key=values.__getitem__,
    )
    best = order[::-1][: min(count, len(order) // 2)]
    return [index for index in order[:count] if index not in best], best


def segmentation_galleries(
    predict: Callable[[np.ndarray], np.ndarray],
    split,
    per_picture: Sequence[dict],
    count: int = 3,
    width: int = 480,
) -> tuple[Gallery, Gallery]:
    """The worst and the best pictures by their own mIoU.

    Args:
        predict: uint8 picture -> mask.
        split: a sequence of `Example` with `info`.
        per_picture: what `evaluate` gives by that name, for the same split.
        count: pictures of each. Defaults to `3`.
        width: that they are shrunk to, in pixels. Defaults to `480`.
    """
    if len(per_picture) != len(split):
        raise ValueError(
            "Expected a row per picture of the split. Received: "
            f"{len(per_picture)} rows for {len(split)} pictures."
        )
    palette = split.info.palette

    def show(index):
        example, row = split[index], per_picture[index]
        views = {
            "picture": shrunk(Image.fromarray(example.image), width),
            "truth": shrunk(colored_mask(example.label, palette), width),
            "prediction": shrunk(
                colored_mask(predict(example.image), palette), width
            ),
        }
        caption = (
            f"mIoU {row['miou']:.3f}, pixel accuracy "
            f"{row['pixel_accuracy']:.3f}"
        )
        return ShownPicture(example.name, caption, views)

    named = zip(split.info.class_names, palette, strict=True)
    colors = (*named, ("ignored", (0, 0, 0)))
    worst, best = extremes([row["miou"] for row in per_picture], count)
    return (
        Gallery("Worst pictures", tuple(map(show, worst)), colors),
        Gallery("Best pictures", tuple(map(show, best)), colors),
    )


def boundary_galleries(
    find: Callable,
    split,
    per_picture: Sequence[dict],
    count: int = 3,
    width: int = 480,
) -> tuple[Gallery, Gallery]:
    """The worst and the best pictures by their own best F.

    Args:
        find: example -> boundary map, 0 to 1.
        split: a sequence of `BoundaryExample`.
        per_picture: `pictures` of what `evaluate_boundary_split` gives.
        count: pictures of each. Defaults to `3`.
        width: that they are shrunk to, in pixels. Defaults to `480`.
    """

    def show(index):
        example, row = split[index], per_picture[index]
        views = {
            "truth": dark_on_white(np.mean(example.annotations, axis=0)),
            "found": dark_on_white(find(example)),
        }
        if example.image is not None:
            views = {"picture": Image.fromarray(example.image), **views}
        views = {name: shrunk(view, width) for name, view in views.items()}
        caption = (
            f"F {row['f']:.3f} at {row['threshold']:.2f}: recall "
            f"{row['recall']:.3f}, precision {row['precision']:.3f}"
        )
        return ShownPicture(example.name, caption, views)

    worst, best = extremes([row["f"] for row in per_picture], count)
    return (
        Gallery("Worst pictures", tuple(map(show, worst))),
        Gallery("Best pictures", tuple(map(show, best))),
    )


def classification_galleries(
    split, per_picture: Sequence[dict], count: int = 8, width: int = 200
) -> tuple[Gallery, Gallery]:
    """The pictures whose true class was found least and most likely.

    Args:
        split: a sequence of `LabelledPicture` with `info`.
        per_picture: for each of its pictures `probability`, of the true
            class, and `prediction`, the likeliest class' id.
        count: pictures of each. Defaults to `8`.
        width: that they are shrunk to, in pixels. Defaults to `200`.
    """
    names = split.info.class_names

    def show(index):
        picture, row = split[index], per_picture[index]
        caption = (
            f"{names[picture.label]}: {row['probability']:.1%}; found: "
            f"{names[row['prediction']]}"
        )
        view = shrunk(Image.fromarray(picture.image), width)
        return ShownPicture(picture.name, caption, {"": view})

    worst, best = extremes([row["probability"] for row in per_picture], count)
    return (
        Gallery("Worst pictures", tuple(map(show, worst))),
        Gallery("Best pictures", tuple(map(show, best))),
    )


def colored_mask(mask, palette):
    """A mask of mode `"P"`, ignored pixels in black."""
    image = Image.fromarray(np.asarray(mask, np.uint8))
    image.putpalette(colorize(np.arange(256), palette).tobytes())
    return image


def shrunk(image, width):
    """A picture no wider than `width`, of the same mode."""
    if image.width <= width:
        return image
    size = width, max(1, round(width * image.height / image.width))
    nearest = image.mode == "P"
    return image.resize(size, Image.NEAREST if nearest else Image.BILINEAR)
