"""Writes a segmentation model as a SavedModel that takes plain pixels."""

import tensorflow as tf

from dla_keras.lite.convert.conversion import check_size
from dla_keras.lite.convert.outputs import check_model
from dla_keras.lite.convert.outputs import named_outputs

# signature -> dtype of the pictures it takes
SIGNATURES = {"serving_default": tf.uint8, "serving_float": tf.float32}


def write_saved_model(
    model, folder, size: tuple[int, int] | None = None
) -> None:
    """Writes a SavedModel with normalisation and mask inside.

    Each of `SIGNATURES` takes RGB pictures `image`, 0 to 255, of shape
    `(N, H, W, 3)`, and gives what `named_outputs` does.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        folder: where it is written.
        size: height and width, multiples of 32. Defaults to `None`: what the
            model itself takes.

    Raises:
        ValueError: for another kind of model or a wrong size.
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
