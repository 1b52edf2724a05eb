"""A few steps of each method on N replicas; writes how far each weight went.

`main` takes FILE REPLICAS CASE ..., in a process of its own (`processes.py`):
the number of logical devices is fixed once TensorFlow has started.
"""

import dla_keras  # isort: skip  # noqa: F401 (it quietens TensorFlow)
import keras
import numpy as np
import tensorflow as tf
from tiny_network import pictures
from tiny_network import tiny

from dla_keras.engine.strategies import distribute
from dla_keras.engine.strategies import make_strategy
from dla_keras.lite.compress.fine_tuning import FineTuning
from dla_keras.lite.compress.fine_tuning import Surroundings
from dla_keras.lite.compress.fine_tuning import apply_method
from dla_keras.tasks.losses import cross_entropy_sums

STEPS = 5
BATCH = 8


def batches(strategy):
    images, labels = pictures(BATCH)
    return distribute(
        strategy,
        lambda replicas, pipeline: (
            tf.data.Dataset.from_tensor_slices(
                (images.astype(np.float32), labels)
            )
            .batch(BATCH // replicas, drop_remainder=True)
            .repeat()
        ),
    )


def train(strategy, method):
    keras.utils.set_random_seed(0)
    model = tiny()
    start = model.get_weights()
    plan = FineTuning(STEPS, 1e-3, sparsity=0.5, clusters=8)
    around = Surroundings(
        lambda steps: batches(strategy),
        cross_entropy_sums,
        pictures(4, seed=1)[0],
        strategy=strategy,
    )
    apply_method(model, method, plan, around)
    # How far each weight went.
    return {
        f"{method}/{v.path}": v.numpy() - old
        for v, old in zip(model.weights, start, strict=True)
    }


def main(arguments):
    path, replicas, *methods = arguments
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * int(replicas),
    )
    strategy = make_strategy("mirrored")
    assert strategy.num_replicas_in_sync == int(replicas)
    results = {}
    for method in methods:
        results |= train(strategy, method)
    np.savez(path, **results)
