"""The first convolution over blocks of pixels: the same numbers."""

import numpy as np
import pytest
import tensorflow as tf
from interpreters import KERNELS
from interpreters import run_at_random

from dla_keras.lite.file.inspection import inspect
from dla_keras.lite.file.stem import pack_stem
from dla_keras.lite.file.stem import packed_kernel

RNG = np.random.default_rng(0)
PICTURES = RNG.normal(size=(4, 1, 16, 24, 3)).astype("float32")


def converted(kernel_size=7, strides=1, channels=3, quantized=True):
    """A `.tflite` file of one convolution with a ReLU."""
    shape = (kernel_size, kernel_size, channels, 8)
    kernel = tf.constant(RNG.normal(size=shape).astype("float32"))
    bias = tf.constant(RNG.normal(size=8).astype("float32"))

    @tf.function(
        input_signature=[tf.TensorSpec((1, 16, 24, channels), tf.float32)]
    )
    def network(x):
        return tf.nn.relu(tf.nn.conv2d(x, kernel, strides, "SAME") + bias)

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], tf.Module()
    )
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        pictures = np.resize(PICTURES, (4, 1, 16, 24, channels))
        converter.representative_dataset = lambda: ([p] for p in pictures)
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    ("kernel_size", "block"), [(7, 2), (7, 4), (3, 2), (5, 4)]
)
def test_the_outputs_are_equal_to_the_bit(kernel_size, block, kernels):
    data = converted(kernel_size)
    packed = pack_stem(data, block)
    counts = inspect(packed).op_counts
    assert counts["SPACE_TO_DEPTH"] == counts["DEPTH_TO_SPACE"] == 1
    expected = run_at_random(data, kernels)
    assert np.unique(expected).size > 20
    np.testing.assert_array_equal(run_at_random(packed, kernels), expected)


def test_floats_are_the_same_sums_in_another_order():
    data = converted(quantized=False)
    packed = pack_stem(data)
    assert inspect(packed).op_counts["SPACE_TO_DEPTH"] == 1
    expected = run_at_random(data)
    # 147 products of numbers up to 128, in float32.
    np.testing.assert_allclose(
        run_at_random(packed), expected, rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize(
    "options",
    [{"strides": 2}, {"channels": 8}],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(options):
    data = converted(**options)
    assert pack_stem(data) is data


def test_a_picture_that_blocks_do_not_fill_stays():
    data = converted()
    assert pack_stem(data, block=5) is data


def test_a_kernel_has_each_weight_once_for_each_pixel_of_a_block():
    weights = 1 + np.arange(8 * 7 * 7 * 3).reshape(8, 7, 7, 3)
    packed = packed_kernel(weights, 2).reshape(4, 8, -1)
    for pixel in packed:
        for filters, original in zip(pixel, weights, strict=True):
            found = filters[filters != 0]
            assert sorted(found) == sorted(original.ravel())
