"""Losses as sums over pixels; the training step divides by the whole batch."""

from dataclasses import dataclass

import keras
from keras import ops

from dla_keras.data.boundaries import CERTAIN
from dla_keras.data.boundaries import label_edges
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.tasks.recipes import BALANCED


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
    (section 5.3), `--edge-weight` in the authors' code. `BALANCED` lets them
    weigh as much in each image as the rest of it (HED; Xie and Tu, ICCV 2015).

    Args:
        labels: `(batch, height, width)`, 0 to `CERTAIN` or `IGNORE_LABEL`;
            see `dla_keras.data.boundaries`.
        logits: `(batch, height, width, 1)`.
        positive_weight: Weight of a boundary's loss, or `BALANCED`. Defaults
            to `10.0`.

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
    positive, negative = share, valid - share
    if positive_weight == BALANCED:
        drawn, rest = _by_image(positive), _by_image(negative)
        part = (drawn / ops.maximum(drawn + rest, 1e-6))[:, None, None]
        positive, negative = (1 - part) * positive, part * negative
    else:
        positive = positive_weight * positive
    # log(1 + e^-x) and log(1 + e^x): the two costs, finite for any logit.
    losses = positive * ops.softplus(-logits) + negative * ops.softplus(logits)
    return losses, positive + negative


def joint_sums(
    labels,
    outputs,
    boundary_weight=1.0,
    class_weights=None,
    terms=("cross_entropy",),
    teacher_weight=0.0,
):
    """Return the sum of several losses, each a mean over an image.

    They are the `terms` and, if they weigh anything, the loss of the
    boundaries between classes and the distance to a teacher's answer. The
    means are averaged over images that weigh as their pixels' classes do. So a
    weight of 1 makes all of them count alike, and every image adds the same on
    any number of replicas.

    Args:
        labels: `(batch, height, width)`, class ids or `IGNORE_LABEL`; with a
            teacher, a pair of these and its logits.
        outputs: Outputs of a `DLASegmenter`: with a boundary head where
            boundaries weigh anything.
        boundary_weight: Weight of the boundaries' mean loss. Defaults to
            `1.0`.
        class_weights: One weight per class. Defaults to `None`: all one.
        terms: Names in `TERMS`. Defaults to the cross-entropy alone.
        teacher_weight: Weight of the mean Kullback-Leibler divergence from the
            teacher's probabilities (Hinton et al., 2015, at temperature 1).
            Defaults to `0.0`: there is no teacher.

    Returns:
        `(loss_sum, weight_sum)`, two scalars.

    Example:

    >>> labels, logits = np.array([[[0, 1]]]), 99 * np.eye(2)[None, None]
    >>> loss, _ = joint_sums(labels, logits, 0, terms=("ohem", "dice"))
    >>> round(float(loss), 6)
    0.0
    """
    labels, taught = labels if teacher_weight else (labels, None)
    logits = outputs["classes"] if isinstance(outputs, dict) else outputs
    losses, weights = _pixel_cross_entropy(labels, logits, class_weights)
    whole = _by_image(weights)
    seen = _Seen(labels, logits, losses, weights)
    joint = sum(TERMS[term](seen) for term in terms)
    if boundary_weight:
        edges = _pixel_boundary_loss(label_edges(labels), outputs["boundary"])
        joint = joint + boundary_weight * whole * _mean_by_image(*edges)
    if teacher_weight:
        away = _divergence(ops.cast(taught, losses.dtype), logits)
        joint = joint + teacher_weight * _by_image(away * weights)
    return ops.sum(joint), ops.sum(weights)


@dataclass(frozen=True)
class _Seen:
    """What the terms of a loss are computed from.

    Args:
        labels: `(batch, height, width)`, class ids or `IGNORE_LABEL`.
        logits: `(batch, height, width, classes)`.
        losses: Weighted cross-entropy of every pixel.
        weights: Weight of every pixel.
    """

    labels: keras.KerasTensor
    logits: keras.KerasTensor
    losses: keras.KerasTensor
    weights: keras.KerasTensor

    def by_class(self):
        """Return probabilities, truth and validity by image, pixel, class.

        They are `(batch, pixels, classes)` twice and `(batch, pixels, 1)`.
        """
        classes = self.logits.shape[-1]
        pixels = self.labels.shape[1] * self.labels.shape[2]
        dtype = self.losses.dtype
        logits = ops.cast(self.logits, dtype)
        labels = ops.reshape(ops.cast(self.labels, "int32"), (-1, pixels))
        valid = ops.cast(labels != IGNORE_LABEL, dtype)[..., None]
        # No class for `IGNORE_LABEL`: a row of zeros.
        truth = ops.cast(labels[..., None] == ops.arange(classes), dtype)
        found = ops.reshape(ops.softmax(logits), (-1, pixels, classes))
        return found * valid, truth, valid


def _by_image(values):
    """Return the sums over each image's pixels."""
    return ops.sum(values, (1, 2))


def _mean_by_image(losses, weights):
    # An image that is ignored as a whole has nothing to weigh.
    return _by_image(losses) / ops.maximum(_by_image(weights), 1e-6)


def _divergence(taught, logits):
    """Return how far each pixel's probabilities are from a teacher's."""
    truth = ops.log_softmax(taught)
    found = ops.log_softmax(ops.cast(logits, truth.dtype))
    return ops.sum(ops.exp(truth) * (truth - found), -1)


def _cross_entropy(seen):
    return _by_image(seen.losses)


def _ohem(seen):
    """Return the mean of each image's hardest quarter of pixels.

    Online hard example mining (Shrivastava et al., CVPR 2016), by image, so
    that it is the same on any number of replicas.
    """
    pixels = seen.labels.shape[1] * seen.labels.shape[2]
    flat = lambda values: ops.reshape(values, (-1, pixels))
    losses, places = ops.top_k(flat(seen.losses), max(1, pixels // 4))
    weights = ops.take_along_axis(flat(seen.weights), places, axis=1)
    mean = ops.sum(losses, 1) / ops.maximum(ops.sum(weights, 1), 1e-6)
    return _by_image(seen.weights) * mean


def _mean_over_present(values, truth):
    """Return the mean over the classes that an image shows."""
    present = ops.cast(ops.any(truth > 0, axis=1), values.dtype)
    return ops.sum(values * present, -1) / ops.maximum(
        ops.sum(present, -1), 1.0
    )


def _dice(seen):
    """Return 1 minus Dice's coefficient, the mean over an image's classes.

    Milletari et al. (3DV 2016): twice the overlap over the sum of both areas,
    so that a thin class counts as a large one.
    """
    found, truth, _ = seen.by_class()
    overlap = ops.sum(found * truth, 1)
    areas = ops.sum(found + truth, 1)
    loss = 1 - 2 * overlap / ops.maximum(areas, 1e-6)
    return _by_image(seen.weights) * _mean_over_present(loss, truth)


def _lovasz(seen):
    """Return the Lovasz-softmax, the mean over an image's classes.

    Berman et al. (CVPR 2018): the convex extension of 1 minus IoU, which it is
    wherever probabilities are 0 or 1.
    """
    found, truth, valid = seen.by_class()
    pixels_last = lambda values: ops.transpose(values, (0, 2, 1))
    errors = pixels_last(ops.abs(truth - found) * valid)
    truths = pixels_last(truth)
    # Ignored pixels have no error, so they come last and weigh nothing.
    errors, order = ops.top_k(errors, errors.shape[-1])
    ranked = ops.take_along_axis(truths, order, axis=-1)
    area = ops.sum(truths, -1, keepdims=True)
    hit = ops.cumsum(ranked, -1)
    missed = ops.cumsum(1 - ranked, -1)
    jaccard = 1 - (area - hit) / ops.maximum(area + missed, 1.0)
    step = ops.concatenate(
        [jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]], -1
    )
    loss = ops.sum(errors * ops.stop_gradient(step), -1)
    return _by_image(seen.weights) * _mean_over_present(loss, truth)


# Name of `--loss` -> its mean over each image, times the image's weight.
TERMS = {
    "cross_entropy": _cross_entropy,
    "ohem": _ohem,
    "dice": _dice,
    "lovasz": _lovasz,
}
