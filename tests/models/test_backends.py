"""Keras on JAX and PyTorch, each in a process of its own.

A glance; `make backends` runs all tests of layers, models and weights there.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
from paths import ROOT
from paths import SUPPORT

WITHOUT_TENSORFLOW = """
import sys

class NotInstalled:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
import numpy as np
import dla_keras
from dla_keras.variants import VARIANTS
from tiny_variant import TINY_VARIANT

VARIANTS.update(TINY_VARIANT)
model = dla_keras.DLASegmenter("dla_tiny", 5)
assert model.predict(np.zeros((1, 64, 64, 3)), verbose=0).shape[-1] == 5
model.compile("sgd", "mse")
model.train_on_batch(np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 64, 5)))
"""


def run(backend, arguments):
    """Run Python on another backend; return its output if it fails."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    result = subprocess.run(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_numbers(backend):
    few = "DLA46C or dla34up_c19_d4"
    run(
        backend,
        ["-m", "pytest", "-q", "tests/models/test_golden.py", "-k", few],
    )


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_needs_no_tensorflow(backend):
    run(backend, ["-c", WITHOUT_TENSORFLOW])
