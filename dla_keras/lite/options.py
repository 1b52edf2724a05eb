"""What an export may be asked for: precisions, heads, processors, methods.

Commands name these rows before TensorFlow is imported, so its types and sets of
operations stand here by name.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """Way to keep the numbers of a file.

    Args:
        min_agreement: Least share of pixels that must keep their class on
            held-out pictures, for the file to be written.
        max_noise: Largest root mean square of what its scores differ by, over
            their standard deviation in the Keras model; 1 for scores that are
            the same everywhere.
        optimize: Whether weights are kept smaller than float32. Defaults to
            `True`.
        calibrated: Whether activations are whole numbers too, whose ranges
            are taken on pictures. Defaults to `False`.
        types: Types of the weights, names in `tf`. Defaults to `()`: int8
            with `optimize`, float32 without.
        ops: Names in `tf.lite.OpsSet`; the builtin operations where empty.
            Defaults to `()`.
    """

    min_agreement: float
    max_noise: float
    optimize: bool = True
    calibrated: bool = False
    types: tuple = ()
    ops: tuple = ()


# Head of a file -> the task that has it, whose first one is the default. Files
# of other tasks have one output each.
HEADS = {
    "mask": "segmentation",
    "logits": "segmentation",
    "coarse_logits": "segmentation",
    "boxes": "detection",
    "heads": "detection",
}
TARGETS = ("arm", "x86")  # processors that a file may be tuned for
READERS = ("any", "mediapipe")  # who brings pictures to a file and reads it

# A network trained for few minutes only is unsure of many pixels, and rounding
# decides those: DLA-34-Up after 450 steps of toy_streets agreed at 0.93 in
# int8.
# Noise was measured on seven networks, from untrained to solved, of each task:
# 2e-6 to 1.1e-4 in float32 (sums in another order), 0.0015 to 0.07 in float16,
# 0.04 to 0.3 with int8 weights and 0.08 to 0.3 in int8 where the classes agree.
# The largest is a classifier's after 40 steps.
PRECISIONS = {
    "float32": Precision(0.999, 1e-3, optimize=False),
    "float16": Precision(0.995, 0.2, types=("float16",)),
    "dynamic": Precision(0.9, 0.5),
    "int8": Precision(0.9, 0.5, calibrated=True),
    "int16x8": Precision(
        0.98,
        0.5,
        calibrated=True,
        ops=(
            "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
            "TFLITE_BUILTINS",  # ARG_MAX has no 16 bits
        ),
    ),
}


@dataclass(frozen=True)
class Stage:
    """One fine-tuning.

    Args:
        kernel: Kind of the large kernels, a name of `fine_tuning.KERNELS`.
        rounded: Whether kernels and activations are rounded to 8 bits.
            Defaults to `False`.
    """

    kernel: str
    rounded: bool = False

    @property
    def prunes(self) -> bool:
        """Return whether more and more weights become zero."""
        return self.kernel == "sparse" and not self.rounded


# The last three are what tensorflow-model-optimization calls collaborative:
# PQAT, CQAT and PCQAT. Its own (0.8.1) keep few numbers in a channel, not in a
# kernel, since each channel is rounded in steps of its own; and they look for
# every weight's nearest number in every step, in as much memory as there are
# weights times numbers.
METHODS = {
    "qat": (Stage("free", rounded=True),),
    "prune": (Stage("sparse"),),
    "cluster": (Stage("tied"),),
    "prune_qat": (Stage("sparse"), Stage("sparse", rounded=True)),
    "cluster_qat": (Stage("tied"), Stage("tied", rounded=True)),
    "prune_cluster_qat": (
        Stage("sparse"),
        Stage("tied"),
        Stage("tied", rounded=True),
    ),
}

# Score that points are lost of, whichever a model has -> its name.
MAIN = {"miou": "mIoU", "top1": "top-1", "ap": "AP"}
STEPS = ("pre", "inference", "post", "total")  # that a picture's time goes to
