"""Where a network is rounded to 8 bits while it trains, and in what ranges.

Between `legacy.py` and `fine_tuning.py`: the wrapper and the rounding of
tensorflow-model-optimization (tfmot), at places of our own choice. Its default
scheme knows no `Rescaling`, quantizes nothing before a concatenation, and has
ranges start at -6 to 6.
"""

import functools
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dla_keras.lite.compress.legacy import LegacyModel
from dla_keras.lite.compress.legacy import legacy_keras
from dla_keras.lite.convert.quantization import share
from dla_keras.quiet import quiet_stderr

PIXELS = (0.0, 255.0)

# Kinds of layers whose output is rounded ...
_ROUNDED = frozenset(
    {
        "Add",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "DepthwiseConv2D",
        "ReLU",
    }
)
# ... unless the only layer that takes it is the next part of one operation;
_FUSED = {
    "Add": {"ReLU"},
    "BatchNormalization": {"ReLU"},
    "Conv2D": {"BatchNormalization", "ReLU"},
    "DepthwiseConv2D": {"BatchNormalization", "ReLU"},
}
# those that TFLite rounds in the steps of their input;
_AVERAGING = frozenset({"AveragePooling2D", "UpSampling2D"})
# and those that only move or choose what is rounded already.
_PASSING = frozenset({"Dropout", "Lambda", "MaxPooling2D", "ZeroPadding2D"})

_KERNELS = {"Conv2D": "kernel", "DepthwiseConv2D": "depthwise_kernel"}


def measure_ranges(
    legacy: LegacyModel, pictures: Iterable[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Measure the ranges of all tensors that will have 8 bits.

    Args:
        legacy: Network without wrappers.
        pictures: uint8 `(h, w, 3)`, of one size.

    Returns:
        Name of a layer -> lowest and highest value of its output, zero
        between them: the mean over the pictures of each one's, and of the
        network's own outputs the outermost.

    Raises:
        ValueError: If there are no pictures, or a layer cannot be rounded.
    """
    layers = legacy.network.layers[1:]  # behind the input
    rounded = [layer for layer in layers if _is_rounded(layer)]
    names = [layer.name for layer in rounded]
    found = _extremes(legacy, [layer.output for layer in rounded], pictures)
    ends = map(_range, rounded, found)
    ranges = dict(zip(names, ends, strict=True))
    ties = [
        [layer.name, *(_source(before, ranges) for before in _inputs(layer))]
        for layer in layers
        if type(layer).__name__ == "Concatenate"
    ]
    ranges = share(ranges, ties)
    averaging = {
        layer.name: ranges[_source(layer, ranges)]
        for layer in layers
        if type(layer).__name__ in _AVERAGING
    }
    return ranges | averaging


class Rounding:
    """Rounding of one layer: what tfmot calls a `QuantizeConfig`.

    Args:
        layer: Layer of legacy Keras.
        kernel: Kernel of `kernels.py`. Defaults to `None`: there is none.
        ends: Range of the layer's output. Defaults to `None`: it is not
            rounded.
        rounds_kernel: Whether the kernel is rounded. Defaults to `True`.
    """

    def __init__(self, layer, kernel=None, ends=None, rounds_kernel=True):
        self.kernel = kernel
        self.ends = ends
        self.rounds_kernel = rounds_kernel
        self.attribute = _KERNELS.get(type(layer).__name__)

    def get_weights_and_quantizers(self, layer):
        if self.kernel is None:
            return []
        return [(getattr(layer, self.attribute), self)]

    def set_quantize_weights(self, layer, values):
        for value in values:
            setattr(layer, self.attribute, value)

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, activations):
        pass

    def get_output_quantizers(self, layer):
        if self.ends is None:
            return []
        quantizer = _tfmot().quantization.keras.quantizers.FixedQuantizer
        return [quantizer(8, *self.ends, narrow_range=False)]

    # The kernel's quantizer, in tfmot's words.

    def build(self, shape, name, layer):
        return self.kernel.build(shape, layer)

    def __call__(self, kernel, training, weights):
        kernel = self.kernel(kernel)
        if not self.rounds_kernel:
            return kernel
        depthwise = self.attribute == "depthwise_kernel"
        return round_kernel(kernel, depthwise, self.kernel.channels_apart)


def kernel_of(layer):
    """Return what a layer convolves with; `None` for another layer."""
    return getattr(layer, _KERNELS.get(type(layer).__name__, ""), None)


def wrap_layer(layer, rounding: Rounding):
    """Return a layer with its rounding, for a network to be trained."""
    return _tfmot().quantization.keras.QuantizeWrapperV2(layer, rounding)


def round_pixels(images):
    """Round pixels, so that a file's input has scale 1 and zero point 0."""
    return tf.quantization.fake_quant_with_min_max_args(images, *PIXELS)


def round_kernel(kernel, depthwise: bool = False, channels_apart: bool = True):
    """Round a kernel to 255 steps that lie evenly about zero.

    Args:
        kernel: Kernel `(h, w, inputs, outputs)`, or `(h, w, channels, 1)`.
        depthwise: Whether it is the latter. Defaults to `False`.
        channels_apart: Whether each channel has steps of its own. Defaults
            to `True`.

    Example:

    >>> kernel = tf.reshape(tf.constant([1.0, 0.3, 0.502, 0.1]), (1, 1, 2, 2))
    >>> steps = round_kernel(kernel) / [1 / 127, 0.3 / 127]
    >>> np.round(steps.numpy(), 3).ravel().tolist()
    [127.0, 127.0, 64.0, 42.0]
    """
    shape = kernel.shape
    if depthwise:
        kernel = tf.reshape(kernel, shape[:-1])
    axes = tuple(range(len(kernel.shape) - channels_apart))
    reach = tf.reduce_max(tf.abs(tf.stop_gradient(kernel)), axes)
    # A channel of nothing but zeros has steps too.
    reach = tf.broadcast_to(tf.maximum(reach, 1e-6), kernel.shape[-1:])
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -reach, reach, narrow_range=True
    )
    return tf.reshape(rounded, shape)


def _is_rounded(layer):
    """Return whether a layer's output has 8 bits and its own range."""
    kind = type(layer).__name__
    if kind not in _ROUNDED | _AVERAGING | _PASSING:
        raise ValueError(
            f"{layer.name} is a {kind}, which training cannot round to 8 bits. "
            "Use another layer, the methods prune or cluster, or no "
            "fine-tuning: export_tflite.py --precision int8."
        )
    takers = [type(node.layer).__name__ for node in layer.outbound_nodes]
    fused = len(takers) == 1 and takers[0] in _FUSED.get(kind, ())
    return kind in _ROUNDED and not fused


def _range(layer, extremes):
    """Return the range of a layer by each picture's extremes."""
    lowest, highest = extremes
    if layer.outbound_nodes:
        low, high = np.mean(lowest), np.mean(highest)
    else:
        # What is cut off an output is lost: a detector's largest sizes, which
        # few pictures have. On BCCD 0.559 AP so, and 0.547 by the mean.
        low, high = np.min(lowest), np.max(highest)
    return min(float(low), 0.0), max(float(high), 0.0)


def _extremes(legacy, tensors, pictures):
    """Return each picture's extremes of tensors: (tensors, 2, pictures)."""
    probe = legacy_keras().Model(legacy.network.input, tensors)

    @tf.function(reduce_retracing=True)
    def extremes(picture):
        values = probe(tf.cast(picture[None], tf.float32), training=False)
        return tf.stack(
            [(tf.reduce_min(v), tf.reduce_max(v)) for v in values]
        )  # (tensors, 2)

    found = [extremes(picture).numpy() for picture in pictures]
    if not found:
        raise ValueError(
            "Ranges are taken on pictures of the training split: expected "
            "about 100. Received: none."
        )
    return np.transpose(found, (1, 2, 0))


def _inputs(layer):
    """Return the layers whose outputs a layer takes."""
    before = layer.inbound_nodes[0].inbound_layers
    return before if isinstance(before, list) else [before]


def _source(layer, ranges):
    """Return the layer that gave what passes here its range."""
    while layer.name not in ranges:
        (layer,) = _inputs(layer)
    return layer.name


@functools.cache
def _tfmot():
    """Import tensorflow-model-optimization when it is first needed.

    It makes legacy Keras the Keras of this process and of all that it starts;
    the latter is undone.
    """
    switch = "TF_USE_LEGACY_KERAS"
    before = os.environ.get(switch)
    try:
        with quiet_stderr():
            import tensorflow_model_optimization
    except ImportError as error:
        raise ImportError(
            "Fine-tuning in 8 bits needs tensorflow-model-optimization: `pip "
            "install 'dla-keras[export]'`."
        ) from error
    finally:
        os.environ.pop(switch, None)
        if before is not None:
            os.environ[switch] = before
    return tensorflow_model_optimization
