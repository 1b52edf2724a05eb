"""A model in legacy Keras, layer by layer, and its weights back.

tensorflow-model-optimization knows `tf_keras` only. A model is flattened
(`dla_keras/models/flattening.py`) and each leaf rebuilt here, with its
weights; `fine_tuning.py` says what is wrapped around which.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from dla_keras.models.flattening import flatten
from dla_keras.quiet import quiet_stderr

# Arguments that matter to the start of a training alone, or to Keras 3.
_LEFT_OUT = ("initializer", "regularizer", "constraint", "dtype")


@functools.cache
def legacy_keras():
    """Import the package `tf_keras` when it is first needed.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        with quiet_stderr():
            import tf_keras
    except ImportError as error:
        raise ImportError(
            "Fine-tuning in 8 bits, pruning and clustering need legacy Keras: "
            "`pip install 'dla-keras[export]'`."
        ) from error
    return tf_keras


@dataclass(frozen=True)
class LegacyModel:
    """A network in legacy Keras, called as a Keras 3 model is.

    Args:
        network: `tf_keras.Model` of the network.
        weights: Name of a layer -> its variables, in the order of the
            original's.
    """

    network: object
    weights: dict[str, list]

    def __call__(self, images, training=False):
        images = tf.cast(images, tf.float32)
        return self.network(images, training=training)


def to_legacy(
    model: keras.Model,
    wrap: Callable = lambda layer, original: layer,
    synchronized: bool = False,
    input_shape=None,
) -> LegacyModel:
    """Rebuild a model in legacy Keras, in float32, with its weights.

    Args:
        model: Functional model of the layers that DLA is made of.
        wrap: Function from `(legacy layer, original)` to what stands in the
            layer's place; the layer has its weights by then. Defaults to the
            layer itself.
        synchronized: Whether batch norms take their statistics over all
            replicas. Defaults to `False`.
        input_shape: Shape of one picture. Defaults to `None`: the model's.

    Raises:
        ValueError: If a layer has no counterpart, or is used twice.

    Example:

    >>> model = dla_keras.DLABackbone("dla46_c", levels=("P2",))
    >>> legacy = to_legacy(model)
    >>> picture = np.random.uniform(size=(1, 32, 32, 3))
    >>> error = model(picture)["P2"] - legacy(picture)["P2"]
    >>> bool(np.abs(error).max() < 1e-5)
    True
    """
    flat, weights = flatten(model, input_shape), {}

    def call(original, inputs, **_):
        if original.name in weights:
            raise ValueError(
                "Expected a network that uses each layer once. Received: two "
                f"uses of {original.name}."
            )
        layer = _rebuild(original, synchronized)
        if not isinstance(inputs, list):
            layer.build(inputs.shape)
        if original.weights:
            layer.set_weights(original.get_weights())
        # Kept here, since a wrapped layer may lose sight of its own.
        weights[original.name] = list(layer.weights)[: len(original.weights)]
        return wrap(layer, original)(inputs)

    image = legacy_keras().Input(flat.inputs[0].shape[1:], name="image")
    # As `flatten` does: `flat(image)` would take Keras 3's tensors only.
    outputs = flat._run_through_graph(image, call_fn=call)
    return LegacyModel(legacy_keras().Model(image, outputs), weights)


def from_legacy(weights: dict[str, list], model: keras.Model) -> None:
    """Give a model the weights of its legacy counterpart.

    Args:
        weights: Name of a layer -> its arrays.
        model: Model that the legacy one was made from, or one like it.

    Raises:
        ValueError: If only one of the two has a layer.
    """
    leaves = {leaf.name: leaf for leaf in flatten(model).layers if leaf.weights}
    ours = {name: arrays for name, arrays in weights.items() if len(arrays)}
    if differing := sorted(leaves.keys() ^ ours.keys()):
        raise ValueError(
            "Expected the weights of the same network. Received: layers that "
            f"only one of the two has, {', '.join(differing)}."
        )
    for name, arrays in ours.items():
        leaves[name].set_weights(arrays)


def _rebuild(original, synchronized):
    """Make a leaf's counterpart, without its weights."""
    layers = legacy_keras().layers
    kind = type(original).__name__
    if kind in _COUNTERPARTS:
        return _COUNTERPARTS[kind](layers, original)
    # A class of somebody's own may be called like one of Keras'.
    known = type(original) is getattr(keras.layers, kind, None)
    if not known or not hasattr(layers, kind):
        raise ValueError(
            f"{original.name} is a {kind}, which has no counterpart in legacy "
            "Keras. Build the network of other layers, or export it as it is: "
            "export_tflite.py --precision int8."
        )
    legacy_class = getattr(layers, kind)
    accepted = _arguments_of(legacy_class)
    arguments = {
        key: value
        for key, value in original.get_config().items()
        if key in accepted and not key.endswith(_LEFT_OUT)
    }
    if kind == "BatchNormalization":
        arguments["synchronized"] = synchronized
    return legacy_class(**arguments)


@functools.cache
def _arguments_of(legacy_class):
    """Return what a layer of legacy Keras can be made with."""
    names = {"name", "trainable"}
    for base in legacy_class.__mro__[:-1]:
        names |= inspect.signature(base.__init__).parameters.keys()
    return names


def _bilinear_upsampling(layers, original):
    return layers.UpSampling2D(
        original.factor, interpolation="bilinear", name=original.name
    )


def _rescaling(layers, original):
    """Make one operation in 8 bits, where the layer of that name is two."""
    return layers.DepthwiseConv2D(
        1,
        depthwise_initializer=functools.partial(_constant, original.scale),
        bias_initializer=functools.partial(_constant, original.offset),
        trainable=False,
        name=original.name,
    )


def _constant(numbers, shape, dtype):
    """Make an initial value of one number, or of one for each channel."""
    numbers = np.broadcast_to(numbers, max(shape))
    return tf.reshape(tf.constant(numbers, dtype), shape)


def _depth_to_space(layers, original):
    factor = original.factor
    return layers.Lambda(
        lambda x: tf.nn.depth_to_space(x, factor), name=original.name
    )


def _split(layers, original):
    parts = original.parts
    return layers.Lambda(
        lambda x: tf.split(x, parts, axis=-1), name=original.name
    )


# Kind of layer -> (`tf_keras.layers`, the layer) -> its counterpart, where
# that is not the one of the same name.
_COUNTERPARTS = {
    "BilinearUpsampling": _bilinear_upsampling,
    "DepthToSpace": _depth_to_space,
    "Rescaling": _rescaling,
    "Split": _split,
}
