"""Choose and draw the pictures of a page, and grids of predictions."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from dla_keras.choices import spread
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.fitting import LARGE
from dla_keras.data.fitting import fit_of
from dla_keras.data.fitting import resize_label
from dla_keras.data.fitting import resize_picture
from dla_keras.inference.prediction_files import Found
from dla_keras.inference.prediction_files import colorize
from dla_keras.inference.prediction_files import draw_boxes

RED, GREEN, BLUE = (214, 0, 50), (0, 150, 60), (60, 110, 230)
# Kind of a pixel -> its color over the grey picture.
ERRORS = {"wrong": RED, "not labelled": BLUE}
BOUNDARY_ERRORS = {"found": GREEN, "false": RED, "missed": BLUE}
DIFFERENCES = {
    "only Keras is right": RED,
    "only the file is right": GREEN,
    "both are wrong": (235, 150, 0),
    "not labelled": BLUE,
}
DRAWN = fit_of(LARGE)  # of what is drawn before it is shrunk for a page
WIDTH = 480  # pixels that pictures of a page are shrunk to
OPACITY = 0.7  # of a mask over its picture
GREYS = 16  # few, and pale: they are for orientation
REACH = 0.0075  # of the diagonal: how far from the truth a boundary is found


@dataclass(frozen=True)
class ShownPicture:
    """A picture with the views that belong beside it.

    Args:
        name: File or key that it came from.
        caption: Text about it.
        views: Title of a view -> PIL image of any size; photographs of mode
            `"RGB"`, few colors of mode `"P"`.
    """

    name: str
    caption: str
    views: dict[str, Image.Image]


@dataclass(frozen=True)
class Gallery:
    """Pictures under one heading.

    Args:
        title: Heading.
        pictures: Pictures in their order.
        colors: Legend: pairs of a name and an RGB color. Defaults to none.
    """

    title: str
    pictures: tuple[ShownPicture, ...]
    colors: tuple[tuple[str, tuple[int, int, int]], ...] = ()


def extremes(values: Sequence[float | None], count: int) -> tuple[list, list]:
    """Return indices of the lowest and of the highest values, none in both.

    Neighbors are often frames of one video: indices keep a distance while
    there are enough values to choose from.

    Args:
        values: Value by index; `None` is neither low nor high.
        count: Number of indices of each kind, at most.

    Example:

    >>> extremes([0.5, None, 0.1, 0.9], 1)
    ([2], [3])
    >>> extremes([0.1, 0.11, 0.12, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8], 2)
    ([0, 2], [8, 6])
    """
    known = [index for index, value in enumerate(values) if value is not None]
    order = sorted(known, key=values.__getitem__)
    half = len(order) // 2
    lower, upper = order[: len(order) - half], order[::-1][:half]
    return tuple(_apart(part, count, len(values)) for part in (lower, upper))


def _apart(order, count, total):
    """Return the first indices that keep a distance, then the first others."""
    distance = total // (2 * count) if count else 0
    chosen = []
    for least in (distance, 1):
        for index in order:
            far = all(abs(index - other) >= least for other in chosen)
            if far and len(chosen) < count:
                chosen.append(index)
    return sorted(chosen, key=order.index)


def label_gallery(title: str, examples: Sequence, info) -> Gallery:
    """Return labels over their pictures, ignored pixels in gray.

    Args:
        title: Heading.
        examples: Examples of a segmentation split.
        info: Facts of the dataset.
    """
    shown = []
    for example in examples:
        image, label = _small(example.image, example.label)
        views = {"": _overlaid(image, label, info.palette)}
        caption = _shares_spoken(example.label, info.class_names)
        shown.append(ShownPicture(example.name, caption, views))
    colors = zip(info.class_names, info.palette, strict=True)
    return Gallery(title, tuple(shown), tuple(colors))


def box_gallery(title: str, examples: Sequence, info) -> Gallery:
    """Return pictures with their boxes; those that are ignored are left out.

    Args:
        title: Heading.
        examples: Examples of a detection split.
        info: Facts of the dataset.
    """
    shown = []
    for example in examples:
        picture = Image.fromarray(example.image)
        picture.thumbnail((LARGE, LARGE))
        truth, views = _true_boxes(example), {}
        views[""] = draw_boxes(picture, truth, info.palette, info.class_names)
        count = len(truth.boxes)
        caption = f"{count} box{'es' * (count != 1)}"
        shown.append(ShownPicture(example.name, caption, views))
    colors = zip(info.class_names, info.palette, strict=True)
    return Gallery(title, tuple(shown), tuple(colors))


def class_gallery(title: str, pictures: Sequence, names) -> Gallery:
    """Return pictures with their classes.

    Args:
        title: Heading.
        pictures: Pictures of a classification split.
        names: Names of the classes.
    """
    shown = [
        ShownPicture(p.name, names[p.label], {"": Image.fromarray(p.image)})
        for p in pictures
    ]
    return Gallery(title, tuple(shown))


def _small(image, label):
    """Return an image and its label in the size that a page shows."""
    image, label = Image.fromarray(image), Image.fromarray(label)
    width = min(WIDTH, image.width)
    size = resized(image, width).size
    label = label.resize(size, Image.NEAREST)
    return np.asarray(resized(image, width)), np.asarray(label)


def _shares_spoken(label, names, most: int = 3):
    """Return the classes that a label holds most of, and their shares."""
    counts = np.array(Image.fromarray(label).histogram())
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    parts = [
        f"{names[i] if i < len(names) else 'ignored'} "
        f"{counts[i] / label.size:.0%}"
        for i in order[:most]
    ]
    return ", ".join(parts) + (", ..." if len(order) > most else "")


def drawable(image, *masks) -> list:
    """Return an image and masks of its size, shrunk if it is large.

    Several photographs with their views would fill the memory.

    Args:
        image: uint8 `(h, w, 3)`.
        *masks: uint8 `(h, w)` each.
    """
    size = DRAWN.content(*image.shape[:2])
    shrunk = [resize_label(np.asarray(mask), *size) for mask in masks]
    return [resize_picture(image, *size), *shrunk]


def segmentation_galleries(
    predict: Callable[[np.ndarray], np.ndarray],
    split,
    per_picture: Sequence[dict],
    count: int = 3,
) -> tuple[Gallery, Gallery]:
    """Return the worst and the best pictures by their own mIoU.

    Args:
        predict: Function from a uint8 picture to its mask.
        split: Sequence of `Example` with `info`.
        per_picture: `per_picture` of the scores of the same split.
        count: Number of pictures of each. Defaults to `3`.

    Raises:
        ValueError: If the rows are not as many as the pictures.
    """
    palette = split.info.palette

    def show(example, row):
        mask = np.asarray(predict(example.image))
        image, label, mask = drawable(example.image, example.label, mask)
        kinds = (mask != label) & (label != IGNORE_LABEL), label == IGNORE_LABEL
        views = {
            "picture": Image.fromarray(image),
            "truth": _overlaid(image, label, palette),
            "prediction": _overlaid(image, mask, palette),
            "errors": _marked(image, kinds, ERRORS.values()),
        }
        accuracy = row["pixel_accuracy"]
        caption = f"mIoU {row['miou']:.3f}, pixel accuracy {accuracy:.3f}"
        return caption, views

    named = zip(split.info.class_names, palette, strict=True)
    colors = (*named, *ERRORS.items())
    return _galleries(split, per_picture, "miou", show, count, colors)


def boundary_galleries(
    find: Callable,
    split,
    per_picture: Sequence[dict],
    count: int = 3,
) -> tuple[Gallery, Gallery]:
    """Return the worst and the best pictures by their own best F.

    Args:
        find: Function from an example to its boundary map, 0 to 1.
        split: Sequence of `BoundaryExample`.
        per_picture: `per_picture` of the scores of the same split.
        count: Number of pictures of each. Defaults to `3`.

    Raises:
        ValueError: If the rows are not as many as the pictures.
    """

    def show(example, row):
        found = find(example)
        views = {
            "truth": dark_on_white(np.mean(example.annotations, axis=0)),
            "found": dark_on_white(found),
        }
        if example.image is not None:
            truth = np.any(example.annotations, axis=0)
            kinds = _boundary_kinds(truth, found >= row["threshold"])
            views["errors"] = _marked(
                example.image, kinds, BOUNDARY_ERRORS.values()
            )
            views = {"picture": Image.fromarray(example.image), **views}
        caption = (
            f"F {row['f']:.3f} at {row['threshold']:.2f}: recall "
            f"{row['recall']:.3f}, precision {row['precision']:.3f}"
        )
        return caption, views

    colors = tuple(BOUNDARY_ERRORS.items())
    return _galleries(split, per_picture, "f", show, count, colors)


def _boundary_kinds(truth, found):
    """Return masks of boundaries that are found, false and missed."""
    from scipy import ndimage

    def near(lines):
        if not lines.any():
            return lines
        distance = ndimage.distance_transform_edt(~lines)
        return distance <= REACH * np.hypot(*lines.shape)

    kinds = found & near(truth), found & ~near(truth), truth & ~near(found)
    # Lines of a pixel would not survive the shrinking.
    size = -(-truth.shape[1] // WIDTH)
    return [ndimage.maximum_filter(kind, size) for kind in kinds]


def box_galleries(
    find: Callable,
    split,
    per_picture: Sequence[dict],
    count: int = 3,
) -> tuple[Gallery, Gallery]:
    """Return the worst and the best pictures by their own F.

    Args:
        find: Function from a uint8 picture to `Found`.
        split: Sequence of `BoxExample` with `info`.
        per_picture: `per_picture` of the scores of the same split.
        count: Number of pictures of each. Defaults to `3`.

    Raises:
        ValueError: If the rows are not as many as the pictures.
    """

    def show(example, row):
        found = find(example.image).above(row["threshold"])
        views = _box_views(example, found, split.info)
        caption = (
            f"{row['hits']} found, {row['missed']} missed, {row['wrong']} "
            f"wrong, at a score of {row['threshold']:.2f}"
        )
        return caption, views

    colors = tuple(zip(split.info.class_names, split.info.palette, strict=True))
    return _galleries(split, per_picture, "f", show, count, colors)


def _box_views(example, found, info):
    """Return a picture with its true boxes, and with those found."""
    picture = Image.fromarray(example.image)
    picture.thumbnail((LARGE, LARGE))
    draw = lambda boxes: draw_boxes(
        picture, boxes, info.palette, info.class_names
    )
    return {"truth": draw(_true_boxes(example)), "found": draw(found)}


def _true_boxes(example):
    label = example.label[example.label[:, 0] >= 0]
    ones = np.ones(len(label))
    return Found(label[:, 1:], label[:, 0], ones, example.image.shape[:2])


def classification_galleries(
    split, per_picture: Sequence[dict], count: int = 8
) -> tuple[Gallery, Gallery]:
    """Return the pictures whose true class was least and most likely.

    Args:
        split: Sequence of `LabelledPicture` with `info`.
        per_picture: For each of its pictures `probability`, that of the true
            class, and `prediction`, the id of the likeliest class.
        count: Number of pictures of each. Defaults to `8`.

    Raises:
        ValueError: If the rows are not as many as the pictures.
    """
    names = split.info.class_names

    def show(picture, row):
        caption = (
            f"{names[picture.label]}: {row['probability']:.1%}; found: "
            f"{names[row['prediction']]}"
        )
        return caption, {"": Image.fromarray(picture.image)}

    return _galleries(split, per_picture, "probability", show, count)


def _galleries(split, per_picture, key, show, count, colors=()):
    """Return the worst and the best images by a score, drawn by `show`."""
    if len(per_picture) != len(split):
        raise ValueError(
            "Expected a row per picture of the split. Received: "
            f"{len(per_picture)} rows for {len(split)} pictures."
        )

    def picture(index):
        example = split[index]
        return ShownPicture(example.name, *show(example, per_picture[index]))

    worst, best = extremes([row[key] for row in per_picture], count)
    return (
        Gallery("Worst pictures", tuple(map(picture, worst)), colors),
        Gallery("Best pictures", tuple(map(picture, best)), colors),
    )


def difference_gallery(
    name: str,
    split,
    expected: Mapping[int, np.ndarray],
    found: Mapping[int, np.ndarray],
) -> Gallery:
    """Return pictures with two masks and their differences, the worst first.

    Args:
        name: Name of the file.
        split: Sequence of `Example` with `info`.
        expected: Masks of Keras by index of a picture.
        found: Masks of the file by index of a picture.
    """
    info, shown = split.info, []
    for index, mask in found.items():
        example, keras = split[index], expected[index]
        label, differs = example.label, mask != keras
        known = label != IGNORE_LABEL
        kinds = (keras == label, mask == label, known, ~known)
        views = {
            "picture": Image.fromarray(example.image),
            "Keras": colored_mask(keras, info.palette),
            "the file": colored_mask(mask, info.palette),
            "difference": _marked(
                example.image,
                [differs & kind for kind in kinds],
                DIFFERENCES.values(),
            ),
        }
        caption = f"{differs.mean():.2%} of pixels differ"
        picture = ShownPicture(example.name, caption, views)
        shown.append((differs.mean(), picture))
    shown.sort(key=lambda pair: -pair[0])
    named = zip(info.class_names, info.palette, strict=True)
    return Gallery(
        f"{name}: where it differs most",
        tuple(picture for _, picture in shown),
        (*named, *DIFFERENCES.items()),
    )


def _marked(image, kinds, colors):
    """Draw the image in pale gray, pixels of each kind in its color.

    Where several kinds hold, the first counts. The mode is `"P"`, since a JPEG
    would smear single pixels.
    """
    values = np.uint8(np.round(image.mean(-1) / 255 * (GREYS - 1)))  # (h, w)
    for index, kind in reversed([*enumerate(kinds)]):
        values[kind] = GREYS + index
    picture = Image.fromarray(values)
    pale = np.linspace(150, 255, GREYS).astype(np.uint8)
    table = [*np.repeat(pale[:, None], 3, 1).tolist(), *colors]
    picture.putpalette(np.uint8(table).tobytes())
    return picture


def _overlaid(image, mask, palette):
    """Draw the image in gray under its mask; without a label it stays gray."""
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    known = (np.asarray(mask) != IGNORE_LABEL)[..., None] * OPACITY
    mixed = known * colorize(mask, palette) + (1 - known) * grey
    return Image.fromarray(np.uint8(np.round(mixed)))


_MARGIN = 8  # pixels between pictures
_LINE = 20  # pixels of a line of text
_FONT = ImageFont.load_default(size=13)


def prediction_grid(predict, split, count: int = 6, width: int = 384):
    """Return picture, truth and prediction side by side, with a legend.

    Args:
        predict: Function from a uint8 picture to its mask.
        split: Sequence of `Example` with `info`.
        count: Number of pictures, taken evenly from the split. Defaults to
            `6`.
        width: Width of each picture in pixels. Defaults to `384`.

    Returns:
        A PIL image.
    """
    names, palette = split.info.class_names, split.info.palette
    rows = []
    for example in spread(split, count):
        found = predict(example.image)
        image, *masks = drawable(example.image, example.label, found)
        truth, mask = (colored_mask(each, palette) for each in masks)
        image = Image.fromarray(image)
        rows.append({"picture": image, "truth": truth, "prediction": mask})
    colors = [*zip(names, palette, strict=True), ("ignored", (0, 0, 0))]
    return _grid(rows, width, colors)


def boundary_grid(find, split, count: int = 6, width: int = 384):
    """Return picture, annotated and found boundaries side by side.

    Args:
        find: Function from an example to its boundary map, 0 to 1.
        split: Sequence of `BoundaryExample`.
        count: Number of pictures, taken evenly from the split. Defaults to
            `6`.
        width: Width of each picture in pixels. Defaults to `384`.

    Returns:
        A PIL image.
    """
    rows = [
        {
            "picture": Image.fromarray(example.image),
            "truth": dark_on_white(np.mean(example.annotations, axis=0)),
            "found": dark_on_white(find(example)),
        }
        for example in spread(split, count)
    ]
    return _grid(rows, width)


def box_grid(find, split, least_score: float, count: int = 6, width: int = 384):
    """Return pictures with their true boxes, and with those found.

    Args:
        find: Function from a uint8 picture to `Found`.
        split: Sequence of `BoxExample` with `info`.
        least_score: Score below which nothing is drawn.
        count: Number of pictures, taken evenly from the split. Defaults to
            `6`.
        width: Width of each picture in pixels. Defaults to `384`.

    Returns:
        A PIL image.
    """
    rows = [
        _box_views(e, find(e.image).above(least_score), split.info)
        for e in spread(split, count)
    ]
    colors = [*zip(split.info.class_names, split.info.palette, strict=True)]
    return _grid(rows, width, colors)


def dark_on_white(soft_map) -> Image.Image:
    """Return a boundary map `(height, width)`, 0 to 1, as papers print it."""
    return Image.fromarray(np.uint8(np.round(255 * (1 - soft_map))))


def colored_mask(mask, palette) -> Image.Image:
    """Return a mask as an image of mode `"P"`, ignored pixels in black."""
    image = Image.fromarray(np.asarray(mask, np.uint8))
    image.putpalette(colorize(np.arange(256), palette).tobytes())
    return image


def resized(image: Image.Image, width: int) -> Image.Image:
    """Return an image of a width; the colors of mode `"P"` are not mixed."""
    size = width, max(1, round(width * image.height / image.width))
    nearest = image.mode == "P"
    return image.resize(size, Image.NEAREST if nearest else Image.BILINEAR)


def _grid(rows, width, colors=()):
    """Draw rows of pictures of `width` under their titles, and a legend."""
    titles = [*rows[0]]
    rows = [[resized(tile, width) for tile in row.values()] for row in rows]
    step = width + _MARGIN
    full_width = len(titles) * step + _MARGIN
    legend = _legend(colors, full_width)
    heights = [row[0].height + _MARGIN for row in rows]
    top = _LINE + _MARGIN
    size = full_width, top + sum(heights) + legend.height
    grid = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(grid)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * step, 6), title, "black", _FONT)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _MARGIN + column * step
            grid.paste(tile.convert("RGB"), (left, top))
        top += height
    grid.paste(legend, (0, top))
    return grid


def _legend(colors, width):
    """Draw the meaning of the colors, over as many lines as they need."""
    widths = [int(_FONT.getlength(name)) for name, _ in colors]
    cell = 24 + max(widths, default=0)
    columns = max(1, (width - _MARGIN) // cell)
    lines = -(-len(colors) // columns)
    height = lines * _LINE + _MARGIN if lines else 0
    legend = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(legend)
    for index, (name, color) in enumerate(colors):
        x = _MARGIN + index % columns * cell
        y = index // columns * _LINE
        draw.rectangle((x, y + 3, x + 12, y + 15), color, "black")
        draw.text((x + 18, y + 1), name, "black", _FONT)
    return legend
