"""How sparse and how repetitive kernels are, in a model and in a file.

Reads only: what pruning and clustering promise is counted here, in the file's
own 8-bit numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np

from dla_keras.lite.file.tflite_file import TfliteFile

# A kernel of fewer weights is not compressed: the first layers and the head
# feel it most, and are a hundredth of the network.
MIN_WEIGHTS = 4096


@dataclass(frozen=True)
class KernelFacts:
    """What there is to say about all convolutions of a network.

    Args:
        zeros: share of their weights that are zero.
        least_zeros: that of the kernel which has the fewest, among those of
            `MIN_WEIGHTS` and more.
        numbers: how many numbers one of those has, at most.
    """

    zeros: float
    least_zeros: float
    numbers: int


def kernel_facts(kernels: Iterable[np.ndarray]) -> KernelFacts:
    """Counts in kernels.

    Args:
        kernels: arrays of any shape.

    Raises:
        ValueError: if none is large.

    Example:

    >>> kernel_facts([np.arange(4096) // 2048, np.ones(4096)])
    KernelFacts(zeros=0.25, least_zeros=0.0, numbers=2)
    """
    kernels = list(kernels)
    large = [kernel for kernel in kernels if kernel.size >= MIN_WEIGHTS]
    if not large:
        raise ValueError(
            f"Expected a convolution of {MIN_WEIGHTS} weights or more. "
            f"Received: {len(kernels)} smaller ones."
        )
    zeros = sum(int(np.sum(kernel == 0)) for kernel in kernels)
    return KernelFacts(
        zeros / sum(kernel.size for kernel in kernels),
        min(float(np.mean(kernel == 0)) for kernel in large),
        max(len(np.unique(kernel)) for kernel in large),
    )


def model_kernels(model) -> list[np.ndarray]:
    """The kernels of a Keras model's convolutions, depthwise ones apart."""
    return [
        layer.kernel.numpy()
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    ]


def file_kernels(data: bytes) -> list[np.ndarray]:
    """The same of a `.tflite` file, in the numbers that it stores.

    Args:
        data: the bytes of a file whose kernels are int8.
    """
    file = TfliteFile(data)
    return [
        file.values(int(operator.inputs[1]), np.int8)
        for operator in file.operators
        if file.name_of(operator) == "CONV_2D"
    ]
