"""Maps a model's weights to names and arrays of PyTorch, and back.

The names are those of timm's and the authors' networks. The layers here have
the same attribute names, so a weight's name is the path of its attributes. Only
the differences are written down: the names of a ConvBN's two parts, and how
each kind of layer transposes its arrays.
"""

import re
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace

import keras
import numpy as np
from keras import layers

from dla_keras.layers.blocks import Bottle2neck
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.upsampling import LearnedUpsampling
from dla_keras.models.backbone import DLABackbone
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.detector import DLADetector
from dla_keras.models.segmenter import DLASegmenter

# Models with a backbone and DLA-Up.
DENSE_MODELS = (DLABoundaryDetector, DLADetector, DLASegmenter)
# Head of a detector -> its name in CenterNet's code.
CENTER_HEADS = {"heat": "hm", "size": "wh", "offset": "reg"}


@dataclass(frozen=True)
class Slot:
    """The Keras variables of one PyTorch array, and both conversions.

    Args:
        shape: Shape of the array in PyTorch.
        variables: Keras variables that hold it.
        to_keras: Function from the array to one array per variable.
        from_keras: Function from one array per variable to the array.
    """

    shape: tuple[int, ...]
    variables: tuple[keras.Variable, ...]
    to_keras: Callable[[np.ndarray], list[np.ndarray]]
    from_keras: Callable[[list[np.ndarray]], np.ndarray]


def _vector(variable):
    return Slot(
        tuple(variable.shape),
        (variable,),
        to_keras=lambda array: [array],
        from_keras=lambda arrays: arrays[0],
    )


def _convolution_slots(layer, name):
    height, width, inputs, outputs = layer.kernel.shape
    yield (
        f"{name}.weight",
        Slot(
            (outputs, inputs, height, width),
            (layer.kernel,),
            to_keras=lambda array: [array.transpose(2, 3, 1, 0)],
            from_keras=lambda arrays: arrays[0].transpose(3, 2, 0, 1),
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
            to_keras=lambda array: [array[:, :, 0, 0].T],
            from_keras=lambda arrays: arrays[0].T[:, :, None, None],
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
    phases = range(layer.factor**2)
    places = np.arange(size**2).reshape(size, size)

    def to_keras(array):
        kernel = array.transpose(2, 3, 0, 1)  # (2f, 2f, C, 1)
        return [layer.phase_of(kernel, index) for index in phases]

    def from_keras(arrays):
        kernel = np.empty((size**2, channels, 1), np.float32)
        for index in phases:
            kernel[layer.phase_of(places, index)] = arrays[index]
        return kernel.reshape(size, size, channels, 1).transpose(2, 3, 0, 1)

    variables = tuple(phase.kernel for phase in layer.phase)
    shape = (channels, 1, size, size)
    yield f"{name}.weight", Slot(shape, variables, to_keras, from_keras)


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


def _bottle2neck_slots(block, name):
    yield from _conv_bn_slots(block.conv1, f"{name}.conv1")
    for index, part in enumerate(block.convs):
        yield from _convolution_slots(part.conv, f"{name}.convs.{index}")
        yield from _batch_norm_slots(part.bn, f"{name}.bns.{index}")
    yield from _conv_bn_slots(block.conv3, f"{name}.conv3")


_SLOTS = {
    Bottle2neck: _bottle2neck_slots,
    ConvBN: _conv_bn_slots,
    LearnedUpsampling: _upsampling_slots,
    layers.Conv2D: _convolution_slots,
    layers.Dense: _dense_slots,
}


def _parts(layer) -> Iterator[tuple[str, layers.Layer]]:
    """Yield the layers a layer is made of, by attribute name."""
    # With Keras on PyTorch, a layer is a module and keeps its parts elsewhere.
    attributes = {**vars(layer), **vars(layer).get("_modules", {})}
    for name, value in attributes.items():
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
    """Return a slot for every PyTorch name of a model.

    Args:
        model: Model of this package.

    Raises:
        ValueError: If the model is another one.

    Example:

    >>> slots = torch_slots(dla_keras.DLABackbone("dla34"))
    >>> slots["level2.root.conv.weight"].shape
    (64, 128, 1, 1)
    """
    if isinstance(model, DLABackbone):
        parts = [(model, "")]
    elif isinstance(model, DLAClassifier):
        parts = [(model.backbone, ""), (model.fc, "fc")]
    elif isinstance(model, DLADetector):
        parts = [(model.backbone, "base"), (model.dla_up, "dla_up")]
    elif isinstance(model, DENSE_MODELS):
        parts = [
            (model.backbone, "base"),
            (model.dla_up, "dla_up"),
            (model.fc, "fc.0"),
            (model.up, "up"),
        ]
        if isinstance(model, DLASegmenter) and model.boundary_head:
            parts += [
                (model.boundary_fc, "boundary_fc.0"),
                (model.boundary_up, "boundary_up"),
            ]
    else:
        raise ValueError(
            f"Expected a model of dla_keras. Received: {type(model).__name__}."
        )
    slots = {
        name: slot
        for part, at in parts
        if part is not None  # a classifier without top
        for name, slot in _slots(part, at)
    }
    if isinstance(model, DLADetector):
        slots |= _center_slots(model)
    return slots


def _center_slots(model):
    """Return the slots of a detector's heads, which have y before x here."""
    slots = {}
    for head, name in CENTER_HEADS.items():
        conv, fc = (model.heads[f"{head}_{kind}"] for kind in ("conv", "fc"))
        slots |= dict(_convolution_slots(conv, f"{name}.0"))
        last = dict(_convolution_slots(fc, f"{name}.2"))
        turn = head != "heat"
        slots |= {n: _turned(s) if turn else s for n, s in last.items()}
    return slots


def _turned(slot):
    """Return a slot whose arrays have their rows the other way round."""
    return replace(
        slot,
        to_keras=lambda array: slot.to_keras(array[::-1]),
        from_keras=lambda arrays: slot.from_keras(arrays)[::-1],
    )


def torch_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a model's weights under their PyTorch names, in PyTorch's layout.

    timm loads a classifier's state strictly. The authors' code loads that of a
    segmenter with learned upsampling, with its `unused_arrays`; batch norms'
    counters are missing, which PyTorch does not need.

    Args:
        model: Model of this package.

    Returns:
        Float32 arrays by PyTorch name.

    Example:

    >>> state = torch_state(dla_keras.DLA34(num_classes=10))
    >>> state["fc.weight"].shape
    (10, 512, 1, 1)
    """
    state = {}
    for name, slot in torch_slots(model).items():
        arrays = [keras.ops.convert_to_numpy(v.value) for v in slot.variables]
        array = slot.from_keras(arrays)
        state[name] = np.ascontiguousarray(array, np.float32)
    return state


def unused_arrays(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the authors' code has beside a state, and never uses.

    It is the projection of trees that hold trees, and the classifier that a
    segmenter's backbone ends in.

    Args:
        state: Arrays of a model by PyTorch name, from `torch_state`.

    Returns:
        Float32 arrays by PyTorch name: those of layers that do nothing.

    Example:

    >>> state = torch_state(dla_keras.DLA34())
    >>> sorted(unused_arrays(state))[0]
    'level3.project.0.weight'
    """
    found = {}
    for name, array in state.items():
        # An inner tree projects from and to the same channels.
        while inner := re.fullmatch(r"(.*)\.tree1(\.project\..*)", name):
            name = "".join(inner.groups())
            one = name.endswith(("project.1.weight", "running_var"))
            found[name] = np.full_like(array, one)
    last = [n for n in state if re.match(r"base\.level5.*root\.conv\.", n)]
    if last:
        channels = state[last[0]].shape[0]
        found["base.fc.weight"] = np.zeros((1000, channels, 1, 1), np.float32)
        found["base.fc.bias"] = np.zeros(1000, np.float32)
    return found
