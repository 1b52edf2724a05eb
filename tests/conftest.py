"""What tests of any room may ask for."""

from unittest import mock

import pytest

from dla_keras.variants import VARIANTS
from dla_keras.variants import Variant

# With half of its layers, so that it is traced and converted in half the time.
SMALL = Variant((1, 1, 1, 1), (16, 32, 64, 64, 96, 128), "basic")


@pytest.fixture(scope="module")
def small_networks():
    """Make `dla46_c` smaller, for a module that is not about its numbers."""
    with mock.patch.dict(VARIANTS, {"dla46_c": SMALL}):
        yield
