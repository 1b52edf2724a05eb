"""Write the comparison of exported files: Markdown, a page, and JSON."""

import dataclasses
import os
from collections.abc import Sequence

from dla_keras.report.galleries import Gallery
from dla_keras.report.page import gallery_sections
from dla_keras.report.page import render
from dla_keras.tables import score_text
from dla_keras.tables import text_table

# Beginning of a column's header -> meaning of its figures.
NOTES = {
    "MB": "MB are 10**6 bytes; gzip is the size of a download.",
    "mIoU": "mIoU is computed from one confusion matrix, with the pictures at "
    "their own size. The loss is the mIoU of Keras on the same pictures less "
    "that of the file, in points (hundredths).",
    "AP": "AP is COCO's, with the pictures at their own size. The loss is the "
    "AP of Keras on the same pictures less that of the file, in points "
    "(hundredths).",
    "agreement": "Agreement is the share of pixels with the same class as "
    "Keras, or nearly the same probability, on the pictures of the "
    "verification; of boxes, of those that both have.",
    "ms": "ms is {timing}, from picture in to outputs out, in a process of "
    "its own; the time of Keras, on all cores, includes padding and argmax.",
    "memory": "Memory is the peak of a process on one thread, less what it "
    "held with numpy and the runtime imported, before it opened the file.",
    "XNNPACK": "XNNPACK is the share of the file's operations that its "
    "kernels take.",
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Files beside the Keras model that they came from.

    Args:
        title: Model and data, for instance `"dla34 on camvid, 101 pictures"`.
        rows: A `Row` of `lite.measure` for each file, Keras first.
        threads: Numbers of threads that latency was measured on.
        facts: Name -> text: the machine, the command and the like.
        timing: Meaning of a latency, for the notes.
    """

    title: str
    rows: tuple
    threads: tuple[int, ...]
    facts: dict[str, str]
    timing: str = "the median of several runs"


def main_table(comparison: Comparison) -> tuple[tuple, list[tuple]]:
    """Return header and rows, without the columns that would be empty."""
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
    """Return header and rows: IoU by class (loss in points), files across."""
    rows = [
        row for row in comparison.rows if "per_class_iou" in (row.scores or ())
    ]
    names = rows[0].scores["per_class_iou"] if rows else ()
    header = ("IoU (loss)", *(row.name for row in rows))
    return header, [
        (name, *(_class_cell(row, name) for row in rows)) for name in names
    ]


def notes(comparison: Comparison) -> list[str]:
    """Return the meaning of the columns that the table has."""
    header, _ = main_table(comparison)
    return [
        note.format(timing=comparison.timing)
        for name, note in NOTES.items()
        if any(column.startswith(name) for column in header)
    ]


def comparison_markdown(comparison: Comparison) -> str:
    """Return the tables as a Markdown page."""
    header, rows = main_table(comparison)
    parts = [f"# {comparison.title}", text_table(header, rows)]
    header, rows = class_table(comparison)
    if rows:
        parts.append(text_table(header, rows))
    facts = [f"- {name}: {text}" for name, text in comparison.facts.items()]
    return "\n\n".join([*parts, *notes(comparison), "\n".join(facts)]) + "\n"


def comparison_page(
    comparison: Comparison, galleries: Sequence[Gallery] = ()
) -> str:
    """Return the tables as an HTML page, with bars and pictures.

    Args:
        comparison: Figures of all files.
        galleries: Pictures for the page. Defaults to none.
    """
    header, by_class = class_table(comparison)
    files = [row for row in comparison.rows if row.costs]
    measured = [("text", note) for note in notes(comparison)]
    facts = [*comparison.facts.items()]
    sections = [
        ("Files", [("table", *main_table(comparison))]),
        ("Size, MB", _bars(comparison.rows, lambda row: row.megabytes)),
        *(
            (f"Latency on {_spoken(n)}, ms", _bars(files, _milliseconds, n))
            for n in comparison.threads
        ),
        ("Memory, MB", _bars(files, _peak_megabytes)),
        ("Classes", [("table", header, by_class)] if by_class else []),
        *gallery_sections(galleries),
        ("How it was measured", [*measured, ("facts", facts)]),
    ]
    return render(comparison.title, "Files beside Keras", sections)


def as_json(comparison: Comparison) -> dict:
    """Return all figures, unrounded."""
    rows = [
        dataclasses.asdict(row)
        | {"loss_points": row.loss, "class_loss_points": row.class_loss}
        for row in comparison.rows
    ]
    return {"title": comparison.title, "facts": comparison.facts, "rows": rows}


def _columns(threads):
    """Return header of a column -> function that writes a row's cell."""
    return {
        "MB": lambda row: f"{row.megabytes:.2f}",
        "MB gzip": lambda row: f"{row.gzipped:.2f}",
        "mIoU": lambda row: _score(row, "miou"),
        "top-1": lambda row: _score(row, "top1"),
        "top-5": lambda row: _score(row, "top5"),
        "AP": lambda row: _score(row, "ap"),
        "AP50": lambda row: _score(row, "ap50"),
        "loss, points": lambda row: _number(row.loss, "+z.2f"),
        "pixel accuracy": lambda row: _score(row, "pixel_accuracy"),
        "pictures": lambda row: str(len(row.same)) if row.scores else "",
        "agreement": lambda row: _agreement(row, "classes"),
        "agreement of boundaries": lambda row: _agreement(row, "boundaries"),
        "agreement of boxes": lambda row: _agreement(row, "boxes"),
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
    return score_text(row.scores[key]) if key in (row.scores or ()) else ""


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
    text = score_text(iou, 3)
    return text if loss is None else f"{text} ({loss:+z.1f})"


def _bars(rows, measure, *options):
    """Return a bar for each row that has a number."""
    values = {row.name: measure(row, *options) for row in rows}
    full = max(filter(None, values.values()), default=1)
    lines = [
        (name, 85 * value / full, f"{value:.1f}", None, None)
        for name, value in values.items()
        if value is not None
    ]
    return [("bars", lines)] if lines else []


def _spoken(threads):
    return f"{threads} thread" + "s" * (threads > 1)
