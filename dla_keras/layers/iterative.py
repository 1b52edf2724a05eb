"""Iterative deep aggregation: section 3.1 of the paper (arXiv:1707.06484).

`IDAUp` folds features into the finest of them; `DLAUp` brings a backbone's
levels back to a fine resolution that way (section 4.2). `hierarchical.py` has
the other way to aggregate.
"""

from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import choose
from dla_keras.layers.composite import Composite
from dla_keras.layers.composite import recompute
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.convolution import SeparableConvBN
from dla_keras.layers.upsampling import UPSAMPLINGS

NODES = {"conv": ConvBN, "separable": SeparableConvBN}


@register_keras_serializable(package="dla_keras")
class IDAUp(Composite):
    """Iterative deep aggregation with upsampling (sections 3.1 and 4.2).

    Brings every input to the first one's channels and size, then folds them
    in one after the other, each time through a 3x3 node.

    Args:
        filters: Output channels, those of the first input.
        factors: Upsampling factor of each input; the first is `1`.
        upsampling: `"bilinear"` or `"learned"`. Defaults to `"bilinear"`.
        node_type: `"conv"`, the paper's, or `"separable"`, depthwise and
            pointwise. Defaults to `"conv"`.
        remat: Whether training keeps only the inputs of every node and
            computes the node again for the gradient. Defaults to `False`.

    Input shape:
        A list of `(batch, height / factor, width / factor, any channels)`.

    Output shape:
        A list, one shorter than the inputs, of the aggregation after each
        node: `(batch, height, width, filters)`.

    Example:

    >>> fine, coarse = np.zeros((1, 8, 8, 16)), np.zeros((1, 4, 4, 32))
    >>> [y.shape for y in IDAUp(16, factors=(1, 2))([fine, coarse])]
    [TensorShape([1, 8, 8, 16])]
    """

    def __init__(
        self,
        filters,
        factors,
        upsampling="bilinear",
        node_type="conv",
        remat=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(factors) < 2 or factors[0] != 1:
            raise ValueError(
                "`factors` needs at least two inputs, the first at the "
                f"output's size (1). Received: factors={factors}."
            )
        self.filters = filters
        self.factors = tuple(factors)
        self.upsampling = upsampling
        self.node_type = node_type
        self.remat = remat

        # The authors' code numbers the parts by input. Input 0 needs neither
        # upsampling nor node, so position 0 holds None.
        coarser = range(1, len(self.factors))
        make_up = choose("upsampling", upsampling, UPSAMPLINGS)
        make_node = choose("node_type", node_type, NODES)
        self.proj = [None] * len(self.factors)
        self.up = [None] + [
            make_up(self.factors[i], **self.part(f"up_{i}")) for i in coarser
        ]
        self.join = [None] + [
            layers.Concatenate(**self.part(f"join_{i}")) for i in coarser
        ]
        self.node = [None] + [
            make_node(filters, **self.part(f"node_{i}")) for i in coarser
        ]

    def build(self, input_shape):
        self.proj = [
            None
            if i == 0 or shape[-1] == self.filters
            else ConvBN(self.filters, 1, **self.part(f"proj_{i}"))
            for i, shape in enumerate(input_shape)
        ]
        fine = (*input_shape[0][:-1], self.filters)
        for i, shape in enumerate(input_shape[1:], start=1):
            if self.proj[i] is not None:
                self.proj[i].build(shape)
            self.up[i].build((*shape[:-1], self.filters))
            self.node[i].build(self.join[i].compute_output_shape([fine, fine]))

    def call(self, inputs, training=None):
        x, outputs = inputs[0], []
        for i, y in enumerate(inputs[1:], start=1):
            fold = lambda x, y, i=i: self._fold(i, x, y, training)
            if self.remat and training:
                x = recompute(self, fold, x, y)
            else:
                x = fold(x, y)
            outputs.append(x)
        return outputs

    def _fold(self, i, x, y, training):
        if self.proj[i] is not None:
            y = self.proj[i](y, training=training)
        y = self.up[i](y)
        return self.node[i](self.join[i]([x, y]), training=training)

    def compute_output_shape(self, input_shape):
        fine = (*input_shape[0][:-1], self.filters)
        return [fine] * (len(input_shape) - 1)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "factors": self.factors,
            "upsampling": self.upsampling,
            "node_type": self.node_type,
            "remat": self.remat,
        }


@register_keras_serializable(package="dla_keras")
class DLAUp(Composite):
    """Iterative aggregations of all levels into the finest (section 4.2).

    The first `IDAUp` joins the two coarsest levels. Each further one adds the
    next finer level and brings everything coarser up to it.

    Args:
        upsampling: `"bilinear"` or `"learned"`. Defaults to `"bilinear"`.
        node_type: `"conv"` or `"separable"`. Defaults to `"conv"`.
        remat: Whether training computes the nodes again for the gradient, to
            save memory. Defaults to `False`.

    Input shape:
        A list of two or more levels, fine to coarse, each half the size of
        the one before: `(batch, height / 2**i, width / 2**i, channels_i)`.

    Output shape:
        `(batch, height, width, channels_0)`

    Example:

    >>> levels = [np.zeros((1, 16 >> i, 16 >> i, 8 << i)) for i in range(3)]
    >>> DLAUp()(levels).shape
    TensorShape([1, 16, 16, 8])
    """

    def __init__(
        self, upsampling="bilinear", node_type="conv", remat=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.upsampling = upsampling
        self.node_type = node_type
        self.remat = remat
        self.ida = []

    def build(self, input_shape):
        channels = [shape[-1] for shape in input_shape]
        # A step brings everything coarser to its own size, so that the next
        # one upsamples all of it by two.
        self.ida = [
            IDAUp(
                channels[-i - 2],
                (1,) + (2,) * (i + 1),
                self.upsampling,
                self.node_type,
                self.remat,
                **self.part(f"ida_{i}"),
            )
            for i in range(len(channels) - 1)
        ]
        shapes = list(input_shape)
        for i, ida in enumerate(self.ida):
            ida.build(shapes[-i - 2 :])
            shapes[-i - 1 :] = ida.compute_output_shape(shapes[-i - 2 :])

    def call(self, inputs, training=None):
        levels = list(inputs)
        for i, ida in enumerate(self.ida):
            levels[-i - 1 :] = ida(levels[-i - 2 :], training=training)
        return levels[-1]

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {
            **super().get_config(),
            "upsampling": self.upsampling,
            "node_type": self.node_type,
            "remat": self.remat,
        }
