"""A folder with a file of each precision, and what tells them apart."""

import pathlib
import sys

from dla_keras.data.segmentation import open_split
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.precisions import PRECISIONS
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.lite.measure.comparison import Row
from dla_keras.lite.measure.comparison import check_classes
from dla_keras.lite.measure.comparison import file_row
from dla_keras.lite.measure.comparison import keras_row
from dla_keras.lite.measure.comparison import measured
from dla_keras.lite.measure.comparison import scored
from dla_keras.lite.measure.cost import RUNS
from dla_keras.lite.measure.cost import WARM_UP
from dla_keras.lite.measure.cost import runtime_version
from dla_keras.provenance import command_line
from dla_keras.provenance import git_commit
from dla_keras.provenance import local_time
from dla_keras.provenance import machine
from dla_keras.quiet import quiet_stderr
from dla_keras.report.comparison import Comparison
from dla_keras.report.comparison import as_json
from dla_keras.report.comparison import comparison_markdown
from dla_keras.report.comparison import comparison_page
from dla_keras.report.comparison import main_table
from dla_keras.report.galleries import difference_gallery
from dla_keras.tables import text_table


def export_every_precision(
    exporter: Exporter, source, folder, others=(), eval_pictures=None
) -> None:
    """Writes the files and the comparison, and prints its table.

    Args:
        exporter: makes the files.
        source: `dataset` and `data_dir` for `open_split`.
        folder: where they go; `float32.tflite` and so on, `table.md`,
            `comparison.json`, `report.html`.
        others: paths of further files for the table. Defaults to none.
        eval_pictures: of the val split, for mIoU. Defaults to `None`: all.

    Raises:
        ValueError: for another file that is not of this model and size.
        VerificationError: at the end, if a file was refused.
    """
    folder = pathlib.Path(folder)
    check_others(others, exporter, folder)
    masks = read_masks(exporter, source, eval_pictures)
    threads = tuple(sorted({1, exporter.threads}))
    rows = [keras_row(exporter.path, masks)]
    _tell(rows[0])
    galleries = []
    for row in _file_rows(exporter, folder, others):
        if row.path is not None:
            row = measured(row, threads)
        if row.path is not None and masks is not None:
            row, shown = scored(row, masks)
            galleries.append(
                difference_gallery(row.name, masks.split, masks, shown)
            )
        _tell(row)
        rows.append(row)
    title = _title(exporter, source, masks)
    timing = f"the median of up to {RUNS} runs after {WARM_UP} of warm-up"
    comparison = Comparison(title, tuple(rows), threads, _facts(), timing)
    write_comparison(comparison, galleries, folder)
    print(text_table(*main_table(comparison)))
    print(f"Written to {folder}: table.md, comparison.json, report.html")
    _raise_refused(rows)


def _file_rows(exporter, folder, others):
    """A row at a time of what is written, or refused; then the others."""
    names = set()
    for precision in PRECISIONS:
        path = folder / f"{precision}.tflite"
        names.add(path.name)
        print(f"{path.name}: converting", file=sys.stderr, flush=True)
        made = exporter.make(precision)
        if made.refused:
            yield file_row(path, made.agreement, refused=made.data)
            continue
        with atomic_path(path) as temporary:
            temporary.write_bytes(made.data)
        yield file_row(path, made.agreement)
    for path in map(pathlib.Path, others):
        name = str(path) if path.name in names else path.name
        names.add(name)
        yield file_row(path, exporter.verify(path), name=name)


def check_others(paths, exporter: Exporter, folder) -> None:
    """Raises `ValueError` for files that do not belong beside the model.

    Args:
        paths: of the files.
        exporter: of the model.
        folder: where the model's own files go.
    """
    for path in paths:
        lite_model = LiteModel(path)
        _check_outputs(path, lite_model, exporter.model)
        if pathlib.Path(path).resolve() in _own_files(folder):
            raise ValueError(
                f"--compare is for other files. Received: {path}, which this "
                "export writes anew; it is in the table anyway."
            )
        wanted = "{}x{}".format(*exporter.size)
        received = "{}x{}".format(*lite_model.input_shape[1:3])
        if received != wanted:
            raise ValueError(
                f"Files are compared at one size. Received: {path} with "
                f"{received}, where --size is {wanted}; pass --size "
                f"{received}, or export that file at {wanted}."
            )
        names = exporter.model.class_names
        if names and lite_model.class_names not in (None, tuple(names)):
            raise ValueError(
                f"{path} is of another model: its classes are "
                f"{', '.join(lite_model.class_names)}. Expected: "
                f"{', '.join(names)}."
            )


def _check_outputs(path, lite_model, model):
    for what, task in (
        ("classes", "segmentation"),
        ("boundaries", "boundary"),
        ("one class a picture", "classification"),
    ):
        gives = task in lite_model.tasks
        if gives != (task in model.tasks):
            raise ValueError(
                f"{path} is of another model: it gives "
                f"{'' if gives else 'no '}{what}."
            )


def _own_files(folder):
    return [(folder / f"{name}.tflite").resolve() for name in PRECISIONS]


def read_masks(exporter, source, eval_pictures) -> KerasMasks | None:
    """The Keras model's masks; `None` if it has none."""
    if "segmentation" not in exporter.model.tasks:
        return None
    with quiet_stderr():
        split = open_split(source[0], "val", source[1])
        check_classes(exporter.model, split.info)
        return KerasMasks(exporter.model, exporter.size, split, eval_pictures)


def write_comparison(comparison, galleries, folder) -> None:
    """Writes the table, the figures and the page.

    Args:
        comparison: to write.
        galleries: pictures for the page.
        folder: where to.
    """
    write_json(folder / "comparison.json", as_json(comparison))
    for name, text in (
        ("table.md", comparison_markdown(comparison)),
        ("report.html", comparison_page(comparison, galleries)),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _title(exporter, source, masks):
    data = pathlib.Path(source[0]).name
    if masks is not None:
        data = f"{masks.split.info.name}, {len(masks.indices)} pictures"
    height, width = exporter.size
    return f"{exporter.model.variant} on {data} at {height}x{width}"


def _facts():
    return {
        "machine": machine(),
        "date": local_time(),
        "command": command_line(),
        "commit": git_commit() or "unknown",
        "runtime": runtime_version(),
    }


def _tell(row: Row) -> None:
    """What is known of a file so far: the others take minutes."""
    parts = [f"{kind} {found}" for kind, found in row.agreement.items()]
    if row.path is None:
        parts.append("refused")
    if row.scores:
        parts.append(f"mIoU {row.scores['miou']:.4f}")
    parts += [f"{c.median_ms:.1f} ms on {c.threads}" for c in row.costs]
    if parts:
        said = f"{row.name}: {', '.join(parts)}"
        print(said, file=sys.stderr, flush=True)


def _raise_refused(rows):
    refused = [row.name for row in rows if row.path is None]
    if refused:
        raise VerificationError(
            f"{', '.join(refused)}: agreement with the Keras model is below "
            "--min-agreement. Not written; a file of that name in the folder "
            "is of an earlier export."
        )
