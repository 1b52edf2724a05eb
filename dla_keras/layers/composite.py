"""Composite: what every layer here that is made of other layers shares."""

import contextlib
import contextvars

from keras import layers

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
