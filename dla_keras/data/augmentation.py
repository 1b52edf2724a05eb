"""Joint augmentation of picture and label: pure functions of a seed.

Scale, rotation, flip and crop are one affine map, so a picture is resampled
once. The same seed gives the same crop on every machine and after a restart.
"""

import math
from dataclasses import dataclass

import tensorflow as tf

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.normalization import IMAGENET_MEAN


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each training picture.

    Args:
        size: height and width of the crop, in pixels.
        scale: range of the zoom. Defaults to `(0.5, 2.0)`, the paper's.
        rotation: largest angle in degrees, either way. Defaults to `10.0`.
        flip: whether half of the pictures are mirrored. Defaults to `True`.
        jitter: largest relative change of brightness, contrast and
            saturation. Defaults to `0.4`.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0
    flip: bool = True
    jitter: float = 0.4


def augment(image, label, seed, config: Augmentation):
    """A random crop of a picture and its label.

    Args:
        image: `(height, width, 3)`, RGB, 0 to 255.
        label: `(height, width)`, class ids or `IGNORE_LABEL`.
        seed: two integers; equal seeds give equal crops.
        config: what to draw.

    Returns:
        `(image, label)`: float32 `(*config.size, 3)`, 0 to 255, and uint8
        `config.size`. Where the crop leaves the picture, the image holds
        ImageNet's mean colour and the label `IGNORE_LABEL`.

    Example:

    >>> image, label = np.zeros((60, 80, 3)), np.zeros((60, 80), "uint8")
    >>> x, y = augment(image, label, (1, 2), Augmentation((32, 32)))
    >>> x.shape, y.shape
    (TensorShape([32, 32, 3]), TensorShape([32, 32]))
    """
    # One independent seed per decision.
    seeds = tf.unstack(tf.random.split(seed, 2), num=2)
    matrix = random_affine(tf.shape(label), seeds[0], config)
    fill = 255 * tf.constant(IMAGENET_MEAN)
    image = tf.cast(image, tf.float32) - fill
    image = _transform(image, matrix, config.size, "BILINEAR", 0.0) + fill
    label = _transform(
        label[..., None], matrix, config.size, "NEAREST", IGNORE_LABEL
    )
    return jitter_color(image, seeds[1], config.jitter), label[..., 0]


def random_affine(shape, seed, config: Augmentation):
    """The map from crop pixels to picture pixels: 8 numbers, row by row."""
    u = tf.random.stateless_uniform((5,), seed)
    low, high = (math.log(bound) for bound in config.scale)
    scale = tf.exp(low + u[0] * (high - low))
    angle = (2 * u[1] - 1) * config.rotation * math.pi / 180
    mirror = tf.where(config.flip & (u[2] < 0.5), -1.0, 1.0)

    # The crop's centre lies where the crop is inside the picture; where the
    # zoomed picture is smaller, where the picture is inside the crop.
    height, width = config.size
    picture = tf.cast(shape[:2], tf.float32)
    reach = tf.constant([height / 2, width / 2]) / scale
    center = reach + u[3:5] * (picture - 2 * reach)

    # Pixel i covers i to i + 1, so its centre is at i + 0.5.
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    xx, xy = mirror * cosine, -sine
    yx, yy = mirror * sine, cosine
    x0 = center[1] - 0.5 - xx * (width - 1) / 2 - xy * (height - 1) / 2
    y0 = center[0] - 0.5 - yx * (width - 1) / 2 - yy * (height - 1) / 2
    return tf.stack([xx, xy, x0, yx, yy, y0, 0.0, 0.0])


def _transform(image, matrix, size, interpolation, fill):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=matrix[None],
        output_shape=size,
        fill_value=float(fill),
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )[0]


def jitter_color(image, seed, strength: float):
    """Random brightness, contrast and saturation, each by `1 +- strength`."""
    factors = tf.random.stateless_uniform(
        (3,), seed, 1 - strength, 1 + strength
    )
    luminance = tf.constant([0.299, 0.587, 0.114])
    image = image * factors[0]
    mean = tf.reduce_mean(tf.reduce_sum(image * luminance, -1))
    image = mean + (image - mean) * factors[1]
    gray = tf.reduce_sum(image * luminance, -1, keepdims=True)
    image = gray + (image - gray) * factors[2]
    return tf.clip_by_value(image, 0.0, 255.0)
