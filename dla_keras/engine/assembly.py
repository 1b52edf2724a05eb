"""Puts a run together from a task's row and flags, and runs it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf

from dla_keras.choices import EPOCHS
from dla_keras.choices import MINUTES
from dla_keras.choices import STEPS
from dla_keras.choices import parse_interval
from dla_keras.data.folders.pairs import write_drawn
from dla_keras.data.pipeline import batch_names
from dla_keras.data.pipeline import remember
from dla_keras.data.pipeline import training_batches
from dla_keras.engine.averages import Snapshot
from dla_keras.engine.averages import WeightAverage
from dla_keras.engine.loggers import Loggers
from dla_keras.engine.loop import Plan
from dla_keras.engine.loop import Run
from dla_keras.engine.loop import Task
from dla_keras.engine.optimizers import Schedule
from dla_keras.engine.optimizers import make_optimizer
from dla_keras.engine.run_folder import claim
from dla_keras.engine.run_folder import find_start
from dla_keras.engine.run_folder import fingerprint
from dla_keras.engine.run_folder import hold_run_dir
from dla_keras.engine.run_folder import recorded
from dla_keras.engine.steps import make_train_steps
from dla_keras.engine.strategies import describe_devices
from dla_keras.engine.strategies import distribute
from dla_keras.engine.strategies import is_chief
from dla_keras.engine.strategies import is_shared
from dla_keras.engine.strategies import join_replicas
from dla_keras.engine.strategies import make_exchange
from dla_keras.engine.strategies import make_strategy
from dla_keras.engine.strategies import make_sum
from dla_keras.engine.strategies import own_devices
from dla_keras.engine.strategies import place
from dla_keras.engine.validation import Validation
from dla_keras.tasks import options


def set_up(args) -> tf.distribute.Strategy:
    """Return the strategy, with every random generator seeded."""
    strategy = make_strategy(args.strategy, args.device)
    if is_chief(strategy):
        print(f"Training on {describe_devices(strategy)}.", flush=True)
    keras.utils.set_random_seed(args.seed)
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    return strategy


def assemble(row, args, strategy, plan, train, val) -> Task:
    """Return everything that a run needs, made but not begun.

    Args:
        row: Row of the task, a module of `dla_keras.tasks`.
        args: Parsed flags of training.
        strategy: Strategy from `set_up`.
        plan: Plan from `make_plan`.
        train: Training split.
        val: Validation split.
    """
    _check_batch(args.batch_size, strategy, args.accumulate)
    draw = row.drawing_rule(args, train)
    batches = _make_batches(row, args, remember(train), draw)
    rate = Schedule(
        args.learning_rate,
        plan.steps,
        args.schedule,
        args.milestones,
        round(args.warmup_epochs * plan.epoch_steps),
    )
    model, optimizer, average = _make_network(
        args, strategy, rate, lambda: row.make_model(args, train.info)
    )
    with strategy.scope():
        teacher = row.make_teacher(args, train.info)
    train_steps = make_train_steps(
        strategy,
        model,
        optimizer,
        row.loss_sums(args, train),
        average,
        args.accumulate,
        args.clip_norm,
        args.jit,
        teacher,
    )
    # Pictures from beyond the run's end: always the same.
    beyond = (plan.steps, plan.steps + args.recalibrate_bn)
    renewing = batches(*beyond) if args.recalibrate_bn else None
    snapshot = Snapshot(
        model,
        average,
        renewing,
        own_devices(strategy),
        make_sum(strategy) if is_shared(strategy) else None,
        is_chief(strategy),
    )
    feed = lambda start: partial(batches, start, plan.steps)
    validate = _make_validation(row, args, strategy, snapshot, val)
    find = next(iter(validate.finders.values()))
    return Task(
        strategy=strategy,
        model=model,
        optimizer=optimizer,
        train_steps=train_steps,
        batches=lambda start: distribute(strategy, feed(start)),
        validate=validate,
        columns=tuple(row.COLUMNS),
        snapshot=snapshot,
        settings={**vars(args), "steps": plan.steps},
        rate=lambda step: float(rate(step)),
        names=lambda step: batch_names(
            train, args.batch_size, step, args.seed, draw
        ),
        average=average,
        draw=row.drawing(find, val),
    )


MOST_VALIDATIONS = 30  # of a run, where nobody says how many


def default_interval(steps: int, epoch_steps: int) -> int:
    """Return the epochs between validations where nobody says how many.

    Args:
        steps: Steps of the run.
        epoch_steps: Steps of an epoch.

    Example:

    >>> default_interval(1800, 10), default_interval(100, 50)
    (6, 1)
    """
    return max(1, math.ceil(steps / (MOST_VALIDATIONS * epoch_steps)))


def make_plan(args, pictures: int) -> Plan:
    """Return the plan of a run over this number of training images.

    Where `args` leaves it to the run when to validate, the choice is noted in
    it, as if it were a flag.

    Raises:
        ValueError: If the run has no step.
    """
    epoch_steps = max(1, pictures // args.batch_size)
    steps = args.steps
    if steps is None:
        steps = args.epochs * epoch_steps
    if steps < 1:
        raise ValueError(
            "There must be a step to take. Received: "
            f"--steps {args.steps}, --epochs {args.epochs}."
        )
    if args.validate_every is None:
        args.validate_every = default_interval(steps, epoch_steps)
    number, unit = parse_interval(args.validate_every)
    units = {EPOCHS: epoch_steps, STEPS: 1, MINUTES: 0}
    if unit == MINUTES and args.patience:
        raise ValueError(
            "--patience counts validations, and those by the clock come when "
            "a machine has time: the run would end elsewhere each time. Pass "
            "--validate-every in epochs or steps. Received: "
            f"--validate-every {args.validate_every}."
        )
    return Plan(
        steps=steps,
        epoch_steps=epoch_steps,
        validation_steps=int(number * units[unit]),
        validation_minutes=number if unit == MINUTES else 0.0,
        patience=args.patience or 0,
        checkpoint_steps=args.checkpoint_steps,
        checkpoint_minutes=args.checkpoint_minutes,
        keep=args.keep,
        steps_per_execution=args.steps_per_execution,
        batch_size=args.batch_size,
    )


def _make_validation(row, args, strategy, snapshot, val):
    finders = {
        device: row.model_finder(model, args)
        for device, model in snapshot.models.items()
    }
    return Validation(
        row,
        finders,
        val,
        args.val_pictures,
        options(args, row.MEASURE_FLAGS),
        make_exchange(strategy),
        place(strategy),
    )


def _make_network(args, strategy, rate, make_model):
    with strategy.scope():
        model = make_model()
        join_replicas(strategy, model)
        optimizer = make_optimizer(
            args.optimizer,
            rate,
            args.weight_decay,
            model,
            slow=model.backbone,
            slow_rate=args.backbone_rate,
        )
        average = WeightAverage(model, args.ema) if args.ema else None
    return model, optimizer, average


def _make_batches(row, args, train, draw):
    augment, mix = row.augmentation(args), row.mixing(args, train.info)
    return lambda start, stop, replicas=1, pipeline=(0, 1): training_batches(
        train,
        augment,
        args.batch_size,
        replicas,
        stop,
        args.seed,
        start,
        pipeline,
        mix,
        draw=draw,
    )


def _check_batch(batch_size, strategy, accumulate):
    replicas = strategy.num_replicas_in_sync
    if batch_size % (replicas * accumulate):
        raise ValueError(
            "Every replica's microbatches are of one size: expected a "
            f"multiple of {replicas * accumulate} ({replicas} replicas, "
            f"--accumulate {accumulate}). Received: --batch-size {batch_size}."
        )


@dataclass(frozen=True)
class Ending:
    """What a command does with a run beside training.

    Args:
        rehearse: Function of a finder, a few pictures and their scores that
            writes a report of them and throws it away, before the first step.
        write: Function of the run's folder and the scores at the end.
    """

    rehearse: Callable
    write: Callable


def run(row, args, strategy, train, val, ending: Ending | None = None) -> None:
    """Train as the flags say, from where the run's folder stands.

    Args:
        row: Row of the task, a module of `dla_keras.tasks`.
        args: Parsed flags of training.
        strategy: Strategy from `set_up`.
        train: Training split.
        val: Validation split.
        ending: Report, by the process that is the chief. Defaults to `None`:
            none.
    """
    chief = is_chief(strategy)
    logger = Loggers(args.logger) if chief else None
    with hold_run_dir(args, chief) as run_dir:
        whole, settings, start = _prepare(
            row, args, strategy, run_dir, train, val
        )
        # Before anything is written: what is wrong is said now, not at the end.
        rehearsed = whole.task.validate.rehearse()
        if chief and ending:
            ending.rehearse(*rehearsed)
        step, identity = whole.progress.step, None
        batches = whole.task.batches(step)
        if chief:
            identity = claim(run_dir, settings, strategy, step, args.overwrite)
            write_drawn(run_dir, {"train": train, "val": val})
            print(
                f"{train.info.name}: {len(train)} pictures to train on, "
                f"{len(val)} to validate; {args.variant}, {whole.plan.steps} "
                f"steps of {args.batch_size} crops of {args.size}, "
                f"{strategy.num_replicas_in_sync} replica(s); "
                + (f"going on from {start.path}" if start else "a fresh start")
            )
        scores = whole.run(batches, logger, identity)
        if scores and ending:
            ending.write(run_dir, scores)


def _prepare(row, args, strategy, run_dir, train, val):
    """Return a run at the step it goes on from, its settings and that start."""
    if args.validate_every is None and not args.overwrite:
        # A run that an earlier version began keeps its course.
        args.validate_every = recorded(run_dir).get("validate_every")
    plan = make_plan(args, len(train))
    data = fingerprint(train, val)
    settings = {**vars(args), "steps": plan.steps, "data": data}
    # The chief may be the first here, and its new folder no earlier run.
    chief = is_chief(strategy)
    resume = args.resume if chief or args.resume != "never" else "auto"
    start = find_start(run_dir, settings, resume, args.overwrite)
    task = assemble(row, args, strategy, plan, train, val)
    whole = Run(task, plan, run_dir)
    if start:
        whole.restore(start)
    return whole, settings, start
