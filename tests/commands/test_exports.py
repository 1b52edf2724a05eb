"""From each tool's export to masks by commands alone; no file by hand."""

import json

import numpy as np
import pytest
from exports import COUNT
from exports import EXPORTS
from exports import HEIGHT
from exports import WIDTH
from exports import photo
from exports import save
from PIL import Image

from dla_keras.commands import main


def run(*words):
    assert main.main([str(word) for word in words]) == 0, words


@pytest.mark.slow
@pytest.mark.parametrize("tool", EXPORTS)
def test_an_export_trains_and_predicts(tmp_path, tool, capsys):
    data, run_dir = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    names = EXPORTS[tool](data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    run(
        *("train-seg", "--dataset", data, "--run-dir", run_dir),
        *("--variant", "dla46_c", "--size", "64x64", "--weights", "none"),
        *("--steps", 4, "--batch-size", 2),
    )
    said = capsys.readouterr().out
    assert f"{data}" in said and "6 pictures to train on, 2 to" in said
    drawn = {path.name for path in run_dir.glob("*.txt")}
    assert drawn == ({"train.txt", "val.txt"} if "no val/" in said else set())
    model = run_dir / "model.keras"
    run("evaluate", "--model", model, "--output-dir", tmp_path / "scores")
    scores = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert scores["pictures"] == 2
    exported = tmp_path / "model.tflite"
    run(
        *("export-tflite", "--model", model, "--output", exported),
        *("--size", "64x64", "--precision", "int8"),
    )
    for index in range(2):
        save(photo(COUNT + index), tmp_path, "new", f"street_{index}.jpg")
    run(
        *("predict", "--model", exported, "--input", tmp_path / "new"),
        *("--output", tmp_path / "masks"),
    )
    masks = sorted((tmp_path / "masks/masks").glob("*.png"))
    assert len(masks) == 2
    mask = np.array(Image.open(masks[0]))
    assert mask.shape == (HEIGHT, WIDTH) and mask.max() < len(names)
    # Nothing is written to, or changed in, the user's folder.
    assert before == {p: p.stat().st_mtime_ns for p in data.rglob("*")}
