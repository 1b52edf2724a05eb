"""DLA classifiers with the signature that Keras Applications users know."""

import keras
from keras import initializers
from keras import layers

from dla_keras.models.backbone import DLABackbone
from dla_keras.variants import find_variant


def DLA(
    variant,
    include_top=True,
    weights=None,
    input_shape=(None, None, 3),
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name=None,
):
    """A DLA classifier or feature extractor (section 4.1 of the paper).

    Args:
        variant: a name of `dla_keras.VARIANTS`.
        include_top: whether to end in the classification layer. Defaults to
            `True`.
        weights: `None` for the authors' random start, or the path of a
            `.weights.h5` file of the same model. Defaults to `None`.
        input_shape: `(height, width, 3)`, sides multiples of 32 or `None`.
            Defaults to `(None, None, 3)`.
        pooling: without top: `None` for the feature map at stride 32,
            `"avg"` or `"max"` for a vector. Defaults to `None`.
        classes: number of classes. Defaults to `1000`.
        classifier_activation: of the last layer, `None` for logits. Defaults
            to `"softmax"`.
        name: of the model. Defaults to the variant's.

    Returns:
        A `keras.Model`. It takes pictures `(batch, height, width, 3)` in RGB,
        scaled to 0..1 and normalised by ImageNet's mean and deviation, as
        the published weights expect.

    Raises:
        ValueError: for an unknown variant, `pooling` or shape.

    Example:

    >>> model = DLA("dla46_c", classes=10)
    >>> model(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 10])
    """
    find_variant(variant)
    if pooling not in (None, "avg", "max"):
        raise ValueError(
            f"`pooling` must be None, 'avg' or 'max'. Received: {pooling!r}."
        )
    backbone = DLABackbone(variant, input_shape, name="backbone")
    inputs = keras.Input(input_shape, name="image")
    x = backbone(inputs)["P5"]  # (N, H/32, W/32, C)
    if include_top or pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, C)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="pool")(x)
    if include_top:
        x = layers.Dense(
            classes,
            activation=classifier_activation,
            # As the authors start their final 1x1 convolution.
            kernel_initializer=initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            name="fc",
        )(x)
    model = keras.Model(inputs, x, name=name or variant)
    if weights is not None:
        model.load_weights(weights)
    return model


def _named(variant):
    """`DLA` with the variant chosen."""

    def build(
        include_top=True,
        weights=None,
        input_shape=(None, None, 3),
        pooling=None,
        classes=1000,
        classifier_activation="softmax",
        name=None,
    ):
        return DLA(
            variant,
            include_top,
            weights,
            input_shape,
            pooling,
            classes,
            classifier_activation,
            name,
        )

    build.__name__ = build.__qualname__ = variant.upper().replace("_", "")
    build.__doc__ = DLA.__doc__.replace(
        "        variant: a name of `dla_keras.VARIANTS`.\n", ""
    ).replace('DLA("dla46_c", ', f"{build.__name__}(")
    return build


DLA34 = _named("dla34")
DLA46C = _named("dla46_c")
DLA46XC = _named("dla46x_c")
DLA60XC = _named("dla60x_c")
DLA60 = _named("dla60")
DLA60X = _named("dla60x")
DLA102 = _named("dla102")
DLA102X = _named("dla102x")
DLA102X2 = _named("dla102x2")
DLA169 = _named("dla169")
