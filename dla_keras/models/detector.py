"""DLA-Up for boxes: an RGB image in, maps of objects' centers out."""

from collections.abc import Sequence

import keras
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import check_number
from dla_keras.models.classes import checked_names
from dla_keras.models.classes import checked_palette
from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.models.network import Network
from dla_keras.models.network import WorkingSize
from dla_keras.models.segmenter import checked_working_size
from dla_keras.models.segmenter import dense_features
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD

RARE = -2.19  # the logit of 0.1, with which every cell begins


def center_head(name: str, channels: int, filters: int, dtype=None):
    """Return the two convolutions of a head: 3x3 with a ReLU, then 1x1.

    Args:
        name: Name of the output, which the layers' names begin with.
        channels: Channels of the output.
        filters: Channels between the two.
        dtype: Precision policy. Defaults to Keras' own.
    """
    small = initializers.RandomNormal(stddev=1e-3)
    as_torch = initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    heat = name == "heat"
    conv = layers.Conv2D(
        filters,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name=f"{name}_conv",
        dtype=dtype,
    )
    fc = layers.Conv2D(
        channels,
        1,
        kernel_initializer=as_torch if heat else small,
        bias_initializer=initializers.Constant(RARE if heat else 0.0),
        name=f"{name}_fc",
        # In the weights' precision, even under a mixed policy: sizes are up
        # to hundreds of cells.
        dtype=conv.variable_dtype,
    )
    return conv, fc


@register_keras_serializable(package="dla_keras")
class DLADetector(Network):
    """DLA-Up that finds objects by their centers, without anchors.

    CenterNet (arXiv:1904.07850) on plain DLA-Up, without deformable
    convolutions, so that it runs wherever a segmenter does. With
    `upsampling="learned"` and the default `head_filters` it is the reference's
    `dlav0`. `dla_keras.load` gives boxes in the image's pixels;
    `dla_keras.models.centers.decode` is the same in a graph.

    Args:
        variant: Name in `dla_keras.VARIANTS`, for instance `"dla34"`.
        num_classes: Number of classes of objects.
        head_stride: Pixels of a cell's side: `2`, `4`, `8` or `16`. Two
            centers of a class in one cell are one object. Defaults to `4`.
        head_filters: Channels of each head's inner convolution. Defaults to
            `256`.
        upsampling: `"bilinear"` (fixed, for the edge) or `"learned"` (the
            authors' transposed convolutions). Defaults to `"bilinear"`.
        node: Aggregation node of DLA-Up: `"conv"`, the paper's, or
            `"separable"`, with an eighth of its cost. Defaults to `"conv"`.
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
        A dictionary of maps `(batch, height / head_stride, width /
        head_stride, channels)`: `"heat"`, a logit for each class that a center
        is in the cell; `"size"`, height and width of its box in cells;
        `"offset"`, of the center from the cell's corner, down and right.

    Raises:
        ValueError: If an argument is unknown, or a side of an image is not a
            multiple of 32 (`dla_keras.load` pads and crops).

    Example:

    >>> model = DLADetector("dla46_c", num_classes=5)
    >>> maps = model(np.zeros((1, 64, 96, 3)))
    >>> {name: tuple(x.shape) for name, x in maps.items()}
    {'heat': (1, 16, 24, 5), 'size': (1, 16, 24, 2), 'offset': (1, 16, 24, 2)}
    """

    def __init__(
        self,
        variant: str,
        num_classes: int,
        head_stride: int = 4,
        head_filters: int = 256,
        upsampling: str = "bilinear",
        node: str = "conv",
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
        check_number("object_classes", num_classes, "num_classes")
        check_number("head_filters", head_filters)
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
        heads, outputs = {}, {}
        for output, channels in (
            ("heat", num_classes),
            ("size", 2),
            ("offset", 2),
        ):
            conv, fc = center_head(output, channels, head_filters, dtype)
            outputs[output] = fc(conv(features.values))
            heads |= {conv.name: conv, fc.name: fc}
        super().__init__(features.image, outputs, name, trainable)

        # === Attributes ===
        self.tasks = ("detection",)
        self.normalize = features.normalize
        self.backbone = features.backbone
        self.dla_up = features.dla_up
        for attribute, layer in heads.items():
            setattr(self, attribute, layer)
        self.variant = variant
        self.num_classes = num_classes
        self.head_stride = head_stride
        self.head_filters = head_filters
        self.upsampling = upsampling
        self.node = node
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.class_names = class_names
        self.palette = palette
        self.working_size = checked_working_size(working_size)
        self.image_shape = tuple(input_shape)
        self._features_config = features.config

    @property
    def heads(self) -> dict[str, keras.layers.Layer]:
        """Return the layers of the heads, by name."""
        names = ("heat", "size", "offset")
        kinds = ("conv", "fc")
        both = [f"{name}_{kind}" for name in names for kind in kinds]
        return {name: getattr(self, name) for name in both}

    def get_config(self):
        return {
            **super().get_config(),
            **self._features_config,
            "num_classes": self.num_classes,
            "head_filters": self.head_filters,
            "class_names": self.class_names,
            "palette": self.palette,
            "working_size": self.working_size,
        }
