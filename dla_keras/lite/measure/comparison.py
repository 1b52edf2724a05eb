"""Files of every precision beside the Keras model: a row each, one table."""

import dataclasses
import functools
import gzip
import pathlib
import sys
import zlib
from collections.abc import Iterable

import numpy as np

from dla_keras.choices import spread
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.inference.model_files import describe_model
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.inference.views import Views
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.measure.agreement import Agreement
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.agreement import predictor_at
from dla_keras.lite.measure.cost import RUNS
from dla_keras.lite.measure.cost import WARM_UP
from dla_keras.lite.measure.cost import Cost
from dla_keras.lite.measure.cost import measure_cost
from dla_keras.lite.measure.cost import runtime_version
from dla_keras.lite.options import MAIN
from dla_keras.lite.options import PRECISIONS
from dla_keras.models.classes import KnownClasses
from dla_keras.models.classes import in_model_order
from dla_keras.models.classes import match_classes
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
from dla_keras.tables import score_text
from dla_keras.tables import text_table
from dla_keras.tasks import TASKS
from dla_keras.tasks.segmentation import evaluate
from dla_keras.tasks.segmentation import named_scores

# Of scoring one file. What is slower sees fewer pictures.
SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Row:
    """Row of the table: one file.

    Args:
        name: Name of the file.
        path: Path of the file; `None` if it was refused, as it agreed too
            little.
        megabytes: Size of the file, 10**6 bytes.
        gzipped: Size as it would be downloaded.
        agreement: Outputs that are compared -> their agreement with Keras on
            the pictures of the verification. Defaults to none: Keras itself.
        costs: Costs by threads. Defaults to none.
        scores: mIoU, IoU by class and pixel accuracy; or `FILE_COLUMNS` of
            the task. Defaults to `None`.
        of_keras: Scores of the Keras model on the same pictures. Defaults to
            `None`.
        same: Index of a picture that was scored -> share of its pixels with
            Keras' class. Defaults to none.
        milliseconds: Time of Keras itself, per picture. Defaults to `None`.
    """

    name: str
    path: str | None
    megabytes: float
    gzipped: float
    agreement: dict[str, Agreement] = dataclasses.field(default_factory=dict)
    costs: tuple[Cost, ...] = ()
    scores: dict | None = None
    of_keras: dict | None = None
    same: dict[int, float] = dataclasses.field(default_factory=dict)
    milliseconds: float | None = None

    @property
    def loss(self) -> float | None:
        """Return the hundredths of `MAIN` that Keras has more."""
        if self.of_keras is None:
            return None
        key = next(key for key in MAIN if key in self.scores)
        if self.of_keras[key] is None:
            return None  # no pixel of these pictures has a label
        return 100 * (self.of_keras[key] - self.scores[key])

    @property
    def class_loss(self) -> dict[str, float | None]:
        """Return the hundredths of IoU that Keras has more, by class."""
        if "per_class_iou" not in (self.of_keras or ()):
            return {}
        expected = self.of_keras["per_class_iou"]
        return {
            name: None
            if None in (iou, expected[name])
            else 100 * (expected[name] - iou)
            for name, iou in self.scores["per_class_iou"].items()
        }


class KerasMasks:
    """The masks that the Keras model gives a split, made once for all files.

    Args:
        model: `DLASegmenter`.
        size: Height and width that pictures are brought to.
        split: Sequence of `Example` with `info`.
        count: Number of its pictures, evenly spread. Defaults to `None`: all.
        fit: Rule by which pictures are brought to the size. Defaults to `PAD`.

    Attributes:
        indices: Indices of these pictures.
        scores: Scores of the masks.
        milliseconds: Median time of a mask.

    Raises:
        ValueError: If the count is below 1.
    """

    def __init__(
        self, model, size, split, count: int | None = None, fit: Fit = PAD
    ):
        self.split = split
        self.fit = fit
        self.indices = spread(range(len(split)), count)
        self._counts, self._masks = {}, {}
        predict = predictor_at(model, size, fit)
        predict(split[self.indices[0]].image)  # compiles
        scores = evaluate(predict, split, indices=self.indices, seen=self._keep)
        self.milliseconds = scores["milliseconds"]
        self.scores = self.scores_of(self.indices)

    def _keep(self, index, mask, counts):
        # A hundredth of the size: those of a large split fill the memory.
        self._masks[index] = mask.shape, zlib.compress(mask.tobytes(), 1)
        self._counts[index] = counts

    def __getitem__(self, index: int) -> np.ndarray:
        shape, packed = self._masks[index]
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)

    def scores_of(self, indices: Iterable[int]) -> dict:
        """Return the scores of the Keras model on some of its pictures."""
        counts = sum(self._counts[index] for index in indices)
        return named_scores(counts, self.split.info)


def file_row(
    path, agreement: dict, refused: bytes | None = None, name: str = ""
) -> Row:
    """Return a row with what costs no time: sizes and agreement.

    Args:
        path: Path of the file.
        agreement: Agreement, see `Row`.
        refused: Bytes that did not become that file. Defaults to `None`.
        name: Name in the table. Defaults to the file's.
    """
    data = pathlib.Path(path).read_bytes() if refused is None else refused
    return Row(
        name or pathlib.Path(path).name,
        str(path) if refused is None else None,
        len(data) / 1e6,
        len(gzip.compress(data)) / 1e6,
        agreement,
    )


def keras_row(path, masks: KerasMasks | None) -> Row:
    """Return the Keras model's own row.

    Args:
        path: Path of its file.
        masks: Masks of the model, where it gives some.
    """
    row = file_row(path, {})
    if masks is None:
        return row
    return dataclasses.replace(
        row,
        scores=masks.scores,
        same=dict.fromkeys(masks.indices, 1.0),
        milliseconds=masks.milliseconds,
    )


def measured(row: Row, threads: tuple[int, ...], **limits) -> Row:
    """Return a row with its costs.

    Args:
        row: Row of a file.
        threads: Threads to run on, each number in a process of its own.
        **limits: Further arguments of `measure_cost`.
    """
    costs = tuple(measure_cost(row.path, n, **limits) for n in threads)
    return dataclasses.replace(row, costs=costs)


def scored(
    row: Row, masks: KerasMasks, seconds: float = SECONDS, worst: int = 2
) -> tuple[Row, dict[int, np.ndarray]]:
    """Return a row with scores beside those of Keras, and its worst masks.

    Args:
        row: Row that `measured` gave.
        masks: Masks of the Keras model.
        seconds: Time that it may take, about. Defaults to `600.0`.
        worst: Number of masks that are given, at most. Defaults to `2`.

    Returns:
        The row, and those of the file's masks that differ most, by index.
    """
    fastest = min(row.costs, key=lambda cost: cost.median_ms)
    lite_model = LiteModel(row.path, fastest.threads)
    size = tuple(lite_model.input_shape[1:3])
    predict = Predictor(lite_model, size, lite_model.fit)
    in_time = int(1000 * seconds / fastest.median_ms)
    same, shown = {}, {}

    def compare(index, mask, counts):
        same[index] = float((mask == masks[index]).mean())
        if same[index] < 1:
            shown[index] = mask
        if len(shown) > worst:
            del shown[max(shown, key=same.get)]

    indices = spread(masks.indices, max(1, in_time))
    scores = evaluate(predict, masks.split, indices=indices, seen=compare)
    row = dataclasses.replace(
        row,
        scores={key: scores[key] for key in masks.scores},
        of_keras=masks.scores_of(indices),
        same=same,
    )
    return row, shown


def export_every_precision(
    exporter: Exporter,
    source,
    folder,
    others=(),
    eval_pictures=None,
    by_number: bool = False,
) -> None:
    """Write the files and the comparison, and print its table.

    Args:
        exporter: Exporter of the files.
        source: `dataset` and `data_dir` for `open_split`.
        folder: Folder of the files; `float32.tflite` and so on, `table.md`,
            `comparison.json`, `report.html`.
        others: Paths of further files for the table. Defaults to none.
        eval_pictures: Number of pictures of the val split to score. Defaults
            to `None`: all.
        by_number: See `match_classes`. Defaults to `False`.

    Raises:
        ValueError: If another file is not of this model and size, or the
            pictures have other classes.
        VerificationError: If a file was refused, at the end.
    """
    folder = pathlib.Path(folder)
    check_others(others, exporter, folder)
    masks = read_masks(exporter, source, eval_pictures, by_number)
    threads = tuple(sorted({1, exporter.threads}))
    rows = [keras_row(exporter.path, masks)]
    _tell(rows[0])
    galleries = []
    score = None
    if TASKS[exporter.model.tasks[0]].FILE_COLUMNS:
        split = _val_split(exporter, source, by_number)
        score = functools.partial(whole_scores, exporter, split, eval_pictures)
        keras = score(_keras_file(exporter))
        rows[0] = dataclasses.replace(rows[0], scores=keras)
    for row in _file_rows(exporter, folder, others):
        if row.path is not None:
            row = measured(row, threads)
        if row.path is not None and score is not None:
            found = score(open_model(row.path, exporter.threads))
            row = dataclasses.replace(row, scores=found, of_keras=keras)
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
    """Yield a row per file that is written or refused; then the others."""
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
    """Raise `ValueError` for files that do not belong beside the model.

    Args:
        paths: Paths of the files.
        exporter: Exporter of the model.
        folder: Folder that the model's own files go to.
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
        _check_same_classes(path, lite_model, exporter)


def _check_same_classes(path, lite_model, exporter):
    theirs = KnownClasses(
        str(path), lite_model.class_names, lite_model.num_classes
    )
    try:
        match = match_classes(_classes(exporter), theirs)
    except ValueError as error:
        raise ValueError(f"{path} is of another model: {error}") from error
    if match.order:
        raise ValueError(
            f"{match.remark} Files are compared by number: export {path} "
            "again, from a model of this one's order."
        )


def _check_outputs(path, lite_model, model):
    for what, task in (
        ("classes", "segmentation"),
        ("boundaries", "boundary"),
        ("one class a picture", "classification"),
        ("boxes", "detection"),
    ):
        gives = task in lite_model.tasks
        if gives != (task in model.tasks):
            raise ValueError(
                f"{path} is of another model: it gives "
                f"{'' if gives else 'no '}{what}."
            )


def _own_files(folder):
    return [(folder / f"{name}.tflite").resolve() for name in PRECISIONS]


def read_masks(
    exporter, source, eval_pictures, by_number: bool = False
) -> KerasMasks | None:
    """Return the Keras model's masks; `None` if it gives none."""
    if "segmentation" not in exporter.model.tasks:
        return None
    with quiet_stderr():
        split = _val_split(exporter, source, by_number)
        return KerasMasks(
            exporter.model,
            exporter.size,
            split,
            eval_pictures,
            exporter.rule,
        )


def _val_split(exporter, source, by_number):
    row = TASKS[exporter.model.tasks[0]]
    split = row.open_split(source[0], "val", source[1])
    unsaid = lambda remark: None  # by the exporter's pictures already
    return in_model_order(split, _classes(exporter), by_number, unsaid)


def _classes(exporter):
    model = exporter.model
    name = str(exporter.path or model.name)
    return KnownClasses(name, model.class_names, model.num_classes)


def _keras_file(exporter):
    """Return the model as if it came from a file that takes one size."""
    opened = describe_model(exporter.model, str(exporter.path))
    if "classification" in opened.tasks:
        return opened
    return opened.at(exporter.rule, exporter.size)


def whole_scores(exporter, split, count: int | None, opened) -> dict:
    """Return the scores of a file whose pictures are not scored by pixels.

    Args:
        exporter: Exporter of the model.
        split: Split, with the model's class ids.
        count: Number of its pictures, evenly spread; `None` for all.
        opened: File, opened.
    """
    row = TASKS[exporter.model.tasks[0]]
    views = Views()
    if "classification" in opened.tasks:
        views = Views(size=exporter.size, crop_fraction=exporter.crop_fraction)
    find = row.file_finder(opened, views)
    scores = row.evaluate(find, split, lambda indices: spread(indices, count))
    return {key: scores[key] for key in row.FILE_COLUMNS}


def write_comparison(comparison, galleries, folder) -> None:
    """Write the table, the figures and the page.

    Args:
        comparison: Comparison to write.
        galleries: Pictures for the page.
        folder: Folder to write to.
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
    """Print what is known of a file so far: the others take minutes."""
    parts = [f"{kind} {found}" for kind, found in row.agreement.items()]
    if row.path is None:
        parts.append("refused")
    if row.scores:
        parts += [
            f"{name} {score_text(row.scores[key])}"
            for key, name in MAIN.items()
            if key in row.scores
        ]
    parts += [f"{c.median_ms:.1f} ms on {c.threads}" for c in row.costs]
    if parts:
        said = f"{row.name}: {', '.join(parts)}"
        print(said, file=sys.stderr, flush=True)


def _raise_refused(rows):
    refused = [row.name for row in rows if row.path is None]
    if refused:
        raise VerificationError(
            f"{', '.join(refused)}: agreement with the Keras model is below "
            "--min-agreement, or scores differ too much. Not written; a file "
            "of that name in the folder is of an earlier export."
        )
