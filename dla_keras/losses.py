"""Losses as sums over pixels; who knows the global batch does the division."""

import keras
from keras import ops

from dla_keras.data.datasets import IGNORE_LABEL


def cross_entropy_sums(labels, logits, class_weights=None):
    """Cross-entropy summed over the valid pixels, and the weight it stands on.

    Kept apart because the mean over several replicas is the sum of the one
    over the sum of the other, not the mean of their quotients.

    Args:
        labels: `(batch, height, width)`, class ids or `IGNORE_LABEL`.
        logits: `(batch, height, width, classes)`.
        class_weights: one weight per class. Defaults to `None`: all one.

    Returns:
        `(loss_sum, weight_sum)`, two scalars, at least in float32.

    Example:

    >>> labels = np.array([[[0, 255]]])
    >>> loss, weight = cross_entropy_sums(labels, np.zeros((1, 1, 2, 3)))
    >>> round(float(loss), 4), float(weight)
    (1.0986, 1.0)
    """
    # Sums over millions of pixels need float32 at least.
    dtype = keras.backend.result_type(logits.dtype, "float32")
    labels = ops.cast(labels, "int32")
    logits = ops.cast(logits, dtype)
    valid = labels != IGNORE_LABEL
    labels = ops.where(valid, labels, 0)
    weights = ops.cast(valid, dtype)
    if class_weights is not None:
        table = ops.convert_to_tensor(class_weights, dtype)
        weights = weights * ops.take(table, labels, axis=0)
    losses = ops.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )
    return ops.sum(losses * weights), ops.sum(weights)


def class_cross_entropy_sums(labels, logits, label_smoothing=0.0):
    """Cross-entropy summed over pictures, and their number.

    Args:
        labels: `(batch,)`, class ids, or `(batch, classes)`, each class's
            share of a mixed picture.
        logits: `(batch, classes)`.
        label_smoothing: share of the truth that goes to all classes alike.
            Defaults to `0.0`.

    Returns:
        `(loss_sum, weight_sum)`, two scalars, at least in float32.

    Example:

    >>> labels, logits = np.array([1, 0]), np.array([[0.0, 9.0], [0.0, 9.0]])
    >>> loss, weight = class_cross_entropy_sums(labels, logits)
    >>> round(float(loss), 3), float(weight)
    (9.0, 2.0)
    """
    dtype = keras.backend.result_type(logits.dtype, "float32")
    logits = ops.cast(logits, dtype)
    classes = logits.shape[-1]
    if len(labels.shape) == 1:
        labels = ops.one_hot(labels, classes)
    targets = ops.cast(labels, dtype) * (1 - label_smoothing)
    targets = targets + label_smoothing / classes
    losses = ops.categorical_crossentropy(targets, logits, from_logits=True)
    return ops.sum(losses), ops.cast(ops.size(losses), dtype)
