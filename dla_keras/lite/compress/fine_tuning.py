"""Trains a network in legacy Keras for a while, stage by stage.

A stage of `METHODS` puts a Keras 3 model into legacy Keras, trains it there
and brings the weights back: so stages follow each other, and what comes out
is a model like any other. The gradient is that of the mean loss over all
valid pixels of the global batch, on any number of replicas, as in
`dla_keras/engine/steps.py`.
"""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dla_keras.choices import check_number
from dla_keras.lite.compress.fake_quantization import Rounding
from dla_keras.lite.compress.fake_quantization import kernel_of
from dla_keras.lite.compress.fake_quantization import measure_ranges
from dla_keras.lite.compress.fake_quantization import round_pixels
from dla_keras.lite.compress.fake_quantization import wrap_layer
from dla_keras.lite.compress.kernels import MIN_WEIGHTS
from dla_keras.lite.compress.kernels import FreeKernel
from dla_keras.lite.compress.kernels import SparseKernel
from dla_keras.lite.compress.kernels import TiedKernel
from dla_keras.lite.compress.legacy import LegacyModel
from dla_keras.lite.compress.legacy import from_legacy
from dla_keras.lite.compress.legacy import legacy_keras
from dla_keras.lite.compress.legacy import to_legacy
from dla_keras.lite.options import METHODS
from dla_keras.lite.options import Stage

SUM = tf.distribute.ReduceOp.SUM
# The share of a pruning in which weights become zero, and in how many steps;
# the rest is for the others to make up for it.
PRUNING_SHARE = 0.6
PRUNINGS = 20

# What a large kernel is -> (variable, clusters) -> one of `kernels.py`.
KERNELS = {
    "free": lambda variable, clusters: FreeKernel(variable),
    "sparse": lambda variable, clusters: SparseKernel(variable),
    "tied": TiedKernel,
}


@dataclass(frozen=True)
class FineTuning:
    """How a stage trains: Adam, its rate going down to zero as a cosine.

    Args:
        steps: Number of steps.
        learning_rate: Learning rate at the start.
        sparsity: Share of each large kernel's weights that a stage that
            prunes makes zero. Defaults to `0.5`.
        clusters: Numbers that a kernel has left, in a stage that ties them.
            Defaults to `32`.

    Raises:
        ValueError: If a value cannot be.
    """

    steps: int
    learning_rate: float
    sparsity: float = 0.5
    clusters: int = 32

    def __post_init__(self):
        for name, value in vars(self).items():
            check_number(name, value)

    def sparsity_at(self, step: int) -> float | None:
        """Return what is zero from a step on; `None` if that is no news.

        Fast first and slow later, "To prune, or not to prune"
        (arXiv:1710.01878), equation 1.

        Args:
            step: Number of the step, from 0.

        Example:

        >>> plan = FineTuning(steps=100, learning_rate=1e-4, sparsity=0.8)
        >>> plan.sparsity_at(1), plan.sparsity_at(60), plan.sparsity_at(61)
        (None, 0.8, None)
        """
        span = max(1, round(PRUNING_SHARE * self.steps))
        every = max(1, span // PRUNINGS)
        if step > span or (step % every and step != span):
            return None
        left = 1 - step / span
        return self.sparsity * (1 - left**3)


@dataclass(frozen=True)
class Surroundings:
    """Data, loss and strategy of every stage of a method.

    Args:
        make_batches: Function from `steps` to as many global batches for the
            replicas.
        loss_sums: Function from `(labels, outputs)` to the loss sum and the
            weight it stands on.
        calibration: Pictures that ranges are taken on, uint8 `(h, w, 3)`, of
            one size.
        renew: Function that gives a model's batch norms the statistics of
            its weights, after a stage that does not round. Defaults to
            leaving them as the stage did.
        strategy: Strategy to train with. Defaults to TensorFlow's own.
    """

    make_batches: Callable
    loss_sums: Callable
    calibration: Sequence[np.ndarray]
    renew: Callable = lambda model: None
    strategy: tf.distribute.Strategy = dataclasses.field(
        default_factory=tf.distribute.get_strategy
    )


@dataclass(frozen=True)
class StagedModel:
    """A network that is ready for a stage, and its special kernels.

    Args:
        stage: Stage to train.
        legacy: Network to train.
        kernels: Name of a layer -> its kernel, one of `kernels.py`.
    """

    stage: Stage
    legacy: LegacyModel
    kernels: dict[str, FreeKernel]

    def prune(self, sparsity: float) -> None:
        """Make at least this share of each large kernel zero."""
        for kernel in self.kernels.values():
            if isinstance(kernel, SparseKernel):
                kernel.prune(sparsity)

    def copy_to(self, model: keras.Model) -> None:
        """Give a Keras 3 model the weights as they are now."""
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
    """Put a model into legacy Keras as a stage needs it.

    Args:
        model: `DLASegmenter`.
        stage: Stage of a row of `METHODS`.
        clusters: Numbers that a tied kernel may have. Defaults to `0`.
        ranges: Ranges of `measure_ranges`, for a stage that rounds. Defaults
            to `None`.
        synchronized: See `to_legacy`. Defaults to `False`.
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
    """Return the network in 8 bits that a method trained, to be converted.

    Args:
        model: Model with the weights that it left.
        method: Name of a row of `METHODS` that rounds.
        ranges: Ranges that `apply_method` gave.
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


def apply_method(
    model: keras.Model,
    method: str,
    plan: FineTuning,
    around: Surroundings,
    finished: dict[tuple, list] | None = None,
) -> dict[str, tuple[float, float]] | None:
    """Take a model through all stages of a method.

    Args:
        model: Model whose weights change.
        method: Name of a row of `METHODS`.
        plan: Plan of each stage.
        around: Data, loss and strategy.
        finished: Stages without rounding -> weights that they left. Those
            that another method has begun with, from the same weights, are
            not trained again. Defaults to `None`.

    Returns:
        The ranges of the 8-bit tensors, of which `rounded_network` makes the
        network that was trained; `None` for a method that does not round.

    Raises:
        ValueError: If the loss is not finite, or the method cannot treat a
            layer.
    """
    ranges = None
    stages = METHODS[method]
    finished = {} if finished is None else finished
    for number, stage in enumerate(stages, start=1):
        so_far = stages[:number]
        if so_far in finished:
            model.set_weights(finished[so_far])
            continue
        if stage.rounded:
            ranges = measure_ranges(
                to_legacy(model, input_shape=(None, None, 3)),
                around.calibration,
            )
        with around.strategy.scope():
            replicas = around.strategy.num_replicas_in_sync
            staged = set_stage(
                model, stage, plan.clusters, ranges, replicas > 1
            )
        fine_tune(staged, plan, around, f"{method} {number}/{len(stages)}")
        staged.copy_to(model)
        if not stage.rounded:
            around.renew(model)
            finished[so_far] = model.get_weights()
    return ranges


def fine_tune(
    staged: StagedModel,
    plan: FineTuning,
    around: Surroundings,
    label: str = "",
) -> list[float]:
    """Train a network that `set_stage` prepared.

    Args:
        staged: Network, made in the strategy's scope.
        plan: Steps and rates.
        around: Data, loss and strategy.
        label: Text of the progress bar. Defaults to `""`.

    Returns:
        The loss before each step.

    Raises:
        ValueError: If the loss is not finite.
    """
    with around.strategy.scope():
        train_step = _make_train_step(staged, plan, around)
    batches, losses = iter(around.make_batches(plan.steps)), []
    with tqdm(range(plan.steps), label, unit="step", mininterval=1) as bar:
        for step in bar:
            sparsity = plan.sparsity_at(step) if staged.stage.prunes else None
            if sparsity is not None:
                staged.prune(sparsity)
            losses.append(float(train_step(next(batches))))
            _check(losses[-1], step, plan, label)
            mean = np.mean(losses[-10:])
            bar.set_postfix(refresh=False, loss=f"{mean:.3f}")
    # The last loss may be fine, and the step behind it not.
    norm = tf.linalg.global_norm(staged.legacy.network.trainable_variables)
    _check(float(norm), plan.steps, plan, label, "norm of the weights")
    return losses


def _check(value, step, plan, label, name="loss"):
    if not math.isfinite(value):
        raise ValueError(
            f"The {name} is {value} after {step} of {plan.steps} steps of "
            f"{label or 'fine-tuning'}. Pass a smaller --learning-rate than "
            f"{plan.learning_rate}."
        )


def _make_train_step(staged, plan, around):
    network = staged.legacy.network
    # 8-bit networks train with the statistics and ranges they will have: on
    # CamVid, DLA-46-C in 8 bits came to 0.411 mIoU so, and to 0.405 with those
    # of the batch. A pruned one needs new ones: 0.395 against 0.339.
    training = not staged.stage.rounded
    optimizers = legacy_keras().optimizers
    rate = optimizers.schedules.CosineDecay(plan.learning_rate, plan.steps)
    optimizer = optimizers.Adam(rate)
    optimizer.build(network.trainable_variables)

    def replica_step(images, labels):
        with tf.GradientTape() as tape:
            outputs = network(images, training=training)
            loss, weight = around.loss_sums(labels, outputs)
        context = tf.distribute.get_replica_context()
        # A batch without a valid pixel has nothing to divide by.
        weight = tf.maximum(context.all_reduce(SUM, weight), 1e-6)
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        # A kernel whose numbers are tied, or which is frozen, has none.
        pairs = [
            (gradient / weight, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
            if gradient is not None
        ]
        optimizer.apply_gradients(pairs)  # summed over the replicas
        return loss / weight

    @tf.function(autograph=False)
    def train_step(batch):
        shares = around.strategy.run(replica_step, args=batch)
        return around.strategy.reduce(SUM, shares, axis=None)

    return train_step
