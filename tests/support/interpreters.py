"""`.tflite` files of a few operations, run on random numbers."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.interpreter import OpResolverType

KERNELS = (
    OpResolverType.AUTO,  # XNNPACK's
    OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
)


def run_at_random(data, kernels=KERNELS[0]):
    """Return a file's output for random whole numbers, all 256 for 8 bits."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    lowest = 0 if entry["dtype"] == np.uint8 else -128
    numbers = np.random.default_rng(1).integers(
        lowest, lowest + 256, entry["shape"]
    )
    interpreter.set_tensor(entry["index"], numbers.astype(entry["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
