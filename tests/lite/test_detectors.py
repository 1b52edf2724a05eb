"""Detectors as `.tflite` files: boxes, decoded inside, in every precision."""

import dataclasses
import io
import json
import pathlib
import subprocess
import zipfile
from unittest import mock

import keras
import numpy as np
import pytest
from mediapipe_python import mediapipe_python
from PIL import Image
from running import command
from tiny_variant import TINY_VARIANT

from dla_keras.data.fitting import Fit
from dla_keras.inference.loaded_model import LoadedModel
from dla_keras.inference.model_files import describe_lite
from dla_keras.inference.model_files import describe_model
from dla_keras.inference.model_files import open_model
from dla_keras.inference.tflite_facts import BOXES
from dla_keras.inference.tflite_facts import MAPS
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.inference.views import Views
from dla_keras.lite.convert.graph import decoding_graph
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.convert.quantization import convert_graph
from dla_keras.lite.file.edits import add_zeros
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure import comparison
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.cost import Cost
from dla_keras.lite.options import PRECISIONS
from dla_keras.models.detector import DLADetector
from dla_keras.tasks import detection
from dla_keras.variants import VARIANTS

SIZE = (64, 96)
NAMES = ("cat", "rosé", "traffic light")
RANDOM = np.random.default_rng(0)
PICTURES = [RANDOM.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(4)]
# Another size than the file's: twice as large, and not as wide.
LARGE = RANDOM.integers(0, 256, (128, 160, 3), np.uint8)
BEST = {"threshold": 0.25, "f": 0.5}


@pytest.fixture(scope="module")
def model():
    """Return a random network that is sure of some boxes of several cells."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        keras.utils.set_random_seed(1)
        model = DLADetector(
            "dla_tiny", 3, head_filters=16, class_names=NAMES, working_size=96
        )
        model.heat_fc.kernel.assign(4 * model.heat_fc.kernel)
        model.size_fc.bias.assign([3.0, 4.0])
        yield model


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    """Return a folder with what a training leaves, its data and scores."""
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "model.keras")
    for split in ("train", "val"):
        _write_coco(folder / "data", split, describe_model(model, "m"))
    config = {"dataset": str(folder / "data"), "data_dir": None}
    (folder / "config.json").write_text(json.dumps(config))
    scores = {"ap": 0.5, "ap50": 0.75, "best": BEST, "pictures": 9}
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


def _write_coco(folder, split, opened):
    """Write pictures in which the model's own boxes are the truth."""
    (folder / split).mkdir(parents=True)
    images, boxes = [], []
    for number, picture in enumerate(PICTURES):
        name = f"{split}{number}.png"
        # Of what it trains on, others than what files are compared on.
        shown = picture if split == "val" else picture[::-1]
        Image.fromarray(shown).save(folder / split / name)
        height, width = SIZE
        sides = {"height": height, "width": width}
        images.append({"id": number, "file_name": f"{split}/{name}", **sides})
        found = opened.boxes(shown).above(0.5)
        for kind, (top, left, *end) in zip(
            found.classes, found.boxes.tolist(), strict=True
        ):
            box = [left, top, end[1] - left, end[0] - top]
            entry = {"image_id": number, "category_id": int(kind), "bbox": box}
            boxes.append({"id": len(boxes), "iscrowd": 0, **entry})
    kinds = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    table = {"images": images, "annotations": boxes, "categories": kinds}
    (folder / f"{split}.json").write_text(json.dumps(table))


@pytest.fixture(scope="module")
def exporter(model, run_folder):
    return Exporter(
        model,
        SIZE,
        calibration=PICTURES,
        held_out=PICTURES[:2],
        path=run_folder / "model.keras",
        min_agreement=0,  # nobody trained it: what int8 gives is no matter
    )


@pytest.fixture(scope="module")
def files(exporter):
    """Precision -> file that gives boxes."""
    return {precision: exporter.make(precision) for precision in PRECISIONS}


def test_a_file_finds_what_the_model_finds(model, files):
    expected = LoadedModel(describe_model(model, "model")).boxes(LARGE)
    loaded = LoadedModel(describe_lite(LiteModel(files["float32"].data)))
    assert loaded.tasks == ("detection",) and loaded.class_names == NAMES
    assert loaded.file.num_classes == 3 and loaded.size == SIZE
    assert loaded.file.fit == Fit("letterbox", max_side=96)
    # The model sees the picture at 77x96 and the file at 64x80: other boxes.
    assert loaded(LARGE).size == (128, 160)
    at_size = describe_model(model, "model").at(loaded.file.fit, SIZE)
    expected, found = at_size.boxes(LARGE), loaded(LARGE)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    # Of 160 pixels, in float32.
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    assert len(found.above(0.1).scores) > 5
    assert found.boxes[:, 3].max() > 96


@pytest.mark.parametrize("precision", PRECISIONS)
def test_boxes_are_decoded_in_float(files, model, precision):
    file = TfliteFile(files[precision].data)
    shapes = {"location": (1, 100, 4), "number of detections": (1,)}
    for name, output in zip(file.output_names, file.outputs, strict=True):
        assert output.dtype == "float32"
        assert output.shape == shapes.get(name, (1, 100))
    assert set(file.output_names) == set(BOXES)
    assert not file.in_half  # places need more digits
    file.refuse_foreign_ops()
    # Only rounding separates it from its own maps, decoded here.
    first = file.ops.index("AVERAGE_POOL_2D", file.ops.index("CONV_2D"))
    quantized = {"QUANTIZE", "DEQUANTIZE"} & set(file.ops[first:])
    assert not quantized and "TOPK_V2" in file.ops[first:]
    if precision == "int8":
        assert file.ops[0] == "QUANTIZE"
        assert file.op_counts["DEQUANTIZE"] == 3


def test_one_graph_gives_what_both_do_one_after_the_other(exporter, files):
    model, size = exporter.model, exporter.size
    network = TfliteFile(exporter.quantize("int8"))
    add_zeros(network)
    network = LiteModel(network.pack())
    decoding = decoding_graph(model, size, "boxes")
    decoding = convert_graph(decoding, "float32")
    joined = LiteModel(files["int8"].data)
    interpreter = _interpreter(decoding)
    runner = interpreter.get_signature_runner()
    for picture in PICTURES:
        maps = network.infer(picture)
        apart = runner(**{name: maps[name][None] for name in MAPS})
        found = joined.infer(picture)
        for name in BOXES:
            np.testing.assert_array_equal(found[name], apart[name][0])
        assert found["number of detections"] > 5


def _interpreter(data):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=data)


def test_maps_say_the_same_boxes(exporter, files):
    maps = export_tflite(
        exporter.model,
        size=SIZE,
        head="heads",
        precision="int8",
        calibration=PICTURES,
        held_out=PICTURES[:2],
        min_agreement=0,
    )
    assert 0 < maps.agreement["boxes"].noise < 0.5
    assert files["int8"].agreement["boxes"].noise is None
    lite = LiteModel(maps.data)
    assert set(TfliteFile(maps.data).output_names) == set(MAPS)
    assert {o.dtype for o in TfliteFile(maps.data).outputs} == {"uint8"}
    assert lite.num_classes == 3 and lite.tasks == ("detection",)
    assert lite.maps(PICTURES[0]).shape == (16, 24, 7)
    found, expected = (
        describe_lite(each).boxes(PICTURES[0])
        for each in (lite, LiteModel(files["int8"].data))
    )
    # Keras decodes the one and the file the other: sums in another order.
    sure = expected.scores > 0.1
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(
        found.boxes[sure], expected.boxes[sure], atol=1e-3
    )


def test_the_file_says_what_it_is(files):
    facts = read_facts(files["int8"].data)
    assert facts["task"] == "detection"
    assert [entry["name"] for entry in facts["classes"]] == list(NAMES)
    assert facts["metrics"] == {"ap": 0.5, "ap50": 0.75, "best": BEST}
    kinds = {output["name"]: output["kind"] for output in facts["outputs"]}
    assert kinds == {
        "location": "boxes",
        "category": "box_classes",
        "score": "box_scores",
        "number of detections": "box_count",
    }
    with zipfile.ZipFile(io.BytesIO(files["int8"].data)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(NAMES)


DETECT = """
import json, sys, numpy, mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ObjectDetectorOptions(
    BaseOptions(model_asset_path=sys.argv[1]), score_threshold=0.1)
with vision.ObjectDetector.create_from_options(options) as detector:
    result = detector.detect(mediapipe.Image(
        mediapipe.ImageFormat.SRGB, numpy.load(sys.argv[2])))
box = lambda b: [b.origin_y, b.origin_x, b.height, b.width]
print(json.dumps([
    [c.category_name, c.score, box(d.bounding_box)]
    for d in result.detections for c in d.categories]))
"""
METADATA = """
import sys
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
data = open(sys.argv[1], "rb").read()
root = schema.ModelMetadataT.InitFromPackedBuf(bytearray(data), 0)
outputs = root.subgraphMetadata[0].outputTensorMetadata
(score,) = (each for each in outputs if each.name == b"score")
(unit,) = score.processUnits
print(unit.optionsType, unit.options.globalScoreThreshold)
"""


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_mediapipe_finds_and_names_the_boxes(files, tmp_path, precision):
    python = mediapipe_python()
    path, picture = tmp_path / "model.tflite", tmp_path / "picture.npy"
    path.write_bytes(files[precision].data)
    np.save(picture, PICTURES[0])
    arguments = [python, "-c", DETECT, str(path), str(picture)]
    said = subprocess.check_output(arguments, stderr=subprocess.DEVNULL)
    # Classes of one box it gives together.
    found = sorted(json.loads(said), key=lambda row: -row[1])
    expected = describe_lite(LiteModel(path)).boxes(PICTURES[0]).above(0.1)
    assert len(found) == len(expected.scores) > 5
    top, left, bottom, right = expected.boxes.T
    sides = np.stack([top, left, bottom - top, right - left], 1)
    scores = [score for _, score, _ in found]
    np.testing.assert_allclose(scores, expected.scores, atol=1e-6)
    for kind, side in zip(expected.classes, sides, strict=True):
        found.remove(next(r for r in found if _is(r, NAMES[kind], side)))


def _is(row, name, box):
    # It gives whole pixels.
    return row[0] == name and np.abs(np.subtract(row[2], box)).max() < 1.01


def test_the_threshold_of_the_best_f1_is_in_the_metadata(files, tmp_path):
    python = mediapipe_python()
    path = tmp_path / "metadata"
    buffers = TfliteFile(files["int8"].data).named_buffers
    path.write_bytes(buffers["TFLITE_METADATA"])
    arguments = [python, "-c", METADATA, str(path)]
    said = subprocess.check_output(arguments, stderr=subprocess.DEVNULL)
    assert said.split() == [b"3", b"0.25"]


def test_a_head_of_another_task_is_one_line(model):
    with pytest.raises(ValueError, match="one of boxes, heads. Received: 'mas"):
        export_tflite(model, size=SIZE, head="mask")


def test_a_flip_needs_the_keras_file(files):
    opened = describe_lite(LiteModel(files["float32"].data))
    find = detection.file_finder(opened, Views(flip=True))
    with pytest.raises(ValueError, match=r"--flip needs the \.keras file"):
        find(PICTURES[0])


def test_a_file_of_few_of_the_boxes_outputs_is_none_of_ours(files):
    file = TfliteFile(files["float32"].data)
    file._model.signatureDefs[0].outputs[0].name = b"boxes"
    with pytest.raises(ValueError, match="Expected a file that takes one"):
        LiteModel(file.pack().replace(b"DLA_KERAS", b"dla_keras"))


def test_a_model_that_finds_nothing_proves_nothing(model):
    images = [np.zeros((*SIZE, 3), np.uint8)]
    bias = model.heat_fc.bias.numpy()
    try:
        model.heat_fc.bias.assign(bias - 50)
        with pytest.raises(VerificationError, match="finds no box of a score"):
            export_tflite(model, size=SIZE, held_out=images)
    finally:
        model.heat_fc.bias.assign(bias)


def test_a_saved_model_finds_the_same_boxes(model, tmp_path):
    write_saved_model(model, tmp_path / "saved", SIZE)
    opened = open_model(tmp_path / "saved")
    assert opened.tasks == ("detection",) and opened.class_names == NAMES
    assert opened.num_classes == 3
    at_size = describe_model(model, "model").at(opened.fit, SIZE)
    expected, found = at_size.boxes(LARGE), opened.boxes(LARGE)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    with pytest.raises(ValueError, match=r"--flip needs the \.keras file"):
        detection.file_finder(opened, Views(flip=True))(LARGE)


def _export(run_folder, output, flags):
    paths = ["--model", str(run_folder / "model.keras"), "--output", output]
    return command("export_tflite")([*map(str, paths), *flags.split()])


def quick(row, threads):
    cost = Cost(1, 1, 1, 1.0, 1, 1, 1, None, 1, 1)
    return dataclasses.replace(row, costs=(cost,))


def test_the_command_compares_files_by_ap(run_folder, monkeypatch, capsys):
    pytest.importorskip("faster_coco_eval")
    some = {name: PRECISIONS[name] for name in ("float32", "int8")}
    monkeypatch.setattr(comparison, "PRECISIONS", some)
    monkeypatch.setattr(comparison, "measured", quick)
    output = run_folder / "tflite"
    flags = "--precision all --min-agreement 0.2 --size 64x96"
    assert _export(run_folder, output, flags) == 0
    out = capsys.readouterr().out
    assert "agreement of boxes" in out and "mIoU" not in out
    figures = json.loads((output / "comparison.json").read_text())["rows"]
    keras, float32, int8 = figures
    # What it is sure of is the truth here; half of the rest is not.
    assert keras["scores"]["ap50"] > 0.9
    assert float32["scores"]["ap"] == pytest.approx(keras["scores"]["ap"])
    assert int8["loss_points"] > 0.1 > abs(float32["loss_points"])
    assert "AP is COCO's" in (output / "table.md").read_text()

    data = ["--dataset", str(run_folder / "data")]
    models = [str(output / name) for name in ("float32.tflite", "int8.tflite")]
    assert command("evaluate")(["--model", *models, *data]) == 0
    for path, row in zip(models, (float32, int8), strict=True):
        folder = pathlib.Path(f"{path}.evaluation")
        scores = json.loads((folder / "metrics.json").read_text())
        assert scores["ap"] == row["scores"]["ap"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--precision int8 --max-loss 1", "--max-loss counts mIoU"),
        ("--head logits", "one of boxes, heads. Received: 'logits'"),
        ("--for mediapipe --head heads", "needs --head boxes"),
    ],
)
def test_flags_of_other_tasks_are_one_line(
    run_folder, tmp_path, capsys, flags, said
):
    output = tmp_path / "a.tflite"
    assert _export(run_folder, output, flags) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not output.exists()


@pytest.mark.slow
def test_detectors_are_quantized_in_the_loop(run_folder, tmp_path, capsys):
    pytest.importorskip("faster_coco_eval")
    main, output = command("quantize"), tmp_path / "small"
    flags = "--steps 2 --batch-size 2 --crop 32x64 --min-agreement 0.2"
    paths = ["--model", run_folder / "model.keras", "--output", output]
    assert main([*map(str, paths), *flags.split()]) == 0
    assert "| method               |     AP |" in capsys.readouterr().out
    results = json.loads((output / "qat/metrics.json").read_text())
    assert results["before"]["float32"]["ap50"] > 0.9
    assert "boxes" in results["agreement"]
    path = output / "qat/int8.tflite"
    assert read_facts(path.read_bytes())["metrics"]["ap"] == results["ap"]
    assert TfliteFile(path.read_bytes()).op_counts["DEQUANTIZE"] == 3
    # Of a random network, whose hills are flat; measured: 0.79.
    agreement = results["agreement"]["boxes"]
    assert float(agreement.split()[1].strip(",")) > 0.6, agreement
