"""Draw the charts: once with matplotlib, as SVG for a page and as PNG files.

A chart names its colors by the page's CSS variables, so it follows the page
into dark mode. The same figures give the same SVG, byte for byte.
"""

import contextlib
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import numpy as np

from dla_keras.files import atomic_path

# CSS variable -> color on white paper. The page defines them, light and dark.
THEME = {
    "card": "#ffffff",
    "text": "#1c2330",
    "soft": "#657084",
    "rule": "#e3e7ee",
    "strong": "#1f5fd0",
    "second": "#d9480f",
    "third": "#2b8a3e",
    "level": "#5fa85f",
    "on-strong": "#fffffe",
}
LINES = ("strong", "second", "third")  # colors of the first curves of a chart
MOST_POINTS = 300  # of a curve; more of them are averaged
MOST_CLASSES = 40  # that a confusion matrix names

_TIP = "tip:"  # marks ids that hold what is shown under the pointer
_CELL = 26  # side of a cell of a confusion matrix, in points
_PNG_WIDTH = 800  # pixels of a confusion matrix, at least


def line_chart(
    lines: dict[str, tuple[Sequence[float], Sequence[float]]],
    x_name: str,
    label: str,
) -> str:
    """Return the SVG of lines over a common axis, or "" without a point.

    Args:
        lines: Name of a line -> its x and its y values. Points that are not
            finite are left out.
        x_name: Name of the horizontal axis.
        label: Description for people who cannot see the chart.
    """
    lines = {name: _finite(*line) for name, line in lines.items()}
    if not any(xs.size for xs, _ in lines.values()):
        return ""
    with _style():
        axes = _plot(380, 240, xlabel=x_name)
        for index, (name, (xs, ys)) in enumerate(lines.items()):
            color = THEME[LINES[index % len(LINES)]]
            axes.plot(*_thinned(xs, ys), color=color, linewidth=1.8)
            for x, y in zip(xs, ys, strict=True) if len(xs) <= 40 else ():
                tip = f"{_TIP}{name} {y:.4g} at {x:g}"
                axes.plot(x, y, "o", color=color, markersize=5, gid=tip)
        axes.set_xlim(left=0)
        axes.margins(y=0.08)
        return _svg(axes.figure, label)


def precision_recall_chart(scores: dict[str, dict]) -> str:
    """Return the drawing of `precision_recall_figure` as SVG."""
    with _style():
        axes = _plot(400, 400)
        _draw_precision_recall(axes, scores)
        return _svg(axes.figure, "precision over recall")


def precision_recall_figure(scores: dict[str, dict], path) -> None:
    """Draw precision over recall into a file, one curve per detector.

    A dot marks the ODS of each detector; green lines join points of equal F.

    Args:
        scores: Name of a detector -> the result of `evaluate_boundaries`.
        path: Path of the figure. Its ending tells the format, for instance
            `.png` or `.pdf`.

    Raises:
        ValueError: If there is no detector.
    """
    if not scores:
        raise ValueError("There is no detector to draw.")
    with _style(), atomic_path(path) as temporary:
        axes = _plot(400, 400)
        _draw_precision_recall(axes, scores)
        axes.figure.savefig(temporary, dpi=150)


def confusion_chart(shares: np.ndarray, names: Sequence[str]) -> str:
    """Return a confusion matrix as SVG; a cell shows the share of its row.

    Args:
        shares: `(n, n)`, 0 to 1, true classes in rows.
        names: Name of each class.
    """
    with _style():
        return _svg(_confusion(shares, names), "confusion matrix")


def confusion_figure(confusion, class_names: Sequence[str], path) -> None:
    """Draw a confusion matrix into a file; a cell shows the share of its row.

    Args:
        confusion: Counts, true classes in rows.
        class_names: Name of each class.
        path: Path of the figure. Its ending tells the format.
    """
    with _style(), atomic_path(path) as temporary:
        figure = _confusion(row_shares(confusion), class_names)
        dpi = max(1.5 * 72, _PNG_WIDTH / figure.get_figwidth())
        figure.savefig(temporary, dpi=dpi)


def row_shares(confusion) -> np.ndarray:
    """Return each count as a share of its row's sum, 0 for an empty row.

    Example:

    >>> row_shares([[3, 1], [0, 0]]).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    counts = np.asarray(confusion, np.float64)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def _draw_precision_recall(axes, scores):
    for level in np.arange(1, 10) / 10:  # of F
        recall = np.geomspace(level / (2 - level), 1, 50)
        precision = level * recall / (2 * recall - level)
        green = {"color": THEME["level"]}
        axes.plot(recall, precision, linewidth=0.6, zorder=0, **green)
        axes.text(
            1.01, precision[-1], f"{level:.1f}", size=8, va="center", **green
        )
    best_of = lambda result: result.get("ods") or result["best"]
    ranked = sorted(scores.items(), key=lambda item: -best_of(item[1])["f"])
    for index, (name, result) in enumerate(ranked):
        # Where nothing is found there is no precision: no part of the curve.
        rows = [row for row in result["thresholds"] if row["f"] > 0]
        recall, precision = (
            [row[key] for row in rows] for key in ("recall", "precision")
        )
        color = THEME[LINES[index]] if index < len(LINES) else f"C{index}"
        best = best_of(result)
        label = f"[F = {best['f']:.3f}] {name}"
        axes.plot(recall, precision, color=color, linewidth=2, label=label)
        axes.plot(best["recall"], best["precision"], "o", color=color)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(
        loc="lower left",
        fontsize=9,
        facecolor=THEME["card"],
        edgecolor=THEME["rule"],
        labelcolor=THEME["text"],
    )


def _confusion(shares, names):
    """Return the figure of a confusion matrix, with cells of one size."""
    from matplotlib.figure import Figure

    count = len(names)
    named = count <= MOST_CLASSES
    names = [_short(name) for name in names]
    margin = 30 + 7 * max(map(len, names)) if named else 30
    side = (_CELL if named else max(1, 1000 / count)) * count
    inches = (margin + side + 4) / 72
    figure = Figure((inches, inches), dpi=72)
    part = side / 72 / inches
    axes = figure.add_axes((margin / 72 / inches, 4 / 72 / inches, part, part))
    axes.set(xlim=(0, count), ylim=(count, 0), xlabel="found", ylabel="true")
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_color(THEME["rule"])
    if not named:
        axes.set(xticks=(), yticks=())
        axes.imshow(
            shares, "Blues", vmin=0, vmax=1, extent=(0, count, count, 0)
        )
        return figure
    middles = np.arange(count) + 0.5
    axes.set_xticks(middles, names, rotation=90)
    axes.set_yticks(middles, names)
    for true, found in zip(*np.nonzero(shares >= 0.005), strict=True):
        _draw_cell(axes, shares[true, found], names, true, found)
    return figure


def _draw_cell(axes, share, names, true, found):
    from matplotlib.patches import Rectangle

    tip = f"{_TIP}{names[true]}, found as {names[found]}: {share:.1%}"
    color, alpha = THEME["strong"], 0.04 + 0.96 * share
    corner = found + 0.02, true + 0.02
    axes.add_patch(
        Rectangle(corner, 0.96, 0.96, lw=0, fc=color, alpha=alpha, gid=tip)
    )
    axes.text(
        *(found + 0.5, true + 0.5, f"{100 * share:.0f}"),
        color=THEME["on-strong" if share > 0.6 else "text"],
        size=9,
        ha="center",
        va="center_baseline",
    )


def _short(name):
    """Return a name that is valid in XML and fits the margin."""
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= 24 else name[:23] + "…"


def _plot(width, height, **names):
    """Return axes of a figure of so many points, with a quiet grid."""
    from matplotlib.figure import Figure  # only those who draw need it

    size = width / 72, height / 72
    figure = Figure(size, dpi=72, layout="constrained")
    axes = figure.add_subplot(**names)
    axes.spines[:].set_visible(False)
    axes.grid(color=THEME["rule"], linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.locator_params(nbins=6)
    short = lambda value, _: (
        f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
    )
    axes.xaxis.set_major_formatter(short)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return axes


@contextlib.contextmanager
def _style():
    """Return the settings under which a figure is made and saved."""
    import matplotlib

    settings = {
        "axes.labelcolor": THEME["soft"],
        "font.size": 12,
        "svg.fonttype": "none",  # text stays text, in the page's font
        "svg.hashsalt": "dla_keras",
        "text.parse_math": False,  # a class may be called "$"
        "xtick.labelcolor": THEME["soft"],
        "ytick.labelcolor": THEME["soft"],
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # In SVG the page's font has the letters that matplotlib's lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _svg(figure, label):
    """Return the figure for a page, small, in its font and colors."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    root = ElementTree.fromstring(file.getvalue())
    content = [part for child in root for part in _tidied(child, label)]
    width, height = (f"{72 * size:.0f}" for size in figure.get_size_inches())
    head = {"viewBox": f"0 0 {width} {height}", "width": width, "role": "img"}
    root = ElementTree.Element("svg", head | {"aria-label": label})
    root.extend(content)
    return ElementTree.tostring(root, encoding="unicode")


def _tidied(element, label) -> list[ElementTree.Element]:
    """Return the visible part of an element, without empty groups.

    An id that others refer to begins with the chart's label, for a page holds
    several charts; one that is a tip becomes a title.
    """
    tag = element.tag.rpartition("}")[2]
    invisible = tag == "path" and element.get("style") == "fill: none"
    if tag in ("style", "metadata") or invisible:
        return []
    parts = [part for child in element for part in _tidied(child, label)]
    if tag == "defs" and not parts:
        return []
    name = element.attrib.pop("id", "")
    prefix = label.replace(" ", "-")
    if name.startswith(_TIP):
        parts.insert(0, ElementTree.Element("title"))
        parts[0].text = name.removeprefix(_TIP)
    elif tag == "g" and not element.attrib:
        return parts
    elif tag in ("path", "clipPath") and name:
        element.set("id", f"{prefix}-{name}")
    new = ElementTree.Element(tag)
    for key, value in element.attrib.items():
        for variable, color in THEME.items():
            value = value.replace(color, f"var(--{variable})")
        value = re.sub(r"\d+\.\d+", lambda m: f"{float(m[0]):.5g}", value)
        value = re.sub(r"#(?=[mp][0-9a-f]{10})", f"#{prefix}-", value)
        value = re.sub(r"font-family: [^;]*; ?|rotate\(-0 [^)]*\)", "", value)
        if value:
            new.set(key.rpartition("}")[2], " ".join(value.split()))
    new.text = element.text and element.text.strip()
    new.extend(parts)
    return [new]


def _thinned(xs, ys):
    """Return means of neighbors, so that at most `MOST_POINTS` are left."""
    if len(xs) <= MOST_POINTS:
        return xs, ys
    parts = np.linspace(0, len(xs), MOST_POINTS + 1).astype(int)
    counts = np.diff(parts)
    return tuple(np.add.reduceat(v, parts[:-1]) / counts for v in (xs, ys))


def _finite(xs, ys):
    points = np.array([xs, ys], np.float64)
    return points[:, np.isfinite(points).all(0)]
