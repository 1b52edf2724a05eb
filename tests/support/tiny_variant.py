"""A variant with few layers to trace, for tests of what is around it."""

from dla_keras.variants import Variant

# A network with every kind of layer that a DLA has. For
# `mock.patch.dict(VARIANTS, TINY_VARIANT)`.
TINY_VARIANT = {
    "dla_tiny": Variant((1, 1, 1, 1), (8, 8, 16, 32, 32, 64), "basic")
}
