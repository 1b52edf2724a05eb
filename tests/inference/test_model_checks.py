"""A model file is looked at as data before native code gets it."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tiny_variant import TINY_VARIANT

from dla_keras import DLASegmenter
from dla_keras.inference import model_checks
from dla_keras.inference import model_files
from dla_keras.inference.model_checks import NO_DIGEST
from dla_keras.inference.model_checks import check_file
from dla_keras.inference.model_files import SAVED_FACTS
from dla_keras.inference.model_files import ModelFile
from dla_keras.inference.model_files import open_model
from dla_keras.inference.tflite_facts import named_buffers
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.variants import VARIANTS

IMAGE = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def data():
    """Return an int8 file as the exporter writes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "dla_tiny", TINY_VARIANT["dla_tiny"])
        model = DLASegmenter("dla_tiny", 3)
        return Exporter(model, (32, 64), calibration=[IMAGE]).make("int8").data


def unsealed(data):
    place = model_checks.digest_place(data)
    return data[:place] + NO_DIGEST.encode() + data[place + 64 :]


def test_a_file_knows_its_bytes(data):
    expected = LiteModel(data)(IMAGE)
    (weights, *_) = sorted(named_places(data), key=lambda p: p[0] - p[1])
    random = np.random.default_rng(0)
    for place in random.integers(*weights, 40):
        damaged = bytearray(data)
        damaged[place] ^= 1 << random.integers(8)
        with pytest.raises(ValueError, match="not what the exporter wrote"):
            LiteModel(bytes(damaged))
    # Nowhere does a flipped bit give another mask.
    for place in random.integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[place] ^= 1 << random.integers(8)
        try:
            mask = LiteModel(bytes(damaged))(IMAGE)
        except ValueError:
            continue
        np.testing.assert_array_equal(mask, expected)


def named_places(data):
    """Return where each buffer of a file begins and ends."""
    found = []
    for content in TfliteFile(data)._model.buffers:
        if content.data is not None and len(content.data) > 64:
            start = data.find(np.asarray(content.data, np.uint8).tobytes())
            found.append((start, start + len(content.data)))
    return found


def test_no_length_of_a_file_passes(data):
    for length in range(0, len(data), len(data) // 60):
        with pytest.raises(ValueError):
            LiteModel(data[:length])


def graph(file):
    return file._model.subgraphs[0]


def rounded(file):
    return next(
        tensor
        for tensor in graph(file).tensors
        if tensor.quantization is not None
        and tensor.quantization.scale is not None
        and len(tensor.quantization.scale) > 1
    )


def constant(file):
    buffers = file._model.buffers
    return next(
        tensor
        for tensor in graph(file).tensors
        if buffers[tensor.buffer].data is not None
        and len(buffers[tensor.buffer].data) > 8
    )


FAULTS = {
    "an operation does not exist": lambda file: setattr(
        graph(file).operators[3], "opcodeIndex", 99
    ),
    "a tensor does not exist": lambda file: setattr(
        graph(file).operators[3], "inputs", [0, 10**6]
    ),
    "tensor does not exist": lambda file: setattr(graph(file), "outputs", [-5]),
    "lacks operations, inputs or": lambda file: setattr(
        graph(file), "operators", []
    ),
    "network lacks .* outputs": lambda file: setattr(
        graph(file), "outputs", []
    ),
    "a constant does not exist": lambda file: setattr(
        constant(file), "buffer", 10**6
    ),
    "constant of .* bytes has": lambda file: setattr(
        constant(file), "shape", [1, 2, 3, 4, 5]
    ),
    r"has the shape \[-7\]": lambda file: setattr(
        constant(file), "shape", [-7]
    ),
    "a scale is no positive": lambda file: setattr(
        rounded(file).quantization, "scale", [np.nan]
    ),
    "scale is no positive number": lambda file: setattr(
        rounded(file).quantization, "scale", [-1.0]
    ),
    "2 scales for": lambda file: setattr(
        rounded(file).quantization, "scale", [1.0, 2.0]
    ),
    "'Magic', which is none": lambda file: file._model.operatorCodes[
        0
    ].__dict__.update(
        builtinCode=32, deprecatedBuiltinCode=32, customCode=b"Magic"
    ),
}


@pytest.mark.parametrize("message", FAULTS)
def test_valid_flatbuffers_are_looked_through(message, data):
    file = TfliteFile(unsealed(data))
    check_file(file.pack())
    FAULTS[message](file)
    with pytest.raises(ValueError, match=message):
        LiteModel(file.pack())


def test_tables_without_end_stop(data):
    walk = model_checks.Walk(data)
    with pytest.raises(ValueError, match="no complete"):
        for _ in range(len(data)):
            walk.tables(walk.model, 4)


def test_a_file_of_others_runs_apart_first(data, tmp_path, monkeypatch):
    path = tmp_path / "other.tflite"
    path.write_bytes(unsealed(data))
    np.testing.assert_array_equal(
        LiteModel(path)(IMAGE), LiteModel(data)(IMAGE)
    )
    for trial, message in (
        ("import os; os.abort()", r"other.tflite: The runtime dies .*SIGABRT"),
        ("raise RuntimeError('lacks data')", "cannot run .*lacks data"),
    ):
        monkeypatch.setattr(model_checks, "_TRIAL", trial)
        with pytest.raises(ValueError, match=message):
            LiteModel(path)
        path.write_bytes(data)
        LiteModel(path)  # ours does not
        path.write_bytes(unsealed(data))


def test_the_digest_is_the_files(data):
    facts = read_facts(data)
    assert json.loads(bytes(named_buffers(data)["DLA_KERAS"])) == facts
    assert len(facts["digest"]) == 64 and facts["digest"] != NO_DIGEST
    assert model_checks.sealed(unsealed(data)) == data


def test_names_are_said_twice_and_alike(data):
    other = unsealed(data).replace(b'"name":"1"', b'"name":"7"')
    with pytest.raises(ValueError, match="name other classes than its labels"):
        LiteModel(other)
    start = data.rindex(b"labels.txt")
    with pytest.raises(ValueError, match="labels at its end are missing"):
        LiteModel(unsealed(data)[: start - 60])


def test_more_classes_than_a_byte_numbers_are_refused(tmp_path, monkeypatch):
    many = ModelFile("m.keras", ("segmentation",), num_classes=300)
    monkeypatch.setattr(model_files, "_open", lambda *_: many)
    with pytest.raises(ValueError, match="at most 256 .*m.keras with 300"):
        open_model("m.keras")


# === SavedModels ===


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"names": "abc"}, "`names` is a list"),
        ({"names": ["a", 3, "c"]}, r"`names\[1\]` is a line"),
        ({"names": ["a"]}, "names of 3 classes.* Received: 1 in"),
        ({"palette": ["red"] * 3}, r"`palette\[0\]` is three whole"),
        ({"palette": [[0, 0, 0]]}, "palette of 3 classes"),
        ({"input": {"fit": 7}}, r"`input\.fit` is a line"),
        ({"input": {"fit": "crop"}}, "policy of fitting among pad"),
        ([], "expected an object"),
    ],
)
def test_what_a_saved_model_says_is_checked(saved, facts, message):
    (saved / SAVED_FACTS).write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=message) as caught:
        open_model(saved)
    assert str(saved / SAVED_FACTS) in str(caught.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a small SavedModel of three classes, of one operation."""
    folder = tmp_path_factory.mktemp("saved")
    module = tf.Module()
    module.serve = tf.function(
        lambda images: {
            "mask": tf.cast(images[..., 0], tf.int64),
            "logits": tf.cast(images, tf.float32),
        },
        input_signature=[IMAGES],
    )
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.serve}
    )
    (folder / SAVED_FACTS).parent.mkdir()
    return folder


IMAGES = tf.TensorSpec((None, 32, 32, 3), tf.uint8)


def mask(images):
    return tf.cast(images[..., 0] > 9, tf.int64)


def writes(images):
    with tf.control_dependencies([tf.io.write_file("written", "x")]):
        return mask(images)


def reads(images):
    size = tf.strings.length(tf.io.read_file("/etc/hostname"))
    return mask(images) + tf.cast(size, tf.int64)


def runs_python(images):
    return tf.ensure_shape(
        tf.py_function(mask, [images], tf.int64), (None, 32, 32)
    )


def lies_deep(images):
    inner = tf.function(
        lambda x: tf.while_loop(
            lambda i, _: i < 1,
            lambda i, y: (i + 1, writes(images)),
            (0, mask(x)),
        )[1]
    )
    return tf.function(lambda x: inner(x))(images)


def write(function, folder):
    module = tf.Module()
    module.serve = tf.function(
        lambda images: {"mask": function(images)}, input_signature=[IMAGES]
    )
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.serve}
    )
    return folder


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (writes, "WriteFile"),
        (reads, "ReadFile"),
        (runs_python, "EagerPyFunc"),
        (lies_deep, "While"),
    ],
)
def test_what_does_more_than_compute_is_named(
    function, operation, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = write(function, tmp_path / "model")
    (tmp_path / "written").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=f"uses .*{operation}.* not opened"):
        open_model(folder)
    assert not (tmp_path / "written").exists()


def test_an_old_or_broken_graph_is_told(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x00broken")
    with pytest.raises(ValueError, match="saved_model.pb is no SavedModel"):
        open_model(tmp_path)
