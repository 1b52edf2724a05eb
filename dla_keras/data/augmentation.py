"""Joint augmentation of picture and label: pure functions of a seed.

Scale, rotation, flip and crop are one affine map, so a picture is resampled
once. The same seed gives the same crop on every machine and after a restart.
"""

import math
from dataclasses import dataclass

import tensorflow as tf

from dla_keras.data.color import jitter_color
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.normalization import IMAGENET_MEAN


@dataclass(frozen=True)
class Augmentation:
    """A random crop of a picture and its label.

    Called with an image `(height, width, 3)`, RGB, 0 to 255, a label
    `(height, width)` of class ids or `IGNORE_LABEL`, and a seed of two
    integers; equal seeds give equal crops. Returns float32 `(*size, 3)`, 0 to
    255, and uint8 `size`. Where the crop leaves the picture, the image holds
    ImageNet's mean colour and the label `IGNORE_LABEL`.

    Args:
        size: height and width of the crop, in pixels.
        scale: range of the zoom. Defaults to `(0.5, 2.0)`, the paper's.
        rotation: largest angle in degrees, either way. Defaults to `10.0`.
        flip: whether half of the pictures are mirrored. Defaults to `True`.
        jitter: largest relative change of brightness, contrast and
            saturation. Defaults to `0.4`.

    Example:

    >>> image, label = np.zeros((60, 80, 3)), np.zeros((60, 80), "uint8")
    >>> x, y = Augmentation((32, 32))(image, label, (1, 2))
    >>> x.shape, y.shape
    (TensorShape([32, 32, 3]), TensorShape([32, 32]))
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0
    flip: bool = True
    jitter: float = 0.4

    def __call__(self, image, label, seed):
        # One independent seed per decision.
        seeds = tf.unstack(tf.random.split(seed, 2), num=2)
        matrix = random_affine(tf.shape(label), seeds[0], self)
        # About the mean colour, which so becomes what lies outside.
        mean = 255 * tf.constant(IMAGENET_MEAN)
        image = tf.cast(image, tf.float32) - mean
        image = _transform(image, matrix, self.size, "BILINEAR", 0.0)
        label = _transform(
            label[..., None], matrix, self.size, "NEAREST", IGNORE_LABEL
        )
        return jitter_color(image, seeds[1], self.jitter, mean), label[..., 0]


def random_affine(shape, seed, augmentation: Augmentation):
    """The map from crop pixels to picture pixels: 8 numbers, row by row."""
    u = tf.random.stateless_uniform((5,), seed)
    low, high = (math.log(bound) for bound in augmentation.scale)
    scale = tf.exp(low + u[0] * (high - low))
    angle = (2 * u[1] - 1) * augmentation.rotation * math.pi / 180
    mirror = tf.where(augmentation.flip & (u[2] < 0.5), -1.0, 1.0)

    # The crop's centre lies where the crop is inside the picture; where the
    # zoomed picture is smaller, where the picture is inside the crop.
    height, width = augmentation.size
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
