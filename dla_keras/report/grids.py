"""Draw predictions beside the truth: the pictures of `predictions.png`."""

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from dla_keras.inference.prediction_files import colorize

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
    palette = split.info.palette
    rows = [
        (
            Image.fromarray(example.image),
            colored_mask(example.label, palette),
            colored_mask(predict(example.image), palette),
        )
        for example in _spread(split, count)
    ]
    titles = ("picture", "truth", "prediction")
    return _grid(rows, titles, width, lambda size: _legend(split.info, size))


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
        (
            Image.fromarray(example.image),
            dark_on_white(np.mean(example.annotations, axis=0)),
            dark_on_white(find(example)),
        )
        for example in _spread(split, count)
    ]
    return _grid(rows, ("picture", "truth", "found"), width)


def dark_on_white(soft_map) -> Image.Image:
    """Return a boundary map as papers print it.

    Args:
        soft_map: `(height, width)`, 0 to 1.
    """
    return Image.fromarray(np.uint8(np.round(255 * (1 - soft_map))))


def colored_mask(mask, palette) -> Image.Image:
    """Return a mask as an image of mode `"P"`, ignored pixels in black.

    Args:
        mask: `(height, width)`, class ids or `IGNORE_LABEL`.
        palette: RGB color per class.
    """
    image = Image.fromarray(np.asarray(mask, np.uint8))
    image.putpalette(colorize(np.arange(256), palette).tobytes())
    return image


def resized(image: Image.Image, width: int) -> Image.Image:
    """Return an image of a width; the colors of a mask are not mixed.

    Args:
        image: Picture, or mask of mode `"P"`.
        width: New width in pixels.
    """
    size = width, max(1, round(width * image.height / image.width))
    nearest = image.mode == "P"
    return image.resize(size, Image.NEAREST if nearest else Image.BILINEAR)


def _spread(split, count):
    """So many examples, evenly from all of a split."""
    chosen = np.linspace(0, len(split) - 1, min(count, len(split)))
    return [split[int(index)] for index in chosen]


def _grid(rows, titles, width, make_legend=None):
    """Rows of pictures, each of `width`, under their titles."""
    rows = [[resized(tile, width) for tile in row] for row in rows]
    step = width + _MARGIN
    full_width = len(titles) * step + _MARGIN
    heights = [row[0].height for row in rows]
    top = _LINE + _MARGIN
    bottom = top + sum(heights) + len(heights) * _MARGIN
    legend = make_legend(full_width) if make_legend else None
    full_height = bottom + (legend.height if legend else 0)
    grid = Image.new("RGB", (full_width, full_height), "white")
    draw = ImageDraw.Draw(grid)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * step, 6), title, "black", _FONT)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _MARGIN + column * step
            grid.paste(tile.convert("RGB"), (left, top))
        top += height + _MARGIN
    if legend:
        grid.paste(legend, (0, bottom))
    return grid


def _legend(info, width):
    """The meaning of the colors, over as many lines as they need."""
    entries = [*zip(info.class_names, info.palette, strict=True)]
    entries.append(("ignored", (0, 0, 0)))
    cell = 24 + max(int(_FONT.getlength(name)) for name, _ in entries)
    columns = max(1, (width - _MARGIN) // cell)
    lines = -(-len(entries) // columns)
    legend = Image.new("RGB", (width, lines * _LINE + _MARGIN), "white")
    draw = ImageDraw.Draw(legend)
    for index, (name, color) in enumerate(entries):
        x = _MARGIN + index % columns * cell
        y = index // columns * _LINE
        draw.rectangle((x, y + 3, x + 12, y + 15), color, "black")
        draw.text((x + 18, y + 1), name, "black", _FONT)
    return legend
