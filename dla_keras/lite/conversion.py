"""From a segmentation model to the bytes of a `.tflite` file.

The only module that touches TensorFlow's converter.
"""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from dla_keras.inference import fit_picture
from dla_keras.lite.inspection import refuse_foreign_ops
from dla_keras.lite.outputs import check_model
from dla_keras.lite.outputs import has_boundaries
from dla_keras.lite.outputs import named_outputs
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.segmenter import DLASegmenter
from dla_keras.quiet import quiet_stderr

# precision -> least share of pixels that must keep their class on held-out
# pictures, for the file to be written. A network trained for few minutes only
# is unsure of many pixels, and rounding decides those: DLA-34-Up after 450
# steps of toy_streets agreed at 0.93 in int8.
MIN_AGREEMENT = {"float32": 0.999, "float16": 0.995, "int8": 0.9}
HEADS = ("mask", "logits")


def convert(
    model,
    size: tuple[int, int],
    precision: str = "float32",
    head: str = "mask",
    calibration: Iterable[np.ndarray] = (),
) -> bytes:
    """Converts a model at a fixed size, with its normalisation inside.

    The file takes one uint8 RGB picture `(1, height, width, 3)`, and holds
    builtin operations without variables only.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        size: height and width in pixels, multiples of 32.
        precision: `"float32"`, `"float16"` (weights) or `"int8"` (weights
            and activations). Defaults to `"float32"`.
        head: `"mask"`, uint8 class ids `(1, height, width)`, or `"logits"`,
            `(1, height, width, classes)`: float32, and uint8 with a scale
            and a zero point in an int8 file. Where the model finds
            boundaries, the file gives `boundary` too, or nothing else: their
            probability `(1, height, width)`, float32, or uint8 of which 256
            would be 1. Defaults to `"mask"`.
        calibration: training pictures, uint8 `(h, w, 3)`, on which the
            activations' ranges are taken for int8. Defaults to `()`.

    Returns:
        The file's bytes.

    Raises:
        ValueError: for a wrong argument, with the remedy.
    """
    calibration = list(calibration)
    _check(model, size, precision, head, calibration)
    with quiet_stderr():
        graph = _frozen_graph(model, size, precision, head)
        # Given something to track, it takes the way that is not deprecated;
        # a graph of constants has nothing.
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [graph], tf.Module()
        )
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            _quantize(converter, size, calibration)
        data = converter.convert()
    refuse_foreign_ops(data)
    return data


def check_size(size: tuple[int, int]) -> None:
    """Raises `ValueError` unless both sides are multiples of 32."""
    if len(size) != 2 or any(s < 1 or s % MAX_STRIDE for s in size):
        proposal = [max(1, -(-s // MAX_STRIDE)) * MAX_STRIDE for s in size]
        raise ValueError(
            f"`size` is height and width, multiples of {MAX_STRIDE}. "
            f"Received: {tuple(size)}; the next size up is "
            f"{'x'.join(map(str, proposal))}."
        )


def _check(model, size, precision, head, calibration):
    check_model(model)
    check_size(size)
    for argument, value, known in (
        ("precision", precision, MIN_AGREEMENT),
        ("head", head, HEADS),
    ):
        if value not in known:
            raise ValueError(
                f"`{argument}` must be one of {', '.join(known)}. "
                f"Received: {value!r}."
            )
    classes = getattr(model, "num_classes", 0)
    if head == "mask" and classes > 256:
        raise ValueError(
            "A uint8 mask holds at most 256 classes. Received: "
            f"{classes}; use head='logits'."
        )
    if precision == "int8" and not calibration:
        raise ValueError(
            "int8 needs `calibration`: about 100 pictures of the training "
            "split. Received: none."
        )


def _frozen_graph(model, size, precision, head):
    """The model as one function of constants, at batch 1.

    With variables left in, the converter writes READ_VARIABLE and keeps batch
    normalisation apart from the convolutions.
    """
    model = _at_size(model, size)
    # The converter turns a float input into a quantised one, so that pixels
    # enter an int8 file as they are; elsewhere the cast is an operation.
    dtype = tf.float32 if precision == "int8" else tf.uint8
    spec = tf.TensorSpec((1, *size, 3), dtype, name="image")

    names = ["boundary"] if has_boundaries(model) else []
    if isinstance(model, DLASegmenter):
        names.append(head)

    @tf.function(input_signature=[spec])
    def serve(image):
        outputs = named_outputs(model, tf.cast(image, tf.float32))
        return [outputs[name] for name in names]

    constants = convert_to_constants.convert_variables_to_constants_v2(
        serve.get_concrete_function()
    )

    # Freezing loses the outputs' names; one more function gives them back.
    @tf.function(input_signature=[spec])
    def named(image):
        return dict(zip(names, constants(image), strict=True))

    return named.get_concrete_function()


def _at_size(model, size):
    """The same network where it takes the size, in float32 throughout."""
    sides = zip(model.image_shape, size, strict=False)
    fits = all(side in (None, wanted) for side, wanted in sides)
    if fits and model.fc.compute_dtype == "float32":
        return model
    config = model.get_config() | {
        "input_shape": (*size, 3),
        "dtype": "float32",
    }
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def _quantize(converter, size, calibration):
    pictures = [fit_picture(picture, *size) for picture in calibration]
    # Both ends of the pixels' range must occur, or the input's scale is not
    # exactly 1 and its zero point not 0, and pixels are rounded on their way
    # in. Two pixels of one picture see to that.
    pictures[0] = pictures[0].copy()  # the caller's own, where it fitted
    pictures[0][0, :2] = [[0], [255]]

    def batches():
        for picture in pictures:
            yield [picture[None].astype(np.float32)]

    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = batches
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
