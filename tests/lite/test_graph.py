"""Learned upsampling in exported files: the same numbers, no paddings."""

import keras
import numpy as np
import pytest
from boxes import CALIBRATION
from boxes import SIZE
from boxes import fitted

from dla_keras.layers import LearnedUpsampling
from dla_keras.lite.convert.graph import without_paddings
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.file.tflite_file import TfliteFile

pytestmark = pytest.mark.usefixtures("small_networks")


def randomized(layer):
    """Its taps no longer bilinear, each phase with its own."""
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("factor", [2, 4])
def test_three_taps_give_what_two_and_a_padding_gave(factor):
    inputs = keras.Input((5, 7, 3))
    layer = LearnedUpsampling(factor)
    model = keras.Model(inputs, layer(inputs))
    randomized(layer)
    picture = np.random.default_rng(1).normal(size=(2, 5, 7, 3))
    # Nothing is added but products with zero.
    np.testing.assert_allclose(
        without_paddings(model)(picture).numpy(),
        model(picture).numpy(),
        rtol=1e-6,
        atol=1e-6,
    )


def test_an_int8_file_holds_integers_only():
    exporter = Exporter(fitted("learned"), SIZE, "logits", CALIBRATION)
    facts = exporter.convert("int8")
    assert facts.float_ops == 0
    # Those of the five strided convolutions.
    assert facts.op_counts["PAD"] == 5
    assert facts.op_counts["DEPTH_TO_SPACE"] == 7
    # A part of the network is known by its name although it was flattened.
    graph = exporter.int8_graph
    part = TfliteFile(graph.quantize(["dla_up_ida_0"])).float_ops
    assert 0 < part < TfliteFile(graph.quantize(["dla_up"])).float_ops


def test_a_model_without_learned_upsampling_stays_itself():
    model = fitted()
    assert without_paddings(model) is model
