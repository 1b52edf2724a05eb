"""From a picture of any size to its mask, whatever file holds the model.

`.keras`, SavedModel and `.tflite` become the same `ModelFile`, so that one
evaluation serves all three. `multiscale.py` and `tiling.py` go on from
its probabilities.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace

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
    """Masks or probabilities of pictures of any size, from a model of some.

    A picture that fits is padded at the bottom and the right, and its mask
    cut back; one that is too large for a model of fixed size is shrunk to
    it, and its mask enlarged.

    Args:
        run: uint8 `(height, width, 3)` -> a mask, uint8 `(height, width)`,
            or probabilities, float32 `(height, width, classes)`.
        size: the only size that `run` takes; `None` for any multiple of 32.
    """

    run: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        full_height, full_width = self.size or padded_size(height, width)
        scores = self.run(fit_picture(image, full_height, full_width))
        if height <= full_height and width <= full_width:
            return scores[:height, :width]
        return resize_scores(scores, height, width)


def resize_scores(scores, height: int, width: int) -> np.ndarray:
    """A mask (nearest) or probabilities (bilinear) at another size.

    Args:
        scores: uint8 `(h, w)` or float32 `(h, w, classes)`.
        height: of the result.
        width: of the result.
    """
    if scores.shape[:2] == (height, width):
        return scores
    if scores.ndim == 2:
        mask = Image.fromarray(scores)
        return np.asarray(mask.resize((width, height), Image.NEAREST))
    resized = np.empty((height, width, scores.shape[2]), np.float32)
    for index in range(scores.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(scores[..., index]))
        resized[..., index] = plane.resize((width, height), Image.BILINEAR)
    return resized


def most_likely(probabilities) -> Callable[[np.ndarray], np.ndarray]:
    """Picture -> mask, from picture -> probabilities."""
    return lambda image: probabilities(image).argmax(-1).astype(np.uint8)


@dataclass(frozen=True)
class ModelFile:
    """A segmentation model, whichever kind of file it comes from.

    Args:
        masks: gives masks.
        probabilities: gives probabilities; `None` where the file holds
            nothing but masks.
        class_names: what the file itself says. Defaults to `None`.
        palette: likewise, an RGB colour per class. Defaults to `None`.
    """

    masks: Predictor
    probabilities: Predictor | None
    class_names: tuple[str, ...] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None


def model_predictor(model) -> Predictor:
    """A predictor of masks around a segmentation model in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mask(images):
        logits = model(images, training=False)
        return tf.cast(tf.argmax(logits, -1), tf.uint8)

    return Predictor(lambda image: mask(image[None])[0].numpy())


def model_probabilities(model) -> Predictor:
    """A predictor of probabilities around a model in memory."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def probabilities(images):
        return tf.nn.softmax(model(images, training=False))

    return Predictor(lambda image: probabilities(image[None])[0].numpy())


def open_model(path, num_threads: int = 2) -> ModelFile:
    """Opens a model file of any kind.

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
        return _open_tflite(path, num_threads)
    if path.suffix == ".keras":
        model = load_segmenter(path)
        size = _fixed(model.image_shape[:2])
        return ModelFile(
            replace(model_predictor(model), size=size),
            replace(model_probabilities(model), size=size),
            model.class_names,
            model.palette,
        )
    if (path / "saved_model.pb").exists():
        return _open_saved_model(path)
    raise ValueError(
        "Expected a .keras file, a .tflite file or a SavedModel's folder. "
        f"Received: {path}."
    )


def load_predictor(path, num_threads: int = 2) -> Predictor:
    """A predictor of masks around a model file; see `open_model`."""
    return open_model(path, num_threads).masks


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


def _open_tflite(path, num_threads):
    from dla_keras.lite.runtime import LiteModel

    model = LiteModel(path, num_threads=num_threads)
    size = tuple(model.input_shape[1:3])
    probabilities = None
    if not model.gives_mask:
        probabilities = Predictor(lambda image: softmax(model.run(image)), size)
    return ModelFile(Predictor(model, size), probabilities)


def _open_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()
    size = _fixed(spec.shape[1:3].as_list())

    def run(image, output):
        picture = tf.cast(image[None], spec.dtype)
        return serve(**{name: picture})[output][0].numpy()

    # `loaded` must outlive its signature.
    run.model = loaded
    masks = Predictor(lambda image: run(image, "mask").astype(np.uint8), size)
    probabilities = None
    if "logits" in serve.structured_outputs:
        probabilities = Predictor(
            lambda image: softmax(run(image, "logits")), size
        )
    return ModelFile(masks, probabilities)


def _fixed(size):
    """Height and width where both are given, otherwise `None`."""
    return None if None in size else tuple(size)


def softmax(logits) -> np.ndarray:
    """Probabilities over the last axis.

    Example:

    >>> softmax(np.zeros((1, 2), "float32")).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
