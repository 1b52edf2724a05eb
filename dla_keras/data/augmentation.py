"""Random changes of training images: pure functions of a seed.

`Augmentation` is for label maps and boxes: scale, rotation, flip and crop are
one affine map, so an image is resampled once. `RandomResizedCrop` and `Mixing`
are for classification. The same seed gives the same crop on every machine and
after a restart.

TensorFlow draws, OpenCV and Pillow change the pixels: several times faster,
and other threads of Python go on meanwhile.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from dla_keras.choices import check_number
from dla_keras.choices import check_range
from dla_keras.data.boxes import LEAST_SHARE
from dla_keras.data.boxes import MAX_BOXES
from dla_keras.data.boxes import NO_BOX
from dla_keras.data.boxes import ignored
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.variants import IMAGENET_MEAN

MEAN_COLOR = [round(255 * mean) for mean in IMAGENET_MEAN]
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def draw_colors(
    seed, strength: float, saturation: float | None = None, tint: float = 0.0
):
    """Return factors of brightness, contrast, saturation and each channel.

    Args:
        seed: Two integers; equal seeds give equal factors.
        strength: Largest relative change, 0 to 1.
        saturation: Largest relative change of the saturation, 0 to 1.
            Defaults to `None`: `strength`.
        tint: Largest relative change of each channel, 0 to 1. Defaults to
            `0.0`.

    Returns:
        float32 `(6,)`.
    """
    saturation = strength if saturation is None else saturation
    low, high = (
        [1 + sign * change for change in (strength, strength, saturation)]
        for sign in (-1, 1)
    )
    factors = tf.random.stateless_uniform((3,), seed, low, high)
    gains = tf.random.stateless_uniform(
        (3,), tf.random.fold_in(seed, 1), 1 - tint, 1 + tint
    )
    return tf.concat([factors, gains], 0)


def change_colors(image: np.ndarray, factors) -> np.ndarray:
    """Change brightness, contrast, saturation and the light's color.

    Brightness scales the pixels, contrast their distance to the image's mean
    luminance, saturation their distance to their own luminance, and a light
    of another color scales each channel on its own. All are linear, so one
    matrix does them in one pass over the pixels.

    Args:
        image: uint8 or float32 `(height, width, 3)`.
        factors: Six numbers of `draw_colors`; 1 changes nothing.

    Returns:
        An image of the same type, 0 to 255.
    """
    brightness, contrast, saturation, *gains = np.float64(factors)
    # Each channel is pulled towards the pixel's luminance.
    matrix = saturation * np.eye(3) + (1 - saturation) * np.array(LUMINANCE)
    shift = (1 - contrast) * brightness * np.dot(cv2.mean(image)[:3], LUMINANCE)
    matrix = np.c_[brightness * contrast * matrix, [shift] * 3]
    matrix *= np.reshape(gains, (3, 1))
    return np.clip(cv2.transform(image, matrix), 0, 255)


def change_sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Return an image sharper (above 1) or smoother (below 1) than it was.

    As Pillow's `ImageEnhance.Sharpness` in the authors' code, but for its
    rounding: what 3x3 pixels smooth away counts `factor` times. The outermost
    pixels stay.

    Args:
        image: uint8 or float32 `(height, width, 3)`.
        factor: Number; 0 smooths, 1 is the image itself.
    """
    kernel = np.full((3, 3), (1 - factor) / 13)
    kernel[1, 1] += factor + 4 * (1 - factor) / 13  # it counts 5 times
    changed = cv2.filter2D(image, -1, kernel)
    for ends in ([0, -1], np.s_[:, [0, -1]]):
        changed[ends] = image[ends]
    return changed


def move_labels(label, matrix, size: tuple[int, int]):
    """Return a label map as it lies in a crop.

    Args:
        label: `(height, width)` of class ids.
        matrix: Map from crop to image pixels, from `random_affine`.
        size: Height and width of the crop, in pixels.
    """
    warp = lambda label, matrix: _warp(
        label, matrix, size, cv2.INTER_NEAREST, IGNORE_LABEL
    )
    moved = tf.numpy_function(warp, [label, matrix], label.dtype, False)
    return tf.ensure_shape(moved, size)


def move_boxes(label, matrix, size: tuple[int, int], count: int = MAX_BOXES):
    """Return boxes as they lie in a crop, padded with `NO_BOX`.

    Boxes of which the crop shows less than a quarter are ignored, those it does
    not show are gone. Where a crop holds more than `count`, the largest are
    kept.

    Args:
        label: `(boxes, 5)`, see `BoxExample.label`.
        matrix: Map from crop to image pixels, from `random_affine`.
        size: Height and width of the crop, in pixels.
        count: Rows of the result. Defaults to `MAX_BOXES`.

    Returns:
        `(count, 5)`, in the crop's pixels.

    Example:

    >>> image, boxes = np.zeros((60, 80, 3)), np.float32([[2, 0, 0, 60, 80]])
    >>> crop = Augmentation((32, 32), (0.4, 0.4), 0.0, move=move_boxes)
    >>> _, y = crop(image, boxes, (1, 2))
    >>> y.shape, [round(float(side)) for side in y[0]]
    (TensorShape([128, 5]), [2, 3, 0, 27, 32])
    """
    classes, corners = label[:, 0], label[:, 1:]
    xx, xy, x0, yx, yy, y0 = tf.unstack(matrix[:6])
    turn = tf.stack([tf.stack([yy, yx]), tf.stack([xy, xx])])  # of (y, x)
    back = tf.linalg.inv(turn)
    # All four corners, since a map may turn; the matrix is for the middles of
    # pixels, which are at a half.
    rows, columns = corners[:, 0::2], corners[:, 1::2]  # (n, 2) each
    points = tf.stack(
        [
            tf.stack([rows[:, i], columns[:, j]], -1)
            for i in (0, 1)
            for j in (0, 1)
        ],
        1,
    )  # (n, 4, 2)
    points = tf.einsum("ij,nkj->nki", back, points - 0.5 - [y0, x0]) + 0.5
    whole = tf.concat([tf.reduce_min(points, 1), tf.reduce_max(points, 1)], 1)
    limits = tf.constant([*size, *size], tf.float32)
    cut = tf.clip_by_value(whole, 0.0, limits)
    area = lambda box: tf.reduce_prod(
        tf.maximum(box[:, 2:] - box[:, :2], 0.0), -1
    )
    share = area(cut) / tf.maximum(area(whole), 1e-6)
    hidden = (share < LEAST_SHARE) & (classes >= 0)
    classes = tf.where(hidden, ignored(classes), classes)
    moved = tf.concat([classes[:, None], cut], 1)
    areas = area(cut)
    order = tf.argsort(areas, direction="DESCENDING", stable=True)
    order = order[: tf.math.count_nonzero(areas > 0, dtype=tf.int32)][:count]
    moved = tf.gather(moved, order)
    rest = count - tf.shape(moved)[0]
    empty = tf.constant([[float(NO_BOX), 0.0, 0.0, 0.0, 0.0]])
    moved = tf.concat([moved, tf.repeat(empty, rest, axis=0)], 0)
    return tf.ensure_shape(moved, (count, 5))


@dataclass(frozen=True)
class Augmentation:
    """A random crop of an image and its label.

    Called with an image `(height, width, 3)`, RGB, 0 to 255, a label
    `(height, width)` of class ids or `IGNORE_LABEL`, and a seed of two
    integers; equal seeds give equal crops. Returns float32 `(*size, 3)`, 0 to
    255, and uint8 `size`. Where the crop leaves the original, the image holds
    ImageNet's mean color, or its own reflection, and the label
    `IGNORE_LABEL`. With a class id as a fourth argument, the crop is about a
    random pixel of that class.

    Args:
        size: Height and width of the crop, in pixels.
        scale: Range of the zoom. Defaults to `(0.5, 2.0)`, the paper's.
        rotation: Largest angle in degrees, either way. Defaults to `10.0`.
        flip: Whether half of the images are mirrored. Defaults to `True`.
        jitter: Largest relative change of brightness, contrast and
            saturation. Defaults to `0.4`.
        saturation: Largest relative change of the saturation. Defaults to
            `None`: `jitter`.
        tint: Largest relative change of each channel. Defaults to `0.0`.
        sharpness: Largest relative change of the sharpness, see
            `change_sharpness`. Defaults to `0.0`.
        even_scale: Whether the zoom is drawn evenly between its ends, as in
            the authors' code; two thirds of `(0.5, 2.0)` then enlarge.
            Defaults to `False`: evenly in its logarithm, so half of them do.
        reflect: Whether images are reflected at their borders, as in the
            authors' code. Defaults to `False`.
        move: Function of a label, the map from crop to image and the crop's
            size -> label of the crop. Defaults to that of label maps;
            `move_boxes` is for boxes.

    Example:

    >>> image, label = np.zeros((60, 80, 3)), np.zeros((60, 80), "uint8")
    >>> x, y = Augmentation((32, 32))(image, label, (1, 2))
    >>> x.shape, y.shape
    (TensorShape([32, 32, 3]), TensorShape([32, 32]))
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0
    flip: bool = True
    jitter: float = 0.4
    saturation: float | None = None
    tint: float = 0.0
    sharpness: float = 0.0
    even_scale: bool = False
    reflect: bool = False
    move: Callable = move_labels

    def __post_init__(self):
        check_range("scale", self.scale)
        check_number("rotation", self.rotation)
        check_number("jitter", self.jitter)
        check_number("tint", self.tint)
        check_number("sharpness", self.sharpness)
        if self.saturation is not None:
            check_number("saturation", self.saturation)

    def __call__(self, image, label, seed, focus=None):
        # One independent seed per decision.
        seeds = tf.unstack(tf.random.split(seed, 2), num=2)
        place = None
        if focus is not None:
            place = random_pixel(label, focus, tf.random.fold_in(seed, 2))
        matrix = random_affine(tf.shape(image), seeds[0], self, place)
        colors = draw_colors(seeds[1], self.jitter, self.saturation, self.tint)
        low, high = 1 - self.sharpness, 1 + self.sharpness
        sharpness = tf.random.stateless_uniform(
            (), tf.random.fold_in(seed, 3), low, high
        )
        image = _changed(
            self.size, self._crop, image, matrix, sharpness, colors
        )
        return image, self.move(label, matrix, self.size)

    def _crop(self, image, matrix, sharpness, colors):
        fill = None if self.reflect else MEAN_COLOR
        image = _warp(image, matrix, self.size, cv2.INTER_LINEAR, fill)
        if self.sharpness:
            # Before the colors, which are clipped; it changes no mean.
            image = change_sharpness(image, sharpness)
        return change_colors(image, colors)


def random_pixel(label, focus, seed):
    """Return the place of a random pixel of a class, `(row, column)`.

    Args:
        label: `(height, width)` of class ids.
        focus: Class id. A label without it gives any pixel.
        seed: Two integers.
    """
    there = tf.cast(label, tf.int32) == tf.cast(focus, tf.int32)
    places = tf.where(there | ~tf.reduce_any(there))
    index = tf.random.stateless_uniform(
        (), seed, 0, tf.shape(places)[0], tf.int32
    )
    return tf.cast(places[index], tf.float32)


def random_affine(shape, seed, augmentation: Augmentation, place=None):
    """Return the map from crop to image pixels: 8 numbers, row by row.

    Args:
        shape: Height and width of the image.
        seed: Two integers.
        augmentation: Ranges to draw from.
        place: Pixel that the crop is about. Defaults to `None`: any.
    """
    u = tf.random.stateless_uniform((5,), seed)
    low, high = augmentation.scale
    if augmentation.even_scale:
        scale = low + u[0] * (high - low)
    else:
        low, high = math.log(low), math.log(high)
        scale = tf.exp(low + u[0] * (high - low))
    angle = (2 * u[1] - 1) * augmentation.rotation * math.pi / 180
    mirror = tf.where(augmentation.flip & (u[2] < 0.5), -1.0, 1.0)

    # The center is drawn so that the crop lies inside the image or, where the
    # zoomed image is smaller, so that the image lies inside the crop.
    height, width = augmentation.size
    picture = tf.cast(shape[:2], tf.float32)
    reach = tf.constant([height / 2, width / 2]) / scale
    center = reach + u[3:5] * (picture - 2 * reach)
    if place is not None:
        ends = tf.sort(tf.stack([reach, picture - reach]), axis=0)
        about = place + 0.5 + (2 * u[3:5] - 1) * reach
        center = tf.clip_by_value(about, ends[0], ends[1])

    # Pixel i covers i to i + 1, so its center is at i + 0.5.
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    xx, xy = mirror * cosine, -sine
    yx, yy = mirror * sine, cosine
    x0 = center[1] - 0.5 - xx * (width - 1) / 2 - xy * (height - 1) / 2
    y0 = center[0] - 0.5 - yx * (width - 1) / 2 - yy * (height - 1) / 2
    if augmentation.scale == (1, 1) and not augmentation.rotation:
        x0, y0 = tf.round(x0), tf.round(y0)  # between pixels all would blur
    return tf.stack([xx, xy, x0, yx, yy, y0, 0.0, 0.0])


def _changed(size, change, image, *drawn):
    """Return what a function of NumPy makes of an image, in float32."""
    image = tf.convert_to_tensor(image)
    crop = tf.numpy_function(change, [image, *drawn], image.dtype, False)
    return tf.ensure_shape(tf.cast(crop, tf.float32), (*size, 3))


def _warp(image, matrix, size, interpolation, fill):
    """Return a crop of an image or a label; outside is `fill`, or reflected.

    Pixel i has its middle at i, for OpenCV and for the map alike.
    """
    return cv2.warpAffine(
        image,
        matrix[:6].reshape(2, 3),
        size[::-1],
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT if fill is None else cv2.BORDER_CONSTANT,
        borderValue=fill or 0,
    )


_ATTEMPTS = 10  # as in the authors' code and torchvision


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of an image, resized to one size.

    Called with an image `(height, width, 3)`, RGB, 0 to 255, its label, which
    is passed on, and a seed of two integers; equal seeds give equal crops.
    Returns float32 `(*size, 3)`, 0 to 255, and the label.

    The part is shrunk with antialiasing, as test images are.

    Args:
        size: Height and width of the result, in pixels.
        area: Range of the part's area, relative to the image's. Defaults to
            `(0.08, 1.0)`, the paper's.
        aspect: Range of the part's width over its height. Defaults to
            `(3 / 4, 4 / 3)`, the paper's.
        flip: Whether half of the images are mirrored. Defaults to `True`.
        jitter: Largest relative change of brightness, contrast and
            saturation. Defaults to `0.0`.

    Example:

    >>> x, y = RandomResizedCrop((32, 32))(np.zeros((60, 80, 3)), 7, (1, 2))
    >>> x.shape, y
    (TensorShape([32, 32, 3]), 7)
    """

    size: tuple[int, int]
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    jitter: float = 0.0

    def __post_init__(self):
        check_range("area", self.area)
        check_range("aspect", self.aspect)
        check_number("jitter", self.jitter)

    def __call__(self, image, label, seed):
        seeds = tf.unstack(tf.random.split(seed, 3), num=3)
        box = random_box(tf.shape(image)[:2], seeds[0], self.area, self.aspect)
        mirrored = tf.random.stateless_uniform((), seeds[1]) < 0.5
        colors = draw_colors(seeds[2], self.jitter)
        image = _changed(self.size, self._crop, image, box, mirrored, colors)
        return image, label

    def _crop(self, image, box, mirrored, colors):
        top, left, height, width = box
        image = image[top : top + height, left : left + width]
        picture = Image.fromarray(np.asarray(image, np.uint8))
        picture = picture.resize(self.size[::-1], Image.BILINEAR)
        if self.flip and mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return change_colors(np.asarray(picture, image.dtype), colors)


def random_box(shape, seed, area, aspect):
    """Draw a random part of an image.

    It is the first of ten draws that lies inside the image; if none does, the
    largest central part whose aspect is allowed.

    Args:
        shape: Height and width of the image.
        seed: Two integers.
        area: Range of the part's area, relative to the image's.
        aspect: Range of the part's width over its height, drawn evenly in the
            logarithm.

    Returns:
        int32 `(4,)`: top, left, height, width.
    """
    u = tf.random.stateless_uniform((4, _ATTEMPTS), seed)
    shape = tf.cast(shape, tf.float32)
    areas = (area[0] + u[0] * (area[1] - area[0])) * tf.reduce_prod(shape)
    low, high = (math.log(bound) for bound in aspect)
    ratios = tf.exp(low + u[1] * (high - low))
    ratio = tf.clip_by_value(shape[1] / shape[0], *aspect)
    whole = tf.stack(
        [
            tf.minimum(shape[0], shape[1] / ratio),
            tf.minimum(shape[1], shape[0] * ratio),
        ]
    )
    drawn = tf.stack([tf.sqrt(areas / ratios), tf.sqrt(areas * ratios)], 1)
    sizes = tf.round(tf.concat([drawn, whole[None]], 0))  # (11, 2)
    places = tf.concat([tf.transpose(u[2:]), [[0.5, 0.5]]], 0)
    fits = tf.reduce_all((sizes >= 1) & (sizes <= shape), -1)
    first = tf.argmax(fits)  # the last, central one always fits
    corner = tf.floor(places[first] * (shape - sizes[first] + 1))
    return tf.cast(tf.concat([corner, sizes[first]], 0), tf.int32)


@dataclass(frozen=True)
class Mixing:
    """Mixes two images in both directions, by mixup or CutMix.

    Called with a pair of images `(2, height, width, 3)`, their class ids
    `(2,)` and a seed of two integers; equal seeds mix equally. Returns the
    mixed images and float32 `(2, num_classes)`: each class's share.

    Mixup (Zhang et al., ICLR 2018) blends the two; CutMix (Yun et al., ICCV
    2019) pastes a box of one into the other. With both, each pair gets either
    of them with equal probability.

    Args:
        num_classes: Number of classes.
        mixup: Parameter of the Beta distribution of mixup's shares; `0` for no
            mixup. Defaults to `0.0`.
        cutmix: Parameter of the Beta distribution of CutMix's shares; `0` for
            no CutMix. Defaults to `0.0`.

    Example:

    >>> images = np.stack([np.zeros((8, 8, 3)), np.ones((8, 8, 3))])
    >>> x, y = Mixing(5, mixup=1.0)(images, (3, 4), (1, 2))
    >>> bool(tf.reduce_all(abs(x[0] - y[0, 4]) < 1e-6))
    True
    """

    num_classes: int
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        check_number("mixup", self.mixup)
        check_number("cutmix", self.cutmix)

    def __call__(self, images, labels, seed):
        seeds = tf.unstack(tf.random.split(seed, 3), num=3)
        images = tf.cast(images, tf.float32)
        shape = tf.shape(images)[1:3]
        if self.mixup and self.cutmix:
            keep = tf.cond(
                tf.random.stateless_uniform((), seeds[0]) < 0.5,
                lambda: _blend(shape, seeds[1:], self.mixup),
                lambda: _paste(shape, seeds[1:], self.cutmix),
            )
        elif self.cutmix:
            keep = _paste(shape, seeds[1:], self.cutmix)
        elif self.mixup:
            keep = _blend(shape, seeds[1:], self.mixup)
        else:
            keep = tf.ones((*shape, 1))
        share = tf.reduce_mean(keep)
        labels = tf.one_hot(labels, self.num_classes)
        return (
            keep * images + (1 - keep) * images[::-1],
            share * labels + (1 - share) * labels[::-1],
        )


def _blend(shape, seeds, strength):
    """Return the share that pixels keep of themselves in mixup.

    It is `(height, width, 1)`, and the same everywhere.
    """
    return tf.fill((shape[0], shape[1], 1), _beta(seeds[0], strength))


def _paste(shape, seeds, strength):
    """Return the share for CutMix: 0 in a box at a random place, else 1."""
    side = tf.sqrt(1 - _beta(seeds[0], strength))
    extent = tf.cast(shape, tf.float32)
    center = tf.random.stateless_uniform((2,), seeds[1]) * extent
    low = tf.round(center - side * extent / 2)
    high = tf.round(center + side * extent / 2)
    rows, columns = (
        (low[axis] <= tf.range(extent[axis]))
        & (tf.range(extent[axis]) < high[axis])
        for axis in (0, 1)
    )
    inside = rows[:, None] & columns[None, :]
    return 1 - tf.cast(inside, tf.float32)[..., None]


def _beta(seed, strength):
    # In float64, since both draws may be tiny where the parameter is small.
    draws = tf.random.stateless_gamma(
        (2,), seed, tf.constant(strength, tf.float64), dtype=tf.float64
    )
    return tf.cast(draws[0] / tf.reduce_sum(draws), tf.float32)
