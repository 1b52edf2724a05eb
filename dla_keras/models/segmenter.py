"""DLA-Up for segmentation: an RGB picture in, class logits per pixel out."""

import keras
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.layers.iterative import DLAUp
from dla_keras.layers.normalization import pixel_normalization
from dla_keras.layers.upsampling import find_upsampling
from dla_keras.models.backbone import DLABackbone
from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD


@register_keras_serializable(package="dla_keras")
class DLASegmenter(keras.Model):
    """DLA-Up: backbone, iterative aggregation, 1x1 head (section 4.2).

    Args:
        variant: a name of `dla_keras.VARIANTS`, for instance `"dla34"`.
        num_classes: output channels.
        head_stride: stride at which classes are scored before the last
            upsampling: `2`, `4`, `8` or `16`. Defaults to `4`.
        upsampling: `"bilinear"` (fixed, for the edge) or `"learned"` (the
            authors' transposed convolutions; their last one is frozen).
            Defaults to `"bilinear"`.
        drop_path_rate: see `DLABackbone`. Defaults to `0.0`.
        remat: gradient checkpointing: whether training computes inner values
            again instead of keeping them, which takes less memory and more
            time. Defaults to `False`.
        mean: RGB mean for pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation, likewise.
        class_names: names carried along for reports and exported files.
            Defaults to `None`.
        palette: RGB colours (0 to 255) carried along, likewise.
        input_shape: `(height, width, 3)`, sides multiples of 32 or `None`.
            Defaults to `(None, None, 3)`.

    Input shape:
        `(batch, height, width, 3)`: RGB, 0 to 255. The model normalises.

    Output shape:
        `(batch, height, width, num_classes)`: logits.

    Raises:
        ValueError: for an unknown argument, or a picture whose sides are not
            multiples of 32 (`dla_keras.inference` pads and crops).

    Example:

    >>> model = DLASegmenter("dla46_c", num_classes=5)
    >>> model(np.zeros((1, 64, 96, 3))).shape
    TensorShape([1, 64, 96, 5])
    """

    def __init__(
        self,
        variant,
        num_classes,
        head_stride=4,
        upsampling="bilinear",
        drop_path_rate=0.0,
        remat=False,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        class_names=None,
        palette=None,
        input_shape=(None, None, 3),
        **kwargs,
    ):
        if head_stride not in (2, 4, 8, 16):
            raise ValueError(
                "`head_stride` must be 2, 4, 8 or 16. Received: "
                f"{head_stride!r}."
            )
        for argument, facts in (
            ("class_names", class_names),
            ("palette", palette),
        ):
            if facts is not None and len(facts) != num_classes:
                raise ValueError(
                    f"`{argument}` needs one entry for each of the "
                    f"{num_classes} classes. Received: {len(facts)}."
                )

        # === Layers ===
        dtype = kwargs.get("dtype")
        normalize = pixel_normalization(mean, std, dtype=dtype)
        base = DLABackbone(
            variant,
            drop_path_rate=drop_path_rate,
            remat=remat,
            input_shape=input_shape,
            name="base",
            dtype=dtype,
        )
        dla_up = DLAUp(upsampling, remat, name="dla_up", dtype=dtype)
        fc = layers.Conv2D(
            num_classes,
            1,
            kernel_initializer=initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            name="fc",
            dtype=dtype,
        )
        # Logits leave in the weights' precision, whatever a mixed policy
        # computes in.
        up = find_upsampling(upsampling)(
            head_stride, name="up", dtype=fc.variable_dtype
        )
        up.trainable = False  # the authors keep the last one bilinear

        # === Functional model ===
        inputs = keras.Input(input_shape, name="image")
        levels = base(normalize(inputs))
        finest = head_stride.bit_length() - 1
        x = dla_up([levels[f"P{n}"] for n in range(finest, 6)])
        x = fc(x)  # (N, H/head_stride, W/head_stride, classes)
        outputs = up(x)  # (N, H, W, classes)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Attributes ===
        self.normalize = normalize
        self.base = base
        self.dla_up = dla_up
        self.fc = fc
        self.up = up
        self.variant = variant
        self.num_classes = num_classes
        self.head_stride = head_stride
        self.upsampling = upsampling
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.class_names = class_names and tuple(class_names)
        self.palette = palette and tuple(map(tuple, palette))
        self.image_shape = tuple(input_shape)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not what its layers have.
            "dtype": keras.dtype_policies.serialize(self.fc.dtype_policy),
            "variant": self.variant,
            "num_classes": self.num_classes,
            "head_stride": self.head_stride,
            "upsampling": self.upsampling,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "mean": self.mean,
            "std": self.std,
            "class_names": self.class_names,
            "palette": self.palette,
            "input_shape": self.image_shape,
        }
