"""Looks at a model file as data before native code gets it.

A SavedModel's operations can read and write any file; a network needs none of
those. A `.tflite` file that our exporter wrote carries a digest of itself: one
flipped bit of a download, or of a phone's storage, gives another mask without a
word otherwise. Any such file is walked first, within its bytes; and one without
a digest runs once in a process of its own, since a runtime may die of a valid
FlatBuffer.
"""

import hashlib
import math
import pathlib
import signal
import struct
import subprocess
import sys

import numpy as np
from flatbuffers.number_types import Int8Flags
from flatbuffers.number_types import Int32Flags
from flatbuffers.number_types import Uint32Flags
from flatbuffers.table import Table

from dla_keras.files import check_regular

# Operations that `export-saved-model` writes, and that compute only.
OPERATIONS = frozenset(
    """
    AddV2 ArgMax AvgPool BiasAdd Cast ConcatV2 Const Conv2D DepthToSpace
    DepthwiseConv2dNative FloorDiv FloorMod GatherV2 Greater GreaterEqual
    Identity Less MatMul MaxPool Maximum Mean Minimum Mul NoOp Pack Pad
    PartitionedCall Placeholder Range ReadVariableOp RealDiv Relu Reshape
    ResizeBilinear Rsqrt Select SelectV2 Shape Sigmoid Softmax Split Squeeze
    StatefulPartitionedCall StridedSlice Sub Sum TopKV2
    """.split()
)

IDENTIFIER = b"TFL3"
NO_DIGEST = "0" * 64  # stands in a file's facts while its digest is computed
_KEY = b'"digest":"'

CUSTOM = 32  # the operation that is none of TFLite's own
# Kind of numbers in a tensor -> bits of one. Others have no fixed size.
BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64,
    11: 128, 12: 64, 15: 32, 16: 16, 17: 4, 18: 16,
}  # fmt: skip
_LARGEST = 2**31  # numbers in a tensor

# One process that runs a file once; it prints what the runtime says.
_TRIAL = """
import importlib, sys
import numpy as np
package = importlib.import_module(sys.argv[1] + ".interpreter")
model = package.Interpreter(model_content=sys.stdin.buffer.read())
model.allocate_tensors()
for each in model.get_input_details():
    model.set_tensor(each["index"], np.zeros(each["shape"], each["dtype"]))
model.invoke()
"""


def field(number: int) -> int:
    """Return where a table keeps the place of a field of the schema."""
    return 4 + 2 * number


class Walk:
    """The tables of a file, visited within its bytes.

    Args:
        data: Bytes of the file.

    Raises:
        ValueError: If the bytes are no `.tflite` file, or lead out of it.
    """

    def __init__(self, data: bytes):
        if data[4:8] != IDENTIFIER:
            raise ValueError("These bytes are no .tflite file.")
        self._data = data
        # A file in which tables are shared without end stops here.
        self._left = len(data)
        self.model = Table(data, struct.unpack_from("<I", data)[0])

    def tables(self, table: Table, number: int) -> list[Table]:
        """Return the tables in a field that is a vector of them."""
        places = self.numbers(table, number, np.uint32)
        offset = table.Offset(field(number))
        start = table.Vector(offset) if offset else 0
        return [
            Table(self._data, start + 4 * index + int(place))
            for index, place in enumerate(places)
        ]

    def numbers(self, table: Table, number: int, dtype) -> np.ndarray:
        """Return the numbers in a field that is a vector of them."""
        offset = table.Offset(field(number))
        if not offset:
            return np.empty(0, dtype)
        start, count = table.Vector(offset), table.VectorLen(offset)
        size = count * np.dtype(dtype).itemsize
        self._left -= count
        if start < 0 or start + size > len(self._data) or self._left < 0:
            raise ValueError("These bytes are no complete .tflite file.")
        return np.frombuffer(self._data, np.dtype(dtype), count, start)

    def number(self, table: Table, number: int, flags, default=0) -> int:
        """Return a field that is a number."""
        return table.GetSlot(field(number), default, flags)


def check_length(path) -> None:
    """Raise `ValueError` for what is no file that ends, or beyond 2 GB.

    Neither a `.tflite` file nor a graph can be longer.

    Args:
        path: Path of the file.
    """
    size = check_regular(path).stat().st_size
    if size >= 2**31:
        raise ValueError(
            f"Expected a file of less than 2 GB. Received: {path} with "
            f"{size:,} bytes; copy or export it again."
        )


def check_file(data: bytes) -> None:
    """Raise `ValueError` if a file is not what a runtime can rely on.

    Operations exist, indices are in range, constants are as long as their
    shapes say, scales are positive numbers.

    Args:
        data: Bytes of the file.
    """
    try:
        _check_model(Walk(data))
    except (struct.error, IndexError, TypeError, OverflowError) as error:
        raise ValueError("These bytes are no complete .tflite file.") from error


def _check_model(walk):
    codes = walk.tables(walk.model, 1)
    for code in codes:
        kind = max(
            walk.number(code, 0, Int8Flags), walk.number(code, 3, Int32Flags)
        )
        if kind == CUSTOM or kind < 0:
            name = bytes(walk.numbers(code, 1, np.uint8)).decode("utf-8", "?")
            raise ValueError(
                f"The file needs the operation {name!r}, which is none of "
                "TFLite's own. Export it with builtin operations."
            )
    sizes = [
        len(walk.numbers(each, 0, np.uint8))
        for each in walk.tables(walk.model, 4)
    ]
    graphs = walk.tables(walk.model, 2)
    if not graphs or not sizes:
        raise ValueError("The file holds no network.")
    # Inputs, outputs and operations of what is run first.
    if not all(len(walk.numbers(graphs[0], n, np.int32)) for n in (1, 2, 3)):
        raise ValueError(
            "The file is damaged: its network lacks operations, inputs or "
            "outputs."
        )
    for graph in graphs:
        _check_graph(walk, graph, len(codes), sizes)


def _check_graph(walk, graph, codes, sizes):
    tensors = walk.tables(graph, 0)
    for tensor in tensors:
        _check_tensor(walk, tensor, sizes)
    for number in (1, 2):
        _check_indices(walk.numbers(graph, number, np.int32), len(tensors))
    for operation in walk.tables(graph, 3):
        if walk.number(operation, 0, Uint32Flags) >= codes:
            raise ValueError(
                "The file is damaged: an operation does not exist."
            )
        for number in (1, 2):
            used = walk.numbers(operation, number, np.int32)
            _check_indices(used[used != -1], len(tensors))  # -1: left out


def _check_indices(indices, count):
    if indices.size and not (indices.min() >= 0 and indices.max() < count):
        raise ValueError("The file is damaged: a tensor does not exist.")


def _check_tensor(walk, tensor, sizes):
    shape = walk.numbers(tensor, 0, np.int32).tolist()
    kind = walk.number(tensor, 1, Int8Flags)
    buffer = walk.number(tensor, 2, Uint32Flags)
    if buffer >= len(sizes):
        raise ValueError("The file is damaged: a constant does not exist.")
    count = math.prod(shape)
    if min(shape, default=1) < 0 or count > _LARGEST:
        raise ValueError(
            f"The file is damaged: a tensor has the shape {shape}."
        )
    sparse = tensor.Offset(field(6))
    if sizes[buffer] and kind in BITS and not sparse:
        expected = (count * BITS[kind] + 7) // 8
        if sizes[buffer] != expected:
            raise ValueError(
                f"The file is damaged: a constant of {expected} bytes has "
                f"{sizes[buffer]}."
            )
    place = tensor.Offset(field(4))
    if place:
        rounding = Table(tensor.Bytes, tensor.Indirect(tensor.Pos + place))
        _check_scales(walk, rounding, shape)


def _check_scales(walk, rounding, shape):
    scales = walk.numbers(rounding, 2, np.float32)
    if not scales.size:
        return
    if not (np.isfinite(scales).all() and scales.min() > 0):
        raise ValueError("The file is damaged: a scale is no positive number.")
    axis = walk.number(rounding, 6, Int32Flags)
    channels = shape[axis] if 0 <= axis < len(shape) else 1
    if scales.size not in (1, channels):
        raise ValueError(
            f"The file is damaged: {scales.size} scales for {channels} "
            "channels."
        )


def digest_place(data: bytes) -> int | None:
    """Return where the digest begins in a file; `None` if it has none."""
    start = data.find(_KEY)
    return None if start < 0 else start + len(_KEY)


def sealed(data: bytes) -> bytes:
    """Return a file whose facts hold the digest of all its other bytes.

    Args:
        data: Bytes of a file whose facts hold `NO_DIGEST`.
    """
    place = digest_place(data)
    return _with_digest(data, place, hashlib.sha256(data).hexdigest())


def is_sealed(data: bytes, digest: str | None) -> bool:
    """Return whether a file carries a digest.

    Args:
        data: Bytes of the file.
        digest: Digest in the file's facts, if any.

    Raises:
        ValueError: If it is not the file's.
    """
    if digest in (None, NO_DIGEST):
        return False
    place = digest_place(data)
    plain = _with_digest(data, place, NO_DIGEST)
    if hashlib.sha256(plain).hexdigest() != digest:
        raise ValueError(
            "The file is not what the exporter wrote: it was damaged or "
            "changed since. Copy it again, or export it anew."
        )
    return True


def _with_digest(data, place, digest):
    return data[:place] + digest.encode() + data[place + len(NO_DIGEST) :]


def try_apart(data: bytes, package: str) -> None:
    """Raise `ValueError` if a file stops a process that runs it once.

    Args:
        data: Bytes of the file.
        package: Name of the runtime's package.
    """
    done = subprocess.run(
        [sys.executable, "-c", _TRIAL, package],
        input=data,
        capture_output=True,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ValueError(
            f"The runtime dies of the file ({name}): it is damaged, or made "
            "for another version."
        )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"The runtime cannot run the file: {lines[-1]}")


def check_saved_model(path) -> None:
    """Raise `ValueError` if a SavedModel may do more than compute.

    Args:
        path: Path of the folder.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = pathlib.Path(path, "saved_model.pb")
    content = SavedModel()
    check_length(file)
    try:
        content.ParseFromString(file.read_bytes())
        (graph,) = content.meta_graphs
    except (DecodeError, ValueError) as error:
        raise ValueError(
            f"{file} is no SavedModel with one graph, or is incomplete. Export "
            "the model again."
        ) from error
    # Whatever runs in TensorFlow 2 is in a function of an object. What saves
    # and restores variables is not: those may touch files, and never run.
    entries = list(graph.object_graph_def.concrete_functions)
    functions = {
        each.signature.name: each for each in graph.graph_def.library.function
    }
    foreign = _operations(entries, functions) - OPERATIONS
    if foreign or not entries:
        raise ValueError(
            "Expected a SavedModel that export-saved-model wrote. Received: "
            f"{path}, which "
            + (
                f"uses {', '.join(sorted(foreign))}: it may do more than "
                "compute, so it was not opened."
                if foreign
                else "holds no function of TensorFlow 2."
            )
        )


def _operations(names, functions):
    """Return the operations of functions and of all that they call."""
    found, seen, waiting = set(), set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            found.add(node.op)
            if node.op in functions:  # an operation may be a function's name
                waiting.append(node.op)
            for value in node.attr.values():
                waiting += [
                    each.name for each in (value.func, *value.list.func)
                ]
    return found - functions.keys()
