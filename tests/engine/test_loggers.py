"""Loggers: services stand in as fakes, a terminal as a file."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from dla_keras.commands.shared import plain_message
from dla_keras.engine import loggers
from dla_keras.engine.loggers import Loggers
from dla_keras.engine.loggers import PlainLines
from dla_keras.engine.loggers import make_bar


class FakeWandb:
    """What W&B's package has of ours; it keeps what it is told."""

    Image = staticmethod(lambda picture: ("image", picture.size))

    def __init__(self):
        self.began, self.told, self.ended = [], [], []

    def init(self, **settings):
        self.began.append(settings)
        return SimpleNamespace(
            define_metric=lambda name, step_metric: None,
            log=self.told.append,
            finish=lambda exit_code: self.ended.append(exit_code),
        )


class FakeMLflow:
    """What MLflow's package has of ours; it keeps what it is told."""

    def __init__(self):
        self.runs, self.told, self.ended = [], [], []
        self.parameters = {}
        self.log_params = self.parameters.update
        self.end_run = self.ended.append

    def set_experiment(self, name):
        self.experiment = name

    def start_run(self, run_id=None, run_name=None):
        self.runs.append((run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

    def log_metrics(self, figures, step):
        self.told.append((step, figures))

    def log_image(self, picture, file):
        self.told.append((file, picture.size))


@pytest.fixture
def services(monkeypatch):
    wandb, mlflow = FakeWandb(), FakeMLflow()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return wandb, mlflow


def test_a_run_that_goes_on_is_the_same_run_at_the_services(services, tmp_path):
    wandb, mlflow = services
    folder = tmp_path / "mine"
    folder.mkdir()
    for step in (0, 10):
        logger = Loggers(("wandb", "mlflow"))
        logger.start(folder, {"steps": 20}, step, [])
        logger.log_steps(step + 1, [0.5] * 10, [0.1] * 10)
        picture = Image.new("RGB", (4, 2))
        figures = {"val_iou/car ö": 0.25, "val_iou/sky": None}
        logger.log(step + 10, figures, picture)
        logger.finish("finished" if step else "stopped")
    ids = json.loads((folder / "loggers.json").read_text())
    assert [each["id"] for each in wandb.began] == [ids["wandb"]] * 2
    assert wandb.began[0]["resume"] == "allow"
    assert wandb.began[0]["config"] == {"steps": 20}
    assert wandb.began[0]["project"] == mlflow.experiment == "dla-keras"
    assert mlflow.runs == [(None, "mine"), ("abc", None)]
    assert mlflow.parameters == {"steps": 20}
    curve = {"train/loss": 0.5, "train/learning_rate": 0.1}
    assert wandb.told[:2] == [
        {"step": 10, **curve},
        {"step": 10, "val_iou/car ö": 0.25, "predictions": ("image", (4, 2))},
    ]
    assert mlflow.told[:3] == [
        (10, curve),
        (10, {"val_iou/car ö": 0.25}),
        ("predictions/00000010.png", (4, 2)),
    ]
    assert wandb.told[-1]["step"] == 20
    assert (wandb.ended, mlflow.ended) == ([1, 0], ["KILLED", "FINISHED"])


def test_a_service_that_fails_is_no_reason_to_lose_a_training(
    services, tmp_path, monkeypatch
):
    wandb, mlflow = services
    logger = Loggers(("wandb", "mlflow"))
    logger.start(tmp_path, {}, 0, [])

    def fail(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(mlflow, "log_metrics", fail)
    with pytest.warns(UserWarning, match="MLflow gets no more .*no route"):
        logger.log(10, {"val_miou": 0.5})
    logger.log(20, {"val_miou": 0.75})
    logger.finish("finished")
    assert [told["val_miou"] for told in wandb.told] == [0.5, 0.75]
    assert "20,0.75" in (tmp_path / "history.csv").read_text()


@pytest.mark.parametrize("name", loggers.SERVICES)
def test_a_missing_package_is_named_with_what_installs_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as error:
        Loggers((name,))
    line = f'{name} is not installed. Run: pip install "dla-keras[{name}]"'
    assert plain_message(error.value) == line


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, capfd):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    bar = make_bar(100, 20)
    assert isinstance(bar, PlainLines)
    for step in range(20, 100, 10):
        now[0] += 12
        bar.update(10)
        bar.set_postfix(loss=f"{step / 100}")
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "step 30 of 100, loss 0.2, 0:00:12 so far, 0:01:24 left",
        "step 60 of 100, loss 0.5, 0:00:48 so far, 0:00:48 left",
        "step 90 of 100, loss 0.8, 0:01:24 so far, 0:00:12 left",
        "step 100 of 100, loss 0.9, 0:01:36 so far, 0:00:00 left",
    ]
    assert "\r" not in "".join(lines)
    make_bar(9, 0, disable=True).set_postfix(loss="1")
    assert not capfd.readouterr().err
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    assert type(make_bar(9, 0, disable=True)).__name__.startswith("tqdm")
