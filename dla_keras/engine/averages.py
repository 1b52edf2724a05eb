"""The weights that are evaluated and exported: averages and snapshots."""

import contextlib
import math

import keras
import numpy as np
import tensorflow as tf

from dla_keras.engine.optimizers import flat
from dla_keras.engine.optimizers import packs
from dla_keras.engine.strategies import batch_norms


class WeightAverage:
    """Exponential moving average of all weights and running statistics.

    Keras' own `use_ema` leaves out batch norms' statistics, which then do not
    belong to the averaged weights.

    Args:
        model: Model whose weights are averaged. Call it in the scope of the
            model's strategy.
        momentum: Share of the old average that a step keeps. It is less at
            the start, when the average would still hold random weights.

    Raises:
        ValueError: If the momentum is not between 0 and 1.
    """

    def __init__(self, model, momentum: float):
        if not 0 < momentum < 1:
            raise ValueError(
                "The average's momentum lies between 0 and 1, for instance "
                f"0.999. Received: {momentum}."
            )
        self.momentum = momentum
        # The states of random generators are integers; they are not averaged.
        self.sources = [
            v for v in model.variables if keras.backend.is_float_dtype(v.dtype)
        ]
        self.packs = packs(self.sources)
        self.variables = [
            keras.Variable(
                np.concatenate([self.sources[i].numpy().ravel() for i in pack]),
                trainable=False,
                name="average",
            )
            for pack in self.packs
        ]

    def update(self, step) -> None:
        """Add the weights after step number `step`, counted from 1."""
        step = tf.cast(step, "float32")
        momentum = tf.minimum(self.momentum, (1 + step) / (10 + step))
        for average, pack in zip(self.variables, self.packs, strict=True):
            now = flat([self.sources[i].value for i in pack])
            move = (now - average.value) * tf.cast(1 - momentum, now.dtype)
            average.value.assign_add(move)

    def arrays(self) -> dict[int, np.ndarray]:
        """Return the average of each variable, by the variable's `id`."""
        found = {}
        for average, pack in zip(self.variables, self.packs, strict=True):
            sources = [self.sources[i] for i in pack]
            sizes = [math.prod(v.shape) for v in sources]
            parts = np.split(average.numpy(), np.cumsum(sizes)[:-1])
            for v, part in zip(sources, parts, strict=True):
                found[id(v)] = part.reshape(v.shape)
        return found


class Snapshot:
    """The model as it is evaluated and exported.

    It is a copy in float32 on one device. So the model that is scored is the
    one that is saved, and the weights that train are never changed.

    Args:
        model: Model that trains.
        average: `WeightAverage` to take the weights from. Defaults to `None`:
            the model's own weights.
        batches: Iterable of `(images, labels)` to renew the batch norms'
            statistics with. Defaults to `None`: the running statistics.
        devices: Devices, with a copy on each; `None` is TensorFlow's choice.
            Defaults to one of these.
        total: Function from `make_sum`, by which all processes take the
            renewed statistics of the first. Defaults to `None`: each its own.
        first: Whether this is the first process. Defaults to `True`.

    Attributes:
        model: The copy on the first device.
        models: Device -> the copy on it.
    """

    def __init__(
        self,
        model,
        average=None,
        batches=None,
        devices=(None,),
        total=None,
        first=True,
    ):
        config = {**model.get_config(), "dtype": "float32"}
        self.models = {}
        for device in devices:
            with tf.device(device) if device else contextlib.nullcontext():
                self.models[device] = type(model).from_config(dict(config))
        self.model = self.models[devices[0]]
        self.total = total
        self.first = first
        self.renew = None
        if batches is not None:
            self.renew = BatchNormRenewal(self.model, batches)
        self.average = average
        self.pairs = list(
            zip(self.model.variables, model.variables, strict=True)
        )

    def take(self) -> None:
        """Bring the copy up to date."""
        averages = self.average.arrays() if self.average else {}
        for copy, v in self.pairs:
            array = averages.get(id(v))
            copy.assign(v.numpy() if array is None else array)
        if self.renew is not None:
            self._renew()
        values = [v.numpy() for v in self.model.variables]
        for model in list(self.models.values())[1:]:
            for v, value in zip(model.variables, values, strict=True):
                v.assign(value)

    def _renew(self):
        """Renew the statistics in the first process, for all of them."""
        if self.first:
            self.renew()
        if self.total is None:
            return
        statistics = [
            v
            for layer in batch_norms(self.model)
            for v in (layer.moving_mean, layer.moving_variance)
        ]
        flat = np.concatenate([v.numpy() for v in statistics])
        flat = self.total(flat if self.first else np.zeros_like(flat))
        stops = np.cumsum([v.shape[0] for v in statistics])
        parts = np.split(flat, stops[:-1])
        for v, part in zip(statistics, parts, strict=True):
            v.assign(part)


class BatchNormRenewal:
    """Sets batch norms' statistics to those of the current weights.

    Running statistics follow the last dozens of steps only, and are noisy
    where batches are small. These are exact over all of `batches` (precise
    batch norm, arXiv:2105.07576).

    Args:
        model: Model whose batch norms are changed.
        batches: Iterable of `(images, labels)`, all of one size.
    """

    def __init__(self, model, batches):
        # A frozen one has the statistics that it was trained with.
        self.layers = [n for n in batch_norms(model) if n.trainable]
        self.batches = batches
        self.forward = tf.function(lambda x: model(x, training=True))

    def __call__(self) -> None:
        momenta = [layer.momentum for layer in self.layers]
        try:
            for layer in self.layers:
                layer.momentum = 0.0  # so that a batch sets its statistics
            means, squares, count = self._sums()
        finally:
            for layer, momentum in zip(self.layers, momenta, strict=True):
                layer.momentum = momentum
        for layer, mean, square in zip(
            self.layers, means, squares, strict=True
        ):
            mean = mean / count
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(square / count - mean**2)

    def _sums(self):
        means = [0.0] * len(self.layers)
        squares = list(means)
        count = 0
        for images, _ in self.batches:
            self.forward(images)
            count += 1
            for index, layer in enumerate(self.layers):
                mean = layer.moving_mean.numpy().astype("float64")
                means[index] += mean
                squares[index] += layer.moving_variance.numpy() + mean**2
        return means, squares, count
