"""Hierarchical deep aggregation: section 3.2 of the paper (arXiv:1707.06484).

A `Tree` aggregates blocks and joins them with a `Root`; the backbone is made
of trees. `iterative.py` has the other way to aggregate.
"""

from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import choose
from dla_keras.layers.blocks import BLOCKS
from dla_keras.layers.composite import Composite
from dla_keras.layers.composite import recompute
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.pooling import DilatedPooling


@register_keras_serializable(package="dla_keras")
class Root(Composite):
    """Aggregation node: joins features with a 1x1 convolution (section 3.3).

    Args:
        filters: Output channels.
        residual: Whether the first input is added to the output before the
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

    A tree of depth 1 is two blocks and the root that joins them. A deeper tree
    is two trees of `depth - 1`; the last root of the second one also takes the
    first one's output. So features are joined after one, two, four ... blocks,
    and every block is only a few roots away from the output.

    Args:
        filters: Output channels.
        depth: Depth of the tree, which holds `2**depth` blocks. Defaults to
            `1`.
        block: `"basic"`, `"bottleneck"` or `"bottle2neck"`. Defaults to
            `"basic"`.
        strides: Stride of the tree as a whole. Defaults to `1`.
        level_root: Whether the last root also takes the tree's input, pooled
            to the output's size. Defaults to `False`.
        residual_root: Whether roots add their first input. Defaults to
            `False`.
        groups: Groups of the blocks' 3x3 convolutions. Defaults to `1`.
        base_width: Base width of the blocks. Defaults to `64`.
        dilation_rate: Dilation of the blocks. Defaults to `1`.
        atrous: Whether to keep the image's size: the convolutions behind the
            one that would stride are dilated `strides` times more instead, so
            that every `strides`-th output is the same. Defaults to `False`.
        drop_path_rate: Probability in training that an image takes the
            shortcut alone, for each block. Defaults to `0.0`.
        remat: Whether training keeps only the input of every two blocks and
            their root, and computes the rest again for the gradient: less
            memory for one more forward pass. Defaults to `False`.

    Call arguments:
        x: `(batch, height, width, channels)`.
        children: Tuple of features of the output's size that the last root
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
        atrous=False,
        drop_path_rate=0.0,
        remat=False,
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
        self.atrous = atrous
        self.drop_path_rate = drop_path_rate
        self.remat = remat

        self.downsample = None
        if strides > 1 and atrous:
            self.downsample = DilatedPooling(
                "max", strides, dilation_rate, **self.part("downsample")
            )
        elif strides > 1:
            self.downsample = layers.MaxPooling2D(
                strides, **self.part("downsample")
            )
        self.tree1 = self._make_half("tree1", strides, dilation_rate, atrous)
        behind = dilation_rate * (strides if atrous else 1)
        self.tree2 = self._make_half("tree2", 1, behind, False)
        self.root = None
        if depth == 1:
            self.root = Root(filters, residual_root, **self.part("root"))
        self.project = None

    def _make_half(self, suffix, strides, dilation_rate, atrous):
        options = {
            "strides": strides,
            "groups": self.groups,
            "base_width": self.base_width,
            "dilation_rate": dilation_rate,
            "atrous": atrous,
            "drop_path_rate": self.drop_path_rate,
            **self.part(suffix),
        }
        if self.depth == 1:
            make_block = choose("block", self.block, BLOCKS)
            return make_block(self.filters, **options)
        return Tree(
            self.filters,
            self.depth - 1,
            self.block,
            residual_root=self.residual_root,
            remat=self.remat,
            **options,
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
        # Only the blocks of a tree of depth 1 use a shortcut. The authors'
        # code makes a projection in deeper trees too and never uses it.
        if x_shape[-1] != self.filters:
            self.project = ConvBN(
                self.filters, 1, activation=None, **self.part("project")
            )
            self.project.build(bottom)

    def call(self, x, children=(), training=None):
        aggregate = lambda x, *children: self._aggregate(x, children, training)
        if self.remat and training and self.root is not None:
            return recompute(self, aggregate, x, *children)
        return aggregate(x, *children)

    def _aggregate(self, x, children, training):
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
            "atrous": self.atrous,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
        }
