"""The latency command: steps that add up, rows that fit, refusals."""

import csv
import errno
import pathlib
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dla_keras.commands import benchmark
from dla_keras.commands.benchmark import main
from dla_keras.data.fitting import PAD
from dla_keras.files import append_csv
from dla_keras.lite.measure.cost import time_steps
from dla_keras.lite.options import STEPS
from dla_keras.provenance import machine_slug
from dla_keras.quiet import quiet_stderr

SIZE = (32, 64)
PICTURE = np.zeros((48, 50, 3), np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return a network of one layer whose file has no facts."""
    kernel = tf.ones((3, 3, 3, 4))

    @tf.function(input_signature=[tf.TensorSpec((1, *SIZE, 3), tf.uint8)])
    def network(image):
        image = tf.cast(image, tf.float32)
        scores = tf.nn.conv2d(image, kernel, 1, "SAME")
        edge = tf.sigmoid(scores[..., 0])
        return {"boundary": edge, "logits": scores[:, ::4, ::4]}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], tf.Module()
    )
    with quiet_stderr():
        data = converter.convert()
    path = tmp_path_factory.mktemp("files") / "one.tflite"
    path.write_bytes(data)
    return path


class Slow:
    """A file whose network takes 20 ms, and whose masks take 10."""

    input_shape = (1, *SIZE, 3)
    fit = PAD
    palette = None
    tasks = ("segmentation",)

    def __init__(self):
        self.runs = 0

    def infer(self, image):
        assert image.shape == (*SIZE, 3)
        self.runs += 1
        time.sleep(0.02)
        return {}

    def read_mask(self, outputs):
        time.sleep(0.01)
        return np.zeros(SIZE, np.uint8)


def test_each_step_has_its_own_time():
    times = time_steps(Slow(), PICTURE, runs=5, warm_up=1)
    assert set(times) == set(STEPS)
    assert {len(values) for values in times.values()} == {5}
    # Sleep never takes less; how much more depends on the machine.
    assert min(times["inference"]) >= 20
    assert min(times["post"]) >= 10
    assert min(times["pre"]) < 10
    steps = np.sum([times[step] for step in STEPS[:-1]], axis=0)
    np.testing.assert_allclose(times["total"], steps)


def test_warm_up_does_not_count_and_time_is_limited():
    model = Slow()
    times = time_steps(model, PICTURE, runs=2, warm_up=3)
    assert (model.runs, len(times["total"])) == (5, 2)
    model = Slow()
    times = time_steps(model, PICTURE, runs=50, warm_up=5, seconds=0.01)
    assert (model.runs, len(times["total"])) == (1, 1)


def test_command_prints_and_appends(file, tmp_path, capsys):
    output = tmp_path / "new" / "machine.csv"
    picture = tmp_path / "street.png"
    Image.fromarray(PICTURE).save(picture)
    arguments = ["--model", str(file), "--runs", "3", "--warm-up", "1"]
    arguments += ["--output", str(output), "--threads", "2", "1"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "720x1280" in out and "one.tflite" in out
    assert main([*arguments, "--picture", str(picture)]) == 0
    assert "48x50" in capsys.readouterr().out
    with output.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert [row["threads"] for row in rows] == ["1", "2", "1", "2"]
    assert [row["picture_size"] for row in rows[1:3]] == ["720x1280", "48x50"]
    for row in rows:
        assert (row["file"], row["size"], row["runs"]) == (
            "one.tflite", "32x64", "3",
        )  # fmt: skip
        assert (row["variant"], row["precision"]) == ("", "")
        assert row["runtime"].startswith("ai-edge-litert ")
        for step in STEPS:
            low, middle, high = (
                float(row[f"{step}_{name}_ms"])
                for name in ("minimum", "median", "p90")
            )
            assert 0 < low <= middle <= high
    assert [path.name for path in output.parent.iterdir()] == ["machine.csv"]


def test_rows_go_to_the_machines_own_file(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", str(file), "--runs", "1", "--threads", "1"]
    assert main(arguments) == 0
    written = list(tmp_path.rglob("*.csv"))
    assert written == [tmp_path / "benchmarks" / f"{machine_slug()}.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--picture", "nowhere.png"], "nowhere.png"),
        (["--picture", "BROKEN"], "broken"),
        (["--model", "nowhere.tflite"], "no file at nowhere.tflite"),
        (["--model", "BROKEN"], "no complete .tflite file"),
        (["--output", "OTHER"], "has other columns"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    file, tmp_path, capsys, arguments, message
):
    broken, other = tmp_path / "broken.tflite", tmp_path / "other.csv"
    broken.write_bytes(file.read_bytes()[:1000])
    other.write_text("date,mine\n1,2\n")
    names = {"BROKEN": str(broken), "OTHER": str(other)}
    arguments = [names.get(argument, argument) for argument in arguments]
    output = tmp_path / "x.csv"
    defaults = ["--model", str(file), "--output", str(output)]
    assert main([*defaults, *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err and out == ""
    assert not output.exists()
    assert other.read_text() == "date,mine\n1,2\n"


def test_outputs_of_any_shape_have_a_place():
    shapes = {"probabilities": [1, 10], "location": [1, 9, 4], "count": [1]}
    outputs = [{"name": n, "shape": shape} for n, shape in shapes.items()]
    model = SimpleNamespace(
        facts={"outputs": outputs}, input_shape=(1, *SIZE, 3)
    )
    times = dict.fromkeys(("pre", "inference", "post", "total"), [1.0])
    row = benchmark.row("a.tflite", model, 1, PICTURE, times)
    assert row["outputs"] == "probabilities 10, location 9x4, count"


def test_a_csv_file_keeps_its_rows(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    append_csv(path, [{"a": 1, "b": "x, y"}])
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    append_csv(path, [{"a": 2, "b": ""}])
    whole = 'a,b\n1,"x, y"\n2,\n'
    assert path.read_text() == whole
    with pytest.raises(
        ValueError, match=r"Expected: a, c and .* Received: a, b \(2"
    ):
        append_csv(path, [{"a": 3, "c": 4}])

    def fill_up(path, text, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", fill_up)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.csv'"):
        append_csv(path, [{"a": 3, "b": 4}])
    assert path.read_text() == whole
    assert list(tmp_path.iterdir()) == [path]
