"""What an exported file gives: outputs by name, whatever the model."""

from collections.abc import Callable

import keras
import tensorflow as tf

from dla_keras.inference.predictor import class_logits
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.segmenter import DLASegmenter


def check_model(model) -> None:
    """Raises `ValueError` for a model that scores no pixels."""
    kinds = DLASegmenter, DLABoundaryDetector
    if not isinstance(model, kinds):
        raise ValueError(
            "Only segmentation and boundary models can be converted: expected "
            f"a {' or a '.join(kind.__name__ for kind in kinds)}. Received: "
            f"{type(model).__name__}."
        )


def has_boundaries(model) -> bool:
    """Whether a model finds boundaries, alone or beside classes."""
    return getattr(model, "boundary_head", True)


def coarse_network(model) -> keras.Model:
    """A `DLASegmenter` without its last upsampling of classes."""
    outputs = model.fc.output  # (N, H / head_stride, W / head_stride, classes)
    if has_boundaries(model):
        outputs = {**model.output, "classes": outputs}
    return keras.Model(model.inputs, outputs)


def named_outputs(
    model, image, network: Callable | None = None
) -> dict[str, tf.Tensor]:
    """All that a model can say about pictures, in the graph.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        image: float32 `(N, H, W, 3)`, RGB, 0 to 255.
        network: what computes the outputs in the model's place. Defaults to
            `None`.

    Returns:
        Of a segmenter `mask`, uint8 `(N, H, W)`, and `logits`, `(N, H, W,
        classes)`; where there are boundaries `boundary`, their probability,
        `(N, H, W)`.
    """
    outputs = (network or model)(image, training=False)
    named = {}
    if isinstance(model, DLASegmenter):
        logits = class_logits(outputs)
        mask = tf.argmax(logits, axis=-1, output_type=tf.int32)
        named = {"mask": tf.cast(mask, tf.uint8), "logits": logits}
    if has_boundaries(model):
        if isinstance(outputs, dict):
            outputs = outputs["boundary"]
        named["boundary"] = tf.sigmoid(outputs)[..., 0]
    return named
