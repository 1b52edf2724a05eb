"""Optimizers and learning rates, by name.

They mean what PyTorch's recipes mean by momentum and weight decay, and take a
rate per variable.
"""

import math

import keras
import tensorflow as tf
from keras import ops

from dla_keras.choices import check_number
from dla_keras.choices import choose

MOMENTUM = 0.9
BETAS = 0.9, 0.999  # of Adam's mean and mean square


def _sgd(weights, gradient, rate, decay, step, velocity):
    """Return the weights after a step of SGD, as PyTorch takes it.

    The velocity sums up gradients, decay included, and a step is the rate
    times the velocity. Keras would sum up steps, so that a drop of the rate
    acts late, and decay the weights apart from the momentum.
    """
    velocity.assign(MOMENTUM * velocity + (gradient + decay * weights))
    return weights - rate * velocity


def _adamw(weights, gradient, rate, decay, step, mean, square):
    """Return the weights after a step of Adam with decoupled decay."""
    weights = weights - rate * decay * weights
    near = 1 - tf.pow(tf.cast(BETAS, weights.dtype), step)
    mean.assign_add((gradient - mean) * (1 - BETAS[0]))
    square.assign_add((gradient * gradient - square) * (1 - BETAS[1]))
    rate = rate * tf.sqrt(near[1]) / near[0]
    return weights - mean * rate / (tf.sqrt(square) + 1e-7)


# name -> one step, and what it keeps for each weight;
# `tasks.recipes.OPTIMIZERS` has each one's rate and decay
OPTIMIZERS = {
    "sgd": (_sgd, ("velocity",)),
    "adamw": (_adamw, ("mean", "square")),
}

# Weights that take a step together: few operations, and still in the cache of a
# core. Apart, they are more than half of the first step's preparation.
PACK = 2**18


def packs(variables, rates=None) -> list[list[int]]:
    """Return indices of variables in a row that are handled as one.

    Args:
        variables: Variables of one type.
        rates: A factor of each; those of a pack are equal. Defaults to
            `None`: all one.

    Example:

    >>> packs([np.zeros(100_000), np.zeros(9), np.zeros(300_000)])
    [[0, 1], [2]]
    """
    found, room, last = [], 0, None
    for index, variable in enumerate(variables):
        size, rate = math.prod(variable.shape), rates and rates[index]
        if size > room or rate != last:
            found.append([])
            room, last = PACK, rate
        found[-1].append(index)
        room -= size
    return found


def flat(tensors):
    """Return the numbers of several tensors in a row."""
    row = tf.constant([-1])
    return tf.concat([tf.reshape(each, row) for each in tensors], 0)


class Packed(keras.optimizers.Optimizer):
    """An optimizer that updates many small variables as one.

    Args:
        name: Name of a row of `OPTIMIZERS`.
        learning_rate: Number or schedule.
        decay: Weight decay.
        rates: Factor of the learning rate, for each trainable variable.
    """

    def __init__(self, name, learning_rate, decay, rates):
        super().__init__(learning_rate, name=name)
        self.step, self.kept = OPTIMIZERS[name]
        self.decay = decay
        self.rates = rates

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.packs = packs(variables, self.rates)
        self.slots = [
            [
                self.add_variable(
                    (sum(math.prod(variables[i].shape) for i in pack),),
                    dtype=variables[0].dtype,
                    name=f"{name}_{number}",
                )
                for name in self.kept
            ]
            for number, pack in enumerate(self.packs)
        ]

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        # Keras' own goes through the variables one by one, here.
        gradients = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM,
            [flat([grads[i] for i in pack]) for pack in self.packs],
        )
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._update,
            tf.distribute.get_strategy(),
            gradients,
            [
                [trainable_variables[i].value for i in pack]
                for pack in self.packs
            ],
            learning_rate,
        )

    def _update(self, strategy, gradients, weights, learning_rate):
        for pack, slots, gradient, variables in zip(
            self.packs, self.slots, gradients, weights, strict=True
        ):
            first, *others = [slot.value for slot in slots]
            strategy.extended.update(
                first,
                self._update_pack,
                args=(
                    others,
                    gradient,
                    variables,
                    learning_rate,
                    self.rates[pack[0]],
                ),
                group=False,
            )

    def _update_pack(self, first, others, gradient, variables, rate, factor):
        dtype = first.dtype
        after = self.step(
            flat(variables),
            tf.cast(gradient, dtype),
            tf.cast(rate * factor, dtype),
            self.decay,
            tf.cast(self.iterations.value + 1, dtype),
            first,
            *others,
        )
        sizes = [math.prod(variable.shape) for variable in variables]
        for variable, values in zip(
            variables, tf.split(after, sizes), strict=True
        ):
            variable.assign(tf.reshape(values, variable.shape))


def _step(progress, milestones):
    passed = [ops.cast(progress >= share, "float32") for share in milestones]
    return ops.power(0.1, sum(passed, 0.0))


# name -> factor of the rate, by the share of the run that is done and, for
# "step", the shares at which it drops to a tenth. The authors' poly goes down
# once an epoch; here it is the same curve without stairs.
SCHEDULES = {
    "poly": lambda progress, _: (1.0 - progress) ** 0.9,
    "step": _step,
    "cosine": lambda progress, _: 0.5 + 0.5 * ops.cos(math.pi * progress),
    "constant": lambda progress, _: 1.0 + 0.0 * progress,
}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a run, by step.

    Args:
        rate: Learning rate at the start, or after the warm-up.
        steps: Steps of the whole run.
        name: Name of a row of `SCHEDULES`. Defaults to `"poly"`.
        milestones: Shares of the run at which `"step"` drops. Defaults to
            none.
        warmup: Steps over which the rate rises to `rate`. Defaults to `0`.

    Raises:
        ValueError: If the name is unknown, or a milestone outside the run.

    Example:

    >>> schedule = Schedule(0.1, 120, "step", (0.25, 0.5), warmup=5)
    >>> [round(float(schedule(step)), 6) for step in (0, 29, 30, 60)]
    [0.02, 0.1, 0.01, 0.001]
    """

    def __init__(self, rate, steps, name="poly", milestones=(), warmup=0):
        self.factor = choose("name", name, SCHEDULES)
        check_number("learning_rate", rate)
        if name == "step" and not milestones:
            raise ValueError(
                "The schedule 'step' drops at milestones. Received none; pass "
                "--milestones SHARE ..., for instance 0.5 0.75."
            )
        if not all(0 < share < 1 for share in milestones):
            raise ValueError(
                "Milestones are shares of the run, between 0 and 1. "
                f"Received: {tuple(milestones)}."
            )
        self.rate = rate
        self.steps = steps
        self.name = name
        self.milestones = tuple(milestones)
        self.warmup = warmup

    def __call__(self, step):
        step = ops.cast(step, "float32")
        progress = ops.minimum(step / self.steps, 1.0)
        factor = self.factor(progress, self.milestones)
        if self.warmup:
            factor = factor * ops.minimum((step + 1.0) / self.warmup, 1.0)
        return self.rate * factor

    def get_config(self):
        return {
            "rate": self.rate,
            "steps": self.steps,
            "name": self.name,
            "milestones": self.milestones,
            "warmup": self.warmup,
        }


def make_optimizer(name, rate, decay, model, slow=None, slow_rate=1.0):
    """Return the optimizer called `name`, built on a model's weights.

    Args:
        name: Name of a row of `OPTIMIZERS`.
        rate: Number or `Schedule`.
        decay: Weight decay.
        model: Model whose trainable variables are updated.
        slow: Part of the model that learns at `slow_rate` times the rate,
            for instance a pretrained backbone. Defaults to `None`.
        slow_rate: Factor of the rate for `slow`. Defaults to `1.0`.

    Returns:
        A Keras optimizer whose slots are flat: see `packs`. For a model that
        computes in float16 it scales the loss and skips steps that overflow.
    """
    slowed = {id(v) for v in slow.trainable_variables} if slow else ()
    rates = [
        slow_rate if id(v) in slowed else 1.0 for v in model.trainable_variables
    ]
    check_number("weight_decay", decay)
    optimizer = Packed(name, rate, decay, rates)
    layers = model._flatten_layers(include_self=False)
    if any(layer.compute_dtype == "float16" for layer in layers):
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, name="loss_scale"
        )
    optimizer.build(model.trainable_variables)
    return optimizer
