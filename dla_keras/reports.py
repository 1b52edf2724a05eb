"""What people look at: pictures of predictions."""

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from dla_keras.data.datasets import IGNORE_LABEL

_MARGIN = 8  # pixels between pictures
_LINE = 20  # pixels of a line of text
_FONT = ImageFont.load_default(size=13)


def colorize(mask, palette) -> np.ndarray:
    """A mask in its dataset's colours, ignored pixels in black.

    Args:
        mask: `(height, width)`, class ids or `IGNORE_LABEL`.
        palette: RGB colour per class.

    Returns:
        uint8 `(height, width, 3)`.

    Example:

    >>> colorize(np.array([[1, 255]]), ((255, 0, 0), (0, 0, 9))).tolist()
    [[[0, 0, 9], [0, 0, 0]]]
    """
    table = np.zeros((IGNORE_LABEL + 1, 3), np.uint8)
    table[: len(palette)] = palette
    return table[mask]


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
    count = min(count, len(split))
    chosen = np.linspace(0, len(split) - 1, count).astype(int)
    palette = split.info.palette
    rows = []
    for index in chosen:
        example = split[int(index)]
        rows.append(
            (
                example.image,
                colorize(example.label, palette),
                colorize(predict(example.image), palette),
            )
        )
    height = round(width * rows[0][0].shape[0] / rows[0][0].shape[1])
    step_x, step_y = width + _MARGIN, height + _MARGIN
    full_width = 3 * step_x + _MARGIN
    legend = _legend(split.info, full_width)
    top = _LINE + _MARGIN
    grid = Image.new(
        "RGB", (full_width, top + count * step_y + legend.height), "white"
    )
    draw = ImageDraw.Draw(grid)
    for column, title in enumerate(("picture", "truth", "prediction")):
        x = _MARGIN + column * step_x
        draw.text((x, 6), title, "black", _FONT)
        for row, pictures in enumerate(rows):
            tile = Image.fromarray(pictures[column])
            how = Image.BILINEAR if column == 0 else Image.NEAREST
            tile = tile.resize((width, height), how)
            grid.paste(tile, (x, top + row * step_y))
    grid.paste(legend, (0, top + count * step_y))
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
