"""Training input as a pure function of the step: index, read, augment, batch.

No state is kept between steps, so training can start at any step, on any
number of replicas, and see the same images in the same crops.
"""

import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import psutil
import tensorflow as tf

FREE_SHARE = 0.25  # of the free memory, where no limit is passed

# Memory limits of a container on Linux (cgroup versions 2 and 1).
_CONTAINER_LIMITS = (
    pathlib.Path("/sys/fs/cgroup/memory.max"),
    pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class RememberedSplit(Sequence):
    """A split that reads and decodes every image once.

    Args:
        split: Sequence of examples.
    """

    def __init__(self, split: Sequence):
        self._split = split
        self._examples = {}

    @property
    def info(self):
        return self._split.info

    def __len__(self):
        return len(self._split)

    def __getitem__(self, index):
        # Two threads may both read an image; they read the same.
        if index not in self._examples:
            self._examples[index] = self._split[index]
        return self._examples[index]


def remember(split: Sequence, limit: int | None = None) -> Sequence:
    """Return the split with a memory for its decoded images, if they fit.

    Args:
        split: Sequence of examples. The size of all is estimated from a few.
        limit: Bytes that the images may take; `0` keeps none. Defaults to
            `None`: a quarter of the free memory.

    Example:

    >>> from dla_keras.data.classification import open_classification_split
    >>> split = open_classification_split("digits", "val")
    >>> type(remember(split)).__name__
    'RememberedSplit'
    >>> remember(split, limit=1000) is split
    True
    """
    if isinstance(split, RememberedSplit):
        return split
    if limit is None:
        limit = FREE_SHARE * free_memory()
    some = range(0, len(split), max(1, len(split) // 4))
    sizes = [_bytes(split[index]) for index in some]
    if np.mean(sizes) * len(split) > limit:
        return split
    return RememberedSplit(split)


def free_memory() -> int:
    """Return the bytes this process may still take, on machine or container."""
    free = [psutil.virtual_memory().available]
    for path in _CONTAINER_LIMITS:
        # Or "max", where there is no limit.
        if path.exists() and (text := path.read_text().strip()).isdecimal():
            free.append(int(text) - psutil.Process().memory_info().rss)
    return min(free)


def require_crop_memory(size: tuple[int, int], batch_size: int) -> None:
    """Raise `ValueError` if not even a batch of crops fits into memory.

    Args:
        size: Height and width of a crop.
        batch_size: Crops of a batch.
    """
    needed = 2 * 12 * size[0] * size[1] * batch_size  # RGB floats, read ahead
    if needed > (free := free_memory()):
        raise ValueError(
            f"Crops of {size[0]}x{size[1]}, {batch_size} a step, take more "
            f"than {needed / 1e9:,.1f} GB of memory, and {free / 1e9:.1f} GB "
            "are free: pass a smaller --size or --batch-size."
        )


def _bytes(example):
    return np.asarray(example.image).nbytes + np.asarray(example.label).nbytes


def training_batches(
    split,
    augment: Callable,
    batch_size: int,
    replicas: int,
    steps: int,
    seed: int,
    start_step: int = 0,
    pipeline: tuple[int, int] = (0, 1),
    mix: Callable | None = None,
    memory: int | None = None,
    draw: Callable | None = None,
):
    """Return the batches of all replicas, in turn, for every global batch.

    Every epoch has a new random order, unless `draw` draws each picture. An
    epoch's last incomplete batch is filled from the next epoch.

    Args:
        split: Sequence of examples with `image` (uint8, RGB) and `label` (a
            uint8 label map, or a class id).
        augment: Function `(image, label, seed)` -> float32 image and label of
            one size, for instance an `Augmentation` or `RandomResizedCrop`.
        batch_size: Images per step, over all replicas.
        replicas: Number of replicas, over all pipelines; `batch_size` is a
            multiple of it.
        steps: Step to end before.
        seed: Seed of the order and the crops.
        start_step: Step to start at. Defaults to `0`.
        pipeline: Index of this input pipeline and their number, where several
            machines share the batch. Each gives its contiguous part of every
            global batch. Defaults to `(0, 1)`: all of it.
        mix: Function `(images, labels, seed)` -> images and labels that mixes
            two neighbors in the batch, for instance a `Mixing`. Each replica's
            batch is then even. Defaults to `None`.
        memory: Bytes that decoded images may take; all or none are kept.
            Defaults to `None`: a quarter of the free memory.
        draw: Function `seed` -> index of a picture and what `augment` takes
            beside, for instance a `ClassDraw`. Defaults to `None`: every
            picture once an epoch.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`: float32
        `(batch_size / replicas, height, width, 3)` and the labels, stacked.

    Raises:
        ValueError: If the split is empty, or the replicas cannot share the
            batch equally.
    """
    part, parts = pipeline
    _check_shares(split, batch_size, replicas, part, parts, mix)
    split = remember(split, memory)
    label = np.asarray(split[0].label)
    share, count = batch_size // parts, len(split)

    def read(index):
        example = split[int(index)]
        return example.image, np.asarray(example.label)

    def load(position):
        position = (
            position // share * batch_size + part * share + position % share
        )
        index, *about = drawn_at(position, count, seed, draw)
        image, target = tf.numpy_function(
            read, [index], (tf.uint8, label.dtype), stateful=False
        )
        image.set_shape((None, None, 3))
        target.set_shape((None,) * label.ndim)
        seeds = seed_at(seed, position)
        return *augment(image, target, seeds, *about), position

    def mix_pairs(images, labels, positions):
        return mix(images, labels, seed_at(seed, -1 - positions[0]))

    examples = tf.data.Dataset.range(start_step * share, steps * share).map(
        load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if mix:
        examples = examples.batch(2).map(mix_pairs, tf.data.AUTOTUNE)
        examples = examples.unbatch()
    else:
        examples = examples.map(lambda image, label, _: (image, label))
    return examples.batch(batch_size // replicas, drop_remainder=True).prefetch(
        tf.data.AUTOTUNE
    )


def picture_index(position, count: int, seed: int):
    """Return the index of the image at a position in the sequence of epochs.

    Args:
        position: Number of the image in training, from 0; int64.
        count: Images in the split.
        seed: Seed of the order.
    """
    epoch, offset = position // count, position % count
    return tf.random.experimental.index_shuffle(
        tf.cast(offset, tf.uint32),
        tf.cast(tf.stack([seed, epoch]), tf.uint32),
        tf.cast(count - 1, tf.uint32),
    )


def drawn_at(position, count: int, seed: int, draw: Callable | None):
    """Return the index of the image at a position, and what was drawn beside.

    Args:
        position: Number of the image in training, from 0; int64.
        count: Images in the split.
        seed: Seed of the order.
        draw: See `training_batches`.
    """
    if draw is None:
        return (picture_index(position, count, seed),)
    # Not the seeds of the crop, which would follow the draw.
    return draw(tf.random.fold_in(seed_at(seed, position), 1))


class ClassDraw:
    """Draws pictures by what they show, so that rare classes come more often.

    First a class is drawn, with a probability of its frequency to minus a
    power; then a picture that shows it, each of them alike. Called with a
    seed of two integers; equal seeds draw the same. Returns the index of the
    picture, and the class id.

    Args:
        counts: `(pictures, classes)`, the pixels of each class.
        power: Power of the classes' inverse frequency; `0` draws all classes
            alike.

    Example:

    >>> draw = ClassDraw(np.array([[9, 0], [8, 1]]), power=0.5)
    >>> sorted({tuple(map(int, draw((0, seed)))) for seed in range(20)})
    [(0, 0), (1, 0), (1, 1)]
    """

    def __init__(self, counts: np.ndarray, power: float):
        shown = np.flatnonzero(counts.sum(0))
        weights = (counts.sum(0)[shown] / counts.sum()) ** -power
        holders = [np.flatnonzero(counts[:, index]) for index in shown]
        self._classes = tf.constant(shown, tf.uint8)
        self._bounds = tf.constant(np.cumsum(weights / weights.sum())[:-1])
        self._pictures = tf.ragged.constant(
            [held.tolist() for held in holders], tf.int64
        )

    def __call__(self, seed):
        share, place = tf.unstack(
            tf.random.stateless_uniform((2,), seed, dtype=tf.float64)
        )
        row = tf.searchsorted(self._bounds, [share], side="right")[0]
        pictures = self._pictures[row]
        count = tf.cast(tf.size(pictures), tf.float64)
        return pictures[tf.cast(place * count, tf.int32)], self._classes[row]


def batch_names(
    split, batch_size: int, step: int, seed: int, draw: Callable | None = None
) -> list[str]:
    """Return the names of the images in a global batch, for messages.

    Args:
        split: Split that `training_batches` was called with.
        batch_size: Images per step, over all replicas.
        step: Step of the batch, from 0.
        seed: Seed of the order.
        draw: See `training_batches`. Defaults to `None`.

    Example:

    >>> from dla_keras.data.classification import open_classification_split
    >>> train = open_classification_split("digits", "train")
    >>> batch_names(train, batch_size=2, step=0, seed=0)
    ['digits/train/742', 'digits/train/873']
    """
    first = step * batch_size
    positions = tf.range(first, first + batch_size, dtype=tf.int64)
    indices = [drawn_at(p, len(split), seed, draw)[0] for p in positions]
    return [split[int(index)].name for index in indices]


def seed_at(seed, position):
    """Return the seed of everything that is drawn at a position."""
    return tf.stack([tf.cast(seed, tf.int64), position])


def _check_shares(split, batch_size, replicas, part, parts, mix):
    if not len(split):
        raise ValueError("There is no picture to train on.")
    if not 0 <= part < parts or replicas % parts:
        raise ValueError(
            "Every input pipeline feeds as many replicas: expected a multiple "
            f"of {parts} (pipelines). Received: {replicas} replicas for "
            f"pipeline {part} of {parts}."
        )
    pieces = replicas * (2 if mix else 1)
    if batch_size < 1 or batch_size % pieces:
        raise ValueError(
            "The global batch is shared equally: expected a multiple of "
            f"{pieces} ({replicas} replicas{', in pairs' if mix else ''}). "
            f"Received: batch_size={batch_size}."
        )
