"""Where a run's figures go: tables, TensorBoard, services, the terminal.

start -> log, log_steps ... -> sync (before a checkpoint) ... -> finish
"""

import csv
import os
import pathlib
import re
import secrets
import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tqdm import tqdm

from dla_keras.files import atomic_path
from dla_keras.files import read_json
from dla_keras.files import read_numbers
from dla_keras.files import set_aside
from dla_keras.files import write_json

CURVE_EVERY = 10  # steps between points of a loss curve
STEPS = ("step", "loss", "learning_rate")  # columns of steps.csv
IDS = "loggers.json"  # of the run, at the services
# Ours, by the end of their names: other tools may write into the folder too.
EVENTS = "events.out.tfevents.*.dla_keras"
PROJECT = "dla-keras"  # name at the services where their variables say none
LINE_EVERY = 30.0  # seconds between lines, where there is no terminal


class Logger:
    """One place that the figures of a run go to; only the chief has any.

    A run that goes on from an earlier step continues what is there.
    """

    def start(self, run_dir, settings: dict, step: int, rows) -> None:
        """Open it, before the first step.

        Args:
            run_dir: Folder of the run.
            settings: Settings of the run, by flag.
            step: Step that the run goes on from.
            rows: Rows of validations up to there.
        """

    def log(self, step: int, figures: dict, picture=None) -> None:
        """Take in the figures of a step, by name.

        Args:
            step: Steps taken so far.
            figures: Numbers by name; `None` where there is none.
            picture: PIL image of predictions. Defaults to `None`.
        """

    def log_steps(self, first: int, losses, rates) -> None:
        """Take in the losses and learning rates of consecutive steps.

        Args:
            first: Number of the first step, from 1.
            losses: Losses of this and the following steps.
            rates: Learning rates of the same steps.
        """
        steps = zip(losses, rates, strict=True)
        for step, (loss, rate) in enumerate(steps, start=first):
            if step % CURVE_EVERY == 0:
                figures = {"train/loss": loss, "train/learning_rate": rate}
                self.log(step, figures)

    def sync(self) -> None:
        """Write all of it to the disk, before a checkpoint relies on it."""

    def finish(self, status: str) -> None:
        """Close it.

        Args:
            status: `"finished"`, `"stopped"` by a signal, or `"failed"`.
        """


class Tables(Logger):
    """`steps.csv`, a row a step, and `history.csv`, a row a validation.

    A run keeps the columns that its first row has, whatever a later version
    brings.
    """

    def start(self, run_dir, settings, step, rows):
        self.run_dir = pathlib.Path(run_dir)
        self.rows = list(rows)
        path = self.run_dir / "steps.csv"
        _cut_steps(path, step)
        if (self.run_dir / "history.csv").is_dir():
            set_aside(self.run_dir / "history.csv", "is a folder")
        self._write_rows()
        self.steps = path.open("a", newline="")

    def log(self, step, figures, picture=None):
        self.rows = [row for row in self.rows if row["step"] != step]
        self.rows.append({"step": step, **figures})
        self._write_rows()

    def log_steps(self, first, losses, rates):
        steps = zip(losses, rates, strict=True)
        for step, (loss, rate) in enumerate(steps, start=first):
            self.steps.write(f"{step},{loss!r},{rate:.6g}\n")
        self.steps.flush()

    def sync(self):
        self.steps.flush()
        os.fsync(self.steps.fileno())

    def finish(self, status):
        self.steps.close()

    def _write_rows(self):
        path = self.run_dir / "history.csv"
        if not self.rows:
            path.unlink(missing_ok=True)
            return
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(
                file, self.rows[0], extrasaction="ignore", restval=""
            )
            writer.writeheader()
            writer.writerows(self.rows)


def _cut_steps(path, step):
    """Keep the rows up to `step`; a damaged table stays beside them."""
    rows, damage = read_numbers(path, STEPS[:2])  # earlier ones had no rates
    if damage:
        set_aside(path, damage)
    with atomic_path(path) as temporary, temporary.open("w") as file:
        file.write(",".join(STEPS) + "\n")
        last = 0
        for row in rows:  # each step once, in order
            if last < float(row["step"]) <= step:
                last = float(row["step"])
                file.write(",".join(row.get(c) or "" for c in STEPS) + "\n")


class TensorBoard(Logger):
    """TensorBoard's events: `tensorboard --logdir` on the run's folder."""

    def start(self, run_dir, settings, step, rows):
        for path in pathlib.Path(run_dir).glob(EVENTS):
            if path.is_file():
                _cut_events(path, step)
        self.writer = tf.summary.create_file_writer(
            str(run_dir), filename_suffix=pathlib.Path(EVENTS).suffix
        )

    def log(self, step, figures, picture=None):
        with self.writer.as_default(step=step):
            for name, value in _known(figures).items():
                tf.summary.scalar(name, value)
            if picture is not None:
                pixels = np.asarray(picture.convert("RGB"))
                tf.summary.image("predictions", pixels[None])

    def sync(self):
        self.writer.flush()

    def finish(self, status):
        self.writer.close()


def _cut_events(path, step):
    """Keep TensorBoard's events up to `step`."""
    with atomic_path(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            try:
                for record in tf.data.TFRecordDataset(str(path)):
                    event = tf.compat.v1.Event.FromString(record.numpy())
                    if event.step <= step:
                        writer.write(record.numpy())
            except (tf.errors.DataLossError, DecodeError):
                pass  # the last event, which a killed process left half-written


class WeightsAndBiases(Logger):
    """A run at Weights & Biases, whose variables (`WANDB_MODE`) apply."""

    def __init__(self):
        import wandb

        self.wandb = wandb

    def start(self, run_dir, settings, step, rows):
        ids = _Ids(run_dir)
        self.run = self.wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=pathlib.Path(run_dir).resolve().name,
            id=ids.get("wandb") or ids.note("wandb", secrets.token_hex(4)),
            resume="allow",
            dir=str(run_dir),
            config=settings,
        )
        # Its own count of steps cannot go back to those of a checkpoint.
        self.run.define_metric("*", step_metric="step")

    def log(self, step, figures, picture=None):
        shown = {}
        if picture is not None:
            shown = {"predictions": self.wandb.Image(picture)}
        self.run.log({"step": step, **_known(figures), **shown})

    def finish(self, status):
        self.run.finish(exit_code=int(status != "finished"))


class MLflow(Logger):
    """A run of MLflow, whose variables (`MLFLOW_TRACKING_URI`) apply."""

    STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}

    def __init__(self):
        import mlflow

        self.mlflow = mlflow

    def start(self, run_dir, settings, step, rows):
        ids = _Ids(run_dir)
        if known := ids.get("mlflow"):
            self.mlflow.start_run(run_id=known)
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        self.mlflow.set_experiment(name)
        run = self.mlflow.start_run(
            run_name=pathlib.Path(run_dir).resolve().name
        )
        ids.note("mlflow", run.info.run_id)
        self.mlflow.log_params(settings)

    def log(self, step, figures, picture=None):
        # Other characters are refused in a metric's name.
        allowed = {
            re.sub(r"[^\w\-. /]", "_", name): value
            for name, value in _known(figures).items()
        }
        self.mlflow.log_metrics(allowed, step=step)
        if picture is not None:
            file = f"predictions/{step:08d}.png"
            self.mlflow.log_image(picture.convert("RGB"), file)

    def finish(self, status):
        self.mlflow.end_run(self.STATUS[status])


# Name of `--logger` -> class; tables and TensorBoard's events always are.
SERVICES = {"wandb": WeightsAndBiases, "mlflow": MLflow}


class _Ids:
    """Ids of the run at the services, in a file of its folder."""

    def __init__(self, run_dir):
        self.path = pathlib.Path(run_dir) / IDS

    def _read(self):
        if not os.path.lexists(self.path):
            return {}
        try:
            return dict(read_json(self.path))
        except (OSError, ValueError, TypeError):
            set_aside(self.path, "holds no ids of services")
            return {}

    def get(self, name):
        return self._read().get(name)

    def note(self, name, value):
        write_json(self.path, {**self._read(), name: value})
        return value


def _known(figures):
    return {name: v for name, v in figures.items() if v is not None}


class Loggers(Logger):
    """All loggers of a run, as one.

    A service that fails on the way is left out from there on, with a warning:
    it is no reason to lose a training.

    Args:
        names: Rows of `SERVICES`. Defaults to none.

    Raises:
        ImportError: If a service's package is not installed.
    """

    def __init__(self, names: Sequence[str] = ()):
        self.own = [Tables(), TensorBoard()]
        self.services = [SERVICES[name]() for name in names]

    def start(self, run_dir, settings, step, rows):
        for logger in (*self.own, *self.services):
            logger.start(run_dir, settings, step, rows)

    def log(self, step, figures, picture=None):
        self._each("log", step, figures, picture)

    def log_steps(self, first, losses, rates):
        self._each("log_steps", first, losses, rates)

    def sync(self):
        self._each("sync")

    def finish(self, status):
        self._each("finish", status)

    def _each(self, method, *arguments):
        for logger in self.own:
            getattr(logger, method)(*arguments)
        for logger in list(self.services):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:
                self.services.remove(logger)
                warnings.warn(
                    f"{type(logger).__name__} gets no more figures of this "
                    f"run, as it failed: {error}",
                    stacklevel=2,
                )


class PlainLines:
    """Progress in lines, where there is no terminal to draw a bar in.

    Args:
        total: Steps of the whole run.
        initial: Steps taken before.
        every: Seconds between lines. Defaults to `30.0`.
        disable: Whether nothing is written. Defaults to `False`.
    """

    def __init__(self, total, initial, every=LINE_EVERY, disable=False):
        self.total = total
        self.step = self.first = initial
        self.every = every
        self.disable = disable
        self.began = time.perf_counter()
        self.shown = -every  # the first look is shown at once

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def update(self, count):
        """Count steps."""
        self.step += count

    def set_postfix(self, refresh=True, **figures):
        """Write a line with these figures, if the last is long ago."""
        seconds = time.perf_counter() - self.began
        if seconds - self.shown < self.every and self.step < self.total:
            return
        self.shown = seconds
        taken = max(self.step - self.first, 1)
        left = seconds / taken * (self.total - self.step)
        told = ", ".join(f"{name} {value}" for name, value in figures.items())
        self.write(
            f"step {self.step} of {self.total}, {told}, "
            f"{_clock(seconds)} so far, {_clock(left)} left"
        )

    def write(self, text, file=None):
        """Write a line."""
        if not self.disable:
            print(text, file=file or sys.stderr, flush=True)

    def close(self):
        """End; there is nothing to do."""


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def make_bar(total: int, initial: int, disable: bool = False):
    """Return a bar for a terminal, or lines for a file or a pipe.

    Args:
        total: Steps of the whole run.
        initial: Steps taken before.
        disable: Whether nothing is shown. Defaults to `False`.
    """
    if not sys.stderr.isatty():
        return PlainLines(total, initial, disable=disable)
    return tqdm(
        total=total,
        initial=initial,
        unit="step",
        desc="train",
        mininterval=1,
        disable=disable,
    )
