"""The gate of an export: scores are compared, not their largest alone."""

import math
from unittest import mock

import keras
import numpy as np
import pytest
from tiny_variant import TINY_VARIANT

from dla_keras import DLASegmenter
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import VerifiedFile
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.file.edits import scores_of_mask
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.agreement import Agreement
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.agreement import check_reference
from dla_keras.lite.measure.agreement import compare_scores
from dla_keras.lite.options import PRECISIONS
from dla_keras.variants import VARIANTS

RANDOM = np.random.default_rng(0)
SCORES = [RANDOM.normal(3, 2, (8, 9, 4)) * [1, 2, 3, 4] for _ in range(3)]
COARSE = PRECISIONS["int8"].max_noise


def noise(change):
    return compare_scores(SCORES, map(change, SCORES))["noise"]


def test_noise_is_what_scores_differ_by():
    assert noise(lambda scores: scores) == 0
    assert noise(lambda scores: scores + 1e-3) == pytest.approx(
        1e-3 / np.sqrt(np.mean(4 * np.arange(1, 5) ** 2)), rel=0.05
    )
    found = compare_scores(SCORES, [scores + 1 for scores in SCORES])
    assert found["largest"] == pytest.approx(1 / np.ptp(SCORES))


@pytest.mark.parametrize(
    "broken",
    [
        np.zeros_like,  # a head of zeros
        lambda scores: np.broadcast_to(scores.mean((0, 1)), scores.shape),
        lambda scores: np.full_like(scores, 127),  # saturated
        lambda scores: scores[..., ::-1],  # classes in another order
        lambda scores: scores[::-1],  # upside down
        lambda scores: -scores,
    ],
)
def test_broken_heads_fail_the_coarsest_bound(broken):
    assert noise(broken) > COARSE
    made = Agreement(1.0, 1.0, 3, noise(broken), 1.0)
    assert "within" in made.fault(0.9, COARSE)


def test_one_number_that_is_none_fails_every_bound():
    for value in (np.nan, np.inf):
        damaged = [
            np.where(scores == scores.max(), value, scores) for scores in SCORES
        ]
        found = compare_scores(SCORES, damaged)
        assert math.isnan(found["noise"])
        with pytest.raises(VerificationError, match="scores are not finite"):
            Agreement(1.0, 1.0, 3, **found).require(0)
        with pytest.raises(VerificationError, match="model's scores are not"):
            compare_scores(damaged, SCORES)


def test_a_minimum_of_0_lets_anything_pass_that_is_a_number():
    poor = Agreement(0.1, 0.0, 3, 5.0, 9.0)
    assert "at least 0.5" in poor.fault(0.5)
    assert poor.fault(0, COARSE) is None
    assert not VerifiedFile(b"", {"classes": poor}, 0, COARSE).refused
    assert VerifiedFile(b"", {"classes": poor}, 0.05, COARSE).refused


@pytest.mark.parametrize(
    ("kind", "outputs", "said"),
    [
        ("classes", [np.ones((4, 5), np.uint8)] * 2, r"class 1 \(sky\)"),
        ("classes", [np.array([1])] * 3, "class 1"),
        ("boundaries", [np.full((4, 5, 1), 0.5)], "0.50 to 0.50"),
        ("boundaries", [np.linspace(0.1, 0.14, 9)], "0.10 to 0.14"),
    ],
)
def test_a_reference_that_is_the_same_everywhere_proves_nothing(
    kind, outputs, said
):
    with pytest.raises(VerificationError, match=f"{said} .*min_agreement=0"):
        check_reference({kind: outputs}, ("road", "sky"))


def test_one_other_pixel_is_enough_to_compare():
    outputs = [np.ones((4, 5), np.uint8), np.ones((4, 5), np.uint8)]
    outputs[1][3, 4] = 0
    check_reference({"classes": outputs})
    check_reference({"boundaries": [np.array([0.1, 0.2])]})


SIZE = (32, 64)
PICTURES = [RANDOM.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(4)]


@pytest.fixture(scope="module")
def model():
    """Return a random network that finds classes and boundaries."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        keras.utils.set_random_seed(1)
        model = DLASegmenter("dla_tiny", 4, boundary_head=True)
        model(np.stack(PICTURES), training=True)
        yield model


@pytest.fixture(scope="module")
def exporter(model):
    return Exporter(model, SIZE, calibration=PICTURES, held_out=PICTURES)


@pytest.fixture(scope="module")
def files(exporter):
    return {name: exporter.convert(name) for name in ("float32", "int8")}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_scores_behind_a_mask_are_compared(exporter, files, precision):
    found = exporter.verify(files[precision].pack())
    for kind in ("classes", "boundaries"):
        bound = PRECISIONS[precision].max_noise
        assert 0 < found[kind].noise < bound, kind
        assert found[kind].fault(0.5, bound) is None


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_head_of_zeros_is_refused_behind_a_mask_too(
    exporter, files, precision
):
    file = TfliteFile(files[precision].pack())
    scores = TfliteFile(scores_of_mask(file.pack()))
    assert "logits" in scores.output_names and "ARG_MAX" not in scores.ops
    kernels = [
        o.inputs[1]
        for o in file.operators
        if file.name_of(o) == "CONV_2D"
        and file.tensors[o.inputs[1]].shape[0] == 4
    ]
    for index in kernels:
        data = file._model.buffers[file.tensors[index].buffer].data
        data[:] = 0
    assert kernels
    found = exporter.verify(file.pack())
    assert found["classes"].noise >= 0.99 > COARSE
    assert found["classes"].fault(1e-3, PRECISIONS[precision].max_noise)
    assert found["boundaries"].noise < COARSE  # of a head of its own


def test_a_model_that_tells_nothing_apart_is_told_before_the_conversion(
    model, monkeypatch
):
    monkeypatch.setattr(Exporter, "convert", lambda *_: pytest.fail("later"))
    kept = model.fc.get_weights()
    model.fc.set_weights([0 * kept[0], kept[1]])
    try:
        with pytest.raises(VerificationError, match="says class .* everywhere"):
            export_tflite(model, size=SIZE, held_out=PICTURES)
    finally:
        model.fc.set_weights(kept)
