"""Files beside the Keras model that they came from: one row for each."""

import dataclasses
import gzip
import pathlib
import time
import zlib

import numpy as np

from dla_keras.inference.predictor import Predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pictures import spread
from dla_keras.lite.measure.agreement import Agreement
from dla_keras.lite.measure.agreement import predictor_at
from dla_keras.lite.measure.cost import Cost
from dla_keras.lite.measure.cost import measure_cost
from dla_keras.tasks.confusion import confusion_matrix
from dla_keras.tasks.confusion import segmentation_scores

# Of scoring one file. What is slower sees fewer pictures.
SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Row:
    """One file of the table.

    Args:
        name: of the file.
        path: of it; `None` if it was refused, as it agreed too little.
        megabytes: of it, 10**6 bytes.
        gzipped: likewise, as it would be downloaded.
        agreement: what is compared -> how it agrees with Keras on the
            pictures of the verification. Defaults to none: Keras itself.
        costs: by threads. Defaults to none.
        scores: mIoU, IoU by class and pixel accuracy. Defaults to `None`.
        of_keras: the Keras model's on the same pictures. Defaults to `None`.
        same: index of a picture that was scored -> share of its pixels with
            Keras' class. Defaults to none.
        milliseconds: of Keras itself, a picture. Defaults to `None`.
    """

    name: str
    path: str | None
    megabytes: float
    gzipped: float
    agreement: dict[str, Agreement] = dataclasses.field(default_factory=dict)
    costs: tuple[Cost, ...] = ()
    scores: dict | None = None
    of_keras: dict | None = None
    same: dict[int, float] = dataclasses.field(default_factory=dict)
    milliseconds: float | None = None

    @property
    def loss(self) -> float | None:
        """Points (hundredths) of mIoU that Keras has more."""
        if self.of_keras is None:
            return None
        return 100 * (self.of_keras["miou"] - self.scores["miou"])

    @property
    def class_loss(self) -> dict[str, float | None]:
        """Points of IoU by class, likewise."""
        if self.of_keras is None:
            return {}
        expected = self.of_keras["per_class_iou"]
        return {
            name: None
            if None in (iou, expected[name])
            else 100 * (expected[name] - iou)
            for name, iou in self.scores["per_class_iou"].items()
        }


class KerasMasks:
    """The masks that the Keras model gives a split, made once for all files.

    `counts` holds the confusion matrix of each picture, `milliseconds` the
    median time of a mask.

    Args:
        model: a `DLASegmenter`.
        size: height and width that pictures are brought to.
        split: a sequence of `Example` with `info`.
        count: how many of its pictures, evenly spread; `None` for all.

    Raises:
        ValueError: for a count below 1.
    """

    def __init__(self, model, size, split, count: int | None = None):
        self.split = split
        self.indices = spread(range(len(split)), count)
        self.counts, self._masks, seconds = {}, {}, []
        predict = predictor_at(model, size)
        predict(split[self.indices[0]].image)  # compiles
        for index in self.indices:
            example = split[index]
            start = time.perf_counter()
            mask = predict(example.image)
            seconds.append(time.perf_counter() - start)
            self.counts[index] = self.count(example, mask)
            # A hundredth of the size: those of a large split fill the memory.
            self._masks[index] = mask.shape, zlib.compress(mask.tobytes(), 1)
        self.milliseconds = 1000 * float(np.median(seconds))

    def __getitem__(self, index: int) -> np.ndarray:
        shape, packed = self._masks[index]
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)

    def count(self, example, mask) -> np.ndarray:
        """The confusion matrix of one picture."""
        classes = self.split.info.num_classes
        return confusion_matrix(example.label, mask, classes)

    def scores(self, counts: dict[int, np.ndarray]) -> dict:
        """mIoU, IoU by name of class and pixel accuracy of some pictures."""
        scores = segmentation_scores(sum(counts.values()))
        names = self.split.info.class_names
        by_name = dict(zip(names, scores["per_class_iou"], strict=True))
        return {**scores, "per_class_iou": by_name}


def check_classes(model, info) -> None:
    """Raises `ValueError` for a dataset of other classes than the model's."""
    if model.num_classes != info.num_classes:
        raise ValueError(
            f"The model knows {model.num_classes} classes and {info.name} has "
            f"{info.num_classes}. Pass the --dataset that it was trained on."
        )


def file_row(
    path, agreement: dict, refused: bytes | None = None, name: str = ""
) -> Row:
    """A row with what costs no time: sizes and agreement.

    Args:
        path: of the file.
        agreement: as `Row`'s.
        refused: the bytes that did not become that file. Defaults to `None`.
        name: in the table. Defaults to the file's.
    """
    data = pathlib.Path(path).read_bytes() if refused is None else refused
    return Row(
        name or pathlib.Path(path).name,
        str(path) if refused is None else None,
        len(data) / 1e6,
        len(gzip.compress(data)) / 1e6,
        agreement,
    )


def keras_row(path, masks: KerasMasks | None) -> Row:
    """The Keras model's own row.

    Args:
        path: of its file.
        masks: its masks, where it gives some.
    """
    row = file_row(path, {})
    if masks is None:
        return row
    return dataclasses.replace(
        row,
        scores=masks.scores(masks.counts),
        same=dict.fromkeys(masks.indices, 1.0),
        milliseconds=masks.milliseconds,
    )


def measured(row: Row, threads: tuple[int, ...], **limits) -> Row:
    """The row with costs.

    Args:
        row: of a file.
        threads: to run on, each in a process of its own.
        **limits: for `measure_cost`.
    """
    costs = tuple(measure_cost(row.path, n, **limits) for n in threads)
    return dataclasses.replace(row, costs=costs)


def scored(
    row: Row, masks: KerasMasks, seconds: float = SECONDS, worst: int = 2
) -> tuple[Row, dict[int, np.ndarray]]:
    """The row with scores beside those of Keras, and masks to look at.

    Args:
        row: of `measured`.
        masks: the Keras model's.
        seconds: that it may take, about. Defaults to `600.0`.
        worst: how many masks are given, at most. Defaults to `2`.

    Returns:
        The row, and those of the file's masks that differ most, by index.
    """
    fastest = min(row.costs, key=lambda cost: cost.median_ms)
    lite_model = LiteModel(row.path, threads=fastest.threads)
    predict = Predictor(lite_model, tuple(lite_model.input_shape[1:3]))
    in_time = int(1000 * seconds / fastest.median_ms)
    counts, same, shown = {}, {}, {}
    for index in spread(masks.indices, max(1, in_time)):
        example = masks.split[index]
        mask = predict(example.image)
        counts[index] = masks.count(example, mask)
        same[index] = float((mask == masks[index]).mean())
        if same[index] < 1:
            shown[index] = mask
        if len(shown) > worst:
            del shown[max(shown, key=same.get)]
    row = dataclasses.replace(
        row,
        scores=masks.scores(counts),
        of_keras=masks.scores({i: masks.counts[i] for i in counts}),
        same=same,
    )
    return row, shown
