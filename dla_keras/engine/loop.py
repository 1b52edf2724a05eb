"""The training loop: steps, validations, checkpoints, and ways to end.

Every decision follows from the step and the checkpoint, so a run that was
killed takes the same course as one that was not.
"""

import contextlib
import dataclasses
import math
import pathlib
import re
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from dla_keras.engine.checkpoints import ORIGIN
from dla_keras.engine.checkpoints import Checkpoints
from dla_keras.engine.loggers import Loggers
from dla_keras.engine.loggers import make_bar
from dla_keras.engine.strategies import is_chief
from dla_keras.engine.strategies import is_shared
from dla_keras.engine.strategies import make_agreement
from dla_keras.engine.validation import Stopped
from dla_keras.files import atomic_path
from dla_keras.tables import score_text


@dataclasses.dataclass(frozen=True)
class Plan:
    """The steps at which a run validates, saves and ends.

    Args:
        steps: Steps of the whole run.
        epoch_steps: Steps of an epoch.
        validation_steps: Steps between validations; `0` for none by step.
            Defaults to `0`: the end only.
        validation_minutes: Minutes between validations; `0` for none by the
            clock. Defaults to `0.0`.
        patience: Validations without a better score after which a run ends;
            `0` for none. Defaults to `0`.
        checkpoint_steps: Steps between checkpoints; `0` for none by step.
            Defaults to `0`.
        checkpoint_minutes: Minutes between checkpoints. Defaults to `10.0`.
        keep: Number of the last checkpoints to keep. Defaults to `3`.
        steps_per_execution: Steps taken without coming back to Python. Defaults
            to `1`.
        batch_size: Pictures of a step. Defaults to `1`.

    Example:

    >>> plan = Plan(100, 30, validation_steps=30, steps_per_execution=20)
    >>> plan.next_stop(20), plan.next_stop(30), plan.next_stop(90)
    (30, 50, 100)
    """

    steps: int
    epoch_steps: int
    validation_steps: int = 0
    validation_minutes: float = 0.0
    patience: int = 0
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 10.0
    keep: int = 3
    steps_per_execution: int = 1
    batch_size: int = 1

    def validates(self, step: int) -> bool:
        """Return whether a validation is due after `step` steps."""
        period = self.validation_steps
        on_the_way = period and step and step % period == 0
        return bool(step == self.steps or on_the_way)

    def saves(self, step: int) -> bool:
        """Return whether a checkpoint is due after `step` steps."""
        return bool(self.checkpoint_steps and step % self.checkpoint_steps == 0)

    def next_stop(self, step: int) -> int:
        """Return the step at which an execution that starts at `step` ends."""
        periods = (self.validation_steps, self.checkpoint_steps)
        events = [(step // p + 1) * p for p in periods if p]
        return min(self.steps, step + self.steps_per_execution, *events)


@dataclasses.dataclass
class Progress:
    """The progress of a run, which a checkpoint holds beside the variables.

    Args:
        step: Steps taken.
        seconds: Seconds spent on them.
        loss_sum: Sum of the losses since the last validation.
        loss_steps: Number of steps since the last validation.
        rows: Rows of `history.csv`.
        best: Best score so far.
        best_step: Step of the best score.
        waited: Validations since then.
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    rows: list = dataclasses.field(default_factory=list)
    best: float | None = None
    best_step: int = 0
    waited: int = 0


@dataclasses.dataclass
class Task:
    """A model to train, and all that training it needs.

    Args:
        strategy: Strategy in whose scope model and optimizer were made.
        model: Model to train.
        optimizer: Optimizer, built on the model.
        train_steps: Function from `make_train_steps`.
        batches: Function of a step that returns an iterable of the global
            batches from there on.
        validate: `Validation` of the snapshot.
        columns: Scores that `history.csv` shows; the first decides which
            weights are best.
        snapshot: `Snapshot` of the model, which `validate` scores.
        settings: Settings of the run, by flag, for those who log it.
        rate: Function of a step that returns its learning rate.
        names: Function of a step that returns the names of the files in its
            batch.
        average: `WeightAverage`. Defaults to `None`.
        draw: Function that returns a PIL image of the snapshot's predictions,
            for TensorBoard. Defaults to `None`.
    """

    strategy: object
    model: object
    optimizer: object
    train_steps: Callable
    batches: Callable
    validate: Callable
    columns: tuple[str, ...]
    snapshot: object
    settings: dict
    rate: Callable
    names: Callable
    average: object = None
    draw: Callable | None = None

    def variables(self) -> dict:
        """Return all variables that training changes, by stable names."""
        groups = {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "average": self.average.variables if self.average else (),
        }
        # Keras numbers random generators throughout a process.
        path = lambda v: re.sub(r"(?<=seed_generator)_\d+", "", v.path)
        return {
            f"{group}/{index}/{path(v)}": v
            for group, variables in groups.items()
            for index, v in enumerate(variables)
        }


EXIT_CODE = 128  # plus the signal's number, as a shell reports it


class StopSignals:
    """Notes the first SIGTERM or SIGINT while the block runs.

    A second signal acts as usual, for those who cannot wait.

    Example:

    >>> with StopSignals() as signals:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     signals.number == signal.SIGTERM
    True
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.number = 0

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.number = number
        for each, handler in self._before.items():
            signal.signal(each, handler)
        name = signal.Signals(number).name
        print(f"\n{name}: saving, then stopping.", file=sys.stderr)

    def watch(self, items):
        """Yield the items one by one until there is a signal.

        Raises:
            Stopped: If there is a signal.
        """
        for item in items:
            if self.number:
                raise Stopped
            yield item


class Pace:
    """The speed of training since it was last looked at.

    Args:
        step: Step from which on it counts.
        batch_size: Pictures of a step.
    """

    def __init__(self, step: int, batch_size: int):
        self.step = step
        self.batch_size = batch_size
        self.began = time.perf_counter()

    def pictures_per_second(self, step: int) -> float | None:
        """Return the mean speed up to a step; `None` where none was taken."""
        pictures = (step - self.step) * self.batch_size
        seconds = time.perf_counter() - self.began
        return pictures / seconds if pictures else None


LOSS_EVERY = 10  # steps between looks at the loss, each a wait for the device


class Run:
    """Trains a task from its last checkpoint to its end.

    Args:
        task: Task to train.
        plan: Steps at which to validate, save and end.
        run_dir: Folder of the run; several machines share it.
    """

    def __init__(self, task: Task, plan: Plan, run_dir):
        self.task = task
        self.plan = plan
        self.run_dir = pathlib.Path(run_dir)
        self.checkpoints = Checkpoints(self.run_dir / "checkpoints", plan.keep)
        self.progress = Progress()
        self.chief = is_chief(task.strategy)
        self.shared = is_shared(task.strategy)
        self.agree = make_agreement(task.strategy)
        self.pending = []  # losses not looked at yet
        self.pace = None
        self.overdue = False
        self.identity = {}

    def restore(self, checkpoint) -> None:
        """Set variables and progress to those of a checkpoint.

        Raises:
            ValueError: If it belongs to another network or optimizer.
        """
        variables = self.task.variables()
        kind = lambda v: (tuple(v.shape), str(v.dtype))
        ours = {(name, *kind(v)) for name, v in variables.items()}
        theirs = {(name, *kind(a)) for name, a in checkpoint.arrays.items()}
        if differing := sorted(ours ^ theirs):
            raise ValueError(
                f"{checkpoint.path} is of another network, optimizer or "
                "average, or of an earlier version: pass --overwrite to begin "
                f"anew. {len(differing)} variables differ, the first: "
                f"{differing[0]}."
            )
        facts = {k: v for k, v in checkpoint.facts.items() if k != ORIGIN}
        self._check_checkpoint(checkpoint, facts)
        for name, variable in variables.items():
            variable.assign(checkpoint.arrays[name])
        self.progress = Progress(**facts)

    def _check_checkpoint(self, checkpoint, facts):
        """Raise `ValueError` for a whole file that no run can have written."""
        steps, known = (
            self.plan.steps,
            {f.name for f in dataclasses.fields(Progress)},
        )
        strange = [
            name
            for name, array in checkpoint.arrays.items()
            if array.dtype.kind == "f" and not np.isfinite(array).all()
        ] + sorted(facts.keys() - known)
        if strange:
            raise ValueError(
                f"{checkpoint.path} is damaged: {strange[0]} is not finite, or "
                "unknown. Pass an earlier checkpoint to --resume."
            )
        if (
            type(facts.get("step")) is not int
            or not 0 <= facts["step"] <= steps
        ):
            raise ValueError(
                f"Expected a checkpoint of step 0 to {steps}. Received: "
                f"{checkpoint.path} of step {facts.get('step')!r}; pass an "
                "earlier one to --resume, or more --steps."
            )

    def run(self, batches, logger=None, identity=None) -> dict | None:
        """Train to the end.

        Args:
            batches: Global batches, beginning at the step of the run.
            logger: `Logger` of the run's figures. Defaults to `None`: tables
                and TensorBoard's events.
            identity: Facts that tell the run from others, which its checkpoints
                hold. Defaults to `None`: none.

        Returns:
            Scores of the validation at the end; `None` if another process is
            the chief.

        Raises:
            ValueError: If the loss is not finite.
            SystemExit: If there was a signal; everything is saved.
        """
        self._check_agreement()
        self.identity = {ORIGIN: identity} if identity else {}
        step = self.progress.step
        with (
            StopSignals() as self.signals,
            make_bar(self.plan.steps, step, not self.chief) as self.bar,
            contextlib.ExitStack() as files,
        ):
            if self.chief:
                self._open_files(logger or Loggers())
                files.push(self._finish_logging)
            self.saved = self.clock = time.perf_counter()
            batches = iter(batches)
            while True:
                scores = self._validate()
                if self._at_end():
                    return scores
                self._advance(batches)

    def _at_end(self):
        """Return whether the run ends here; all processes find the same."""
        patience, progress = self.plan.patience, self.progress
        tired = patience and progress.waited >= patience
        return bool(progress.step == self.plan.steps or tired)

    def _check_agreement(self):
        """Raise `ValueError` if machines would go on from different steps."""
        step = self.progress.step
        workers, total = self.agree(1, step)
        if total != workers * step:
            raise ValueError(
                f"This process would go on from step {step}, others from "
                "elsewhere. Put --run-dir on storage that all machines share. "
                f"Received: {self.run_dir}."
            )

    def _open_files(self, logger):
        step = self.progress.step
        self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints.set_aside(step)
        self.logger = logger
        logger.start(self.run_dir, self.task.settings, step, self.progress.rows)

    def _finish_logging(self, kind, *_):
        status = "failed" if kind else "finished"
        self.logger.finish("stopped" if kind is SystemExit else status)

    def _advance(self, batches):
        """Take steps up to the next event, then do what is due."""
        progress, plan = self.progress, self.plan
        stop = plan.next_stop(progress.step)
        count = stop - progress.step
        self.pending.append(self.task.train_steps(batches, np.int32(count)))
        progress.step = stop
        self.bar.update(count)
        waiting = sum(losses.shape[0] for losses in self.pending)
        if (
            waiting >= LOSS_EVERY
            or plan.saves(stop)
            or plan.validates(stop)
            # Several processes agree on a stop only when they look.
            or (self.signals.number and not self.shared)
        ):
            self._look()
            minutes = (time.perf_counter() - self.saved) / 60
            late = minutes >= plan.checkpoint_minutes
            self._settle(
                late or plan.saves(stop) or stop == plan.steps,
                self._is_long_ago(),
            )

    def _is_long_ago(self):
        """Return whether the clock says that a validation is due."""
        progress, minutes = self.progress, self.plan.validation_minutes
        last = progress.rows[-1]["seconds"] if progress.rows else 0.0
        return bool(minutes and self._seconds() - last >= 60 * minutes)

    def _seconds(self):
        """Return the seconds that all of the run has taken."""
        return self.progress.seconds + time.perf_counter() - self.clock

    def _look(self):
        """Wait for the losses so far; one that is not finite ends the run."""
        progress, task = self.progress, self.task
        losses = np.concatenate(self.pending).tolist()
        self.pending = []
        first = progress.step - len(losses) + 1
        for step, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise ValueError(self._diverged(step, f"The loss is {loss} at"))
            progress.loss_sum += loss
            progress.loss_steps += 1
        if self.pace is None:  # what was compiled before is no pace
            self.pace = Pace(progress.step, self.plan.batch_size)
        speed = self.pace.pictures_per_second(progress.step)
        told = {"loss": f"{np.mean(losses):.3f}"}
        if speed:
            told["pictures/s"] = f"{speed:.1f}"
        self.bar.set_postfix(refresh=False, **told)
        if self.chief:
            rates = [
                task.rate(first - 1 + index) for index in range(len(losses))
            ]
            self.logger.log_steps(first, losses, rates)

    def _diverged(self, step, what):
        saved = self.checkpoints.paths()
        return (
            f"{what} step {step} of {self.plan.steps}, learning rate "
            f"{self.task.rate(step - 1):.3g}, on "
            f"{', '.join(self.task.names(step - 1))}. Look at these files, or "
            "try a smaller --learning-rate or --clip-norm 1. The last "
            f"checkpoint is {saved[-1] if saved else 'none'}."
        )

    def _settle(self, save, validate=False):
        """Save, or save and stop, if any process has a reason to.

        Args:
            save: Whether a checkpoint is due; the chief's word counts.
            validate: Whether a validation is due by the clock, likewise.
        """
        wishes = [self.signals.number == s for s in StopSignals.SIGNALS]
        save, validate, *stops = self.agree(
            save and self.chief, validate and self.chief, *wishes
        )
        self.overdue = bool(validate)
        if save or any(stops):
            self._save()
        if any(stops):
            self.agree(0)  # a launcher may kill the rest once one has left
        for number, wanted in zip(StopSignals.SIGNALS, stops, strict=True):
            if wanted:
                self._leave(number)

    def _save(self, best=False):
        """Write a checkpoint, if this process is the chief."""
        now = time.perf_counter()
        self.progress.seconds += now - self.clock
        self.saved = self.clock = now
        if not self.chief:
            return
        arrays = {n: v.numpy() for n, v in self.task.variables().items()}
        step = self.progress.step
        for name, array in arrays.items():
            # The last loss may be finite, and the weights after its step not.
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(
                    self._diverged(step, f"{name} is not finite after")
                )
        self.logger.sync()
        facts = {**dataclasses.asdict(self.progress), **self.identity}
        self.checkpoints.save(step, arrays, facts, best)

    def _leave(self, number):
        self.bar.close()
        if self.chief:
            print(
                f"Stopped by {signal.Signals(number).name} after step "
                f"{self.progress.step} of {self.plan.steps}. The same command "
                "again (without --overwrite) goes on from "
                f"{self.checkpoints.paths()[-1]}."
            )
        raise SystemExit(EXIT_CODE + number)

    def _validate(self):
        """Validate if it is due, and once more at the end of the run."""
        step = self.progress.step
        due = self.overdue or self.plan.validates(step)
        if not (due and not self._is_scored()) and not self._at_end():
            return None
        scores = None
        try:
            scores = self._score()
        except Stopped:
            pass  # all processes settle together, below
        self._settle(self._at_end())
        self.pace = self.pace and Pace(step, self.plan.batch_size)
        return scores if self.chief else None

    def _is_scored(self):
        """Return whether the step was validated, perhaps before a restart."""
        rows = self.progress.rows
        return bool(rows) and rows[-1]["step"] == self.progress.step

    def _score(self):
        """Return the scores of a snapshot, on the way and at the end."""
        task = self.task
        speed = self.pace and self.pace.pictures_per_second(self.progress.step)
        task.snapshot.take()
        ends = self._at_end()
        if ends:  # before the scores: a model is more than they are
            self._export("model")
        scores = None
        if not self._is_scored():
            scores = task.validate(self.signals.watch)
            self._note(scores, speed)
        if not self._at_end():
            return scores
        if not ends:  # the last validation has used up the patience
            self._export("model")
        if scores is None or task.validate.is_bounded:
            scores = task.validate(self.signals.watch, whole=True)
        speeds = [
            row["pictures_per_second"]
            for row in self.progress.rows
            if row.get("pictures_per_second")
        ]
        if speeds:
            scores["training_pictures_per_second"] = float(np.median(speeds))
        return scores

    def _note(self, scores, speed):
        """Add a row to the history, and keep the snapshot if it is the best."""
        progress = self.progress
        row = {
            "step": progress.step,
            "epoch": round(progress.step / self.plan.epoch_steps, 2),
            "loss": progress.loss_sum / progress.loss_steps,
            "learning_rate": self.task.rate(progress.step),
            **{f"val_{name}": scores[name] for name in self.task.columns},
            "seconds": round(self._seconds(), 1),
            "pictures_per_second": speed and round(speed, 2),
            **{
                f"val_iou/{name}": iou
                for name, iou in scores.get("per_class_iou", {}).items()
            },
        }
        progress.rows = [*progress.rows, row]
        progress.loss_sum, progress.loss_steps = 0.0, 0
        score = scores[self.task.columns[0]]
        # The first is the best so far, even where no pixel counts.
        better = not progress.best_step or (
            score is not None and score > (progress.best or 0.0)
        )
        progress.waited = 0 if better else progress.waited + 1
        if better:
            progress.best, progress.best_step = score, progress.step
        if self.chief:
            self._log(row)
        if better:
            self._export("best")
            self._save(best=True)

    def _log(self, row):
        figures = {name: v for name, v in row.items() if name != "step"}
        draw = self.task.draw
        self.logger.log(row["step"], figures, draw() if draw else None)
        told = [
            f"{name} {score_text(row[f'val_{name}'])}"
            for name in self.task.columns
        ]
        self.bar.write(
            f"step {row['step']}: loss {row['loss']:.3f}, {', '.join(told)}",
            sys.stderr,
        )

    def _export(self, name):
        if not self.chief:
            return
        path = self.run_dir / f"{name}.keras"
        with atomic_path(path, synced=True) as temporary:
            self.task.snapshot.model.save(temporary)
