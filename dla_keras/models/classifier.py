"""The DLA classifier: from an RGB image to a probability per class."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.choices import check_number
from dla_keras.layers.convolution import pixel_normalization
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.backbone import DLABackbone
from dla_keras.models.classes import checked_names
from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.models.network import Network
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD

POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


@register_keras_serializable(package="dla_keras")
class DLAClassifier(Network):
    """DLA classifier or feature extractor (section 4.1 of the paper).

    Args:
        variant: Name in `dla_keras.VARIANTS`, for instance `"dla34"`.
        num_classes: Number of classes, at least two. Defaults to `1000`.
        include_top: Whether the model ends in the classification layer.
            Defaults to `True`.
        pooling: Output without top: `None` for the feature map at the output
            stride, `"avg"` or `"max"` for a vector. Defaults to `None`.
        classifier_activation: Activation of the last layer, `None` for logits.
            Defaults to `"softmax"`.
        output_stride: Stride of the features: `32`, `16` or `8`, see
            `DLABackbone`. Defaults to `32`.
        dropout_rate: Share of the features that training drops before the last
            layer. Defaults to `0.0`.
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
        input_shape: `(height, width, 3)`, sides multiples of `output_stride`
            or `None`. Defaults to `(None, None, 3)`.
        name: Name of the model. Defaults to one made from the class's.
        trainable: Whether training changes the weights. Defaults to `True`.
        dtype: Precision policy. Defaults to Keras' own.

    Input shape:
        `(batch, height, width, 3)`: RGB, 0 to 255. The model normalizes;
        `model.backbone` takes normalized images.

    Output shape:
        `(batch, num_classes)`; without top `(batch, channels)` or
        `(batch, height / output_stride, width / output_stride, channels)`.

    Raises:
        ValueError: If an argument is unknown, or a side of an image is not a
            multiple of `output_stride`.

    Example:

    >>> model = DLAClassifier("dla46_c", num_classes=10)
    >>> model(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 10])
    """

    def __init__(
        self,
        variant: str,
        num_classes: int = 1000,
        include_top: bool = True,
        pooling: str | None = None,
        classifier_activation: str | None = "softmax",
        output_stride: int = MAX_STRIDE,
        dropout_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        remat: bool = False,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        class_names: Sequence[str] | None = None,
        input_shape: ImageShape = (None, None, 3),
        name: str | None = None,
        trainable: bool = True,
        dtype: DType = None,
    ) -> None:
        if pooling not in (None, *POOLINGS):
            raise ValueError(
                "`pooling` must be None, 'avg' or 'max'. Received: "
                f"{pooling!r}."
            )
        check_number("dropout", dropout_rate, "dropout_rate")
        if include_top:
            check_number("num_classes", num_classes)
            # ImageNet has two cranes.
            class_names = checked_names(class_names or None, num_classes, False)

        # === Layers ===
        normalize = pixel_normalization(mean, std, dtype=dtype)
        backbone = DLABackbone(
            variant,
            levels=("P5",),
            output_stride=output_stride,
            drop_path_rate=drop_path_rate,
            remat=remat,
            input_shape=input_shape,
            name="backbone",
            dtype=dtype,
        )
        pool = dropout = fc = None
        if include_top or pooling:
            pool = POOLINGS[pooling or "avg"](name="pool", dtype=dtype)
        if include_top and dropout_rate:
            dropout = layers.Dropout(dropout_rate, name="dropout", dtype=dtype)
        if include_top:
            fc = layers.Dense(
                num_classes,
                # The start of the authors' final 1x1 convolution.
                kernel_initializer=initializers.VarianceScaling(
                    2.0, "fan_out", "untruncated_normal"
                ),
                activation=classifier_activation,
                name="fc",
                dtype=dtype,
            )

        # === Functional model ===
        inputs = keras.Input(input_shape, name="image")
        x = backbone(normalize(inputs))["P5"]  # (N, H/32, W/32, C)
        for layer in (pool, dropout, fc):
            x = x if layer is None else layer(x)
        super().__init__(inputs, x, name, trainable)

        # === Attributes ===
        self.tasks = ("classification",) if include_top else ()
        self.normalize = normalize
        self.backbone = backbone
        self.pool = pool
        self.dropout = dropout
        self.fc = fc
        self.variant = variant
        self.num_classes = num_classes
        self.include_top = include_top
        self.pooling = pooling
        self.classifier_activation = classifier_activation
        self.output_stride = output_stride
        self.dropout_rate = dropout_rate
        self.drop_path_rate = drop_path_rate
        self.remat = remat
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.class_names = tuple(class_names) if class_names else None
        self.image_shape = tuple(input_shape)

    def with_head(self, **changes: Any) -> "DLAClassifier":
        """Return a model with another head and this one's backbone weights.

        A functional model cannot change in place, so this is a new one; the
        old keeps its own copy of the weights. What is frozen stays frozen; the
        new head trains, unless the whole model is frozen.

        Args:
            **changes: Constructor arguments that change: `num_classes`,
                `include_top`, `pooling`, `classifier_activation`,
                `dropout_rate`, `class_names` or others but `variant`.

        Returns:
            A `DLAClassifier` whose last layer starts anew.

        Raises:
            ValueError: If an argument is faulty, or would change the variant.

        Example:

        >>> model = DLAClassifier("dla46_c")
        >>> model.with_head(num_classes=10).output.shape
        (None, 10)
        """
        if "variant" in changes:
            raise ValueError(
                "Another variant has other weights: with_head cannot change "
                f"`variant`. Received: {changes['variant']!r}. Build another "
                "model."
            )
        self._check_changes(changes)
        model = self._rebuilt(("fc",), {"class_names": None, **changes})
        model.backbone.set_weights(self.backbone.get_weights())
        return model

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if "classes" in config:  # its name in files of earlier versions
            config["num_classes"] = config.pop("classes")
        return super().from_config(config, custom_objects)

    def get_config(self):
        return {
            **super().get_config(),
            "variant": self.variant,
            "num_classes": self.num_classes,
            "include_top": self.include_top,
            "pooling": self.pooling,
            "classifier_activation": self.classifier_activation,
            "output_stride": self.output_stride,
            "dropout_rate": self.dropout_rate,
            "drop_path_rate": self.drop_path_rate,
            "remat": self.remat,
            "mean": self.mean,
            "std": self.std,
            "class_names": self.class_names,
            "input_shape": self.image_shape,
        }
