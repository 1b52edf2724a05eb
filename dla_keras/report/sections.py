"""The sections of `html_report.py`'s page: each writes HTML from a `Run`."""

import html
import json
import shlex
from dataclasses import dataclass

import numpy as np

from dla_keras.report.charts import line_chart
from dla_keras.report.charts import matrix_chart
from dla_keras.report.charts import thinned
from dla_keras.report.html_page import bar_list
from dla_keras.report.html_page import facts_list
from dla_keras.report.html_page import table

MOST_CLASSES = 40  # in the matrix; with more, only what is confused most
CONFUSIONS = 12  # rows of that table

# Scores that there may be -> their name on the page.
SCORES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "top1": "top-1",
    "top5": "top-5",
    "ods_f": "ODS F",
    "ois_f": "OIS F",
    "ap": "AP",
}


@dataclass(frozen=True)
class Run:
    """What the page is made from.

    Args:
        scores: what `evaluate` or `evaluate_classifier` gives, perhaps with
            `baselines`.
        config: of `config.json`; empty where there is none.
        history: rows of `history.csv`, likewise.
        steps: rows of `steps.csv`, likewise.
    """

    scores: dict
    config: dict
    history: list[dict]
    steps: list[dict]


def result(run: Run) -> str:
    """The scores large, and beside the baselines'."""
    names = [key for key in SCORES if key in run.scores]
    tiles = "".join(
        f"<div><b>{run.scores[key]:.3f}</b><span>{SCORES[key]}</span></div>"
        for key in names
    )
    rows = [
        (name, *(f"{row[key]:.3f}" for key in names))
        for name, row in (
            *run.scores.get("baselines", {}).items(),
            ("this model", run.scores),
        )
    ]
    beside = ""
    if len(rows) > 1:
        beside = table(("", *(SCORES[key] for key in names)), rows)
    return f'<div class="tiles">{tiles}</div>{beside}'


def curves(run: Run) -> str:
    """Loss, scores and learning rate by step."""
    charts = []
    if run.steps:
        steps, losses = thinned(*_columns(run.steps, "step", "loss"))
        lines = {"loss": (steps, losses)}
        charts.append(("training loss", line_chart(lines, "step", "loss")))
    keys = [k for k in SCORES if f"val_{k}" in (run.history or [{}])[0]]
    if keys:
        lines = {
            SCORES[key]: _columns(run.history, "step", f"val_{key}")
            for key in keys
        }
        legend = " ".join(
            f'<i class="line{index}">{name}</i>'
            for index, name in enumerate(lines)
        )
        chart = line_chart(lines, "step", "validation scores")
        charts.append((f"on validation: {legend}", chart))
    if run.history and "learning_rate" in run.history[0]:
        lines = {"rate": _columns(run.history, "step", "learning_rate")}
        chart = line_chart(lines, "step", "learning rate")
        charts.append(("learning rate", chart))
    figures = "".join(
        f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"
        for caption, chart in charts
    )
    return f'<div class="charts">{figures}</div>' if figures else ""


def class_bars(run: Run) -> str:
    """IoU by class, or how many of a class are found; the best first."""
    if "confusion" not in run.scores:
        return ""
    values, what = run.scores.get("per_class_iou"), "IoU"
    if values is None:
        counts = _confusion(run)
        found = np.diag(counts) / np.maximum(counts.sum(1), 1)
        present = np.where(counts.sum(1), found, np.nan).tolist()
        names = run.scores["class_names"]
        values = {
            name: None if np.isnan(value) else value
            for name, value in zip(names, present, strict=True)
        }
        what = "share found"
    known = {k: v for k, v in values.items() if v is not None}
    best_first = sorted(known, key=known.get, reverse=True)
    shown = bar_list({name: known[name] for name in best_first})
    absent = [html.escape(k) for k, v in values.items() if v is None]
    note = f"<p>Neither there nor found: {', '.join(absent)}.</p>"
    return f"<p>{what}</p>{shown}{note if absent else ''}"


def precision_recall(run: Run) -> str:
    """Precision over recall of a boundary detector."""
    # An empty map has no precision.
    rows = [row for row in run.scores.get("thresholds", ()) if row["f"] > 0]
    if not rows:
        return ""
    lines = {"precision": _columns(rows, "recall", "precision")}
    chart = line_chart(lines, "recall", "precision")
    return f'<div class="charts"><figure>{chart}</figure></div>'


def confusion(run: Run) -> str:
    """The matrix by row, where classes are few, and what is confused most."""
    if "confusion" not in run.scores:
        return ""
    counts, names = _confusion(run), run.scores["class_names"]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    chart = ""
    if len(names) <= MOST_CLASSES:
        chart = (
            "<p>Percent of each true class (rows) found as (columns).</p>"
            f'<div class="wide">{matrix_chart(shares.tolist(), names)}</div>'
        )
    wrong = shares - np.diag(np.diag(shares))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    rows = [
        (names[true], names[found], f"{wrong[true, found]:.1%}")
        for true, found in pairs
        if wrong[true, found]
    ]
    header = ("most confused: true", "found as", "share")
    listed = f"<div>{table(header, rows)}</div>" if rows else ""
    return f'<div class="columns"><div>{chart}</div>{listed}</div>'


def facts(run: Run) -> str:
    """Command, versions, hardware, time; every setting behind a fold."""
    config = run.config
    if not config:
        return ""
    hardware = config.get("hardware") or {}
    devices = [*(hardware.get("gpus") or ()), hardware.get("cpu")]
    versions = config.get("versions") or {}
    rows = [
        ("command", shlex.join(config.get("command") or ())),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        ("commit", config.get("git")),
        ("hardware", ", ".join(filter(None, devices))),
        ("cores", hardware.get("cores")),
        ("replicas", config.get("replicas")),
        *_times(run),
    ]
    settings = html.escape(json.dumps(config, indent=1))
    return (
        f"{facts_list(rows)}<details><summary>config.json</summary>"
        f"<pre>{settings}</pre></details>"
    )


# In the order of the page; galleries come before "Run".
SECTIONS = (
    ("Result", result),
    ("Curves", curves),
    ("Precision and recall", precision_recall),
    ("Classes", class_bars),
    ("Confusion", confusion),
    ("Run", facts),
)


def _times(run):
    starts = run.config.get("starts") or ()
    times = [f"{s['time']} at step {s['step']}" for s in starts]
    yield "started", ", ".join(times)
    if run.history:
        last = run.history[-1]
        seconds, steps = float(last["seconds"]), int(last["step"])
        each = f"{1000 * seconds / max(steps, 1):.0f} ms a step"
        yield "training", f"{duration(seconds)}, {each}"
    if "milliseconds" in run.scores:
        yield "prediction", f"{run.scores['milliseconds']:.1f} ms a picture"


def _confusion(run):
    return np.asarray(run.scores["confusion"], np.float64)


def _columns(rows, *names):
    return tuple([float(row[name]) for row in rows] for name in names)


def duration(seconds):
    """`5400` as `1 h 30 min`.

    >>> duration(5400), duration("75"), duration(9.4)
    ('1 h 30 min', '1 min 15 s', '9 s')
    """
    minutes, rest = divmod(round(float(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
