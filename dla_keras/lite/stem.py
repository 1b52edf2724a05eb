"""The first convolution of a `.tflite` file, in channels that fill a register.

Kernels read the channels of one pixel at a time: in int8 four on ARM, eight
or more on x86. A picture has three. Pixels of a block side by side become
channels (SPACE_TO_DEPTH), the convolution goes over blocks, and its output's
channels become pixels again (DEPTH_TO_SPACE): the same sums, to the bit in
int8, of twice the products. On x86 that takes a fraction of the time; ARM,
which wasted little, would lose.
"""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

BLOCK = 2  # pixels a side
# type of the numbers -> of weights and of biases, and the version of both
# operations between channels and pixels
NUMBERS = {
    schema.TensorType.FLOAT32: (np.float32, np.float32, 1),
    schema.TensorType.INT8: (np.int8, np.int32, 2),
}


def pack_stem(data: bytes, block: int = BLOCK) -> bytes:
    """Rewrites a file's first convolution over blocks of pixels.

    Args:
        data: the file's bytes.
        block: pixels that become channels, a side. Defaults to `2`.

    Returns:
        A file with the same outputs; `data` itself where its first
        convolution is strided, or not in float32 or int8 throughout.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    graph = model.subgraphs[0]
    index = _first_convolution(model, graph)
    if index is None or not _fits(model, graph, graph.operators[index], block):
        return data
    convolution = graph.operators[index]
    picture, kernel, bias = convolution.inputs
    (features,) = convolution.outputs

    of_weights, of_biases, version = NUMBERS[graph.tensors[picture].type]
    weights = _values(model, graph.tensors[kernel], of_weights)
    biases = _values(model, graph.tensors[bias], of_biases)
    blocks = _in_blocks(graph, picture, block)
    scores = _in_blocks(graph, features, block)
    convolution.inputs = [
        blocks,
        _constant(model, graph, kernel, packed_kernel(weights, block)),
        _constant(model, graph, bias, np.tile(biases, block**2)),
    ]
    convolution.outputs = [scores]
    graph.operators[index : index + 1] = [
        _rearrangement(model, "SPACE_TO_DEPTH", version, picture, blocks),
        convolution,
        _rearrangement(model, "DEPTH_TO_SPACE", version, scores, features),
    ]
    for rearrangement in (index, index + 2):
        graph.operators[rearrangement].builtinOptions.blockSize = block
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def packed_kernel(weights: np.ndarray, block: int) -> np.ndarray:
    """A convolution's kernel over blocks of pixels.

    Args:
        weights: `(filters, height, width, channels)`, odd sides.
        block: pixels of a block, a side.

    Returns:
        `(block * block * filters, rows, columns, block * block * channels)`.

    Example:

    >>> packed_kernel(np.ones((16, 7, 7, 3)), block=2).shape
    (64, 5, 5, 12)
    """
    filters, height, width, channels = weights.shape
    reach = [-(-(side // 2) // block) for side in (height, width)]
    rows, columns = (2 * side + 1 for side in reach)
    # Row and column of the output's pixel in its block, its filter; row and
    # column of the input's block, of its pixel in there, its channel.
    packed = np.zeros(
        (block, block, filters, rows, columns, block, block, channels),
        weights.dtype,
    )
    for row, column in np.ndindex(block, block):
        for y, x in np.ndindex(height, width):
            below, right = row + y - height // 2, column + x - width // 2
            packed[
                row,
                column,
                :,
                below // block + reach[0],
                right // block + reach[1],
                below % block,
                right % block,
            ] = weights[:, y, x]
    return packed.reshape(
        block * block * filters, rows, columns, block * block * channels
    )


def _first_convolution(model, graph):
    for index, operator in enumerate(graph.operators):
        if _builtin(model, operator) == schema.BuiltinOperator.CONV_2D:
            return index
    return None


def _builtin(model, operator):
    code = model.operatorCodes[operator.opcodeIndex]
    # Codes above 127 did not fit the first version's field.
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _fits(model, graph, convolution, block):
    options = convolution.builtinOptions
    picture, kernel, *_ = (graph.tensors[i] for i in convolution.inputs)
    strides = {options.strideH, options.strideW}
    dilations = {options.dilationHFactor, options.dilationWFactor}
    return (
        len(convolution.inputs) == 3
        and picture.type == kernel.type
        and kernel.type in NUMBERS
        and model.buffers[kernel.buffer].data is not None
        and picture.shape[3] < block**2
        and strides == dilations == {1}
        and options.padding == schema.Padding.SAME
        and not any(side % block for side in picture.shape[1:3])
    )


def _values(model, tensor, dtype):
    content = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return content.view(dtype).reshape(tensor.shape)


def _in_blocks(graph, index, block):
    """A tensor like that of `index`, with blocks in place of pixels."""
    tensor = copy.copy(graph.tensors[index])
    batch, height, width, channels = map(int, tensor.shape)
    tensor.shape = np.int32(
        [batch, height // block, width // block, channels * block**2]
    )
    return _added(graph, tensor, "blocks")


def _constant(model, graph, index, values):
    """A constant like that of `index`, its scales repeated if need be."""
    tensor = copy.copy(graph.tensors[index])
    tensor.shape = np.int32(values.shape)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    tensor.quantization = copy.copy(tensor.quantization)
    for each in ("scale", "zeroPoint"):
        known = getattr(tensor.quantization, each, None)
        if known is not None and len(known) > 1:  # one for each filter
            times = len(values) // len(known)
            setattr(tensor.quantization, each, np.tile(known, times))
    return _added(graph, tensor, "packed")


def _added(graph, tensor, suffix):
    tensor.name = tensor.name + f"/{suffix}".encode()
    tensor.shapeSignature = None
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _rearrangement(model, name, version, source, target):
    """An operation between channels and pixels."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = code.builtinCode
    code.version = version
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [source], [target]
    kind = {
        "SPACE_TO_DEPTH": "SpaceToDepthOptions",
        "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    }[name]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    operator.builtinOptions = getattr(schema, f"{kind}T")()
    return operator
