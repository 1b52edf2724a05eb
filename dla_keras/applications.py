"""The family by name, with the signature that Keras Applications users know."""

import functools
import gzip
import inspect
from collections.abc import Callable
from collections.abc import Sequence
from importlib import resources
from typing import Concatenate
from typing import ParamSpec

import numpy as np

from dla_keras.choices import check_number
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.network import DType
from dla_keras.models.network import ImageShape
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD
from dla_keras.variants import VARIANTS
from dla_keras.weights.pretrained import load_pretrained


def DLA(
    variant: str,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: ImageShape = (None, None, 3),
    pooling: str | None = None,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    output_stride: int = MAX_STRIDE,
    dropout_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    remat: bool = False,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    trainable: bool = True,
    dtype: DType = None,
    classes: int | None = None,
) -> DLAClassifier:
    """Build a DLA classifier or feature extractor (section 4.1 of the paper).

    Args:
        variant: Name in `dla_keras.VARIANTS`.
        include_top: Whether the model ends in the classification layer.
            Defaults to `True`.
        weights: `None` for the authors' random start; `"imagenet"` or a name
            in `dla_keras.PRESETS` for published weights; or the path of a
            file, see `dla_keras.load_pretrained`. Defaults to `None`.
        input_shape: `(height, width, 3)`, sides multiples of `output_stride`
            or `None`. Defaults to `(None, None, 3)`.
        pooling: Output without top: `None` for the feature map, `"avg"` or
            `"max"` for a vector. Defaults to `None`.
        num_classes: Number of classes, at least two. Defaults to `1000`.
        classifier_activation: Activation of the last layer, `None` for logits.
            Defaults to `"softmax"`.
        output_stride: Stride of the features: `32`, `16` or `8`. Defaults to
            `32`.
        dropout_rate: Share of the features that training drops before the last
            layer. Defaults to `0.0`.
        drop_path_rate: Rate of stochastic depth. Defaults to `0.0`.
        remat: Whether training computes inner values again instead of keeping
            them (gradient checkpointing). Defaults to `False`.
        mean: RGB mean of pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation of pixels scaled to 0..1. Defaults to
            ImageNet's.
        class_names: Names that reports and exported files show. Defaults to
            `None`.
        name: Name of the model. Defaults to the variant's.
        trainable: Whether training changes the weights. Defaults to `True`.
        dtype: Precision policy. Defaults to Keras' own.
        classes: Another word for `num_classes`, that of Keras Applications.

    Returns:
        A `dla_keras.DLAClassifier`: it takes RGB images of 0 to 255
        `(batch, height, width, 3)` and normalizes them itself.

    Raises:
        ValueError: If the variant, an argument or a preset is unknown, or the
            weights do not fit.

    Example:

    >>> model = DLA("dla46_c", num_classes=10)
    >>> model(np.zeros((1, 64, 64, 3))).shape
    TensorShape([1, 10])
    """
    if classes is not None:
        if num_classes not in (1000, classes):
            raise ValueError(
                "`classes` is another word for `num_classes`. Received: "
                f"classes={classes} and num_classes={num_classes}; leave one "
                "out."
            )
        num_classes = classes
    model = DLAClassifier(
        variant,
        num_classes=num_classes,
        include_top=include_top,
        pooling=pooling,
        classifier_activation=classifier_activation,
        output_stride=output_stride,
        dropout_rate=dropout_rate,
        drop_path_rate=drop_path_rate,
        remat=remat,
        mean=mean,
        std=std,
        class_names=class_names,
        input_shape=input_shape,
        name=name or variant,
        trainable=trainable,
        dtype=dtype,
    )
    if weights is not None:
        load_pretrained(model, weights)
    return model


def list_variants() -> tuple[str, ...]:
    """Return the names of all networks, for `DLA` and the model classes.

    Example:

    >>> list_variants()[:2]
    ('dla34', 'dla46_c')
    """
    return tuple(VARIANTS)


def decode_predictions(
    probabilities: np.ndarray, top: int = 5
) -> list[list[tuple[str, str, float]]]:
    """Return the likeliest of ImageNet's 1,000 classes, by name.

    Args:
        probabilities: `(batch, 1000)`, a classifier's output.
        top: Number of classes to return for each image. Defaults to `5`.

    Returns:
        For each image the likeliest classes, best first: WordNet's id, name
        and probability.

    Raises:
        ValueError: If the output is not that of 1,000 classes, or `top` is
            not from 1 to 1000.

    Example:

    >>> decode_predictions(np.eye(1000)[[207]], top=1)
    [[('n02099601', 'golden retriever', 1.0)]]
    """
    scores = np.asarray(probabilities)
    if scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
        raise ValueError(
            "`probabilities` holds numbers, all of them finite. Received: "
            f"{scores.dtype}"
            + " with others" * (scores.dtype.kind in "fiu")
            + "; look at the weights of the network."
        )
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "Expected the output of a classifier of ImageNet, (batch, 1000). "
            f"Received: {scores.shape}. The names of other classes are in "
            "`model.class_names`."
        )
    check_number("top", top)
    classes = _imagenet_classes()
    return [
        [
            (*classes[index], float(row[index]))
            for index in np.argsort(-row)[:top]
        ]
        for row in scores
    ]


@functools.cache
def _imagenet_classes():
    """Return WordNet's id and the first name of each class, in order."""
    packed = resources.files("dla_keras.weights") / "imagenet_classes.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines]


_Arguments = ParamSpec("_Arguments")


def _named(
    build_any: Callable[Concatenate[str, _Arguments], DLAClassifier],
    name: str,
    variant: str,
) -> Callable[_Arguments, DLAClassifier]:
    """Return `DLA` with the variant chosen, for type checkers and `help` too.

    Args:
        build_any: `DLA`, from which type checkers take the arguments.
        name: Name of the function.
        variant: Name in `dla_keras.VARIANTS`.
    """

    def build(
        *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> DLAClassifier:
        return build_any(variant, *args, **kwargs)

    build.__name__ = build.__qualname__ = name
    signature = inspect.signature(DLA)
    arguments = list(signature.parameters.values())[1:]
    build.__signature__ = signature.replace(parameters=arguments)
    build.__doc__ = DLA.__doc__.replace(
        "        variant: Name in `dla_keras.VARIANTS`.\n", ""
    ).replace('DLA("dla46_c", ', f"{name}(")
    return build


DLA34 = _named(DLA, "DLA34", "dla34")
DLA46C = _named(DLA, "DLA46C", "dla46_c")
DLA46XC = _named(DLA, "DLA46XC", "dla46x_c")
DLA60XC = _named(DLA, "DLA60XC", "dla60x_c")
DLA60 = _named(DLA, "DLA60", "dla60")
DLA60X = _named(DLA, "DLA60X", "dla60x")
DLA102 = _named(DLA, "DLA102", "dla102")
DLA102X = _named(DLA, "DLA102X", "dla102x")
DLA102X2 = _named(DLA, "DLA102X2", "dla102x2")
DLA169 = _named(DLA, "DLA169", "dla169")
DLA60Res2Net = _named(DLA, "DLA60Res2Net", "dla60_res2net")
DLA60Res2NeXt = _named(DLA, "DLA60Res2NeXt", "dla60_res2next")
