"""Named buffers inside a `.tflite` file: TFLite's own place for metadata.

A flatbuffer's references point forward only, so a new root in front of the
file can refer to everything in it: the file itself stays as it is, byte for
byte, and what comes to it stands before it.
"""

import struct

from flatbuffers import Builder
from flatbuffers.number_types import Uint32Flags
from flatbuffers.table import Table

IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # bytes; XNNPACK reads weights in place

# Fields of the tables `Model`, `Metadata` and `Buffer` in TFLite's schema.
VERSION, BUFFERS, METADATA, MODEL_FIELDS = 0, 4, 6, 8
NAME, BUFFER = 0, 1
BYTES = 0


def read_buffers(data: bytes) -> dict[str, bytes]:
    """The named buffers of a `.tflite` file.

    Args:
        data: the file's bytes.

    Returns:
        Name -> content.

    Raises:
        ValueError: for bytes that are no `.tflite` file, or a part of one.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError("These bytes are no .tflite file.")
    try:
        model = _root(data)
        # All of them, since weights may be what a download has lost.
        buffers = [_content(data, at) for at in _tables(model, BUFFERS)]
        entries = [Table(data, at) for at in _tables(model, METADATA)]
        return {
            _name(entry): buffers[entry.GetSlot(_slot(BUFFER), 0, Uint32Flags)]
            for entry in entries
        }
    except (struct.error, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("These bytes are no complete .tflite file.") from error


def add_buffers(data: bytes, contents: dict[str, bytes]) -> bytes:
    """A `.tflite` file with more named buffers.

    Args:
        data: the file's bytes.
        contents: name -> content.

    Returns:
        The new file's bytes: they end with the old ones, and buffers keep
        their alignment.

    Raises:
        ValueError: for bytes that are no whole `.tflite` file, or a name that
            is there already.
    """
    taken = sorted(read_buffers(data).keys() & contents)
    if taken:
        raise ValueError(
            f"The file has a buffer {taken[0]!r} already. Start from the file "
            "without it."
        )
    model = _root(data)
    builder, here = _builder_before(data)
    buffers = [here(at) for at in _tables(model, BUFFERS)]
    metadata = [here(at) for at in _tables(model, METADATA)]
    for name, content in contents.items():
        metadata.append(_write_entry(builder, name, len(buffers)))
        buffers.append(_write_buffer(builder, content))
    replaced = {
        BUFFERS: write_vector(builder, buffers),
        METADATA: write_vector(builder, metadata),
    }
    builder.StartObject(MODEL_FIELDS)
    version = model.GetSlot(_slot(VERSION), 0, Uint32Flags)
    builder.PrependUint32Slot(VERSION, version, 0)
    for field in range(1, MODEL_FIELDS):
        offset = model.Offset(_slot(field))
        old = offset and here(model.Indirect(model.Pos + offset))
        builder.PrependUOffsetTRelativeSlot(field, replaced.get(field, old), 0)
    builder.Finish(builder.EndObject(), IDENTIFIER)
    return bytes(builder.Output())[: -(-len(data) % ALIGNMENT) or None]


def write_bytes(builder: Builder, content: bytes) -> int:
    """Writes a vector of bytes, aligned."""
    builder.Prep(ALIGNMENT, len(content))
    return builder.CreateByteVector(content)


def write_vector(builder: Builder, offsets) -> int:
    """Writes a vector of what was written before."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _builder_before(data):
    """A builder that goes on in front of `data`, and what is where in it."""
    # Builders work from the end to the front: `data` is what it wrote so far.
    end = len(data) + -len(data) % ALIGNMENT
    builder = Builder(end + 65536)
    builder.minalign = ALIGNMENT
    builder.head -= end
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder, lambda position: end - position


def _write_entry(builder, name, index):
    text = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(NAME, text, 0)
    builder.PrependUint32Slot(BUFFER, index, 0)
    return builder.EndObject()


def _write_buffer(builder, content):
    offset = write_bytes(builder, content)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(BYTES, offset, 0)
    return builder.EndObject()


def _slot(field):
    """Where a table's own table holds a field."""
    return 4 + 2 * field


def _root(data):
    model = Table(data, struct.unpack_from("<I", data)[0])
    if model.Offset(_slot(MODEL_FIELDS)):
        raise ValueError(
            "This .tflite file has parts that are newer than this package. "
            "Update dla_keras."
        )
    return model


def _tables(table, field):
    """Positions of the tables in a vector."""
    offset = table.Offset(_slot(field))
    if not offset:
        return []
    start, count = table.Vector(offset), table.VectorLen(offset)
    return [table.Indirect(start + 4 * index) for index in range(count)]


def _content(data, position):
    table = Table(data, position)
    offset = table.Offset(_slot(BYTES))
    if not offset:
        return b""
    start, length = table.Vector(offset), table.VectorLen(offset)
    if start + length > len(data):
        raise IndexError(f"{start + length - len(data)} bytes are missing")
    return memoryview(data)[start : start + length]


def _name(entry):
    return entry.String(entry.Pos + entry.Offset(_slot(NAME))).decode()
