"""Training input as a pure function of the step: index, read, augment, batch.

Nothing is remembered between steps, so training can start at any step, on any
number of replicas, and see the same pictures in the same crops.
"""

import tensorflow as tf

from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import augment


def training_batches(
    split,
    augmentation: Augmentation,
    batch_size: int,
    replicas: int,
    steps: int,
    seed: int,
    start_step: int = 0,
):
    """Batches for the replicas, in turn, of every global batch.

    Epoch by epoch the pictures come in a new random order; an epoch's last
    incomplete batch is filled from the next epoch.

    Args:
        split: a sequence of `Example`.
        augmentation: what to draw for each picture.
        batch_size: pictures a step, over all replicas.
        replicas: number of replicas; `batch_size` is a multiple of it.
        steps: the step to end before.
        seed: of order and crops.
        start_step: the step to start at. Defaults to `0`.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: float32
        `(batch_size / replicas, height, width, 3)` and uint8 without the
        last axis.

    Raises:
        ValueError: for a batch that the replicas cannot share equally.
    """
    if batch_size % replicas:
        raise ValueError(
            "The global batch is shared equally: expected a multiple of "
            f"{replicas} (replicas). Received: batch_size={batch_size}."
        )
    count = len(split)

    def index_at(position):
        epoch, offset = position // count, position % count
        seeds = tf.cast(tf.stack([seed, epoch]), tf.uint32)
        index = tf.random.experimental.index_shuffle(
            tf.cast(offset, tf.uint32), seeds, tf.cast(count - 1, tf.uint32)
        )
        return position, index

    def read(index):
        example = split[int(index)]
        return example.image, example.label

    def load(position, index):
        image, label = tf.numpy_function(
            read, [index], (tf.uint8, tf.uint8), stateful=False
        )
        image.set_shape((None, None, 3))
        label.set_shape((None, None))
        crop_seed = tf.stack([tf.cast(seed, tf.int64), position])
        return augment(image, label, crop_seed, augmentation)

    positions = tf.data.Dataset.range(
        start_step * batch_size, steps * batch_size
    )
    return (
        positions.map(index_at)
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size // replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
