"""int8 within a bound: as few layers in float as a loss of mIoU allows.

Between `layer_errors.py`, which ranks the layers, and the command.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable

from dla_keras.files import atomic_path
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.lite.measure.layer_errors import LayerError
from dla_keras.lite.measure.layer_errors import keep_until
from dla_keras.lite.measure.layer_errors import layer_errors

# Enough for the order of the layers, at a second or two each.
PICTURES = 8


def rank_layers(exporter: Exporter) -> list[LayerError]:
    """What rounding costs the model's layers, the worst first.

    Args:
        exporter: of the model.
    """
    pictures = [
        fit_picture(picture, *exporter.size)
        for picture in exporter.calibration[:PICTURES]
    ]
    return layer_errors(exporter.int8_graph, pictures)


def within_loss(
    exporter: Exporter,
    errors: Iterable[LayerError],
    masks: KerasMasks,
    max_loss: float,
) -> Exporter:
    """An exporter whose int8 files lose no more mIoU than allowed.

    Args:
        exporter: of the model.
        errors: its layers, the worst first.
        masks: the Keras model's, on the pictures to score.
        max_loss: points (hundredths) of mIoU below Keras'.

    Raises:
        ValueError: if the bound is not met with all layers in float.
    """

    def acceptable(data):
        return loss_of(LiteModel(data, exporter.threads), masks) <= max_loss

    _, layers = keep_until(exporter.int8_graph, errors, acceptable)
    return dataclasses.replace(exporter, keep_float=tuple(layers))


def loss_of(lite_model: LiteModel, masks: KerasMasks) -> float:
    """Points of mIoU that a file loses against Keras.

    Args:
        lite_model: the file.
        masks: the Keras model's.
    """
    predict = Predictor(lite_model, tuple(lite_model.input_shape[1:3]))
    counts = {}
    for index in masks.indices:
        example = masks.split[index]
        counts[index] = masks.count(example, predict(example.image))
    expected = masks.scores(masks.counts)["miou"]
    return 100 * (expected - masks.scores(counts)["miou"])


def write_layer_errors(path, errors: Iterable[LayerError]) -> None:
    """Writes the layers as a table, CSV.

    Args:
        path: of the file.
        errors: its rows.
    """
    names = [field.name for field in dataclasses.fields(LayerError)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for error in errors:
        layer, operation, *numbers = dataclasses.astuple(error)
        writer.writerow([layer, operation, *(f"{n:.3f}" for n in numbers)])
    with atomic_path(pathlib.Path(path)) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
