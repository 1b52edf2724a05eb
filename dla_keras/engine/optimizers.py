"""Optimizers and learning rates, by name.

They mean what PyTorch's recipes mean by momentum and weight decay, and take a
rate per variable.
"""

import math

import keras
from keras import ops

from dla_keras.choices import check_number
from dla_keras.choices import choose

MOMENTUM = 0.9


class SGD(keras.optimizers.Optimizer):
    """SGD with momentum 0.9, whose gradient includes the weight decay.

    As in PyTorch: the velocity sums up gradients, decay included, and a step
    is the rate times the velocity. Keras would sum up steps, so that a drop of
    the rate acts late, and decay the weights apart from the momentum.

    Args:
        learning_rate: Number or schedule.
        decay: Factor of the L2 penalty.
        rates: Factor of the learning rate, for each trainable variable.
    """

    def __init__(self, learning_rate, decay, rates):
        super().__init__(learning_rate, name="sgd")
        self.decay = decay
        self.rates = rates

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.velocities = self.add_optimizer_variables(
                variables, "velocity"
            )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate * self.rates[index], variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.decay * variable
        velocity = self.velocities[index]
        self.assign(velocity, MOMENTUM * velocity + gradient)
        self.assign_sub(variable, rate * velocity)


class AdamW(keras.optimizers.Adam):
    """Adam with decoupled decay, at each variable's own learning rate.

    Args:
        learning_rate: Number or schedule.
        decay: Share of each weight, times the rate, that a step takes off.
        rates: Factor of the learning rate, for each trainable variable.
    """

    def __init__(self, learning_rate, decay, rates):
        super().__init__(learning_rate, name="adamw")
        self.decay = decay
        self.rates = rates

    def update_step(self, gradient, variable, learning_rate):
        rate = learning_rate * self.rates[self._get_variable_index(variable)]
        rate = ops.cast(rate, variable.dtype)
        self.assign_sub(variable, rate * self.decay * variable)
        super().update_step(gradient, variable, rate)


# name -> class; `tasks.recipes.OPTIMIZERS` has each one's rate and decay
OPTIMIZERS = {"sgd": SGD, "adamw": AdamW}


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
        A Keras optimizer. For a model that computes in float16 it scales the
        loss and skips steps that overflow.
    """
    slowed = {id(v) for v in slow.trainable_variables} if slow else ()
    rates = [
        slow_rate if id(v) in slowed else 1.0 for v in model.trainable_variables
    ]
    check_number("weight_decay", decay)
    optimizer = OPTIMIZERS[name](rate, decay, rates)
    layers = model._flatten_layers(include_self=False)
    if any(layer.compute_dtype == "float16" for layer in layers):
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, name="loss_scale"
        )
    optimizer.build(model.trainable_variables)
    return optimizer
