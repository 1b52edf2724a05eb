"""The loss of a segmentation run, from its flags and its training labels."""

from collections.abc import Callable
from functools import partial

import numpy as np

from dla_keras.evaluation import class_frequencies
from dla_keras.losses import cross_entropy_sums
from dla_keras.losses import joint_sums


def make_loss(
    train, class_weighting: float = 0.0, boundary_weight: float = 0.0
) -> Callable:
    """Labels and the network's outputs -> loss sum and its weight.

    Args:
        train: the training split.
        class_weighting: a class weighs its frequency to minus this power.
            Defaults to `0.0`.
        boundary_weight: of the boundaries' loss; `0` for a network without.
            Defaults to `0.0`.
    """
    weights = class_weights(train, class_weighting)
    if not boundary_weight:
        return partial(cross_entropy_sums, class_weights=weights)
    return partial(
        joint_sums, boundary_weight=boundary_weight, class_weights=weights
    )


def class_weights(train, power: float) -> np.ndarray | None:
    """Loss weights that are 1 for the average pixel.

    Args:
        train: the training split.
        power: see `make_loss`; `0` gives `None`.
    """
    if not power:
        return None
    frequency = np.maximum(class_frequencies(train), 1e-6)
    weights = frequency**-power
    return weights / (weights * frequency).sum()
