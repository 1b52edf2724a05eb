"""int8 after training: shared ranges, errors of layers, layers in float."""

import dataclasses

import keras
import numpy as np
import pytest
from boxes import CALIBRATION
from boxes import PICTURES
from boxes import SIZE
from boxes import fitted
from calibrated import ranges
from calibrated import with_range
from files import convert

from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.quantization import share_ranges
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.layer_errors import keep_until
from dla_keras.lite.measure.layer_errors import layer_errors

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def graph(model):
    return Exporter(model, SIZE, "logits", CALIBRATION).int8_graph


def requantizations(data):
    """QUANTIZE operations between 8-bit numbers, input and output aside."""
    return TfliteFile(data).op_counts["QUANTIZE"] - 2


def test_tied_tensors_share_a_range_and_nothing_is_requantized(
    model, monkeypatch
):
    shares = "dla_keras.lite.convert.quantization.share_ranges"
    monkeypatch.setattr(shares, lambda file: None)
    exporter = Exporter(model, SIZE, "logits", CALIBRATION)
    graph = exporter.int8_graph
    apart = graph.quantize()
    assert requantizations(apart) > 0
    # What is left of them leaves as additions.
    assert requantizations(exporter.convert("int8").pack()) == 0
    shared = dataclasses.replace(graph, file=TfliteFile(graph.data))
    share_ranges(shared.file, float("inf"))
    assert requantizations(shared.quantize()) == 0


def test_what_would_become_too_coarse_stays_apart(graph):
    file = TfliteFile(graph.data)
    (name, (_, highest)), *_ = [
        row for row in ranges(file).items() if "MaxPool" in row[0]
    ]
    highest[0] *= 100
    before = {key: (a[0], b[0]) for key, (a, b) in ranges(file).items()}
    share_ranges(file)
    shared = ranges(file)
    for key, (lowest, highest) in shared.items():
        span, own = highest[0] - lowest[0], before[key][1] - before[key][0]
        assert span <= 4 * max(own, before[key][1]) * (1 + 1e-6), key
    assert before[name][1] == shared[name][1][0]


def test_a_layer_with_a_wrong_range_is_the_worst(graph):
    errors = layer_errors(graph, PICTURES[:2])
    healthy = next(e for e in errors if e.layer == "dla_up_ida_2_node_3")
    # Six bits fewer: 36 dB, less what its own accumulation had lost before.
    broken = with_range(graph, "dla_up_ida_2_node_3", 64.0)
    worst = layer_errors(broken, PICTURES[:2])[0]
    assert worst.layer == healthy.layer
    assert worst.noise < healthy.noise - 15
    # What rounding to whole steps gives, on whatever scale.
    assert 0.1 < worst.steps < 0.6


def test_errors_of_layers_need_pictures(graph):
    with pytest.raises(ValueError, match="measured on pictures"):
        layer_errors(graph, [])


def test_a_layer_in_float_is_as_good_as_float(model, graph):
    expected = model(PICTURES[0][None], training=False).numpy()[0]

    def error(data):
        return np.abs(LiteModel(data).run(PICTURES[0]) - expected).mean()

    broken = with_range(graph, "dla_up_ida_2_node_3", 256.0)
    bad = broken.quantize()
    # `fc` too, which would round what it takes in the same wrong range.
    mended = broken.quantize(["dla_up_ida_2_node_3", "fc"])
    assert TfliteFile(mended).float_ops > TfliteFile(bad).float_ops == 0
    assert error(mended) < 0.5 * error(bad)
    # The other layers are as they were.
    assert error(mended) < 1.3 * error(graph.quantize())


def test_a_layer_is_kept_with_all_that_it_is_made_of(graph):
    one = TfliteFile(graph.quantize(["dla_up_ida_0"])).float_ops
    assert (
        one > TfliteFile(graph.quantize(["dla_up_ida_0_node_1"])).float_ops > 0
    )


def test_an_unknown_layer_is_answered_with_near_ones(model):
    with pytest.raises(ValueError, match="Did you mean level5_root_conv"):
        convert(
            model,
            SIZE,
            "int8",
            calibration=CALIBRATION,
            keep_float=["level5_rot_conv"],
        )


def test_layers_are_kept_in_int8_only(model):
    with pytest.raises(ValueError, match="`keep_float` is for int8"):
        convert(model, SIZE, "float32", keep_float=["fc"])


@pytest.mark.parametrize("needed", [0, 1, 3, 4, 7])
def test_no_more_layers_than_needed_stay_in_float(graph, needed):
    errors = layer_errors(graph, PICTURES[:1])
    counts = {graph.quantize([e.layer for e in errors[:needed]])}
    least = TfliteFile(counts.pop()).float_ops
    data, layers = keep_until(
        graph, errors, lambda data: TfliteFile(data).float_ops >= least
    )
    assert layers == [e.layer for e in errors[:needed]]
    assert TfliteFile(data).float_ops == least


def test_a_bound_that_nothing_meets_is_told(graph):
    errors = layer_errors(graph, PICTURES[:1])[:3]
    with pytest.raises(ValueError, match="Even with all 3 layers"):
        keep_until(graph, errors, lambda data: False)


def test_a_network_of_its_own_is_for_int8(model):
    network = keras.Model(model.inputs, model.outputs)
    with pytest.raises(ValueError, match="is for int8"):
        convert(model, SIZE, "float16", network=network)
