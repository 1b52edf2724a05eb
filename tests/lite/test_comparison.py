"""Files of every precision beside Keras: figures, table, page, refusals."""

import dataclasses
import errno
import json
import pathlib
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from boxes import PICTURES
from boxes import SIZE
from boxes import fitted
from boxes import write_run
from files import convert
from running import command

from dla_keras import DLABoundaryDetector
from dla_keras.data.fitting import PAD
from dla_keras.data.segmentation import open_split
from dla_keras.inference.model_files import open_model
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import VerifiedFile
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure import comparison
from dla_keras.lite.measure.agreement import Agreement
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.lite.measure.comparison import Row
from dla_keras.lite.measure.comparison import file_row
from dla_keras.lite.measure.comparison import scored
from dla_keras.lite.measure.cost import Cost
from dla_keras.lite.measure.cost import measure_cost
from dla_keras.lite.measure.cost_process import count_nodes
from dla_keras.lite.measure.cost_process import time_runs
from dla_keras.lite.options import PRECISIONS
from dla_keras.report.comparison import Comparison
from dla_keras.report.comparison import class_table
from dla_keras.report.comparison import comparison_page
from dla_keras.report.comparison import main_table
from dla_keras.tasks.segmentation import evaluate

pytestmark = pytest.mark.usefixtures("small_networks")

EXPORTED = [f"{name}.tflite" for name in PRECISIONS]


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, model)
    coarse = convert(model, SIZE, head="coarse_logits")
    (folder / "coarse.tflite").write_bytes(coarse)
    return folder


@pytest.fixture(scope="module")
def exported(model, run_folder):
    """Return the folder that the command fills."""
    load = {"inference.model_files.load_model": lambda path: model}
    main = command("export_tflite", load)
    folder = run_folder / "tflite"
    code = main(
        ["--model", str(run_folder / "model.keras"), "--precision", "all"]
        + ["--output", str(folder), "--threads", "1"]
        # A model this small loses more than a trained one: see boxes.py.
        + ["--min-agreement", "0.9"]
        + ["--compare", str(run_folder / "coarse.tflite")]
    )
    assert code == 0
    return folder


@pytest.fixture(scope="module")
def split(run_folder):
    return open_split("boxes", "val", str(run_folder / "data"))


@pytest.fixture(scope="module")
def masks(model, split):
    return KerasMasks(model, SIZE, split)


@pytest.fixture(scope="module")
def rows(exported):
    figures = json.loads((exported / "comparison.json").read_text())
    return {row["name"]: row for row in figures["rows"]}


def test_one_command_writes_every_file_and_its_report(exported, rows):
    assert sorted(path.name for path in exported.iterdir()) == sorted(
        [*EXPORTED, "comparison.json", "report.html", "table.md"]
    )
    assert list(rows) == ["model.keras", *EXPORTED, "coarse.tflite"]
    table = (exported / "table.md").read_text()
    assert all(f"| {name} " in table for name in rows)
    for fact in ("machine: ", "date: 20", "command: python "):
        assert f"- {fact}" in table


def test_scores_are_those_of_evaluation(rows, exported, run_folder, split):
    for name, path in (
        ("model.keras", run_folder / "model.keras"),
        ("int8.tflite", exported / "int8.tflite"),
        ("coarse.tflite", run_folder / "coarse.tflite"),
    ):
        expected = evaluate(open_model(path).masks, split)
        for key in ("miou", "pixel_accuracy", "per_class_iou"):
            assert rows[name]["scores"][key] == pytest.approx(expected[key])


def test_loss_is_what_keras_has_more(rows):
    keras, int8 = rows["model.keras"]["scores"], rows["int8.tflite"]
    loss = 100 * (keras["miou"] - int8["scores"]["miou"])
    assert int8["loss_points"] == pytest.approx(loss)
    loss = 100 * (
        keras["per_class_iou"]["b"] - int8["scores"]["per_class_iou"]["b"]
    )
    assert int8["class_loss_points"]["b"] == pytest.approx(loss)
    # Rounding on the way; of 13,500 pixels float32 loses hardly any.
    assert abs(rows["float32.tflite"]["loss_points"]) < 0.1
    assert rows["int8.tflite"]["loss_points"] != 0


def test_what_xnnpack_leaves_is_what_it_does_not_know(rows, exported):
    (cost,) = rows["float32.tflite"]["costs"]
    counts = TfliteFile((exported / "float32.tflite").read_bytes()).op_counts
    assert cost["nodes"] == counts.total()
    left = cost["nodes"] - cost["delegated"]
    assert left == counts["ARG_MAX"] + counts["CAST"]
    (slow,) = rows["int16x8.tflite"]["costs"]
    assert slow["delegated"] < 0.1 * slow["nodes"]


def test_memory_is_of_the_file_alone(rows):
    (cost,) = rows["float32.tflite"]["costs"]
    # At least the weights; and not a process with Keras in it, which takes
    # some 500 MB. Measured: 20 MB.
    assert rows["float32.tflite"]["megabytes"] < cost["peak_bytes"] / 1e6 < 60


def test_page_shows_files_and_pictures_and_fetches_nothing(exported, rows):
    page = (exported / "report.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in rows)
    assert "int8.tflite: where it differs most" in page
    shown = re.findall(r'<div class="views">(.*?)</div></figure>', page)
    assert shown and all(views.count("<img") == 4 for views in shown)
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import', page)


def test_slow_files_see_fewer_pictures(exported, masks):
    path = exported / "int8.tflite"
    cost = Cost(1, 1, 1, 1000.0, 1, 1, 1, None, 1, 1)
    row = dataclasses.replace(file_row(path, {}), costs=(cost,))
    row, shown = scored(row, masks, seconds=1.5, worst=1)
    assert list(row.same) == [0]
    assert len(shown) == 1
    # Beside Keras on that picture, not on all.
    assert row.of_keras == masks.scores_of([0])
    assert row.of_keras["miou"] != masks.scores["miou"]
    row, shown = scored(row, masks, seconds=1e6, worst=1)
    assert len(row.same) == 3
    assert list(shown) == [min(row.same, key=row.same.get)]


class FakeExporter(Exporter):
    """Gives a file that exists, and says that it agrees so much."""

    def __post_init__(self):
        """Take any model."""

    def make(self, precision):
        found = Agreement(0.95, 0.9, 1)
        data = pathlib.Path(self.path).with_name("coarse.tflite").read_bytes()
        minimum = PRECISIONS[precision].min_agreement
        return VerifiedFile(data, {"classes": found}, minimum)


def exporter(kind, model, run_folder, size=SIZE):
    path = str(run_folder / "model.keras")
    return kind(model, size, held_out=PICTURES[:1], path=path, rule=PAD)


def export(exporter, run_folder, folder, others=()):
    source = "boxes", str(run_folder / "data")
    comparison.export_every_precision(
        exporter, source, folder, others, eval_pictures=1
    )


def quick(row, threads):
    cost = Cost(1, 1, 1, 1.0, 1, 1, 1, None, 1, 1)
    return dataclasses.replace(row, costs=(cost,))


def test_refused_files_stand_in_the_table_only(
    model, run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(comparison, "measured", quick)
    fake = exporter(FakeExporter, model, run_folder)
    refused = "float32.tflite, float16.tflite, int16x8.tflite: agreement"
    with pytest.raises(VerificationError, match=refused):
        export(fake, run_folder, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.tflite")) == [
        "dynamic.tflite",
        "int8.tflite",
    ]
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if "float16" in line)
    assert "float16.tflite (refused)" in line and "0.9500" in line


def test_a_full_disk_leaves_nothing_half_written(
    model, run_folder, tmp_path, monkeypatch
):
    write = pathlib.Path.write_bytes

    def fill_up(path, data):
        write(path, data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(comparison, "measured", quick)
    monkeypatch.setattr(pathlib.Path, "write_bytes", fill_up)
    fake = exporter(FakeExporter, model, run_folder)
    with pytest.raises(OSError, match=r"No space left.*dynamic\.tflite"):
        export(fake, run_folder, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("size", "with 64x96, where --size is 32x32; pass --size 64x96"),
        ("classes", "of another model: Expected the .* classes of .*: a, b"),
        ("boundaries", "of another model: it gives boundaries"),
        ("own", "this export writes anew"),
        ("missing", "no file at"),
        ("broken", "no complete .tflite file"),
    ],
)
def test_other_files_must_fit(
    model, run_folder, tmp_path, monkeypatch, case, message
):
    lite_model = SimpleNamespace(
        input_shape=(1, *SIZE, 3),
        class_names=("a", "b") if case == "classes" else None,
        num_classes=2 if case == "classes" else None,
        tasks=("segmentation", "boundary")[: 1 + (case == "boundaries")],
    )
    if case not in ("missing", "broken"):
        monkeypatch.setattr(comparison, "LiteModel", lambda p: lite_model)
    path = tmp_path / ("int8.tflite" if case == "own" else "x.tflite")
    if case == "broken":
        data = (run_folder / "coarse.tflite").read_bytes()
        path.write_bytes(data[: len(data) // 2])
    known = SimpleNamespace(tasks=("segmentation",), num_classes=5)
    known.class_names = tuple("abcde")
    size = (32, 32) if case == "size" else SIZE
    other = exporter(FakeExporter, known, run_folder, size)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export(other, run_folder, tmp_path, [path])


def test_a_dataset_of_other_classes_is_refused(run_folder, tmp_path):
    known = SimpleNamespace(tasks=("segmentation",), num_classes=19, name="m")
    known.class_names = None
    fake = exporter(FakeExporter, known, run_folder)
    with pytest.raises(ValueError, match="the 19 classes of .*data with 5"):
        export(fake, run_folder, tmp_path)


def test_boundaries_are_compared_by_agreement(
    run_folder, tmp_path, monkeypatch, capsys
):
    row = PRECISIONS["float32"]
    monkeypatch.setattr(comparison, "PRECISIONS", {"float32": row})
    keras.utils.set_random_seed(0)  # others say one probability everywhere
    detector = DLABoundaryDetector("dla46_c")
    export(exporter(Exporter, detector, run_folder), run_folder, tmp_path)
    out = capsys.readouterr().out
    assert "agreement of boundaries" in out and "mIoU" not in out
    text = (tmp_path / "table.md").read_text()
    assert "IoU" not in text and "Agreement is" in text
    assert (tmp_path / "report.html").exists()


def test_columns_without_figures_are_left_out():
    rows = (
        Row("a.keras", "a.keras", 2.0, 1.0),
        Row("b", None, 1.0, 0.5, {"classes": Agreement(0.5, 0.4, 9)}),
    )
    header, cells = main_table(Comparison("t", rows, (1,), {}))
    assert header == ("", "MB", "MB gzip", "agreement")
    assert cells[1] == ("b (refused)", "1.00", "0.50", "0.5000")


def test_classes_that_do_not_occur_have_no_loss():
    def scores(**ious):
        return {"miou": 0.5, "pixel_accuracy": 0.5, "per_class_iou": ious}

    keras = Row("k", "k", 1, 1, scores=scores(sky=0.9, car=None))
    other = Row("f", "f", 1, 1, scores=scores(sky=0.95, car=None))
    other = dataclasses.replace(other, of_keras=keras.scores)
    header, cells = class_table(Comparison("t", (keras, other), (1,), {}))
    assert header == ("IoU (loss)", "k", "f")
    assert cells == [("sky", "0.900", "0.950 (-5.0)"), ("car", "-", "-")]
    # Whatever a class is called, the page stays whole.
    strange = dataclasses.replace(keras, scores=scores(**{"<b>": 0.5}))
    html = comparison_page(
        Comparison("<t>", (strange,), (1,), {"machine": "<m>"})
    )
    assert "<b>" not in html and "<m>" not in html and "&lt;b&gt;" in html


def test_nodes_that_a_delegate_replaces_are_its_own():
    def op(index, name, inputs, outputs):
        return dict(op_name=name, inputs=inputs, outputs=outputs, index=index)

    operations = [
        op(0, "CONV_2D", [0, -1], [1]),
        op(1, "ADD", [1], [2]),
        op(2, "ARG_MAX", [2], [3]),
        op(3, "CAST", [3], [4]),
    ]
    assert count_nodes(operations, [4]) == (4, 0)
    taken = [*operations, op(4, "DELEGATE", [0], [2])]
    assert count_nodes(taken, [4]) == (4, 2)
    assert count_nodes(taken, np.array([4, 2])) == (4, 2)


def test_runs_are_counted_and_end_in_time():
    calls = []
    run = lambda: calls.append(0)
    first, times = time_runs(run, warm_up=3, runs=5, seconds=60)
    assert (len(calls), len(times)) == (3 + 5, 5)
    calls.clear()
    first, times = time_runs(run, warm_up=3, runs=5, seconds=0)
    assert (len(calls), times) == (1, [first])


def test_a_file_that_cannot_be_measured_is_named(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"no model at all")
    with pytest.raises(ValueError, match="x.tflite could not be measured"):
        measure_cost(path)


def test_integers_need_calibration(run_folder, tmp_path, capsys):
    main = command("export_tflite")
    arguments = ["--model", str(run_folder / "model.keras")]
    arguments += ["--output", str(tmp_path / "x"), "--precision", "all"]
    with pytest.raises(SystemExit):
        main([*arguments, "--calibration-pictures", "0"])
    assert "--calibration-pictures: expected" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
