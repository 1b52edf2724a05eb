"""Requantisations that come out the same on every runtime.

Where an int8 tensor needs another scale, the converter writes QUANTIZE, whose
ties fall to one side in LiteRT's XNNPACK and to the other in MediaPipe's: one
in DLA-34-Up changed 0.8 % of a mask. Adding zero gives the same numbers,
and additions of both round alike.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dla_keras.lite.file.rewriting import Rewriting

# How far two scales may be apart for XNNPACK's addition.
RATIOS = (2.0**-10, 2.0**8)


def add_zeros(data: bytes) -> bytes:
    """Puts additions of zero where a file quantises int8 anew.

    Args:
        data: the file's bytes.

    Returns:
        A file with the same outputs but for roundings; `data` itself if there
        is no such place.
    """
    file = Rewriting(data)
    places = [
        place
        for place, operator in enumerate(file.operators)
        if file.is_a(operator, "QUANTIZE") and _is_inside(file, operator)
    ]
    for place in places:
        source, target = _ends(file.operators[place])
        zero = file.tensors[target].quantization.zeroPoint[:1]
        inputs = source, file.add_constant(target, "zero", np.int8(zero))
        file.operators[place] = file.make_operator("ADD", 2, inputs, [target])
    return file.to_bytes() if places else data


def _is_inside(file, operator):
    before, after = (file.tensors[index] for index in _ends(operator))
    if not before.type == after.type == schema.TensorType.INT8:
        return False  # the picture comes in, or the mask goes out
    ratio = before.quantization.scale[0] / after.quantization.scale[0]
    return RATIOS[0] <= ratio < RATIOS[1]


def _ends(operator):
    (source,), (target,) = operator.inputs, operator.outputs
    return source, target
