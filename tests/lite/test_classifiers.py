"""Classifiers as `.tflite` files: probabilities, facts, agreement."""

import io
import json
import subprocess
import zipfile
from unittest import mock

import keras
import numpy as np
import pytest
from files import nothing_agrees
from mediapipe_python import mediapipe_python
from running import command
from tiny_variant import TINY_VARIANT

from dla_keras.data.classification import open_classification_split
from dla_keras.data.classification import read_digit
from dla_keras.data.fitting import central_crop
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import softmax
from dla_keras.inference.tflite_facts import named_buffers
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.file.facts import METADATA
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.comparison import Row
from dla_keras.lite.measure.comparison import whole_scores
from dla_keras.lite.options import PRECISIONS
from dla_keras.models.classifier import DLAClassifier
from dla_keras.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("small_networks")

SIZE = (32, 64)
NAMES = tuple(f"digit {number}" for number in range(10))
TRAIN = [read_digit("train", index) for index in range(60)]
VAL = [read_digit("val", index)[0] for index in range(20)]


@pytest.fixture(scope="module")
def model():
    """Return a random network whose last layer is fitted to some digits.

    Blocks add little to their shortcuts, so that roundings do not grow.
    """
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        keras.utils.set_random_seed(2)
        model = DLAClassifier(
            "dla_tiny",
            num_classes=len(NAMES),
            classifier_activation=None,
            class_names=NAMES,
        )
        crops = np.stack([crop(image) for image, _ in TRAIN])
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
                if "conv2" in layer.name:  # the end of a block
                    layer.gamma.assign(0.1 * layer.gamma)
        model(crops, training=True)
        features = keras.Model(model.input, model.fc.input)
        x = features(crops, training=False).numpy()
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        y = 6 * np.eye(len(NAMES))[[label for _, label in TRAIN]]
        ridge = 1e-2 * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1])
        weights = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        model.fc.set_weights([weights[:-1], weights[-1]])
        yield model


def crop(image, crop_fraction=0.875):
    return central_crop(image, SIZE, crop_fraction)


@pytest.fixture(scope="module")
def exporter(model):
    return Exporter(
        model,
        SIZE,
        calibration=[image for image, _ in TRAIN[:20]],
        held_out=VAL,
        created="2001-02-03",
    )


@pytest.fixture(scope="module")
def files(exporter):
    """Precision -> file."""
    return {precision: exporter.make(precision) for precision in PRECISIONS}


def keras_probabilities(model):
    logits = model(np.stack([crop(image) for image in VAL]), training=False)
    return keras.ops.softmax(logits).numpy()


# Roundings of twenty layers; 8 bits of each.
ERRORS = {
    "float32": 1e-5,
    "float16": 1e-2,
    "dynamic": 0.15,
    "int8": 0.15,
    "int16x8": 0.1,
}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_gives_the_models_probabilities(files, model, precision):
    lite = LiteModel(files[precision].data)
    assert lite.tasks == ("classification",)
    assert lite.class_names == NAMES and lite.palette is None
    found = np.stack([lite.run(crop(image)) for image in VAL])
    assert found.dtype == np.float32 and found.shape == (len(VAL), len(NAMES))
    np.testing.assert_allclose(found.sum(-1), 1, atol=0.03)
    error = np.abs(found - keras_probabilities(model)).mean()
    assert error < ERRORS[precision]
    assert len(np.unique(found.argmax(-1))) > 3  # it knows some digits


def test_pixels_go_in_and_bytes_come_out_of_int8(files):
    file = TfliteFile(files["int8"].data)
    assert str(file.inputs[0]) == "uint8 (1, 32, 64, 3), " + (
        "scale 1, zero point 0"
    )
    (output,) = file.outputs
    assert (output.dtype, output.shape) == ("uint8", (1, len(NAMES)))
    assert (output.scale, output.zero_point) == (1 / 256, 0)
    assert file.float_ops == 0
    (output,) = TfliteFile(files["float32"].data).outputs
    assert (output.dtype, output.scale) == ("float32", None)


def test_agreement_is_of_the_likeliest_class(files, model):
    expected = keras_probabilities(model).argmax(-1)
    for made in files.values():
        lite = LiteModel(made.data)
        found = np.array([lite.run(crop(image)).argmax() for image in VAL])
        share = (found == expected).mean()
        assert made.agreement["classes"].mean == pytest.approx(share)
        assert made.agreement["classes"].pictures == len(VAL)
        # Measured: 0.75 in int8, more elsewhere; chance would be 0.1.
        assert share >= 0.7


def test_the_file_says_what_it_is(files):
    facts = read_facts(files["int8"].data)
    assert facts["task"] == "classification"
    assert facts["classes"] == [{"name": name} for name in NAMES]
    assert facts["input"] == {
        "height": 32,
        "width": 64,
        "channels": "RGB",
        "range": [0, 255],
    }
    assert facts["outputs"] == [
        {
            "name": "probabilities",
            "kind": "probabilities",
            "dtype": "uint8",
            "shape": [1, 10],
            "scale": 1 / 256,
            "zero_point": 0,
        }
    ]
    with zipfile.ZipFile(io.BytesIO(files["int8"].data)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(NAMES)
    metadata = bytes(named_buffers(files["int8"].data)[METADATA])
    assert b"labels.txt" in metadata and b"SEGMENTER" not in metadata


def test_the_run_says_what_was_cropped(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    (tmp_path / "config.json").write_text('{"crop_fraction": 1.0}')
    whole = Exporter(model, SIZE, path=path)
    image = VAL[0]
    np.testing.assert_array_equal(whole.fit(image), crop(image, 1.0))
    facts = read_facts(whole.make("float32").data)
    assert facts["input"]["crop_fraction"] == 1.0


def test_files_are_scored_by_their_likeliest_class(exporter, files, tmp_path):
    path = tmp_path / "int8.tflite"
    path.write_bytes(files["int8"].data)
    lite = LiteModel(path)
    val = open_classification_split("digits", "val")
    found = whole_scores(exporter, val, None, open_model(path))
    digits = [read_digit("val", index) for index in range(360)]
    hits = [lite.run(crop(image)).argmax() == label for image, label in digits]
    assert found["top1"] == pytest.approx(np.mean(hits))
    assert found["top1"] < found["top5"] < 1
    row = Row("x", "x", 1.0, 1.0, scores=found, of_keras={"top1": 1.0})
    assert row.loss == pytest.approx(100 * (1 - found["top1"]))
    assert row.class_loss == {}


CLASSIFY = """
import json, sys, numpy, mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageClassifierOptions(
    BaseOptions(model_asset_path=sys.argv[1]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    result = classifier.classify(mediapipe.Image(
        mediapipe.ImageFormat.SRGB, numpy.load(sys.argv[2])))
    (found,) = result.classifications
    print(json.dumps({c.category_name: c.score for c in found.categories}))
"""


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_mediapipe_names_the_classes(files, tmp_path, precision):
    path, picture = tmp_path / "model.tflite", tmp_path / "picture.npy"
    path.write_bytes(files[precision].data)
    np.save(picture, crop(VAL[0]))
    arguments = [mediapipe_python(), "-c", CLASSIFY, str(path), str(picture)]
    said = subprocess.check_output(arguments, stderr=subprocess.DEVNULL)
    found = json.loads(said)
    expected = LiteModel(path).run(crop(VAL[0]))
    scores = [found[name] for name in NAMES]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_too_little_agreement_writes_nothing(model, tmp_path, monkeypatch):
    path = tmp_path / "x.tflite"
    options = {"size": SIZE, "held_out": VAL[:2], "min_agreement": 0.5}
    with monkeypatch.context() as patch:
        nothing_agrees(patch)
        with pytest.raises(VerificationError, match=r"mean of at least 0\.5"):
            export_tflite(model, path, **options)
    assert not path.exists()
    export_tflite(model, path, **options)
    assert LiteModel(path).tasks == ("classification",)


def test_a_network_without_top_has_nothing_to_say():
    features = DLAClassifier("dla46_c", include_top=False)
    with pytest.raises(ValueError, match="or a DLAClassifier with its top"):
        Exporter(features, SIZE)


def test_a_saved_model_gives_probabilities(model, tmp_path):
    import tensorflow as tf

    write_saved_model(model, tmp_path / "saved", SIZE)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures
    crops = tf.constant(np.stack([crop(image) for image in VAL]))
    found = serve["serving_default"](image=crops)
    assert set(found) == {"probabilities"}
    np.testing.assert_allclose(
        found["probabilities"], keras_probabilities(model), atol=1e-5
    )


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    """Write what training leaves: a model, and the name of its data."""
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "model.keras")
    config = {"dataset": "digits", "size": "32x64", "crop_fraction": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_command_exports_a_classifier(run_folder, capfd):
    output = run_folder / "int8.tflite"
    flags = "--precision int8 --min-agreement 0.7 --calibration-pictures 20"
    code = command("export_tflite")(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + flags.split()
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "uint8 (1, 10)" in out and "agreement of classes" in out
    opened = open_model(output)
    assert opened.tasks == ("classification",)
    assert (opened.size, opened.crop_fraction) == (SIZE, 1.0)
    crops = np.stack([crop(image, 1.0) for image in VAL])
    expected = open_model(run_folder / "model.keras").logits(crops)
    found = opened.logits(crops)
    assert (found.argmax(-1) == expected.argmax(-1)).mean() >= 0.7


def test_the_command_saves_a_classifier(run_folder, capfd):
    output = run_folder / "saved_model"
    code = command("export_saved_model")(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "probabilities" in out and "agreement of classes" in out
    opened = open_model(output)
    assert opened.tasks == ("classification",)
    crops = np.stack([crop(image) for image in VAL[:3]])
    np.testing.assert_allclose(
        softmax(opened.logits(crops)),
        softmax(open_model(run_folder / "model.keras").logits(crops)),
        atol=1e-5,
    )
