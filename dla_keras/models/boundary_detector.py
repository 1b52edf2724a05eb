"""DLA-Up for boundaries: an RGB picture in, one edge logit per pixel out."""

import keras
from keras.saving import register_keras_serializable

from dla_keras.models.dense import dense_features
from dla_keras.models.dense import pixel_head
from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD


@register_keras_serializable(package="dla_keras")
class DLABoundaryDetector(keras.Model):
    """DLA-Up at stride 2 with one logit per pixel (sections 4.2 and 5.3).

    Where the authors' network scores two classes, boundary and none, this one
    scores their difference, which is all that their softmax tells apart.

    Args:
        variant: a name of `dla_keras.VARIANTS`, for instance `"dla34"`.
        head_stride: stride at which boundaries are scored before the last
            upsampling: `2`, `4`, `8` or `16`. Defaults to `2`, the paper's.
        upsampling: `"bilinear"` (fixed, for the edge) or `"learned"` (the
            authors' transposed convolutions; their last one is frozen).
            Defaults to `"bilinear"`.
        node: what aggregates in DLA-Up: `"conv"`, the paper's, or
            `"separable"`, with an eighth of its cost. Defaults to `"conv"`.
        drop_path_rate: see `DLABackbone`. Defaults to `0.0`.
        remat: gradient checkpointing, see `DLASegmenter`. Defaults to `False`.
        mean: RGB mean for pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation, likewise.
        input_shape: `(height, width, 3)`, sides multiples of 32 or `None`.
            Defaults to `(None, None, 3)`.

    Input shape:
        `(batch, height, width, 3)`: RGB, 0 to 255. The model normalises.

    Output shape:
        `(batch, height, width, 1)`: the logit of a boundary.

    Raises:
        ValueError: for an unknown argument, or a picture whose sides are not
            multiples of 32 (`dla_keras.inference.predictor` pads and crops).

    Example:

    >>> model = DLABoundaryDetector("dla46_c")
    >>> model(np.zeros((1, 64, 96, 3))).shape
    TensorShape([1, 64, 96, 1])
    """

    tasks = ("boundary",)
    class_names = None
    palette = None

    def __init__(
        self,
        variant,
        head_stride=2,
        upsampling="bilinear",
        node="conv",
        drop_path_rate=0.0,
        remat=False,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        input_shape=(None, None, 3),
        **kwargs,
    ):
        dtype = kwargs.get("dtype")

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
        super().__init__(inputs=features.image, outputs=outputs, **kwargs)

        # === Attributes ===
        self.normalize = features.normalize
        self.backbone = features.backbone
        self.dla_up = features.dla_up
        self.fc = fc
        self.up = up
        self.variant = variant
        self.head_stride = head_stride
        self.upsampling = upsampling
        self.node = node
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.image_shape = tuple(input_shape)
        self._features_config = features.config

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not what its layers have.
            "dtype": keras.dtype_policies.serialize(self.fc.dtype_policy),
            **self._features_config,
        }
