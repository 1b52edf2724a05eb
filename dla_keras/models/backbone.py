"""The DLA backbone: from a normalized image to a pyramid of features."""

from collections.abc import Sequence
from numbers import Integral

import keras
from keras.saving import register_keras_serializable

from dla_keras.choices import check_number
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.hierarchical import Tree
from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.models.network import Network
from dla_keras.variants import find_variant

LEVELS = ("P0", "P1", "P2", "P3", "P4", "P5")
MAX_STRIDE = 32


@register_keras_serializable(package="dla_keras")
class DLABackbone(Network):
    """Deep layer aggregation backbone (section 4 and figure 3 of the paper).

    Args:
        variant: Name in `dla_keras.VARIANTS`, for instance `"dla34"`.
        levels: Names of the features to return, fine to coarse. Nothing beyond
            the last one is built. Defaults to all, `("P0", ..., "P5")`.
        output_stride: Stride of the coarsest features: `32`, `16` or `8`.
            Levels beyond it dilate instead of striding (DeepLab's atrous
            convolution), with the same weights. Defaults to `32`.
        drop_path_rate: Rate of stochastic depth in the last level; it rises
            evenly from level to level. Defaults to `0.0`.
        remat: Whether training computes inner values again instead of keeping
            them (gradient checkpointing), which takes less memory and more
            time. Defaults to `False`.
        input_shape: `(height, width, 3)`, each side a multiple of
            `output_stride` or `None`. Defaults to `(None, None, 3)`.
        name: Name of the model. Defaults to one made from the class's.
        trainable: Whether training changes the weights. Defaults to `True`.
        dtype: Precision policy. Defaults to Keras' own.

    Input shape:
        `(batch, height, width, 3)`, normalized.

    Output shape:
        A dictionary of the `levels`; `Pn` has stride `2**n`, or
        `output_stride` where that is less:
        `(batch, height / 2**n, width / 2**n, filters[n])`.

    Raises:
        ValueError: If the variant, a level, the output stride or the number of
            channels is unknown, or a side is not a multiple of the stride.

    Example:

    >>> backbone = DLABackbone("dla46_c", levels=("P2", "P5"))
    >>> features = backbone(np.zeros((1, 64, 96, 3)))
    >>> {name: tuple(x.shape) for name, x in features.items()}
    {'P2': (1, 16, 24, 64), 'P5': (1, 2, 3, 256)}
    """

    def __init__(
        self,
        variant: str,
        levels: Sequence[str] = LEVELS,
        output_stride: int = MAX_STRIDE,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        input_shape: ImageShape = (None, None, 3),
        name: str | None = None,
        trainable: bool = True,
        dtype: DType = None,
    ) -> None:
        row = find_variant(variant)
        check_number("drop_path", drop_path_rate, "drop_path_rate")
        if output_stride not in (8, 16, 32):
            raise ValueError(
                f"`output_stride` must be 8, 16 or 32. Received: "
                f"{output_stride!r}."
            )
        if not levels or sorted(set(levels) & set(LEVELS)) != list(levels):
            raise ValueError(
                "`levels` must name one or more of P0 to P5, fine to coarse. "
                f"Received: {levels!r}."
            )
        check_input_shape(input_shape, output_stride)

        # === Layers ===
        # Named as in the reference, so that its weights' names lead here.
        deepest = LEVELS.index(levels[-1])
        parts = {
            "base_layer": ConvBN(
                row.filters[0], 7, name="base_layer", dtype=dtype
            ),
            "level0": ConvBN(row.filters[0], name="level0", dtype=dtype),
        }
        if deepest >= 1:
            parts["level1"] = ConvBN(
                row.filters[1], strides=2, name="level1", dtype=dtype
            )
        for level in range(2, deepest + 1):
            parts[f"level{level}"] = Tree(
                row.filters[level],
                row.depths[level - 2],
                row.block,
                strides=2,
                level_root=level > 2,
                residual_root=row.residual_root,
                groups=row.groups,
                base_width=row.base_width,
                # The levels beyond the output stride keep its size.
                dilation_rate=max(1, 2 ** (level - 1) // output_stride),
                atrous=2**level > output_stride,
                drop_path_rate=drop_path_rate * (level - 2) / 3,
                remat=remat,
                name=f"level{level}",
                dtype=dtype,
            )

        # === Functional model ===
        inputs = keras.Input(input_shape, name="image")
        x, features = parts["base_layer"](inputs), {}
        for level in range(deepest + 1):
            x = parts[f"level{level}"](x)
            features[f"P{level}"] = x  # (N, H/2**level, W/2**level, filters)
        outputs = {level: features[level] for level in levels}
        super().__init__(inputs, outputs, name, trainable)

        # === Attributes ===
        for attribute, layer in parts.items():
            setattr(self, attribute, layer)
        self.variant = variant
        self.levels = tuple(levels)
        self.output_stride = output_stride
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.image_shape = tuple(input_shape)

    def call(self, inputs, training=None, mask=None):
        check_input_shape(inputs.shape[1:], self.output_stride)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return {
            **super().get_config(),
            "variant": self.variant,
            "levels": self.levels,
            "output_stride": self.output_stride,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "input_shape": self.image_shape,
        }


def check_input_shape(shape: ImageShape, stride: int = MAX_STRIDE) -> None:
    """Raise unless a shape is `(height, width, 3)` with sides that fit.

    Args:
        shape: Shape of one image; an unknown side is `None`.
        stride: Divisor of both sides. Defaults to `32`.

    Raises:
        ValueError: If the shape does not fit, or Keras' image data format is
            `"channels_first"`.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "dla_keras works on channels_last images. Received: "
            "image_data_format='channels_first'. Call "
            "keras.config.set_image_data_format('channels_last')."
        )
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(
            "Expected RGB images of shape (height, width, 3). Received: "
            f"{tuple(shape)}."
        )
    for side in shape[:2]:
        whole = isinstance(side, Integral) and not isinstance(side, bool)
        if side is not None and not whole:
            raise ValueError(
                "A side is a whole number of pixels, or None. Received: "
                f"{tuple(shape)}."
            )
        if side is not None and (side < stride or side % stride):
            fit = [
                -(-size // stride) * stride
                for size in shape[:2]
                if size is not None
            ]
            raise ValueError(
                f"Height and width must be multiples of {stride}. "
                f"Received: {tuple(shape)}. Pad to {' x '.join(map(str, fit))}"
                " (`dla_keras.load` pads and crops for you)."
            )
