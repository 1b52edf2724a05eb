"""From a picture of any size to the size that a network works at, and back.

Training, predictions, exported files, the web page and the app follow the one
rule of a `Fit`, so that all of them see the same pixels. Pictures are resized
once, from their own size, by Pillow's BILINEAR, which averages where it
shrinks; labels and masks by NEAREST, so that a label stays within half a pixel
of its picture.
"""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

from dla_keras.choices import check_number
from dla_keras.data.pictures import open_header

# Policies, as exported files name them.
POLICIES = {
    "pad": "a picture that fits keeps its size, a larger one is stretched",
    "letterbox": "a picture is shrunk until it fits, and keeps its shape",
    "stretch": "every picture is stretched to one size",
}

LARGE = 2048  # pixels of the longer side that need a working size
COMMON_SIDE = 512  # of what is larger, at least

WorkingSize = int | Sequence[int] | None  # longer side, (height, width), own


@dataclass(frozen=True)
class Fit:
    """The rule by which a picture of any size is brought to a network's.

    What is left of the network's size at the bottom and the right is padded.

    Args:
        policy: Name in `POLICIES`. Defaults to `"pad"`.
        max_side: Longest side of a picture, in pixels, for `"letterbox"`.
            Defaults to `None`: any.
        size: Height and width that `"stretch"` gives where the network takes
            any size. Defaults to `None`.

    Raises:
        ValueError: If the policy is unknown.

    Example:

    >>> Fit("letterbox", max_side=1024).content(3008, 4000)
    (770, 1024)
    """

    policy: str = "pad"
    max_side: int | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise ValueError(
                f"Expected a policy of fitting among {', '.join(POLICIES)}. "
                f"Received: {self.policy!r}; update dla_keras, or export the "
                "file again."
            )

    def content(
        self, height: int, width: int, room: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Return the height and width that a picture has in the network.

        Args:
            height: Height of the picture.
            width: Width of the picture.
            room: Height and width that the network takes. Defaults to `None`:
                any.
        """
        if self.policy == "stretch":
            return room or self.size or (height, width)
        if self.policy == "pad":
            fits = room is None or (height <= room[0] and width <= room[1])
            return (height, width) if fits else room
        longest = max(height, width)
        share = Fraction(min(self.max_side or longest, longest), longest)
        found = _scaled(height, width, share)
        if room is None or (found[0] <= room[0] and found[1] <= room[1]):
            return found
        share = min(Fraction(room[0], height), Fraction(room[1], width))
        return _scaled(height, width, share)

    def resize(self, image) -> np.ndarray:
        """Return an image, uint8 `(h, w, 3)`, at its working size."""
        return resize_picture(image, *self.content(*image.shape[:2]))

    @property
    def facts(self) -> dict:
        """Return what an exported file says of it."""
        said = {"fit": self.policy}
        if self.max_side:
            said["max_side"] = self.max_side
        return said


def _scaled(height, width, share):
    # Exact, since the page and the app find the same whole numbers.
    return tuple(
        max(1, math.floor(side * share + Fraction(1, 2)))
        for side in (height, width)
    )


PAD = Fit()


def fit_of(working_size: WorkingSize) -> Fit:
    """Return the rule of a model's working size.

    Args:
        working_size: Longest side, in pixels; or height and width that every
            picture is stretched to; `None` for pictures' own size.

    Raises:
        ValueError: If it is none of these.

    Example:

    >>> fit_of((384, 512)).content(3008, 4000)
    (384, 512)
    """
    if working_size is None:
        return PAD
    sides = np.atleast_1d(working_size)
    whole = np.issubdtype(sides.dtype, np.integer) and sides.min() >= 1
    if whole and np.ndim(working_size) == 0:
        return Fit("letterbox", max_side=int(working_size))
    if whole and sides.shape == (2,):
        return Fit("stretch", size=tuple(map(int, working_size)))
    raise ValueError(
        "Expected `working_size` as the longest side in pixels, or as height "
        f"and width. Received: {working_size!r}."
    )


def read_fit(facts: dict) -> Fit:
    """Return the rule that a file follows, by the facts of its input.

    Args:
        facts: Facts of the input; files of earlier versions do not say.
    """
    return Fit(facts.get("fit", PAD.policy), facts.get("max_side"))


def default_max_side(longest: int, crop: tuple[int, int]) -> int | None:
    """Return the working size of pictures that nobody chose one for.

    Crops of a few hundred pixels see next to nothing of a photograph of
    twelve megapixels.

    Args:
        longest: Longest side of all pictures.
        crop: Height and width of training's crops.

    Returns:
        Twice the crop's longer side, of which a crop shows half, and at least
        512 pixels; `None` up to 2048 pixels, which need none.

    Example:

    >>> default_max_side(4000, (192, 256)), default_max_side(2048, (64, 64))
    (512, None)
    """
    if longest <= LARGE:
        return None
    side = max(COMMON_SIDE, 2 * max(crop))
    return side if side < longest else None


def longest_side(splits: Sequence[Sequence]) -> int | None:
    """Return the longest side of all pictures, by the headers of their files.

    Args:
        splits: Splits; those of files have `pairs`.

    Returns:
        Pixels, or `None` where there are no files.
    """
    pairs = [pair for split in splits for pair in getattr(split, "pairs", ())]
    with ThreadPoolExecutor(16) as threads:
        return max(threads.map(_longest, pairs), default=None)


def _longest(pair):
    with open_header(pair[0]) as image:
        return max(image.size)


def resize_picture(image, height: int, width: int) -> np.ndarray:
    """Return an image at a size; the same one if it has it.

    Args:
        image: uint8 `(h, w, 3)`.
        height: Height of the result.
        width: Width of the result.
    """
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.BILINEAR))


def resize_label(label, height: int, width: int) -> np.ndarray:
    """Return a label map or a mask at a size; the same one if it has it.

    Args:
        label: uint8 `(h, w)`.
        height: Height of the result.
        width: Width of the result.

    Example:

    >>> resize_label(np.array([[1, 2], [3, 4]], "uint8"), 1, 4).tolist()
    [[3, 3, 4, 4]]
    """
    if label.shape == (height, width):
        return label
    mask = Image.fromarray(np.ascontiguousarray(label))
    return np.asarray(mask.resize((width, height), Image.NEAREST))


def resize_example(example, height: int, width: int):
    """Return an example of an image and its label map at a size."""
    return dataclasses.replace(
        example,
        image=resize_picture(example.image, height, width),
        label=resize_label(example.label, height, width),
    )


class WorkingSplit(Sequence):
    """A split whose examples are brought to their working size when read.

    Args:
        split: Sequence of examples with `info`.
        fit: Rule of the working size.
        resize: Function `(example, height, width)` -> the example at that
            size. Defaults to that of label maps.
    """

    def __init__(self, split, fit: Fit, resize: Callable = resize_example):
        self.info = split.info
        self.pairs = getattr(split, "pairs", ())  # the files it comes from
        self.drawn = getattr(split, "drawn", ())  # names, of a drawn share
        self._split = split
        self._fit = fit
        self._resize = resize

    def __len__(self):
        return len(self._split)

    def __getitem__(self, index):
        example = self._split[index]
        size = self._fit.content(*example.image.shape[:2])
        return self._resize(example, *size)


def at_working_size(split: Sequence, fit: Fit, resize=resize_example):
    """Return a split at its working size; itself at its pictures' own."""
    return split if fit == PAD else WorkingSplit(split, fit, resize)


def central_crop(image, size, crop_fraction: float = 0.875) -> np.ndarray:
    """Return the crop to test on: the middle of the image, shrunk.

    Where `size` is square, it equals pixel for pixel what timm and
    torchvision evaluate on (bilinear, shorter side resized).

    Args:
        image: uint8 `(height, width, 3)`.
        size: Height and width of the result, in pixels.
        crop_fraction: Share of the shrunk image's shorter side that is kept.
            Defaults to `0.875`: 224 of 256.

    Returns:
        uint8 `(*size, 3)`.

    Example:

    >>> central_crop(np.zeros((300, 400, 3), "uint8"), (224, 224)).shape
    (224, 224, 3)
    """
    check_number("crop_fraction", crop_fraction)
    shrunk = [math.floor(length / crop_fraction) for length in size]
    # The side that lacks most of its length decides; the other one follows.
    short = max(0, 1, key=lambda side: shrunk[side] / image.shape[side])
    rows, columns = (
        int(shrunk[short] * length / image.shape[short])
        for length in image.shape[:2]
    )
    top, left = round((rows - size[0]) / 2), round((columns - size[1]) / 2)
    resized = Image.fromarray(image).resize((columns, rows), Image.BILINEAR)
    box = (left, top, left + size[1], top + size[0])
    return np.array(resized.crop(box))
