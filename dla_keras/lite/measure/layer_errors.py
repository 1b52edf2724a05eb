"""What int8 costs layer by layer, and which layers to keep in float.

Each operation of a quantised network runs in float beside itself, on the same
inputs: what differs is that operation's own rounding.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from dla_keras.lite.convert.quantization import CalibratedGraph
from dla_keras.lite.convert.quantization import float_batches
from dla_keras.quiet import quiet_stderr


@dataclass(frozen=True)
class LayerError:
    """The rounding of one operation.

    Args:
        layer: name of the layer.
        operation: for instance `"CONV_2D"`.
        noise: signal to noise in dB: what the output varies by over what
            rounding changes it by. 6 dB are one bit.
        steps: root mean square of the error in steps of the output's scale;
            0.29 is what rounding the output alone gives.
        bias: mean of the error in such steps.
    """

    layer: str
    operation: str
    noise: float
    steps: float
    bias: float


def layer_errors(
    graph: CalibratedGraph, pictures: Sequence[np.ndarray]
) -> list[LayerError]:
    """The layers of a network, the one that loses most first.

    Args:
        graph: a network with the ranges of its activations.
        pictures: uint8 `(h, w, 3)`, of the graph's size.

    Raises:
        ValueError: without pictures.
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
    """The int8 network with the fewest layers in float that is acceptable.

    Tries the worst 0, 1, 2, 4, ... layers, then halves the last gap.

    Args:
        graph: the network.
        errors: its layers, the worst first.
        acceptable: whether a file will do.

    Returns:
        The file, and the layers that stay in float.

    Raises:
        ValueError: if not even all layers in float will do.
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
