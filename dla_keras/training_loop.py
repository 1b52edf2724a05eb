"""The training loop: steps over replicas whose sum is one device's step.

Written out, since Keras' `fit` normalises ignored pixels per replica and
cannot go on from the middle of an epoch. `training/` holds the commands.
"""

import keras
import tensorflow as tf

from dla_keras.losses import cross_entropy_sums


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
