"""A classifier to its end: evaluated and predicted with, from a file."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image
from running import command

from dla_keras import DLAClassifier
from dla_keras.data.classification import open_classification_split
from dla_keras.data.fitting import central_crop
from dla_keras.inference.predictor import log_probabilities
from dla_keras.inference.predictor import softmax
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.tasks import classification

pytestmark = pytest.mark.usefixtures("small_networks")

NAMES = tuple(f"digit {index}" for index in range(10))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Return a run's folder with a classifier of digits, and that."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    model = DLAClassifier(
        "dla46_c", 10, classifier_activation=None, class_names=NAMES
    )
    model.fc.kernel.assign(model.fc.kernel / 100)  # else one class has it all
    model.save(folder / "model.keras")
    # As an earlier version wrote it.
    settings = {"dataset": "digits", "size": "32x32", "crop_pct": 1.0}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder, model


def read_rows(path):
    """Return the rows of a CSV file."""
    return list(csv.DictReader(path.read_text().splitlines()))


def probabilities(model, image, crop_fraction=1.0):
    crop = central_crop(image, (32, 32), crop_fraction)
    return softmax(np.asarray(model(crop[None], training=False)))[0]


def test_evaluate_a_file(run_folder, tmp_path, capsys):
    folder, model = run_folder
    evaluate = command("evaluate")
    arguments = ["--model", str(folder / "model.keras")]
    scores = tmp_path / "scores.json"
    assert evaluate([*arguments, "--json", str(scores)]) == 0
    output = capsys.readouterr().out
    assert "| digits, 360 pictures" in output
    assert "top-1" in output and "top-5" in output
    found = json.loads(scores.read_text())
    val = open_classification_split("digits", "val")
    crops = np.stack([central_crop(e.image, (32, 32), 1.0) for e in val])
    # All at once: without a graph, a call is slow and a small picture is not.
    expected = softmax(np.asarray(model(crops, training=False)))
    labels = np.array([each.label for each in val])
    order = np.argsort(-expected, -1)
    assert found["top1"] == pytest.approx((order[:, 0] == labels).mean())
    near = (order[:, :5] == labels[:, None]).any(1).mean()
    assert found["top5"] == pytest.approx(near)
    confusion = np.array(found["confusion"])
    np.testing.assert_array_equal(confusion.sum(1), np.bincount(labels))
    written = folder / "model.keras.evaluation"
    assert {path.name for path in written.iterdir()} == {
        "confusion.png",
        "metrics.json",
        "report.html",
    }
    # A flag goes before what the run says.
    assert evaluate([*arguments, "--crop-fraction", "0.5"]) == 0
    wrong = [*arguments, "--scales", "0.5,1"]
    assert evaluate(wrong) == 2
    assert "leave them out" in capsys.readouterr().err


def test_an_exported_file_is_scored_alike(run_folder, capsys):
    folder, model = run_folder
    path = folder / "small.tflite"
    val = open_classification_split("digits", "val")
    held_out = [val[index].image for index in range(4)]
    # Nobody trained it: it may say one class everywhere.
    made = export_tflite(
        model, path, size=(32, 32), held_out=held_out, min_agreement=0
    )
    assert made.agreement["classes"].mean == 1
    files = [str(folder / "model.keras"), str(path)]
    assert command("evaluate")(["--model", *files]) == 0
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("| model.keras", "| small.tflite"))
    ]
    ours, theirs = (list(map(float, row[2:4])) for row in table)
    # Few of 360 pictures are so close that float32's order of sums decides.
    np.testing.assert_allclose(ours, theirs, atol=2 / 360)


def test_predict_names_the_likeliest(run_folder, tmp_path, capsys):
    folder, model = run_folder
    pictures, out = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    val = open_classification_split("digits", "val")
    for index in range(3):
        Image.fromarray(val[index].image).save(pictures / f"{index}.png")
    # Another picture of that name is no conflict in a table.
    Image.fromarray(val[3].image).save(pictures / "2.bmp")
    predict = command("predict")
    arguments = ["--model", str(folder / "model.keras")]
    arguments += ["--input", str(pictures), "--output", str(out)]
    assert predict(arguments) == 0
    assert "predictions.csv of 4 pictures" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "predictions.csv",
        "predictions.json",
    }
    facts = json.loads((out / "predictions.json").read_text())
    assert facts["names"] == list(NAMES)
    assert facts["task"] == "classification"
    rows = {row["picture"]: row for row in read_rows(out / "predictions.csv")}
    assert set(rows) == {"0.png", "1.png", "2.bmp", "2.png"}
    for index in range(3):
        expected = probabilities(model, val[index].image)
        best = np.argsort(-expected)[:5]
        row = rows[f"{index}.png"]
        named = [row[f"class_{rank}"] for rank in range(1, 6)]
        assert named == [NAMES[i] for i in best]
        shares = [float(row[f"probability_{rank}"]) for rank in range(1, 6)]
        # Four decimals.
        np.testing.assert_allclose(shares, expected[best], atol=1e-4)


def test_a_stopped_run_goes_on(run_folder, tmp_path, capsys):
    folder, _ = run_folder
    pictures, out = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    for name in "ab":
        Image.new("RGB", (40, 40), (90, 0, 0)).save(pictures / f"{name}.png")
    predict = command("predict")
    arguments = ["--model", str(folder / "model.keras")]
    arguments += ["--input", str(pictures), "--output", str(out)]
    assert predict(arguments) == 0
    table = out / "predictions.csv"
    whole = table.read_text()
    # The last row half-written, as a killed process leaves it.
    table.write_text(whole[: whole.rindex("b.png") + 20])
    assert predict(arguments) == 0
    assert "1 of 2 pictures are in" in capsys.readouterr().out
    assert table.read_text() == whole
    assert predict([*arguments, "--overwrite"]) == 0
    assert table.read_text() == whole


def test_logits_of_probabilities_give_them_back():
    shares = np.array([[0.0, 0.25, 0.75]], np.float32)
    # Nothing becomes almost nothing.
    found = softmax(log_probabilities(shares))
    np.testing.assert_allclose(found, shares, atol=1e-30)


def test_other_classes_are_refused(run_folder):
    _, model = run_folder
    find = classification.ClassFinder(lambda crops: np.zeros((8, 3)), (32, 32))
    split = open_classification_split("digits", "val")
    with pytest.raises(ValueError, match="of the 10 classes of digits"):
        classification.evaluate(find, split)
