"""The parts of a training run: the task, its plan and its progress."""

import dataclasses
import re
from collections.abc import Callable


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
