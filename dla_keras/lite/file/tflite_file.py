"""A `.tflite` file: parsed once, looked at and edited, packed once.

Every stage of an export behind the converter works on one `TfliteFile`.
"""

import copy
import io
import zipfile
from collections import Counter
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # bytes; XNNPACK reads weights in place

# Operations of the schema itself, but of a file with variables in it, or with
# batch statistics: the mark of a model converted in training mode.
VARIABLE_OPS = frozenset(
    {
        "ASSIGN_VARIABLE",
        "CALL_ONCE",
        "READ_VARIABLE",
        "SQUARED_DIFFERENCE",
        "VAR_HANDLE",
    }
)


_MASK_OPERATIONS = 3  # between scores and a mask: the likeliest, casts


def _names(enum):
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


_OPERATIONS = _names(schema.BuiltinOperator)
_TYPES = _names(schema.TensorType)
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)


@dataclass(frozen=True)
class TensorFacts:
    """One input or output of a file.

    Args:
        name: Name of the tensor.
        dtype: Type of its numbers, for instance `"uint8"`.
        shape: Static shape.
        signature: Shape with -1 for every side left open.
        scale: Scale of a quantized tensor, else `None`.
        zero_point: Zero point of a quantized tensor, else `None`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self):
        text = f"{self.dtype} {self.shape}"
        if self.scale is not None:
            text += f", scale {self.scale:.6g}, zero point {self.zero_point}"
        return text


class TfliteFile:
    """A `.tflite` file as objects of TFLite's schema.

    Args:
        data: Bytes of the file.

    Attributes:
        operators: Operations of its first graph, a list to be changed.
        tensors: Tensors of that graph.
        labels: Text of `labels.txt`, which `pack` puts behind the file so
            that it can be unzipped; `None` for no such part.

    Raises:
        ValueError: If the bytes are no `.tflite` file.

    Example:

    >>> file = TfliteFile(data)  # doctest: +SKIP
    >>> file.op_counts["CONV_2D"], str(file.inputs[0])  # doctest: +SKIP
    (61, 'uint8 (1, 64, 96, 3), scale 1, zero point 0')
    """

    def __init__(self, data: bytes):
        try:
            if data[4:8] != IDENTIFIER:
                raise ValueError(f"no {IDENTIFIER.decode()}")
            self._model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
            self._graph = self._model.subgraphs[0]
            self.operators = self._graph.operators
            self.tensors = self._graph.tensors
        except Exception as error:  # whatever a read out of bounds is
            raise ValueError("These bytes are no .tflite file.") from error
        self.labels: str | None = None

    # What the file holds.

    @property
    def ops(self) -> tuple[str, ...]:
        """Return all operations in order, `"CUSTOM:name"` for foreign."""
        return tuple(
            self.name_of(operator)
            for graph in self._model.subgraphs
            for operator in graph.operators
        )

    @property
    def op_counts(self) -> Counter:
        """Return how often each operation is in the file."""
        return Counter(self.ops)

    @property
    def float_ops(self) -> int:
        """Return how many operations touch float numbers."""
        return sum(
            any(
                graph.tensors[index].type in _FLOATS
                for index in (*operator.inputs, *operator.outputs)
                if index >= 0
            )
            for graph in self._model.subgraphs
            for operator in graph.operators
        )

    @property
    def inputs(self) -> tuple[TensorFacts, ...]:
        """Return facts of the inputs in their order."""
        return tuple(map(self._facts_of, self._graph.inputs))

    @property
    def outputs(self) -> tuple[TensorFacts, ...]:
        """Return facts of the outputs in their order."""
        return tuple(map(self._facts_of, self._graph.outputs))

    @property
    def output_names(self) -> list[str | None]:
        """Return the outputs' names by the file's signature, in their order."""
        names = {}
        for signature in (self._model.signatureDefs or ())[:1]:
            for entry in signature.outputs:
                names[entry.tensorIndex] = entry.name.decode()
        return [names.get(int(index)) for index in self._graph.outputs]

    @property
    def named_buffers(self) -> dict[str, bytes]:
        """Return what the file says of itself: name -> content."""
        return {
            entry.name.decode(): bytes(self._content(entry.buffer))
            for entry in self._model.metadata or ()
        }

    @property
    def in_half(self) -> bool:
        """Return whether XNNPACK may compute it in half precision."""
        said = self.named_buffers.get("reduced_precision_support", b"")
        return b"fp16accfp16" in said

    def name_of(self, operator) -> str:
        """Return the name of an operation, for instance `"CONV_2D"`."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Codes above 127 did not fit the first version's field.
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        if builtin == schema.BuiltinOperator.CUSTOM:
            return f"CUSTOM:{code.customCode.decode()}"
        return _OPERATIONS.get(builtin, f"UNKNOWN:{builtin}")

    def is_constant(self, index: int) -> bool:
        """Return whether the values of a tensor are in the file."""
        return len(self._content(self.tensors[index].buffer)) > 0

    def values(self, index: int, dtype) -> np.ndarray:
        """Return what a constant tensor holds."""
        tensor = self.tensors[index]
        content = np.asarray(self._content(tensor.buffer), np.uint8)
        return content.view(dtype).reshape(tensor.shape)

    def refuse_foreign_ops(self) -> None:
        """Let only files pass that every runtime can run.

        Raises:
            ValueError: If there are custom (Flex) or variable operations, or
                sides that are not fixed.
        """
        foreign = sorted(
            op for op in set(self.ops) if ":" in op or op in VARIABLE_OPS
        )
        if foreign:
            raise ValueError(
                "Expected builtin operations without variables only. "
                f"Received: {', '.join(foreign)}. Replace the layers they "
                "come from, and convert with training=False."
            )
        for tensor in (*self.inputs, *self.outputs):
            if tensor.shape != tensor.signature or min(tensor.shape) < 1:
                raise ValueError(
                    f"Expected a fixed shape. Received: {tensor.name} with "
                    f"{tensor.signature}. Convert at a fixed size, with batch "
                    "1."
                )

    def _content(self, buffer):
        data = self._model.buffers[buffer].data
        return b"" if data is None else data

    def _facts_of(self, index):
        tensor = self.tensors[index]
        shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
        signature = shape
        if tensor.shapeSignature is not None:
            signature = tuple(map(int, tensor.shapeSignature))
        scale = zero_point = None
        quantization = tensor.quantization
        if quantization is not None and quantization.scale is not None:
            scale = float(quantization.scale[0])
            zero_point = int(quantization.zeroPoint[0])
        return TensorFacts(
            tensor.name.decode(),
            _TYPES[tensor.type].lower(),
            shape,
            signature,
            scale,
            zero_point,
        )

    # What can be changed in it.

    def add_tensor(self, like: int, suffix: str, shape) -> int:
        """Add a tensor of another's type, scale and zero point.

        Args:
            like: Index of the other tensor.
            suffix: End of the new name.
            shape: Shape of the new tensor.

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
        """Add a tensor whose values the file holds; see `add_tensor`.

        Where the other has a scale for each of its filters, they repeat.
        """
        index = self.add_tensor(like, suffix, values.shape)
        tensor = self.tensors[index]
        tensor.buffer = self._add_buffer(values.tobytes())
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
        """Return a new operation, still to be put among the others.

        Args:
            name: Name of the builtin operation, for instance `"ADD"`.
            version: Version that the runtime must know of it.
            inputs: Indices of tensors.
            outputs: Indices of tensors.
            **options: Attributes of the schema's options of the operation.
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

    def add_named_buffer(self, name: str, content: bytes) -> None:
        """Put a text or another file into this one.

        Raises:
            ValueError: If there is a buffer of this name already.
        """
        if name in self.named_buffers:
            raise ValueError(
                f"The file has a buffer {name!r} already. Start from the file "
                "without it."
            )
        entry = schema.MetadataT()
        entry.name, entry.buffer = name.encode(), self._add_buffer(content)
        self._model.metadata = [*(self._model.metadata or ()), entry]

    def append(self, tail: "TfliteFile") -> None:
        """Let another graph go on from this one's outputs, and give its own.

        Args:
            tail: File whose inputs have the names of outputs of this one.
        """
        places = self._merged_tensors(tail)
        moved = lambda index: places.get(int(index), -1)  # -1: left out
        for operator in tail.operators:
            code = tail._model.operatorCodes[operator.opcodeIndex]
            operator = copy.copy(operator)
            operator.opcodeIndex = self._place_of_code(code)
            operator.inputs = list(map(moved, operator.inputs))
            operator.outputs = list(map(moved, operator.outputs))
            self.operators.append(operator)
        (own,), (theirs,) = self._model.signatureDefs, tail._model.signatureDefs
        own.outputs = [copy.copy(entry) for entry in theirs.outputs]
        for entry in own.outputs:
            entry.tensorIndex = moved(entry.tensorIndex)
        self._graph.outputs = list(map(moved, tail._graph.outputs))

    def _merged_tensors(self, tail):
        """Add another's tensors but for its inputs; return where all are."""
        (own,), (theirs,) = self._model.signatureDefs, tail._model.signatureDefs
        given = {entry.name: entry.tensorIndex for entry in own.outputs}
        places = {
            entry.tensorIndex: given[entry.name] for entry in theirs.inputs
        }
        for index, tensor in enumerate(tail.tensors):
            if index in places:
                continue
            content, tensor = tail._content(tensor.buffer), copy.copy(tensor)
            tensor.buffer = self._add_buffer(content) if len(content) else 0
            places[index] = len(self.tensors)
            self.tensors.append(tensor)
        return places

    def give_scores(self) -> bool:
        """Give the scores that a mask is taken of, in the mask's place.

        What the file says of itself would be wrong then, and goes.

        Returns:
            Whether there is such a mask.
        """
        makers = {int(o): each for each in self.operators for o in each.outputs}
        for place, index in enumerate(self._graph.outputs):
            scores, passed = int(index), []
            while scores in makers and len(passed) < _MASK_OPERATIONS:
                passed.append(makers[scores])
                scores = int(passed[-1].inputs[0])
                if self.name_of(passed[-1]) == "ARG_MAX":
                    self._give_instead(place, scores)
                    for operator in passed:
                        self.operators.remove(operator)
                    return True
        return False

    def _give_instead(self, place, index):
        before = int(self._graph.outputs[place])
        outputs = list(map(int, self._graph.outputs))
        outputs[place], self._model.metadata = index, None
        self._graph.outputs = outputs
        for signature in self._model.signatureDefs or ():
            for entry in signature.outputs:
                if entry.tensorIndex == before:
                    entry.tensorIndex, entry.name = index, b"logits"

    def _add_buffer(self, content):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _index_of_code(self, name, version):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.version = version
        # Its field is a byte; codes beyond it are told by this.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        return self._place_of_code(code)

    def _place_of_code(self, code):
        codes = self._model.operatorCodes
        for index, known in enumerate(codes):
            if (known.builtinCode, known.version) == (
                code.builtinCode,
                code.version,
            ):
                return index
        codes.append(code)
        return len(codes) - 1

    def pack(self) -> bytes:
        """Return the bytes of the file as it is now."""
        contents = (self._content(b) for b in range(len(self._model.buffers)))
        builder = _AlignedBuilder(sum(map(len, contents)) + (1 << 20))
        builder.Finish(self._model.Pack(builder), IDENTIFIER)
        data = bytes(builder.Output())
        return data if self.labels is None else _with_labels(data, self.labels)


class _AlignedBuilder(Builder):
    """Writes contents of buffers at multiples of 16 bytes, as the schema asks.

    The code that is generated for Python leaves that out.
    """

    def CreateNumpyVector(self, x):
        if x.dtype == np.uint8:
            self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def _with_labels(data, labels):
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        # A `ZipInfo` is dated 1980: the same facts make the same bytes.
        archive.writestr(zipfile.ZipInfo("labels.txt"), labels)
    return stream.getvalue()
