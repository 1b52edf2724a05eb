"""A model as a graph of plain Keras layers.

It is for tools that know only those: `dla_keras.complexity` counts over this
graph, the figures in `docs/aggregation.md` are drawn from it, and
quantization-aware training rebuilds it layer by layer.
"""

import functools
import inspect
from typing import NamedTuple

import keras

from dla_keras.layers.composite import open_composites
from dla_keras.models.network import check_network


def flatten(model, input_shape=None) -> keras.Model:
    """Return the same model, made of leaf layers only.

    Every composite (`Tree`, `DLAUp`, ...) and inner model is replaced by the
    layers it is made of. They are the model's own, so both share their weights,
    and the outputs are equal to the bit, in training too. The class and its
    facts (class names, palette) are lost.

    Args:
        model: Functional model; its inner models must be functional too.
        input_shape: Shape of one image, for a model with a single input.
            Defaults to `None`: the model's own.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the model's inputs are not known, or two layers have the
            same name.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", num_classes=5)
    >>> [type(layer).__name__ for layer in model.layers]
    ['InputLayer', 'Rescaling', 'DLABackbone', 'DLAUp', 'Conv2D', ...]
    >>> [layer.name for layer in flatten(model).layers][:4]
    ['image', 'normalize', 'base_layer_conv', 'base_layer_bn']
    """
    check_network(model)
    inputs = _fresh_inputs(model, input_shape)
    with open_composites():
        outputs = _call_parts(model, inputs)
    return keras.Model(inputs, outputs, name=model.name)


class LeafCall(NamedTuple):
    """One use of a leaf layer.

    Args:
        layer: Leaf layer.
        inputs: Symbolic tensors it takes.
        outputs: Symbolic tensors it returns.
    """

    layer: keras.layers.Layer
    inputs: list
    outputs: list


def leaf_calls(model, input_shape=None) -> list[LeafCall]:
    """Return every use of a leaf layer in a model, in the order of the data.

    Args:
        model: Functional model; its inner models must be functional too.
        input_shape: Shape of one image. Defaults to `None`: the model's own.

    Example:

    >>> model = dla_keras.DLABackbone("dla46_c", input_shape=(64, 96, 3))
    >>> call = leaf_calls(model)[0]
    >>> call.layer.name, call.inputs[0].shape, call.outputs[0].shape
    ('base_layer_conv', (None, 64, 96, 3), (None, 64, 96, 16))
    """
    calls = []

    def record(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        inputs = keras.tree.flatten((args, kwargs))
        inputs = [x for x in inputs if isinstance(x, keras.KerasTensor)]
        calls.append(LeafCall(layer, inputs, keras.tree.flatten(outputs)))
        return outputs

    keras.models.clone_model(
        flatten(model, input_shape),
        clone_function=lambda layer: layer,
        call_function=record,
    )
    return calls


def _fresh_inputs(model, input_shape):
    """Return inputs like the model's own, or of the given shape."""
    known = inputs_of(model)
    if input_shape is None:
        return keras.tree.map_structure(
            lambda x: keras.Input(
                batch_shape=x.shape, dtype=x.dtype, name=x.name
            ),
            known[0] if len(known) == 1 else model.input,
        )
    if len(known) > 1:
        raise ValueError(
            "`input_shape` is for a model of one input. Received: "
            f"input_shape={input_shape} for {len(known)} inputs."
        )
    return keras.Input(input_shape, dtype=known[0].dtype, name=known[0].name)


def inputs_of(model) -> list:
    """Return the inputs of a functional model.

    Raises:
        ValueError: If the model's inputs are not known.
    """
    known = getattr(model, "inputs", None)  # a subclassed model has none
    if not known:
        raise ValueError(
            "Expected a functional model, whose graph is known. Received: "
            f"{model!r}. Build it from keras.Input(...)."
        )
    return known


def _call_parts(model, inputs, training=None):
    """Return `model(inputs)`, called layer by layer, in inner models too."""

    def call(part, *args, **kwargs):
        if training is not None and _takes_training(part):
            kwargs["training"] = training
        if isinstance(part, keras.Model):
            return _call_parts(part, args[0], kwargs.get("training"))
        return part(*args, **kwargs)

    inputs_of(model)
    if isinstance(model, keras.Sequential):
        return functools.reduce(
            lambda x, part: call(part, x), model.layers, inputs
        )
    # `model.call` would put a conversion of its inputs into the graph, and
    # `clone_model`, which goes this way too, cannot join two graphs.
    return model._run_through_graph(inputs, call_fn=call)


def _takes_training(layer):
    return "training" in inspect.signature(layer.call).parameters
