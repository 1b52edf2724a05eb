"""What is changed in a converted file: requantizations and the stem.

Two edits of a `TfliteFile`, between quantization and description.

`add_zeros`: where an int8 tensor needs another scale, the converter writes
QUANTIZE, whose ties fall to one side in LiteRT's XNNPACK and to the other in
MediaPipe's: one in DLA-34-Up changed 0.8 % of a mask. Adding zero gives the
same numbers, and additions of both round alike.

`pack_stem`: kernels read the channels of one pixel at a time, in int8 four on
ARM, eight or more on x86; a picture has three. Pixels of a block side by side
become channels (SPACE_TO_DEPTH), the convolution goes over blocks, and its
output's channels become pixels again (DEPTH_TO_SPACE): the same sums, to the
bit in int8, of twice the products. On x86 that takes a fraction of the time;
ARM, which wasted little, would lose.
"""

import functools

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dla_keras.lite.file.tflite_file import TfliteFile

# How far two scales may be apart for XNNPACK's addition.
RATIOS = (2.0**-10, 2.0**8)
BLOCK = 2  # pixels a side
# type of the numbers -> of weights and of biases, and the version of both
# operations between channels and pixels
NUMBERS = {
    schema.TensorType.FLOAT32: (np.float32, np.float32, 1),
    schema.TensorType.INT8: (np.int8, np.int32, 2),
}


def add_zeros(file: TfliteFile) -> None:
    """Put additions of zero where a file quantizes int8 anew.

    The outputs stay the same but for roundings.
    """
    for place, operator in enumerate(file.operators):
        if file.name_of(operator) != "QUANTIZE" or not _is_inside(
            file, operator
        ):
            continue
        source, target = _ends(operator)
        zero = file.tensors[target].quantization.zeroPoint[:1]
        inputs = source, file.add_constant(target, "zero", np.int8(zero))
        file.operators[place] = file.make_operator("ADD", 2, inputs, [target])


def _is_inside(file, operator):
    before, after = (file.tensors[index] for index in _ends(operator))
    if not before.type == after.type == schema.TensorType.INT8:
        return False  # the picture comes in, or the mask goes out
    ratio = before.quantization.scale[0] / after.quantization.scale[0]
    return RATIOS[0] <= ratio < RATIOS[1]


def _ends(operator):
    (source,), (target,) = operator.inputs, operator.outputs
    return source, target


def scores_of_mask(data: bytes) -> bytes | None:
    """Return a file that gives the scores which another takes its mask of.

    Args:
        data: Bytes of the other file.

    Returns:
        Bytes, or `None` where no scores are found.
    """
    file = TfliteFile(data)
    return file.pack() if file.give_scores() else None


def pack_stem(file: TfliteFile, block: int = BLOCK) -> None:
    """Rewrite a file's first convolution over blocks of pixels.

    A file whose first convolution is strided, or not in float32 or int8
    throughout, stays as it is.

    Args:
        file: File to change.
        block: Pixels that become channels, a side. Defaults to `2`.
    """
    names = map(file.name_of, file.operators)
    index = next((i for i, n in enumerate(names) if n == "CONV_2D"), None)
    if index is None or not _fits(file, file.operators[index], block):
        return
    convolution = file.operators[index]
    picture, kernel, bias = convolution.inputs
    (features,) = convolution.outputs

    of_weights, of_biases, version = NUMBERS[file.tensors[picture].type]
    weights = packed_kernel(file.values(kernel, of_weights), block)
    biases = np.tile(file.values(bias, of_biases), block**2)
    blocks = _in_blocks(file, picture, block)
    scores = _in_blocks(file, features, block)
    convolution.inputs = [
        blocks,
        file.add_constant(kernel, "packed", weights),
        file.add_constant(bias, "packed", biases),
    ]
    convolution.outputs = [scores]
    rearrange = functools.partial(
        file.make_operator, version=version, blockSize=block
    )
    file.operators[index : index + 1] = [
        rearrange("SPACE_TO_DEPTH", inputs=[picture], outputs=[blocks]),
        convolution,
        rearrange("DEPTH_TO_SPACE", inputs=[scores], outputs=[features]),
    ]


def packed_kernel(weights: np.ndarray, block: int) -> np.ndarray:
    """Return the kernel of a convolution over blocks of pixels.

    Args:
        weights: Kernel `(filters, height, width, channels)`, odd sides.
        block: Pixels of a block, a side.

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


def _fits(file, convolution, block):
    options = convolution.builtinOptions
    picture, kernel, *_ = (file.tensors[i] for i in convolution.inputs)
    strides = {options.strideH, options.strideW}
    dilations = {options.dilationHFactor, options.dilationWFactor}
    return (
        len(convolution.inputs) == 3
        and picture.type == kernel.type
        and kernel.type in NUMBERS
        and file.is_constant(convolution.inputs[1])
        and picture.shape[3] < block**2
        and strides == dilations == {1}
        and options.padding == schema.Padding.SAME
        and not any(side % block for side in picture.shape[1:3])
    )


def _in_blocks(file, index, block):
    """Add a tensor like that of `index`, with blocks in place of pixels."""
    batch, height, width, channels = map(int, file.tensors[index].shape)
    shape = batch, height // block, width // block, channels * block**2
    return file.add_tensor(index, "blocks", shape)
