"""What compressing a network leaves: a folder per method, and a table."""

import gzip
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.files import atomic_path
from dla_keras.files import read_json
from dla_keras.files import write_json
from dla_keras.inference.model_files import describe_lite
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.inference.views import Views
from dla_keras.lite.compress.fine_tuning import rounded_network
from dla_keras.lite.compress.kernels import file_kernels
from dla_keras.lite.compress.kernels import kernel_facts
from dla_keras.lite.compress.kernels import model_kernels
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.options import MAIN
from dla_keras.tables import score_text
from dla_keras.tables import text_table

METRICS = "metrics.json"  # written last
TABLE = "table.md"
_HEADER = ("points lost", "zeros", "numbers a kernel", "MB", "MB gzipped")
# Of a fine-tuning, what its file says of itself: no paths of the machine.
_FACTS = (
    "method", "steps", "learning_rate", "sparsity", "clusters", "seed",
)  # fmt: skip
_MANY = 256  # more numbers than 8 bits have: as good as any


@dataclass(frozen=True)
class Judge:
    """Pictures that files are scored and verified on.

    Args:
        row: Row of the model's task.
        val: Split to score on.
        size: Height and width of `.tflite` files.
        held_out: Pictures to compare a file with its network on.
        threads: Threads for `.tflite` files.
        fit: Rule by which pictures are brought to that size. Defaults to
            `PAD`.
        min_agreement: Least agreement. Defaults to `None`: int8's own.
        progress: Wrapper of the split's indices; takes them and a label.
            Defaults to none.
    """

    row: object
    val: Sequence
    size: tuple[int, int]
    held_out: Sequence[np.ndarray]
    threads: int
    fit: Fit = PAD
    min_agreement: float | None = None
    progress: Callable = lambda indices, label: indices

    def score(self, find, label: str) -> dict:
        """Score a finder of the row on the whole split."""
        row = self.row
        scores = row.evaluate(
            find, self.val, lambda indices: self.progress(indices, label)
        )
        return {key: scores[key] for key in row.COMPRESSED}

    def score_model(self, model, label: str) -> dict:
        """Score a model on the whole split."""
        row = self.row
        return self.score(row.model_finder(model), label)

    def score_file(self, data: bytes, label: str) -> dict:
        """Score a `.tflite` file on the whole split."""
        lite_model, row = LiteModel(data, self.threads), self.row
        lite_model.fit = self.fit  # which a file that is being made says later
        find = row.file_finder(describe_lite(lite_model), Views())
        return self.score(find, label)

    def exporter(self, model, **options) -> Exporter:
        """Return what makes files that this judge verifies.

        Args:
            model: Model of the files.
            **options: Further arguments of `Exporter`.
        """
        return Exporter(
            model,
            self.size,
            held_out=self.held_out,
            threads=self.threads,
            min_agreement=self.min_agreement,
            rule=self.fit,
            **options,
        )


def measure_baselines(model, path, calibration, judge: Judge) -> dict:
    """Measure a model before it is compressed, as it is and in int8.

    Args:
        model: Model of the judge's task.
        path: Path of its `.keras` file.
        calibration: Pictures of the train split.
        judge: Judge that scores it.

    Returns:
        Name -> figures, as JSON can hold them.
    """
    exporter = judge.exporter(model, calibration=calibration)
    exporter.check_reference()  # now, not after the training
    data = exporter.convert("int8").pack()
    return {
        "float32": {
            **judge.score_model(model, "float32"),
            **_figures(pathlib.Path(path).read_bytes(), model_kernels(model)),
        },
        "int8, not fine-tuned": {
            **judge.score_file(data, "int8"),
            **_figures(data, file_kernels(data)),
        },
    }


# All that a method's folder holds.
CONTENT = ("model.keras", "config.json", METRICS, "ranges.json", "int8.tflite")


def fill_folder(
    folder, model, method: str, ranges, judge: Judge, config: dict, before: dict
) -> None:
    """Write what a method has made of a model.

    Args:
        folder: Empty folder.
        model: Model with the weights that the method left.
        method: Name of a row of `METHODS`.
        ranges: Ranges that `apply_method` gave.
        judge: Judge that scores and verifies.
        config: Content of `config.json`.
        before: Figures that `measure_baselines` gave.

    Raises:
        VerificationError: If the int8 file agrees too little with the
            network that was trained.
    """
    path = folder / "model.keras"
    model.save(path)
    write_json(folder / "config.json", config)
    if ranges is None:
        results = judge.score_model(model, method)
        results |= _figures(path.read_bytes(), model_kernels(model))
    else:
        write_json(folder / "ranges.json", ranges)
        fine_tuning = config["fine_tuning"]
        exporter = judge.exporter(
            model,
            path=path,
            network=rounded_network(model, method, ranges),
            about={k: fine_tuning[k] for k in _FACTS if k in fine_tuning},
        )
        file = exporter.convert("int8")
        results = judge.score_file(file.pack(), method)
        write_json(folder / METRICS, results)  # for the facts in the file
        made = exporter.finish(file, "int8")
        made.require()
        (folder / "int8.tflite").write_bytes(made.data)
        results |= _figures(made.data, file_kernels(made.data))
        results["agreement"] = {
            kind: str(found) for kind, found in made.agreement.items()
        }
    write_json(
        folder / METRICS, {"method": method, **results, "before": before}
    )


def write_table(folder) -> str:
    """Write the table of all methods that a folder holds results of.

    Args:
        folder: Folder with one for each method.

    Returns:
        The table.
    """
    folder = pathlib.Path(folder)
    found = [
        read_json(path)
        for path in sorted(folder.glob(f"*/{METRICS}"), key=os.path.getmtime)
    ]
    rows = {n: row for results in found for n, row in results["before"].items()}
    rows |= {results["method"]: results for results in found}
    key = next(key for key in MAIN if key in rows["float32"])
    header = ("method", MAIN[key], *_HEADER)
    start = rows["float32"][key]
    table = text_table(
        header, [_row(*item, key, start) for item in rows.items()]
    )
    with atomic_path(folder / TABLE) as temporary:
        temporary.write_text(table + "\n")
    return table


def _figures(data, kernels):
    facts = kernel_facts(kernels)
    return {
        "zeros": facts.zeros,
        "least_zeros": facts.least_zeros,
        "numbers": facts.numbers,
        "bytes": len(data),
        "gzipped_bytes": len(gzip.compress(data, mtime=0)),
    }


def _row(name, results, key, start):
    numbers = results["numbers"]
    return (
        name,
        score_text(results[key]),
        "-" if start is None else f"{100 * (start - results[key]):.2f}",
        f"{100 * results['zeros']:.1f} %",
        numbers if numbers <= _MANY else "any",
        f"{results['bytes'] / 1e6:.2f}",
        f"{results['gzipped_bytes'] / 1e6:.2f}",
    )
