"""Takes from other weights whatever fits: what `--weights` does in training.

`loading.py` is strict; here a network begins with all that another one, of
other classes or for another task, has in common with it. What was taken is
said, part by part.
"""

import os
import pathlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

import h5py
import keras
import numpy as np

from dla_keras.models.backbone import DLABackbone
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.classes import class_keys
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.segmenter import DLASegmenter
from dla_keras.weights.loading import array_fault
from dla_keras.weights.loading import is_unused
from dla_keras.weights.loading import likely_variant
from dla_keras.weights.loading import with_convolutions
from dla_keras.weights.pretrained import Weights
from dla_keras.weights.pretrained import check_h5_numbers
from dla_keras.weights.pretrained import read_weights
from dla_keras.weights.torch_conversion import Slot
from dla_keras.weights.torch_conversion import torch_slots
from dla_keras.weights.torch_conversion import torch_state

_HEADS = (
    *("fc.weight", "fc.bias", "fc.0.weight", "fc.0.bias", "up.weight"),
    *("hm.2.weight", "hm.2.bias"),
)
_SHOWN = 8  # classes in the line that says what was taken

# Beginning of a name -> the part it belongs to; the others are the backbone's.
_PARTS = {"dla_up.": "DLA-Up", "boundary_": "boundary head", "up.": "head"}
_PARTS |= dict.fromkeys(("fc.", "hm.", "wh.", "reg."), "head")


@dataclass
class Transfer:
    """What one network takes of another's weights.

    Args:
        slots: Slots of the network, by common names.
        arrays: Arrays to put into them. Defaults to none.
        classes: Sentence about the head's classes. Defaults to none.
    """

    slots: dict[str, Slot]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    classes: str = ""

    def assign(self) -> None:
        """Set the network's variables."""
        for name, array in self.arrays.items():
            slot = self.slots[name]
            for variable, value in zip(
                slot.variables, slot.to_keras(array), strict=True
            ):
                variable.assign(value)

    def spoken(self, name: str, left: int) -> str:
        """Return one line that says what was taken, with counts.

        Args:
            name: Name of the weights.
            left: Number of arrays that only the other network has.
        """
        counts = {}
        for slot in self.slots:
            count = counts.setdefault(_part(slot), [0, 0])
            count[0] += slot in self.arrays
            count[1] += 1
        parts = ", ".join(f"{p} {a} of {b}" for p, (a, b) in counts.items())
        over = f"; {left} arrays of the file have no place here" if left else ""
        return (
            f"Weights of {name}: {len(self.arrays)} of {len(self.slots)} arrays"
            f" taken ({parts}{self.classes}){over}."
        )


def take_weights(
    model: keras.Model,
    weights: str | os.PathLike,
    by_number: bool = False,
) -> str:
    """Give a model all of some weights that fits; return a line about it.

    The backbone is taken level by level, DLA-Up stage by stage, a head by the
    names of its classes: those of the same name start with their rows, the
    others anew. A boundary detector's head is the boundary head of a
    segmenter, and the other way round.

    Args:
        model: Model of this package.
        weights: Name or path as `load_pretrained` takes them; or a run's
            folder, for its `model.keras`.
        by_number: Whether the head's class 0 is class 0, and so on, whatever
            the names are. Defaults to `False`.

    Returns:
        One line that says what was taken, with counts.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If nothing fits, the backbones differ, or the weights are
            damaged. The model is then as it was.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", 2, class_names=("sky", "car"))
    >>> other = model.with_head(num_classes=3, class_names=("a", "car", "b"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.keras")
    ...     model.save(path)
    ...     take_weights(other, path).partition(": ")[2]
    '287 of 287 arrays taken (backbone 240 of 240, DLA-Up 45 of 45, head ...'
    """
    source = _read(weights, model)
    slots, theirs = _common(torch_slots(model)), _common(source.state)
    theirs = with_convolutions(theirs)
    taken = Transfer(slots)
    _check_backbones(model, source.name, slots, theirs)
    for group in dict.fromkeys(map(_group, slots)):
        names = [name for name in slots if _group(name) == group]
        if names[0] not in _HEADS and _fit(names, slots, theirs):
            taken.arrays |= {name: theirs[name] for name in names}
    _take_head(taken, theirs, model, source.class_names, by_number)
    faults = [
        fault for n, a in taken.arrays.items() if (fault := array_fault(n, a))
    ]
    if faults:
        raise ValueError(
            f"{source.name}: {len(faults)} of {len(theirs)} arrays cannot be "
            f"weights, the first: {faults[0]}. The model was left as it was."
        )
    if not taken.arrays:
        raise ValueError(
            f"{source.name}: nothing fits {model.name!r}, which has "
            f"{', '.join(list(slots)[:3])}, ... Received: "
            f"{', '.join(list(theirs)[:3])}, ... Pass weights of a "
            f"{model.variant}."
        )
    taken.assign()
    left = [n for n in theirs if n not in slots and not is_unused(n, theirs)]
    return taken.spoken(source.name, len(left))


def _read(weights, model):
    if not str(weights).endswith(".weights.h5"):
        return read_weights(weights, model)
    state = torch_state(_rebuild(pathlib.Path(weights), model))
    return Weights(str(weights), state)


def _common(values: Mapping) -> dict:
    """Return slots or arrays by the names that all kinds of models share."""
    head = values.get("fc.0.weight")
    # A head of one score finds boundaries; classes are two or more.
    detects = head is not None and head.shape[:1] == (1,)
    return {
        f"boundary_{name}"
        if detects and re.match(r"(fc\.0|up)\.", name)
        else name.removeprefix("base."): value
        for name, value in values.items()
        if not name.startswith("base.fc.")  # which nothing uses
    }


def _part(name):
    starts = (part for start, part in _PARTS.items() if name.startswith(start))
    return next(starts, "backbone")


def _group(name):
    """Return what is taken as a whole: a level, a stage's layer, a head."""
    words = name.split(".")
    depth = {"dla_up": 3, "hm": 2, "wh": 2, "reg": 2}.get(words[0], 1)
    return tuple(words[:depth])


def _fit(names, slots, theirs):
    return all(n in theirs and theirs[n].shape == slots[n].shape for n in names)


def _check_backbones(model, name, slots, theirs):
    """Raise `ValueError` if a level of another network would be mixed in."""
    faults = [
        n
        for n in slots
        if _part(n) == "backbone"
        and any(_group(t) == _group(n) for t in theirs)
        and not _fit([n], slots, theirs)
    ]
    if not faults:
        return
    first = faults[0]
    found = theirs[first].shape if first in theirs else "none"
    looks = likely_variant(theirs)
    raise ValueError(
        f"{name}: {len(faults)} arrays of the backbone do not fit "
        f"{model.variant}, the first: {first}, expected {slots[first].shape}, "
        f"received {found}. "
        + (f"They look like {looks}: pass --variant {looks}. " if looks else "")
        + "The model was left as it was."
    )


def _take_head(taken, theirs, model, names, by_number):
    """Take the head's rows of the classes that both networks know."""
    ours = [name for name in taken.slots if name in _HEADS]
    mine = next(
        (n for n in ours if n.endswith("weight") and n[:2] != "up"), None
    )
    if mine is None or mine not in theirs:
        return
    if theirs[mine].shape[1:] != taken.slots[mine].shape[1:]:
        return  # of other features
    count = len(theirs[mine])
    rows, said = _rows(model, names, count, by_number)
    taken.classes = said
    if not rows:
        return
    for name in ours:
        slot, other = taken.slots[name], theirs.get(name)
        if other is not None and other.shape == (count, *slot.shape[1:]):
            values = [
                keras.ops.convert_to_numpy(v.value) for v in slot.variables
            ]
            array = np.array(slot.from_keras(values))
            array[list(rows)] = other[list(rows.values())]
            taken.arrays[name] = array


def _rows(model, names, count, by_number):
    """Return our class id -> theirs, and what is said of it."""
    fit = count == model.num_classes
    if by_number and not fit:
        raise ValueError(
            "Classes are taken by number where there are as many. Received: "
            f"weights of {count}, for a model of {model.num_classes}; leave "
            "--classes-by-number out."
        )
    if by_number or not (model.class_names and names):
        if not fit:
            return {}, f"; no names of its {count} classes"
        return {index: index for index in range(count)}, "; classes by number"
    ours, theirs = class_keys(model.class_names), class_keys(names)
    rows = {
        index: theirs.index(key)
        for index, key in enumerate(ours)
        if theirs.count(key) == 1
    }
    if ours == theirs:
        return rows, ""
    shown = ", ".join(model.class_names[index] for index in rows)
    said = f"; {len(rows)} of {len(ours)} classes by name"
    return rows, f"{said}: {shown}" if 0 < len(rows) <= _SHOWN else said


# --- Files of Keras that hold no config ---


def _rebuild(path, model):
    """Return a model like the one that a `.weights.h5` file is of.

    The file holds no config. Its variant is taken to be that of `model`; the
    rest shows in the names and shapes of its arrays.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        check_h5_numbers(path)
        other = _like(_h5_shapes(path), model.variant)
        with warnings.catch_warnings():  # on what the error says, too
            warnings.simplefilter("ignore")
            other.load_weights(path)
    except Exception as error:  # of h5py, and of Keras in the end
        reason = " ".join(str(error).splitlines()[:2])
        raise ValueError(
            f"{path} cannot be read as weights of a {model.variant}: {reason} "
            "A .weights.h5 file does not say what it is of; pass the .keras "
            "file."
        ) from error
    return other


def _h5_shapes(path):
    shapes = {}

    def note(name, value):
        if isinstance(value, h5py.Dataset):
            shapes[name] = value.shape

    with h5py.File(path) as file:
        file.visititems(note)
    return shapes


def _like(shapes, variant):
    """Return an untrained model whose weights have these names and shapes."""
    names = "\n".join(shapes)
    stages = {*re.findall(r"dla_up/(?:ida/)?(ida\w*)/", names)}
    heads = [
        shape[-1]
        for name, shape in shapes.items()
        if re.fullmatch(r"layers/(conv2d|dense)(_\d+)?/vars/0", name) and shape
    ]
    if stages and not heads:
        raise ValueError("It has no head.")
    if stages:
        shared = {
            "head_stride": 2 ** (5 - len(stages)),
            "upsampling": "learned" if "learned" in names else "bilinear",
            "node": "separable" if "separable" in names else "conv",
        }
        classes = max(heads)
        if classes == 1:
            return DLABoundaryDetector(variant, **shared)
        return DLASegmenter(
            variant, classes, boundary_head=1 in heads, **shared
        )
    if "dla_backbone" in names:
        top = {"num_classes": heads[0]} if heads else {"include_top": False}
        return DLAClassifier(variant, **top)
    levels = {*re.findall(r"layers/(tree\w*)/", names)}
    return DLABackbone(variant, levels=(f"P{len(levels) + 1}",))
