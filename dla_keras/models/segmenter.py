"""DLA-Up for segmentation: an RGB image in, class logits per pixel out.

Features at one stride and the heads that score pixels come first; the boundary
detector has them too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import check_number
from dla_keras.choices import choose
from dla_keras.layers.convolution import pixel_normalization
from dla_keras.layers.iterative import DLAUp
from dla_keras.layers.upsampling import UPSAMPLINGS
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.backbone import DLABackbone
from dla_keras.models.classes import checked_names
from dla_keras.models.classes import checked_palette
from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.models.network import Network
from dla_keras.models.network import WorkingSize
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD


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


def checked_working_size(size: WorkingSize) -> int | tuple[int, int] | None:
    """Return a working size, if pictures can have it.

    Raises:
        ValueError: If it is neither a side of at least 32 pixels, nor a height
            and a width, multiples of 32.
    """
    side = isinstance(size, int) and not isinstance(size, bool)
    if size is None or (side and size >= MAX_STRIDE):
        return size
    sides = tuple(size) if isinstance(size, Sequence) else ()
    whole = all(isinstance(s, int) and s > 0 for s in sides)
    if len(sides) == 2 and whole and not any(s % MAX_STRIDE for s in sides):
        return sides
    raise ValueError(
        f"`working_size` is the longest side, at least {MAX_STRIDE} pixels, or "
        f"height and width, multiples of {MAX_STRIDE}. Received: {size!r}."
    )


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


@register_keras_serializable(package="dla_keras")
class DLASegmenter(Network):
    """DLA-Up: backbone, iterative aggregation, 1x1 head (section 4.2).

    Args:
        variant: Name in `dla_keras.VARIANTS`, for instance `"dla34"`.
        num_classes: Number of classes, at least two: where one thing is to be
            found, it and its background.
        head_stride: Stride at which classes are scored before the last
            upsampling: `2`, `4`, `8` or `16`. Defaults to `4`.
        upsampling: `"bilinear"` (fixed, for the edge) or `"learned"` (the
            authors' transposed convolutions; their last one is frozen).
            Defaults to `"bilinear"`.
        node: Aggregation node of DLA-Up: `"conv"`, the paper's, or
            `"separable"`, with an eighth of its cost. Defaults to `"conv"`.
        boundary_head: Whether the same features are also scored for the
            boundaries between classes. Defaults to `False`.
        drop_path_rate: Rate of stochastic depth, see `DLABackbone`. Defaults
            to `0.0`.
        remat: Whether training computes inner values again instead of keeping
            them (gradient checkpointing), which takes less memory and more
            time. Defaults to `False`.
        mean: RGB mean of pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation of pixels scaled to 0..1. Defaults to
            ImageNet's.
        class_names: Names that reports and exported files show. Defaults to
            `None`.
        palette: RGB colors (0 to 255) that reports and exported files show.
            Defaults to `None`.
        working_size: Longest side that pictures are shrunk to before the
            network, in pixels, or height and width that they are stretched
            to. Only facts for those who prepare pictures, as `dla_keras.load`
            does. Defaults to `None`: their own size.
        input_shape: `(height, width, 3)`, sides multiples of 32 or `None`.
            Defaults to `(None, None, 3)`.
        name: Name of the model. Defaults to one made from the class's.
        trainable: Whether training changes the weights. Defaults to `True`.
        dtype: Precision policy. Defaults to Keras' own.

    Input shape:
        `(batch, height, width, 3)`: RGB, 0 to 255. The model normalizes.

    Output shape:
        `(batch, height, width, num_classes)`: logits. With a boundary head a
        dictionary: these as `"classes"`, and the logit of a boundary as
        `"boundary"`, `(batch, height, width, 1)`.

    Raises:
        ValueError: If an argument is unknown, or a side of an image is not a
            multiple of 32 (`dla_keras.load` pads and crops).

    Example:

    >>> model = DLASegmenter("dla46_c", num_classes=5)
    >>> model(np.zeros((1, 64, 96, 3))).shape
    TensorShape([1, 64, 96, 5])
    """

    def __init__(
        self,
        variant: str,
        num_classes: int,
        head_stride: int = 4,
        upsampling: str = "bilinear",
        node: str = "conv",
        boundary_head: bool = False,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        class_names: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        working_size: WorkingSize = None,
        input_shape: ImageShape = (None, None, 3),
        name: str | None = None,
        trainable: bool = True,
        dtype: DType = None,
    ) -> None:
        check_number("num_classes", num_classes)
        class_names = checked_names(class_names, num_classes)
        palette = checked_palette(palette, num_classes)

        # === Functional model ===
        features = dense_features(
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
        )
        fc, up = pixel_head(num_classes, head_stride, upsampling, dtype)
        outputs = up(fc(features.values))  # (N, H, W, classes)
        if boundary_head:
            boundary_fc, boundary_up = pixel_head(
                1, head_stride, upsampling, dtype, prefix="boundary_"
            )
            boundary = boundary_up(boundary_fc(features.values))
            outputs = {"classes": outputs, "boundary": boundary}
        super().__init__(features.image, outputs, name, trainable)

        # === Attributes ===
        self.tasks = ("segmentation", "boundary")[: 1 + boundary_head]
        self.normalize = features.normalize
        self.backbone = features.backbone
        self.dla_up = features.dla_up
        self.fc = fc
        self.up = up
        if boundary_head:
            self.boundary_fc = boundary_fc
            self.boundary_up = boundary_up
        self.variant = variant
        self.num_classes = num_classes
        self.head_stride = head_stride
        self.upsampling = upsampling
        self.node = node
        self.boundary_head = boundary_head
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.class_names = class_names
        self.palette = palette
        self.working_size = checked_working_size(working_size)
        self.image_shape = tuple(input_shape)
        self._features_config = features.config

    def with_head(self, **changes: Any) -> "DLASegmenter":
        """Return a model with another head and the other weights of this one.

        A functional model cannot change in place, so this is a new one; the
        old keeps its own copy of the weights. What is frozen stays frozen; the
        new head trains, unless the whole model is frozen.

        Args:
            **changes: Constructor arguments that change: `num_classes`,
                `class_names`, `palette`, `boundary_head` or others but those
                that backbone and DLA-Up are built with.

        Returns:
            A `DLASegmenter` whose 1x1 convolutions start anew.

        Raises:
            ValueError: If an argument is faulty, or would change the weights
                that are kept.

        Example:

        >>> model = DLASegmenter("dla46_c", num_classes=19)
        >>> model.with_head(num_classes=3).output.shape
        (None, None, None, 3)
        """
        for argument in ("variant", "head_stride", "upsampling", "node"):
            if argument in changes:
                raise ValueError(
                    "with_head keeps the weights of backbone and DLA-Up, so "
                    f"it cannot change `{argument}`. Received: "
                    f"{changes[argument]!r}. Build another model."
                )
        self._check_changes(changes)
        changes = {"class_names": None, "palette": None, **changes}
        model = self._rebuilt(("fc", "boundary_fc"), changes)
        model.backbone.set_weights(self.backbone.get_weights())
        model.dla_up.set_weights(self.dla_up.get_weights())
        return model

    def get_config(self):
        return {
            **super().get_config(),
            **self._features_config,
            "num_classes": self.num_classes,
            "boundary_head": self.boundary_head,
            "class_names": self.class_names,
            "palette": self.palette,
            "working_size": self.working_size,
        }
