"""Gradient checkpointing: inner values are computed again, not kept."""

import itertools
import operator

import keras
from keras import ops


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
