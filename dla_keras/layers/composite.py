"""What layers made of other layers share: `Composite` and `recompute`."""

import contextlib
import contextvars
import itertools
import operator

import keras
from keras import layers
from keras import ops

# A context variable, so that other threads are not affected.
_OPEN = contextvars.ContextVar("open_composites", default=False)


@contextlib.contextmanager
def open_composites():
    """Make composites call their parts one by one inside the block.

    A symbolic input then leaves a graph of the parts instead of the
    composites. `dla_keras.models.flattening` makes a model of it.

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
    """A layer whose `call` uses Keras' own layers only, no bare operations.

    A model of composites can therefore be taken apart into plain Keras layers,
    which quantization-aware training needs. The parts are named after the
    composite, so every name is unique in a model. The config says which of
    them are frozen.
    """

    _parts_to_restore = ()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        # TensorFlow's checkpoints see no layers in lists, so each one is an
        # attribute too: `ida_0`, `proj_1`, the authors' names.
        for index, part in enumerate(value if isinstance(value, list) else ()):
            if isinstance(part, layers.Layer):
                super().__setattr__(f"{name}_{index}", part)

    def __call__(self, *args, **kwargs):
        if not _OPEN.get():
            return super().__call__(*args, **kwargs)
        if not self.built:
            super().__call__(*args, **kwargs)  # makes the parts
        return self.call(*args, **kwargs)

    def part(self, suffix, **overrides):
        """Return the arguments that a part takes over from the composite."""
        return {
            "name": f"{self.name}_{suffix}",
            "dtype": self.dtype_policy,
            # Setting `trainable` reaches only the parts that exist then.
            "trainable": self.trainable,
            **overrides,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        parts = config.pop("trainable_parts", {})
        layer = super().from_config(config)
        layer._parts_to_restore = tuple(parts.items())
        return layer

    def _post_build(self):
        super()._post_build()
        if self._parts_to_restore:  # some of them exist only now
            set_trainable_parts(self, dict(self._parts_to_restore))

    def get_config(self):
        parts = trainable_parts(self)
        if not self.built:
            parts |= dict(self._parts_to_restore)
        return {
            **super().get_config(),
            **({"trainable_parts": parts} if parts else {}),
        }


def trainable_parts(layer: layers.Layer) -> dict[str, bool]:
    """Return the parts whose `trainable` differs from the layer around them.

    Args:
        layer: Layer or model whose parts have unique names.

    Returns:
        Name of each such part, at any depth, and its `trainable`.

    Example:

    >>> backbone = dla_keras.DLABackbone("dla46_c", trainable=False)
    >>> backbone.level5.trainable = True
    >>> trainable_parts(backbone)
    {'level5': True}
    """
    found = {}
    for part in layer._flatten_layers(include_self=False, recursive=False):
        if part.trainable != layer.trainable:
            found[part.name] = part.trainable
        found.update(trainable_parts(part))
    return found


def set_trainable_parts(layer: layers.Layer, parts: dict[str, bool]) -> None:
    """Freeze and unfreeze the parts of a layer as `trainable_parts` says.

    Args:
        layer: Built layer or model.
        parts: Names of parts and their `trainable`. All others take that of
            the layer around them.
    """
    # One by one: TensorFlow skips an assignment that changes nothing, and with
    # it the parts.
    for part in layer._flatten_layers(include_self=False, recursive=False):
        part.trainable = parts.get(part.name, layer.trainable)
        set_trainable_parts(part, parts)


def recompute(layer, function, *inputs):
    """Call a function and keep only its inputs for the gradient.

    The values in between are computed again when the gradient needs them.
    This is `keras.remat` for layers with state: batch norm's running
    statistics move once although the function runs twice, and random layers
    draw the same numbers both times.

    Args:
        layer: Layer that holds all variables `function` uses.
        function: Function of `inputs` that returns a tensor.
        *inputs: Tensors.

    Returns:
        `function(*inputs)`.
    """
    # Not `trainable_variables`: parts of a frozen layer may train.
    weights = [v for v in layer.variables if v.trainable]
    states = [v for v in layer.variables if not v.trainable]
    # Copies, since on some backends a value is the variable, which changes.
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
