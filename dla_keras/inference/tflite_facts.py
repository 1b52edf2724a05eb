"""Reads what a `.tflite` file says of itself: JSON in its buffer `DLA_KERAS`.

Whoever runs the file (`LiteModel`, the web page, the phone) reads classes,
colors, sizes and origin from here. Needs neither TensorFlow nor its schema:
`lite/file/facts.py` writes what is read here.
"""

import json
import struct
from dataclasses import dataclass

import numpy as np
from flatbuffers.number_types import Uint32Flags

from dla_keras.inference.model_checks import Walk

BUFFER = "DLA_KERAS"
FORMAT = 1
REQUIRED = {"classes", "input", "outputs", "task"}

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
    content = named_buffers(data).get(BUFFER)
    if content is None:
        return None
    try:
        facts = json.loads(bytes(content))
    except ValueError as error:
        raise ValueError(
            f"The file's buffer {BUFFER} is no JSON: {error}. Export the "
            "model again."
        ) from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"Expected facts in format {FORMAT}. Received: {found!r}. Update "
            "dla_keras, or export the model again with this version."
        )
    missing = sorted(REQUIRED - facts.keys())
    if missing:
        raise ValueError(
            f"The file's facts lack {', '.join(missing)}. Export the model "
            "again."
        )
    return facts


def named_buffers(data: bytes) -> dict[str, bytes]:
    """Return what a `.tflite` file keeps under names.

    Args:
        data: Bytes of the file.

    Returns:
        Name -> content.

    Raises:
        ValueError: If the bytes are no `.tflite` file, or a part of one.
    """
    try:
        walk = Walk(data)
        # All of them, since weights may be what a download has lost.
        buffers = [
            bytes(walk.numbers(each, 0, np.uint8))
            for each in walk.tables(walk.model, 4)
        ]
        return {
            bytes(walk.numbers(entry, 0, np.uint8)).decode(): buffers[
                walk.number(entry, 1, Uint32Flags)
            ]
            for entry in walk.tables(walk.model, 6)
        }
    except (struct.error, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("These bytes are no complete .tflite file.") from error
