"""DLA-Up for boundaries: from an RGB image to one edge logit per pixel."""

from collections.abc import Sequence

from keras.saving import register_keras_serializable

from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.models.network import Network
from dla_keras.models.network import WorkingSize
from dla_keras.models.segmenter import checked_working_size
from dla_keras.models.segmenter import dense_features
from dla_keras.models.segmenter import pixel_head
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD


@register_keras_serializable(package="dla_keras")
class DLABoundaryDetector(Network):
    """DLA-Up at stride 2 with one logit per pixel (sections 4.2 and 5.3).

    The authors' network scores two classes, boundary and none. This one scores
    their difference, which is all that their softmax tells apart.

    Args:
        variant: Name in `dla_keras.VARIANTS`, for instance `"dla34"`.
        head_stride: Stride at which boundaries are scored before the last
            upsampling: `2`, `4`, `8` or `16`. Defaults to `2`, the paper's.
        upsampling: `"bilinear"` (fixed, for the edge) or `"learned"` (the
            authors' transposed convolutions; their last one is frozen).
            Defaults to `"bilinear"`.
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
        `(batch, height, width, 1)`: the logit of a boundary.

    Raises:
        ValueError: If an argument is unknown, or a side of an image is not a
            multiple of 32 (`dla_keras.load` pads and crops).

    Example:

    >>> model = DLABoundaryDetector("dla46_c")
    >>> model(np.zeros((1, 64, 96, 3))).shape
    TensorShape([1, 64, 96, 1])
    """

    def __init__(
        self,
        variant: str,
        head_stride: int = 2,
        upsampling: str = "bilinear",
        node: str = "conv",
        drop_path_rate: float = 0.0,
        remat: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        working_size: WorkingSize = None,
        input_shape: ImageShape = (None, None, 3),
        name: str | None = None,
        trainable: bool = True,
        dtype: DType = None,
    ) -> None:
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
        fc, up = pixel_head(1, head_stride, upsampling, dtype)
        outputs = up(fc(features.values))  # (N, H, W, 1)
        super().__init__(features.image, outputs, name, trainable)

        # === Attributes ===
        self.tasks = ("boundary",)
        self.normalize = features.normalize
        self.backbone = features.backbone
        self.dla_up = features.dla_up
        self.fc = fc
        self.up = up
        self.variant = variant
        self.head_stride = head_stride
        self.upsampling = upsampling
        self.node = node
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.working_size = checked_working_size(working_size)
        self.image_shape = tuple(input_shape)
        self._features_config = features.config

    def get_config(self):
        return {
            **super().get_config(),
            **self._features_config,
            "working_size": self.working_size,
        }
