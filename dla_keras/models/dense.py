"""What the dense models share: a picture's features, and scores per pixel."""

from dataclasses import dataclass

import keras
from keras import initializers
from keras import layers

from dla_keras.choices import choose
from dla_keras.layers.convolution import pixel_normalization
from dla_keras.layers.iterative import DLAUp
from dla_keras.layers.upsampling import UPSAMPLINGS
from dla_keras.models.backbone import DLABackbone


@dataclass(frozen=True)
class DenseFeatures:
    """A picture's features at one stride, and the layers that make them.

    Args:
        image: the picture's placeholder.
        values: `(batch, height / head_stride, width / head_stride, filters)`.
        normalize: the layer that normalises pixels.
        backbone: the `DLABackbone`.
        dla_up: the `DLAUp`.
        config: the arguments that they were built with.
    """

    image: keras.KerasTensor
    values: keras.KerasTensor
    normalize: layers.Layer
    backbone: DLABackbone
    dla_up: DLAUp
    config: dict


def dense_features(
    variant,
    head_stride,
    upsampling,
    node,
    drop_path_rate,
    remat,
    mean,
    std,
    input_shape,
    dtype,
) -> DenseFeatures:
    """Backbone and iterative aggregation (section 4.2) on a new placeholder.

    Args: as `DLASegmenter`'s.

    Raises:
        ValueError: for an unknown argument.
    """
    if head_stride not in (2, 4, 8, 16):
        raise ValueError(
            f"`head_stride` must be 2, 4, 8 or 16. Received: {head_stride!r}."
        )
    normalize = pixel_normalization(mean, std, dtype=dtype)
    backbone = DLABackbone(
        variant,
        drop_path_rate=drop_path_rate,
        remat=remat,
        input_shape=input_shape,
        name="base",  # the reference's name, in checkpoints since
        dtype=dtype,
    )
    dla_up = DLAUp(upsampling, node, remat, name="dla_up", dtype=dtype)
    image = keras.Input(input_shape, name="image")
    levels = backbone(normalize(image))
    finest = head_stride.bit_length() - 1
    values = dla_up([levels[f"P{n}"] for n in range(finest, 6)])
    config = {
        "variant": variant,
        "head_stride": head_stride,
        "upsampling": upsampling,
        "node": node,
        "drop_path_rate": drop_path_rate,
        "remat": remat,
        "mean": tuple(mean),
        "std": tuple(std),
        "input_shape": tuple(input_shape),
    }
    return DenseFeatures(image, values, normalize, backbone, dla_up, config)


def pixel_head(filters, head_stride, upsampling, dtype=None, prefix=""):
    """The layers that score every pixel: a 1x1 convolution, an upsampling.

    Args:
        filters: scores of a pixel.
        head_stride: what to upsample by.
        upsampling: `"bilinear"` or `"learned"`; the authors keep even the
            learned one bilinear here, and so it is frozen.
        dtype: of the convolution. Defaults to `None`: Keras' own.
        prefix: of the layers' names. Defaults to `""`.

    Returns:
        The two layers.
    """
    fc = layers.Conv2D(
        filters,
        1,
        kernel_initializer=initializers.VarianceScaling(
            2.0, "fan_out", "untruncated_normal"
        ),
        name=f"{prefix}fc",
        dtype=dtype,
    )
    # Logits leave in the weights' precision, whatever a mixed policy
    # computes in.
    up = choose("upsampling", upsampling, UPSAMPLINGS)(
        head_stride, name=f"{prefix}up", dtype=fc.variable_dtype
    )
    up.trainable = False
    return fc, up
