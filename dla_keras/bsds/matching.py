"""One-to-one matching of boundary pixels: what the benchmark counts.

The benchmark (`correspondPixels`) looks for the assignment with the most pairs
and, among those, the least summed distance. It solves that on a graph thinned
out at random; here it is solved exactly.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

# As in the benchmark, distances are counted in whole hundredths of a pixel, and
# a pixel without a partner costs as much as 100 of the longest pairs.
_HUNDREDTHS = 100
_UNMATCHED = 100

# SciPy's solver takes time in proportion to rows times columns, however few the
# pairs. So parts that are not connected are solved apart, in blocks of about so
# many pairs: with smaller ones, calls would take most of the time.
_BLOCK = 2000


class BoundaryMatcher:
    """Matches predicted boundaries with those of one annotator.

    Everything that depends on the annotation alone is computed once, so one
    matcher serves all thresholds.

    Args:
        truth: Boolean `(height, width)`, the annotator's boundary pixels.
        max_distance: Largest distance of a pair, as a share of the image's
            diagonal. Defaults to `0.0075`, BSDS500's.

    Example:

    >>> truth = np.zeros((300, 400), bool)
    >>> truth[100] = True
    >>> prediction = np.roll(truth, 3, axis=0)  # 3 pixels lower
    >>> hits, found = BoundaryMatcher(truth)(prediction)
    >>> int(prediction.sum()), int(hits.sum()), int(found.sum())
    (400, 400, 400)
    """

    def __init__(self, truth, max_distance: float = 0.0075):
        self.truth = _checked_map(truth)
        height, width = self.truth.shape
        reach = max_distance * np.hypot(height, width)  # pixels
        if not 0 <= reach < np.hypot(height, width):
            raise ValueError(
                "`max_distance` is a share of the diagonal, at least 0 and "
                f"less than 1. Received: {max_distance}."
            )
        margin = int(np.ceil(reach))
        self._margin = margin
        self._stride = width + 2 * margin
        rows, columns = np.mgrid[-margin : margin + 1, -margin : margin + 1]
        distances = np.hypot(rows, columns)
        near = rows**2 + columns**2 <= reach**2
        shifts = (rows * self._stride + columns)[near]
        self._neighbours = self._places(self.truth)[:, None] + shifts
        # Plus one, since SciPy takes a zero for no pair.
        self._costs = 1 + np.rint(_HUNDREDTHS * distances[near])
        self._unmatched = np.rint(_HUNDREDTHS * _UNMATCHED * reach) + 1

    def _places(self, mask):
        """Return indices of a map's pixels in a flat map with a margin."""
        rows, columns = np.nonzero(mask)
        return (rows + self._margin) * self._stride + columns + self._margin

    def __call__(self, prediction) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of prediction and truth that have a partner.

        Args:
            prediction: Boolean `(height, width)`.

        Returns:
            Two boolean maps with equally many pixels.
        """
        prediction = _checked_map(prediction)
        if prediction.shape != self.truth.shape:
            raise ValueError(
                "Prediction and truth must be of one size. Received: "
                f"{prediction.shape} and {self.truth.shape}."
            )
        places = self._places(prediction)
        margins = 2 * self._margin
        size = (prediction.shape[0] + margins) * self._stride
        numbers = np.full(size, -1, np.int32)
        numbers[places] = np.arange(len(places))
        candidates = numbers[self._neighbours]  # (truth pixels, shifts)
        truth, shift = np.nonzero(candidates >= 0)
        chosen = least_cost_pairs(
            candidates[truth, shift],
            truth,
            self._costs[shift],
            self._unmatched,
        )
        hits, found = np.zeros_like(prediction), np.zeros_like(self.truth)
        hits[prediction] = _marked(chosen[0], len(places))
        found[self.truth] = _marked(chosen[1], len(candidates))
        return hits, found


def match_boundaries(
    prediction, truth, max_distance: float = 0.0075
) -> tuple[np.ndarray, np.ndarray]:
    """Return the boundary pixels of two maps that have a partner in the other.

    Each pixel has at most one partner, no farther than `max_distance`. There
    are as many pairs as possible, with the least summed distance.

    Args:
        prediction: Boolean `(height, width)`.
        truth: Boolean `(height, width)`.
        max_distance: Largest distance of a pair, as a share of the diagonal.
            Defaults to `0.0075`.

    Returns:
        Two boolean maps: the prediction's and the truth's matched pixels.

    Example:

    >>> line = np.eye(300, dtype=bool)
    >>> both = line | np.roll(line, 2, axis=1)  # two lines, one true
    >>> hits, found = match_boundaries(both, line)
    >>> int(both.sum()), int(hits.sum()), int(found.sum())
    (600, 300, 300)
    """
    return BoundaryMatcher(truth, max_distance)(prediction)


def least_cost_pairs(left, right, costs, unmatched: float):
    """Return the assignment of least cost among candidate pairs.

    Args:
        left: Left end of each candidate pair, as a number from 0.
        right: Right end of each candidate pair, as a number from 0.
        costs: Cost of each pair, above 0.
        unmatched: Cost of an end without partner, on the side with fewer ends.
            If it is well above `costs`, there are as many pairs as possible.

    Returns:
        The left and the right ends of the chosen pairs.

    Example:

    >>> least_cost_pairs([0, 0, 1], [0, 1, 0], [1, 5, 1], 100)
    (array([0, 1]), array([1, 0]))
    """
    left, right = np.asarray(left), np.asarray(right)
    costs = np.asarray(costs)
    if not left.size:
        return left, right
    part = _connected_parts(left, right)
    order = np.argsort(part, kind="stable")
    ends = np.flatnonzero(np.diff(part[order], append=-1)) + 1
    chosen, start = [], 0
    for end in ends:
        if end - start < _BLOCK and end != ends[-1]:
            continue
        block = order[start:end]
        chosen.append(
            _assigned(left[block], right[block], costs[block], unmatched)
        )
        start = end
    return tuple(np.concatenate(side) for side in zip(*chosen, strict=True))


def _connected_parts(left, right):
    """Return the number of the connected part of the graph for each pair."""
    lefts = left.max() + 1
    size = lefts + right.max() + 1
    ones = np.ones(len(left), np.int8)
    graph = coo_array((ones, (left, lefts + right)), (size, size))
    return connected_components(graph, directed=False)[1][left]


def _assigned(left, right, costs, unmatched):
    """Return the least cost pairs of one block.

    The side with fewer pixels is the rows. Each row has a column that stands
    for no partner, so that there always is a full assignment.
    """
    lefts, row = np.unique(left, return_inverse=True)
    rights, column = np.unique(right, return_inverse=True)
    if len(lefts) > len(rights):
        return _assigned(right, left, costs, unmatched)[::-1]
    alone = np.arange(len(lefts))
    graph = coo_array(
        (
            np.concatenate([np.full(len(lefts), unmatched), costs]),
            (
                np.concatenate([alone, row]),
                np.concatenate([alone, len(lefts) + column]),
            ),
        ),
        (len(lefts), len(lefts) + len(rights)),
    )
    row, column = min_weight_full_bipartite_matching(graph)
    paired = column >= len(lefts)
    return lefts[row[paired]], rights[column[paired] - len(lefts)]


def _marked(numbers, size):
    marks = np.zeros(size, bool)
    marks[numbers] = True
    return marks


def _checked_map(mask):
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool:
        raise ValueError(
            "A boundary map is a boolean array (height, width). Received: "
            f"{mask.dtype} of shape {mask.shape}."
        )
    return mask
