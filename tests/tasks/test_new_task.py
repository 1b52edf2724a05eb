"""A task that no command knows: one row and one entry of flags are enough.

The task is the brightness of a picture; its network is one number times the
mean of the pixels.
"""

import csv
import json
import pathlib
import re
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from PIL import Image

import dla_keras
from dla_keras.commands import evaluate
from dla_keras.commands import predict
from dla_keras.commands import train
from dla_keras.commands.flags import FLAGS
from dla_keras.commands.flags import TaskFlags
from dla_keras.commands.flags import shared_flags
from dla_keras.data.classification import LabelledPicture
from dla_keras.inference.prediction_files import TableResults
from dla_keras.tasks import ROW
from dla_keras.tasks import TASKS
from dla_keras.tasks import recipes

SIZE = (32, 32)


@keras.saving.register_keras_serializable(package="tests")
class Meter(keras.Model):
    """A network that gives one number a picture."""

    tasks = ("brightness",)
    image_shape = (*SIZE, 3)
    class_names = palette = num_classes = working_size = None

    def __init__(self, **kwargs):
        self.backbone = keras.layers.GlobalAveragePooling2D(name="backbone")
        self.fc = keras.layers.Dense(1, name="fc")
        inputs = keras.Input(self.image_shape)
        scaled = keras.layers.Rescaling(1 / 255)(inputs)
        outputs = self.fc(self.backbone(scaled))
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

    def get_config(self):
        return {}


# --- The row: what a file of `tasks/` has ---

TITLE = "Brightness"
COLUMNS = {"closeness": "closeness"}
SPLIT_FLAGS = MEASURE_FLAGS = EVALUATE_FLAGS = LEFT_OUT = ()
BATCH = 1


class Greys(list):
    info = SimpleNamespace(name="greys")


def open_split(dataset, split, data_dir=None, beside=None):
    count = {"train": 8, "val": 4}[split]
    greys = np.linspace(10, 240, count).astype(int)
    return Greys(
        LabelledPicture(np.full((*SIZE, 3), grey, np.uint8), int(grey), f"{i}")
        for i, grey in enumerate(greys)
    )


def working_split(split, rule, scored=False):
    return split


def augmentation(args):
    def augment(image, label, seed):
        return tf.ensure_shape(tf.cast(image, tf.float32), (*SIZE, 3)), label

    return augment


def make_teacher(args, info):
    return None


def drawing_rule(args, train):
    return None


def mixing(args, info):
    return None


def make_model(args, info):
    return Meter()


def loss_sums(args, train):
    def sums(labels, outputs):
        errors = ops.cast(labels, "float32") / 255 - outputs[:, 0]
        return ops.sum(errors**2), ops.cast(ops.size(errors), "float32")

    return sums


def model_finder(model, args=None):
    return lambda image: float(model(image[None])[0, 0])


def file_finder(opened, views):
    return model_finder(opened.model)


def measure(find, split, indices):
    for index in indices:
        yield abs(find(split[index].image) - split[index].label / 255)


def summarize(errors, info):
    return {
        "closeness": 1 - float(np.mean(errors)),
        "pictures": len(errors),
        "milliseconds": 0.0,
    }


def evaluate_split(find, split, progress=iter):
    errors = measure(find, split, progress(range(len(split))))
    return summarize(list(errors), split.info)


METER = SimpleNamespace(
    **{
        name: value
        for name, value in vars(sys.modules[__name__]).items()
        if name.isupper() or callable(value)
    },
    check=lambda train, val, allow: [],
    evaluate=evaluate_split,
    baselines=lambda train, val: {},
    drawing=lambda model, val: None,
    figures=lambda find, split, results: {},
    galleries=lambda find, split, scores: (),
    cells=lambda scores: {"closeness": f"{scores['closeness']:.2f}"},
    open_results=lambda output, classes: TableResults(
        output, "brightness.csv", lambda value: {"brightness": f"{value:.3f}"}
    ),
    facts=lambda classes: {},
    find_in=lambda find, image: find(image),
    draw_over=None,
    open_recorded=None,
    fit=lambda image, size, crop_fraction, rule: image,
    file_output=lambda head: ("brightness",),
    file_outputs=lambda model, outputs: {"brightness": outputs[:, 0]},
    KIND="brightness",
    FILE_COLUMNS=(),
    COMPRESSED=(),
    MIN_AGREEMENT={},
    file_scores=lambda model, outputs, probabilities: outputs,
    file_finding=lambda model, scores, size, rule: scores,
    compared=lambda opened: {},
    same=lambda expected, found: expected == found,
    sameness=lambda outputs, class_names: None,
)


def read_rows(path):
    """Return the rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


RECIPE = {
    "dataset": "greys",
    "size": "32x32",
    "batch_size": 8,
    "steps": 300,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "validate_every": 0,
}


@pytest.fixture
def registered(monkeypatch):
    """Put the row and its flags where commands look for them."""
    flags = TaskFlags(training={"--size": {}})
    monkeypatch.setitem(TASKS, "brightness", METER)
    monkeypatch.setitem(FLAGS, "brightness", flags)
    entry = ({"greys": RECIPE}, "greys")
    monkeypatch.setitem(recipes.RECIPES, "brightness", entry)


def test_a_new_task_is_one_row(registered, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--run-dir", str(run)]
    args = train.read_flags("brightness", "train-meter", "Train.", words)
    train.train("brightness", args)
    assert "closeness" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["closeness"] > 0.95
    rows = read_rows(run / "history.csv")
    assert float(rows[-1]["val_closeness"]) == metrics["closeness"]
    assert "Brightness" in (run / "report.html").read_text()

    model = ["--model", str(run / "model.keras")]
    assert evaluate.main(model) == 0
    assert "greys, 4 pictures" in capsys.readouterr().out
    written = run / "model.keras.evaluation" / "metrics.json"
    again = json.loads(written.read_text())
    assert again["closeness"] == metrics["closeness"]

    picture = tmp_path / "grey.png"
    Image.new("RGB", SIZE[::-1], (102, 102, 102)).save(picture)
    out = tmp_path / "out"
    paths = ["--input", str(picture), "--output", str(out)]
    assert predict.main([*model, *paths]) == 0
    (row,) = read_rows(out / "brightness.csv")
    assert row["picture"] == "grey.png"
    assert float(row["brightness"]) == pytest.approx(0.4, abs=0.05)
    # Its task is told by the file, and no other is in it.
    assert predict.main([*model, *paths, "--task", "boundary"]) == 2
    assert "which is for brightness" in capsys.readouterr().err


def test_a_report_that_fails_does_so_before_the_first_step(
    registered, tmp_path, monkeypatch
):
    def fail(find, split, scores):
        assert len(split) == scores["pictures"] == 1
        raise ValueError("a class without a name")

    monkeypatch.setattr(METER, "galleries", fail)
    words = ["--run-dir", str(tmp_path / "run")]
    args = train.read_flags("brightness", "train-meter", "Train.", words)
    with pytest.raises(ValueError, match="a class without a name"):
        train.train("brightness", args)
    assert not list(tmp_path.iterdir())


def test_every_row_has_the_same_functions():
    for task, row in {**TASKS, "brightness": METER}.items():
        assert not set(ROW) - set(vars(row)), task
    # All that is asked of a row is promised, and the other way around.
    sources = pathlib.Path(dla_keras.__file__).parent.rglob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    asked = set(re.findall(r"\b(?:row|TASKS\[[^]]+\])\.(\w+)", text))
    assert not set(ROW) - asked
    # Rows of other tables are called so too.
    shared = set.intersection(*(set(vars(row)) for row in TASKS.values()))
    own = {name for name in shared if not name.startswith("_")}
    assert (asked & own) == set(ROW)


def test_tasks_may_share_a_flag_but_not_its_name(monkeypatch):
    thinned = FLAGS["boundary"].inference["--nms"]
    same = TaskFlags(training={}, inference={"--nms": thinned})
    monkeypatch.setitem(FLAGS, "depth", same)
    groups = shared_flags("inference", "evaluation")
    assert groups["boundary, depth"] == {"--nms": thinned}
    args = evaluate.parse_flags(["--model", "m.keras", "--no-nms"])
    assert args.nms is False
    assert predict.parse_flags(["--model=m", "--input=i", "--output=o"])
    for kind in ("inference", "evaluation"):
        other = TaskFlags(training={}, **{kind: {"--nms": {"type": float}}})
        monkeypatch.setitem(FLAGS, "depth", other)
        with pytest.raises(ValueError, match="--nms of boundary and another"):
            shared_flags("inference", "evaluation")
