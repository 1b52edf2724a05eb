"""States of models to compare, and the promise that a refusal keeps them."""

import contextlib
import functools

import keras
import numpy as np
import pytest
import reference

import dla_keras
from dla_keras import weights


def random_state(model):
    """Return a different value for each of the model's weights."""
    slots = weights.torch_slots(model)
    return {n: reference.parameter(n, s.shape) for n, s in slots.items()}


def official_state(variant, classes=None):
    state = reference.state_dict(f"official/{variant}")
    if classes is not None:
        state["fc.weight"] = state["fc.weight"][:classes]
        state["fc.bias"] = state["fc.bias"][:classes]
    return state


def values(model):
    return [keras.ops.convert_to_numpy(v.value) for v in model.variables]


def assert_equal(states, others):
    assert states.keys() == others.keys()
    for name in states:
        np.testing.assert_array_equal(states[name], others[name], name)


@functools.cache
def small():
    """Return a classifier that no test changes."""
    return dla_keras.DLA46C()


@contextlib.contextmanager
def refused(model, *messages, error=ValueError):
    """Check that the block raises such an error and changes nothing."""
    before = values(model)
    with pytest.raises(error) as caught:
        yield
    print(caught.value)  # pytest -s shows what a user reads
    for message in messages:
        assert message in str(caught.value)
    for value, expected in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(value, expected)
