"""A model file is looked at as data before native code gets it."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tiny_variant import TINY_VARIANT

from dla_keras import DLASegmenter
from dla_keras.inference import model_checks
from dla_keras.inference.model_checks import NO_DIGEST
from dla_keras.inference.model_checks import check_file
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


# === SavedModels ===

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
