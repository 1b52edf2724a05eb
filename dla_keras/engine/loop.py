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
from tqdm import tqdm

from dla_keras.engine.checkpoints import Checkpoints
from dla_keras.engine.run_folder import History
from dla_keras.engine.strategies import is_chief
from dla_keras.engine.strategies import is_shared
from dla_keras.engine.strategies import make_agreement
from dla_keras.files import atomic_path


@dataclasses.dataclass(frozen=True)
class Plan:
    """The steps at which a run validates, saves and ends.

    Args:
        steps: Steps of the whole run.
        epoch_steps: Steps of an epoch.
        validate_every: Epochs between validations; `0` for the end only.
            Defaults to `1`.
        checkpoint_steps: Steps between checkpoints; `0` for none by step.
            Defaults to `0`.
        checkpoint_minutes: Minutes between checkpoints. Defaults to `10.0`.
        keep: Number of the last checkpoints to keep. Defaults to `3`.
        steps_per_execution: Steps taken without coming back to Python. Defaults
            to `1`.

    Example:

    >>> plan = Plan(steps=100, epoch_steps=30, steps_per_execution=20)
    >>> plan.next_stop(20), plan.next_stop(30), plan.next_stop(90)
    (30, 50, 100)
    """

    steps: int
    epoch_steps: int
    validate_every: int = 1
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 10.0
    keep: int = 3
    steps_per_execution: int = 1

    @property
    def validation_steps(self) -> int:
        """Return the steps between validations; `0` for the end only."""
        return self.validate_every * self.epoch_steps

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
    """

    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_steps: int = 0
    rows: list = dataclasses.field(default_factory=list)
    best: float | None = None
    best_step: int = 0


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
        validate: Function that returns scores by name. Its argument wraps the
            validation images, so that a signal can end it.
        columns: Scores that `history.csv` shows; the first decides which
            weights are best.
        snapshot: `Snapshot` of the model, which `validate` scores.
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


class Stopped(Exception):
    """Raised inside a long validation that a signal interrupts."""


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

    def restore(self, checkpoint) -> None:
        """Set variables and progress to those of a checkpoint.

        Raises:
            ValueError: If it belongs to another network or optimizer.
        """
        variables = self.task.variables()
        ours = {(name, tuple(v.shape)) for name, v in variables.items()}
        theirs = {(name, a.shape) for name, a in checkpoint.arrays.items()}
        if differing := sorted(ours ^ theirs):
            raise ValueError(
                f"{checkpoint.path} is of another network, optimizer or "
                f"average: {len(differing)} variables differ, the first: "
                f"{differing[0]}."
            )
        for name, variable in variables.items():
            variable.assign(checkpoint.arrays[name])
        self.progress = Progress(**checkpoint.facts)

    def run(self, batches) -> dict | None:
        """Train to the end.

        Args:
            batches: Global batches, beginning at the step of the run.

        Returns:
            Scores of the validation at the end; `None` if another process is
            the chief.

        Raises:
            ValueError: If the loss is not finite.
            SystemExit: If there was a signal; everything is saved.
        """
        self._check_agreement()
        with (
            StopSignals() as self.signals,
            self._make_bar() as self.bar,
            contextlib.ExitStack() as files,
        ):
            if self.chief:
                self._open_files()
                files.callback(self.history.close)
            self.saved = self.clock = time.perf_counter()
            batches = iter(batches)
            while True:
                scores = self._validate()
                if self.progress.step == self.plan.steps:
                    return scores
                self._advance(batches)

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

    def _open_files(self):
        step = self.progress.step
        self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints.set_aside(step)
        self.history = History(self.run_dir, step, self.progress.rows)

    def _make_bar(self):
        return tqdm(
            total=self.plan.steps,
            initial=self.progress.step,
            unit="step",
            desc="train",
            mininterval=1,
            disable=not self.chief,
        )

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
            self._settle(late or plan.saves(stop) or stop == plan.steps)

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
        self.bar.set_postfix(refresh=False, loss=f"{np.mean(losses):.3f}")
        if self.chief:
            self.history.add_losses(first, losses, task.rate)

    def _diverged(self, step, what):
        saved = self.checkpoints.paths()
        return (
            f"{what} step {step} of {self.plan.steps}, learning rate "
            f"{self.task.rate(step - 1):.3g}, on "
            f"{', '.join(self.task.names(step - 1))}. Look at these files, or "
            "try a smaller --learning-rate or --clip-norm 1. The last "
            f"checkpoint is {saved[-1] if saved else 'none'}."
        )

    def _settle(self, save):
        """Save, or save and stop, if any process has a reason to."""
        wishes = [self.signals.number == s for s in StopSignals.SIGNALS]
        save, *stops = self.agree(save and self.chief, *wishes)
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
        self.history.sync()
        facts = dataclasses.asdict(self.progress)
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
        """Validate if it is due and was not done before a restart."""
        progress, plan = self.progress, self.plan
        at_end = progress.step == plan.steps
        done = progress.rows and progress.rows[-1]["step"] == progress.step
        if not plan.validates(progress.step) or (done and not at_end):
            return None
        scores = None
        if self.chief:
            try:
                scores = self._score()
            except Stopped:
                pass  # all processes settle together, below
        self._settle(at_end)
        return scores

    def _score(self):
        """Score a snapshot, note the scores, and keep it if it is the best."""
        progress, task = self.progress, self.task
        task.snapshot.take()
        scores = task.validate(self.signals.watch)
        if progress.step == self.plan.steps:
            self._export("model")
        if progress.rows and progress.rows[-1]["step"] == progress.step:
            return scores  # noted before a restart
        self._note(scores)
        score = scores[task.columns[0]]
        if progress.best is None or score > progress.best:
            progress.best, progress.best_step = score, progress.step
            self._export("best")
            self._save(best=True)
        return scores

    def _export(self, name):
        with atomic_path(self.run_dir / f"{name}.keras") as temporary:
            self.task.snapshot.model.save(temporary)

    def _note(self, scores):
        """Add a row to the history."""
        progress, task = self.progress, self.task
        seconds = progress.seconds + time.perf_counter() - self.clock
        self.history.add(
            {
                "step": progress.step,
                "epoch": round(progress.step / self.plan.epoch_steps, 2),
                "loss": progress.loss_sum / progress.loss_steps,
                "learning_rate": task.rate(progress.step),
                **{f"val_{name}": scores[name] for name in task.columns},
                "seconds": round(seconds, 1),
            },
            task.draw() if task.draw else None,
        )
        progress.rows = self.history.rows
        progress.loss_sum, progress.loss_steps = 0.0, 0
