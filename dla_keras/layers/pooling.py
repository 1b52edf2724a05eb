"""Pooling that keeps the image's size, for backbones that dilate."""

from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import choose
from dla_keras.layers.composite import Composite

MERGES = {"max": layers.Maximum, "average": layers.Average}


@register_keras_serializable(package="dla_keras")
class DilatedPooling(Composite):
    """Pools at every pixel, over pixels `dilation_rate` apart.

    Keras pools adjacent pixels only. This is strided pooling computed densely
    (DeepLab's "atrous" way, arXiv:1606.00915): every `strides`-th output equals
    that of the strided pooling. The padding is zero, so a maximum needs inputs
    of at least zero, such as a ReLU's.

    Args:
        pool: `"max"`, or `"average"`, which counts the padding as PyTorch does.
        pool_size: Height and width of the window, in pixels it takes. An even
            window starts at its pixel, an odd one is centered on it. Defaults
            to `2`.
        dilation_rate: Distance between these pixels. Defaults to `1`.

    Input shape:
        `(batch, height, width, channels)`

    Output shape:
        The same.

    Example:

    >>> x = np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 1, 4, 1)
    >>> np.ravel(DilatedPooling("max")(x)).tolist()
    [5.0, 5.0, 3.0, 3.0]
    """

    def __init__(self, pool, pool_size=2, dilation_rate=1, **kwargs):
        super().__init__(**kwargs)
        make_merge = choose("pool", pool, MERGES)
        self.pool = pool
        self.pool_size = pool_size
        self.dilation_rate = dilation_rate
        reach = dilation_rate * (pool_size - 1)
        before = reach // 2 if pool_size % 2 else 0
        steps = range(0, reach + 1, dilation_rate)
        # Rows, then columns: a window is the product of both.
        self.pad, self.shift, self.merge = [], [], []
        for axis in ("rows", "columns"):
            on_axis = lambda pair, axis=axis: (
                (pair, (0, 0)) if axis == "rows" else ((0, 0), pair)
            )
            self.pad.append(
                layers.ZeroPadding2D(
                    on_axis((before, reach - before)),
                    **self.part(f"{axis}_pad"),
                )
            )
            self.shift.append(
                [
                    layers.Cropping2D(
                        on_axis((step, reach - step)),
                        **self.part(f"{axis}_shift_{step}"),
                    )
                    for step in steps
                ]
            )
            self.merge.append(make_merge(**self.part(f"{axis}_{pool}")))

    def build(self, input_shape):
        for merge in self.merge:
            merge.build([input_shape] * self.pool_size)

    def call(self, inputs):
        x = inputs
        for pad, shifts, merge in zip(
            self.pad, self.shift, self.merge, strict=True
        ):
            padded = pad(x)
            x = merge([shift(padded) for shift in shifts])
        return x

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "pool": self.pool,
            "pool_size": self.pool_size,
            "dilation_rate": self.dilation_rate,
        }
