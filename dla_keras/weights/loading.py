"""Loads a state dict into a model: strictly, or not at all.

A rule says which names are left out on purpose. Any other mismatch is an error
that names the likely cause first.
"""

import re
from collections.abc import Mapping

import keras
import numpy as np

from dla_keras.variants import VARIANTS
from dla_keras.weights.torch_conversion import DENSE_MODELS
from dla_keras.weights.torch_conversion import torch_slots


def likely_variant(state: Mapping[str, np.ndarray]) -> str | None:
    """Return the variant that a state dict looks like.

    Args:
        state: Arrays of a classifier, a backbone or a segmenter by PyTorch
            name.

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
    """Return the kind of block, and the groups of its 3x3 convolution."""

    def first(ending):
        return next((s for n, s in shapes.items() if n.endswith(ending)), None)

    block, inner = "bottle2neck", first(".convs.0.weight")
    if inner is None:
        block = "basic" if first(".conv3.weight") is None else "bottleneck"
        inner = first(".conv2.weight") or (1, 1)
    return block, inner[0] // inner[1]


_HEAD = ("fc.weight", "fc.bias")
_SHOWN = 5  # names in a message


def load_torch_state(
    model: keras.Model, state: Mapping[str, np.ndarray]
) -> None:
    """Set a model's weights from arrays under their PyTorch names.

    Every weight of the model must be there, of the right shape and finite. No
    other array may be there, except for those that are left out by rule:

    - batch norm's counters, and weights that the authors' forward pass never
      uses: `project` in trees of two or more levels, `base.fc`;
    - the classifier's `fc`, if the model has no top;
    - levels beyond the last one that a backbone builds.

    Weights of a classifier or backbone (no name begins with `base.`) go into
    the backbone of a dense model; the rest of it stays as it is. If anything
    else differs, the whole model is left as it was.

    Args:
        model: Model of this package.
        state: Arrays by PyTorch name, as in a `state_dict`.

    Raises:
        ValueError: If the arrays do not fit. The message holds the likely
            cause, and the first missing, unexpected and misshapen names.

    Example:

    >>> model = dla_keras.DLASegmenter("dla34", num_classes=19)
    >>> state = dla_keras.weights.torch_state(dla_keras.DLA34())
    >>> load_torch_state(model, state)
    """
    if isinstance(model, DENSE_MODELS) and not any(
        name.startswith("base.") for name in state
    ):
        model = model.backbone
    slots = torch_slots(model)
    state = with_convolutions(state)
    used = {n: a for n, a in state.items() if not _left_out(n, state, slots)}
    faults = _faults(slots, used)
    if faults:
        shown = [*faults.values()][:_SHOWN]
        if len(faults) > _SHOWN:
            shown.append(f"and {len(faults) - _SHOWN} more")
        raise ValueError(
            f"These weights do not fit the {type(model).__name__} "
            f"{model.name!r}; it was left as it was. "
            f"{_likely_cause(model, used, faults)} Found: {'; '.join(shown)}."
        )
    for name, array in used.items():
        slot = slots[name]
        arrays = slot.to_keras(np.asarray(array))
        for variable, value in zip(slot.variables, arrays, strict=True):
            variable.assign(value)


def with_convolutions(
    state: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return arrays by name, with linear heads as the 1x1 convolutions here.

    Args:
        state: Arrays by PyTorch name.

    Example:

    >>> with_convolutions({"fc.weight": np.zeros((5, 8))})["fc.weight"].shape
    (5, 8, 1, 1)
    """
    linear = ("fc.weight", "fc.0.weight")
    return {
        name: array[:, :, None, None]
        if name in linear and array.ndim == 2
        else array
        for name, array in state.items()
    }


def _left_out(name, state, slots):
    if name in _HEAD and name not in slots:
        return True
    level = re.match(r"level[1-5]\.", name)
    if level and not any(slot.startswith(level[0]) for slot in slots):
        return True
    return is_unused(name, state)


def is_unused(name: str, state: Mapping[str, np.ndarray]) -> bool:
    """Return whether an array is one that no forward pass uses.

    Args:
        name: PyTorch name of the array.
        state: Arrays by PyTorch name, among which it is.
    """
    if name.endswith("num_batches_tracked") or name.startswith("base.fc."):
        return True
    # A tree of two or more levels has no root of its own, and its `project`
    # is never called.
    tree = re.match(r"(.*level\d(?:\.tree[12])*)\.project\.", name)
    return bool(tree) and f"{tree[1]}.root.conv.weight" not in state


def _faults(slots, state):
    """Return the faults by name; those that tell most come first."""
    faults = {}
    for name, array in state.items():
        if name not in slots:
            faults[name] = f"unexpected: {name}"
        elif tuple(array.shape) != slots[name].shape:
            faults[name] = (
                f"shape of {name}: expected {slots[name].shape}, received "
                f"{tuple(array.shape)}"
            )
        elif fault := array_fault(name, array):
            faults[name] = fault
    missing = {n: f"missing: {n}" for n in slots if n not in state}
    return faults | missing


def array_fault(name: str, array: np.ndarray) -> str | None:
    """Return why an array's values cannot be weights, or `None`.

    Args:
        name: PyTorch name of the array.
        array: The array.
    """
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return f"numbers of {name}: expected floats, received {array.dtype}"
    if not np.isfinite(array).all():
        return f"not finite: {name}"
    if name.endswith("running_var") and (array < 0).any():
        return f"negative variance: {name}"
    return None


# Weights whose shape depends on the number of classes.
_CLASSES = {"fc.weight", "fc.bias", "fc.0.weight", "fc.0.bias", "up.weight"}


def _likely_cause(model, state, faults):
    variant = likely_variant(state)
    if variant not in (None, model.variant):
        return (
            f"The file looks like {variant} and the model is {model.variant}: "
            f"build {variant!r}, or pass a file of {model.variant}."
        )
    if all(fault.startswith("numbers of") for fault in faults.values()):
        return (
            "Whole numbers, truth values, texts and the like are no weights: "
            "pass the file before it was quantized, in float32 or float16."
        )
    if all(f.startswith(("not finite", "negative")) for f in faults.values()):
        return (
            "The file is damaged, or its training diverged: take an earlier "
            "one."
        )
    segmenter = isinstance(model, DENSE_MODELS)
    bias = state.get("fc.0.bias" if segmenter else "fc.bias")
    resizable = {"segmentation", "classification"} & {*model.tasks}
    theirs = len(bias) if np.ndim(bias) == 1 else 0
    ours = model.num_classes
    if resizable and faults.keys() <= _CLASSES and theirs not in (0, ours):
        head = f", then take `model.with_head(num_classes={ours})`; or load "
        return (
            f"The file has {theirs} classes and the model {ours}: build it "
            f"with num_classes={theirs}"
            + ("." if segmenter else f"{head}into `model.backbone`.")
            + " `dla_keras.weights.take_weights` takes what fits."
        )
    return (
        "Check the variant, the number of classes and, for a segmenter, "
        "`head_stride` and `upsampling`."
    )
