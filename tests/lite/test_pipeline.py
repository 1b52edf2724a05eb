"""From a Keras model to a `.tflite` file: numbers, files and refusals.

One small model that knows coloured boxes is converted once for each kind of
file.
"""

import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from boxes import CALIBRATION
from boxes import INT8_AGREEMENT
from boxes import PICTURES
from boxes import SIZE
from boxes import draw
from boxes import fitted
from files import convert

from dla_keras import DLABoundaryDetector
from dla_keras import DLASegmenter
from dla_keras.files import atomic_path
from dla_keras.files import new_folder
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.file import tflite_file
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.agreement import compare
from dla_keras.lite.measure.agreement import lite_outputs
from dla_keras.lite.measure.agreement import model_outputs
from dla_keras.quiet import quiet_stderr

pytestmark = pytest.mark.usefixtures("small_networks")

FLOAT_OPS = {
    "ADD", "ARG_MAX", "CAST", "CONCATENATION", "CONV_2D", "MAX_POOL_2D",
    "PAD", "RESIZE_BILINEAR",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def files(model):
    """(precision, head) -> bytes."""
    return {
        (precision, head): convert(model, SIZE, precision, head, CALIBRATION)
        for precision, head in (
            ("float32", "mask"),
            ("float32", "logits"),
            ("float32", "coarse_logits"),
            ("float16", "logits"),
            ("int8", "mask"),
            ("int8", "logits"),
        )
    }


def logits_of(model, picture):
    return model(picture[None], training=False).numpy()[0]


def relative_error(model, data):
    """Largest error over the logits' range, on one held-out picture."""
    expected = logits_of(model, PICTURES[0])
    error = np.abs(LiteModel(data).run(PICTURES[0]) - expected).max()
    return error / np.ptp(expected)


def test_float32_logits_equal_keras(model, files):
    # Sums in another order: float32 roundings (6e-8) over some sixty layers.
    assert relative_error(model, files["float32", "logits"]) < 1e-4


def test_the_first_convolution_multiplies_pixels(model):
    config = model.get_config() | {"mean": (0.3, 0.5, 0.7)}
    other = DLASegmenter.from_config(config | {"std": (0.1, 0.2, 0.4)})
    other.set_weights(model.get_weights())
    before = [np.copy(weights) for weights in other.get_weights()]
    data = convert(other, SIZE, "float32", "logits")
    assert "MUL" not in TfliteFile(data).ops
    assert relative_error(other, data) < 1e-4
    for ours, theirs in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_tuned_for_x86_gives_the_same_masks(model, files):
    tuned = convert(model, SIZE, "int8", "mask", CALIBRATION, tuned_for="x86")
    assert TfliteFile(tuned).op_counts["SPACE_TO_DEPTH"] == 1
    assert not TfliteFile(files["int8", "mask"]).op_counts["SPACE_TO_DEPTH"]
    for picture in PICTURES[:3]:
        np.testing.assert_array_equal(
            LiteModel(tuned)(picture), LiteModel(files["int8", "mask"])(picture)
        )


def test_float16_rounds_weights_only(model, files):
    # Weights carry 11 bits: 5e-4 each. A float32 file would give a hundredth
    # of the error, and a wrong channel 1e-1.
    error = relative_error(model, files["float16", "logits"])
    assert 1e-4 < error < 1e-2
    sizes = [len(files[p, "logits"]) for p in ("float16", "float32")]
    assert sizes[0] < 0.6 * sizes[1]
    assert TfliteFile(files["float16", "logits"]).in_half
    assert not TfliteFile(files["float32", "logits"]).in_half


def test_what_half_precision_cannot_hold_is_no_float16_file():
    """Numbers above 65504 are none on a phone, and fine on this machine."""
    large = DLASegmenter("dla46_c", 3)
    gamma = next(v for v in large.variables if v.name == "gamma")
    gamma.assign(gamma * 1e5)
    exporter = Exporter(large, SIZE, held_out=PICTURES[:2], min_agreement=0)
    file = exporter.convert("float16")
    assert np.isfinite(LiteModel(file.pack())(PICTURES[0])).all()
    with pytest.raises(VerificationError, match="half precision.*not finite"):
        exporter.finish(file, "float16")


def test_int8_keeps_classes_and_is_a_quarter(model, files):
    exporter = Exporter(model, SIZE, held_out=PICTURES)
    found = exporter.verify(files["int8", "mask"])["classes"]
    assert found.mean > INT8_AGREEMENT
    assert found.pictures == len(PICTURES)
    assert found.minimum <= found.mean
    sizes = [len(files[p, "mask"]) for p in ("int8", "float32")]
    assert sizes[0] < 0.35 * sizes[1]


def test_model_knows_something(model):
    # Otherwise agreement would be no test: a constant mask agrees too.
    image, label = draw(100)
    mask = logits_of(model, image).argmax(-1)
    assert len(np.unique(mask)) >= 4
    assert (mask == label).mean() > 0.5


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_mask_is_argmax_of_logits(files, precision):
    logits = LiteModel(files[precision, "logits"])
    mask = LiteModel(files[precision, "mask"])
    for picture in PICTURES[:2]:
        np.testing.assert_array_equal(
            logits.run(picture).argmax(-1), mask.run(picture)
        )
        np.testing.assert_array_equal(logits(picture), mask(picture))


def test_coarse_logits_are_enlarged_as_the_model_does(files, tmp_path):
    coarse = LiteModel(files["float32", "coarse_logits"])
    path = tmp_path / "coarse.tflite"
    path.write_bytes(files["float32", "coarse_logits"])
    opened = open_model(path)
    full = LiteModel(files["float32", "logits"])
    for picture in PICTURES[:2]:
        expected = full.run(picture)
        # The same four neighbours, summed in another order.
        error = np.abs(coarse.run(picture) - expected).max()
        assert error < 1e-5 * np.ptp(expected)
        # Nearly equal scores may swap: a pixel of 6144.
        assert (coarse(picture) == full(picture)).mean() > 0.9995
        cut = picture[:50, :90]
        assert opened.probabilities(cut).shape == (50, 90, 5)
        np.testing.assert_array_equal(
            opened.masks(cut), opened.probabilities(cut).argmax(-1)
        )


def test_input_and_output_are_static_and_uint8(files):
    for (precision, head), data in files.items():
        facts = TfliteFile(data)
        (image,), (output,) = facts.inputs, facts.outputs
        assert image.signature == image.shape == (1, *SIZE, 3)
        assert image.dtype == "uint8"
        assert output.signature == output.shape
        if head == "mask":
            assert (output.dtype, output.shape) == ("uint8", (1, *SIZE))
        else:
            stride = 4 if head == "coarse_logits" else 1
            height, width = (side // stride for side in SIZE)
            assert output.shape == (1, height, width, 5)
            dtype = "uint8" if precision == "int8" else "float32"
            assert output.dtype == dtype
            assert (output.scale is not None) == (precision == "int8")


def test_int8_takes_pixels_as_they_are_and_never_turns_to_float(files):
    for head in ("mask", "logits"):
        facts = TfliteFile(files["int8", head])
        assert (facts.inputs[0].scale, facts.inputs[0].zero_point) == (1, 0)
        assert facts.float_ops == 0
        assert "DEQUANTIZE" not in facts.op_counts


def test_batch_norms_are_folded_and_operations_few(files):
    counts = TfliteFile(files["float32", "mask"]).op_counts
    assert counts["MUL"] <= 1  # the normalization
    assert set(counts) <= FLOAT_OPS


def test_learned_mixed_precision_model_converts_at_another_size():
    half = DLASegmenter(
        "dla46_c",
        3,
        upsampling="learned",
        input_shape=(32, 32, 3),
        dtype="mixed_float16",
    )
    data = convert(half, (64, 32), head="logits")
    ops = set(TfliteFile(data).ops)
    assert ops - FLOAT_OPS == {"DEPTH_TO_SPACE", "DEPTHWISE_CONV_2D"}
    full = DLASegmenter("dla46_c", 3, upsampling="learned")
    full.set_weights(half.get_weights())
    picture = PICTURES[0][:, :32]
    expected = logits_of(full, picture)
    error = np.abs(LiteModel(data).run(picture) - expected).max()
    assert error < 1e-4 * np.ptp(expected)


def test_foreign_operations_are_refused(files, monkeypatch):
    data = files["float32", "mask"]
    TfliteFile(data).refuse_foreign_ops()
    foreign = frozenset({"MAX_POOL_2D"})
    monkeypatch.setattr(tflite_file, "VARIABLE_OPS", foreign)
    with pytest.raises(ValueError, match="Received: MAX_POOL_2D"):
        TfliteFile(data).refuse_foreign_ops()


def converted(function, *specs):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(function, input_signature=specs).get_concrete_function()]
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    with quiet_stderr():
        return converter.convert()


def test_flex_operations_and_open_shapes_are_refused():
    flex = converted(tf.linalg.det, tf.TensorSpec((2, 2), tf.float32))
    with pytest.raises(ValueError, match="CUSTOM:FlexMatrixDeterminant"):
        TfliteFile(flex).refuse_foreign_ops()
    dynamic = converted(tf.nn.relu, tf.TensorSpec((None, 2), tf.float32))
    with pytest.raises(ValueError, match="fixed shape"):
        TfliteFile(dynamic).refuse_foreign_ops()
    with pytest.raises(ValueError, match="RGB picture"):
        LiteModel(converted(tf.nn.relu, tf.TensorSpec((2, 2), tf.float32)))


@pytest.mark.parametrize(
    ("network", "sides", "message"),
    [
        (lambda x: x, (None, None), r"\[1, -1, -1, 3\] to .* open \(-1\)"),
        (lambda x: x[:, ::2, ::3], SIZE, r"\[1, 32, 32, 3\]"),
        (lambda x: x[:, :48], SIZE, r"\[1, 48, 96, 3\]"),
        (lambda x: x[:, ::2, ::2, 0], SIZE, r"\[1, 32, 48\]"),
        (lambda x: {"logits": x, "boxes": x + 1}, SIZE, "float32 .*, float32"),
        (lambda x: {"boundary": x[:, ::2, ::2, 0]}, SIZE, r"\[1, 32, 48\]"),
    ],
)
def test_files_of_other_outputs_are_told(network, sides, message):
    spec = tf.TensorSpec((1, *sides, 3), tf.uint8)
    data = converted(lambda x: network(tf.cast(x, tf.float32) * 2), spec)
    with pytest.raises(ValueError, match=f"RGB picture of .*{message}"):
        LiteModel(data)


def test_files_of_two_pictures_are_told():
    spec = tf.TensorSpec((1, *SIZE, 3), tf.uint8)
    floats = lambda image: tf.cast(image, tf.float32)
    data = converted(lambda x, y: floats(x) * floats(y), spec, spec)
    with pytest.raises(ValueError, match="from uint8 .*, uint8 .* to float32"):
        LiteModel(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (64, 100)}, "next size up is 64x128"),
        ({"size": (0, 96)}, "multiples of 32"),
        ({"precision": "int4"}, "float32, float16, dynamic, int8, int16x8"),
        ({"head": "boxes"}, "mask, logits"),
        ({"tuned_for": "mips"}, "arm, x86"),
        ({"precision": "int8"}, "training split"),
        ({"model": keras.Sequential()}, "Expected a DLASegmenter, a"),
    ],
)
def test_wrong_arguments_are_named(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        convert(**{"model": model, "size": SIZE, **arguments})


def test_weights_that_are_no_numbers_are_not_exported():
    broken = DLASegmenter("dla46_c", 3)
    (kernel, *_) = broken.weights
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="kernel is not finite"):
        Exporter(broken, SIZE)


def test_broken_files_are_named(files, tmp_path):
    path = tmp_path / "half.tflite"
    for data in (files["float32", "mask"][:50_000], b"no model", b""):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="half.tflite"):
            LiteModel(path)
    with pytest.raises(FileNotFoundError, match="missing.tflite"):
        LiteModel(tmp_path / "missing.tflite")


def test_runtime_wants_pictures_of_its_size(files):
    lite_model = LiteModel(files["float32", "mask"])
    for picture in (np.zeros((32, 32, 3), "uint8"), PICTURES[0] / 255):
        with pytest.raises(ValueError, match="takes a uint8 picture"):
            lite_model(picture)


def test_missing_runtime_says_what_to_install(files, monkeypatch):
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        LiteModel(files["float32", "mask"])


def test_agreement_counts_pixels(model, files):
    half_right = LiteModel(files["float32", "mask"])
    reference = half_right(PICTURES[0])

    class Fake:
        name = "half right"
        input_shape = (1, *SIZE, 3)
        tasks = ("segmentation",)
        gives_mask = True
        fit = half_right.fit
        class_names = palette = num_classes = None
        facts = {}

        def __call__(self, image):
            wrong = half_right(image).copy()
            wrong[:32] += 1
            return wrong

    def agreement(pictures):
        (output,) = model_outputs(model, SIZE).values()
        expected = {"classes": list(map(output, pictures))}
        return compare(expected, lite_outputs(Fake()), pictures)

    found = agreement(PICTURES[:1])["classes"]
    assert reference.shape == SIZE
    assert abs(found.mean - 0.5) < 1e-3
    with pytest.raises(VerificationError, match="at least 0.6"):
        found.require(0.6)
    with pytest.raises(ValueError, match="at least one picture"):
        agreement([])


def test_saved_model_of_one_size(model, tmp_path):
    write_saved_model(model, tmp_path, SIZE)
    predictor = open_model(tmp_path).masks
    assert predictor.size == SIZE
    assert predictor(PICTURES[0][:50, :90]).shape == (50, 90)
    with pytest.raises(ValueError, match="multiples of 32"):
        write_saved_model(model, tmp_path, (50, 90))


def test_a_saved_model_gives_boundaries(tmp_path):
    detector = DLABoundaryDetector("dla46_c")
    write_saved_model(detector, tmp_path, (32, 64))
    opened = open_model(tmp_path)
    assert opened.tasks == ("boundary",)
    picture = PICTURES[0][:32, :64]
    np.testing.assert_allclose(
        opened.boundaries(picture),
        boundary_predictor(detector)(picture),
        atol=1e-5,
    )


def test_folders_of_others_are_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(FileExistsError, match="thesis|saved_model.pb"):
        with new_folder(tmp_path / "mine", "saved_model.pb"):
            pass
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_failed_writes_leave_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="half way"):
        with new_folder(tmp_path / "a", "saved_model.pb") as folder:
            (folder / "saved_model.pb").write_text("x")
            raise RuntimeError("half way")
    with pytest.raises(RuntimeError, match="half way"):
        with atomic_path(tmp_path / "b") as temporary:
            temporary.write_text("x")
            raise RuntimeError("half way")
    assert not list(tmp_path.iterdir())


def test_chatter_is_shown_only_on_an_unexpected_failure(capfd):
    with quiet_stderr():
        os.write(2, b"chatter")
    with pytest.raises(ValueError), quiet_stderr():
        os.write(2, b"chatter")
        raise ValueError("expected")
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError), quiet_stderr():
        os.write(2, b"the reason")
        raise RuntimeError("unexpected")
    assert "the reason" in capfd.readouterr().err


def test_only_our_models_go_to_files_and_only_to_tflite_files(tmp_path):
    other = keras.Sequential([keras.Input((32, 32, 3))])
    with pytest.raises(ValueError, match="Received: Sequential"):
        export_tflite(other)
    path = tmp_path / "model.keras"
    path.write_text("mine")
    model = DLASegmenter("dla46_c", 3)
    with pytest.raises(ValueError, match="called .tflite"):
        export_tflite(model, path, size=(32, 32))
    assert path.read_text() == "mine"
