"""Additions of zero in the place of requantisations."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from interpreters import KERNELS
from interpreters import run_at_random

from dla_keras.lite.file.buffers import ALIGNMENT
from dla_keras.lite.file.inspection import inspect
from dla_keras.lite.file.requantization import add_zeros


def converted(lowest, highest):
    """A file of two poolings; the numbers in between are quantised anew."""
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
    data = converted(-1.1, 1.5)
    before, after = (
        inspect(each).op_counts for each in (data, add_zeros(data))
    )
    assert before["QUANTIZE"] == 3
    assert after["QUANTIZE"] == 2
    assert after["ADD"] == 1
    expected, found = (
        run_at_random(each, kernels).astype(int)
        for each in (data, add_zeros(data))
    )
    assert np.unique(expected).size > 50
    assert np.abs(expected - found).max() <= 1
    assert np.mean(expected == found) > 0.9


def test_a_file_without_them_stays_as_it_is():
    data = converted(-1.0, 1.0)
    assert inspect(data).op_counts["QUANTIZE"] == 2
    assert add_zeros(data) is data


def test_scales_too_far_apart_for_an_addition_stay():
    data = add_zeros(converted(-1e4, 2e4))
    assert inspect(data).op_counts["QUANTIZE"] == 3


def test_contents_stay_aligned():
    data = add_zeros(converted(-1.1, 1.5))
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
