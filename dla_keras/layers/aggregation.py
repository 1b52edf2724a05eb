"""Deep layer aggregation: the paper's section 3 (arXiv:1707.06484) in one file.

Hierarchical aggregation (`Root`, `Tree`) makes the backbone; iterative
aggregation (`IDAUp`, `DLAUp`) brings its levels back to a fine resolution.
"""

from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.layers.blocks import find_block
from dla_keras.layers.composite import Composite
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.upsampling import find_upsampling


@register_keras_serializable(package="dla_keras")
class Root(Composite):
    """Aggregation node: joins features with a 1x1 convolution (section 3.2).

    Args:
        filters: output channels.
        residual: whether the first input is added to the output before the
            ReLU. Defaults to `False`.

    Input shape:
        A list of `(batch, height, width, any channels)`; with `residual` the
        first has `filters` channels.

    Output shape:
        `(batch, height, width, filters)`

    Example:

    >>> x = np.zeros((1, 8, 8, 16))
    >>> Root(32)([x, x]).shape
    TensorShape([1, 8, 8, 32])
    """

    def __init__(self, filters, residual=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.residual = residual
        self.join = layers.Concatenate(**self.part("join"))
        self.conv = ConvBN(filters, 1, activation=None, **self.part("conv"))
        self.add = layers.Add(**self.part("add")) if residual else None
        self.relu = layers.ReLU(**self.part("relu"))

    def build(self, input_shape):
        self.conv.build(self.join.compute_output_shape(input_shape))

    def call(self, inputs, training=None):
        x = self.conv(self.join(inputs), training=training)
        if self.residual:
            x = self.add([x, inputs[0]])
        return self.relu(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "residual": self.residual,
        }


@register_keras_serializable(package="dla_keras")
class Tree(Composite):
    """Hierarchical deep aggregation of blocks (section 3.2, figure 2f).

    A tree of depth 1 is two blocks and the root that joins them. A deeper one
    is two trees of depth - 1, in which the second one's last root also sees
    what the first made. So features meet after one, two, four ... blocks, and
    every block is a few roots away from the output.

    Args:
        filters: output channels.
        depth: the tree holds `2**depth` blocks. Defaults to `1`.
        block: `"basic"` or `"bottleneck"`. Defaults to `"basic"`.
        strides: of the tree as a whole. Defaults to `1`.
        level_root: whether the last root also sees the tree's input, pooled
            to the output's size. Defaults to `False`.
        residual_root: whether roots add their first input. Defaults to
            `False`.
        groups: of the blocks' convolutions. Defaults to `1`.
        base_width: of the blocks. Defaults to `64`.
        dilation_rate: of the blocks. Defaults to `1`.

    Call arguments:
        x: `(batch, height, width, channels)`.
        children: a tuple of features of the output's size that the last root
            joins too. Defaults to `()`.

    Output shape:
        `(batch, height / strides, width / strides, filters)`

    Example:

    >>> Tree(64, depth=2, strides=2)(np.zeros((1, 16, 16, 32))).shape
    TensorShape([1, 8, 8, 64])
    """

    def __init__(
        self,
        filters,
        depth=1,
        block="basic",
        strides=1,
        level_root=False,
        residual_root=False,
        groups=1,
        base_width=64,
        dilation_rate=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if depth < 1:
            raise ValueError(
                f"A tree is at least 1 deep. Received: depth={depth}."
            )
        self.filters = filters
        self.depth = depth
        self.block = block
        self.strides = strides
        self.level_root = level_root
        self.residual_root = residual_root
        self.groups = groups
        self.base_width = base_width
        self.dilation_rate = dilation_rate

        self.downsample = None
        if strides > 1:
            self.downsample = layers.MaxPooling2D(
                strides, **self.part("downsample")
            )
        half = self._block if depth == 1 else self._subtree
        self.tree1 = half("tree1", strides)
        self.tree2 = half("tree2", 1)
        self.root = None
        if depth == 1:
            self.root = Root(filters, residual_root, **self.part("root"))
        self.project = None

    def _block(self, suffix, strides):
        return find_block(self.block)(
            self.filters,
            strides=strides,
            groups=self.groups,
            base_width=self.base_width,
            dilation_rate=self.dilation_rate,
            **self.part(suffix),
        )

    def _subtree(self, suffix, strides):
        return Tree(
            self.filters,
            self.depth - 1,
            self.block,
            strides,
            residual_root=self.residual_root,
            groups=self.groups,
            base_width=self.base_width,
            dilation_rate=self.dilation_rate,
            **self.part(suffix),
        )

    def build(self, x_shape, children_shape=()):
        bottom = x_shape
        if self.downsample is not None:
            bottom = self.downsample.compute_output_shape(x_shape)
        output = (*bottom[:-1], self.filters)
        children = tuple(children_shape)
        if self.level_root:
            children = (*children, bottom)

        self.tree1.build(x_shape)
        if self.root is None:
            self.tree2.build(output, (*children, output))
            return
        self.tree2.build(output)
        self.root.build([output, output, *children])
        # Only the blocks of a tree of depth 1 use a shortcut. (The authors'
        # code makes a projection in deeper trees too and never uses it.)
        if x_shape[-1] != self.filters:
            self.project = ConvBN(
                self.filters, 1, activation=None, **self.part("project")
            )
            self.project.build(bottom)

    def call(self, x, children=(), training=None):
        bottom = x  # the input at the output's size
        if self.downsample is not None and (self.level_root or self.root):
            bottom = self.downsample(x)
        if self.level_root:
            children = (*children, bottom)

        if self.root is None:
            x1 = self.tree1(x, training=training)
            return self.tree2(x1, (*children, x1), training=training)

        shortcut = bottom
        if self.project is not None:
            shortcut = self.project(bottom, training=training)
        x1 = self.tree1(x, shortcut, training=training)
        x2 = self.tree2(x1, training=training)
        return self.root([x2, x1, *children], training=training)

    def compute_output_shape(self, x_shape, children_shape=()):
        return self.tree1.compute_output_shape(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "block": self.block,
            "strides": self.strides,
            "level_root": self.level_root,
            "residual_root": self.residual_root,
            "groups": self.groups,
            "base_width": self.base_width,
            "dilation_rate": self.dilation_rate,
        }


@register_keras_serializable(package="dla_keras")
class IDAUp(Composite):
    """Iterative deep aggregation with upsampling (section 3.3, figure 3).

    Brings every input to the first one's channels and size, then folds them
    in one after the other, each time through a 3x3 node.

    Args:
        filters: output channels, those of the first input.
        factors: per input, output pixels per input pixel and side; the first
            is `1`.
        upsampling: `"bilinear"` or `"learned"`. Defaults to `"bilinear"`.

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

    def __init__(self, filters, factors, upsampling="bilinear", **kwargs):
        super().__init__(**kwargs)
        if len(factors) < 2 or factors[0] != 1:
            raise ValueError(
                "`factors` needs at least two inputs, the first at the "
                f"output's size (1). Received: factors={factors}."
            )
        self.filters = filters
        self.factors = tuple(factors)
        self.upsampling = upsampling

        # The reference numbers its parts by input, so position 0, which needs
        # neither upsampling nor node, holds None.
        coarser = range(1, len(self.factors))
        self.proj = [None] * len(self.factors)
        self.up = [None] + [
            find_upsampling(upsampling)(self.factors[i], **self.part(f"up_{i}"))
            for i in coarser
        ]
        self.join = [None] + [
            layers.Concatenate(**self.part(f"join_{i}")) for i in coarser
        ]
        self.node = [None] + [
            ConvBN(filters, **self.part(f"node_{i}")) for i in coarser
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
        for i in range(1, len(inputs)):
            y = inputs[i]
            if self.proj[i] is not None:
                y = self.proj[i](y, training=training)
            y = self.up[i](y)
            x = self.node[i](self.join[i]([x, y]), training=training)
            outputs.append(x)
        return outputs

    def compute_output_shape(self, input_shape):
        fine = (*input_shape[0][:-1], self.filters)
        return [fine] * (len(input_shape) - 1)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "factors": self.factors,
            "upsampling": self.upsampling,
        }


@register_keras_serializable(package="dla_keras")
class DLAUp(Composite):
    """Iterative aggregations of all levels into the finest (section 3.3).

    The first `IDAUp` joins the two coarsest levels; each further one takes
    the next finer level in and brings everything coarser up to it.

    Args:
        upsampling: `"bilinear"` or `"learned"`. Defaults to `"bilinear"`.

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

    def __init__(self, upsampling="bilinear", **kwargs):
        super().__init__(**kwargs)
        self.upsampling = upsampling
        self.ida = []

    def build(self, input_shape):
        channels = [shape[-1] for shape in input_shape]
        # A step leaves everything coarser at its own size, so that the next
        # one upsamples by two throughout.
        self.ida = [
            IDAUp(
                channels[-i - 2],
                (1,) + (2,) * (i + 1),
                self.upsampling,
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
        return {**super().get_config(), "upsampling": self.upsampling}
