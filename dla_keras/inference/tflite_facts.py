"""Reads what a `.tflite` file says of itself: JSON in its buffer `DLA_KERAS`.

Whoever runs the file (`LiteModel`, the web page, the phone) reads classes,
colors, sizes and origin from here. Needs neither TensorFlow nor its schema:
`lite/file/facts.py` writes what is read here.

`RULES` says what facts can be. The page and the app have it in their own
languages; `tools/facts_table.py` holds facts that all three refuse.
"""

import json
import math
import re
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from flatbuffers.number_types import Uint32Flags

from dla_keras.inference.model_checks import Walk

BUFFER = "DLA_KERAS"
FORMAT = 1
MAX_CLASSES = 256  # of pixels: a mask has 8 bits

# Kinds of labels in TFLite Metadata: names of the values, or of the last axis.
AXIS, VALUES = 2, 3
SOFTMAX = 2  # what MediaPipe makes confidences of logits by


@dataclass(frozen=True)
class Output:
    """What an output of an exported file means.

    Args:
        task: Name of its task.
        kind: Kind of its numbers, for readers.
        rank: Number of axes, with that of the batch.
        description: Words for people.
        labels: `AXIS`, `VALUES`, or `None` where it has no classes.
        activation: Activation for MediaPipe's segmenter; `None` for an output
            that is none of its.
    """

    task: str
    kind: str
    rank: int
    description: str
    labels: int | None = None
    activation: int | None = None


# Outputs of a detector's file, one head or the other. MediaPipe finds the boxes
# by these names.
BOXES = ("location", "category", "score", "number of detections")
MAPS = ("heat", "size", "offset")

# Outputs of `.tflite` files and SavedModels, by name.
OUTPUTS = {
    "mask": Output(
        "segmentation", "class_ids", 3, "the class of each pixel", VALUES, 0
    ),
    "logits": Output(
        "segmentation",
        "logits",
        4,
        "a score per pixel and class",
        AXIS,
        SOFTMAX,
    ),
    "boundary": Output(
        "boundary",
        "boundary",
        3,
        "the probability of an edge per pixel",
        activation=0,
    ),
    "probabilities": Output(
        "classification",
        "probabilities",
        2,
        "the probability of each class",
        AXIS,
    ),
    "location": Output(
        "detection",
        "boxes",
        3,
        "top, left, bottom and right of each box, 0 to 1 of the image",
    ),
    "category": Output(
        "detection", "box_classes", 2, "the class of each box", VALUES
    ),
    "score": Output(
        "detection", "box_scores", 2, "the score of each box, the best first"
    ),
    "number of detections": Output(
        "detection", "box_count", 1, "the number of boxes scored above 0"
    ),
    "heat": Output(
        "detection",
        "centers",
        4,
        "a score per cell and class, that a center is in it",
        AXIS,
    ),
    "size": Output(
        "detection", "sizes", 4, "height and width of a cell's box, in cells"
    ),
    "offset": Output(
        "detection",
        "offsets",
        4,
        "from a cell's corner down and right to its center, in cells",
    ),
}


def _is_line(value):
    return (
        isinstance(value, str)
        and bool(value.strip())
        and not {"Cc", "Zl", "Zp"} & set(map(unicodedata.category, value))
    )


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def _is_whole(value):
    return type(value) is int


def _is_color(value):
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(_is_whole(level) and 0 <= level <= 255 for level in value)
    )


def _is_share(value):
    return _is_number(value) and 0 <= value <= 1


def _is_size(value):
    return _is_whole(value) and 1 <= value <= 2**15


def _is_shape(value):
    return isinstance(value, list) and all(map(_is_size, value))


_DICT = ("an object", lambda value: isinstance(value, dict))
_LIST = ("a list", lambda value: isinstance(value, list) and value != [])
_LINE = ("a line of text", _is_line)
_COLOR = ("three whole numbers from 0 to 255", _is_color)
_SHARE = ("a number from 0 to 1", _is_share)
_SIZE = ("a whole number from 1 to 32768", _is_size)
# Place in the facts -> what stands there, in words and as a function. What
# lies inside comes later; "[]" is each of a list; what ends in "?" may be
# missing or null, with a task's name, in the files of all other tasks.
RULES = {
    "task": (
        "segmentation, boundary, classification or detection",
        lambda value: value in [row.task for row in OUTPUTS.values()],
    ),
    "name": _LINE,
    "precision": _LINE,
    "input": _DICT,
    "input.height": _SIZE,
    "input.width": _SIZE,
    "input.channels": ("RGB", lambda value: value == "RGB"),
    "input.range": ("[0, 255]", lambda value: value == [0, 255]),
    "input.pad_color?classification": _COLOR,
    "input.fit?": _LINE,
    "input.max_side?": _SIZE,
    "input.crop_fraction?": (
        "a number above 0 and at most 1",
        lambda value: _is_share(value) and value > 0,
    ),
    "outputs": _LIST,
    "outputs[]": _DICT,
    "outputs[].name": _LINE,
    "outputs[].kind": _LINE,
    "outputs[].shape?": ("a list of sides", _is_shape),
    "outputs[].scale?": (
        "a number above 0",
        lambda value: _is_number(value) and value > 0,
    ),
    "outputs[].zero_point?": ("a whole number", _is_whole),
    "classes": ("a list", lambda value: isinstance(value, list)),
    "classes[]": _DICT,
    "classes[].name": _LINE,
    "classes[].color?boundary classification": _COLOR,
    "metrics?": _DICT,
    "metrics.miou?": _SHARE,
    "metrics.top1?": _SHARE,
    "metrics.ap50?": _SHARE,
    "metrics.best?": _DICT,
    "metrics.best.threshold?": _SHARE,
    "digest?": (
        "64 hexadecimal digits",
        lambda value: (
            isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
        ),
    ),
}


# Of what lies beside a SavedModel's graph.
SAVED_RULES = {
    "names?": _LIST,
    "names[]": _LINE,
    "palette?": _LIST,
    "palette[]": _COLOR,
    "input?": _DICT,
    "input.fit?": _LINE,
    "input.max_side?": _SIZE,
}


def read_facts(data: bytes) -> dict | None:
    """Return the facts inside a `.tflite` file.

    Args:
        data: Bytes of the file.

    Returns:
        What `collect_facts` gave, or `None` for a file without facts.

    Raises:
        ValueError: If the bytes are no whole `.tflite` file, or hold facts
            that this version cannot read.
    """
    buffers, inputs, outputs = _contents(data)
    if BUFFER not in buffers:
        return None
    try:
        facts = json.loads(buffers[BUFFER])
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"The file's buffer {BUFFER} is no JSON: {error}. Export the "
            "model again."
        ) from error
    check_facts(facts)
    _check_sizes(facts, inputs, outputs)
    return facts


def check_facts(facts) -> None:
    """Raise `ValueError` for facts that no file can have.

    Args:
        facts: Content of the buffer.
    """
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"Expected facts in format {FORMAT}. Received: {found!r}. Update "
            "dla_keras, or export the model again with this version."
        )
    check_rules(facts, RULES)
    _check_lists(facts)


def check_rules(facts: dict, rules: dict) -> None:
    """Raise `ValueError` for facts that a rule does not allow.

    Args:
        facts: Facts of a file.
        rules: Rules like `RULES`.
    """
    for rule, (expected, holds) in rules.items():
        path, optional, tasks = rule.partition("?")
        free = optional and (not tasks or facts["task"] in tasks.split())
        for place, value in _values(facts, path):
            if not (holds(value) or (free and value is None)):
                raise _wrong(place, expected, value)


def _wrong(place, expected, value):
    said = repr(value)
    return ValueError(
        f"The file's facts are wrong: `{place}` is {expected}. Received: "
        f"{said if len(said) < 80 else said[:75] + '...'}. Export the model "
        "again."
    )


def _values(facts, path) -> Iterator:
    """Yield where a path leads, and what is there."""
    found = [("", facts)]
    for step in path.split("."):
        key = step.removesuffix("[]")
        found = [
            (f"{place}.{key}".lstrip("."), (inside or {}).get(key))
            for place, inside in found
        ]
        if key != step:
            found = [
                (f"{place}[{index}]", each)
                for place, values in found
                for index, each in enumerate(values or ())
            ]
    return iter(found)


def _check_lists(facts):
    """Raise `ValueError` for lists that are too short, too long or twofold."""
    # Two kinds of one name are a matter of a thousand classes, as ImageNet's.
    dense = facts["task"] in ("segmentation", "boundary")
    for key in ("classes", "outputs") if dense else ("outputs",):
        names = [entry["name"] for entry in facts[key]]
        if len(set(names)) < len(names):
            raise _wrong(key, "a list of different names", names)
    count = len(facts["classes"])
    low = {"boundary": 0, "detection": 1}.get(facts["task"], 2)
    if count < low or (dense and count > MAX_CLASSES):
        most = f" and at most {MAX_CLASSES}" if dense else ""
        expected = f"a list of at least {low}{most}"
        raise _wrong("classes", expected, f"{count} classes")


def _check_sizes(facts, inputs, outputs):
    """Raise `ValueError` for facts of another network than the file's."""
    height, width = facts["input"]["height"], facts["input"]["width"]
    if inputs != [[1, height, width, 3]]:
        raise _wrong("input", f"of a picture {inputs}", [height, width])
    if len(facts["outputs"]) != len(outputs):
        raise _wrong("outputs", f"a list of {len(outputs)}", facts["outputs"])
    count = len(facts["classes"])
    for said, shape in zip(facts["outputs"], outputs, strict=True):
        place = f"outputs of {said['name']}"
        if said.get("shape", shape) != shape:
            raise _wrong(place, f"of shape {shape}", said["shape"])
        scores = said["kind"] in ("logits", "probabilities", "centers")
        if scores and count != shape[-1]:
            raise _wrong("classes", f"a list of {shape[-1]}", count)


def named_buffers(data: bytes) -> dict[str, bytes]:
    """Return what a `.tflite` file keeps under names.

    Args:
        data: Bytes of the file.

    Returns:
        Name -> content.

    Raises:
        ValueError: If the bytes are no `.tflite` file, or a part of one.
    """
    return _contents(data)[0]


def _contents(data):
    """Return what a file keeps under names; its inputs' and outputs' shapes."""
    try:
        walk = Walk(data)
        # All of them, since weights may be what a download has lost.
        buffers = [
            bytes(walk.numbers(each, 0, np.uint8))
            for each in walk.tables(walk.model, 4)
        ]
        named = {
            bytes(walk.numbers(entry, 0, np.uint8)).decode(): buffers[
                walk.number(entry, 1, Uint32Flags)
            ]
            for entry in walk.tables(walk.model, 6)
        }
        graph = walk.tables(walk.model, 2)[0]
        tensors = walk.tables(graph, 0)
        inputs, outputs = (
            [
                walk.numbers(tensors[index], 0, np.int32).tolist()
                for index in walk.numbers(graph, number, np.int32)
            ]
            for number in (1, 2)
        )
        return named, inputs, outputs
    except (struct.error, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("These bytes are no complete .tflite file.") from error
