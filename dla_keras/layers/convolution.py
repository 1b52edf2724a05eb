"""Convolution with batch norm: padding, epsilon, momentum, initial kernels.

`SeparableConvBN` is the cheap alternative where input and output have many
channels; `pixel_normalization` stands before a model's first convolution.
"""

import numpy as np
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.layers.composite import Composite

BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9  # Keras' sense; PyTorch writes it as 0.1.


def _he_normal():
    """Return the authors' initializer: He normal over the fan out."""
    return initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _batch_norm(**kwargs):
    return layers.BatchNormalization(
        epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, **kwargs
    )


@register_keras_serializable(package="dla_keras")
class ConvBN(Composite):
    """Convolution without bias, batch normalization and, by default, a ReLU.

    A strided convolution pads `dilation_rate * (kernel_size - 1) / 2` pixels
    on every side, as PyTorch does. TensorFlow's `same` would pad an image of
    even size at the bottom right only, and shift each level by half a pixel
    against the authors' weights.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the kernel, an odd number. Defaults to
            `3`.
        strides: Stride along both axes. Defaults to `1`.
        groups: Number of groups. Defaults to `1`.
        dilation_rate: Dilation along both axes. Defaults to `1`.
        activation: `"relu"`, or `None` for a linear output. Defaults to
            `"relu"`.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`

    Example:

    >>> ConvBN(16, strides=2)(np.zeros((1, 64, 96, 3))).shape
    TensorShape([1, 32, 48, 16])
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        groups=1,
        dilation_rate=1,
        activation="relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(
                "ConvBN pads the same on every side, so `kernel_size` must be "
                f"odd. Received: kernel_size={kernel_size}."
            )
        if activation not in (None, "relu"):
            raise ValueError(
                "`activation` must be 'relu' or None. Received: "
                f"activation={activation!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.groups = groups
        self.dilation_rate = dilation_rate
        self.activation = activation

        # At stride 1, `same` pads equally on every side and saves the
        # operation of a padding layer.
        self.pad = None
        if strides > 1 and kernel_size > 1:
            self.pad = layers.ZeroPadding2D(
                dilation_rate * (kernel_size - 1) // 2,
                **self.part("pad"),
            )
        self.conv = layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="valid" if self.pad else "same",
            groups=groups,
            dilation_rate=dilation_rate,
            use_bias=False,
            kernel_initializer=_he_normal(),
            **self.part("conv"),
        )
        self.bn = _batch_norm(**self.part("bn"))
        self.relu = None
        if activation:
            self.relu = layers.ReLU(**self.part("relu"))

    def build(self, input_shape):
        steps = (self.pad, self.conv, self.bn, self.relu)
        for layer in filter(None, steps):
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs, training=None):
        x = inputs if self.pad is None else self.pad(inputs)
        x = self.bn(self.conv(x), training=training)
        return x if self.relu is None else self.relu(x)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        shrink = lambda size: None if size is None else -(-size // self.strides)
        return (batch, shrink(height), shrink(width), self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "groups": self.groups,
            "dilation_rate": self.dilation_rate,
            "activation": self.activation,
        }


@register_keras_serializable(package="dla_keras")
class SeparableConvBN(Composite):
    """A depthwise, then a 1x1 convolution, each with batch norm and a ReLU.

    MobileNets are made of it (arXiv:1704.04861, section 3.1). With a 3x3
    kernel and many channels it costs a ninth of a `ConvBN`.

    Args:
        filters: Output channels.
        kernel_size: Height and width of the depthwise kernel, an odd number.
            Defaults to `3`.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, height, width, filters)`

    Example:

    >>> SeparableConvBN(16)(np.zeros((1, 64, 96, 32))).shape
    TensorShape([1, 64, 96, 16])
    """

    def __init__(self, filters, kernel_size=3, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.depthwise = layers.DepthwiseConv2D(
            kernel_size,
            padding="same",
            use_bias=False,
            depthwise_initializer=_he_normal(),
            **self.part("depthwise"),
        )
        self.bn = _batch_norm(**self.part("bn"))
        self.relu = layers.ReLU(**self.part("relu"))
        self.pointwise = ConvBN(filters, 1, **self.part("pointwise"))

    def build(self, input_shape):
        for layer in (self.depthwise, self.bn, self.relu, self.pointwise):
            layer.build(input_shape)

    def call(self, inputs, training=None):
        x = self.bn(self.depthwise(inputs), training=training)
        return self.pointwise(self.relu(x), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


def pixel_normalization(mean, std, **kwargs):
    """Return the layer that normalizes pixels of 0 to 255.

    Args:
        mean: RGB mean for pixels scaled to 0..1.
        std: RGB standard deviation for pixels scaled to 0..1.
        **kwargs: Arguments of `keras.layers.Rescaling`, for instance `dtype`.

    Example:

    >>> layer = pixel_normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    >>> np.round(layer(np.array([[0.0, 127.5, 255.0]])), 3).tolist()
    [[-2.0, 0.0, 2.0]]
    """
    for argument, values in (("mean", mean), ("std", std)):
        numbers = np.ndim(values) == 1 and np.asarray(values).dtype.kind in "if"
        fits = numbers and len(values) == 3 and np.isfinite(values).all()
        if not fits or argument == "std" and min(values) <= 0:
            raise ValueError(
                f"`{argument}` holds three numbers, for R, G and B of pixels "
                f"from 0 to 1{', above 0' * (argument == 'std')}. Received: "
                f"{values!r:.100}."
            )
    return layers.Rescaling(
        scale=[1 / (255 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        name="normalize",
        **kwargs,
    )
