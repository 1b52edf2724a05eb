"""The convolution blocks that an aggregation tree is built of."""

from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.layers.composite import Composite
from dla_keras.layers.convolution import ConvBN


class _Block(Composite):
    """What the blocks share: convolutions in a row beside a shortcut.

    A tree passes the shortcut in, since it may be a projection that two
    blocks of different width need (section 4 of the paper).
    """

    def __init__(
        self,
        filters,
        strides=1,
        groups=1,
        base_width=64,
        dilation_rate=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.groups = groups
        self.base_width = base_width
        self.dilation_rate = dilation_rate
        self.add = layers.Add(**self.part("add"))
        self.relu = layers.ReLU(**self.part("relu"))

    def build(self, inputs_shape, shortcut_shape=None):
        shape = inputs_shape
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)

    def call(self, inputs, shortcut=None, training=None):
        x = inputs
        for convolution in self.convolutions:
            x = convolution(x, training=training)
        return self.relu(
            self.add([x, inputs if shortcut is None else shortcut])
        )

    def compute_output_shape(self, inputs_shape, shortcut_shape=None):
        shape = inputs_shape
        for convolution in self.convolutions:
            shape = convolution.compute_output_shape(shape)
        return shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "groups": self.groups,
            "base_width": self.base_width,
            "dilation_rate": self.dilation_rate,
        }


@register_keras_serializable(package="dla_keras")
class BasicBlock(_Block):
    """Two 3x3 convolutions beside a shortcut (He et al., arXiv:1512.03385).

    Args:
        filters: output channels.
        strides: of the first convolution. Defaults to `1`.
        groups: must be `1`; here so that blocks can stand for each other.
        base_width: must be `64`, likewise.
        dilation_rate: of both convolutions. Defaults to `1`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        shortcut: what is added, of the output's shape. Defaults to `inputs`,
            which then must have `filters` channels and `strides` be `1`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> BasicBlock(16)(np.zeros((1, 8, 8, 16))).shape
    TensorShape([1, 8, 8, 16])
    """

    def __init__(self, filters, strides=1, dilation_rate=1, **kwargs):
        super().__init__(
            filters, strides, dilation_rate=dilation_rate, **kwargs
        )
        if self.groups != 1 or self.base_width != 64:
            raise ValueError(
                "BasicBlock is plain: expected groups=1 and base_width=64. "
                f"Received: groups={self.groups}, base_width="
                f"{self.base_width}. Use Bottleneck for grouped convolutions."
            )
        self.conv1 = ConvBN(
            filters,
            strides=strides,
            dilation_rate=dilation_rate,
            **self.part("conv1"),
        )
        self.conv2 = ConvBN(
            filters,
            dilation_rate=dilation_rate,
            activation=None,
            **self.part("conv2"),
        )

    @property
    def convolutions(self):
        return (self.conv1, self.conv2)


@register_keras_serializable(package="dla_keras")
class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut.

    The inner width is half the output's; grouped, it is ResNeXt's block (Xie
    et al., arXiv:1611.05431).

    Args:
        filters: output channels.
        strides: of the 3x3 convolution. Defaults to `1`.
        groups: of the 3x3 convolution. Defaults to `1`.
        base_width: inner channels per group and 64 output channels, before
            halving. Defaults to `64`.
        dilation_rate: of the 3x3 convolution. Defaults to `1`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        shortcut: what is added, of the output's shape. Defaults to `inputs`,
            which then must have `filters` channels and `strides` be `1`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> Bottleneck(64, groups=32, base_width=4)(np.zeros((1, 8, 8, 64))).shape
    TensorShape([1, 8, 8, 64])
    """

    def __init__(
        self,
        filters,
        strides=1,
        groups=1,
        base_width=64,
        dilation_rate=1,
        **kwargs,
    ):
        super().__init__(
            filters, strides, groups, base_width, dilation_rate, **kwargs
        )
        inner = filters * base_width // 64 * groups // 2
        self.conv1 = ConvBN(inner, 1, **self.part("conv1"))
        self.conv2 = ConvBN(
            inner,
            strides=strides,
            groups=groups,
            dilation_rate=dilation_rate,
            **self.part("conv2"),
        )
        self.conv3 = ConvBN(filters, 1, activation=None, **self.part("conv3"))

    @property
    def convolutions(self):
        return (self.conv1, self.conv2, self.conv3)


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


def find_block(name):
    """The block class called `name`.

    Raises:
        ValueError: for a name that `BLOCKS` does not hold.
    """
    if name not in BLOCKS:
        raise ValueError(
            f"Unknown block: expected one of {', '.join(BLOCKS)}. "
            f"Received: {name!r}."
        )
    return BLOCKS[name]
