"""The BSDS500 boundary benchmark: precision, recall, ODS, OIS and AP.

From soft boundary maps and the annotators' boundaries to the figures that
papers report (Arbelaez et al., PAMI 2011). They agree with what the authors'
MATLAB computes to 0.002.
"""

import collections
import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.bsds.matching import BoundaryMatcher
from dla_keras.bsds.thinning import thin as thinned

# Columns of a table of counts, one row per threshold.
COUNTS = ("found_truth", "truth", "hits", "predicted")

_BETWEEN = 100  # points per gap of thresholds where the best F is looked for


def spread_thresholds(thresholds: int | Sequence[float]) -> np.ndarray:
    """The thresholds themselves, or so many, evenly inside 0 to 1.

    Example:

    >>> spread_thresholds(4)
    array([0.2, 0.4, 0.6, 0.8])
    """
    if isinstance(thresholds, int):
        # In the authors' way, rounding included: theirs of 1/3 is just above
        # 85 / 255, and an 8-bit map's many pixels of 85 are not boundary.
        count = max(thresholds, 0)
        ends = 1 / (count + 1), 1 - 1 / (count + 1)
        values = np.linspace(*ends, count)
    else:
        values = np.asarray(thresholds, np.float64)
    rising = values.ndim == 1 and values.size and (np.diff(values) > 0).all()
    if not rising or not 0 < values[0] <= values[-1] <= 1:
        raise ValueError(
            "Expected a number of thresholds, at least 1, or rising values "
            f"above 0 and up to 1. Received: {thresholds}."
        )
    return values


def boundary_counts(
    soft_map: np.ndarray,
    annotations: Sequence[np.ndarray],
    thresholds: int | Sequence[float] = 99,
    max_distance: float = 0.0075,
    thin: bool = True,
) -> np.ndarray:
    """What one picture adds to the benchmark, for each threshold.

    Args:
        soft_map: `(height, width)`, from 0 (no boundary) to 1.
        annotations: a boolean `(height, width)` per annotator.
        thresholds: how many, evenly spread, or the values. A pixel at the
            threshold counts as boundary. Defaults to `99`.
        max_distance: of a pixel from its partner, as a share of the
            diagonal. Defaults to `0.0075`.
        thin: whether each thresholded map is thinned to lines. Defaults to
            `True`.

    Returns:
        int64 `(thresholds, 4)`, columns as in `COUNTS`: the annotators'
        boundary pixels that were found, and all of them; predicted pixels
        that match any annotator, and all of them.

    Raises:
        ValueError: for maps of different sizes or a value out of range.

    Example:

    >>> truth = np.eye(200, dtype=bool)
    >>> boundary_counts(0.5 * truth, [truth, truth], thresholds=3)
    array([[400, 400, 200, 200],
           [400, 400, 200, 200],
           [  0, 400,   0,   0]])
    """
    thresholds = spread_thresholds(thresholds)
    soft_map = np.asarray(soft_map)
    if soft_map.ndim != 2 or not annotations:
        raise ValueError(
            "Expected one map (height, width) and at least one annotation. "
            f"Received: shape {soft_map.shape}, {len(annotations)} annotations."
        )
    if not (soft_map.min() >= 0 and soft_map.max() <= 1):  # also for NaN
        raise ValueError(
            "A soft boundary map lies in 0 to 1. Received: "
            f"{soft_map.min()} to {soft_map.max()}."
        )
    matchers = [BoundaryMatcher(each, max_distance) for each in annotations]
    counts = np.zeros((len(thresholds), len(COUNTS)), np.int64)
    previous = None
    for row, threshold in zip(counts, thresholds, strict=True):
        mask = soft_map >= threshold
        # Masks are nested, so equal in size is equal: hard maps, and empty
        # ones, are matched once.
        if previous is not None and mask.sum() == previous[0]:
            row[:] = previous[1]
        else:
            row[:] = _count(thinned(mask) if thin else mask, matchers)
        previous = mask.sum(), row
    return counts


def _count(prediction, matchers):
    hits = np.zeros_like(prediction)
    found = truth = 0
    for matcher in matchers:
        matched, found_here = matcher(prediction)
        hits |= matched  # a pixel may match any of the annotators
        found += found_here.sum()
        truth += matcher.truth.sum()
    return found, truth, hits.sum(), prediction.sum()


def boundary_scores(
    names: Sequence[str],
    counts: Sequence[np.ndarray],
    thresholds: int | Sequence[float] = 99,
) -> dict:
    """The benchmark's summaries of all pictures' counts.

    ODS: the best F with one threshold for all pictures, looked for between
    the thresholds too. OIS: each picture at its own best threshold. AP: the
    area under precision over recall, where there is a curve.

    Neither does the best F of each picture make the best F of their sum, nor
    does the benchmark look between the thresholds for OIS, so its formula can
    fall below ODS. One threshold for all is a choice of each picture's, too:
    where it is the better one, it counts as OIS.

    Args:
        names: of the pictures.
        counts: what `boundary_counts` gives for each of them.
        thresholds: as passed there. Defaults to `99`.

    Returns:
        `ods` (`threshold`, `recall`, `precision`, `f`), `ois` (`recall`,
        `precision`, `f`), `ap`, `thresholds` (a row for each, as `ods`) and
        `pictures` (a row for each, as `ods` with `picture`, its name).

    Example:

    >>> scores = boundary_scores(["a"], [np.array([[8, 10, 6, 10]])], [0.5])
    >>> scores["ods"]
    {'threshold': 0.5, 'recall': 0.8, 'precision': 0.6, 'f': 0.685...}
    """
    thresholds = spread_thresholds(thresholds)
    if not len(counts):
        raise ValueError("There is no picture to score.")
    # (pictures, thresholds, 4)
    counts = np.stack([np.asarray(each, np.float64) for each in counts])
    if counts.shape != (len(names), len(thresholds), len(COUNTS)):
        raise ValueError(
            "Expected a table of (thresholds, 4) counts for each name: "
            f"{(len(names), len(thresholds), len(COUNTS))}. Received: "
            f"{counts.shape}."
        )
    curve = _recall_precision(counts.sum(0))
    best = _f_measure(*_recall_precision(counts)).argmax(1)
    at_best = counts[np.arange(len(counts)), best].sum(0)
    ods = _best_row(thresholds, *curve)
    ois = _row(*_recall_precision(at_best))
    if ois["f"] < ods["f"]:
        ois = {key: ods[key] for key in ois}
    return {
        "ods": ods,
        "ois": ois,
        "ap": _average_precision(*curve),
        "thresholds": [
            {"threshold": float(threshold), **_row(*point)}
            for threshold, *point in zip(thresholds, *curve, strict=True)
        ],
        "pictures": [
            {"picture": name, **_best_row(thresholds, *_recall_precision(of))}
            for name, of in zip(names, counts, strict=True)
        ],
    }


def evaluate_boundaries(
    pairs: Iterable[tuple[str, np.ndarray, Sequence[np.ndarray]]],
    thresholds: int | Sequence[float] = 99,
    max_distance: float = 0.0075,
    thin: bool = True,
    processes: int | None = None,
    progress=iter,
) -> dict:
    """Runs the benchmark over pictures that come one by one.

    Only a few pictures are in memory at a time.

    Args:
        pairs: `(name, soft map, annotations)` per picture.
        thresholds: as in `boundary_counts`. Defaults to `99`.
        max_distance: as in `boundary_counts`. Defaults to `0.0075`.
        thin: as in `boundary_counts`. Defaults to `True`.
        processes: that count pictures side by side. Defaults to `None`: as
            many as there are processors; `1` stays in this process.
        progress: wraps the pictures, for instance `tqdm`. Defaults to none.

    Returns:
        What `boundary_scores` does.

    Example:

    >>> truth = np.eye(200, dtype=bool)
    >>> pairs = [("a", 0.9 * truth, [truth])]
    >>> evaluate_boundaries(pairs, processes=1)["ods"]["f"]
    1.0
    """
    how = (spread_thresholds(thresholds), max_distance, thin)
    jobs = ((*pair, *how) for pair in pairs)
    processes = processes or os.cpu_count()
    if processes == 1:
        results = (_named_counts(*job) for job in jobs)
    else:
        results = _in_processes(jobs, processes)
    names, counts = [], []
    for name, of_picture in progress(results):
        names.append(name)
        counts.append(of_picture)
    return boundary_scores(names, counts, how[0])


def _named_counts(name, *arguments):
    try:
        return name, boundary_counts(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _in_processes(jobs, processes):
    """Yields names and counts in the jobs' order, reading little ahead."""
    waiting = collections.deque()
    # A fork of a process in which TensorFlow has run may never wake.
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, spawn) as executor:
        for job in jobs:
            waiting.append(executor.submit(_named_counts, *job))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _recall_precision(counts):
    """Recall and precision of counts `(..., 4)`; 0 where nothing is."""
    found, truth, hits, predicted = np.moveaxis(counts, -1, 0)
    return found / np.maximum(truth, 1), hits / np.maximum(predicted, 1)


def _f_measure(recall, precision):
    total = recall + precision
    return 2 * recall * precision / np.where(total == 0, 1, total)


def _row(recall, precision):
    return {
        "recall": float(recall),
        "precision": float(precision),
        "f": float(_f_measure(recall, precision)),
    }


def _best_row(thresholds, recall, precision):
    """The best F on the straight lines between neighbouring thresholds."""
    steps = np.arange(len(thresholds))
    fine = np.linspace(0, 1, _BETWEEN) + steps[:-1, None]
    places = np.concatenate([steps[:1], fine.ravel()])
    table = np.stack([thresholds, recall, precision])
    threshold, *point = [np.interp(places, steps, each) for each in table]
    best = _f_measure(*point).argmax()
    return {
        "threshold": float(threshold[best]),
        **_row(*(each[best] for each in point)),
    }


def _average_precision(recall, precision):
    """Mean precision at recall 0, 0.01, ... 1; none beyond the curve's ends."""
    recall, first = np.unique(recall, return_index=True)
    if len(recall) == 1:
        return 0.0
    levels = np.arange(101) / 100
    at_levels = np.interp(levels, recall, precision[first], left=0, right=0)
    return float(0.01 * at_levels.sum())
