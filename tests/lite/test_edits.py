"""Edits of a converted file: the numbers stay the same."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from interpreters import KERNELS
from interpreters import run_at_random

from dla_keras.lite.file.edits import add_zeros
from dla_keras.lite.file.edits import pack_stem
from dla_keras.lite.file.edits import packed_kernel
from dla_keras.lite.file.tflite_file import ALIGNMENT
from dla_keras.lite.file.tflite_file import TfliteFile


def edited(data, *change):
    """Return a file's bytes after a change, with the change's arguments."""
    file = TfliteFile(data)
    if change:
        change[0](file, *change[1:])
    return file.pack()


def poolings(lowest, highest):
    """Return a file of two poolings with a requantization in between."""
    rounded = tf.quantization.fake_quant_with_min_max_args

    @tf.function(input_signature=[tf.TensorSpec((1, 64, 64, 4), tf.float32)])
    def network(x):
        pooled = tf.nn.max_pool2d(rounded(x, -1.0, 1.0), 2, 1, "SAME")
        anew = rounded(pooled, lowest, highest)
        return tf.nn.max_pool2d(anew, 2, 1, "SAME")

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], tf.Module()
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_numbers_are_the_same_but_for_ties(kernels):
    data = poolings(-1.1, 1.5)
    before, after = (
        TfliteFile(each).op_counts for each in (data, edited(data, add_zeros))
    )
    assert before["QUANTIZE"] == 3
    assert after["QUANTIZE"] == 2
    assert after["ADD"] == 1
    expected, found = (
        run_at_random(each, kernels).astype(int)
        for each in (data, edited(data, add_zeros))
    )
    assert np.unique(expected).size > 50
    assert np.abs(expected - found).max() <= 1
    assert np.mean(expected == found) > 0.9


def test_a_file_without_them_stays_as_it_is():
    data = poolings(-1.0, 1.0)
    assert TfliteFile(data).op_counts["QUANTIZE"] == 2
    assert edited(data, add_zeros) == edited(data)


def test_scales_too_far_apart_for_an_addition_stay():
    data = edited(poolings(-1e4, 2e4), add_zeros)
    assert TfliteFile(data).op_counts["QUANTIZE"] == 3


def test_contents_stay_aligned():
    data = edited(poolings(-1.1, 1.5), add_zeros)
    model, start = schema.Model.GetRootAs(data, 0), np.frombuffer(data, "uint8")
    contents = [
        model.Buffers(index).DataAsNumpy()
        for index in range(model.BuffersLength())
        if model.Buffers(index).DataLength()
    ]
    assert len(contents) > 2
    base = start.__array_interface__["data"][0]
    for content in contents:
        at = content.__array_interface__["data"][0] - base
        assert at % ALIGNMENT == 0


RNG = np.random.default_rng(0)
PICTURES = RNG.normal(size=(4, 1, 16, 24, 3)).astype("float32")


def convolution(kernel_size=7, strides=1, channels=3, quantized=True):
    """Return a `.tflite` file of one convolution with a ReLU."""
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
    data = convolution(kernel_size)
    packed = edited(data, pack_stem, block)
    counts = TfliteFile(packed).op_counts
    assert counts["SPACE_TO_DEPTH"] == counts["DEPTH_TO_SPACE"] == 1
    expected = run_at_random(data, kernels)
    assert np.unique(expected).size > 20
    np.testing.assert_array_equal(run_at_random(packed, kernels), expected)


def test_floats_are_the_same_sums_in_another_order():
    data = convolution(quantized=False)
    packed = edited(data, pack_stem)
    assert TfliteFile(packed).op_counts["SPACE_TO_DEPTH"] == 1
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
    data = convolution(**options)
    assert edited(data, pack_stem) == edited(data)


def test_a_picture_that_blocks_do_not_fill_stays():
    data = convolution()
    assert edited(data, pack_stem, 5) == edited(data)


def test_a_kernel_has_each_weight_once_for_each_pixel_of_a_block():
    weights = 1 + np.arange(8 * 7 * 7 * 3).reshape(8, 7, 7, 3)
    packed = packed_kernel(weights, 2).reshape(4, 8, -1)
    for pixel in packed:
        for filters, original in zip(pixel, weights, strict=True):
            found = filters[filters != 0]
            assert sorted(found) == sorted(original.ravel())
