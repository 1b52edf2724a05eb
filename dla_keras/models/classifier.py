"""The DLA classifier: an RGB picture in, a probability per class out."""

import keras
from keras import initializers
from keras import layers
from keras.saving import register_keras_serializable

from dla_keras.layers.convolution import pixel_normalization
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.backbone import DLABackbone
from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD

POOLINGS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


@register_keras_serializable(package="dla_keras")
class DLAClassifier(keras.Model):
    """DLA classifier or feature extractor (section 4.1 of the paper).

    Args:
        variant: a name of `dla_keras.VARIANTS`, for instance `"dla34"`.
        num_classes: number of classes. Defaults to `1000`.
        include_top: whether to end in the classification layer. Defaults to
            `True`.
        pooling: without top: `None` for the feature map at the output
            stride, `"avg"` or `"max"` for a vector. Defaults to `None`.
        classifier_activation: of the last layer, `None` for logits. Defaults
            to `"softmax"`.
        output_stride: `32`, `16` or `8`, see `DLABackbone`. Defaults to `32`.
        dropout_rate: of the features before the last layer, in training.
            Defaults to `0.0`.
        drop_path_rate: see `DLABackbone`. Defaults to `0.0`.
        remat: gradient checkpointing: whether training computes inner values
            again instead of keeping them, which takes less memory and more
            time. Defaults to `False`.
        mean: RGB mean for pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation, likewise.
        class_names: names carried along for reports and exported files.
            Defaults to `None`.
        input_shape: `(height, width, 3)`, sides multiples of `output_stride`
            or `None`. Defaults to `(None, None, 3)`.

    Input shape:
        `(batch, height, width, 3)`: RGB, 0 to 255. The model normalises;
        `model.backbone` takes what is normalised already.

    Output shape:
        `(batch, num_classes)`; without top `(batch, channels)` or
        `(batch, height / output_stride, width / output_stride, channels)`.

    Raises:
        ValueError: for an unknown argument, or a picture whose sides are not
            multiples of `output_stride`.

    Example:

    >>> model = DLAClassifier("dla46_c", num_classes=10)
    >>> model(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 10])
    """

    palette = None

    def __init__(
        self,
        variant,
        num_classes=1000,
        include_top=True,
        pooling=None,
        classifier_activation="softmax",
        output_stride=MAX_STRIDE,
        dropout_rate=0.0,
        drop_path_rate=0.0,
        remat=False,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        class_names=None,
        input_shape=(None, None, 3),
        **kwargs,
    ):
        if pooling not in (None, *POOLINGS):
            raise ValueError(
                "`pooling` must be None, 'avg' or 'max'. Received: "
                f"{pooling!r}."
            )
        if include_top and class_names and len(class_names) != num_classes:
            raise ValueError(
                f"`class_names` needs one entry for each of the "
                f"{num_classes} classes. Received: {len(class_names)}."
            )

        # === Layers ===
        dtype = kwargs.get("dtype")
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
                # As the authors start their final 1x1 convolution.
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
        super().__init__(inputs=inputs, outputs=x, **kwargs)

        # === Attributes ===
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
        self.class_names = class_names and tuple(class_names)
        self.image_shape = tuple(input_shape)

    def with_head(self, **changes):
        """The same network with another head, its backbone's weights kept.

        A functional model cannot change in place, so this is a new one; the
        old keeps its own copy of the weights.

        Args:
            **changes: constructor arguments that change: `num_classes`,
                `include_top`, `pooling`, `classifier_activation`,
                `dropout_rate`, `class_names` or others but `variant`.

        Returns:
            A `DLAClassifier` whose last layer starts anew.

        Raises:
            ValueError: for another variant, or a faulty argument.

        Example:

        >>> model = DLAClassifier("dla46_c")
        >>> model.with_head(num_classes=10).output.shape
        (None, 10)
        """
        if "variant" in changes:
            raise ValueError(
                "Another variant has other weights: with_head cannot change "
                f"`variant`. Received: {changes['variant']!r}."
            )
        config = {**self.get_config(), "class_names": None, **changes}
        model = type(self).from_config(config)
        model.backbone.set_weights(self.backbone.get_weights())
        return model

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that the output is for; none without top."""
        return ("classification",) if self.include_top else ()

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if "classes" in config:  # its name in files of earlier versions
            config["num_classes"] = config.pop("classes")
        return super().from_config(config, custom_objects)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            # A functional model's own policy is not what its layers have.
            "dtype": keras.dtype_policies.serialize(
                self.normalize.dtype_policy
            ),
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
