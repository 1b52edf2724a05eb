"""The function that an exported file computes: from pixels to named outputs.

First stage of an export: a model becomes a graph of constants at one size,
made of operations that convert well. Nothing here knows about precisions.
"""

import pathlib
from collections.abc import Callable
from numbers import Integral

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow.python.framework import convert_to_constants

from dla_keras.choices import choose
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import fit_of
from dla_keras.files import write_json
from dla_keras.inference.model_files import SAVED_FACTS
from dla_keras.inference.model_files import check_tasks
from dla_keras.inference.tflite_facts import MAX_CLASSES
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.upsampling import LearnedUpsampling
from dla_keras.lite.options import HEADS
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.flattening import flatten
from dla_keras.tasks import TASKS


def output_names(model, head: str) -> list[str]:
    """Return the names of a file's outputs.

    Args:
        model: Model of any task.
        head: One of `heads_of`; `None` where there is none.
    """
    # In this order: as files have them.
    rows = [TASKS[task] for task in reversed(model.tasks)]
    return [name for row in rows for name in row.file_output(head)]


def heads_of(model) -> list[str]:
    """Return the heads that files of a model can have, the default first."""
    return [head for head, task in HEADS.items() if task in model.tasks]


def check_model(model) -> None:
    """Raise `ValueError` unless a model has a task that files can have."""
    check_tasks(model, "to be exported")


def check_head(model, head: str | None) -> None:
    """Raise `ValueError` for a head that files of the model cannot have."""
    heads = heads_of(model)
    if head is not None and not heads:
        raise ValueError(
            f"Files of a {type(model).__name__} have one output: leave `head` "
            f"(--head) out. Received: {head!r}."
        )
    if head is not None:
        choose("head", head, dict.fromkeys(heads))
    if "segmentation" not in model.tasks:
        return
    if model.num_classes > MAX_CLASSES:
        raise ValueError(
            f"A mask numbers at most {MAX_CLASSES} classes, and so whoever "
            f"makes one of logits. Received: {model.num_classes}; train with "
            "fewer."
        )


def check_size(size: tuple[int, int]) -> None:
    """Raise `ValueError` unless both sides are multiples of 32."""
    if np.shape(size) != (2,) or not all(isinstance(s, Integral) for s in size):
        raise ValueError(
            f"`size` is height and width, multiples of {MAX_STRIDE}. "
            f"Received: {size!r}."
        )
    if any(s < 1 or s % MAX_STRIDE for s in size):
        proposal = [max(1, -(-s // MAX_STRIDE)) * MAX_STRIDE for s in size]
        raise ValueError(
            f"`size` (--size) is height and width, multiples of {MAX_STRIDE}. "
            f"Received: {tuple(size)}; the next size up is "
            f"{'x'.join(map(str, proposal))}."
        )


def named_outputs(
    model, image, network: Callable | None = None
) -> dict[str, tf.Tensor]:
    """Compute all that a model says about pictures.

    Args:
        model: Model of any task.
        image: float32 `(N, H, W, 3)`, RGB, 0 to 255.
        network: Function that computes the outputs in the model's place.
            Defaults to `None`.

    Returns:
        For a segmenter `mask`, uint8 `(N, H, W)`, and `logits`, `(N, H, W,
        num_classes)`; for boundaries `boundary`, their probability, `(N, H,
        W)`; for a classifier `probabilities`, `(N, num_classes)`; for a
        detector its maps, and the boxes that `BOXES` names.
    """
    outputs = (network or model)(image, training=False)
    named = {}
    for task in model.tasks:
        named |= TASKS[task].file_outputs(model, outputs)
    return named


def frozen_graph(
    model, size: tuple[int, int], head: str, dtype, network=None
) -> Callable:
    """Return a model as one function of constants, at batch 1.

    With variables left in, the converter writes READ_VARIABLE and keeps batch
    normalization apart from the convolutions.

    Args:
        model: Model of any task.
        size: Height and width in pixels.
        head: One of `heads_of`; of one that is computed behind another
            (`BEHIND`), that other one's outputs are given.
        dtype: Type of the picture that the function takes.
        network: Function that computes the outputs in the model's place.
            Defaults to `None`.
    """
    model = _for_files(model, size)
    spec = tf.TensorSpec((1, *size, 3), dtype, name="image")
    names = output_names(model, BEHIND.get(head, head))
    if head == "coarse_logits" and "segmentation" in model.tasks:
        network = without_paddings(_coarse_network(model))
    elif network is None:
        network = without_paddings(model)

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


# Head -> the head whose outputs it is computed of. That is done in float in
# every precision: rounded, box and score of an object share the steps of the
# largest number, or all scores become one.
BEHIND = {"boxes": "heads"}


def decoding_graph(model, size: tuple[int, int], head: str | None):
    """Return what computes a head of another's outputs; `None` for none.

    Args:
        model: Model of any task.
        size: Height and width in pixels.
        head: One of `heads_of`.
    """
    if head not in BEHIND:
        return None
    row = TASKS[HEADS[head]]
    sides = [side // model.head_stride for side in size]
    taken = {
        name: tf.TensorSpec(
            (1, *sides, model.output[name].shape[-1]), name=name
        )
        for name in row.file_output(BEHIND[head])
    }

    @tf.function(input_signature=list(taken.values()))
    def decode(*maps):
        outputs = row.file_outputs(model, dict(zip(taken, maps, strict=True)))
        return {name: outputs[name] for name in row.file_output(head)}

    return decode.get_concrete_function()


def operations_of(model) -> list[str]:
    """Return the names of what is one operation each in a file.

    These are `ConvBN` layers, and layers outside one.
    """
    leaves = list(model._flatten_layers())
    inside = {
        part.name
        for layer in leaves
        if isinstance(layer, ConvBN)
        for part in layer._flatten_layers(include_self=False)
    }
    return [layer.name for layer in leaves if layer.name not in inside]


def _for_files(model, size):
    """Return the same function at the size, in float32, as a copy.

    Pixels lose their mean only; what normalization multiplies them with, the
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


def _coarse_network(model):
    """Return a `DLASegmenter` without its last upsampling of classes."""
    outputs = model.fc.output  # (N, H / head_stride, W / head_stride, classes)
    if "boundary" in model.tasks:
        outputs = {**model.output, "classes": outputs}
    return keras.Model(model.inputs, outputs)


def without_paddings(model: keras.Model) -> keras.Model:
    """Return the same function, its learned upsamplings over 3x3 pixels.

    `LearnedUpsampling` pads its input four ways and convolves with 2x2 taps.
    The same taps in a corner of 3x3 need no padding of their own: four copies
    of the input less, and TFLite's int8 quantizer, which leaves some of those
    copies in float, has none to leave.

    Args:
        model: Functional model.

    Returns:
        A model with weights of its own where they changed; `model` itself
        without learned upsampling.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", 3, upsampling="learned")
    >>> kinds = [type(layer) for layer in without_paddings(model).layers]
    >>> kinds.count(keras.layers.ZeroPadding2D)  # of strided convolutions
    5
    """
    upsamplings = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, LearnedUpsampling)
    ]
    if not upsamplings:
        return model
    replaced = {}
    for upsampling in upsamplings:
        for pad in upsampling.pad:
            replaced[pad.name] = layers.Identity(name=pad.name)
        for index, phase in enumerate(upsampling.phase):
            replaced[phase.name] = _over_three(phase, index, upsampling.factor)
    return keras.models.clone_model(
        flatten(model),
        clone_function=lambda layer: replaced.get(layer.name, layer),
    )


def _over_three(phase, index, factor):
    """Put a phase's 2x2 taps into the corner of 3x3 that they see."""
    taps = np.asarray(phase.get_weights()[0])  # (2, 2, C, 1)
    row, column = divmod(index, factor)
    below, right = row >= factor // 2, column >= factor // 2
    kernel = np.zeros((3, 3, *taps.shape[2:]), taps.dtype)
    kernel[below : below + 2, right : right + 2] = taps
    layer = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name=phase.name, dtype=phase.dtype
    )
    layer.build((None, None, None, taps.shape[2]))
    layer.set_weights([kernel])
    return layer


# signature -> dtype of the pictures it takes
SIGNATURES = {"serving_default": tf.uint8, "serving_float": tf.float32}


def write_saved_model(
    model, folder, size: tuple[int, int] | None = None, fit: Fit | None = None
) -> None:
    """Write a SavedModel with normalization and mask inside.

    Each of `SIGNATURES` takes RGB pictures `image`, 0 to 255, of shape
    `(N, H, W, 3)`, and gives what `named_outputs` does.

    Args:
        model: `DLASegmenter`, `DLABoundaryDetector`, `DLAClassifier` or
            `DLADetector`.
        folder: Folder to write to.
        size: Height and width, multiples of 32. Defaults to `None`: what the
            model itself takes.
        fit: Rule by which pictures are brought to that size; the folder says
            it. Defaults to `None`: that of the model's working size.

    Raises:
        ValueError: If the model is of another kind or the size is wrong.
    """
    check_model(model)
    if size:
        check_size(size)
    shape = (None, *(size or model.image_shape[:2]), 3)
    # The signatures share one graph of the network, and the weights are
    # tracked without Keras' layers: a quarter of the time to write and read.
    network = tf.function(
        lambda image: named_outputs(model, image),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
    )

    def serve(image):
        return network(tf.cast(image, tf.float32))

    signatures = {}
    for name, dtype in SIGNATURES.items():
        spec = tf.TensorSpec(shape, dtype, name="image")
        signature = tf.function(serve, input_signature=[spec])
        signatures[name] = signature.get_concrete_function()
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures)
    said = {"names": model.class_names, "palette": model.palette}
    if "classification" not in model.tasks:
        said["input"] = (fit or fit_of(model.working_size)).facts
    write_json(pathlib.Path(folder, SAVED_FACTS), said)
