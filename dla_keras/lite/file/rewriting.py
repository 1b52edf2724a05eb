"""A `.tflite` file whose operations can be replaced.

What `stem.py` and `requantization.py` share: operations by name, new tensors
like those that are there, and the file again.
"""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from dla_keras.lite.file.buffers import ALIGNMENT


class Rewriting:
    """A file's one graph, taken apart.

    Args:
        data: the file's bytes.

    Attributes:
        operators: the graph's operations, a list to be changed.
        tensors: the graph's tensors.
    """

    def __init__(self, data: bytes):
        self._model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
        (graph,) = self._model.subgraphs
        self.operators, self.tensors = graph.operators, graph.tensors

    def is_a(self, operator, name: str) -> bool:
        """Whether an operation is the builtin one of this name."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Codes above 127 did not fit the first version's field.
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        return builtin == getattr(schema.BuiltinOperator, name)

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values are in the file."""
        buffer = self._model.buffers[self.tensors[index].buffer]
        return buffer.data is not None

    def values(self, index: int, dtype) -> np.ndarray:
        """What a constant tensor holds."""
        tensor = self.tensors[index]
        content = self._model.buffers[tensor.buffer].data
        return np.asarray(content, np.uint8).view(dtype).reshape(tensor.shape)

    def add_tensor(self, like: int, suffix: str, shape) -> int:
        """A tensor of another's type, scale and zero point.

        Args:
            like: index of that one.
            suffix: behind its name.
            shape: the new one's.

        Returns:
            The new tensor's index.
        """
        tensor = copy.copy(self.tensors[like])
        tensor.name = tensor.name + f"/{suffix}".encode()
        tensor.shape, tensor.shapeSignature = np.int32(shape), None
        tensor.buffer = 0  # the schema's empty one
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_constant(self, like: int, suffix: str, values: np.ndarray) -> int:
        """The same, of which the file holds the values.

        Where the other has a scale for each of its filters, they repeat.
        """
        index = self.add_tensor(like, suffix, values.shape)
        tensor = self.tensors[index]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor.buffer = len(self._model.buffers) - 1
        tensor.quantization = copy.copy(tensor.quantization)
        for each in ("scale", "zeroPoint"):
            known = getattr(tensor.quantization, each, None)
            if known is not None and len(known) > 1:
                times = len(values) // len(known)
                setattr(tensor.quantization, each, np.tile(known, times))
        return index

    def make_operator(
        self, name: str, version: int, inputs, outputs, **options
    ):
        """A new operation, still to be put among the others.

        Args:
            name: of the builtin operation, for instance `"ADD"`.
            version: that the runtime must know of it.
            inputs: indices of tensors.
            outputs: likewise.
            **options: attributes of the schema's options of it.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._index_of_code(name, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        kind = "".join(map(str.capitalize, name.split("_"))) + "Options"
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = getattr(schema, f"{kind}T")()
        for option, value in options.items():
            setattr(operator.builtinOptions, option, value)
        return operator

    def _index_of_code(self, name, version):
        builtin = getattr(schema.BuiltinOperator, name)
        codes = self._model.operatorCodes
        for index, code in enumerate(codes):
            if (code.builtinCode, code.version) == (builtin, version):
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        # Its field is a byte; codes beyond it are told by this.
        code.deprecatedBuiltinCode = min(builtin, 127)
        codes.append(code)
        return len(codes) - 1

    def to_bytes(self) -> bytes:
        """The file as it is now."""
        builder = _AlignedBuilder(1 << 20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


class _AlignedBuilder(Builder):
    """Contents of buffers at multiples of 16 bytes, as the schema wants.

    What it generates for Python leaves that out.
    """

    def CreateNumpyVector(self, x):
        if x.dtype == np.uint8:
            self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)
