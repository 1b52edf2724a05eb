"""What a boundary network learns: a label per pixel, from several annotators.

A label map is uint8 like every other: 0 where there is no boundary, `CERTAIN`
where there is one, between them the share of annotators who saw one, and
`IGNORE_LABEL` where it shall not count.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from dla_keras.data.datasets import IGNORE_LABEL

CERTAIN = 254

# Share of the annotators that "consensus" asks for: RCF's 64 / 255 for
# BSDS500 (Liu et al., CVPR 2017). Hardly a boundary lies on the same pixels
# in more of the drawings.
CONSENSUS = 0.25


def _any(share):
    return np.where(share > 0, CERTAIN, 0)


def _consensus(share):
    doubtful = np.where(share > 0, IGNORE_LABEL, 0)
    return np.where(share > CONSENSUS, CERTAIN, doubtful)


def _soft(share):
    return np.round(CERTAIN * share)


# name -> label from the share of annotators who drew a boundary
RULES = {"any": _any, "consensus": _consensus, "soft": _soft}


def combined_label(
    annotations: Sequence[np.ndarray], rule: str = "consensus"
) -> np.ndarray:
    """One label map from the annotators' boundary maps.

    Args:
        annotations: `(height, width)` each, boolean, or a share from 0 to 1.
        rule: `"any"`: a boundary wherever anyone drew one, the authors';
            `"consensus"`: where more than a quarter did, and where fewer did
            it does not count; `"soft"`: the share itself is learned.
            Defaults to `"consensus"`.

    Returns:
        uint8 `(height, width)`.

    Raises:
        ValueError: for an unknown rule.

    Example:

    >>> drawn = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
    >>> {rule: combined_label(drawn, rule).tolist() for rule in RULES}
    {'any': [[254, 254, 0]], 'consensus': [[254, 254, 0]],
    'soft': [[254, 127, 0]]}
    """
    if rule not in RULES:
        raise ValueError(
            f"`rule` must be one of {', '.join(RULES)}. Received: {rule!r}."
        )
    share = np.mean(np.asarray(annotations, np.float64), axis=0)
    return RULES[rule](share).astype(np.uint8)


def label_edges(labels):
    """The boundaries between classes, as labels for a boundary network.

    A pixel is on a boundary where its right or its lower neighbour is of
    another class; ignored pixels bound nothing, and stay ignored.

    Args:
        labels: `(..., height, width)`, class ids or `IGNORE_LABEL`; a NumPy
            array or a tensor.

    Returns:
        A uint8 tensor of the same shape: 0, `CERTAIN` or `IGNORE_LABEL`.

    Example:

    >>> np.asarray(label_edges(np.array([[1, 1, 2, 2, 255]])))
    array([[  0, 254,   0,   0, 255]], dtype=uint8)
    """
    labels = ops.cast(labels, "int32")
    valid = labels != IGNORE_LABEL
    edges = ops.zeros_like(valid)
    for axis in (-1, -2):
        size = ops.shape(labels)[axis]
        # The last row or column is its own neighbour.
        following = ops.minimum(ops.arange(size) + 1, size - 1)
        neighbour = ops.take(labels, following, axis)
        differs = (neighbour != labels) & (neighbour != IGNORE_LABEL)
        edges = edges | (differs & valid)
    marked = ops.where(edges, CERTAIN, 0)
    return ops.cast(ops.where(valid, marked, IGNORE_LABEL), "uint8")
