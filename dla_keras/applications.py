"""The family by name, with the signature that Keras Applications users know."""

import inspect

from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.classifier import DLAClassifier
from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD
from dla_keras.variants import VARIANTS
from dla_keras.weights.pretrained import load_pretrained


def DLA(
    variant,
    include_top=True,
    weights=None,
    input_shape=(None, None, 3),
    pooling=None,
    num_classes=1000,
    classifier_activation="softmax",
    output_stride=MAX_STRIDE,
    dropout_rate=0.0,
    drop_path_rate=0.0,
    remat=False,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    name=None,
    dtype=None,
    classes=None,
):
    """A DLA classifier or feature extractor (section 4.1 of the paper).

    Args:
        variant: a name of `dla_keras.VARIANTS`.
        include_top: whether to end in the classification layer. Defaults to
            `True`.
        weights: `None` for the authors' random start; `"imagenet"` or a name
            of `dla_keras.PRESETS` for published weights; or the path of a
            file, see `dla_keras.load_pretrained`. Defaults to `None`.
        input_shape: `(height, width, 3)`, sides multiples of `output_stride`
            or `None`. Defaults to `(None, None, 3)`.
        pooling: without top: `None` for the feature map, `"avg"` or `"max"`
            for a vector. Defaults to `None`.
        num_classes: number of classes. Defaults to `1000`.
        classifier_activation: of the last layer, `None` for logits. Defaults
            to `"softmax"`.
        output_stride: `32`, `16` or `8`. Defaults to `32`.
        dropout_rate: before the last layer. Defaults to `0.0`.
        drop_path_rate: stochastic depth's. Defaults to `0.0`.
        remat: gradient checkpointing. Defaults to `False`.
        mean: RGB mean for pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation, likewise.
        name: of the model. Defaults to the variant's.
        dtype: precision policy. Defaults to Keras' own.
        classes: Keras Applications' name of `num_classes`.

    Returns:
        A `dla_keras.DLAClassifier`: it takes RGB pictures of 0 to 255
        `(batch, height, width, 3)` and normalises them itself.

    Raises:
        ValueError: for an unknown variant, argument or preset, or weights
            that do not fit.

    Example:

    >>> model = DLA("dla46_c", num_classes=10)
    >>> model(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 10])
    """
    model = DLAClassifier(
        variant,
        num_classes=num_classes if classes is None else classes,
        include_top=include_top,
        pooling=pooling,
        classifier_activation=classifier_activation,
        output_stride=output_stride,
        dropout_rate=dropout_rate,
        drop_path_rate=drop_path_rate,
        remat=remat,
        mean=mean,
        std=std,
        input_shape=input_shape,
        name=name or variant,
        dtype=dtype,
    )
    if weights is not None:
        load_pretrained(model, weights)
    return model


def list_variants() -> tuple[str, ...]:
    """The names of all networks, for `DLA`, `DLABackbone`, `DLASegmenter`.

    Example:

    >>> list_variants()[:2]
    ('dla34', 'dla46_c')
    """
    return tuple(VARIANTS)


def _named(name, variant):
    """`DLA` with the variant chosen, its signature and help less that."""

    def build(*args, **kwargs):
        return DLA(variant, *args, **kwargs)

    build.__name__ = build.__qualname__ = name
    signature = inspect.signature(DLA)
    arguments = list(signature.parameters.values())[1:]
    build.__signature__ = signature.replace(parameters=arguments)
    build.__doc__ = DLA.__doc__.replace(
        "        variant: a name of `dla_keras.VARIANTS`.\n", ""
    ).replace('DLA("dla46_c", ', f"{name}(")
    return build


DLA34 = _named("DLA34", "dla34")
DLA46C = _named("DLA46C", "dla46_c")
DLA46XC = _named("DLA46XC", "dla46x_c")
DLA60XC = _named("DLA60XC", "dla60x_c")
DLA60 = _named("DLA60", "dla60")
DLA60X = _named("DLA60X", "dla60x")
DLA102 = _named("DLA102", "dla102")
DLA102X = _named("DLA102X", "dla102x")
DLA102X2 = _named("DLA102X2", "dla102x2")
DLA169 = _named("DLA169", "dla169")
DLA60Res2Net = _named("DLA60Res2Net", "dla60_res2net")
DLA60Res2NeXt = _named("DLA60Res2NeXt", "dla60_res2next")
