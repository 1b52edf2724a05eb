"""Classification as a row: one class for a picture, and the next likely."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dla_keras.choices import parse_size
from dla_keras.data.augmentation import Mixing
from dla_keras.data.augmentation import RandomResizedCrop
from dla_keras.data.checks import broken_pictures
from dla_keras.data.checks import check_classes
from dla_keras.data.classification import open_classification_split
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import central_crop
from dla_keras.inference.model_files import CROP_FRACTION
from dla_keras.inference.prediction_files import TableResults
from dla_keras.inference.predictor import model_logits
from dla_keras.inference.predictor import softmax
from dla_keras.inference.views import Views
from dla_keras.models.classifier import DLAClassifier
from dla_keras.report.charts import confusion_figure
from dla_keras.report.galleries import classification_galleries
from dla_keras.tables import score_text
from dla_keras.tasks.losses import class_cross_entropy_sums
from dla_keras.tasks.recipes import COMPUTE
from dla_keras.tasks.scores import class_scores
from dla_keras.tasks.segmentation import same  # noqa: F401
from dla_keras.tasks.segmentation import sameness  # noqa: F401
from dla_keras.tasks.segmentation import start_from

TITLE = "Classification"
# Scores that history.csv and the report show; the first decides what is best.
COLUMNS = {"top1": "top-1", "top5": "top-5"}
SPLIT_FLAGS = ()
MEASURE_FLAGS = EVALUATE_FLAGS = ()
LEFT_OUT = ("per_picture",)  # of metrics.json: ImageNet has 50,000
RESULTS = "predictions.csv"
BATCH = 32  # pictures
# Of `class_scores`: IoU is of pixels.
REPORTED = (
    "per_class_precision",
    "per_class_recall",
    "per_class_f1",
    "mean_accuracy",
    "mean_f1",
)
_TOP = 5


# --- Training ---


def open_split(dataset, split, data_dir=None, beside=None):
    """Return a split of labelled pictures; see `data.classification`."""
    return open_classification_split(dataset, split, data_dir)


def check(train, val, allow=()) -> list:
    """Return what is wrong with classes and pictures; see `data.checks`."""
    broken = broken_pictures(train, "train") + broken_pictures(val, "val")
    return broken + check_classes(train, val, allow)


def working_split(split, rule: Fit, scored: bool = False):
    """Return the split itself: pictures are cropped, whatever their size."""
    return split


def augmentation(args) -> Callable:
    """Return the random crops that training sees."""
    return RandomResizedCrop(
        parse_size(args.size),
        tuple(args.area),
        tuple(args.aspect),
        args.flip,
        args.jitter,
    )


def drawing_rule(args, train) -> None:
    """Return `None`: every picture is seen once an epoch."""


def mixing(args, info) -> Callable | None:
    """Return what mixes pairs of pictures, `None` where no flag asks for it."""
    if args.mixup or args.cutmix:
        return Mixing(info.num_classes, args.mixup, args.cutmix)
    return None


def make_model(args, info):
    """Return the network, with its weights to start from.

    Args:
        args: Parsed flags of training.
        info: Facts of the dataset.
    """
    model = DLAClassifier(
        args.variant,
        info.num_classes,
        classifier_activation=None,  # logits
        dropout_rate=args.dropout,
        drop_path_rate=args.drop_path,
        class_names=info.class_names,
        dtype=COMPUTE[args.compute],
    )
    return start_from(args, model)


def make_teacher(args, info) -> None:
    """Return `None`: labels alone teach."""


def loss_sums(args, train) -> Callable:
    """Return a function: labels, logits -> loss sum and its weight."""
    return partial(
        class_cross_entropy_sums, label_smoothing=args.label_smoothing
    )


# --- Scores ---


@dataclass(frozen=True)
class ClassFinder:
    """A classifier on central crops of pictures.

    Args:
        logits: Function: uint8 pictures `(n, *size, 3)` -> `(n, classes)`.
        size: Height and width of the crops, in pixels.
        crop_fraction: Share of an image that is kept. Defaults to `0.875`.
    """

    logits: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int]
    crop_fraction: float = CROP_FRACTION

    def __call__(self, images) -> np.ndarray:
        """Return the logits of pictures of any size: `(n, classes)`."""
        crops = [central_crop(i, self.size, self.crop_fraction) for i in images]
        return np.asarray(self.logits(np.stack(crops)))


def model_finder(model, args) -> ClassFinder:
    """Return a finder around a model in memory, on the crops of `args`."""
    return ClassFinder(
        model_logits(model), parse_size(args.size), args.crop_fraction
    )


def file_finder(opened, views: Views) -> ClassFinder:
    """Return a finder around a model file.

    Args:
        opened: An opened model file.
        views: Views of an image to average or tile.

    Raises:
        ValueError: If the file cannot do what `views` asks.
    """
    if views.several or views.tile:
        raise ValueError(
            "--scales, --flip and --tile are for tasks that score pixels. "
            f"{opened.name} names one class a picture: leave them out."
        )
    if views.size and opened.size not in (None, views.size):
        own, asked = ("x".join(map(str, s)) for s in (opened.size, views.size))
        raise ValueError(
            f"Expected --size {own}, the only one that {opened.name} takes. "
            f"Received: {asked}; leave --size out, or use the .keras file."
        )
    return ClassFinder(
        opened.logits,
        views.size or opened.crop_size,
        views.crop_fraction or opened.crop_fraction,
    )


def evaluate(find: ClassFinder, split, progress: Callable = iter) -> dict:
    """Return the scores of a classifier over a whole split.

    Args:
        find: Function: uint8 pictures -> logits `(n, classes)`.
        split: Sequence of labelled pictures with `info`.
        progress: Wrapper of the indices, for instance `tqdm`. Defaults to
            none.

    Returns:
        `top1`, `top5`, precision, recall and F1 by class and their means (see
        `class_scores`), `confusion` (true classes in rows), `class_names`,
        `pictures`, `milliseconds`: the mean time of one picture, and
        `per_picture`: rows of `name`, `prediction` and the `probability` of
        the true class.

    Raises:
        ValueError: If the split is empty.
    """
    records = measure(find, split, progress(range(len(split))))
    return summarize(list(records), split.info)


def measure(find: ClassFinder, split, indices):
    """Yield what is found in each picture, of types that JSON knows.

    So machines can share a split: `summarize` takes the records of all.

    Args:
        find: Function: uint8 pictures -> logits `(n, classes)`.
        split: Sequence of labelled pictures with `info`.
        indices: Pictures to score.
    """
    names, indices = split.info.class_names, iter(indices)
    while chosen := list(itertools.islice(indices, BATCH)):
        pictures = [split[index] for index in chosen]
        start = time.perf_counter()
        logits = find([picture.image for picture in pictures])
        seconds = (time.perf_counter() - start) / len(pictures)
        if logits.shape[1] != len(names):
            raise ValueError(
                f"Expected a classifier of the {len(names)} classes of "
                f"{split.info.name}. Received: one of {logits.shape[1]}; pass "
                "the --dataset that it was trained on."
            )
        order = np.argsort(-logits, axis=-1)
        for picture, found, shares in zip(
            pictures, order, softmax(logits), strict=True
        ):
            yield {
                "name": picture.name,
                "label": int(picture.label),
                "prediction": int(found[0]),
                "probability": float(shares[picture.label]),
                "near": bool(picture.label in found[:_TOP]),
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
    names, count = info.class_names, len(records)
    confusion = np.zeros((len(names), len(names)), np.int64)
    for record in records:
        confusion[record["label"], record["prediction"]] += 1
    scores = class_scores(confusion, names)
    shown = ("name", "prediction", "probability")
    return {
        "top1": float(np.trace(confusion) / count),
        "top5": sum(record["near"] for record in records) / count,
        **{key: scores[key] for key in REPORTED},
        "confusion": confusion.tolist(),
        "class_names": list(names),
        "pictures": count,
        "milliseconds": 1000 * sum(r["seconds"] for r in records) / count,
        "per_picture": [{k: record[k] for k in shown} for record in records],
    }


def baselines(train, val) -> dict[str, dict]:
    """Return nothing: the share of the commonest class tells too little."""
    return {}


# --- What people see ---


def drawing(find, val) -> None:
    """Return `None`: there is nothing to draw on the way."""


def figures(find, split, results: dict[str, dict]) -> dict[str, Callable]:
    """Return what saves the pictures beside a report, by file name.

    Args:
        find: A `ClassFinder`.
        split: Sequence of labelled pictures with `info`.
        results: Model -> scores, those of `find` last.
    """
    *_, scores = results.values()
    drawn = partial(
        confusion_figure, scores["confusion"], scores["class_names"]
    )
    return {"confusion.png": drawn}


def galleries(find, split, scores: dict) -> tuple:
    """Return the worst and the best pictures."""
    return classification_galleries(split, scores["per_picture"])


def cells(scores: dict) -> dict[str, str]:
    """Return the cells of the table of results, by column."""
    columns = {
        **COLUMNS,
        "mean_accuracy": "mean accuracy",
        "mean_f1": "mean F1",
    }
    return {name: score_text(scores[key]) for key, name in columns.items()}


# --- Predictions ---


def open_recorded(predictions, truth, nms=None):
    """Raise `ValueError`: classes that others found are not scored."""
    raise ValueError("--predictions is for --task boundary: it takes maps.")


def facts(classes) -> dict:
    """Return what `predictions.json` says of the classes."""
    return {"names": classes.names}


def open_results(output, classes) -> TableResults:
    """Return where the classes of pictures go, as `predict` writes them."""
    return TableResults(output, RESULTS, partial(_top_classes, classes.names))


def _top_classes(names, probabilities) -> dict[str, object]:
    """Return the likeliest classes and how likely they are, by column."""
    row = {}
    for rank, index in enumerate(np.argsort(-probabilities)[:_TOP], start=1):
        row[f"class_{rank}"] = names[index] if names else int(index)
        row[f"probability_{rank}"] = f"{probabilities[index]:.4f}"
    return row


def find_in(find: ClassFinder, image) -> np.ndarray:
    """Return what a finder finds in one picture: probabilities."""
    return softmax(find([image]))[0]


draw_over = None  # there is no place in the picture to show


# --- Exported files ---


def fit(
    image, size: tuple[int, int], crop_fraction: float, rule: Fit
) -> np.ndarray:
    """Return the crop that a file sees of an image."""
    return central_crop(image, size, crop_fraction)


KIND = "classes"  # that a file and its model must agree on
FILE_COLUMNS = tuple(COLUMNS)
COMPRESSED = ()
MIN_AGREEMENT = {}


def file_output(head: str | None) -> tuple[str, ...]:
    """Return the name of the output that a file has, whatever its head."""
    return ("probabilities",)


def file_outputs(model, outputs) -> dict:
    """Return what a file can give of a model's outputs, in its graph.

    Args:
        model: Model for classification.
        outputs: Outputs of the model.
    """
    import tensorflow as tf

    logits = model.classifier_activation is None
    return {"probabilities": tf.nn.softmax(outputs) if logits else outputs}


def file_scores(model, outputs, probabilities: bool):
    """Return probabilities, which a file's are compared with."""
    return file_outputs(model, outputs)["probabilities"]


def file_finding(model, scores, size, rule: Fit) -> Callable:
    """Return a function from crop to the likeliest class, `(1,)`.

    Args:
        model: Model for classification.
        scores: Function from a crop to `file_scores`.
        size: Height and width of the crops, which they have.
        rule: Rule of other tasks.
    """
    return lambda crop: top_class(scores(crop))


def compared(opened) -> dict[str, Callable]:
    """Return a function from crop to the likeliest class, `(1,)`."""
    return {KIND: lambda crop: top_class(opened.logits(crop[None])[0])}


def top_class(scores) -> np.ndarray:
    """Return the likeliest class of one image, `(1,)`.

    Args:
        scores: Probabilities or logits, `(num_classes,)`.
    """
    return np.argmax(np.asarray(scores), keepdims=True)
