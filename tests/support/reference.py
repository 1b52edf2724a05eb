"""Weights and inputs that the golden outputs were computed with."""

import functools
import gzip
import json
import math
import zlib

import numpy as np
from paths import GOLDEN

from dla_keras.layers.upsampling import bilinear_kernel

SHAPES = json.loads(gzip.decompress((GOLDEN / "shapes.json.gz").read_bytes()))
OUTPUTS = np.load(GOLDEN / "outputs.npz")


@functools.lru_cache(maxsize=1024)  # more than one model has
def parameter(name, shape):
    """Return the value of a PyTorch parameter, made from its name alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name == "up.weight":  # the authors keep this one bilinear
        value = np.broadcast_to(bilinear_kernel(shape[-1] // 2), shape)
    elif name.endswith("running_var"):
        value = random.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = random.normal(0, 0.1, shape)
    elif len(shape) == 1 and name.endswith("weight"):
        value = random.uniform(0.5, 1.0, shape)
    elif len(shape) == 1:
        value = random.normal(0, 0.1, shape)
    else:
        value = random.normal(0, math.sqrt(1 / np.prod(shape[1:])), shape)
    value = value.astype(np.float32)
    value.flags.writeable = False  # as it is shared
    return value


def state_dict(model):
    """Return all parameters of a reference model: PyTorch name -> array."""
    return {n: parameter(n, tuple(s)) for n, s in SHAPES[model].items()}


def image(height, width):
    """Return a normalized image, NHWC."""
    seed = zlib.crc32(f"image 1x3x{height}x{width}".encode())
    picture = np.random.default_rng(seed).normal(0, 1, (1, 3, height, width))
    return picture.astype(np.float32).transpose(0, 2, 3, 1)


def relative_error(received, name):
    """Return the largest difference from a golden output, relative to it."""
    expected = OUTPUTS[name]
    assert received.shape == expected.shape
    return np.abs(received - expected).max() / np.abs(expected).max()
