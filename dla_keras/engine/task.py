"""What a training run consists of: the task, its plan and its progress."""

import dataclasses
import re
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Plan:
    """When what is to happen, in steps unless stated.

    Args:
        steps: of the whole run.
        epoch_steps: that an epoch counts.
        validate_every: epochs between validations; `0` for the end only.
            Defaults to `1`.
        checkpoint_steps: between checkpoints; `0` for none by step. Defaults
            to `0`.
        checkpoint_minutes: between checkpoints. Defaults to `10.0`.
        keep: how many of the last checkpoints to keep. Defaults to `3`.
        steps_per_execution: taken without coming back to Python. Defaults to
            `1`.

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
        """Steps between validations; `0` for the end only."""
        return self.validate_every * self.epoch_steps

    def validates(self, step: int) -> bool:
        """Whether a validation is due after `step` steps."""
        period = self.validation_steps
        on_the_way = period and step and step % period == 0
        return bool(step == self.steps or on_the_way)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due after `step` steps."""
        return bool(self.checkpoint_steps and step % self.checkpoint_steps == 0)

    def next_stop(self, step: int) -> int:
        """The step at which an execution that starts at `step` ends."""
        periods = (self.validation_steps, self.checkpoint_steps)
        events = [(step // p + 1) * p for p in periods if p]
        return min(self.steps, step + self.steps_per_execution, *events)


@dataclasses.dataclass
class Progress:
    """Where a run stands: what a checkpoint holds beside the variables.

    Args:
        step: steps taken.
        seconds: spent on them.
        loss_sum: of the steps since the last validation.
        loss_steps: their number.
        rows: of `history.csv`.
        best: the best score so far.
        best_step: where it was.
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
    """What is trained, and how to tell how well.

    Args:
        strategy: the model and the optimizer were made in its scope.
        model: the network.
        optimizer: built on it.
        train_steps: what `make_train_steps` gave.
        batches: `step` -> an iterable of global batches from there on.
        validate: takes a wrapper for what it goes through, which a signal
            ends, and gives scores by name.
        columns: the scores that `history.csv` shows; the first decides which
            weights are best.
        snapshot: a `Snapshot` of the model, which `validate` scores.
        rate: `step` -> its learning rate.
        names: `step` -> names of the files in its batch.
        average: a `WeightAverage`. Defaults to `None`.
        draw: gives a PIL image of what the snapshot predicts, for
            TensorBoard. Defaults to `None`.
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
        """Everything that training changes, by names that stay the same."""
        groups = {
            "model": self.model.variables,
            "optimizer": self.optimizer.variables,
            "average": self.average.variables if self.average else (),
        }
        # Keras numbers random generators all through a process.
        path = lambda v: re.sub(r"(?<=seed_generator)_\d+", "", v.path)
        return {
            f"{group}/{index}/{path(v)}": v
            for group, variables in groups.items()
            for index, v in enumerate(variables)
        }
