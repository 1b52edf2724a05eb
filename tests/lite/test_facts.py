"""A `.tflite` file that explains itself, and is the same file still."""

import io
import json
import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from boxes import CALIBRATION
from boxes import COLORS
from boxes import PICTURES
from boxes import SIZE
from boxes import fitted
from files import convert
from mediapipe_python import mediapipe_python

from dla_keras.inference.tflite_facts import BUFFER
from dla_keras.inference.tflite_facts import OUTPUTS
from dla_keras.inference.tflite_facts import named_buffers
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.file.facts import METADATA
from dla_keras.lite.file.facts import collect_facts
from dla_keras.lite.file.facts import describe
from dla_keras.lite.file.tflite_file import ALIGNMENT
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.options import HEADS
from dla_keras.quiet import quiet_stderr
from dla_keras.tasks import TASKS

pytestmark = pytest.mark.usefixtures("small_networks")

NAMES = ("grey", "rosé", "green", "blue", "yellow")
FILES = (("float32", "logits"), ("int8", "logits"), ("int8", "mask"))


@pytest.fixture(scope="module")
def model():
    model = fitted()
    model.class_names, model.palette = NAMES, COLORS.tolist()
    return model


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "model.keras")
    config = {"dataset": "boxes", "steps": 7, "data_dir": "/home/me/private"}
    (folder / "config.json").write_text(json.dumps(config))
    metrics = {"miou": 0.5, "pixel_accuracy": 0.75, "confusion": [[1]]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture(scope="module")
def plain(model):
    """(precision, head) -> bytes as converted."""
    return {
        (precision, head): convert(model, SIZE, precision, head, CALIBRATION)
        for precision, head in FILES
    }


@pytest.fixture(scope="module")
def described(model, run_folder, plain):
    """(precision, head) -> (facts, bytes)."""
    files = {}
    for (precision, head), data in plain.items():
        path = run_folder / "model.keras"
        facts = collect_facts(model, TfliteFile(data), precision, path)
        files[precision, head] = facts, described_as(data, facts)
    return files


def described_as(data, facts):
    file = TfliteFile(data)
    describe(file, facts)
    return file.pack()


def with_buffers(data, contents):
    file = TfliteFile(data)
    for name, content in contents.items():
        file.add_named_buffer(name, content)
    return file.pack()


def test_facts_come_back(described, run_folder):
    for facts, data in described.values():
        assert read_facts(data) == facts
    facts, _ = described["int8", "mask"]
    assert facts["name"] == "DLA-46-C-Up"
    assert facts["classes"][1] == {"name": "rosé", "color": [200, 40, 40]}
    assert facts["input"] == {
        "height": 64,
        "width": 96,
        "channels": "RGB",
        "range": [0, 255],
        "pad_color": [124, 116, 104],
        "fit": "pad",
    }
    # The machine's own paths and a page of counts stay behind.
    assert facts["training"] == {"dataset": "boxes", "steps": 7}
    assert facts["metrics"] == {"miou": 0.5, "pixel_accuracy": 0.75}
    path = run_folder / "model.keras"
    digest = subprocess.check_output(["sha256sum", path], text=True)
    assert facts["sha256"] == digest.split()[0]


def test_facts_are_read_by_who_only_runs_files(described, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(described["int8", "mask"][1])
    script = (
        "import dla_keras, sys\n"
        "for name in ('tensorflow', 'keras', 'ai_edge_litert'):\n"
        "    sys.modules[name] = None\n"
        "from dla_keras.inference.tflite_facts import read_facts\n"
        "print(read_facts(open(sys.argv[1], 'rb').read())['task'])\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.check_output(command, text=True) == "segmentation\n"


def test_outputs_are_said_as_they_are(described, plain):
    def output(*key):
        (facts,) = described[key][0]["outputs"]
        return facts

    assert output("int8", "mask")["kind"] == "class_ids"
    assert output("int8", "mask")["name"] == "mask"
    assert "scale" not in output("float32", "logits")
    quantized = TfliteFile(plain["int8", "logits"]).outputs[0]
    facts = output("int8", "logits")
    assert (facts["name"], facts["kind"]) == ("logits", "logits")
    assert facts["scale"] == quantized.scale
    assert facts["zero_point"] == quantized.zero_point


def test_coarse_scores_say_their_stride(described, plain):
    facts, data = described["int8", "logits"]
    assert b"one for" not in bytes(named_buffers(data)[METADATA])
    (output,) = facts["outputs"]
    coarse = facts | {"outputs": [output | {"shape": [1, 16, 24, 5]}]}
    data = described_as(plain["int8", "logits"], coarse)
    assert b"one for 4x4 pixels" in bytes(named_buffers(data)[METADATA])


def test_dates_come_from_the_model_only(model, plain, run_folder, monkeypatch):
    data = TfliteFile(plain["int8", "mask"])
    path = run_folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        saved = json.loads(archive.read("metadata.json"))["date_saved"]
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert collect_facts(model, data, "int8", path)["created"] == saved[:10]
    assert collect_facts(model, data, "int8")["created"] is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert collect_facts(model, data, "int8")["created"] == "1970-01-02"
    facts = collect_facts(model, data, "int8", created="2001-02-03")
    assert facts["created"] == "2001-02-03"
    assert facts["training"] == facts["metrics"] == {}
    first, second = (described_as(plain["int8", "mask"], facts) for _ in "12")
    assert first == second


def test_the_file_itself_stays_as_it_was(described, plain):
    for key, (_, data) in described.items():
        old, new = LiteModel(plain[key]), LiteModel(data)
        np.testing.assert_array_equal(
            old.run(PICTURES[0]), new.run(PICTURES[0])
        )
        old, new = TfliteFile(plain[key]), TfliteFile(data)
        assert (old.ops, old.inputs) == (new.ops, new.inputs)
        assert (old.outputs, old.output_names) == (
            new.outputs,
            new.output_names,
        )
        # What the converter had noted is kept too.
        kept = named_buffers(plain[key])
        assert kept.items() <= named_buffers(data).items()
        assert named_buffers(data).keys() - kept.keys() == {BUFFER, METADATA}


def starts(data):
    """Where each buffer that holds something starts."""
    model = schema.Model.GetRootAs(data)
    buffers = map(model.Buffers, range(model.BuffersLength()))
    filled = [b._tab for b in buffers if b.DataLength()]
    return np.array([table.Vector(table.Offset(4)) for table in filled])


def test_buffers_are_aligned(described, plain):
    for key, (_, data) in described.items():
        old, new = starts(plain[key]), starts(data)
        assert len(old) > 50 and len(new) == len(old) + 2
        # TensorFlow 2.21 itself aligns to 4 bytes only.
        assert set(new % ALIGNMENT) == {0}


def test_a_file_packed_anew_is_the_same(plain):
    for data in plain.values():
        assert TfliteFile(data).pack() == data


@pytest.mark.parametrize("size", [1, 7, 16, 1_000_000])
def test_buffers_of_any_size_can_be_added(plain, size):
    data, content = plain["int8", "mask"], os.urandom(size)
    added = with_buffers(data, {"A": content, "B": b"b"})
    found = named_buffers(added)
    assert (found["A"], found["B"]) == (content, b"b")
    assert TfliteFile(added).named_buffers == {
        name: bytes(value) for name, value in found.items()
    }
    assert TfliteFile(added).ops == TfliteFile(data).ops


def test_labels_can_be_unzipped(described):
    for _, data in described.values():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (entry,) = archive.infolist()
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)  # the same bytes
            labels = archive.read("labels.txt").decode()
        assert tuple(labels.splitlines()) == NAMES


def test_a_model_without_names_is_described_by_ids(model, plain, monkeypatch):
    monkeypatch.setattr(model, "class_names", None)
    monkeypatch.setattr(model, "palette", None)
    facts = collect_facts(model, TfliteFile(plain["int8", "mask"]), "int8")
    assert [c["name"] for c in facts["classes"]] == list("01234")
    assert len({tuple(c["color"]) for c in facts["classes"]}) == 5


def test_boundaries_have_no_classes():
    picture = tf.TensorSpec((1, 32, 64, 3), tf.uint8)
    edges = tf.function(
        lambda image: {"boundary": tf.cast(image[..., 0], tf.float32) / 256},
        input_signature=[picture],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [edges.get_concrete_function()], tf.Module()
    )
    with quiet_stderr():
        data = converter.convert()
    model = SimpleNamespace(variant="dla34", tasks=("boundary",))
    facts = collect_facts(model, TfliteFile(data), "float32")
    assert (facts["task"], facts["classes"]) == ("boundary", [])
    assert (facts["input"]["height"], facts["input"]["width"]) == (32, 64)
    assert facts["outputs"] == [
        {
            "name": "boundary",
            "kind": "boundary",
            "dtype": "float32",
            "shape": [1, 32, 64],
        }
    ]
    described = described_as(data, facts)
    assert read_facts(described) == facts
    assert not zipfile.is_zipfile(io.BytesIO(described))


def test_files_of_others_have_other_outputs(model, plain):
    data = plain["int8", "mask"].replace(b"mask", b"task")
    with pytest.raises(ValueError, match="mask, logits, boundary.*task"):
        collect_facts(model, TfliteFile(data), "int8")


def test_without_facts_there_are_none(plain):
    assert read_facts(plain["int8", "mask"]) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff{", "is no JSON"),
        (b"[1]", "format 1. Received: None"),
        (b'{"format": 2}', "format 1. Received: 2. Update"),
        (b'{"format": 1, "task": "x"}', "`task` is segmentation, boundary, "),
    ],
)
def test_unreadable_facts_are_named(plain, content, message):
    data = with_buffers(plain["int8", "mask"], {BUFFER: content})
    with pytest.raises(ValueError, match=message):
        read_facts(data)


def test_broken_files_are_named(described, plain):
    _, data = described["int8", "mask"]
    whole = len(plain["int8", "mask"])
    for length in (0, 7, 8, 100, 2000, whole // 2, whole - 1000):
        with pytest.raises(ValueError, match="no (complete )?.tflite file"):
            read_facts(data[:length])
    # A buffer of which a piece is missing, and nothing else.
    cut = bytearray(plain["int8", "mask"])
    start = starts(cut)[-1]
    cut[start - 4 : start] = len(cut).to_bytes(4, "little")
    with pytest.raises(ValueError, match="no complete .tflite file"):
        named_buffers(bytes(cut))
    with pytest.raises(ValueError, match="no .tflite file"):
        TfliteFile(b"PK\3\4 something else")


def test_nothing_is_described_twice(described):
    facts, data = described["int8", "mask"]
    with pytest.raises(ValueError, match="'DLA_KERAS' already"):
        described_as(data, facts)


# Reads the metadata by the code that Google generated from its schema.
READ_METADATA = """
import json, sys
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
def read(path):
  model = schema.ModelMetadataT.InitFromPackedBuf(open(path, "rb").read())
  graph, = model.subgraphMetadata
  image, = graph.inputTensorMetadata
  output, = graph.outputTensorMetadata
  custom, = graph.customMetadata
  return [
    model.name.decode(), model.minParserVersion.decode(),
    image.name.decode(), image.content.contentPropertiesType,
    image.content.contentProperties.colorSpace,
    image.processUnits[0].optionsType,
    list(map(float, image.processUnits[0].options.mean)),
    list(map(float, image.processUnits[0].options.std)),
    list(map(float, image.stats.min)), list(map(float, image.stats.max)),
    output.name.decode(), output.content.contentPropertiesType,
    output.associatedFiles[0].name.decode(), output.associatedFiles[0].type,
    custom.name.decode(),
  ]
print(json.dumps([read(path) for path in sys.argv[1:]]))
"""

SEGMENT = """
import sys, numpy, mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageSegmenterOptions(
    BaseOptions(model_asset_path=sys.argv[1]), output_category_mask=True)
with vision.ImageSegmenter.create_from_options(options) as segmenter:
    result = segmenter.segment(mediapipe.Image(
        mediapipe.ImageFormat.SRGB, numpy.load(sys.argv[2])))
    scores = [m.numpy_view().squeeze() for m in result.confidence_masks]
    numpy.savez(sys.argv[3], mask=result.category_mask.numpy_view().squeeze(),
                scores=numpy.stack(scores, -1), labels=segmenter.labels)
"""


def test_metadata_reads_by_its_schema(described, tmp_path):
    for (precision, head), (_, data) in described.items():
        content = named_buffers(data)[METADATA]
        assert bytes(content[4:8]) == b"M001"
        (tmp_path / f"{precision}_{head}").write_bytes(content)
    paths = sorted(tmp_path.iterdir())
    command = [mediapipe_python(), "-c", READ_METADATA, *map(str, paths)]
    files = json.loads(subprocess.check_output(command))
    for path, found in zip(paths, files, strict=True):
        head = path.name.partition("_")[2]
        assert found == [
            *("DLA-46-C-Up", "1.5.0", "image"),
            *(2, 1),  # an image, RGB
            *(1, [0.0], [1.0], [0.0], [255.0]),  # normalized as it is
            *(head, 1),  # features
            *("labels.txt", 3 if head == "mask" else 2),
            "SEGMENTER_METADATA",
        ]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_mediapipe_gives_the_same_mask(described, tmp_path, precision):
    data = described[precision, "logits"][1]
    path, picture = tmp_path / "model.tflite", tmp_path / "picture.npy"
    path.write_bytes(data)
    np.save(picture, PICTURES[0])
    arguments = [path, picture, tmp_path / "result.npz"]
    subprocess.run(
        [mediapipe_python(), "-c", SEGMENT, *map(str, arguments)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    result = np.load(tmp_path / "result.npz")
    expected = LiteModel(data)(PICTURES[0])
    np.testing.assert_array_equal(result["mask"], expected)
    assert tuple(result["labels"]) == NAMES
    # Confidences are probabilities: the file asks for a softmax.
    np.testing.assert_allclose(result["scores"].sum(-1), 1, atol=1e-5)


def test_outputs_belong_to_tasks():
    assert {row.task for row in OUTPUTS.values()} == set(TASKS)
    for task, row in TASKS.items():
        heads = [head for head, owner in HEADS.items() if owner == task]
        names = [n for head in heads or [None] for n in row.file_output(head)]
        assert {OUTPUTS[name].task for name in names} == {task}
