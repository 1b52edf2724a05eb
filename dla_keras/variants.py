"""The family as one table: a row per architecture, and nothing elsewhere.

Feeds `models/` (what to build) and `weights/` (what to expect in a file).
"""

import os
import pathlib
from dataclasses import dataclass

from dla_keras.choices import choose

# Of ImageNet's pixels, scaled to 0..1, RGB.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Variant:
    """One row of Table 1 of the paper (arXiv:1707.06484) and its successors.

    Args:
        depths: Depth of the aggregation tree of levels 2, 3, 4 and 5; a tree
            of depth `d` holds `2**d` blocks.
        filters: Output channels of levels 0 to 5.
        block: `"basic"`, `"bottleneck"` or `"bottle2neck"` (Res2Net).
        groups: Groups of the block's 3x3 convolution (ResNeXt cardinality).
            Defaults to `1`.
        base_width: Inner channels per group and 64 output channels. Defaults
            to `64`.
        residual_root: Whether aggregation nodes add their first input to their
            output (section 3.3 of the paper). Defaults to `False`.
    """

    depths: tuple[int, int, int, int]
    filters: tuple[int, int, int, int, int, int]
    block: str
    groups: int = 1
    base_width: int = 64
    residual_root: bool = False


_BASIC = (16, 32, 64, 128, 256, 512)
_SMALL = (16, 32, 64, 64, 128, 256)
_LARGE = (16, 32, 128, 256, 512, 1024)

# fmt: off
VARIANTS = {
    "dla34": Variant((1, 2, 2, 1), _BASIC, "basic"),
    "dla46_c": Variant((1, 2, 2, 1), _SMALL, "bottleneck"),
    "dla46x_c": Variant((1, 2, 2, 1), _SMALL, "bottleneck", 32, 4),
    "dla60x_c": Variant((1, 2, 3, 1), _SMALL, "bottleneck", 32, 4),
    "dla60": Variant((1, 2, 3, 1), _LARGE, "bottleneck"),
    "dla60x": Variant((1, 2, 3, 1), _LARGE, "bottleneck", 32, 4),
    "dla102": Variant((1, 3, 4, 1), _LARGE, "bottleneck", 1, 64, True),
    "dla102x": Variant((1, 3, 4, 1), _LARGE, "bottleneck", 32, 4, True),
    "dla102x2": Variant((1, 3, 4, 1), _LARGE, "bottleneck", 64, 4, True),
    "dla169": Variant((2, 3, 5, 1), _LARGE, "bottleneck", 1, 64, True),
    "dla60_res2net": Variant((1, 2, 3, 1), _LARGE, "bottle2neck", 1, 28),
    "dla60_res2next": Variant((1, 2, 3, 1), _LARGE, "bottle2neck", 8, 4),
}
# fmt: on


def find_variant(name: str) -> Variant:
    """Return the row of `VARIANTS` called `name`.

    Args:
        name: Name of a network, for instance `"dla34"`.

    Raises:
        ValueError: If there is no such network; the message proposes near
            matches.

    Example:

    >>> find_variant("dla34").depths
    (1, 2, 2, 1)
    """
    return choose("variant", name, VARIANTS)


# Segmenters for phones: rows of arguments for `DLASegmenter`, each about twice
# the cost of the one before. DLA-34-Up, the paper's, takes 23.5 GMACs for a
# picture of 512x512.
PHONE_SEGMENTERS = {
    "tiny": {"variant": "dla46_c", "node": "separable"},  # 3.7 GMACs
    "small": {"variant": "dla46_c", "node": "conv"},  # 7.6
    "base": {"variant": "dla34", "node": "separable"},  # 17.2
}

# Detectors for phones: rows of arguments for `DLADetector`, with the cost of a
# picture of 512x512 and 80 classes. The reference's takes 31.1 GMACs.
PHONE_DETECTORS = {
    name: {**row, "head_filters": 64} for name, row in PHONE_SEGMENTERS.items()
}  # 5.6, 9.5 and 19.1 GMACs

# Segmenters that ship, trained on streets: `dla_keras.load("streets")`. What
# they were trained on, their scores and limits stand in weights/CARDS.md.
SHIPPED_MODELS = {
    "streets": "streets.keras",  # "small", float32
    "streets-int8": "streets.tflite",  # the same for phones
}


def shipped_path(path: str | os.PathLike) -> pathlib.Path:
    """Return the path of a model's file: by its name, where it ships.

    Args:
        path: Name in `SHIPPED_MODELS`, or the path of any file, which is
            returned as it is.

    Example:

    >>> shipped_path("streets").name, shipped_path("./streets").name
    ('streets.keras', 'streets')
    """
    if path in SHIPPED_MODELS:
        return pathlib.Path(__file__).parent / "weights" / SHIPPED_MODELS[path]
    return pathlib.Path(path)
