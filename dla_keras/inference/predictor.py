"""From an image of any size to its mask, with a model of any kind.

`model_files.py` opens models; `views.py` averages and tiles probabilities.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import resize_label
from dla_keras.data.fitting import resize_picture
from dla_keras.inference.prediction_files import Found
from dla_keras.inference.tflite_facts import BOXES
from dla_keras.models.backbone import MAX_STRIDE
from dla_keras.variants import IMAGENET_MEAN

# About zero after normalization, like the convolutions' own padding.
PAD_COLOR = tuple(round(255 * channel) for channel in IMAGENET_MEAN)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Return the next larger size whose sides are multiples of 32.

    Example:

    >>> padded_size(360, 480)
    (384, 480)
    """
    return tuple(
        -(-side // MAX_STRIDE) * MAX_STRIDE for side in (height, width)
    )


def size_for(pictures, fit: Fit = PAD) -> tuple[int, int]:
    """Return the smallest size of multiples of 32 that holds every picture.

    Args:
        pictures: Images, `(height, width, 3)` each.
        fit: Rule by which they are brought to the size. Defaults to `PAD`.

    Example:

    >>> size_for([np.zeros((360, 480, 3))])
    (384, 480)
    """
    sizes = [fit.content(*picture.shape[:2]) for picture in pictures]
    heights, widths = zip(*sizes, strict=True)
    return padded_size(max(heights), max(widths))


def pad_picture(image, height: int, width: int, fill=PAD_COLOR) -> np.ndarray:
    """Pad an image at the bottom and the right.

    Args:
        image: uint8 `(h, w, 3)`, no larger than the result.
        height: Height of the result.
        width: Width of the result.
        fill: RGB color of the border. Defaults to ImageNet's mean.

    Raises:
        ValueError: If the image is larger than the result.

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


def fit_picture(
    image, height: int, width: int, fit: Fit = PAD, fill=PAD_COLOR
) -> np.ndarray:
    """Return an image at a network's size: resized by a rule, then padded.

    Args:
        image: uint8 `(h, w, 3)`.
        height: Height of the result.
        width: Width of the result.
        fit: Rule of what the image's own size becomes. Defaults to `PAD`:
            shrunk if it is larger than the result.
        fill: RGB color of the border. Defaults to ImageNet's mean.
    """
    content = fit.content(*image.shape[:2], (height, width))
    return pad_picture(resize_picture(image, *content), height, width, fill)


@dataclass(frozen=True)
class Predictor:
    """Masks or probabilities of images of any size.

    An image is resized as the rule says, and padded at the bottom and the
    right; its mask is cut back and brought to the image's own size.

    Args:
        run: Function from uint8 `(height, width, 3)` to a mask, uint8
            `(height, width)`, or probabilities, float32
            `(height, width, classes)`.
        size: Only size that `run` takes. Defaults to `None`: any multiple of
            32.
        fit: Rule of what the image's own size becomes. Defaults to `PAD`.
    """

    run: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int] | None = None
    fit: Fit = PAD

    def __call__(self, image: np.ndarray) -> np.ndarray:
        size = image.shape[:2]
        rows, columns = self.fit.content(*size, self.size)
        full = self.size or padded_size(rows, columns)
        fitted = pad_picture(resize_picture(image, rows, columns), *full)
        return resize_scores(self.run(fitted)[:rows, :columns], *size)


@dataclass(frozen=True)
class BoxPredictor:
    """Boxes in images of any size, see `Predictor`.

    Args:
        run: Function from uint8 `(height, width, 3)`, and whether its mirror
            image is seen too, to boxes in its pixels, classes and scores.
        size: Only size that `run` takes. Defaults to `None`: any multiple of
            32.
        fit: Rule of what the image's own size becomes. Defaults to `PAD`.
        flip: Whether the mirror image is seen too. Defaults to `False`.
    """

    run: Callable
    size: tuple[int, int] | None = None
    fit: Fit = PAD
    flip: bool = False

    def __call__(self, image: np.ndarray) -> Found:
        size = image.shape[:2]
        content = self.fit.content(*size, self.size)
        full = self.size or padded_size(*content)
        fitted = pad_picture(resize_picture(image, *content), *full)
        boxes, classes, scores = self.run(fitted, self.flip)
        boxes = boxes * np.float32(np.divide(size, content)[[0, 1, 0, 1]])
        boxes = np.clip(boxes, 0, np.float32([*size, *size]))
        # Not what lies in the border, nor what has a size below 0.
        seen = (boxes[:, :2] < boxes[:, 2:]).all(1)
        return Found(boxes[seen], classes[seen], scores[seen], size)


def restore_scores(
    scores, height: int, width: int, fit: Fit = PAD
) -> np.ndarray:
    """Return the scores of a fitted image at the image's own size.

    Args:
        scores: Mask or probabilities, of the size that was fitted to.
        height: Height of the image.
        width: Width of the image.
        fit: Rule that the image was fitted by. Defaults to `PAD`.
    """
    rows, columns = fit.content(height, width, scores.shape[:2])
    return resize_scores(scores[:rows, :columns], height, width)


def resize_scores(scores, height: int, width: int) -> np.ndarray:
    """Resize a mask (nearest) or probabilities (bilinear).

    Args:
        scores: uint8 `(h, w)` or float32 `(h, w, classes)`.
        height: Height of the result.
        width: Width of the result.
    """
    if scores.shape[:2] == (height, width):
        return scores
    if scores.ndim == 2:
        return resize_label(scores, height, width)
    resized = np.empty((height, width, scores.shape[2]), np.float32)
    for index in range(scores.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(scores[..., index]))
        resized[..., index] = plane.resize((width, height), Image.BILINEAR)
    return resized


def most_likely(probabilities) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function picture -> mask, from picture -> probabilities."""
    return lambda image: probabilities(image).argmax(-1).astype(np.uint8)


def class_logits(outputs):
    """Return the logits of classes among a `DLASegmenter`'s outputs."""
    return outputs["classes"] if isinstance(outputs, dict) else outputs


def _any_picture():
    """Return a function that is compiled once, for images of all sizes."""
    import tensorflow as tf

    return tf.TensorSpec((1, None, None, 3), tf.uint8)


def _of_batches(scores, fit):
    """Return a predictor around a function of batches."""
    return Predictor(lambda image: scores(image[None])[0].numpy(), fit=fit)


def model_predictor(model, fit: Fit = PAD) -> Predictor:
    """Return a predictor of masks for a segmentation model in memory.

    Args:
        model: A `DLASegmenter`, or a function of batches like it.
        fit: Rule of its working size. Defaults to `PAD`.
    """
    import tensorflow as tf

    @tf.function(input_signature=[_any_picture()])
    def mask(images):
        logits = class_logits(model(images, training=False))
        return tf.cast(tf.argmax(logits, -1), tf.uint8)

    return _of_batches(mask, fit)


def model_probabilities(model, fit: Fit = PAD) -> Predictor:
    """Return a predictor of probabilities for a model in memory.

    Args:
        model: A `DLASegmenter`, or a function of batches like it.
        fit: Rule of its working size. Defaults to `PAD`.
    """
    import tensorflow as tf

    @tf.function(input_signature=[_any_picture()])
    def probabilities(images):
        return tf.nn.softmax(class_logits(model(images, training=False)))

    return _of_batches(probabilities, fit)


def boundary_predictor(model, fit: Fit = PAD) -> Predictor:
    """Return a predictor of boundary probabilities for a model in memory.

    Args:
        model: A `DLABoundaryDetector`, or a `DLASegmenter` with a boundary
            head.
        fit: Rule of its working size. Defaults to `PAD`.

    Returns:
        uint8 `(h, w, 3)` -> float32 `(h, w, 1)`.
    """
    import tensorflow as tf

    @tf.function(input_signature=[_any_picture()])
    def probabilities(images):
        outputs = model(images, training=False)
        if isinstance(outputs, dict):
            outputs = outputs["boundary"]
        return tf.sigmoid(outputs)

    return _of_batches(probabilities, fit)


def box_predictor(model, fit: Fit = PAD, count: int = 100) -> BoxPredictor:
    """Return a predictor of boxes for a `DLADetector` in memory.

    With its mirror image, probabilities, sizes and offsets are averaged.

    Args:
        model: A `DLADetector`.
        fit: Rule of its working size. Defaults to `PAD`.
        count: Boxes of an image, at most. Defaults to `100`.
    """
    import tensorflow as tf

    from dla_keras.models import centers

    def decoded(maps):
        found = centers.decode(maps, count)
        boxes = found["boxes"] * model.head_stride
        return boxes, found["classes"], found["scores"]

    @tf.function(input_signature=[_any_picture()])
    def once(images):
        return decoded(model(images, training=False))

    @tf.function(input_signature=[_any_picture()])
    def twice(images):
        maps = model(images, training=False)
        mirror = model(images[:, :, ::-1], training=False)
        mirror = {name: x[:, :, ::-1] for name, x in mirror.items()}
        mirror["offset"] = [0.0, 1.0] + mirror["offset"] * [1.0, -1.0]
        both = tf.nest.map_structure(lambda a, b: (a + b) / 2, maps, mirror)
        share = tf.sigmoid(maps["heat"]) + tf.sigmoid(mirror["heat"])
        both["heat"] = tf.math.log(share / (2 - share))  # of the mean's odds
        return decoded(both)

    def run(image, flip):
        found = (twice if flip else once)(image[None])
        return [values[0].numpy() for values in found]

    return BoxPredictor(run, fit=fit)


def decode_maps(maps: np.ndarray, stride: int) -> tuple[np.ndarray, ...]:
    """Return boxes in an image's pixels, their classes and scores.

    Args:
        maps: A detector's maps of the image, float32 `(h, w, classes + 4)`:
            heat, size and offset.
        stride: Pixels of a cell's side.
    """
    from dla_keras.models import centers

    heat, size, offset = np.split(maps[None], [-4, -2], axis=-1)
    found = centers.decode({"heat": heat, "size": size, "offset": offset})
    found = {name: np.asarray(values)[0] for name, values in found.items()}
    boxes = found["boxes"] * np.float32(stride)
    return boxes, found["classes"], found["scores"]


def located_boxes(outputs: dict, size) -> tuple[np.ndarray, ...]:
    """Return boxes in an image's pixels, their classes and scores.

    Args:
        outputs: A file's outputs of one image, by the names of `BOXES`.
        size: Height and width of the image.
    """
    boxes, classes, scores, _ = (np.asarray(outputs[name]) for name in BOXES)
    boxes = boxes * np.float32([*size, *size])
    return boxes, classes.astype(np.int32), scores


def model_logits(model):
    """Return a function from pictures to logits around a classifier.

    Args:
        model: A `DLAClassifier` with its top.

    Returns:
        A function: uint8 `(n, h, w, 3)`, all of one size -> float32
        `(n, classes)`.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def scores(images):
        return model(images, training=False)

    if model.classifier_activation is None:
        return lambda images: scores(images).numpy()
    return lambda images: log_probabilities(scores(images).numpy())


def log_probabilities(probabilities) -> np.ndarray:
    """Return logits whose softmax is what is given, with 0 as almost 0."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))


def softmax(logits) -> np.ndarray:
    """Return probabilities over the last axis.

    Example:

    >>> softmax(np.zeros((1, 2), "float32")).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
