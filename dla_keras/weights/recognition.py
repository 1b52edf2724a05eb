"""Which network a state dict is of, told from its names and shapes."""

import re
from collections.abc import Mapping

import numpy as np

from dla_keras.variants import VARIANTS


def likely_variant(state: Mapping[str, np.ndarray]) -> str | None:
    """The row of `VARIANTS` that a state dict looks like.

    Args:
        state: PyTorch name -> array, of a classifier, a backbone or a
            segmenter.

    Returns:
        The variant's name, or `None` if no row has these trees, widths,
        blocks and groups.

    Example:

    >>> backbone = dla_keras.DLABackbone("dla60x_c")
    >>> likely_variant(dla_keras.weights.torch_state(backbone))
    'dla60x_c'
    """
    traits = _traits(
        {
            name.removeprefix("base."): array.shape
            for name, array in state.items()
            if array.ndim == 4
        }
    )
    for name, row in VARIANTS.items():
        if (row.depths, row.filters, row.block, row.groups) == traits:
            return name
    return None


def _traits(shapes):
    depths, filters = [], []
    for first in ("base_layer.0.weight", "level1.0.weight"):
        filters += shapes.get(first, (0,))[:1]
    for level in range(2, 6):
        # A tree of depth d has its roots d - 1 trees further in.
        root = re.compile(rf"level{level}((?:\.tree[12])*)\.root\.conv\.weight")
        roots = [match for match in map(root.fullmatch, shapes) if match]
        depths.append(max((r[1].count(".") for r in roots), default=-1) + 1)
        filters += [shapes[r[0]][0] for r in roots[:1]]
    return (tuple(depths), tuple(filters), *_block_traits(shapes))


def _block_traits(shapes):
    """The kind of block, and its 3x3 convolution's groups."""

    def first(ending):
        return next((s for n, s in shapes.items() if n.endswith(ending)), None)

    block, inner = "bottle2neck", first(".convs.0.weight")
    if inner is None:
        block = "basic" if first(".conv3.weight") is None else "bottleneck"
        inner = first(".conv2.weight") or (1, 1)
    return block, inner[0] // inner[1]
