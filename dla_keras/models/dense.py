"""What dense models share: features of an image, and scores of each pixel."""

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
    """Features of an image at one stride, and the layers that compute them.

    Args:
        image: Placeholder of the image.
        values: `(batch, height / head_stride, width / head_stride, filters)`.
        normalize: The layer that normalizes pixels.
        backbone: The `DLABackbone`.
        dla_up: The `DLAUp`.
        config: The arguments that they were built with.
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
    """Return backbone and iterative aggregation (section 4.2) of an image.

    The arguments are those of `DLASegmenter`.

    Raises:
        ValueError: If an argument is unknown.
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
        name="base",  # the reference's name, and that in old checkpoints
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
    """Return the layers that score every pixel: 1x1 convolution, upsampling.

    Args:
        filters: Scores per pixel.
        head_stride: Factor of the upsampling.
        upsampling: `"bilinear"` or `"learned"`. The authors keep even the
            learned one bilinear here, so it is frozen.
        dtype: Precision policy of the convolution. Defaults to Keras' own.
        prefix: Beginning of the layers' names. Defaults to `""`.
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
    # Logits have the weights' precision, even under a mixed policy.
    up = choose("upsampling", upsampling, UPSAMPLINGS)(
        head_stride, name=f"{prefix}up", dtype=fc.variable_dtype
    )
    up.trainable = False
    return fc, up
