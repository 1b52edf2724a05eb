"""What a kernel may be while it trains, and what can be counted in it.

`fine_tuning.py` chooses one kind for each convolution, `fake_quantization.py`
puts it into tensorflow-model-optimization's wrapper. The counts tell what
pruning and clustering have left, in a model and in a file's 8-bit numbers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from dla_keras.lite.file.tflite_file import TfliteFile

LLOYD_STEPS = 50
# A kernel of fewer weights is not compressed: the first layers and the head
# feel it most, and are a hundredth of the network.
MIN_WEIGHTS = 4096


class FreeKernel:
    """A kernel that trains freely: nothing is pruned or clustered.

    Args:
        variable: Variable that holds the kernel.
        trainable: Whether training moves it. Defaults to `True`.
    """

    # Whether each output channel may be rounded in steps of its own.
    channels_apart = True

    def __init__(self, variable, trainable: bool = True):
        self.variable = variable
        self.trainable = trainable

    def build(self, shape, layer) -> dict:
        """Add what it needs to the wrapper `layer`."""
        return {}

    def __call__(self, kernel):
        return kernel if self.trainable else tf.stop_gradient(kernel)

    def value(self) -> np.ndarray:
        """Return the kernel that convolves now."""
        return self.variable.numpy()


class SparseKernel(FreeKernel):
    """A pruned kernel: masked weights are zero, at first those that are so.

    Args:
        variable: Variable that holds the kernel.
    """

    def build(self, shape, layer):
        start = (self.variable.numpy() != 0).astype(np.float32)
        self.mask = _add_weight(layer, "mask", start, trainable=False)
        return {}

    def __call__(self, kernel):
        return kernel * self.mask

    def prune(self, sparsity: float) -> None:
        """Mask the smallest weights: at least this share of all."""
        sizes = np.abs(self.variable.numpy()).ravel()
        count = math.ceil(sparsity * sizes.size)
        mask = np.ones(sizes.shape, np.float32)
        if count:
            mask[np.argpartition(sizes, count - 1)[:count]] = 0
        self.mask.assign(mask.reshape(self.variable.shape))

    def value(self):
        return self.variable.numpy() * self.mask.numpy()


class TiedKernel(FreeKernel):
    """A clustered kernel: centroids train, which weight has which one stays.

    Where the kernel has zeros, zero is one of the centroids, and stays zero.

    Args:
        variable: Variable that holds the kernel.
        clusters: Number of centroids, at most.
    """

    # In steps of its own, each channel would have other numbers.
    channels_apart = False

    def __init__(self, variable, clusters: int):
        super().__init__(variable)
        kernel = variable.numpy()
        self.start, self.places = cluster(kernel, clusters)
        sparse = (kernel == 0).any()
        self.moving = ((self.start != 0) | (not sparse)).astype(np.float32)

    def build(self, shape, layer):
        self.numbers = _add_weight(layer, "numbers", self.start)
        return {}

    def __call__(self, kernel):
        return tf.gather(self.numbers * self.moving, self.places)

    def value(self):
        return (self.numbers.numpy() * self.moving)[self.places]


def _add_weight(layer, name, start, trainable=True):
    return layer.add_weight(
        name,
        start.shape,
        initializer=lambda shape, dtype: tf.constant(start, dtype),
        trainable=trainable,
    )


def cluster(kernel: np.ndarray, clusters: int):
    """Find few numbers for a kernel's weights, by Lloyd's algorithm.

    They start evenly spaced, which keeps the few large weights apart that
    matter most (Deep Compression, arXiv:1510.00149, section 3.2).

    Args:
        kernel: Array of any shape. Zeros, where there are some, get a number
            of their own.
        clusters: Number of centroids, at most.

    Returns:
        The numbers, `(n,)`, and the place of each weight's among them, of
        the kernel's shape.

    Raises:
        ValueError: If there are less than two clusters.

    Example:

    >>> numbers, places = cluster(np.array([-3.0, 0.0, 1.0, 1.2]), clusters=3)
    >>> numbers.tolist(), places.tolist()
    ([-3.0, 0.0, 1.1], [0, 1, 2, 2])
    """
    if clusters < 2:
        raise ValueError(
            f"A kernel needs at least two numbers. Received: {clusters}."
        )
    numbers = np.unique(kernel)
    if len(numbers) > clusters:
        nonzero = kernel[kernel != 0]
        sparse = nonzero.size < kernel.size
        numbers = _lloyd(np.sort(nonzero, None), clusters - sparse)
        if sparse:
            numbers = np.sort(np.append(numbers, kernel.dtype.type(0)))
    places = _nearest(numbers, kernel)
    if (kernel == 0).any():
        # Only zeros themselves, or the kernel would become sparser.
        zero = np.searchsorted(numbers, 0)
        others = np.delete(numbers, zero)
        apart = _nearest(others, kernel)
        apart += apart >= zero
        places = np.where(kernel == 0, zero, apart)
    return numbers, places.astype(np.int32)


def _lloyd(ordered, count):
    """Return `count` numbers near `ordered` ones, in order."""
    sums = np.concatenate([[0], np.cumsum(ordered, dtype=np.float64)])
    numbers = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(LLOYD_STEPS):
        # In one dimension a cluster is what lies between two borders.
        borders = np.searchsorted(ordered, (numbers[1:] + numbers[:-1]) / 2)
        ends = np.concatenate([[0], borders, [len(ordered)]])
        sizes = np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(sizes, 1)
        numbers = np.where(sizes > 0, means, numbers)
    return np.unique(numbers.astype(ordered.dtype))


def _nearest(numbers, kernel):
    return np.searchsorted((numbers[1:] + numbers[:-1]) / 2, kernel)


@dataclass(frozen=True)
class KernelFacts:
    """How sparse and how repetitive the convolutions of a network are.

    Args:
        zeros: Share of their weights that are zero.
        least_zeros: Share of zeros in the kernel that has the fewest, among
            those of `MIN_WEIGHTS` and more.
        numbers: Most different numbers that one of those has.
    """

    zeros: float
    least_zeros: float
    numbers: int


def kernel_facts(kernels: Iterable[np.ndarray]) -> KernelFacts:
    """Count zeros and different numbers in kernels.

    Args:
        kernels: Arrays of any shape.

    Raises:
        ValueError: If none is large.

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
    """Return the kernels of a Keras model's convolutions, but depthwise."""
    return [
        layer.kernel.numpy()
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
    ]


def file_kernels(data: bytes) -> list[np.ndarray]:
    """Return the kernels of a `.tflite` file, in the numbers that it stores.

    Args:
        data: Bytes of a file whose kernels are int8.
    """
    file = TfliteFile(data)
    return [
        file.values(int(operator.inputs[1]), np.int8)
        for operator in file.operators
        if file.name_of(operator) == "CONV_2D"
    ]
