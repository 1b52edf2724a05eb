"""What a model costs, layer by layer: parameters, multiply-adds, activations.

Counted over the graph of leaf layers (`dla_keras.models.flattening`).
"""

import math
from dataclasses import dataclass

import keras
from keras import layers

from dla_keras.models.flattening import inputs_of
from dla_keras.models.flattening import leaf_calls
from dla_keras.models.network import check_network
from dla_keras.tables import text_table

DEFAULT_SIDE = 224  # pixels, where the model leaves it open

# Every weight of their kernel multiplies once at each position of the output
# or, if transposed, of the input.
_MULTIPLY_AT_OUTPUT = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
_MULTIPLY_AT_INPUT = (layers.Conv2DTranspose,)
_STATISTICS = ("moving_mean", "moving_variance")  # no parameters


@dataclass(frozen=True)
class LayerComplexity:
    """Cost of one use of a leaf layer, for one image.

    Args:
        path: Names of the layers it lies in, from the outside, and its own.
        kind: Name of its class.
        output_shape: Shape of the output without the batch.
        parameters: Number of weights without running statistics; 0 if the
            layer was used before.
        trainable: Number of parameters that are not frozen.
        macs: Number of multiply-adds.
        activations: Number of outputs of a convolution or dense layer.
    """

    path: tuple[str, ...]
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    macs: int
    activations: int


@dataclass(frozen=True)
class Complexity:
    """Cost of a model, for one image; printed, it is a table.

    Args:
        name: Name of the model.
        input_shape: Shape of the image.
        rows: Costs of each use of a leaf layer, in the order of the data.
    """

    name: str
    input_shape: tuple[int, ...]
    rows: tuple[LayerComplexity, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.rows)

    @property
    def activations(self) -> int:
        return sum(row.activations for row in self.rows)

    def table(self, depth: int | None = 1) -> str:
        """Return a Markdown table, without the layers that cost nothing.

        Args:
            depth: Depth of the lines: `1` has one for each of the model's own
                layers, `2` for each of theirs, `None` for every leaf. Defaults
                to `1`.
        """
        groups = {}
        for row in self.rows:
            groups.setdefault(row.path[:depth], []).append(row)
        lines = [
            _line(path[-1], rows[-1].output_shape, rows)
            for path, rows in groups.items()
            if any(row.parameters or row.macs for row in rows)
        ]
        lines.append(_line("total", (), self.rows))
        if self.trainable != self.parameters:
            lines.append(("trainable", "", f"{self.trainable:,}", "", ""))
        size = "x".join(map(str, self.input_shape))
        header = ("output", "parameters", "MACs (M)", "activations (M)")
        return text_table((f"{self.name}, {size}", *header), lines)

    def __str__(self):
        return self.table()


def complexity(model, input_shape=None) -> Complexity:
    """Count a model's parameters, multiply-adds and activations.

    The figures are those of timm's tables, which rest on fvcore. Multiply-adds:
    one for each use of a weight in a convolution or dense layer, and two for
    each output of a batch norm; bias, activation functions, additions, pooling
    and fixed resizing are not counted. Activations: the outputs of convolutions
    and dense layers (Radosavovic et al., arXiv:2003.13678). Parameters: all
    weights except batch norm's running statistics. Layers that the outputs do
    not need are not counted.

    Args:
        model: Functional model, for instance `DLASegmenter`.
        input_shape: `(height, width, channels)`. Defaults to the model's own,
            with 224 for a side that it leaves open.

    Raises:
        ValueError: If a layer has weights and its multiply-adds are not known.

    Example:

    >>> backbone = dla_keras.DLABackbone("dla46_c", name="backbone")
    >>> cost = complexity(backbone)
    >>> cost.parameters, cost.macs
    (1044400, 583007488)
    >>> print(cost)
    | backbone, 224x224x3 |     output | parameters | MACs (M) | ... |
    | ------------------- | ---------: | ---------: | -------: | ... |
    | base_layer          | 224x224x16 |      2,384 |    119.6 | ... |
    ...
    """
    check_network(model)
    if input_shape is not None and not _is_shape(input_shape):
        raise ValueError(
            "`input_shape` is (height, width, channels), each at least 1. "
            f"Received: {input_shape!r}."
        )
    if input_shape is None and len(inputs_of(model)) == 1:
        input_shape = tuple(
            DEFAULT_SIDE if side is None else side
            for side in model.inputs[0].shape[1:]
        )
    paths = {id(leaf): path for leaf, path in _leaves(model)}
    rows, seen = [], set()
    for call in leaf_calls(model, input_shape):
        again = id(call.layer) in seen
        seen.add(id(call.layer))
        rows.append(_count(call, paths[id(call.layer)], again))
    return Complexity(model.name, tuple(input_shape), tuple(rows))


def _is_shape(shape):
    return isinstance(shape, (tuple, list)) and all(
        isinstance(side, int) and side > 0 for side in shape
    )


def _leaves(layer, path=()):
    """Yield every leaf below `layer`, and the names on the way to it.

    Inner models are not named, since their layers count as the model's own.
    """
    for part in layer._flatten_layers(include_self=False, recursive=False):
        named = path if isinstance(part, keras.Model) else (*path, part.name)
        yield part, named
        yield from _leaves(part, named)


def _count(call, path, again):
    layer, numbers = call.layer, math.prod(call.outputs[0].shape[1:])
    multiplies = isinstance(layer, _MULTIPLY_AT_OUTPUT + _MULTIPLY_AT_INPUT)
    return LayerComplexity(
        path=path,
        kind=type(layer).__name__,
        output_shape=tuple(call.outputs[0].shape[1:]),
        parameters=0 if again else _size(layer.weights),
        trainable=0 if again else _size(layer.trainable_weights),
        macs=_multiply_adds(call, numbers),
        activations=numbers if multiplies else 0,
    )


def _multiply_adds(call, numbers):
    layer = call.layer
    if isinstance(layer, layers.BatchNormalization):
        return 2 * numbers
    if isinstance(layer, _MULTIPLY_AT_OUTPUT):
        positions = call.outputs[0].shape[1:-1]
        return math.prod(layer.kernel.shape) * math.prod(positions)
    if isinstance(layer, _MULTIPLY_AT_INPUT):
        positions = call.inputs[0].shape[1:-1]
        return math.prod(layer.kernel.shape) * math.prod(positions)
    if layer.weights:
        raise ValueError(
            "Expected layers with weights to be convolutions, dense layers or "
            "batch norms, whose multiply-adds are known. Received: "
            f"{type(layer).__name__} {layer.name!r}. Teach it to "
            "dla_keras/models/complexity.py."
        )
    return 0


def _size(weights):
    return sum(
        math.prod(weight.shape)
        for weight in weights
        if weight.name not in _STATISTICS
    )


def _line(name, output_shape, rows):
    return (
        name,
        "x".join(map(str, output_shape)),
        f"{sum(row.parameters for row in rows):,}",
        f"{sum(row.macs for row in rows) / 1e6:,.1f}",
        f"{sum(row.activations for row in rows) / 1e6:,.2f}",
    )
