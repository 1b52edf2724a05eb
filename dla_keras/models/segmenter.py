"""DLA-Up for segmentation: an RGB picture in, class logits per pixel out."""

import keras
from keras.saving import register_keras_serializable

from dla_keras.models.dense import dense_features
from dla_keras.models.dense import pixel_head
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
        node: what aggregates in DLA-Up: `"conv"`, the paper's, or
            `"separable"`, with an eighth of its cost. Defaults to `"conv"`.
        boundary_head: whether the same features are also scored for the
            boundaries between classes. Defaults to `False`.
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
        `(batch, height, width, num_classes)`: logits. With a boundary head a
        dictionary: those as `"classes"`, and as `"boundary"` `(batch, height,
        width, 1)`, the logit of a boundary.

    Raises:
        ValueError: for an unknown argument, or a picture whose sides are not
            multiples of 32 (`dla_keras.inference.predictor` pads and crops).

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
        node="conv",
        boundary_head=False,
        drop_path_rate=0.0,
        remat=False,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        class_names=None,
        palette=None,
        input_shape=(None, None, 3),
        **kwargs,
    ):
        for argument, facts in (
            ("class_names", class_names),
            ("palette", palette),
        ):
            if facts is not None and len(facts) != num_classes:
                raise ValueError(
                    f"`{argument}` needs one entry for each of the "
                    f"{num_classes} classes. Received: {len(facts)}."
                )
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
        fc, up = pixel_head(num_classes, head_stride, upsampling, dtype)
        outputs = up(fc(features.values))  # (N, H, W, classes)
        if boundary_head:
            boundary_fc, boundary_up = pixel_head(
                1, head_stride, upsampling, dtype, prefix="boundary_"
            )
            boundary = boundary_up(boundary_fc(features.values))
            outputs = {"classes": outputs, "boundary": boundary}
        super().__init__(inputs=features.image, outputs=outputs, **kwargs)

        # === Attributes ===
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
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.class_names = class_names and tuple(class_names)
        self.palette = palette and tuple(map(tuple, palette))
        self.image_shape = tuple(input_shape)
        self._features_config = features.config

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that the outputs are for, in their order."""
        return ("segmentation", "boundary")[: 1 + self.boundary_head]

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not what its layers have.
            "dtype": keras.dtype_policies.serialize(self.fc.dtype_policy),
            **self._features_config,
            "num_classes": self.num_classes,
            "boundary_head": self.boundary_head,
            "class_names": self.class_names,
            "palette": self.palette,
        }
