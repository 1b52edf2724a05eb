"""Composite: what every layer here that is made of other layers shares."""

from keras import layers


class Composite(layers.Layer):
    """A layer whose `call` is written with Keras' own layers only.

    No bare operations in `call`: a model of composites can then be taken
    apart into the plain Keras layers it is made of, which is what
    quantisation-aware training works on. The parts are named after the whole,
    so every name stays unique in a model.
    """

    def part(self, suffix, **overrides):
        """Arguments every part takes from the whole: name and precision."""
        return {
            "name": f"{self.name}_{suffix}",
            "dtype": self.dtype_policy,
            **overrides,
        }
