"""A run of the engine that takes seconds: a tiny network, random pictures.

`main` takes --run-dir FOLDER, flags of training, --slow-disk. For tests of what
happens to a process. The network has what a checkpoint must hold: batch norm,
dropout, a pretrained-like backbone.
"""

import os
import time
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import dla_keras  # noqa: F401  (first: it quietens TensorFlow)
from dla_keras.commands.settings import parse_arguments
from dla_keras.commands.shared import run_command
from dla_keras.commands.train import training_parser
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.segmentation import Example
from dla_keras.engine.assembly import run
from dla_keras.engine.assembly import set_up
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.recipes import COMPUTE

CLASSES = 4
POISONED = 17  # height of the picture that gives NaN
RECIPE = {
    "dataset": "noise",
    "size": "16x32",
    "batch_size": 4,
    "steps": 600,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 1e-3,
}


class Tiny(keras.Model):
    """Four layers and a dropout, on pixels of 0 to 255."""

    def __init__(self, dtype=None, dropout_rate=0.2, **kwargs):
        def convolution(number):
            name = f"conv{number}"
            conv = layers.Conv2D(8, 3, padding="same", dtype=dtype, name=name)
            norm = layers.BatchNormalization(
                momentum=0.9, dtype=dtype, name=f"{name}_bn"
            )
            return conv, norm, layers.ReLU(dtype=dtype)

        scale = layers.Rescaling(1 / 128, -1.0, dtype=dtype)
        self.backbone = keras.Sequential(
            [scale, *convolution(1), *convolution(2)], name="backbone"
        )
        self.dropout = layers.Dropout(dropout_rate, dtype=dtype, name="dropout")
        self.fc = layers.Conv2D(CLASSES, 1, dtype=dtype, name="fc")
        inputs = keras.Input((None, None, 3))
        x = self.dropout(self.backbone(inputs))
        super().__init__(inputs=inputs, outputs=self.fc(x), **kwargs)
        self.dropout_rate = dropout_rate

    def get_config(self):
        return {"dropout_rate": self.dropout_rate}


class Noise(list):
    """Pictures whose colours tell the classes, with ignored pixels."""

    info = SimpleNamespace(name="noise")

    def __init__(self, count, seed=0, poisoned=None):
        random = np.random.default_rng(seed)
        for index in range(count):
            size = (POISONED if index == poisoned else 16, 32)
            label = random.integers(0, CLASSES, size).astype(np.uint8)
            image = random.integers(0, 160, (*size, 3)).astype(np.uint8)
            image[..., 0] += 24 * label
            label[:, : index % 16] = 255
            self.append(Example(image, label, f"noise/{index}"))


def measure(model, val, indices):
    """Hits of each picture, and its pixels."""
    for example in (val[index] for index in indices):
        found = np.argmax(model(example.image[None]), -1)[0]
        valid = example.label < 255
        hits = (found == example.label)[valid]
        yield [int(hits.sum()), int(valid.sum())]


def summarize(records, info):
    """Pixel accuracy."""
    hits, pixels = np.sum(records, axis=0)
    return {"accuracy": float(hits / pixels), "pictures": len(records)}


def slow_down_disk():
    """Make checkpoints take long, so that random kills meet them."""
    sync = os.fsync

    def slow(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        time.sleep(0.1 if name.endswith(".npz") else 0.02)
        sync(descriptor)

    os.fsync = slow


def parse_flags(argv=None):
    parser = training_parser("tiny", "Train a tiny network.")
    parser.add_argument("--size")
    parser.add_argument("--slow-disk", action="store_true")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--poisoned", type=int, help="number of a picture")
    parser.add_argument("--virtual-cpus", type=int, default=1)
    return parse_arguments(parser, {"noise": RECIPE}, "noise", argv)


def poison(crop):
    """Return the crop, or NaN for the image that is `POISONED` pixels high."""

    def augment(image, label, seed):
        bad = tf.shape(image)[0] == POISONED
        image, label = crop(image, label, seed)
        return tf.where(bad, np.nan, image), label

    return augment


# Any augmentation and all that the flags ask for, as a row of `tasks`.
ROW = SimpleNamespace(
    COLUMNS=("accuracy",),
    MEASURE_FLAGS=(),
    BATCH=1,
    augmentation=lambda args: poison(
        Augmentation((16, 32), (0.8, 1.25), 5.0, jitter=0.2)
    ),
    make_teacher=lambda args, info: None,
    drawing_rule=lambda args, train: None,
    mixing=lambda args, info: None,
    make_model=lambda args, info: Tiny(COMPUTE[args.compute], args.dropout),
    loss_sums=lambda args, train: cross_entropy_sums,
    model_finder=lambda model, args: model,
    measure=measure,
    summarize=summarize,
    drawing=lambda model, val: None,
)


def train(args):
    strategy = set_up(args)
    pictures, val = Noise(37, poisoned=args.poisoned), Noise(5, seed=1)
    return run(ROW, args, strategy, pictures, val)


def main(argv=None):
    args = parse_flags(argv)
    if args.slow_disk:
        slow_down_disk()
    if args.virtual_cpus > 1:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * args.virtual_cpus,
        )
    return run_command(lambda: train(args))
