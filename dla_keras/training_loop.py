"""The training loop: steps over replicas whose sum is one device's step.

Written out, since Keras' `fit` normalises ignored pixels per replica and
cannot go on from the middle of an epoch. `training/` holds the commands.
"""

import math
import time

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dla_keras.losses import cross_entropy_sums

LOSS_EVERY = 10  # steps between looks at the loss, which wait for the device


def make_strategy() -> tf.distribute.Strategy:
    """MirroredStrategy over all GPUs, or over the logical CPUs without any."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(devices)


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes every batch norm take its statistics over all replicas.

    Only where there are several: one replica has nothing to wait for.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def make_train_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    weight_decay: float = 0.0,
    class_weights=None,
):
    """A compiled step: one global batch in, its loss out.

    Whatever the number of replicas, the gradient is that of the mean loss
    over the valid pixels of the global batch, plus the weight decay.

    Args:
        strategy: where `model` and `optimizer` were made.
        model: gives logits per pixel.
        optimizer: built here on the model's weights.
        weight_decay: the L2 penalty's factor, which as in PyTorch's SGD goes
            through the momentum. Defaults to `0.0`.
        class_weights: loss weight per class. Defaults to `None`: all one.

    Returns:
        A function of a distributed `(images, labels)`.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas > 1:
        synchronize_batch_norm(model)
    with strategy.scope():
        optimizer.build(model.trainable_variables)

    def replica_step(images, labels):
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss, weight = cross_entropy_sums(labels, logits, class_weights)
            # A batch without a valid pixel has nothing to divide by.
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, weight)
            loss = loss / tf.maximum(total, 1e-6)
        weights = [v.value for v in model.trainable_variables]
        gradients = [
            # The optimizer sums over replicas, so each brings its share.
            gradient + weight_decay / replicas * weight
            for gradient, weight in zip(
                tape.gradient(loss, weights), weights, strict=True
            )
        ]
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    @tf.function
    def train_step(batch):
        losses = strategy.run(replica_step, args=batch)
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return train_step


def distribute(strategy, make_dataset):
    """Iterates over what the replicas get, a global batch at a time.

    Args:
        strategy: the strategy that trains.
        make_dataset: `replicas` -> a `tf.data.Dataset` of the batches for
            each replica in turn.
    """
    return iter(
        strategy.distribute_datasets_from_function(
            lambda context: make_dataset(strategy.num_replicas_in_sync)
        )
    )


def run_steps(
    train_step,
    batches,
    steps: int,
    optimizer,
    epoch_steps: int,
    validate,
    validate_every: int,
    history,
) -> dict:
    """Takes all steps, validates on the way, and keeps the history.

    Args:
        train_step: a global batch in, its loss out.
        batches: an iterator of global batches.
        steps: how many to take.
        optimizer: tells the learning rate.
        epoch_steps: steps that an epoch counts.
        validate: gives `{"miou", "pixel_accuracy", ...}`.
        validate_every: epochs between validations; `0` for the end only.
        history: gets a row at each validation.

    Returns:
        What the validation at the end gave.

    Raises:
        ValueError: once the loss is not finite.
    """
    period = validate_every * epoch_steps or steps
    start, losses = time.perf_counter(), []
    bar = tqdm(range(1, steps + 1), unit="step", desc="train", mininterval=1)
    for step in bar:
        losses.append(train_step(next(batches)))
        if step % LOSS_EVERY == 0 or step == steps:
            loss = float(np.mean(losses[-LOSS_EVERY:]))
            if not math.isfinite(loss):
                raise ValueError(
                    f"The loss is {loss} at step {step}. Try a smaller "
                    "learning rate."
                )
            bar.set_postfix(loss=f"{loss:.3f}")
        if step % period == 0 or step == steps:
            scores = validate()
            history.add(
                {
                    "step": step,
                    "epoch": round(step / epoch_steps, 2),
                    "loss": float(np.mean(losses)),
                    "learning_rate": float(optimizer.learning_rate.numpy()),
                    "val_miou": scores["miou"],
                    "val_pixel_accuracy": scores["pixel_accuracy"],
                    "seconds": round(time.perf_counter() - start, 1),
                }
            )
            losses = []
    return scores
