"""What people look at: pictures of predictions."""

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from dla_keras.inference.prediction_files import colorize

_MARGIN = 8  # pixels between pictures
_LINE = 20  # pixels of a line of text
_FONT = ImageFont.load_default(size=13)


def prediction_grid(predict, split, count: int = 6, width: int = 384):
    """Picture, truth and prediction side by side, with a legend.

    Args:
        predict: uint8 picture -> mask.
        split: a sequence of `Example` with `info`.
        count: number of pictures, taken evenly from the split. Defaults to
            `6`.
        width: of each picture, in pixels. Defaults to `384`.

    Returns:
        A PIL image.
    """
    palette = split.info.palette
    rows = [
        (
            Image.fromarray(example.image),
            _masked(example.label, palette),
            _masked(predict(example.image), palette),
        )
        for example in _spread(split, count)
    ]
    titles = ("picture", "truth", "prediction")
    return _grid(rows, titles, width, lambda size: _legend(split.info, size))


def boundary_grid(find, split, count: int = 6, width: int = 384):
    """Picture, annotators' boundaries and those found, side by side.

    Args:
        find: example -> boundary map, 0 to 1.
        split: a sequence of `BoundaryExample`.
        count: as for `prediction_grid`. Defaults to `6`.
        width: likewise. Defaults to `384`.

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
    """A boundary map as papers print it.

    Args:
        soft_map: `(height, width)`, 0 to 1.
    """
    return Image.fromarray(np.uint8(np.round(255 * (1 - soft_map))))


def _spread(split, count):
    """So many examples, evenly from all of a split."""
    chosen = np.linspace(0, len(split) - 1, min(count, len(split)))
    return [split[int(index)] for index in chosen]


def _masked(mask, palette):
    """Classes in colours, which a resizing must not mix."""
    image = Image.fromarray(colorize(mask, palette))
    image.info["nearest"] = True
    return image


def _grid(rows, titles, width, make_legend=None):
    """Rows of pictures, each of `width`, under their titles."""
    step = width + _MARGIN
    full_width = len(titles) * step + _MARGIN
    heights = [round(width * row[0].height / row[0].width) for row in rows]
    top = _LINE + _MARGIN
    bottom = top + sum(heights) + len(heights) * _MARGIN
    legend = make_legend(full_width) if make_legend else None
    full_height = bottom + (legend.height if legend else 0)
    grid = Image.new("RGB", (full_width, full_height), "white")
    draw = ImageDraw.Draw(grid)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * step, 6), title, "black", _FONT)
    for pictures, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(pictures):
            nearest = tile.info.get("nearest")
            how = Image.NEAREST if nearest else Image.BILINEAR
            tile = tile.resize((width, height), how)
            grid.paste(tile, (_MARGIN + column * step, top))
        top += height + _MARGIN
    if legend:
        grid.paste(legend, (0, bottom))
    return grid


def _legend(info, width):
    """The colours' meanings, flowing over as many lines as they need."""
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
