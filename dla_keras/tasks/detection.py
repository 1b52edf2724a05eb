"""Detection as a row: the boxes of a picture's objects."""

import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from keras import ops

from dla_keras.choices import parse_size
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import move_boxes
from dla_keras.data.boxes import check_boxes
from dla_keras.data.boxes import open_boxes
from dla_keras.data.boxes import resize_boxes
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import at_working_size
from dla_keras.data.fitting import fit_of
from dla_keras.inference.prediction_files import BoxResults
from dla_keras.inference.prediction_files import Found
from dla_keras.inference.prediction_files import draw_boxes
from dla_keras.inference.predictor import BoxPredictor
from dla_keras.inference.predictor import box_predictor
from dla_keras.inference.predictor import decode_maps
from dla_keras.inference.tflite_facts import BOXES
from dla_keras.inference.tflite_facts import MAPS
from dla_keras.inference.views import Views
from dla_keras.models.centers import center_sums
from dla_keras.models.centers import decode
from dla_keras.models.detector import DLADetector
from dla_keras.report.charts import precision_recall_figure
from dla_keras.report.galleries import box_galleries
from dla_keras.report.galleries import box_grid
from dla_keras.tables import score_text
from dla_keras.tasks.boundary import drawing_rule  # noqa: F401
from dla_keras.tasks.boundary import make_teacher  # noqa: F401
from dla_keras.tasks.recipes import COMPUTE
from dla_keras.tasks.scores import box_scores
from dla_keras.tasks.scores import count_matches
from dla_keras.tasks.scores import overlaps
from dla_keras.tasks.segmentation import fit  # noqa: F401
from dla_keras.tasks.segmentation import mixing  # noqa: F401
from dla_keras.tasks.segmentation import start_from
from dla_keras.tasks.segmentation import working_size

TITLE = "Detection"
# Scores that history.csv and the report show; the first decides what is best.
COLUMNS = {"ap": "AP", "ap50": "AP50"}
SPLIT_FLAGS = ()
MEASURE_FLAGS = EVALUATE_FLAGS = ()
LEFT_OUT = ("per_picture",)  # of metrics.json
RESULTS = "detections.json"
BATCH = 1  # pictures
SHOWN = 0.3  # least score of what is drawn


# --- Training ---


def open_split(dataset, split, data_dir=None, beside=None):
    """Return a split of pictures and boxes; see `data.boxes`."""
    return open_boxes(dataset, split, data_dir)


def check(train, val, allow=()) -> list:
    """Return what is wrong with the boxes; see `data.boxes`."""
    return check_boxes(train, val, allow)


def working_split(split, rule: Fit, scored: bool = False) -> Sequence:
    """Return a split as it trains or is scored at a working size.

    Boxes come back in the pictures' own pixels, and are scored there.

    Args:
        split: Sequence of `BoxExample` with `info`.
        rule: Rule of the working size.
        scored: Whether it is to be scored on. Defaults to `False`.
    """
    return split if scored else at_working_size(split, rule, resize_boxes)


def augmentation(args) -> Callable:
    """Return the random crops that training sees."""
    return Augmentation(
        parse_size(args.size),
        tuple(args.scale),
        args.rotation,
        jitter=args.jitter,
        move=move_boxes,
    )


def make_model(args, info):
    """Return the network, with its weights to start from.

    Args:
        args: Parsed flags of training.
        info: Facts of the dataset.
    """
    model = DLADetector(
        args.variant,
        info.num_classes,
        head_stride=args.head_stride,
        head_filters=args.head_filters,
        upsampling=args.upsampling,
        node=args.node,
        mean=info.mean,
        std=info.std,
        class_names=info.class_names,
        palette=info.palette,
        working_size=working_size(args),
        dtype=COMPUTE[args.compute],
    )
    return start_from(args, model)


def loss_sums(args, train) -> Callable:
    """Return a function: boxes, maps -> loss sum and number of objects."""
    return partial(center_sums, stride=args.head_stride)


# --- Scores ---


def model_finder(model, args=None) -> Callable:
    """Return a function from picture to `Found` around a model in memory."""
    return box_predictor(model, fit_of(model.working_size))


def file_finder(opened, views: Views) -> Callable:
    """Return a function from picture to `Found` around a model file.

    Args:
        opened: An opened model file.
        views: Views of an image.

    Raises:
        ValueError: If the file cannot do what `views` asks.
    """
    if views.tile or views.scales != (1.0,):
        raise ValueError(
            "--scales and --tile are for tasks that score pixels. "
            f"{opened.name} finds boxes: leave them out (--flip works)."
        )
    return replace(opened.boxes, flip=views.flip)


def evaluate(
    find: Callable[[np.ndarray], Found], split, progress: Callable = iter
) -> dict:
    """Return the scores of boxes over a split, in the pictures' own pixels.

    Args:
        find: Function: uint8 picture `(h, w, 3)` -> `Found`.
        split: Sequence of `BoxExample` with `info`.
        progress: Wrapper of the indices, for instance `tqdm`. Defaults to
            none.

    Returns:
        What `box_scores` does, `class_names`, `objects` (their number by
        class), `pictures`, `milliseconds`: the median time of one picture,
        and `per_picture`: for each, in order, `name`, `f`, and the numbers of
        `hits`, `missed` and `wrong` boxes at the threshold of `best`.

    Raises:
        ValueError: If the split is empty.
    """
    records = measure(find, split, progress(range(len(split))))
    return summarize(list(records), split.info)


def measure(find, split, indices):
    """Yield what is found in each picture, of types that JSON knows.

    So machines can share a split: `summarize` takes the records of all.

    Args:
        find: Function: uint8 picture `(h, w, 3)` -> `Found`.
        split: Sequence of `BoxExample` with `info`.
        indices: Pictures to score.
    """
    for index in indices:
        example = split[index]
        start = time.perf_counter()
        found = find(example.image)
        seconds = time.perf_counter() - start
        columns = found.classes, found.scores, *found.boxes.T
        yield {
            "name": example.name,
            "truth": example.label.tolist(),
            "found": np.stack(columns, axis=1).tolist(),
            "seconds": seconds,
        }


def summarize(records: list[dict], info) -> dict:
    """Return the scores of a split; see `evaluate`.

    Args:
        records: Records of `measure`, in the order of the pictures.
        info: Facts of the dataset.

    Raises:
        ValueError: If there is no record.
    """
    if not records:
        raise ValueError("There is no picture to evaluate on.")
    names = list(info.class_names)
    scores = box_scores(records, names)
    counts = Counter(int(row[0]) for each in records for row in each["truth"])
    least = scores["best"]["threshold"]
    return {
        **scores,
        "class_names": names,
        "objects": {name: counts[i] for i, name in enumerate(names)},
        "pictures": len(records),
        "milliseconds": 1000
        * float(np.median([record["seconds"] for record in records])),
        "per_picture": [_picture_scores(each, least) for each in records],
    }


def _picture_scores(record, least):
    counts = count_matches(record["truth"], record["found"], least)
    boxes = 2 * counts["hits"] + counts["missed"] + counts["wrong"]
    f = 2 * counts["hits"] / boxes if boxes else None
    return {"name": record["name"], "f": f, "threshold": least, **counts}


def baselines(train, val) -> dict[str, dict]:
    """Return nothing: without a look at the picture, AP is about 0."""
    return {}


# --- What people see ---


def drawing(find, val) -> Callable:
    """Return a function that draws what a finder finds now."""
    return lambda: box_grid(find, val, SHOWN, count=4, width=256)


def figures(find, split, results: dict[str, dict]) -> dict[str, Callable]:
    """Return what saves the pictures beside a report, by file name.

    Args:
        find: Function from picture to `Found`.
        split: Sequence of `BoxExample` with `info`.
        results: Model -> scores, those of `find` last.
    """
    *_, scores = results.values()
    least = scores["best"]["threshold"]
    return {
        "precision_recall.png": partial(precision_recall_figure, results),
        "predictions.png": box_grid(find, split, least).save,
    }


def galleries(find, split, scores: dict) -> tuple:
    """Return the worst and the best pictures."""
    return box_galleries(find, split, scores["per_picture"])


def cells(scores: dict) -> dict[str, str]:
    """Return the cells of the table of results, by column."""
    columns = {**COLUMNS, "ap75": "AP75", "ar_100": "AR"}
    best = scores["best"]
    return {
        **{name: score_text(scores[key]) for key, name in columns.items()},
        "best F": f"{best['f']:.3f}",
        "at score": f"{best['threshold']:.2f}",
    }


# --- Predictions ---


def open_recorded(predictions, truth, nms=None):
    """Raise `ValueError`: boxes of others are not scored."""
    raise ValueError("--predictions is for --task boundary: it takes maps.")


def facts(classes) -> dict:
    """Return what `predictions.json` says of the classes."""
    return {"names": classes.names}


def open_results(output, classes) -> BoxResults:
    """Return where the boxes of pictures go, as `predict` writes them."""
    return BoxResults(output, RESULTS)


def find_in(find, image) -> Found:
    """Return what a finder finds in one picture."""
    return find(image)


def draw_over(found: Found, classes, below):
    """Return a PIL image with the sure boxes in it."""
    return draw_boxes(below, found.above(SHOWN), classes.palette, classes.names)


# --- Exported files: images fit as for segmentation ---


KIND = "boxes"  # that a file and its model must agree on
FILE_COLUMNS = tuple(COLUMNS)
COMPRESSED = ("ap", "ap50", "per_class_ap", "best")
# Measured on BCCD after 30 minutes of training, on two sets of 20 pictures: 1
# in float32 and float16, 0.978 and 0.983 with int8 weights alone, 0.920 and
# 0.945 in int8, 0.985 and 0.995 in int16x8.
MIN_AGREEMENT = {"float32": 0.99, "float16": 0.98, "int16x8": 0.95}
SURE = 0.1  # least score of boxes that must agree
SAME_OVERLAP, SAME_SCORE = 0.9, 0.05


def file_output(head: str | None) -> tuple[str, ...]:
    """Return the names of the outputs that a file with some head has."""
    return MAPS if head == "heads" else BOXES


def file_outputs(model, outputs) -> dict:
    """Return what a file can give of a model's outputs, in its graph.

    Args:
        model: Model for detection.
        outputs: Outputs of the model.
    """
    maps = {name: ops.cast(outputs[name], "float32") for name in MAPS}
    found = decode(maps)
    _, height, width, _ = ops.shape(maps["heat"])
    sides = ops.cast(ops.stack([height, width, height, width]), "float32")
    count = ops.sum(ops.cast(found["scores"] > 0, "float32"), axis=-1)
    boxes = (
        ops.clip(found["boxes"] / sides, 0.0, 1.0),
        ops.cast(found["classes"], "float32"),  # as MediaPipe takes them
        found["scores"],
        count,
    )
    return {**maps, **dict(zip(BOXES, boxes, strict=True))}


def file_scores(model, outputs, probabilities: bool):
    """Return a network's maps, heat, size and offset on the last axis."""
    maps = [ops.cast(outputs[name], "float32") for name in MAPS]
    return ops.concatenate(maps, axis=-1)


def file_finding(model, scores, size, rule: Fit) -> Callable:
    """Return a function from picture to the boxes in it, of maps.

    Args:
        model: Model for detection.
        scores: Function from an image to `file_scores`.
        size: Height and width that images are brought to; `None` for their
            own.
        rule: Rule by which that is done.
    """
    run = lambda image, flip: decode_maps(scores(image), model.head_stride)
    return BoxPredictor(run, size, rule)


def compared(opened) -> dict[str, Callable]:
    """Return a function from picture to what agreement is measured on."""
    return {KIND: opened.boxes}


def same(expected: Found, found: Found) -> np.ndarray:
    """Return which of the sure boxes of both are in the other one too.

    Boxes are the same whose classes are, which overlap by 0.9 (IoU) and whose
    scores differ by at most 0.05; each is taken once, the surest first. A
    box's partner may be less sure than it must be itself.

    Args:
        expected: Boxes that count as right.
        found: Boxes to judge.

    Returns:
        A bool for each box of a score of at least 0.1, of both; numbers that
        are none where those of `found` are not finite.
    """
    if not np.isfinite(found.scores).all() & np.isfinite(found.boxes).all():
        return np.full(1, np.nan)
    alike = overlaps(expected.boxes, found.boxes) >= SAME_OVERLAP
    alike &= expected.classes[:, None] == found.classes
    apart = np.abs(expected.scores[:, None] - found.scores)
    alike &= apart <= SAME_SCORE
    taken = np.zeros(len(found.scores), bool)
    matched = np.zeros(len(expected.scores), bool)
    for index in np.argsort(-expected.scores, kind="stable"):
        free = np.flatnonzero(alike[index] & ~taken)
        if len(free):
            partner = free[np.argmin(apart[index, free])]
            matched[index] = taken[partner] = True
    sure = matched[expected.scores >= SURE], taken[found.scores >= SURE]
    return np.concatenate(sure)


def sameness(outputs: Sequence[Found], class_names) -> str | None:
    """Return what a model says of every picture, `None` if it says more."""
    if any(len(found.above(SURE).scores) for found in outputs):
        return None
    return f"finds no box of a score of {SURE} or more"
