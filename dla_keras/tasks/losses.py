"""Losses as sums over pixels; the training step divides by the whole batch."""

import keras
from keras import ops

from dla_keras.data.boundaries import CERTAIN
from dla_keras.data.boundaries import label_edges
from dla_keras.data.datasets import IGNORE_LABEL


def cross_entropy_sums(labels, logits, class_weights=None):
    """Return the sums of cross-entropy and weights over the valid pixels.

    They are not divided here, because the mean over several replicas is the
    quotient of the sums, not the mean of the quotients.

    Args:
        labels: `(batch, height, width)`, class ids or `IGNORE_LABEL`.
        logits: `(batch, height, width, classes)`.
        class_weights: One weight per class. Defaults to `None`: all one.

    Returns:
        `(loss_sum, weight_sum)`, two scalars, at least in float32.

    Example:

    >>> labels = np.array([[[0, 255]]])
    >>> loss, weight = cross_entropy_sums(labels, np.zeros((1, 1, 2, 3)))
    >>> round(float(loss), 4), float(weight)
    (1.0986, 1.0)
    """
    losses, weights = _pixel_cross_entropy(labels, logits, class_weights)
    return ops.sum(losses), ops.sum(weights)


def _pixel_cross_entropy(labels, logits, class_weights):
    """Return the weighted loss and the weight of every pixel."""
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
    return losses * weights, weights


def class_cross_entropy_sums(labels, logits, label_smoothing=0.0):
    """Return the cross-entropy summed over images, and their number.

    Args:
        labels: `(batch,)`, class ids, or `(batch, classes)`, each class's
            share of a mixed image.
        logits: `(batch, classes)`.
        label_smoothing: Share of the truth that goes to all classes equally.
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


def boundary_cross_entropy_sums(labels, logits, positive_weight=10.0):
    """Return the boundaries' cross-entropy over valid pixels, and its weight.

    Boundaries are few, so each counts `positive_weight` times: 10 in the paper
    (section 5.3), `--edge-weight` in the authors' code.

    Args:
        labels: `(batch, height, width)`, 0 to `CERTAIN` or `IGNORE_LABEL`;
            see `dla_keras.data.boundaries`.
        logits: `(batch, height, width, 1)`.
        positive_weight: Weight of a boundary's loss. Defaults to `10.0`.

    Returns:
        `(loss_sum, weight_sum)`, two scalars, at least in float32.

    Example:

    >>> labels = np.array([[[0, 254, 255]]])
    >>> loss, weight = boundary_cross_entropy_sums(
    ...     labels, np.zeros((1, 1, 3, 1)), positive_weight=3.0
    ... )
    >>> round(float(loss / weight), 4), float(weight)
    (0.6931, 4.0)
    """
    losses, weights = _pixel_boundary_loss(labels, logits, positive_weight)
    return ops.sum(losses), ops.sum(weights)


def _pixel_boundary_loss(labels, logits, positive_weight=10.0):
    """Return the weighted loss and the weight of every pixel."""
    dtype = keras.backend.result_type(logits.dtype, "float32")
    logits = ops.cast(logits[..., 0], dtype)
    valid = ops.cast(labels != IGNORE_LABEL, dtype)
    share = valid * ops.cast(labels, dtype) / CERTAIN
    positive = positive_weight * share
    negative = valid - share
    # log(1 + e^-x) and log(1 + e^x): the two costs, finite for any logit.
    losses = positive * ops.softplus(-logits) + negative * ops.softplus(logits)
    return losses, positive + negative


def joint_sums(labels, outputs, boundary_weight=1.0, class_weights=None):
    """Return the joint loss of classes and the boundaries between them.

    It is the mean over the pixels' classes, plus `boundary_weight` times the
    boundaries' mean over an image, averaged over images that weigh as their
    classes do. So a weight of 1 makes both means count alike, and every image
    adds the same on any number of replicas.

    Args:
        labels: `(batch, height, width)`, class ids or `IGNORE_LABEL`.
        outputs: Outputs of a `DLASegmenter` with a boundary head.
        boundary_weight: Weight of the boundaries' mean loss relative to the
            classes' mean loss. Defaults to `1.0`.
        class_weights: One weight per class. Defaults to `None`: all one.

    Returns:
        `(loss_sum, weight_sum)`, two scalars.
    """
    losses, weights = _pixel_cross_entropy(
        labels, outputs["classes"], class_weights
    )
    boundary_losses, boundary_weights = _pixel_boundary_loss(
        label_edges(labels), outputs["boundary"]
    )
    by_image = lambda values: ops.sum(values, (1, 2))
    # An image that is ignored as a whole has no boundary to weigh.
    boundary = by_image(boundary_losses) / ops.maximum(
        by_image(boundary_weights), 1e-6
    )
    joint = by_image(losses) + boundary_weight * by_image(weights) * boundary
    return ops.sum(joint), ops.sum(weights)
