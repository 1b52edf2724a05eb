"""Which method makes a network smaller how: stages of fine-tuning, in a table.

Read by the command's flags, before TensorFlow is imported.
"""

from dataclasses import dataclass


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
        """Whether more and more weights become zero."""
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
