"""Upsampling by a whole factor: fixed bilinear, or learned from that start."""

import numpy as np
from keras import initializers
from keras import layers
from keras import ops
from keras.saving import register_keras_serializable

from dla_keras.layers.composite import Composite


def bilinear_kernel(factor: int) -> np.ndarray:
    """Return the bilinear kernel of a transposed convolution that upsamples.

    The authors' `fill_up_weights` computes the same, for a kernel of
    `2 * factor`, stride `factor` and padding `factor / 2`.

    Args:
        factor: Upsampling factor, an even number.

    Returns:
        An array of shape `(2 * factor, 2 * factor)`.

    Example:

    >>> bilinear_kernel(2)[0]
    array([0.0625, 0.1875, 0.1875, 0.0625])
    """
    taps = 1 - np.abs((np.arange(2 * factor) + 0.5) / factor - 1)
    return np.outer(taps, taps)


def enlarged(shape, factor):
    """Return the shape `(N, H, W, C)`, upsampled; unknown sides stay `None`."""
    batch, *sides, channels = shape
    sides = [None if side is None else factor * side for side in sides]
    return (batch, *sides, channels)


@register_keras_serializable(package="dla_keras")
class BilinearUpsampling(layers.Layer):
    """Fixed bilinear upsampling with half-pixel centers.

    `LearnedUpsampling` starts with the same values, except at the border: this
    layer repeats the outermost pixels, that one sees zeros.

    Args:
        factor: Output pixels per input pixel and side.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, factor * height, factor * width, channels)`

    Example:

    >>> BilinearUpsampling(4)(np.ones((1, 4, 6, 3))).shape
    TensorShape([1, 16, 24, 3])
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        height, width = (self.factor * side for side in ops.shape(inputs)[1:3])
        if None in inputs.shape[1:3]:
            # Only TensorFlow traces images of unknown size. Keras' resize
            # (UpSampling2D too) refuses them as of 3.15.
            import tensorflow as tf

            return tf.image.resize(inputs, (height, width))
        return ops.image.resize(
            inputs, (height, width), data_format="channels_last"
        )

    def compute_output_shape(self, input_shape):
        return enlarged(input_shape, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@register_keras_serializable(package="dla_keras")
class DepthToSpace(layers.Layer):
    """Moves blocks of channels into space: `(H, W, f*f*C)` to `(f*H, f*W, C)`.

    Args:
        factor: Height and width of a block.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return ops.depth_to_space(inputs, self.factor, "channels_last")

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@register_keras_serializable(package="dla_keras")
class LearnedUpsampling(Composite):
    """Depthwise transposed convolution that starts as bilinear upsampling.

    The authors' upsampling (kernel `2f`, stride `f`, padding `f/2`, one
    filter per channel). Keras has no grouped transposed convolution, and
    TFLite would run a dense one. So it is computed per phase: for each of the
    `f*f` positions inside an output block, a depthwise convolution of 2x2
    input pixels, and depth-to-space puts the positions side by side. The
    values are the same, the operations builtin.

    Args:
        factor: Output pixels per input pixel and side, an even number.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        `(batch, factor * height, factor * width, channels)`

    Example:

    >>> LearnedUpsampling(2)(np.ones((1, 4, 6, 3))).shape
    TensorShape([1, 8, 12, 3])
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        if factor < 2 or factor % 2:
            raise ValueError(
                "LearnedUpsampling pads by half its factor, so `factor` must "
                f"be even. Received: factor={factor}."
            )
        self.factor = factor
        kernel = bilinear_kernel(factor)
        # Output rows in the first half of a block see their own input row and
        # the one above; those in the second half, their own and the one below.
        # So four paddings serve all phases.
        self.pad = [
            layers.ZeroPadding2D(
                ((1 - down, down), (1 - right, right)),
                **self.part(f"pad_{down}{right}"),
            )
            for down in (0, 1)
            for right in (0, 1)
        ]
        self.phase = [
            layers.DepthwiseConv2D(
                2,
                use_bias=False,
                depthwise_initializer=initializers.Constant(
                    self.phase_of(kernel, index)[..., None, None].tolist()
                ),
                **self.part(f"phase_{index}"),
            )
            for index in range(factor**2)
        ]
        self.join = layers.Concatenate(**self.part("join"))
        self.to_space = DepthToSpace(factor, **self.part("to_space"))

    def phase_of(self, kernel, index):
        """Return the 2x2 taps of phase `index` of a kernel `(2f, 2f, ...)`.

        The tap of the top left input pixel comes first. A transposed
        convolution spreads an input pixel down and right, so the rows and
        columns are taken in reverse.
        """
        row, column = divmod(index, self.factor)
        half = self.factor // 2
        rows = (row + half) % self.factor + np.array([self.factor, 0])
        columns = (column + half) % self.factor + np.array([self.factor, 0])
        return kernel[rows][:, columns]

    def build(self, input_shape):
        padded = self.pad[0].compute_output_shape(input_shape)
        for phase in self.phase:
            phase.build(padded)

    def call(self, inputs):
        padded = [pad(inputs) for pad in self.pad]
        phases = []
        for index, phase in enumerate(self.phase):
            row, column = divmod(index, self.factor)
            down = row >= self.factor // 2
            right = column >= self.factor // 2
            phases.append(phase(padded[2 * down + right]))
        # (N, H, W, f*f*C) -> (N, f*H, f*W, C)
        return self.to_space(self.join(phases))

    def compute_output_shape(self, input_shape):
        return enlarged(input_shape, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


UPSAMPLINGS = {"bilinear": BilinearUpsampling, "learned": LearnedUpsampling}
