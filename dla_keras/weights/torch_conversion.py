"""Weights of timm's and the authors' PyTorch networks into these, by name.

The layers carry the reference's attribute names, so a weight's name there is
the path of attributes that leads to it here. What differs is written once:
how a ConvBN's two parts are called, and how each kind of layer turns its
arrays.
"""

import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.upsampling import LearnedUpsampling
from dla_keras.models.backbone import DLABackbone
from dla_keras.models.segmenter import DLASegmenter


@dataclass(frozen=True)
class Slot:
    """Where one PyTorch array goes.

    Args:
        shape: the array's shape in PyTorch.
        variables: the Keras variables that hold it.
        to_keras: turns the array into one array per variable.
    """

    shape: tuple[int, ...]
    variables: tuple[keras.Variable, ...]
    to_keras: Callable[[np.ndarray], list[np.ndarray]]


def _vector(variable):
    return Slot(tuple(variable.shape), (variable,), lambda array: [array])


def _convolution_slots(layer, name):
    height, width, inputs, outputs = layer.kernel.shape
    yield (
        f"{name}.weight",
        Slot(
            (outputs, inputs, height, width),
            (layer.kernel,),
            lambda array: [array.transpose(2, 3, 1, 0)],
        ),
    )
    if layer.use_bias:
        yield f"{name}.bias", _vector(layer.bias)


def _dense_slots(layer, name):
    inputs, outputs = layer.kernel.shape
    # The reference classifies with a 1x1 convolution.
    yield (
        f"{name}.weight",
        Slot(
            (outputs, inputs, 1, 1),
            (layer.kernel,),
            lambda array: [array[:, :, 0, 0].T],
        ),
    )
    yield f"{name}.bias", _vector(layer.bias)


def _batch_norm_slots(layer, name):
    yield f"{name}.weight", _vector(layer.gamma)
    yield f"{name}.bias", _vector(layer.beta)
    yield f"{name}.running_mean", _vector(layer.moving_mean)
    yield f"{name}.running_var", _vector(layer.moving_variance)


def _upsampling_slots(layer, name):
    size = 2 * layer.factor
    channels = layer.phase[0].kernel.shape[2]

    def to_keras(array):
        kernel = array.transpose(2, 3, 0, 1)  # (2f, 2f, C, 1)
        phases = range(layer.factor**2)
        return [layer.phase_of(kernel, index) for index in phases]

    variables = tuple(phase.kernel for phase in layer.phase)
    yield (
        f"{name}.weight",
        Slot((channels, 1, size, size), variables, to_keras),
    )


def _conv_bn_slots(layer, name):
    # `conv1` stands beside `bn1`; any other pair is a Sequential of two.
    parent, _, last = name.rpartition(".")
    if last.startswith("conv"):
        batch_norm = f"{parent}.{last.replace('conv', 'bn')}"
        yield from _convolution_slots(layer.conv, name)
        yield from _batch_norm_slots(layer.bn, batch_norm)
    else:
        yield from _convolution_slots(layer.conv, f"{name}.0")
        yield from _batch_norm_slots(layer.bn, f"{name}.1")


_SLOTS = {
    ConvBN: _conv_bn_slots,
    LearnedUpsampling: _upsampling_slots,
    layers.Conv2D: _convolution_slots,
    layers.Dense: _dense_slots,
}


def _parts(layer) -> Iterator[tuple[str, layers.Layer]]:
    """The layers a layer is made of, by attribute name."""
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(value, layers.Layer):
            yield name, value
        elif isinstance(value, list):
            for index, part in enumerate(value):
                if isinstance(part, layers.Layer):
                    yield f"{name}_{index}", part


def _slots(layer, name):
    if type(layer) in _SLOTS:
        yield from _SLOTS[type(layer)](layer, name)
        return
    for suffix, part in _parts(layer):
        yield from _slots(part, f"{name}.{suffix}" if name else suffix)


def torch_slots(model: keras.Model) -> dict[str, Slot]:
    """Every PyTorch name that `model` has a place for.

    Args:
        model: a `DLABackbone`, a `DLASegmenter` or a classifier.

    Example:

    >>> slots = torch_slots(dla_keras.DLABackbone("dla34"))
    >>> slots["level2.root.conv.weight"].shape
    (64, 128, 1, 1)
    """
    if isinstance(model, DLABackbone):
        parts = [(model, "")]
    elif isinstance(model, DLASegmenter):
        parts = [
            (model.base, "base"),
            (model.dla_up, "dla_up"),
            (model.fc, "fc.0"),
            (model.up, "up"),
        ]
    else:
        names = {"backbone": "", "fc": "fc"}
        parts = [
            (layer, names[layer.name])
            for layer in model.layers
            if layer.name in names
        ]
    return {
        name: slot for layer, at in parts for name, slot in _slots(layer, at)
    }


def _never_used(name, state):
    """Counters, and what the authors' forward pass skips.

    A tree of two or more levels has no root of its own, and its `project`
    is never called; nor is the classifier inside a segmenter's backbone.
    """
    if name.endswith("num_batches_tracked") or name.startswith("base.fc."):
        return True
    tree = re.match(r"(.*level\d(?:\.tree[12])*)\.project\.", name)
    return bool(tree) and f"{tree[1]}.root.conv.weight" not in state


def load_torch_state(
    model: keras.Model, state: Mapping[str, np.ndarray]
) -> None:
    """Sets a model's weights from arrays under their PyTorch names.

    Strict: every weight of the model must be there, of the right shape, and
    nothing else but what the reference itself never uses. Otherwise the model
    is left as it was.

    Args:
        model: a `DLABackbone`, a `DLASegmenter` or a classifier.
        state: PyTorch name -> array, as in a `state_dict`.

    Raises:
        ValueError: listing every missing, unexpected and misshapen name.

    Example:

    >>> model = dla_keras.DLABackbone("dla34")
    >>> shapes = {n: s.shape for n, s in torch_slots(model).items()}
    >>> load_torch_state(model, {n: np.ones(s) for n, s in shapes.items()})
    """
    slots = torch_slots(model)
    used = {n: a for n, a in state.items() if not _never_used(n, state)}
    faults = [f"missing: {name}" for name in slots if name not in used]
    faults += [f"unexpected: {name}" for name in used if name not in slots]
    faults += [
        f"shape of {name}: expected {slots[name].shape}, "
        f"received {tuple(array.shape)}"
        for name, array in used.items()
        if name in slots and tuple(array.shape) != slots[name].shape
    ]
    if faults:
        raise ValueError(
            f"These weights do not fit {model.name!r}; it was left as it "
            "was. Check the variant, the number of classes and, for a "
            "segmenter, `head_stride` and `upsampling`.\n  "
            + "\n  ".join(faults)
        )
    for name, array in used.items():
        slot = slots[name]
        arrays = slot.to_keras(np.asarray(array))
        for variable, value in zip(slot.variables, arrays, strict=True):
            variable.assign(value)
