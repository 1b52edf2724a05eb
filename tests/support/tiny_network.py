"""A network with one of each thing that 8 bits and few weights meet."""

import keras
import numpy as np
from keras import layers

CLASSES = 4


def tiny():
    """Pixels in, scores out: a branch, a join, an addition, an upsampling."""

    def block(x, filters, name, strides=1):
        conv = layers.Conv2D(
            filters, 3, strides, "same", use_bias=False, name=f"{name}_conv"
        )
        norm = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")
        return layers.ReLU(name=f"{name}_relu")(norm(conv(x)))

    image = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / 64, -2.0, name="normalize")(image)
    x = block(x, 16, "first")
    down = block(x, 32, "down", 2)  # 4608 weights
    deep = block(down, 32, "deep")  # 9216
    added = layers.ReLU(name="add_relu")(layers.Add(name="add")([down, deep]))
    up = keras_upsampling(2, name="up")(added)
    joined = layers.Concatenate(name="join")([x, up])
    outputs = layers.Conv2D(CLASSES, 1, name="fc")(joined)
    return keras.Model(image, outputs)


def keras_upsampling(factor, name):
    from dla_keras.layers.upsampling import BilinearUpsampling

    return BilinearUpsampling(factor, name=name)


def pictures(count=8, seed=0):
    """Noise whose red tells the class, and the classes; half are ignored."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, (count, 16, 32)).astype(np.uint8)
    images = random.integers(0, 120, (count, 16, 32, 3)).astype(np.uint8)
    images[..., 0] += 40 * labels
    # Unevenly, so that a mean over replicas' means would show.
    labels[: count // 2, :, 4:] = 255
    return images, labels
