"""What int8 costs layer by layer, and int8 within a bound of mIoU.

Each operation of a quantized network runs in float beside itself, on the same
inputs: what differs is that operation's own rounding. As few of the worst
layers as a bound allows are left in float.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dla_keras.files import atomic_path
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.quantization import CalibratedGraph
from dla_keras.lite.convert.quantization import float_batches
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.quiet import quiet_stderr
from dla_keras.tasks.segmentation import evaluate

# Enough for the order of the layers, at a second or two each.
PICTURES = 8


@dataclasses.dataclass(frozen=True)
class LayerError:
    """Rounding of one operation.

    Args:
        layer: Name of the layer.
        operation: Kind of the operation, for instance `"CONV_2D"`.
        noise: Signal to noise in dB: what the output varies by over what
            rounding changes it by. 6 dB are one bit.
        steps: Root mean square of the error in steps of the output's scale;
            0.29 is what rounding the output alone gives.
        bias: Mean of the error in such steps.
    """

    layer: str
    operation: str
    noise: float
    steps: float
    bias: float


def layer_errors(
    graph: CalibratedGraph, pictures: Sequence[np.ndarray]
) -> list[LayerError]:
    """Measure the layers of a network, the one that loses most first.

    Args:
        graph: Network with the ranges of its activations.
        pictures: uint8 `(h, w, 3)`, of the graph's size.

    Raises:
        ValueError: If there are no pictures.
    """
    if not len(pictures):
        raise ValueError(
            "Errors of layers are measured on pictures. Received: none."
        )
    options = tf.lite.experimental.QuantizationDebugOptions(
        layer_debug_metrics={"error": _mean_square},
        layer_direct_compare_metrics={
            "signal": lambda value, *_: float(np.var(value)),
            "bias": lambda value, whole, scale, zero: float(
                np.mean(scale * (whole.astype(np.float32) - zero) - value)
                / scale
            ),
            "scale": lambda value, whole, scale, zero: float(scale),
        },
    )
    with quiet_stderr():
        debugger = tf.lite.experimental.QuantizationDebugger(
            quant_debug_model_content=graph.instrument(),
            debug_dataset=lambda: float_batches(pictures),
            debug_options=options,
        )
        debugger.run()
    found = [
        _layer_error(name, values, debugger, graph)
        for name, values in debugger.layer_statistics.items()
    ]
    # Where nothing is rounded (a pooling, a padding) nothing is lost.
    rounded = [error for error in found if np.isfinite(error.noise)]
    return sorted(rounded, key=lambda error: error.noise)


def keep_until(
    graph: CalibratedGraph,
    errors: Iterable[LayerError],
    acceptable: Callable[[bytes], bool],
) -> tuple[bytes, list[str]]:
    """Find the int8 network with the fewest layers in float that will do.

    Tries the worst 0, 1, 2, 4, ... layers, then halves the last gap.

    Args:
        graph: Network to quantize.
        errors: Its layers, the worst first.
        acceptable: Function that tells whether a file will do.

    Returns:
        The file, and the layers that stay in float.

    Raises:
        ValueError: If not even all layers in float will do.
    """
    layers = list(dict.fromkeys(error.layer for error in errors))
    tried = {}

    def passes(count):
        if count not in tried:
            data = graph.quantize(layers[:count])
            tried[count] = data if acceptable(data) else None
        return tried[count] is not None

    low, high = -1, 0
    while not passes(high):
        if high == len(layers):
            raise ValueError(
                f"Even with all {len(layers)} layers in float the file is not "
                "acceptable: widen the bound, or export in float16."
            )
        low, high = high, min(max(1, 2 * high), len(layers))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return tried[high], layers[:high]


def rank_layers(exporter: Exporter) -> list[LayerError]:
    """Measure what rounding costs a model's layers, the worst first.

    Args:
        exporter: Exporter of the model.
    """
    pictures = [
        exporter.fit(picture) for picture in exporter.calibration[:PICTURES]
    ]
    return layer_errors(exporter.int8_graph, pictures)


def within_loss(
    exporter: Exporter,
    errors: Iterable[LayerError],
    masks: KerasMasks,
    max_loss: float,
) -> Exporter:
    """Return an exporter whose int8 files lose no more mIoU than allowed.

    Args:
        exporter: Exporter of the model.
        errors: Layers of the model, the worst first.
        masks: Masks of the Keras model, on the pictures to score.
        max_loss: Points (hundredths) of mIoU below Keras'.

    Raises:
        ValueError: If the bound is not met with all layers in float.
    """

    def acceptable(data):
        return loss_of(LiteModel(data, exporter.threads), masks) <= max_loss

    _, layers = keep_until(exporter.int8_graph, errors, acceptable)
    return dataclasses.replace(exporter, keep_float=tuple(layers))


def loss_of(lite_model: LiteModel, masks: KerasMasks) -> float:
    """Return the points of mIoU that a file loses against Keras.

    Args:
        lite_model: File to score.
        masks: Masks of the Keras model.
    """
    size = tuple(lite_model.input_shape[1:3])
    predict = Predictor(lite_model, size, masks.fit)
    found = evaluate(predict, masks.split, indices=masks.indices)
    return 100 * (masks.scores["miou"] - found["miou"])


def write_layer_errors(path, errors: Iterable[LayerError]) -> None:
    """Write the layers as a table, CSV.

    Args:
        path: Path of the file.
        errors: Rows of the table.
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


def _mean_square(difference):
    return float(np.mean(np.square(difference)))


def _layer_error(name, values, debugger, graph):
    tensor, _ = debugger._get_operand_name_and_index(name)
    verified = debugger._numeric_verify_op_details[name]["inputs"][0]
    source = debugger._defining_op[verified]
    operation = debugger._quant_interpreter._get_op_details(source)["op_name"]
    # Below a thousandth of a step there was no rounding.
    error = values["error"]
    exact = error < (1e-3 * values["scale"]) ** 2
    return LayerError(
        layer=graph.layer_of(tensor),
        operation=operation,
        noise=np.inf if exact else 10 * np.log10(values["signal"] / error),
        steps=np.sqrt(error) / values["scale"],
        bias=values["bias"],
    )
