"""The segmenter of streets that ships: what its card says holds."""

import pathlib

import numpy as np
import pytest
from PIL import Image

import dla_keras
from dla_keras.commands import benchmark
from dla_keras.provenance import read_beside
from dla_keras.variants import SHIPPED_MODELS
from dla_keras.variants import shipped_path
from dla_keras.weights import take_weights

CAMVID = pathlib.Path(__file__).parents[3] / "shared" / "data" / "camvid"


@pytest.fixture(scope="module")
def photograph():
    return Image.open(shipped_path("streets").with_suffix(".jpg"))


def test_it_sees_the_street_in_a_photograph(photograph):
    """The house right, the road below, the sky above, in both precisions."""
    masks = {}
    for name in SHIPPED_MODELS:
        model = dla_keras.load(name)
        masks[name] = mask = model(photograph)
        assert mask.shape == (480, 640)
        see = lambda y, x, mask=mask, model=model: model.class_names[mask[y, x]]
        assert see(30, 120) == see(60, 180) == "sky"
        assert see(430, 100) == see(380, 200) == "road"
        assert see(180, 430) == "building" and see(268, 290) == "car"
        assert see(180, 140) == see(180, 240) == "tree"
        assert model.palette[3] == (128, 64, 128)  # of CamVid's road
    float32, int8 = masks.values()
    assert np.mean(float32 == int8) > 0.9


def test_its_name_goes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streets").mkdir()
    (tmp_path / "config.json").write_text('{"dataset": "other"}')
    assert dla_keras.load("streets").tasks == ("segmentation",)
    assert read_beside("streets") == {}
    with pytest.raises(ValueError, match="SavedModel's folder"):
        dla_keras.load("./streets")


def test_commands_take_its_name(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["--model", "streets-int8", "--threads", "1", "--runs", "1"]
    assert benchmark.main(words) == 0
    assert "streets.tflite" in capsys.readouterr().out


def test_large_pictures_are_seen_at_the_size_it_learned():
    seen = dla_keras.load("streets").file.fit
    assert seen.content(3024, 4032) == (360, 480)


def test_it_is_a_start_for_other_classes():
    model = dla_keras.DLASegmenter(
        "dla46_c", 3, class_names=("car", "cat", "Sky")
    )
    said = take_weights(model, "streets")
    assert "287 of 287 arrays" in said and "2 of 3 classes by name" in said


@pytest.mark.slow
def test_it_scores_what_its_card_says():
    if not CAMVID.exists():
        pytest.skip(f"CamVid is not at {CAMVID}.")
    for name, expected in (("streets", 0.6724), ("streets-int8", 0.6722)):
        found = dla_keras.evaluate(name, "camvid", CAMVID)["miou"]
        assert found == pytest.approx(expected, abs=0.002)
