"""Mixup and CutMix: two pictures and their classes become two mixed ones."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Mixing:
    """Mixes two pictures in both directions, by mixup or CutMix.

    Called with a pair of images `(2, height, width, 3)`, their class ids
    `(2,)` and a seed of two integers; equal seeds mix equally. Returns the
    mixed images and float32 `(2, num_classes)`: each class's share.

    Mixup (Zhang et al., ICLR 2018) blends the two; CutMix (Yun et al., ICCV
    2019) pastes a box of one into the other. Where both are asked for, each
    pair has either, at even odds.

    Args:
        num_classes: number of classes.
        mixup: parameter of the Beta distribution of the shares; `0` for no
            mixup. Defaults to `0.0`.
        cutmix: likewise, of CutMix. Defaults to `0.0`.

    Example:

    >>> images = np.stack([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    >>> x, y = Mixing(5, mixup=1.0)(images, (3, 4), (1, 2))
    >>> bool(tf.reduce_all(abs(x[0] - y[0, 4]) < 1e-6))
    True
    """

    num_classes: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, images, labels, seed):
        seeds = tf.unstack(tf.random.split(seed, 3), num=3)
        images = tf.cast(images, tf.float32)
        shape = tf.shape(images)[1:3]
        if self.mixup and self.cutmix:
            keep = tf.cond(
                tf.random.stateless_uniform((), seeds[0]) < 0.5,
                lambda: _blend(shape, seeds[1:], self.mixup),
                lambda: _paste(shape, seeds[1:], self.cutmix),
            )
        elif self.cutmix:
            keep = _paste(shape, seeds[1:], self.cutmix)
        elif self.mixup:
            keep = _blend(shape, seeds[1:], self.mixup)
        else:
            keep = tf.ones((*shape, 1))
        share = tf.reduce_mean(keep)
        labels = tf.one_hot(labels, self.num_classes)
        return (
            keep * images + (1 - keep) * images[::-1],
            share * labels + (1 - share) * labels[::-1],
        )


def _blend(shape, seeds, strength):
    """What every pixel keeps of itself: `(height, width, 1)`, all equal."""
    return tf.fill((shape[0], shape[1], 1), _beta(seeds[0], strength))


def _paste(shape, seeds, strength):
    """Likewise: 0 in a box of a random place, 1 around it."""
    side = tf.sqrt(1 - _beta(seeds[0], strength))
    extent = tf.cast(shape, tf.float32)
    center = tf.random.stateless_uniform((2,), seeds[1]) * extent
    low = tf.round(center - side * extent / 2)
    high = tf.round(center + side * extent / 2)
    rows, columns = (
        (low[axis] <= tf.range(extent[axis]))
        & (tf.range(extent[axis]) < high[axis])
        for axis in (0, 1)
    )
    inside = rows[:, None] & columns[None, :]
    return 1 - tf.cast(inside, tf.float32)[..., None]


def _beta(seed, strength):
    # In float64, since for a small parameter both draws may be tiny.
    draws = tf.random.stateless_gamma(
        (2,), seed, tf.constant(strength, tf.float64), dtype=tf.float64
    )
    return tf.cast(draws[0] / tf.reduce_sum(draws), tf.float32)
