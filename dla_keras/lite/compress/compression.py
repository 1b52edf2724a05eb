"""Which method makes a network smaller how: stages of fine-tuning, in a table.

A stage puts a Keras 3 model into legacy Keras, trains it there
(`fine_tuning.py`) and brings the weights back: so stages follow each other,
and what comes out is a model like any other.
"""

from dataclasses import dataclass

import keras

from dla_keras.lite.compress.fake_quantization import Rounding
from dla_keras.lite.compress.fake_quantization import kernel_of
from dla_keras.lite.compress.fake_quantization import round_pixels
from dla_keras.lite.compress.fake_quantization import wrap_layer
from dla_keras.lite.compress.kernel_facts import MIN_WEIGHTS
from dla_keras.lite.compress.kernels import FreeKernel
from dla_keras.lite.compress.kernels import SparseKernel
from dla_keras.lite.compress.kernels import TiedKernel
from dla_keras.lite.compress.legacy import LegacyModel
from dla_keras.lite.compress.legacy import from_legacy
from dla_keras.lite.compress.legacy import to_legacy
from dla_keras.lite.compress.methods import METHODS
from dla_keras.lite.compress.methods import Stage

# What a large kernel is -> (variable, clusters) -> one of `kernels.py`.
KERNELS = {
    "free": lambda variable, clusters: FreeKernel(variable),
    "sparse": lambda variable, clusters: SparseKernel(variable),
    "tied": TiedKernel,
}


@dataclass(frozen=True)
class StagedModel:
    """A network that is ready for a stage, and what is special of it.

    Args:
        stage: which one.
        legacy: the network to train.
        kernels: name of a layer -> its kernel, one of `kernels.py`.
    """

    stage: Stage
    legacy: LegacyModel
    kernels: dict[str, FreeKernel]

    def prune(self, sparsity: float) -> None:
        """Makes at least this share of each large kernel zero."""
        for kernel in self.kernels.values():
            if isinstance(kernel, SparseKernel):
                kernel.prune(sparsity)

    def copy_to(self, model: keras.Model) -> None:
        """Gives a Keras 3 model the weights as they are now."""
        weights = {
            name: [variable.numpy() for variable in variables]
            for name, variables in self.legacy.weights.items()
        }
        for name, kernel in self.kernels.items():
            if weights[name]:  # a layer of ours alone has none
                weights[name][0] = kernel.value()
        from_legacy(weights, model)


def set_stage(
    model: keras.Model,
    stage: Stage,
    clusters: int = 0,
    ranges: dict[str, tuple[float, float]] | None = None,
    synchronized: bool = False,
) -> StagedModel:
    """Puts a model into legacy Keras as a stage needs it.

    Args:
        model: a `DLASegmenter`.
        stage: of a row of `METHODS`.
        clusters: numbers that a tied kernel may have. Defaults to `0`.
        ranges: what `measure_ranges` gave, for a stage that rounds. Defaults
            to `None`.
        synchronized: see `to_legacy`. Defaults to `False`.
    """
    kernels = {}

    def wrap(layer, original):
        kernel = _choose_kernel(layer, stage, clusters)
        ends = (ranges or {}).get(layer.name)
        if kernel is None and ends is None:
            return layer
        rounding = Rounding(layer, kernel, ends, stage.rounded)
        if kernel is not None:
            kernels[layer.name] = kernel
        wrapped = wrap_layer(layer, rounding)
        if stage.rounded and isinstance(original, keras.layers.Rescaling):
            return lambda images: wrapped(round_pixels(images))
        return wrapped

    legacy = to_legacy(model, wrap, synchronized, (None, None, 3))
    return StagedModel(stage, legacy, kernels)


def rounded_network(
    model: keras.Model, method: str, ranges: dict[str, tuple[float, float]]
) -> LegacyModel:
    """The network in 8 bits that a method has trained, to be converted.

    Args:
        model: with the weights that it left.
        method: of `METHODS`, one that rounds.
        ranges: what `apply_method` gave.
    """
    # Kernels that are tied have their few numbers by now.
    return set_stage(model, METHODS[method][-1], 255, ranges).legacy


def _choose_kernel(layer, stage, clusters):
    variable = kernel_of(layer)
    if variable is None:
        return None
    size = variable.shape.num_elements()
    if type(layer).__name__ == "Conv2D" and size >= MIN_WEIGHTS:
        return KERNELS[stage.kernel](variable, clusters)
    return FreeKernel(variable, layer.trainable) if stage.rounded else None
