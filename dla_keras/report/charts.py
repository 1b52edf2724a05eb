"""Charts as SVG text, for pages that open without a network.

Colours and fonts are the page's own: a chart only names CSS classes, so it
follows the page into the dark.
"""

import html
import math
from collections.abc import Sequence

import numpy as np

_WIDTH, _HEIGHT = 380, 240  # of a chart's coordinates; the page scales it
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 38
MOST_POINTS = 300


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`.

    Args:
        low: of the values.
        high: of the values.
        count: of steps, about. Defaults to `5`.

    Example:

    >>> nice_ticks(0, 0.93)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def thinned(xs, ys, most: int = MOST_POINTS):
    """Means of as many neighbours as leave at most `most` points.

    Args:
        xs: numbers.
        ys: as many.
        most: points of the result. Defaults to `300`.

    Returns:
        Two arrays of one length.
    """
    xs, ys = np.asarray(xs, float), np.asarray(ys, float)
    if len(xs) <= most:
        return xs, ys
    parts = np.linspace(0, len(xs), most + 1).astype(int)
    counts = np.diff(parts)
    return tuple(np.add.reduceat(v, parts[:-1]) / counts for v in (xs, ys))


def line_chart(lines: dict[str, tuple], x_name: str, y_name: str) -> str:
    """Lines over a common axis.

    Args:
        lines: name -> numbers across, and as many up. What is not finite is
            left out.
        x_name: of the axis across.
        y_name: what is drawn, for who cannot see it.

    Returns:
        SVG; a line is of CSS class `line0`, `line1`, ...
    """
    lines = {name: _finite(*line) for name, line in lines.items()}
    points = [p for line in lines.values() for p in line]
    if not points:
        return ""
    x_ticks = nice_ticks(0, max(x for x, _ in points))
    heights = [y for _, y in points]
    y_ticks = nice_ticks(min(heights), max(heights))
    x_range, y_range = (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1])

    def place(x, y):
        right = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return (
            round(_LEFT + right * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    parts = [*_grid(x_ticks, y_ticks, place), _axis_name(x_name)]
    for index, (name, line) in enumerate(lines.items()):
        spots = [place(*point) for point in line]
        joined = " ".join(f"{x},{y}" for x, y in spots)
        parts.append(f'<polyline class="line{index}" points="{joined}"/>')
        if len(spots) <= 40:  # few enough to be told apart
            parts += [
                f'<circle class="line{index}" cx="{x}" cy="{y}" r="3">'
                f"<title>{html.escape(name)} {point[1]:.4g} at "
                f"{point[0]:g}</title></circle>"
                for (x, y), point in zip(spots, line, strict=True)
            ]
    return _svg(parts, _WIDTH, _HEIGHT, y_name)


def _finite(xs, ys):
    pairs = zip(map(float, xs), map(float, ys), strict=True)
    return [pair for pair in pairs if all(map(math.isfinite, pair))]


def _grid(x_ticks, y_ticks, place):
    for tick in y_ticks:
        (left, y), (right, _) = (
            place(x_ticks[0], tick),
            place(x_ticks[-1], tick),
        )
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{left - 8}" y="{y + 4}" class="end">{tick:g}</text>'
    for tick in x_ticks:
        x, y = place(tick, y_ticks[0])
        yield f'<text x="{x}" y="{y + 17}" class="middle">{_short(tick)}</text>'


def _short(number):
    """`12000` as `12k`.

    >>> _short(12000), _short(2.5)
    ('12k', '2.5')
    """
    if number >= 10_000:
        return f"{number / 1000:g}k"
    return f"{number:g}"


def _axis_name(name):
    x = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'<text x="{x}" y="{_HEIGHT - 4}" class="middle">'
        f"{html.escape(name)}</text>"
    )


def matrix_chart(shares, names: Sequence[str]) -> str:
    """A square matrix, each cell as strong as its share.

    Args:
        shares: `(n, n)`, 0 to 1; rows are named down, columns across.
        names: `n` of them.

    Returns:
        SVG; a cell is of CSS class `cell`, with its share as opacity.
    """
    cell, letter = 26, 7
    margin = 14 + letter * max(map(len, names))
    side = cell * len(names)
    parts = []
    for row, name in enumerate(names):
        y = margin + cell * row
        spoken = html.escape(name)
        parts.append(
            f'<text x="{margin - 6}" y="{y + 17}" class="end">{spoken}</text>'
            f'<text transform="translate({y + 17} {margin - 6}) rotate(-90)">'
            f"{spoken}</text>"
        )
        for column, share in enumerate(shares[row]):
            x = margin + cell * column
            found = html.escape(names[column])
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{cell - 1}" '
                f'height="{cell - 1}" fill-opacity="{0.04 + 0.96 * share:.3f}">'
                f"<title>{spoken}, found as {found}: {share:.1%}</title></rect>"
            )
            if share >= 0.005:
                strong = "strong" if share > 0.6 else "weak"
                parts.append(
                    f'<text class="middle {strong}" x="{x + 12.5}" '
                    f'y="{y + 16.5}">{100 * share:.0f}</text>'
                )
    return _svg(parts, margin + side, margin + side, "confusion matrix")


def _svg(parts, width, height, label):
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{"".join(parts)}</svg>'
    )
