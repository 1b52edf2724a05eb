"""Facts of `.tflite` files, good and bad: Python, page and app refuse alike.

Each has rules of its own (`dla_keras/inference/tflite_facts.py`,
`web_demo/src/requirements.js`, `android_demo/src/ModelFacts.kt`): one file of
rules would need a reader in three languages, and a page that can import JSON.
This table is what holds them together.
"""

import copy
import io
import json
import zipfile

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

SIZE = (64, 96)
ROOM = 1 << 17  # bytes that facts may take in the file
_DEEP = 20_000  # lists in lists

GOOD = {
    "format": 1,
    "task": "segmentation",
    "name": "DLA-46-C-Up",
    "precision": "float32",
    "classes": [
        {"name": "rosé", "color": [0, 0, 255]},
        {"name": "sky", "color": [255, 128, 0]},
        {"name": "a car", "color": [1, 2, 3]},
    ],
    "input": {
        "height": SIZE[0],
        "width": SIZE[1],
        "channels": "RGB",
        "range": [0, 255],
        "pad_color": [124, 116, 104],
        "fit": "letterbox",
        "max_side": 512,
    },
    "outputs": [
        {
            "name": "logits",
            "kind": "logits",
            "dtype": "float32",
            "shape": [1, *SIZE, 3],
        }
    ],
    "metrics": {"miou": 0.5, "per_class_iou": {"sky": None}},
    "digest": "0" * 64,
}
_MISSING = object()
_MANY = [{"name": f"n{i}", "color": [i % 256, 0, 0]} for i in range(300)]

# What is set where, and a word that the sentence must hold.
CHANGES = {
    "no task": (("task",), _MISSING, "task|made for"),
    "task of a list": (("task",), ["segmentation"], "task|made for"),
    "no name": (("name",), _MISSING, "name"),
    "name of a number": (("name",), 7, "name"),
    "name of two lines": (("name",), "DLA\n46", "name"),
    "precision null": (("precision",), None, "precision"),
    "no classes": (("classes",), _MISSING, "classes"),
    "empty classes": (("classes",), [], "classes"),
    "classes of a word": (("classes",), "abc", "classes"),
    "classes of an object": (("classes",), {"name": "sky"}, "classes"),
    "classes of a number": (("classes",), [1], "classes"),
    "classes of numbers": (("classes",), [1, 2], r"classes\[0\]"),
    "classes of null": (("classes", 1), None, r"classes\[1\]"),
    "one class": (("classes",), _MANY[:1], "classes"),
    "two classes of three": (("classes",), _MANY[:2], r"classes|\b2\b"),
    "300 classes": (("classes",), _MANY, "classes"),
    "classes of one name": (
        ("classes", 1, "name"), "rosé", "classes.*different names",
    ),
    "a class without a name": (
        ("classes", 2, "name"), _MISSING, r"classes\[2\]\.name",
    ),
    "a class of a space": (("classes", 0, "name"), " ", r"classes\[0\]\.name"),
    "a class of two lines": (
        ("classes", 0, "name"), "sky\nsea", r"classes\[0\]\.name",
    ),
    "a class of a number": (("classes", 0, "name"), 3, r"classes\[0\]\.name"),
    "a color beyond bytes": (
        ("classes", 0, "color"), [300, -1, 0], r"classes\[0\]\.color",
    ),
    "a color of two": (("classes", 1, "color"), [0, 0], r"classes\[1\]\.color"),
    "a color of words": (
        ("classes", 1, "color"), ["0", "1", "2"], r"classes\[1\]\.color",
    ),
    "a color of halves": (
        ("classes", 1, "color"), [0.5, 0, 0], r"classes\[1\]\.color",
    ),
    "no color": (("classes", 1, "color"), None, r"classes\[1\]\.color"),
    "no input": (("input",), _MISSING, "input"),
    "input of a list": (("input",), [64, 96], "input"),
    "height of a word": (("input", "height"), "64", r"input\.height"),
    "height of 0": (("input", "height"), 0, r"input\.height"),
    "another height": (("input", "height"), 96, "input|differ"),
    "another width": (("input", "width"), 64, "input|differ"),
    "pixels of BGR": (("input", "channels"), "BGR", "channels|BGR"),
    "pixels up to 1": (("input", "range"), [0, 1], r"range|0 to 1\b"),
    "no border": (("input", "pad_color"), _MISSING, r"input\.pad_color"),
    "border of a word": (("input", "pad_color"), "red", r"input\.pad_color"),
    "fit of a number": (("input", "fit"), 3, r"input\.fit"),
    "longest side of a word": (
        ("input", "max_side"), "512", r"input\.max_side",
    ),
    "longest side below 0": (("input", "max_side"), -1, r"input\.max_side"),
    "no outputs": (("outputs",), [], "outputs"),
    "outputs of null": (("outputs",), [None], r"outputs\[0\]"),
    "outputs of an object": (("outputs",), {"name": "logits"}, "outputs"),
    "an output of no kind": (
        ("outputs", 0, "kind"), _MISSING, r"outputs\[0\]\.kind",
    ),
    "metrics of a list": (("metrics",), [0.5], "metrics"),
    "score of a word": (("metrics", "miou"), "high", r"metrics\.miou"),
    "score of percents": (("metrics", "miou"), 72.5, r"metrics\.miou"),
    "a detector's score of percents": (
        ("metrics", "ap50"), 88.6, r"metrics\.ap50",
    ),
    "best of a number": (("metrics", "best"), 0.4, r"metrics\.best"),
    "threshold of percents": (
        ("metrics", "best"), {"threshold": 44}, r"metrics\.best\.threshold",
    ),
    "digest of a number": (("digest",), 5, "digest"),
}  # fmt: skip
# As text, what none of these changes can be.
TEXTS = {
    "a list": ("[1]", "format"),
    "null": ("null", "format"),
    "no JSON": ('{"format": 1,', "JSON"),
    "deep lists": (
        json.dumps(GOOD | {"classes": "LISTS"}).replace(
            '"LISTS"', "[" * _DEEP + "]" * _DEEP
        ),
        "JSON|classes",
    ),
    "another format": (json.dumps(GOOD | {"format": "1"}), "format"),
}


def changed(place, value) -> dict:
    """Return good facts but for one place."""
    facts = copy.deepcopy(GOOD)
    *path, last = place
    inside = facts
    for key in path:
        inside = inside[key]
    if value is _MISSING:
        del inside[last]
    else:
        inside[last] = value
    return facts


def bad_facts() -> dict[str, tuple[str, str]]:
    """Return name -> text of the facts, and what a refusal says of it."""
    made = {
        name: (json.dumps(changed(place, value)), word)
        for name, (place, value, word) in CHANGES.items()
    }
    return made | TEXTS


def empty_file(text: str = "") -> bytes:
    """Return a `.tflite` file of facts alone: no operation gives its output.

    Args:
        text: Text of the facts, which spaces fill up. Defaults to none.
    """
    picture, scores = (schema.TensorT() for _ in range(2))
    picture.name, picture.type = b"image", schema.TensorType.UINT8
    scores.name, scores.type = b"logits", schema.TensorType.FLOAT32
    for tensor, channels in ((picture, 3), (scores, 3)):
        tensor.shape = np.array([1, *SIZE, channels], np.int32)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators = [picture, scores], []
    graph.inputs, graph.outputs = [0], [1]
    facts, entry = schema.BufferT(), schema.MetadataT()
    content = text.encode().ljust(ROOM)
    facts.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = b"DLA_KERAS", 1
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers, model.metadata = [schema.BufferT(), facts], [entry]
    builder = Builder(2 * ROOM)
    builder.Finish(model.Pack(builder), b"TFL3")
    labels = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(labels, "a") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "")
    return labels.getvalue()
