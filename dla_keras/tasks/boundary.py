"""The benchmark on a split: of a network, or of any detector's maps."""

import pathlib
import time
from collections.abc import Callable

import numpy as np

from dla_keras.bsds.benchmark import evaluate_boundaries
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.data.boundaries import BoundaryExample
from dla_keras.data.boundaries import read_soft_map
from dla_keras.inference.multiscale import averaged


def soft_boundaries(
    probabilities: Callable[[np.ndarray], np.ndarray],
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    nms: bool = True,
) -> Callable[[np.ndarray], np.ndarray]:
    """What finds a network's boundaries in a picture.

    Args:
        probabilities: uint8 `(h, w, 3)` -> float32 `(h, w, 1)`.
        scales: to average over. Defaults to `(1.0,)`.
        flip: whether to average over the mirror image. Defaults to `False`.
        nms: whether to keep ridges only, as the benchmark's papers do; see
            `suppress_non_maxima`. Defaults to `True`.

    Returns:
        A function of a `BoundaryExample` that gives its map, float32
        `(h, w)`, 0 to 1.
    """
    views = averaged(probabilities, scales, flip)

    def find(example):
        soft_map = views(example.image)[..., 0]
        if nms:
            soft_map = suppress_non_maxima(soft_map)
        return np.clip(soft_map, 0, 1)

    return find


def read_boundaries(folder, split, nms: bool = False) -> Callable:
    """What finds the map of a picture among files.

    Args:
        folder: of maps called as the pictures, which `read_soft_map` reads.
        split: a sequence of `BoundaryExample`, every one of which needs one.
        nms: whether to keep their ridges only. Defaults to `False`.

    Returns:
        As `soft_boundaries` does.

    Raises:
        FileNotFoundError: naming the pictures without a map.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    paths = {path.stem: path for path in sorted(folder.iterdir())}
    missing = [name for name in split.names if name not in paths]
    if missing:
        raise FileNotFoundError(
            f"Every picture needs a boundary map, called as it is: {folder} "
            f"has none for {len(missing)} of {len(split)}, the first: "
            f"{missing[0]}."
        )

    def find(example):
        soft_map = read_soft_map(paths[example.name])
        if nms:
            soft_map = np.clip(suppress_non_maxima(soft_map), 0, 1)
        return soft_map

    return find


def evaluate_boundary_split(
    find: Callable[[BoundaryExample], np.ndarray],
    split,
    thresholds: int = 99,
    processes: int | None = 1,
    progress=iter,
) -> dict:
    """The benchmark on the maps of a whole split.

    Args:
        find: example -> boundary map `(h, w)`, 0 to 1.
        split: a sequence of `BoundaryExample`.
        thresholds: as in `boundary_counts`. Defaults to `99`.
        processes: as in `evaluate_boundaries`. Defaults to `1`.
        progress: wraps the indices, for instance `tqdm`. Defaults to none.

    Returns:
        What `boundary_scores` does, `ods_f`, `ois_f` (their F alone), and
        `milliseconds`: the median time of finding a map.
    """
    seconds = []

    def pairs():
        for index in progress(range(len(split))):
            example = split[index]
            start = time.perf_counter()
            soft_map = find(example)
            seconds.append(time.perf_counter() - start)
            yield example.name, soft_map, example.annotations

    scores = evaluate_boundaries(pairs(), thresholds, processes=processes)
    return {
        **scores,
        "ods_f": scores["ods"]["f"],
        "ois_f": scores["ois"]["f"],
        "milliseconds": 1000 * float(np.median(seconds)),
    }
