"""From a picture of any size to its mask, whatever file holds the model.

`.keras`, SavedModel and `.tflite` become the same `Predictor`, so that one
evaluation serves all three.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.normalization import IMAGENET_MEAN

# About zero after normalisation, as the convolutions' own padding is.
PAD_COLOR = tuple(round(255 * channel) for channel in IMAGENET_MEAN)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next size up whose sides are multiples of 32.

    Example:

    >>> padded_size(360, 480)
    (384, 480)
    """
    return tuple(
        -(-side // MAX_STRIDE) * MAX_STRIDE for side in (height, width)
    )


def pad_picture(image, height: int, width: int, fill=PAD_COLOR) -> np.ndarray:
    """Pads a picture at the bottom and the right.

    Args:
        image: uint8 `(h, w, 3)`, no larger than the target.
        height: of the result.
        width: of the result.
        fill: RGB colour of the border. Defaults to ImageNet's mean.

    Raises:
        ValueError: for a picture larger than the target.

    Example:

    >>> pad_picture(np.zeros((30, 40, 3), "uint8"), 32, 64).shape
    (32, 64, 3)
    """
    if image.shape[0] > height or image.shape[1] > width:
        raise ValueError(
            f"Expected a picture of at most {height} x {width}. Received: "
            f"{image.shape[0]} x {image.shape[1]}."
        )
    padded = np.empty((height, width, 3), np.uint8)
    padded[:] = fill
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def fit_picture(image, height: int, width: int, fill=PAD_COLOR) -> np.ndarray:
    """Pads a picture that fits a size, and shrinks one that does not.

    Args:
        image: uint8 `(h, w, 3)`.
        height: of the result.
        width: of the result.
        fill: RGB colour of the border. Defaults to ImageNet's mean.
    """
    if image.shape[0] <= height and image.shape[1] <= width:
        return pad_picture(image, height, width, fill)
    resized = Image.fromarray(image).resize((width, height), Image.BILINEAR)
    return np.asarray(resized)


@dataclass(frozen=True)
class Predictor:
    """Masks for pictures of any size, from a model of some size.

    A picture that fits is padded at the bottom and the right, and its mask
    cut back; one that is too large for a model of fixed size is shrunk to
    it, and its mask enlarged.

    Args:
        run: `(height, width, 3)` uint8 -> `(height, width)` uint8.
        size: the only size that `run` takes; `None` for any multiple of 32.
    """

    run: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        full_height, full_width = self.size or padded_size(height, width)
        mask = self.run(fit_picture(image, full_height, full_width))
        if height <= full_height and width <= full_width:
            return mask[:height, :width]
        enlarged = Image.fromarray(mask).resize((width, height), Image.NEAREST)
        return np.asarray(enlarged)


def model_predictor(model) -> Predictor:
    """A predictor around a segmentation model in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mask(images):
        logits = model(images, training=False)
        return tf.cast(tf.argmax(logits, -1), tf.uint8)

    return Predictor(lambda image: mask(image[None])[0].numpy())


def load_predictor(path, num_threads: int = 2) -> Predictor:
    """A predictor around a model file.

    Args:
        path: a `.keras` file, a SavedModel's folder or a `.tflite` file.
        num_threads: for `.tflite` files. Defaults to `2`.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a file of another kind.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    if path.suffix == ".tflite":
        from dla_keras.lite.runtime import LiteModel

        model = LiteModel(path, num_threads=num_threads)
        return Predictor(model, tuple(model.input_shape[1:3]))
    if path.suffix == ".keras":
        return model_predictor(load_segmenter(path))
    if (path / "saved_model.pb").exists():
        return _saved_model_predictor(path)
    raise ValueError(
        "Expected a .keras file, a .tflite file or a SavedModel's folder. "
        f"Received: {path}."
    )


def load_segmenter(path):
    """The `DLASegmenter` of a `.keras` file.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a broken file, or another kind of model.
    """
    import keras

    from dla_keras.models.segmenter import DLASegmenter

    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a .keras model: {error}"
        ) from error
    if not isinstance(model, DLASegmenter):
        raise ValueError(
            "Expected a DLASegmenter. Received: "
            f"{type(model).__name__} in {path}."
        )
    return model


def _saved_model_predictor(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()
    size = spec.shape[1:3].as_list()

    def run(image):
        picture = tf.cast(image[None], spec.dtype)
        return serve(**{name: picture})["mask"][0].numpy().astype(np.uint8)

    # `loaded` must outlive its signature.
    run.model = loaded
    return Predictor(run, None if None in size else tuple(size))
