"""A model as a graph of plain Keras layers.

For tools that know only those: `dla_keras.complexity` counts over this graph,
the figures in `docs/aggregation.md` are drawn from it, and quantisation-aware
training rebuilds it layer by layer.
"""

import functools
import inspect
from typing import NamedTuple

import keras

from dla_keras.layers.composite import open_composites


def flatten(model, input_shape=None) -> keras.Model:
    """The same model, made of leaf layers only.

    In place of every composite (`Tree`, `DLAUp`, ...) and inner model stand
    the layers it is made of. They are the model's own, so both share their
    weights, and the outputs are equal to the bit, in training too. The class
    and what it carries along (class names, palette) stay behind.

    Args:
        model: a functional model; its inner models too must be functional.
        input_shape: of one picture, for a model of a single input. Defaults
            to `None`: as the model has it.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: for a model whose inputs are not known, or one that holds
            two layers of the same name.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", num_classes=5)
    >>> [type(layer).__name__ for layer in model.layers]
    ['InputLayer', 'Rescaling', 'DLABackbone', 'DLAUp', 'Conv2D', ...]
    >>> [layer.name for layer in flatten(model).layers][:4]
    ['image', 'normalize', 'base_layer_conv', 'base_layer_bn']
    """
    inputs = _fresh_inputs(model, input_shape)
    with open_composites():
        outputs = _call_parts(model, inputs)
    return keras.Model(inputs, outputs, name=model.name)


class LeafCall(NamedTuple):
    """One use of a leaf layer.

    Args:
        layer: the leaf.
        inputs: the symbolic tensors it takes.
        outputs: those it gives.
    """

    layer: keras.layers.Layer
    inputs: list
    outputs: list


def leaf_calls(model, input_shape=None) -> list[LeafCall]:
    """Every use of a leaf layer in a model, in the order of the data.

    Args:
        model: as `flatten` takes it.
        input_shape: likewise. Defaults to `None`.

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
    """`keras.Input`s like the model's own, or of the shape asked for."""
    known = _inputs_of(model)
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


def _inputs_of(model):
    known = getattr(model, "inputs", None)  # a subclassed model has none
    if not known:
        raise ValueError(
            "Expected a functional model, whose graph is known. Received: "
            f"{model!r}. Build it from keras.Input(...)."
        )
    return known


def _call_parts(model, inputs, training=None):
    """What `model(inputs)` is, by its layers and its inner models' layers."""

    def call(part, *args, **kwargs):
        if training is not None and _takes_training(part):
            kwargs["training"] = training
        if isinstance(part, keras.Model):
            return _call_parts(part, args[0], kwargs.get("training"))
        return part(*args, **kwargs)

    _inputs_of(model)
    if isinstance(model, keras.Sequential):
        return functools.reduce(
            lambda x, part: call(part, x), model.layers, inputs
        )
    # `model.call` would put a conversion of its inputs into the graph, and
    # `clone_model`, which goes this way too, cannot join two graphs.
    return model._run_through_graph(inputs, call_fn=call)


def _takes_training(layer):
    return "training" in inspect.signature(layer.call).parameters
