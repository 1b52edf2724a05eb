"""A few steps of each case on N replicas; writes the weights.

`main` takes FILE REPLICAS CASE ..., in a process of its own (`processes.py`):
the number of logical devices is fixed once TensorFlow has started. With
TF_CONFIG set it is one of several workers.

In float64: from a random start a deep network turns float32's roundings into
percents of the gradient within a step, which would hide a wrong normalization
as well as show a right one.
"""

import json
import os

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import keras
import numpy as np
import tensorflow as tf
from tiny_run import CLASSES
from tiny_run import ROW
from tiny_run import Noise
from tiny_run import Tiny

from dla_keras.data.augmentation import Augmentation
from dla_keras.data.pipeline import training_batches
from dla_keras.engine.averages import Snapshot
from dla_keras.engine.averages import WeightAverage
from dla_keras.engine.optimizers import Schedule
from dla_keras.engine.optimizers import make_optimizer
from dla_keras.engine.steps import make_train_steps
from dla_keras.engine.strategies import distribute
from dla_keras.engine.strategies import is_chief
from dla_keras.engine.strategies import join_replicas
from dla_keras.engine.strategies import make_exchange
from dla_keras.engine.strategies import make_strategy
from dla_keras.engine.strategies import own_devices
from dla_keras.engine.strategies import place
from dla_keras.engine.validation import Validation
from dla_keras.tasks.losses import cross_entropy_sums

WEIGHTS = (1.0, 2.0, 0.5, 1.0)  # of the classes


def tiny():
    return Tiny(dropout_rate=0.0)


def segmenter():
    return dla_keras.DLASegmenter("dla46_c", CLASSES)


# case -> network, optimizer, picture size, steps, options of the step
CASES = {
    "sgd": (tiny, "sgd", (16, 32), 6, {}),
    "adamw": (tiny, "adamw", (16, 32), 6, {"average": 0.9}),
    "clipped": (tiny, "sgd", (16, 32), 6, {"clip_norm": 0.05}),
    "accumulated": (tiny, "sgd", (16, 32), 6, {"accumulate": 2}),
    "deep": (segmenter, "sgd", (32, 64), 3, {}),
}


def train(strategy, case):
    """Return the losses and all variables after a few steps."""
    network, optimizer_name, size, steps, options = CASES[case]
    options = dict(options)
    keras.utils.set_random_seed(0)
    rate = 0.05 if optimizer_name == "sgd" else 0.005
    with strategy.scope():
        model = network()
        join_replicas(strategy, model)
        schedule = Schedule(rate, steps, "cosine", warmup=2)
        optimizer = make_optimizer(optimizer_name, schedule, 1e-3, model)
        variables = [*model.variables, *optimizer.variables]
        if "average" in options:
            options["average"] = WeightAverage(model, options["average"])
            variables += options["average"].variables
    step = make_train_steps(
        strategy,
        model,
        optimizer,
        lambda labels, logits: cross_entropy_sums(labels, logits, WEIGHTS),
        **options,
    )
    batches = distribute(
        strategy,
        lambda replicas, pipeline: training_batches(
            Noise(37),
            Augmentation(size),
            batch_size=8,
            replicas=replicas,
            steps=steps,
            seed=0,
            pipeline=pipeline,
        ),
    )
    losses = step(iter(batches), np.int32(steps)).numpy()
    return {
        f"{case}/losses": losses,
        **{f"{case}/{i}": v.numpy() for i, v in enumerate(variables)},
    }


def overflow(strategy):
    """Take a step that overflows float16 on one replica only.

    The others see ignored pixels alone, so their gradients are zero.
    """
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = Tiny("mixed_float16", dropout_rate=0.0)
        join_replicas(strategy, model)
        optimizer = make_optimizer("sgd", 0.05, 0.0, model)
    step = make_train_steps(strategy, model, optimizer, cross_entropy_sums)
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (8, 16, 32, 3)).astype(np.float32)
    labels = random.integers(0, CLASSES, (8, 16, 32)).astype(np.uint8)
    labels[:4] = 255
    batches = distribute(
        strategy,
        lambda replicas, _: (
            tf.data.Dataset.from_tensor_slices((images, labels))
            .batch(8 // replicas, drop_remainder=True)
            .repeat()
        ),
    )
    batches = iter(batches)
    optimizer.dynamic_scale.assign(2.0**40)
    before = [v.numpy() for v in model.trainable_variables]
    step(batches, np.int32(1))
    changed = [
        any(
            np.any(part.numpy() != old)
            for part in strategy.experimental_local_results(v.value)
        )
        for v, old in zip(model.trainable_variables, before, strict=True)
    ]
    scale = float(optimizer.dynamic_scale.numpy())
    losses = step(batches, np.int32(60)).numpy()
    parts = [
        [part.numpy() for part in strategy.experimental_local_results(v.value)]
        for v in model.trainable_variables
    ]
    apart = max(np.abs(part - p[0]).max() for p in parts for part in p)
    return {
        "overflow/changed": any(changed),
        "overflow/scale": scale,
        "overflow/losses": losses,
        "overflow/apart": apart,
    }


def dropout_masks(strategy):
    """Return the masks that the replicas draw, two calls each."""
    with strategy.scope():
        model = Tiny(dropout_rate=0.5)
        join_replicas(strategy, model)

    @tf.function
    def draw():
        ones = tf.ones((1, 8, 8, 4))
        return model.dropout(ones, training=True)

    results = [
        strategy.experimental_local_results(strategy.run(draw))
        for _ in range(2)
    ]
    return {
        "dropout/masks": np.array([[r.numpy() for r in x] for x in results])
    }


def exchange(strategy):
    """Return what all processes have, as each of them learns it."""
    number, count = place(strategy)
    tell = make_exchange(strategy)
    mine = {"number": number, "text": "ö" * (1 + 999 * number), "none": None}
    told = [tell(mine)]
    told.append(tell(None if number else [0.1, 2**53 + 1]))
    return {"exchange/told": json.dumps(told), "exchange/count": count}


def validation(strategy):
    """Return the scores that all devices and processes find together."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = Tiny(dropout_rate=0.0)
    snapshot = Snapshot(model, devices=own_devices(strategy))
    snapshot.take()
    validate = Validation(
        ROW,
        snapshot.models,
        Noise(7),
        exchange=make_exchange(strategy),
        place=place(strategy),
    )
    return {"validation/scores": json.dumps(validate())}


def main(arguments):
    path, replicas, *cases = arguments
    workers = bool(os.environ.get("TF_CONFIG"))
    if not workers:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * int(replicas),
        )
    strategy = make_strategy()
    assert strategy.num_replicas_in_sync == int(replicas)
    results = {}
    special = {
        "overflow": overflow,
        "dropout": dropout_masks,
        "exchange": exchange,
        "validation": validation,
    }
    for case in cases:
        if case in special:
            results |= special[case](strategy)
        else:
            keras.config.set_floatx("float64")
            results |= train(strategy, case)
            keras.config.set_floatx("float32")
    if is_chief(strategy):
        np.savez(path, **results)
