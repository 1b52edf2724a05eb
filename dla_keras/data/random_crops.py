"""Crops for classification: random ones to train on, central ones to test."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from dla_keras.data.color import jitter_color

_ATTEMPTS = 10  # as in the authors' code and torchvision


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of a picture, resized to one size.

    Called with an image `(height, width, 3)`, RGB, 0 to 255, its label, which
    is passed on, and a seed of two integers; equal seeds give equal crops.
    Returns float32 `(*size, 3)`, 0 to 255, and the label.

    The part is shrunk with antialiasing, as the pictures to test on are.

    Args:
        size: height and width of the result, in pixels.
        area: range of the part's area, relative to the picture's. Defaults to
            `(0.08, 1.0)`, the paper's.
        aspect: range of the part's width over its height. Defaults to
            `(3 / 4, 4 / 3)`, the paper's.
        flip: whether half of the pictures are mirrored. Defaults to `True`.
        jitter: largest relative change of brightness, contrast and
            saturation. Defaults to `0.0`.

    Example:

    >>> x, y = RandomResizedCrop((32, 32))(np.zeros((60, 80, 3)), 7, (1, 2))
    >>> x.shape, y
    (TensorShape([32, 32, 3]), 7)
    """

    size: tuple[int, int]
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    jitter: float = 0.0

    def __call__(self, image, label, seed):
        seeds = tf.unstack(tf.random.split(seed, 3), num=3)
        top, left, height, width = tf.unstack(
            random_box(tf.shape(image)[:2], seeds[0], self.area, self.aspect)
        )
        image = image[top : top + height, left : left + width]
        image = tf.image.resize(image, self.size, antialias=True)
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, seeds[1])
        if self.jitter:
            image = jitter_color(image, seeds[2], self.jitter)
        return image, label


def random_box(shape, seed, area, aspect):
    """A random part of a picture.

    The first of ten drawn that lies inside; if none does, the largest central
    part whose aspect is allowed.

    Args:
        shape: height and width of the picture.
        seed: two integers.
        area: range of its area, relative to the picture's.
        aspect: range of its width over its height; drawn evenly in the
            logarithm.

    Returns:
        int32 `(4,)`: top, left, height, width.
    """
    u = tf.random.stateless_uniform((4, _ATTEMPTS), seed)
    shape = tf.cast(shape, tf.float32)
    areas = (area[0] + u[0] * (area[1] - area[0])) * tf.reduce_prod(shape)
    low, high = (math.log(bound) for bound in aspect)
    ratios = tf.exp(low + u[1] * (high - low))
    ratio = tf.clip_by_value(shape[1] / shape[0], *aspect)
    whole = tf.stack(
        [
            tf.minimum(shape[0], shape[1] / ratio),
            tf.minimum(shape[1], shape[0] * ratio),
        ]
    )
    drawn = tf.stack([tf.sqrt(areas / ratios), tf.sqrt(areas * ratios)], 1)
    sizes = tf.round(tf.concat([drawn, whole[None]], 0))  # (11, 2)
    places = tf.concat([tf.transpose(u[2:]), [[0.5, 0.5]]], 0)
    fits = tf.reduce_all((sizes >= 1) & (sizes <= shape), -1)
    first = tf.argmax(fits)  # the whole picture's part always does
    corner = tf.floor(places[first] * (shape - sizes[first] + 1))
    return tf.cast(tf.concat([corner, sizes[first]], 0), tf.int32)


def central_crop(image, size, crop_pct: float = 0.875) -> np.ndarray:
    """The crop to test on: the picture shrunk, then cut from its middle.

    Pixel for pixel what timm and torchvision evaluate on (bilinear, shorter
    side resized) where `size` is square.

    Args:
        image: uint8 `(height, width, 3)`.
        size: height and width of the result, in pixels.
        crop_pct: the result's share of the shrunk picture's shorter side.
            Defaults to `0.875`: 224 of 256.

    Returns:
        uint8 `(*size, 3)`.

    Example:

    >>> central_crop(np.zeros((300, 400, 3), "uint8"), (224, 224)).shape
    (224, 224, 3)
    """
    shrunk = [math.floor(length / crop_pct) for length in size]
    # The side that is short of its length by most; the other one follows.
    short = max(0, 1, key=lambda side: shrunk[side] / image.shape[side])
    rows, columns = (
        int(shrunk[short] * length / image.shape[short])
        for length in image.shape[:2]
    )
    top, left = round((rows - size[0]) / 2), round((columns - size[1]) / 2)
    resized = Image.fromarray(image).resize((columns, rows), Image.BILINEAR)
    box = (left, top, left + size[1], top + size[0])
    return np.array(resized.crop(box))
