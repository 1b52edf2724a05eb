"""Objects as points: targets, losses and decoding of centers (CenterNet).

Written once, in Keras' operations: what trains, what a Keras model finds and
what is in an exported file are the same numbers. An object is the cell that
holds the center of its box; sizes are in cells, everything is y before x.
After Zhou et al., Objects as Points (arXiv:1904.07850), and their code.
"""

from typing import NamedTuple

import keras
from keras import ops

# In the first column of boxes, where a class stands: no box, and the class of
# one that is neither an object nor background, -2 and below.
NO_BOX = -1
_FIRST_IGNORED = -2

OVERLAP = 0.7  # of two boxes, below which a cell is no near miss
CLAMP = 1e-4  # of probabilities in the loss
SIZE_WEIGHT = 0.1
HIDDEN = -1e4  # logit of what is no maximum


def ignored(class_id):
    """Return what stands for a class in a box that is to be ignored.

    It is its own inverse.

    Example:

    >>> ignored(0), ignored(ignored(7))
    (-2, 7)
    """
    return _FIRST_IGNORED - class_id


class Targets(NamedTuple):
    """What a network of centers should say of images.

    Args:
        heat: `(batch, height, width, classes)`: 1 at each center, less around.
        counted: The same shape: 0 within boxes that are ignored, else 1.
        cell: `(batch, boxes)`, int32: row times width plus column.
        size: `(batch, boxes, 2)`: height and width, in cells.
        offset: `(batch, boxes, 2)`: from the cell's corner to the center, down
            and right, in cells.
        valid: `(batch, boxes)`: 1 for objects, else 0.
    """

    heat: keras.KerasTensor
    counted: keras.KerasTensor
    cell: keras.KerasTensor
    size: keras.KerasTensor
    offset: keras.KerasTensor
    valid: keras.KerasTensor


def gaussian_radius(height, width, overlap: float = OVERLAP):
    """Return how far a corner may be off with that overlap, in cells.

    It is CornerNet's formula with its two faulty roots, which are not divided
    by twice the first coefficient: networks were trained with it, and the
    exact form matters little.

    Args:
        height: Heights of boxes.
        width: Widths of boxes.
        overlap: Least overlap (IoU). Defaults to `0.7`.
    """
    around, area = height + width, height * width
    roots = []
    for a, b, c in (
        (1.0, around, area * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * around, area * (1 - overlap)),
        (4 * overlap, -2 * overlap * around, area * (overlap - 1)),
    ):
        roots.append((b + ops.sqrt(b * b - 4 * a * c)) / 2)
    return ops.minimum(ops.minimum(roots[0], roots[1]), roots[2])


def center_targets(
    boxes, height: int, width: int, num_classes: int, stride: int
) -> Targets:
    """Return the targets of images by their boxes.

    Args:
        boxes: `(batch, boxes, 5)`: class, `NO_BOX` or `ignored(class)`, then
            top, left, bottom, right, in pixels. Boxes are cut to the image.
        height: Height of the head's output, in cells.
        width: Width of the head's output, in cells.
        num_classes: Number of classes.
        stride: Pixels of a cell's side.
    """
    boxes = ops.cast(boxes, "float32")
    classes = ops.cast(boxes[..., 0], "int32")
    limits = ops.cast(ops.stack([height, width, height, width]), "float32")
    corners = ops.clip(boxes[..., 1:] / stride, 0.0, limits)
    sides = corners[..., 2:] - corners[..., :2]
    center = (corners[..., :2] + corners[..., 2:]) / 2
    cell = ops.minimum(ops.floor(center), limits[:2] - 1)
    there = ops.all(sides > 0, axis=-1)
    valid = there & (classes >= 0)
    hidden = there & (classes <= _FIRST_IGNORED)
    radius = ops.floor(
        gaussian_radius(ops.ceil(sides[..., 0]), ops.ceil(sides[..., 1]))
    )
    radius = ops.maximum(radius, 0.0)[..., None]
    sigma = (2 * radius + 1) / 6

    def along(axis, count):
        """Return Gaussians and insides along an axis: (N, M, count)."""
        places = ops.cast(ops.arange(count), "float32")
        away = places - cell[..., axis, None]
        bell = ops.exp(-(away * away) / (2 * sigma * sigma))
        bell = ops.where(ops.abs(away) <= radius, bell, 0.0)
        low, high = corners[..., axis, None], corners[..., axis + 2, None]
        inside = (places + 1 > low) & (places < high)
        return bell, ops.cast(inside, "float32")

    (down, rows), (right, columns) = along(0, height), along(1, width)
    drawn = lambda chosen, ids, y, x: _drawn(
        chosen, ids, y[..., :, None] * x[..., None, :], num_classes
    )
    return Targets(
        heat=drawn(valid, classes, down, right),
        counted=1.0 - drawn(hidden, ignored(classes), rows, columns),
        cell=ops.cast(cell[..., 0] * limits[1] + cell[..., 1], "int32"),
        size=sides,
        offset=center - cell,
        valid=ops.cast(valid, "float32"),
    )


def _drawn(chosen, classes, maps, num_classes):
    """Return the largest of the boxes' maps by class: (N, h, w, classes)."""
    batch, _, height, width = ops.shape(maps)
    image = ops.arange(batch)[:, None] * num_classes
    nowhere = batch * num_classes
    place = ops.where(chosen, image + classes, nowhere)
    drawn = ops.segment_max(
        ops.reshape(maps, (-1, height, width)),
        ops.reshape(place, (-1,)),
        num_segments=nowhere + 1,
    )
    drawn = ops.maximum(drawn[:-1], 0.0)  # where there is no box, the least
    drawn = ops.reshape(drawn, (batch, num_classes, height, width))
    return ops.transpose(drawn, (0, 2, 3, 1))


def center_sums(boxes, outputs, stride: int, size_weight: float = SIZE_WEIGHT):
    """Return the loss of centers, sizes and offsets, and the objects' number.

    Args:
        boxes: `(batch, boxes, 5)`, see `center_targets`.
        outputs: Outputs of a `DLADetector`.
        stride: Pixels of a cell's side.
        size_weight: Weight of the sizes' loss. Defaults to `0.1`.

    Returns:
        `(loss_sum, weight_sum)`, two scalars in float32.

    Example:

    >>> boxes = np.array([[[0, 4, 4, 12, 12]]], "float32")
    >>> maps = {"heat": 1, "size": 2, "offset": 2}
    >>> maps = {n: np.zeros((1, 4, 4, c), "float32") for n, c in maps.items()}
    >>> loss, count = center_sums(boxes, maps, stride=4)
    >>> round(float(loss), 3), float(count)
    (2.973, 1.0)
    """
    _, height, width, classes = ops.shape(outputs["heat"])
    targets = center_targets(boxes, height, width, classes, stride)
    focal = focal_sum(outputs["heat"], targets)
    size = distance_sum(outputs["size"], targets.size, targets)
    offset = distance_sum(outputs["offset"], targets.offset, targets)
    # Both coordinates count in the denominator of a distance.
    loss = focal + size_weight * size / 2 + offset / 2
    return loss, ops.sum(targets.valid)


def focal_sum(logits, targets: Targets):
    """Return the penalty-reduced focal loss (CornerNet's), summed."""
    found = ops.sigmoid(ops.cast(logits, "float32"))
    found = ops.clip(found, CLAMP, 1 - CLAMP)
    center = ops.cast(targets.heat == 1, "float32")
    near = (1 - targets.heat) ** 4 * targets.counted
    missed = -ops.log(found) * (1 - found) ** 2 * center
    wrong = -ops.log(1 - found) * found**2 * near * (1 - center)
    return ops.sum(missed) + ops.sum(wrong)


def distance_sum(values, wanted, targets: Targets):
    """Return the distances at the objects' cells, both coordinates summed."""
    found = _at_cells(ops.cast(values, "float32"), targets.cell)
    return ops.sum(ops.abs(found - wanted) * targets.valid[..., None])


def _at_cells(values, cells):
    """Return maps' values at cells of each image: (N, cells, channels)."""
    batch, height, width, channels = ops.shape(values)
    first = ops.arange(batch)[:, None] * (height * width)
    flat = ops.reshape(values, (-1, channels))
    return ops.take(flat, first + cells, axis=0)


def decode(outputs, count: int = 100) -> dict:
    """Return the likeliest objects, from the likeliest on.

    A center is a cell that none of its eight neighbors exceeds. Among equal
    ones, which rounded heat maps are full of, the mean around a cell decides,
    and then a ramp, so that a plateau is one object.

    Args:
        outputs: Outputs of a `DLADetector`.
        count: Number of objects an image, at most. Defaults to `100`.

    Returns:
        `boxes`, `(batch, count, 4)`: top, left, bottom, right, in cells;
        `classes`, int32 `(batch, count)`; and `scores` from 0 to 1.
    """
    heat = ops.cast(outputs["heat"], "float32")
    batch, height, width, classes = ops.shape(heat)
    ranked = ops.where(_is_center(heat), heat, HIDDEN)
    ranked = ops.reshape(ranked, (batch, -1))
    if isinstance(ranked.shape[1], int):
        count = min(count, ranked.shape[1])
    logits, places = ops.top_k(ranked, count)
    places = ops.cast(places, "int32")
    cells = places // classes
    both = ops.concatenate([outputs["size"], outputs["offset"]], axis=-1)
    found = _at_cells(ops.cast(both, "float32"), cells)
    corner = ops.stack([cells // width, cells % width], axis=-1)
    center = ops.cast(corner, "float32") + found[..., 2:]
    half = found[..., :2] / 2
    return {
        "boxes": ops.concatenate([center - half, center + half], axis=-1),
        "classes": places % classes,
        "scores": ops.sigmoid(logits),
    }


def _is_center(heat):
    """Return whether cells are the maxima of 3x3, each plateau's only one."""
    _, height, width, _ = ops.shape(heat)
    mean = lambda side: ops.average_pool(heat, side, 1, "same")
    steps = lambda count: ops.cast(ops.arange(count) % 4, "float32")
    ramp = 4 * steps(height)[:, None] + steps(width)[None]
    unequal = heat + 1e-2 * mean(3) + 1e-4 * mean(7)
    unequal = unequal + 1e-6 * ramp[None, ..., None]
    return unequal >= ops.max_pool(unequal, 3, 1, "same")
