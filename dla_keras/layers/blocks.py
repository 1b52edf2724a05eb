"""The convolution blocks that an aggregation tree is built from."""

from keras import layers
from keras import ops
from keras.saving import register_keras_serializable

from dla_keras.layers.composite import Composite
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.pooling import DilatedPooling


class _Block(Composite):
    """Base of the blocks: a residual branch beside a shortcut.

    The tree passes the shortcut in, since it may be a projection where the
    width changes (section 4 of the paper). A block makes the layers of its
    branch in `make_branch` and calls them in `branch`.
    """

    def __init__(
        self,
        filters,
        strides=1,
        groups=1,
        base_width=64,
        dilation_rate=1,
        atrous=False,
        drop_path_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.groups = groups
        self.base_width = base_width
        self.dilation_rate = dilation_rate
        self.atrous = atrous
        self.drop_path_rate = drop_path_rate

        # Options of the 3x3 convolution that strides, and of those behind it.
        # An atrous block dilates the latter instead of striding.
        self.make_branch(
            {
                "strides": 1 if atrous else strides,
                "dilation_rate": dilation_rate,
            },
            {"dilation_rate": dilation_rate * (strides if atrous else 1)},
        )
        self.drop_path = None
        if drop_path_rate:
            # Stochastic depth (arXiv:1603.09382): whole branches at a time.
            self.drop_path = layers.Dropout(
                drop_path_rate,
                noise_shape=(None, 1, 1, 1),
                **self.part("drop_path"),
            )
        self.add = layers.Add(**self.part("add"))
        self.relu = layers.ReLU(**self.part("relu"))

    def make_branch(self, striding, behind):
        raise NotImplementedError

    def branch(self, x, training=None):
        for convolution in self.convolutions:
            x = convolution(x, training=training)
        return x

    def build(self, inputs_shape, shortcut_shape=None):
        shape = inputs_shape
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)

    def call(self, inputs, shortcut=None, training=None):
        x = self.branch(inputs, training=training)
        if self.drop_path is not None:
            x = self.drop_path(x, training=training)
        return self.relu(
            self.add([x, inputs if shortcut is None else shortcut])
        )

    def compute_output_shape(self, inputs_shape, shortcut_shape=None):
        batch, *sides, _ = inputs_shape
        strides = 1 if self.atrous else self.strides
        sides = [None if s is None else -(-s // strides) for s in sides]
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "groups": self.groups,
            "base_width": self.base_width,
            "dilation_rate": self.dilation_rate,
            "atrous": self.atrous,
            "drop_path_rate": self.drop_path_rate,
        }


@register_keras_serializable(package="dla_keras")
class BasicBlock(_Block):
    """Two 3x3 convolutions beside a shortcut (He et al., arXiv:1512.03385).

    Args:
        filters: Output channels.
        strides: Stride of the first convolution. Defaults to `1`.
        groups: Must be `1`. It exists so that all blocks take the same
            arguments.
        base_width: Must be `64`, for the same reason.
        dilation_rate: Dilation of both convolutions. Defaults to `1`.
        atrous: Whether to keep the image's size: the second convolution is
            dilated `strides` times more instead. Defaults to `False`.
        drop_path_rate: Probability in training that an image takes the
            shortcut alone. Defaults to `0.0`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        shortcut: Tensor of the output's shape, added to the branch. Defaults
            to `inputs`, which needs `filters` channels and `strides=1`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> BasicBlock(16)(np.zeros((1, 8, 8, 16))).shape
    TensorShape([1, 8, 8, 16])
    """

    def make_branch(self, striding, behind):
        if self.groups != 1 or self.base_width != 64:
            raise ValueError(
                "BasicBlock is plain: expected groups=1 and base_width=64. "
                f"Received: groups={self.groups}, base_width="
                f"{self.base_width}. Use Bottleneck for grouped convolutions."
            )
        self.conv1 = ConvBN(self.filters, **striding, **self.part("conv1"))
        self.conv2 = ConvBN(
            self.filters, activation=None, **behind, **self.part("conv2")
        )

    @property
    def convolutions(self):
        return (self.conv1, self.conv2)


@register_keras_serializable(package="dla_keras")
class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut.

    The inner width is half of the output's. With groups it is ResNeXt's block
    (Xie et al., arXiv:1611.05431).

    Args:
        filters: Output channels.
        strides: Stride of the 3x3 convolution. Defaults to `1`.
        groups: Groups of the 3x3 convolution. Defaults to `1`.
        base_width: Inner channels per group and 64 output channels, before
            halving. Defaults to `64`.
        dilation_rate: Dilation of the 3x3 convolution. Defaults to `1`.
        atrous: Whether to keep the image's size. Defaults to `False`.
        drop_path_rate: Probability in training that an image takes the
            shortcut alone. Defaults to `0.0`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        shortcut: Tensor of the output's shape, added to the branch. Defaults
            to `inputs`, which needs `filters` channels and `strides=1`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> Bottleneck(64, groups=32, base_width=4)(np.zeros((1, 8, 8, 64))).shape
    TensorShape([1, 8, 8, 64])
    """

    def make_branch(self, striding, behind):
        width = _inner_width(self)
        self.conv1 = ConvBN(width, 1, **self.part("conv1"))
        self.conv2 = ConvBN(
            width, groups=self.groups, **striding, **self.part("conv2")
        )
        self.conv3 = ConvBN(
            self.filters, 1, activation=None, **self.part("conv3")
        )

    @property
    def convolutions(self):
        return (self.conv1, self.conv2, self.conv3)


@register_keras_serializable(package="dla_keras")
class Bottle2neck(_Block):
    """Res2Net's block: a bottleneck of several scales (arXiv:1904.01169).

    The output of the first 1x1 convolution is split into four parts. Three of
    them go through a 3x3 convolution each. Where the block does not stride, a
    part is added to the previous part's output first. The last part is passed
    on, pooled where the block strides.

    Args:
        filters: Output channels.
        strides: Stride of the 3x3 convolutions. Defaults to `1`.
        groups: Groups of the 3x3 convolutions. Defaults to `1`.
        base_width: Channels of a part, per group and 64 output channels,
            before halving. Defaults to `64`.
        dilation_rate: Dilation of the 3x3 convolutions. Defaults to `1`.
        atrous: Whether to keep the image's size. Defaults to `False`.
        drop_path_rate: Probability in training that an image takes the
            shortcut alone. Defaults to `0.0`.

    Call arguments:
        inputs: `(batch, height, width, channels)`.
        shortcut: Tensor of the output's shape, added to the branch. Defaults
            to `inputs`, which needs `filters` channels and `strides=1`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> Bottle2neck(64, base_width=28)(np.zeros((1, 8, 8, 64))).shape
    TensorShape([1, 8, 8, 64])
    """

    SCALE = 4  # parts, as in every published network

    def make_branch(self, striding, behind):
        width = _inner_width(self)
        self.conv1 = ConvBN(width * self.SCALE, 1, **self.part("conv1"))
        self.split = Split(self.SCALE, **self.part("split"))
        self.convs = [
            ConvBN(
                width,
                groups=self.groups,
                **striding,
                **self.part(f"convs_{i}"),
            )
            for i in range(self.SCALE - 1)
        ]
        # A block that strides begins a level: its parts are not added up.
        self.sums = None
        self.pad = self.pool = None
        if self.strides == 1:
            self.sums = [
                layers.Add(**self.part(f"sum_{i}"))
                for i in range(1, self.SCALE - 1)
            ]
        elif self.atrous:
            self.pool = DilatedPooling(
                "average", 3, self.dilation_rate, **self.part("pool")
            )
        else:
            # Padding is a layer of its own, since PyTorch counts the padding
            # in the average and Keras does not.
            self.pad = layers.ZeroPadding2D(1, **self.part("pad"))
            self.pool = layers.AveragePooling2D(
                3, self.strides, **self.part("pool")
            )
        self.join = layers.Concatenate(**self.part("join"))
        self.conv3 = ConvBN(
            self.filters, 1, activation=None, **self.part("conv3")
        )

    def build(self, inputs_shape, shortcut_shape=None):
        self.conv1.build(inputs_shape)
        whole = self.conv1.compute_output_shape(inputs_shape)
        part = (*whole[:-1], whole[-1] // self.SCALE)
        for convolution in self.convs:
            convolution.build(part)
        if self.atrous and self.pool is not None:
            self.pool.build(part)
        outputs = self.convs[0].compute_output_shape(part)
        self.conv3.build((*outputs[:-1], whole[-1]))

    def branch(self, x, training=None):
        *parts, last = self.split(self.conv1(x, training=training))
        outputs = []
        for i, convolution in enumerate(self.convs):
            x = parts[i]
            if i and self.sums is not None:
                x = self.sums[i - 1]([outputs[-1], x])
            outputs.append(convolution(x, training=training))
        if self.pool is not None:
            last = self.pool(last if self.pad is None else self.pad(last))
        return self.conv3(self.join([*outputs, last]), training=training)


@register_keras_serializable(package="dla_keras")
class Split(layers.Layer):
    """Splits the channels into equal parts.

    Args:
        parts: Number of parts, a divisor of the number of channels.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        A list of `parts` tensors `(batch, height, width, channels / parts)`.

    Example:

    >>> [part.shape for part in Split(2)(np.zeros((1, 4, 4, 6)))]
    [TensorShape([1, 4, 4, 3]), TensorShape([1, 4, 4, 3])]
    """

    def __init__(self, parts, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, inputs):
        return ops.split(inputs, self.parts, axis=-1)

    def compute_output_shape(self, input_shape):
        *rest, channels = input_shape
        return [(*rest, channels // self.parts)] * self.parts

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


def _inner_width(block):
    return block.filters * block.base_width // 64 * block.groups // 2


BLOCKS = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
    "bottle2neck": Bottle2neck,
}
