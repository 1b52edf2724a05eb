"""From a Keras model to a `.tflite` file: numbers, files and refusals.

One small model that knows coloured boxes is converted once for each kind of
file.
"""

import json
import os
import pathlib
import runpy
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dla_keras import DLASegmenter
from dla_keras.files import atomic_path
from dla_keras.files import new_folder
from dla_keras.inference import load_predictor
from dla_keras.lite import inspection
from dla_keras.lite.conversion import convert
from dla_keras.lite.inspection import inspect
from dla_keras.lite.inspection import refuse_foreign_ops
from dla_keras.lite.runtime import LiteModel
from dla_keras.lite.saved_model import write_saved_model
from dla_keras.lite.verification import VerificationError
from dla_keras.lite.verification import agreement
from dla_keras.lite.verification import predictor_at
from dla_keras.quiet import quiet_stderr

ROOT = pathlib.Path(__file__).parents[1]
SIZE = (64, 96)  # height and width, pixels
COLORS = np.array(
    [[90, 90, 90], [200, 40, 40], [40, 170, 60], [50, 70, 210], [230, 220, 80]]
)


def draw(seed):
    """A grey picture with noisy boxes in four colours, and its label."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SIZE, np.uint8)
    for color in rng.integers(1, 5, 4):
        top, left = rng.integers(0, 40), rng.integers(0, 64)
        label[top : top + 24, left : left + 32] = color
    noise = rng.normal(0, 12, (*SIZE, 3))
    return np.clip(COLORS[label] + noise, 0, 255).astype(np.uint8), label


FLOAT_OPS = {
    "ADD", "ARG_MAX", "CAST", "CONCATENATION", "CONV_2D", "MAX_POOL_2D",
    "MUL", "PAD", "RESIZE_BILINEAR",
}  # fmt: skip
# Measured 0.94 to 0.95: the small model's classes lie closer together than a
# trained one's. Chance would be 0.3.
INT8_AGREEMENT = 0.9
PICTURES = [draw(seed)[0] for seed in range(100, 106)]
CALIBRATION = [draw(seed)[0] for seed in range(8)]


def fitted(upsampling):
    """A random network whose last layer is fitted to the colours.

    No gradient step: batch norms take one batch's statistics, and the scores
    are a ridge regression. So it knows something within two seconds. Blocks
    add little to their shortcuts, as in a trained network: in a purely random
    one any rounding grows from layer to layer.
    """
    keras.utils.set_random_seed(3)
    model = DLASegmenter("dla46_c", 5, upsampling=upsampling)
    images, labels = map(np.stack, zip(*map(draw, range(8)), strict=True))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if "conv3" in layer.name:  # the end of a block
                layer.gamma.assign(0.1 * layer.gamma)
    model(images, training=True)
    features = keras.Model(model.input, model.fc.input)(images, training=False)
    x = features.numpy().reshape(-1, features.shape[-1])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = 10 * np.eye(5)[labels[:, 2::4, 2::4].ravel()]
    ridge = 3e-2 * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    model.fc.set_weights([weights[None, None, :-1], weights[-1]])
    return model


@pytest.fixture(scope="module")
def model():
    return fitted("bilinear")


@pytest.fixture(scope="module")
def files(model):
    """(precision, head) -> bytes."""
    return {
        (precision, head): convert(model, SIZE, precision, head, CALIBRATION)
        for precision, head in (
            ("float32", "mask"),
            ("float32", "logits"),
            ("float16", "logits"),
            ("int8", "mask"),
            ("int8", "logits"),
        )
    }


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    """What training leaves: a model, its config.json, and the dataset."""
    folder = tmp_path_factory.mktemp("run")
    data = folder / "data"
    data.mkdir()
    for split, seeds in (("train", range(4)), ("val", range(100, 103))):
        for kind in ("images", "labels"):
            names = [f"{kind}_{seed}.png" for seed in seeds]
            (data / f"{split}_{kind}.txt").write_text("\n".join(names))
        for seed in seeds:
            image, label = draw(seed)
            # Odd sizes, as real pictures have: the export pads them.
            Image.fromarray(image[:50, :90]).save(data / f"images_{seed}.png")
            Image.fromarray(label[:50, :90]).save(data / f"labels_{seed}.png")
    facts = {"class_names": list("abcde"), "palette": COLORS.tolist()}
    (data / "info.json").write_text(json.dumps(facts))
    model.save(folder / "model.keras")
    config = {"dataset": "folder", "data_dir": str(data)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def command(name, model=None):
    """A script's `main`; with `model`, it need not read one from disk."""
    main = runpy.run_path(str(ROOT / "export" / f"{name}.py"))["main"]
    if model is not None:
        main.__globals__["load_segmenter"] = lambda path: model
    return main


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


def test_float16_rounds_weights_only(model, files):
    # Weights carry 11 bits: 5e-4 each. A float32 file would give a hundredth
    # of the error, and a wrong channel 1e-1.
    error = relative_error(model, files["float16", "logits"])
    assert 1e-4 < error < 1e-2
    sizes = [len(files[p, "logits"]) for p in ("float16", "float32")]
    assert sizes[0] < 0.6 * sizes[1]


def test_int8_keeps_classes_and_is_a_quarter(model, files):
    lite_model = LiteModel(files["int8", "mask"])
    found = agreement(model, lite_model, PICTURES)
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


def test_input_and_output_are_static_and_uint8(files):
    for (precision, head), data in files.items():
        facts = inspect(data)
        (image,), (output,) = facts.inputs, facts.outputs
        assert image.signature == image.shape == (1, *SIZE, 3)
        assert image.dtype == "uint8"
        assert output.signature == output.shape
        if head == "mask":
            assert (output.dtype, output.shape) == ("uint8", (1, *SIZE))
        else:
            assert output.shape == (1, *SIZE, 5)
            dtype = "uint8" if precision == "int8" else "float32"
            assert output.dtype == dtype
            assert (output.scale is not None) == (precision == "int8")


def test_int8_takes_pixels_as_they_are_and_never_turns_to_float(files):
    for head in ("mask", "logits"):
        facts = inspect(files["int8", head])
        assert (facts.inputs[0].scale, facts.inputs[0].zero_point) == (1, 0)
        assert facts.float_ops == 0
        assert "DEQUANTIZE" not in facts.op_counts


def test_batch_norms_are_folded_and_operations_few(files):
    counts = inspect(files["float32", "mask"]).op_counts
    assert counts["MUL"] <= 1  # the normalisation
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
    ops = set(inspect(data).ops)
    assert ops - FLOAT_OPS == {"DEPTH_TO_SPACE", "DEPTHWISE_CONV_2D"}
    full = DLASegmenter("dla46_c", 3, upsampling="learned")
    full.set_weights(half.get_weights())
    picture = PICTURES[0][:, :32]
    expected = logits_of(full, picture)
    error = np.abs(LiteModel(data).run(picture) - expected).max()
    assert error < 1e-4 * np.ptp(expected)


def test_foreign_operations_are_refused(files, monkeypatch):
    data = files["float32", "mask"]
    refuse_foreign_ops(data)
    monkeypatch.setattr(inspection, "VARIABLE_OPS", frozenset({"MAX_POOL_2D"}))
    with pytest.raises(ValueError, match="Received: MAX_POOL_2D"):
        refuse_foreign_ops(data)


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
        refuse_foreign_ops(flex)
    dynamic = converted(tf.nn.relu, tf.TensorSpec((None, 2), tf.float32))
    with pytest.raises(ValueError, match="fixed shape"):
        refuse_foreign_ops(dynamic)
    with pytest.raises(ValueError, match="RGB picture"):
        LiteModel(converted(tf.nn.relu, tf.TensorSpec((2, 2), tf.float32)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (64, 100)}, "next size up is 64x128"),
        ({"size": (0, 96)}, "multiples of 32"),
        ({"precision": "int4"}, "float32, float16, int8"),
        ({"head": "boxes"}, "mask, logits"),
        ({"precision": "int8"}, "training split"),
        ({"model": keras.Sequential()}, "expected a DLASegmenter"),
    ],
)
def test_wrong_arguments_are_named(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        convert(**{"model": model, "size": SIZE, **arguments})


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
        input_shape = (1, *SIZE, 3)

        def __call__(self, image):
            wrong = half_right(image).copy()
            wrong[:32] += 1
            return wrong

    found = agreement(model, Fake(), PICTURES[:1])
    assert reference.shape == SIZE
    assert abs(found.mean - 0.5) < 1e-3
    with pytest.raises(VerificationError, match="at least 0.6"):
        found.require(0.6)
    with pytest.raises(ValueError, match="at least one picture"):
        agreement(model, half_right, [])


@pytest.mark.parametrize(
    ("precision", "minimum"), [("float32", 0.999), ("int8", INT8_AGREEMENT)]
)
def test_command_writes_a_verified_file(
    model, run_folder, capfd, precision, minimum
):
    output = run_folder / "new" / f"{precision}.tflite"
    in_memory = model if precision == "int8" else None
    code = command("export_tflite", in_memory)(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + ["--precision", precision, "--min-agreement", str(minimum)]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "agreement" in out and "uint8 (1, 64, 96)" in out
    assert err == ""  # not a word from TensorFlow or XNNPACK
    assert len(out.splitlines()) <= 10
    assert [p.name for p in output.parent.glob(f"*{precision}*")] == [
        output.name
    ]
    # What the file gives is what the model gives, for pictures as they come.
    picture = draw(100)[0][:50, :90]
    mask = load_predictor(output)(picture)
    assert mask.shape == (50, 90)
    expected = predictor_at(model, SIZE)(picture)
    assert (mask == expected).mean() > minimum - 0.05


@pytest.mark.parametrize("name", ["export_tflite", "export_saved_model"])
def test_below_the_threshold_nothing_is_written(model, run_folder, capfd, name):
    output = run_folder / "refused" / "file"
    code = command(name, model)(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + ["--min-agreement", "1.01"]
    )
    err = capfd.readouterr().err
    assert code == 1
    assert "Verification failed" in err and "1.01" in err
    assert "Traceback" not in err
    assert not list(output.parent.glob("*")) and not list(
        output.parent.glob(".*")
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--size", "64x100"], "multiples of 32"),
        (["--size", "64"], "HEIGHTxWIDTH"),
        (["--model", "nowhere.keras"], "nowhere"),
        (["--dataset", "no_such"], "no_such"),
        (["--verification-pictures", "0"], "at least one picture"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    run_folder, capfd, tmp_path, changes, message
):
    code = command("export_tflite")(
        ["--model", str(run_folder / "model.keras")]
        + ["--output", str(tmp_path / "out" / "x.tflite"), *changes]
    )
    out, err = capfd.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_without_config_the_dataset_must_be_passed(run_folder, tmp_path, capfd):
    lonely = tmp_path / "model.keras"
    lonely.write_bytes((run_folder / "model.keras").read_bytes())
    arguments = ["--model", str(lonely), "--output", str(tmp_path / "x")]
    assert command("export_tflite")(arguments) == 2
    assert "Pass --dataset" in capfd.readouterr().err


def test_saved_model_gives_mask_and_logits(model, run_folder, capfd):
    output = run_folder / "saved_model"
    arguments = ["--model", str(run_folder / "model.keras")]
    code = command("export_saved_model", model)(
        arguments + ["--output", str(output)]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert err == "" and "agreement" in out
    loaded = tf.saved_model.load(str(output))
    batch = np.stack(PICTURES[:2])
    expected = model(batch, training=False).numpy()
    for name, dtype in (("serving_default", "uint8"), ("serving_float", "f4")):
        found = loaded.signatures[name](image=tf.constant(batch.astype(dtype)))
        assert set(found) == {"mask", "logits"}
        np.testing.assert_allclose(found["logits"], expected, atol=1e-3)
        assert found["mask"].dtype == tf.uint8
        np.testing.assert_array_equal(
            found["mask"], found["logits"].numpy().argmax(-1)
        )
    other = tf.zeros((1, 32, 64, 3), tf.uint8)
    mask = loaded.signatures["serving_default"](image=other)["mask"]
    assert mask.shape == (1, 32, 64)
    assert not list(run_folder.glob(".saved_model*"))


def test_saved_model_of_one_size(model, tmp_path):
    write_saved_model(model, tmp_path, SIZE)
    predictor = load_predictor(tmp_path)
    assert predictor.size == SIZE
    assert predictor(PICTURES[0][:50, :90]).shape == (50, 90)
    with pytest.raises(ValueError, match="multiples of 32"):
        write_saved_model(model, tmp_path, (50, 90))


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
