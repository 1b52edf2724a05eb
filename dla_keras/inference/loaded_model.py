"""The door for Python: a model file as a function of images of any kind."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.data.fitting import central_crop
from dla_keras.data.pictures import UNBOUNDED
from dla_keras.data.pictures import to_rgb
from dla_keras.data.pictures import upright
from dla_keras.inference.model_files import ModelFile
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import softmax

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


@dataclass(frozen=True)
class LoadedModel:
    """A model that takes images as people have them.

    An image is an array, or a Pillow image: `(height, width)` grey,
    `(height, width, 3)` RGB or `(height, width, 4)` RGBA, which is laid over
    white; uint8, or floats from 0 to 255. A Pillow image is turned as its EXIF
    says, and 16 bits become 8, as in `predict`. A batch is an array
    `(n, height, width, channels)` or a list of images, also of different
    sizes. Results are those of the image's own size; of a batch they are a
    list.

    Called with an image, a model gives the result of the first of its `tasks`:
    a mask, a boundary map, boxes or probabilities of classes.

    Args:
        file: The model file, opened.

    Example:

    >>> model = dla_keras.load("runs/x/model.keras")  # doctest: +SKIP
    >>> mask = model(PIL.Image.open("street.jpg"))  # doctest: +SKIP
    >>> model.class_names[mask[0, 0]]  # doctest: +SKIP
    'sky'
    """

    file: ModelFile

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the names of the tasks that the model is for, in order."""
        return self.file.tasks

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Return the names of the classes, or `None`."""
        return self.file.class_names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...] | None:
        """Return the RGB color of each class, or `None`."""
        return self.file.palette

    @property
    def size(self) -> tuple[int, int] | None:
        """Return the height and width the file computes at; `None` for any."""
        return self.file.size

    def __call__(self, image):
        first = {
            "segmentation": self.mask,
            "boundary": self.boundary,
            "classification": self.probabilities,
            "detection": self.boxes,
        }
        return first[self.tasks[0]](image)

    def mask(self, image):
        """Return the class of every pixel: uint8 `(height, width)`.

        Args:
            image: Image or batch, see `LoadedModel`.

        Raises:
            ValueError: If the model segments nothing, or the image does not
                fit.
        """
        return self._each("masks", self.file.masks, image)

    def boundary(self, image):
        """Return the probability of a boundary: float32 `(height, width)`.

        Args:
            image: Image or batch, see `LoadedModel`.

        Raises:
            ValueError: If the model finds no boundaries, or the image does not
                fit.
        """
        found = self._each("boundaries", self.file.boundaries, image)
        if isinstance(found, list):
            return [scores[..., 0] for scores in found]
        return found[..., 0]

    def boxes(self, image):
        """Return the objects of an image: a `Found`, the likeliest first.

        Its `boxes` are top, left, bottom and right in the image's pixels;
        `classes` and `scores` belong to them, and `above(score)` leaves out
        what is unsure.

        Args:
            image: Image or batch, see `LoadedModel`.

        Raises:
            ValueError: If the model finds no boxes, or the image does not fit.
        """
        return self._each("boxes", self.file.boxes, image)

    def probabilities(self, image):
        """Return the probability of every class, summing to 1.

        Args:
            image: Image or batch, see `LoadedModel`.

        Returns:
            Float32 `(height, width, num_classes)`; of a classifier
            `(num_classes,)`, from the middle of the image.

        Raises:
            ValueError: If the file holds no probabilities, or the image does
                not fit.
        """
        find = self.file.probabilities
        if self.file.logits is not None:
            find = self._classify
        return self._each("probabilities", find, image)

    def _classify(self, image):
        file = self.file
        crop = central_crop(image, file.crop_size, file.crop_fraction)
        return softmax(file.logits(crop[None]))[0]

    def _each(self, what: str, find: Callable | None, image):
        if find is None:
            raise ValueError(
                f"{self.file.name} gives no {what}: it is for "
                f"{' and '.join(self.tasks)}. Load a model that does"
                + (
                    ", or export it with head='logits'."
                    if what == "probabilities" and self.file.masks
                    else "."
                )
            )
        if isinstance(image, (list, tuple)) and not all(map(_is_image, image)):
            raise ValueError(
                "Expected an image, or a list of images: arrays or Pillow "
                "images. Received: nested lists; pass np.asarray(image)."
            )
        several = isinstance(image, (list, tuple)) or np.ndim(image) == 4
        if several:
            return [find(rgb_image(each)) for each in image]
        return find(rgb_image(image))


def load(path: str | pathlib.Path, threads: int = 2) -> LoadedModel:
    """Return a model file of any kind as a function of images.

    Args:
        path: Path of a `.keras` file, a SavedModel's folder or a `.tflite`
            file; or `"streets"`, a segmenter of street scenes that ships
            (see `dla_keras.SHIPPED_MODELS`).
        threads: Threads that a `.tflite` file runs on. Defaults to `2`.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If the file is damaged or of another kind.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", num_classes=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.keras"
    ...     model.save(path)
    ...     loaded = load(path)
    >>> loaded.tasks
    ('segmentation',)
    >>> loaded(np.zeros((50, 70, 3), "uint8")).shape
    (50, 70)
    >>> load("streets").class_names[:4]
    ('sky', 'building', 'pole', 'road')
    """
    return LoadedModel(open_model(path, threads))


def _is_image(image):
    return isinstance(image, (np.ndarray, Image.Image)) or hasattr(
        image, "__array__"
    )


def rgb_image(image) -> np.ndarray:
    """Return an image as models take it: uint8 `(height, width, 3)`.

    Args:
        image: Array or Pillow image, see `LoadedModel`.

    Raises:
        ValueError: If the channels or the range of the values do not fit.

    Example:

    >>> rgb_image(np.full((2, 3), 127.6)).tolist()[0][0]
    [128, 128, 128]
    """
    whole = isinstance(image, Image.Image) and min(image.size) > 0
    if whole and image.mode not in UNBOUNDED:
        return to_rgb(upright(image))
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNELS or not pixels.size:
        raise ValueError(
            "Expected an image (height, width) or (height, width, channels) "
            "of 1, 3 or 4 channels: grey, RGB or RGBA. Received: shape "
            f"{np.shape(image)}. Channels that stand first are moved by "
            "np.moveaxis(image, 0, -1); a file is opened by PIL.Image.open."
        )
    pixels = _to_bytes(pixels)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:] / np.float32(255)  # over white
    return np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _to_bytes(pixels):
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "iuf":
        raise ValueError(
            "Expected uint8, or numbers from 0 to 255. Received: an image of "
            f"{pixels.dtype}."
        )
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 255):  # not a number is neither
        raise ValueError(
            "Expected uint8, or numbers from 0 to 255. Received: "
            f"{pixels.dtype} from {low} to {high}. Divide 16 bits by 257; undo "
            "a normalization, which the model does itself."
        )
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(
            "Expected numbers from 0 to 255. Received: floats from "
            f"{low} to {high}. Multiply by 255."
        )
    return np.rint(pixels).astype(np.uint8)
