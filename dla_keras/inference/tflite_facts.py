"""Reads what a `.tflite` file says of itself: JSON in its buffer `DLA_KERAS`.

Whoever runs the file (`LiteModel`, the web page, the phone) reads classes,
colors, sizes and origin from here. Needs neither TensorFlow nor its schema:
`lite/file/facts.py` writes what is read here.
"""

import json
import struct
from dataclasses import dataclass

from flatbuffers.number_types import Uint32Flags
from flatbuffers.table import Table

IDENTIFIER = b"TFL3"
BUFFER = "DLA_KERAS"
FORMAT = 1
REQUIRED = {"classes", "input", "outputs", "task"}

# Where TFLite's schema has the fields of `Model`, `Metadata` and `Buffer`: the
# place of a field in its table is 4 + 2 * its number.
BUFFERS, METADATA = 4 + 2 * 4, 4 + 2 * 6
NAME, INDEX = 4, 6
CONTENT = 4

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
    if data[4:8] != IDENTIFIER:
        raise ValueError("These bytes are no .tflite file.")
    try:
        model = Table(data, struct.unpack_from("<I", data)[0])
        # All of them, since weights may be what a download has lost.
        buffers = [_vector(table, CONTENT) for table in _tables(model, BUFFERS)]
        return {
            bytes(_vector(entry, NAME)).decode(): buffers[
                entry.GetSlot(INDEX, 0, Uint32Flags)
            ]
            for entry in _tables(model, METADATA)
        }
    except (struct.error, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("These bytes are no complete .tflite file.") from error


def _tables(table, field):
    """Return the tables in a vector of a table."""
    offset = table.Offset(field)
    start = table.Vector(offset) if offset else 0
    count = table.VectorLen(offset) if offset else 0
    places = (table.Indirect(start + 4 * index) for index in range(count))
    return [Table(table.Bytes, place) for place in places]


def _vector(table, field):
    """Return the bytes of a vector of a table; a text is one too."""
    offset = table.Offset(field)
    if not offset:
        return b""
    start, length = table.Vector(offset), table.VectorLen(offset)
    if start + length > len(table.Bytes):
        missing = start + length - len(table.Bytes)
        raise IndexError(f"{missing} bytes are missing")
    return memoryview(table.Bytes)[start : start + length]
