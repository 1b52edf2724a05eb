"""The DLA backbone: a normalised picture in, a pyramid of features out."""

import keras
from keras.saving import register_keras_serializable

from dla_keras.layers.aggregation import Tree
from dla_keras.layers.convolution import ConvBN
from dla_keras.variants import find_variant

MAX_STRIDE = 32


@register_keras_serializable(package="dla_keras")
class DLABackbone(keras.Model):
    """Deep layer aggregation backbone (section 4 and figure 3 of the paper).

    Args:
        variant: a name of `dla_keras.VARIANTS`, for instance `"dla34"`.
        input_shape: `(height, width, 3)`, each side a multiple of 32 or
            `None`. Defaults to `(None, None, 3)`.

    Input shape:
        `(batch, height, width, 3)`, already normalised.

    Output shape:
        A dictionary `P0` .. `P5`; `Pn` has stride `2**n`:
        `(batch, height / 2**n, width / 2**n, filters[n])`.

    Raises:
        ValueError: for an unknown variant, another number of channels, or a
            picture whose sides are not multiples of 32.

    Example:

    >>> backbone = DLABackbone("dla46_c")
    >>> features = backbone(np.zeros((1, 64, 96, 3)))
    >>> features["P3"].shape
    TensorShape([1, 8, 12, 64])
    """

    def __init__(self, variant, input_shape=(None, None, 3), **kwargs):
        row = find_variant(variant)
        check_input_shape(input_shape)

        # === Layers ===
        # Named as in the reference, so that its weights' names lead here.
        dtype = kwargs.get("dtype")
        self.base_layer = ConvBN(
            row.filters[0], 7, name="base_layer", dtype=dtype
        )
        self.level0 = ConvBN(row.filters[0], name="level0", dtype=dtype)
        self.level1 = ConvBN(
            row.filters[1], strides=2, name="level1", dtype=dtype
        )
        self.level2, self.level3, self.level4, self.level5 = (
            Tree(
                row.filters[level],
                depth,
                row.block,
                strides=2,
                level_root=level > 2,
                residual_root=row.residual_root,
                groups=row.groups,
                base_width=row.base_width,
                name=f"level{level}",
                dtype=dtype,
            )
            for level, depth in enumerate(row.depths, start=2)
        )

        # === Functional model ===
        inputs = keras.Input(input_shape, name="image")
        x, outputs = self.base_layer(inputs), {}
        for level in range(6):
            x = getattr(self, f"level{level}")(x)
            outputs[f"P{level}"] = x  # (N, H/2**level, W/2**level, filters)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.variant = variant
        self.image_shape = tuple(input_shape)

    def call(self, inputs, training=None, mask=None):
        check_input_shape(inputs.shape[1:])
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not what its layers have.
            "dtype": keras.dtype_policies.serialize(
                self.base_layer.dtype_policy
            ),
            "variant": self.variant,
            "input_shape": self.image_shape,
        }


def check_input_shape(shape):
    """Raises unless `shape` is `(height, width, 3)` with sides that fit."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "dla_keras works on channels_last pictures. Received: "
            "image_data_format='channels_first'. Call "
            "keras.config.set_image_data_format('channels_last')."
        )
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(
            "Expected RGB pictures of shape (height, width, 3). Received: "
            f"{tuple(shape)}."
        )
    for side in shape[:2]:
        if side is not None and (side < MAX_STRIDE or side % MAX_STRIDE):
            fit = [
                -(-size // MAX_STRIDE) * MAX_STRIDE
                for size in shape[:2]
                if size is not None
            ]
            raise ValueError(
                f"Height and width must be multiples of {MAX_STRIDE}. "
                f"Received: {tuple(shape)}. Pad to {' x '.join(map(str, fit))}"
                " (dla_keras.inference pads and crops for you)."
            )
