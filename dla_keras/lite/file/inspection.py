"""What a `.tflite` file holds: its operations, its input and its output."""

from collections import Counter
from dataclasses import dataclass

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


@dataclass(frozen=True)
class TensorFacts:
    """One input or output of a file.

    Args:
        name: of the tensor.
        dtype: for instance `"uint8"`.
        shape: the static shape.
        signature: the shape with -1 for every side left open.
        scale: of a quantised tensor, else `None`.
        zero_point: likewise.
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


@dataclass(frozen=True)
class FileFacts:
    """What `inspect` found in a file.

    Args:
        ops: names of the operations in order; `"CUSTOM:name"` for those
            outside the schema.
        inputs: of the first subgraph.
        outputs: of the first subgraph.
        float_ops: how many operations touch float numbers.
    """

    ops: tuple[str, ...]
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    float_ops: int

    @property
    def op_counts(self) -> Counter:
        return Counter(self.ops)


def inspect(data: bytes) -> FileFacts:
    """Reads the structure of a `.tflite` file.

    Args:
        data: the file's bytes.

    Raises:
        ValueError: for bytes that are no such file.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
        ops = tuple(
            _op_name(model, op, schema)
            for graph in model.subgraphs
            for op in graph.operators
        )
    except Exception as error:  # whatever a flatbuffer read out of bounds is
        raise ValueError("These bytes are no .tflite file.") from error
    main = model.subgraphs[0]
    types = _names(schema.TensorType)
    return FileFacts(
        ops,
        tuple(_tensor_facts(main.tensors[i], types) for i in main.inputs),
        tuple(_tensor_facts(main.tensors[i], types) for i in main.outputs),
        sum(
            _touches_float(graph, op, schema)
            for graph in model.subgraphs
            for op in graph.operators
        ),
    )


def refuse_foreign_ops(data: bytes) -> None:
    """Lets only files pass that every runtime can run.

    Args:
        data: the file's bytes.

    Raises:
        ValueError: for custom (Flex) or variable operations, or sides that
            are not fixed.
    """
    facts = inspect(data)
    foreign = sorted(
        op for op in facts.op_counts if ":" in op or op in VARIABLE_OPS
    )
    if foreign:
        raise ValueError(
            "Expected builtin operations without variables only. Received: "
            f"{', '.join(foreign)}. Replace the layers they come from, and "
            "convert with training=False."
        )
    for tensor in (*facts.inputs, *facts.outputs):
        if tensor.shape != tensor.signature or min(tensor.shape) < 1:
            raise ValueError(
                f"Expected a fixed shape. Received: {tensor.name} with "
                f"{tensor.signature}. Convert at a fixed size, with batch 1."
            )


def _names(enum):
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


def _op_name(model, op, schema):
    code = model.operatorCodes[op.opcodeIndex]
    # Codes above 127 did not fit the first version's field.
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return f"CUSTOM:{code.customCode.decode()}"
    return _names(schema.BuiltinOperator).get(builtin, f"UNKNOWN:{builtin}")


def _tensor_facts(tensor, types):
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
        types[tensor.type].lower(),
        shape,
        signature,
        scale,
        zero_point,
    )


def _touches_float(graph, op, schema):
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    tensors = [i for i in (*op.inputs, *op.outputs) if i >= 0]
    return any(graph.tensors[i].type in floats for i in tensors)
