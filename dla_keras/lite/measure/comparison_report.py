"""The table of `comparison.py` in Markdown, on a page, and as JSON."""

import dataclasses
import os
from collections.abc import Sequence

from dla_keras.lite.measure.comparison import Row
from dla_keras.lite.measure.cost import RUNS
from dla_keras.lite.measure.cost import WARM_UP
from dla_keras.report.galleries import Gallery
from dla_keras.report.html_page import bar_list
from dla_keras.report.html_page import facts_list
from dla_keras.report.html_page import gallery
from dla_keras.report.html_page import page
from dla_keras.report.html_page import paragraph
from dla_keras.report.html_page import table
from dla_keras.tables import text_table

# How a column's header begins -> what its figures are.
NOTES = {
    "MB": "MB are 10**6 bytes; gzip, as a download would be.",
    "mIoU": "mIoU is of the pictures at their own size, from one confusion "
    "matrix. Its loss is what Keras has more, in points (hundredths), on the "
    "same pictures.",
    "agreement": "Agreement is the share of pixels with Keras' class, or "
    "nearly its probability, on the pictures of the verification, as "
    "export_tflite.py has it.",
    "ms": f"ms is the median of up to {RUNS} runs after {WARM_UP} of warm-up, "
    "from picture in to outputs out, in a process of its own; that of Keras, "
    "on all cores, has padding and argmax in it.",
    "memory": "Memory is the most that a process on one thread held, less "
    "what it held with numpy and the runtime imported, before it opened the "
    "file.",
    "XNNPACK": "XNNPACK is the share of the file's operations that its "
    "kernels take.",
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The table and what it is of.

    Args:
        title: what was scored, for instance `"camvid, 101 pictures"`.
        rows: Keras first.
        threads: numbers of them that latency was measured on.
        facts: what made the figures: name -> text.
    """

    title: str
    rows: tuple[Row, ...]
    threads: tuple[int, ...]
    facts: dict[str, str]


def main_table(comparison: Comparison) -> tuple[tuple, list[tuple]]:
    """Header and rows; a column that nothing is known for is left out."""
    columns = {"": _name, **_columns(comparison.threads)}
    cells = {
        name: [write(row) for row in comparison.rows]
        for name, write in columns.items()
    }
    if len({len(row.same) for row in comparison.rows if row.scores}) < 2:
        del cells["pictures"]
    known = {name: column for name, column in cells.items() if any(column)}
    return tuple(known), list(zip(*known.values(), strict=True))


def class_table(comparison: Comparison) -> tuple[tuple, list[tuple]]:
    """IoU by class, and in brackets its loss in points; files across."""
    rows = [row for row in comparison.rows if row.scores]
    names = rows[0].scores["per_class_iou"] if rows else ()
    header = ("IoU (loss)", *(row.name for row in rows))
    return header, [
        (name, *(_class_cell(row, name) for row in rows)) for name in names
    ]


def notes(comparison: Comparison) -> list[str]:
    """What the columns that are there mean."""
    header, _ = main_table(comparison)
    return [
        note
        for name, note in NOTES.items()
        if any(column.startswith(name) for column in header)
    ]


def comparison_markdown(comparison: Comparison) -> str:
    """The tables as a Markdown page."""
    header, rows = main_table(comparison)
    parts = [f"# {comparison.title}", text_table(header, rows)]
    header, rows = class_table(comparison)
    if rows:
        parts.append(text_table(header, rows))
    parts += notes(comparison)
    parts.append(
        "\n".join(
            f"- {name}: {text}" for name, text in comparison.facts.items()
        )
    )
    return "\n\n".join(parts) + "\n"


def comparison_page(
    comparison: Comparison, galleries: Sequence[Gallery] = ()
) -> str:
    """The same as HTML, with bars and pictures."""
    _, by_class = class_table(comparison)
    files = [row for row in comparison.rows if row.costs]
    sections = [
        ("Files", table(*main_table(comparison))),
        ("Size, MB", _bars({r.name: r.megabytes for r in comparison.rows})),
        *(
            (f"Latency on {_spoken(n)}, ms", _bars(_latency(files, n)))
            for n in comparison.threads
        ),
        ("Memory, MB", _bars(_memory(files))),
        (
            "Classes",
            table(*class_table(comparison)) if by_class else "",
        ),
        *((g.title, gallery(g)) for g in galleries if g.pictures),
        (
            "How it was measured",
            "".join(map(paragraph, notes(comparison)))
            + facts_list(comparison.facts.items()),
        ),
    ]
    return page(comparison.title, "Files beside Keras", sections)


def as_json(comparison: Comparison) -> dict:
    """All figures, unrounded."""
    rows = [
        dataclasses.asdict(row)
        | {"loss_points": row.loss, "class_loss_points": row.class_loss}
        for row in comparison.rows
    ]
    return {
        "title": comparison.title,
        "facts": comparison.facts,
        "rows": rows,
    }


def _columns(threads):
    """Header -> what writes a row's cell."""
    return {
        "MB": lambda row: f"{row.megabytes:.2f}",
        "MB gzip": lambda row: f"{row.gzipped:.2f}",
        "mIoU": lambda row: _score(row, "miou"),
        "loss, points": lambda row: _number(row.loss, "+z.2f"),
        "pixel accuracy": lambda row: _score(row, "pixel_accuracy"),
        "pictures": lambda row: str(len(row.same)) if row.scores else "",
        "agreement": lambda row: _agreement(row, "classes"),
        "agreement of boundaries": lambda row: _agreement(row, "boundaries"),
        **{
            f"ms, {_spoken(number)}": lambda row, n=number: _number(
                _milliseconds(row, n), ".1f"
            )
            for number in threads
        },
        "memory, MB": lambda row: _number(_peak_megabytes(row), ".0f"),
        "XNNPACK": lambda row: _number(_delegated(row), ".1%"),
    }


def _name(row):
    return row.name if row.path else f"{row.name} (refused)"


def _score(row, key):
    return f"{row.scores[key]:.4f}" if row.scores else ""


def _agreement(row, kind):
    return f"{row.agreement[kind].mean:.4f}" if kind in row.agreement else ""


def _number(value, form):
    return "" if value is None else format(value, form)


def _milliseconds(row, threads):
    of_keras = row.milliseconds if threads == os.cpu_count() else None
    found = [cost.median_ms for cost in row.costs if cost.threads == threads]
    return found[0] if found else of_keras


def _peak_megabytes(row):
    peaks = [cost.peak_bytes for cost in row.costs if cost.threads == 1]
    return peaks[0] / 1e6 if peaks and peaks[0] is not None else None


def _delegated(row):
    return row.costs[0].delegated / row.costs[0].nodes if row.costs else None


def _class_cell(row, name):
    iou, loss = row.scores["per_class_iou"][name], row.class_loss.get(name)
    text = "-" if iou is None else f"{iou:.3f}"
    return text if loss is None else f"{text} ({loss:+z.1f})"


def _latency(files, threads):
    return {row.name: _milliseconds(row, threads) for row in files}


def _memory(files):
    peaks = {row.name: _peak_megabytes(row) for row in files}
    return {name: peak for name, peak in peaks.items() if peak is not None}


def _bars(values):
    if not values:
        return ""
    return bar_list(values, max(values.values()), ".1f")


def _spoken(threads):
    return f"{threads} thread" + "s" * (threads > 1)
