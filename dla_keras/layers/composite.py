"""What layers made of other layers share: `Composite` and `recompute`."""

import contextlib
import contextvars
import itertools
import operator

import keras
from keras import layers
from keras import ops

# A context variable, so that other threads go on with whole layers.
_OPEN = contextvars.ContextVar("open_composites", default=False)


@contextlib.contextmanager
def open_composites():
    """While it lasts, calling a composite calls its parts one by one.

    A symbolic input then leaves a graph of the parts behind, not of the
    wholes. `dla_keras.models.flattening` makes a model of it.

    Example:

    >>> layer, x = dla_keras.layers.ConvBN(8), keras.Input((4, 4, 8))
    >>> layer.build(x.shape)
    >>> with open_composites():
    ...     y = layer(x)
    >>> [type(part).__name__ for part in keras.Model(x, y).layers]
    ['InputLayer', 'Conv2D', 'BatchNormalization', 'ReLU']
    """
    token = _OPEN.set(True)
    try:
        yield
    finally:
        _OPEN.reset(token)


class Composite(layers.Layer):
    """A layer whose `call` is written with Keras' own layers only.

    No bare operations in `call`: a model of composites can then be taken
    apart into the plain Keras layers it is made of, which is what
    quantisation-aware training works on. The parts are named after the whole,
    so every name stays unique in a model.
    """

    def __call__(self, *args, **kwargs):
        if not _OPEN.get():
            return super().__call__(*args, **kwargs)
        if not self.built:
            super().__call__(*args, **kwargs)  # makes what is to be opened
        return self.call(*args, **kwargs)

    def part(self, suffix, **overrides):
        """Arguments every part takes from the whole: name and precision."""
        return {
            "name": f"{self.name}_{suffix}",
            "dtype": self.dtype_policy,
            **overrides,
        }


def recompute(layer, function, *inputs):
    """`function(*inputs)`, keeping for the gradient only what goes in.

    `keras.remat` with what a layer with state needs: batch norm's running
    statistics move once, though the function runs twice, and random layers
    draw the same numbers both times.

    Args:
        layer: holds all the variables that `function` uses.
        function: tensors in, a tensor out.
        *inputs: tensors.

    Returns:
        What `function` returns.
    """
    weights = layer.trainable_variables
    states = layer.non_trainable_variables
    # Copies: on some backends a value is the variable itself, which changes.
    before = [ops.copy(state.value) for state in states]

    moved = []  # those that `function` assigns to, not frozen weights

    def run(*arrays):
        values = [*arrays[: len(weights)], *before]
        known = zip([*weights, *states], values, strict=True)
        with keras.StatelessScope(state_mapping=known) as scope:
            start = [scope.get_current_value(v) for v in states]
            outputs = function(*arrays[len(weights) :])
        after = [scope.get_current_value(v) for v in states]
        changed = list(map(operator.is_not, after, start))
        moved[:] = itertools.compress(states, changed)
        return outputs, *itertools.compress(after, changed)

    arrays = [ops.convert_to_tensor(weight.value) for weight in weights]
    outputs, *after = keras.remat(run)(*arrays, *inputs)
    for state, value in zip(moved, after, strict=True):
        state.assign(value)
    return outputs
