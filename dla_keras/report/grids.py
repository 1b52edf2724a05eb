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
    names, palette = split.info.class_names, split.info.palette
    rows = [
        {
            "picture": Image.fromarray(example.image),
            "truth": colored_mask(example.label, palette),
            "prediction": colored_mask(predict(example.image), palette),
        }
        for example in _spread(split, count)
    ]
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
        for example in _spread(split, count)
    ]
    return _grid(rows, width)


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


def _spread(split, count):
    """So many examples, evenly from all of a split."""
    chosen = np.linspace(0, len(split) - 1, min(count, len(split)))
    return [split[int(index)] for index in chosen]


def _grid(rows, width, colors=()):
    """Rows of pictures, each of `width`, under their titles, and a legend."""
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
