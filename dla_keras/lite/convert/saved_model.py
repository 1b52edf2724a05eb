"""Writes a model as a SavedModel that takes plain pixels."""

import tensorflow as tf

from dla_keras.lite.convert.graph import check_model
from dla_keras.lite.convert.graph import check_size
from dla_keras.lite.convert.graph import named_outputs

# signature -> dtype of the pictures it takes
SIGNATURES = {"serving_default": tf.uint8, "serving_float": tf.float32}


def write_saved_model(
    model, folder, size: tuple[int, int] | None = None
) -> None:
    """Write a SavedModel with normalisation and mask inside.

    Each of `SIGNATURES` takes RGB pictures `image`, 0 to 255, of shape
    `(N, H, W, 3)`, and gives what `named_outputs` does.

    Args:
        model: `DLASegmenter`, `DLABoundaryDetector` or `DLAClassifier`.
        folder: Folder to write to.
        size: Height and width, multiples of 32. Defaults to `None`: what the
            model itself takes.

    Raises:
        ValueError: If the model is of another kind or the size is wrong.
    """
    check_model(model)
    if size:
        check_size(size)
    shape = (None, *(size or model.image_shape[:2]), 3)
    # The signatures share one graph of the network, and the weights are
    # tracked without Keras' layers: a quarter of the time to write and read.
    network = tf.function(
        lambda image: named_outputs(model, image),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
    )

    def serve(image):
        return network(tf.cast(image, tf.float32))

    signatures = {}
    for name, dtype in SIGNATURES.items():
        spec = tf.TensorSpec(shape, dtype, name="image")
        signature = tf.function(serve, input_signature=[spec])
        signatures[name] = signature.get_concrete_function()
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, str(folder), signatures)
