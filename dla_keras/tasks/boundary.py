"""Boundary detection as a row: how surely each pixel lies on a boundary."""

import pathlib
import time
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial

import numpy as np
from keras import ops

from dla_keras.bsds.benchmark import boundary_counts
from dla_keras.bsds.benchmark import boundary_scores
from dla_keras.bsds.benchmark import evaluate_boundaries
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.choices import SAME_PROBABILITY
from dla_keras.choices import spread
from dla_keras.data.boundaries import BoundaryExample
from dla_keras.data.boundaries import EdgesOfLabels
from dla_keras.data.boundaries import GroundTruth
from dla_keras.data.boundaries import open_boundary_split
from dla_keras.data.boundaries import read_soft_map
from dla_keras.data.boundaries import resize_boundaries
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import at_working_size
from dla_keras.data.fitting import fit_of
from dla_keras.inference.prediction_files import PictureResults
from dla_keras.inference.prediction_files import draw_boundaries
from dla_keras.inference.prediction_files import write_soft_map
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.views import Views
from dla_keras.inference.views import averaged
from dla_keras.inference.views import seen_at
from dla_keras.inference.views import viewed
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.report.charts import precision_recall_figure
from dla_keras.report.galleries import boundary_galleries
from dla_keras.report.galleries import boundary_grid
from dla_keras.tasks.losses import boundary_cross_entropy_sums
from dla_keras.tasks.recipes import COMPUTE
from dla_keras.tasks.segmentation import augmentation  # noqa: F401
from dla_keras.tasks.segmentation import fit  # noqa: F401
from dla_keras.tasks.segmentation import mixing  # noqa: F401
from dla_keras.tasks.segmentation import start_from
from dla_keras.tasks.segmentation import working_size

TITLE = "Boundary detection"
# Scores that history.csv and the report show; the first decides what is best.
COLUMNS = {"ods_f": "ODS F", "ois_f": "OIS F", "ap": "AP"}
SPLIT_FLAGS = ("annotators",)
MEASURE_FLAGS = ("thresholds",)
EVALUATE_FLAGS = (*MEASURE_FLAGS, "processes")
LEFT_OUT = ()  # of metrics.json
RESULTS = "boundaries"
BATCH = 1  # pictures


# --- Training: crops are those of segmentation ---


def open_split(
    dataset, split, data_dir=None, beside=None, annotators="consensus"
):
    """Return a split of pictures and annotations; see `data.boundaries`.

    Args:
        dataset: Name of the dataset, or its folder.
        split: Name of the split.
        data_dir: Folder of the data. Defaults to `None`.
        beside: Split of label maps that the same model is for: boundaries are
            the edges of its labels. Defaults to `None`.
        annotators: Rule by which annotators are combined. Defaults to
            `"consensus"`.
    """
    if beside is not None:
        return EdgesOfLabels(beside)
    return open_boundary_split(dataset, split, data_dir, annotators)


def check(train, val, allow=()) -> list:
    """Return no finding: annotations are read when they train."""
    return []


def working_split(split, rule: Fit, scored: bool = False) -> Sequence:
    """Return a split as it trains or is scored at a working size.

    Boundaries are scored there, too: the benchmark allows for a share of the
    diagonal, and at twelve megapixels would compare each boundary pixel with
    thousands.

    Args:
        split: Sequence of `BoundaryExample` with `info`.
        rule: Rule of the working size.
        scored: Whether it is to be scored on. Defaults to `False`.
    """
    return at_working_size(split, rule, resize_boundaries)


def drawing_rule(args, train) -> None:
    """Return `None`: every picture is seen once an epoch."""


def make_model(args, info):
    """Return the network, with its weights to start from.

    Args:
        args: Parsed flags of training.
        info: Facts of the dataset.
    """
    model = DLABoundaryDetector(
        args.variant,
        head_stride=args.head_stride,
        upsampling=args.upsampling,
        node=args.node,
        mean=info.mean,
        std=info.std,
        working_size=working_size(args),
        dtype=COMPUTE[args.compute],
    )
    return start_from(args, model)


def make_teacher(args, info) -> None:
    """Return `None`: labels alone teach."""


def loss_sums(args, train) -> Callable:
    """Return a function: labels, outputs -> loss sum and its weight."""
    return partial(
        boundary_cross_entropy_sums, positive_weight=args.positive_weight
    )


# --- Scores ---


def model_finder(model, args=None) -> Callable:
    """Return a function from example to map around a model in memory."""
    rule = fit_of(model.working_size)
    return soft_boundaries(boundary_predictor(model, rule))


def file_finder(opened, views: Views) -> Callable:
    """Return a function from example to boundary map around a model file.

    Args:
        opened: An opened model file.
        views: Views of an image to average or tile.

    Raises:
        ValueError: If the file cannot do what `views` asks.
    """
    if views.tile:
        raise ValueError("--tile and --overlap are for segmentation only.")
    predict = opened.boundaries
    views.check_scales(opened.name, predict.size)
    predict = viewed(predict, views)
    predict = averaged(predict, views.scales, views.flip)
    return soft_boundaries(seen_at(opened.fit, predict), nms=views.nms)


def soft_boundaries(
    probabilities: Callable[[np.ndarray], np.ndarray],
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    nms: bool = True,
) -> Callable[[BoundaryExample], np.ndarray]:
    """Return a function from example to boundary map.

    Args:
        probabilities: Function: uint8 `(h, w, 3)` -> float32 `(h, w, 1)`.
        scales: Scales to average over. Defaults to `(1.0,)`.
        flip: Whether to average over the mirror image. Defaults to `False`.
        nms: Whether to keep ridges only, as the benchmark's papers do; see
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
    """Return a function that finds an example's map among files.

    Args:
        folder: Folder of maps called as the pictures, which `read_soft_map`
            reads.
        split: Sequence of `BoundaryExample`, each of which needs a map.
        nms: Whether to keep ridges only. Defaults to `False`.

    Raises:
        FileNotFoundError: If pictures have no map; it names them.
        ValueError: If a picture has two maps, or maps are inverted.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    paths = _paths_by_stem(folder)
    missing = [name for name in split.names if name not in paths]
    if missing:
        raise FileNotFoundError(
            f"Every picture needs a boundary map, called as it is: {folder} "
            f"has none for {len(missing)} of {len(split)}, the first: "
            f"{missing[0]}."
        )
    _check_direction(paths, split)

    def find(example):
        soft_map = read_soft_map(paths[example.name])
        if nms:
            soft_map = np.clip(suppress_non_maxima(soft_map), 0, 1)
        return soft_map

    return find


def _paths_by_stem(folder):
    paths = {}
    for path in sorted(folder.iterdir()):
        other = paths.setdefault(path.stem, path)
        if other != path:
            raise ValueError(
                f"Expected one map for each picture in {folder}. Received: "
                f"{other.name} and {path.name}; move one of them elsewhere."
            )
    return paths


def _check_direction(paths, split):
    """Raise `ValueError` if maps are low where people drew boundaries."""
    levels = []
    for example in spread(split, 5):
        soft_map = read_soft_map(paths[example.name])
        drawn = np.any(example.annotations, axis=0)
        if soft_map.shape == drawn.shape and 0 < drawn.sum() < drawn.size:
            levels.append((soft_map[drawn].mean(), soft_map[~drawn].mean()))
    if levels and all(on < off for on, off in levels):
        on, off = np.mean(levels, axis=0)
        raise ValueError(
            "Expected maps in which 1 is a boundary. Received: "
            f"{paths[split.names[0]].parent}, whose maps are {on:.2f} on the "
            f"drawn boundaries and {off:.2f} beside them: they look inverted. "
            "Write 1 - map."
        )


def evaluate(
    find: Callable[[BoundaryExample], np.ndarray],
    split,
    progress: Callable = iter,
    thresholds: int = 99,
    processes: int | None = 1,
) -> dict:
    """Return the benchmark's scores of the maps of a whole split.

    Args:
        find: Function: example -> boundary map `(h, w)`, 0 to 1.
        split: Sequence of `BoundaryExample`.
        progress: Wrapper of the indices, for instance `tqdm`. Defaults to
            none.
        thresholds: Number of thresholds; see `boundary_counts`. Defaults to
            `99`.
        processes: Number of processes; see `evaluate_boundaries`. Defaults to
            `1`.

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
    return _with_f(scores, seconds)


def _with_f(scores, seconds):
    return {
        **scores,
        "ods_f": scores["ods"]["f"],
        "ois_f": scores["ois"]["f"],
        "milliseconds": 1000 * float(np.median(seconds)),
    }


def measure(find, split, indices, thresholds: int = 99):
    """Yield what is counted in each picture, of types that JSON knows.

    So machines can share a split: `summarize` takes the records of all.

    Args:
        find: Function: example -> boundary map `(h, w)`, 0 to 1.
        split: Sequence of `BoundaryExample`.
        indices: Pictures to score.
        thresholds: Number of thresholds; see `boundary_counts`. Defaults to
            `99`.
    """
    for index in indices:
        example = split[index]
        start = time.perf_counter()
        soft_map = find(example)
        seconds = time.perf_counter() - start
        try:
            counts = boundary_counts(soft_map, example.annotations, thresholds)
        except ValueError as error:
            raise ValueError(f"{example.name}: {error}") from error
        counts = counts.tolist()
        yield {"name": example.name, "counts": counts, "seconds": seconds}


def summarize(records: list[dict], info, thresholds: int = 99) -> dict:
    """Return the scores of a split; see `evaluate`.

    Args:
        records: Records of `measure`, in the order of the pictures.
        info: Facts of the dataset.
        thresholds: Number of thresholds of the records. Defaults to `99`.
    """
    names, counts, seconds = (
        [record[key] for record in records]
        for key in ("name", "counts", "seconds")
    )
    return _with_f(boundary_scores(names, counts, thresholds), seconds)


def baselines(train, val) -> dict[str, dict]:
    """Return nothing: every map of one value has the same poor F."""
    return {}


# --- What people see ---


def drawing(find, val) -> Callable:
    """Return a function that draws what a finder finds now."""
    return lambda: boundary_grid(find, val, count=4, width=256)


def figures(find, split, results: dict[str, dict]) -> dict[str, Callable]:
    """Return what saves the pictures beside a report, by file name.

    Args:
        find: Function from example to map.
        split: Sequence of `BoundaryExample`.
        results: Model -> scores, those of `find` last.
    """
    saved = {"precision_recall.png": partial(precision_recall_figure, results)}
    if split[0].image is not None:
        saved["predictions.png"] = boundary_grid(find, split).save
    return saved


def galleries(find, split, scores: dict) -> tuple:
    """Return the worst and the best pictures."""
    return boundary_galleries(find, split, scores["per_picture"])


def cells(scores: dict) -> dict[str, str]:
    """Return the cells of the table of results, by column."""
    return {
        "ODS": f"{scores['ods_f']:.3f}",
        "threshold": f"{scores['ods']['threshold']:.2f}",
        "OIS": f"{scores['ois_f']:.3f}",
        "AP": f"{scores['ap']:.3f}",
    }


# --- Predictions ---


def open_recorded(predictions, truth, nms: bool = False) -> tuple:
    """Return a split of annotations, and what finds maps among files.

    Args:
        predictions: Folder of maps called as the annotations, which
            `read_soft_map` reads.
        truth: Folder of annotations.
        nms: Whether to keep ridges only. Defaults to `False`.

    Raises:
        ValueError: If no annotations are named.
        FileNotFoundError: If a folder or a map is missing.
    """
    if not truth:
        raise ValueError("--predictions need --ground-truth FOLDER.")
    split = GroundTruth(truth)
    return split, read_boundaries(predictions, split, nms)


def facts(classes) -> dict:
    """Return nothing: a map needs no names."""
    return {}


def open_results(output, classes) -> PictureResults:
    """Return where the maps of pictures go, as `predict` writes them."""
    return PictureResults(output, RESULTS, write_soft_map)


def find_in(find, image) -> np.ndarray:
    """Return what a finder finds in one picture: a map."""
    return find(BoundaryExample(image, None, (), ""))


def draw_over(soft_map, classes, below):
    """Return a PIL image, paler, with boundaries in it."""
    return draw_boundaries(below, soft_map)


# --- Exported files: images fit as for segmentation ---


KIND = "boundaries"  # that a file and its model must agree on
FILE_COLUMNS = ()  # the benchmark takes longer than files are compared in
COMPRESSED = ()
MIN_AGREEMENT = {}


def file_output(head: str | None) -> tuple[str, ...]:
    """Return the name of the output that a file has, whatever its head."""
    return ("boundary",)


def file_outputs(model, outputs) -> dict:
    """Return what a file can give of a model's outputs, in its graph.

    Args:
        model: Model for boundaries.
        outputs: Outputs of the model.
    """
    import tensorflow as tf

    if isinstance(outputs, dict):
        outputs = outputs["boundary"]
    return {"boundary": tf.sigmoid(outputs)[..., 0]}


def file_scores(model, outputs, probabilities: bool):
    """Return probabilities, which a file's are compared with."""
    if isinstance(outputs, dict):
        outputs = outputs["boundary"]
    return ops.sigmoid(ops.cast(outputs, "float32"))


def file_finding(model, scores, size, rule: Fit) -> Callable:
    """Return a function from picture to its boundary map, of scores.

    Args:
        model: Model for boundaries.
        scores: Function from an image to `file_scores`.
        size: Height and width that images are brought to; `None` for their
            own.
        rule: Rule by which that is done.
    """
    return Predictor(scores, size, rule)


def compared(opened) -> dict[str, Callable]:
    """Return a function from picture to what agreement is measured on."""
    return {KIND: opened.boundaries}


def same(expected, found) -> np.ndarray:
    """Return where probabilities are the same, or nearly so."""
    return np.abs(expected - found) <= SAME_PROBABILITY


def sameness(outputs, class_names) -> str | None:
    """Return what a model says of every pixel, `None` if it says more."""
    low = min(output.min() for output in outputs)
    high = max(output.max() for output in outputs)
    if high - low > SAME_PROBABILITY:
        return None
    return f"says a probability of {low:.2f} to {high:.2f} everywhere"
