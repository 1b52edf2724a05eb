"""How the numbers of a `.tflite` file are kept: one row for each way."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Precision:
    """How numbers are kept in a file.

    Args:
        min_agreement: least share of pixels that must keep their class on
            held-out pictures, for the file to be written.
        optimize: whether weights are kept smaller than float32. Defaults to
            `True`.
        calibrated: whether activations are whole numbers too, whose ranges
            are taken on pictures. Defaults to `False`.
        types: of the weights, other than int8. Defaults to `()`.
        ops: sets of operations, other than the builtin ones. Defaults to
            `()`.
    """

    min_agreement: float
    optimize: bool = True
    calibrated: bool = False
    types: tuple = ()
    ops: tuple = ()


# A network trained for few minutes only is unsure of many pixels, and rounding
# decides those: DLA-34-Up after 450 steps of toy_streets agreed at 0.93 in
# int8.
PRECISIONS = {
    "float32": Precision(0.999, optimize=False),
    "float16": Precision(0.995, types=(tf.float16,)),
    "dynamic": Precision(0.9),
    "int8": Precision(0.9, calibrated=True),
    "int16x8": Precision(
        0.98,
        calibrated=True,
        ops=(
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,  # ARG_MAX has no 16 bits
        ),
    ),
}
