"""The precision-recall figure of boundary detection, with lines of equal F."""

import numpy as np

from dla_keras.files import atomic_path

_LEVELS = np.arange(1, 10) / 10  # of F


def precision_recall_figure(scores: dict[str, dict], path) -> None:
    """Draws precision over recall, one curve per detector.

    A dot marks each detector's ODS; the green lines join points of equal F.

    Args:
        scores: name of a detector -> what `evaluate_boundaries` gives.
        path: of the figure; its ending tells the format, for instance
            `.png` or `.pdf`.

    Raises:
        ValueError: without a detector.
    """
    if not scores:
        raise ValueError("There is no detector to draw.")
    from matplotlib.figure import Figure  # only those who draw need it

    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.add_subplot(
        xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1)
    )
    axes.set_aspect("equal")
    _draw_equal_f(axes)
    ranked = sorted(scores.items(), key=lambda item: -item[1]["ods"]["f"])
    for name, result in ranked:
        # An empty map has no precision: its point is no part of the curve.
        rows = [row for row in result["thresholds"] if row["f"] > 0]
        best = result["ods"]
        (line,) = axes.plot(
            [row["recall"] for row in rows],
            [row["precision"] for row in rows],
            linewidth=2,
            label=f"[F = {best['f']:.3f}] {name}",
        )
        axes.plot(
            best["recall"], best["precision"], "o", color=line.get_color()
        )
    axes.legend(loc="lower left", fontsize=9, framealpha=0.95)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw_equal_f(axes):
    for level in _LEVELS:
        recall = np.linspace(level / (2 - level), 1, 200)
        precision = level * recall / (2 * recall - level)
        axes.plot(recall, precision, color="#b7dfb7", linewidth=0.8, zorder=0)
        axes.annotate(
            f"{level:.1f}",
            (1, precision[-1]),
            xytext=(3, 0),
            textcoords="offset points",
            color="#5fa85f",
            fontsize=8,
            verticalalignment="center",
            annotation_clip=False,
        )
