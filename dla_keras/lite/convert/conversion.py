"""From a segmentation model to the bytes of a `.tflite` file.

The only module that touches TensorFlow's converter.
"""

from collections.abc import Callable
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from dla_keras.inference.predictor import fit_picture
from dla_keras.layers.convolution import ConvBN
from dla_keras.lite.convert.outputs import check_model
from dla_keras.lite.convert.outputs import coarse_network
from dla_keras.lite.convert.outputs import has_boundaries
from dla_keras.lite.convert.outputs import named_outputs
from dla_keras.lite.convert.phases import without_paddings
from dla_keras.lite.convert.precisions import HEADS
from dla_keras.lite.convert.precisions import PRECISIONS
from dla_keras.lite.convert.precisions import TARGETS
from dla_keras.lite.convert.quantization import CalibratedGraph
from dla_keras.lite.convert.quantization import calibrate
from dla_keras.lite.file.inspection import refuse_foreign_ops
from dla_keras.lite.file.requantization import add_zeros
from dla_keras.lite.file.stem import pack_stem
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.segmenter import DLASegmenter
from dla_keras.quiet import quiet_stderr

NETWORK_FILES = (("int8", "mask"), ("int8", "logits"))


def convert(
    model,
    size: tuple[int, int],
    precision: str = "float32",
    head: str = "mask",
    calibration: Iterable[np.ndarray] = (),
    keep_float: Iterable[str] = (),
    network: Callable | None = None,
    tuned_for: str = "arm",
) -> bytes:
    """Converts a model at a fixed size, with its normalisation inside.

    The file takes one uint8 RGB picture `(1, height, width, 3)`, and holds
    builtin operations without variables only.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        size: height and width in pixels, multiples of 32.
        precision: `"float32"`, `"float16"` (weights), `"dynamic"` (int8
            weights), `"int8"` (weights and activations) or `"int16x8"` (int8
            weights, 16-bit activations). Defaults to `"float32"`.
        head: `"mask"`, uint8 class ids `(1, height, width)`, `"logits"`,
            `(1, height, width, classes)`, or `"coarse_logits"`, those before
            the last upsampling. Logits are float32, and uint8 with a scale
            and a zero point in an int8 file. Where the model finds
            boundaries, the file gives `boundary` too, or nothing else: their
            probability `(1, height, width)`, float32, or uint8 of which 256
            would be 1. Defaults to `"mask"`.
        calibration: training pictures, uint8 `(h, w, 3)`, on which the
            activations' ranges are taken. Defaults to `()`.
        keep_float: names of layers that stay in float in an int8 file.
            Defaults to `()`.
        network: what is converted in the model's place, for int8: a function
            from float32 pictures `(1, height, width, 3)` to the model's
            outputs, that knows the ranges of its activations. Defaults to
            `None`.
        tuned_for: `"arm"`, for phones, or `"x86"`, whose wider registers the
            first convolution fills better over blocks of pixels
            (`stem.py`). Both run everywhere, with the same outputs. Defaults
            to `"arm"`.

    Returns:
        The file's bytes.

    Raises:
        ValueError: for a wrong argument, with the remedy.
    """
    calibration, keep_float = list(calibration), list(keep_float)
    _check(model, size, precision, head, calibration, network)
    _check_choice("tuned_for", tuned_for, TARGETS)
    if keep_float and (precision != "int8" or network):
        raise ValueError(
            "`keep_float` is for int8 after training. Received: "
            f"precision={precision!r}, keep_float={keep_float}"
            f"{' and a network' if network else ''}."
        )
    if precision == "int8" and network is None:
        graph = calibrated_graph(model, size, head, calibration)
        return finish(graph.quantize(keep_float), tuned_for)
    with quiet_stderr():
        converter = _converter(
            _frozen_graph(model, size, precision, head, network)
        )
        _set_precision(converter, PRECISIONS[precision])
        if network is not None:
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        elif PRECISIONS[precision].calibrated:
            pictures = _calibration_pictures(calibration, size)
            converter.representative_dataset = lambda: (
                [picture[None]] for picture in pictures
            )
        data = converter.convert()
    return finish(data, tuned_for)


def finish(data: bytes, tuned_for: str = "arm") -> bytes:
    """A converted file as it is written.

    Args:
        data: the file's bytes.
        tuned_for: as `convert`'s. Defaults to `"arm"`.

    Raises:
        ValueError: for operations that not every runtime has.
    """
    data = add_zeros(data)
    data = pack_stem(data) if tuned_for == "x86" else data
    refuse_foreign_ops(data)
    return data


def calibrated_graph(
    model, size: tuple[int, int], head: str, calibration: Iterable[np.ndarray]
) -> CalibratedGraph:
    """A model's graph that can be quantised, whole or in part.

    Args: as `convert`'s.

    Raises:
        ValueError: likewise.
    """
    calibration = list(calibration)
    _check(model, size, "int8", head, calibration)
    with quiet_stderr():
        return calibrate(
            _converter(_frozen_graph(model, size, "int8", head)),
            _calibration_pictures(calibration, size),
            _units(model),
        )


def check_size(size: tuple[int, int]) -> None:
    """Raises `ValueError` unless both sides are multiples of 32."""
    if len(size) != 2 or any(s < 1 or s % MAX_STRIDE for s in size):
        proposal = [max(1, -(-s // MAX_STRIDE)) * MAX_STRIDE for s in size]
        raise ValueError(
            f"`size` is height and width, multiples of {MAX_STRIDE}. "
            f"Received: {tuple(size)}; the next size up is "
            f"{'x'.join(map(str, proposal))}."
        )


def _check(model, size, precision, head, calibration, network=None):
    check_model(model)
    check_size(size)
    _check_choice("precision", precision, PRECISIONS)
    _check_choice("head", head, HEADS)
    classes = getattr(model, "num_classes", 0)
    if head == "mask" and classes > 256:
        raise ValueError(
            "A uint8 mask holds at most 256 classes. Received: "
            f"{classes}; use head='logits'."
        )
    if network is not None and (precision, head) not in NETWORK_FILES:
        raise ValueError(
            "A `network` that knows its ranges is for int8, and mask or "
            f"logits. Received: precision={precision!r}, head={head!r}."
        )
    needed = PRECISIONS[precision].calibrated and network is None
    if needed and not calibration:
        raise ValueError(
            f"{precision} needs `calibration`: about 100 pictures of the "
            "training split. Received: none."
        )


def _check_choice(argument, value, known):
    if value not in known:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(known)}. "
            f"Received: {value!r}."
        )


def _frozen_graph(model, size, precision, head, network=None):
    """The model as one function of constants, at batch 1.

    With variables left in, the converter writes READ_VARIABLE and keeps batch
    normalisation apart from the convolutions.
    """
    model = _for_files(model, size)
    # The converter turns a float input into a quantised one, so that pixels
    # enter an int8 file as they are; elsewhere the cast is an operation.
    dtype = tf.float32 if precision == "int8" else tf.uint8
    spec = tf.TensorSpec((1, *size, 3), dtype, name="image")

    names = ["boundary"] if has_boundaries(model) else []
    if isinstance(model, DLASegmenter):
        names.append("mask" if head == "mask" else "logits")
        if head == "coarse_logits":
            network = coarse_network(model)
    if network is None or head == "coarse_logits":
        network = without_paddings(network or model)

    @tf.function(input_signature=[spec])
    def serve(image):
        outputs = named_outputs(model, tf.cast(image, tf.float32), network)
        return [outputs[name] for name in names]

    constants = convert_to_constants.convert_variables_to_constants_v2(
        serve.get_concrete_function()
    )

    # Freezing loses the outputs' names; one more function gives them back.
    @tf.function(input_signature=[spec])
    def named(image):
        return dict(zip(names, constants(image), strict=True))

    return named.get_concrete_function()


def _for_files(model, size):
    """The same function at the size, in float32, as a copy.

    Pixels lose their mean only; what normalisation multiplies them with, the
    first convolution does. That is an operation less over all pixels, and in
    int8 a rounding less.
    """
    config = model.get_config()
    factor = 1 / (255 * np.float64(config["std"]))
    copy = type(model).from_config(
        config
        | {
            "input_shape": (*size, 3),
            "dtype": "float32",
            "std": (1 / 255,) * 3,
        }
    )
    copy.set_weights(model.get_weights())
    kernel = copy.backbone.base_layer.conv.kernel
    kernel.assign(kernel.numpy() * factor[:, None])
    return copy


def _units(model):
    """Names of what is one operation: a `ConvBN`, or a layer outside one."""
    layers = list(model._flatten_layers())
    inside = {
        part.name
        for layer in layers
        if isinstance(layer, ConvBN)
        for part in layer._flatten_layers(include_self=False)
    }
    return [layer.name for layer in layers if layer.name not in inside]


def _converter(graph):
    # Given something to track, it takes the way that is not deprecated; a
    # graph of constants has nothing.
    return tf.lite.TFLiteConverter.from_concrete_functions([graph], tf.Module())


def _set_precision(converter, precision):
    if precision.optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [
        getattr(tf, name) for name in precision.types
    ]
    if precision.ops:
        converter.target_spec.supported_ops = [
            getattr(tf.lite.OpsSet, name) for name in precision.ops
        ]


def _calibration_pictures(calibration, size):
    """The pictures at the file's size, with both ends of the pixels' range.

    Both must occur, or the input's scale is not exactly 1 and its zero point
    not 0, and pixels are rounded on their way in. Two pixels of one picture
    see to that.
    """
    pictures = [fit_picture(picture, *size) for picture in calibration]
    if pictures:
        pictures[0] = pictures[0].copy()  # the caller's own, where it fitted
        pictures[0][0, :2] = [[0], [255]]
    return pictures
