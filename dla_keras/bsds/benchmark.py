"""The BSDS500 boundary benchmark: precision, recall, ODS, OIS and AP.

It turns soft boundary maps and the annotators' boundaries into the figures that
papers report (Arbelaez et al., PAMI 2011). They agree with the authors' MATLAB
code to 0.002.
"""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.bsds.matching import BoundaryMatcher
from dla_keras.bsds.thinning import thin as thinned

# Columns of a table of counts, one row per threshold.
COUNTS = ("found_truth", "truth", "hits", "predicted")

_BETWEEN = 100  # points between two thresholds at which the best F is sought


def spread_thresholds(thresholds: int | Sequence[float]) -> np.ndarray:
    """Return thresholds, evenly spread between 0 and 1 if given a number.

    Example:

    >>> spread_thresholds(4)
    array([0.2, 0.4, 0.6, 0.8])
    """
    if isinstance(thresholds, int):
        # With the authors' formula, rounding included: their 1/3 is just above
        # 85 / 255, so the many pixels of 85 in an 8-bit map are no boundary.
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
    """Return the counts of one image for the benchmark, for each threshold.

    Args:
        soft_map: `(height, width)`, from 0 (no boundary) to 1.
        annotations: Boolean `(height, width)` per annotator.
        thresholds: Number of thresholds, evenly spread, or their values. A
            pixel at the threshold counts as boundary. Defaults to `99`.
        max_distance: Largest distance of a pixel from its partner, as a share
            of the diagonal. Defaults to `0.0075`.
        thin: Whether each thresholded map is thinned to lines. Defaults to
            `True`.

    Returns:
        int64 `(thresholds, 4)`, columns as in `COUNTS`: the annotators'
        boundary pixels that were found, and all of them; predicted pixels
        that match any annotator, and all of them.

    Raises:
        ValueError: If the maps differ in size, or a value is out of range.

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
        # Masks are nested, so masks of equal size are equal: hard maps, and
        # empty ones, are matched once.
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
        hits |= matched  # a pixel may match any annotator
        found += found_here.sum()
        truth += matcher.truth.sum()
    return found, truth, hits.sum(), prediction.sum()


def boundary_scores(
    names: Sequence[str],
    counts: Sequence[np.ndarray],
    thresholds: int | Sequence[float] = 99,
) -> dict:
    """Return the benchmark's summaries of the counts of all images.

    ODS is the best F with one threshold for all images, sought between the
    thresholds too. OIS takes each image at its own best threshold. AP is the
    area under precision over recall, where there is a curve.

    By the benchmark's formula OIS can fall below ODS, on few images: their best
    F do not make the best F of their sum, and it does not look between the
    thresholds.

    Args:
        names: Names of the images.
        counts: Counts of each image, from `boundary_counts`.
        thresholds: Thresholds of the counts, or their number. Defaults to
            `99`.

    Returns:
        `ods` (`threshold`, `recall`, `precision`, `f`), `ois` (`recall`,
        `precision`, `f`), `ap`, `thresholds` (a row for each, as `ods`) and
        `per_picture` (a row for each, as `ods` with `picture`, its name), and
        the number of `pictures`.

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
    return {
        "ods": _best_row(thresholds, *curve),
        "ois": _row(*_recall_precision(at_best)),
        "ap": _average_precision(*curve),
        "thresholds": [
            {"threshold": float(threshold), **_row(*point)}
            for threshold, *point in zip(thresholds, *curve, strict=True)
        ],
        "pictures": len(names),
        "per_picture": [
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
    """Run the benchmark over images that come one by one.

    Only a few images are in memory at a time.

    Args:
        pairs: `(name, soft map, annotations)` per image.
        thresholds: Number of thresholds, or their values. Defaults to `99`.
        max_distance: Largest distance of a pixel from its partner, as a share
            of the diagonal. Defaults to `0.0075`.
        thin: Whether each thresholded map is thinned to lines. Defaults to
            `True`.
        processes: Number of processes to count with; `1` stays in this one.
            Defaults to `None`: one per processor.
        progress: Wrapper of the images, for instance `tqdm`. Defaults to none.

    Returns:
        The summaries of `boundary_scores`.

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
    """Yield names and counts in the jobs' order, reading little ahead."""
    waiting = collections.deque()
    # A fork of a process in which TensorFlow has run may hang.
    spawn = multiprocessing.get_context("spawn")
    executor = concurrent.futures.ProcessPoolExecutor(
        processes,
        spawn,
        # Ctrl-C reaches all of them; this one speaks of it.
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        for job in jobs:
            waiting.append(executor.submit(_named_counts, *job))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _recall_precision(counts):
    """Return recall and precision of counts `(..., 4)`; 0 for none of any."""
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
    """Return the best F on the straight lines between thresholds."""
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
    """Return the mean precision at recall 0, 0.01, ... 1.

    Beyond the ends of the curve it counts as 0.
    """
    recall, first = np.unique(recall, return_index=True)
    if len(recall) == 1:
        return 0.0
    levels = np.arange(101) / 100
    at_levels = np.interp(levels, recall, precision[first], left=0, right=0)
    return float(0.01 * at_levels.sum())
