"""predict.py on pictures of every kind, with a model that is arithmetic."""

import json
import os

import numpy as np
import pytest
from odd_pictures import png
from PIL import Image
from running import command

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import distinct_palette
from dla_keras.inference import prediction_files
from dla_keras.inference.model_files import ModelFile
from dla_keras.inference.prediction_files import PictureResults
from dla_keras.inference.prediction_files import find_classes
from dla_keras.inference.prediction_files import plan_jobs
from dla_keras.inference.predictor import Predictor

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.fixture
def predict(tmp_path):
    """Run the command with a model whose class is the brightest channel."""
    opened = ModelFile(
        "m.keras",
        ("segmentation",),
        masks=Predictor(lambda image: image.argmax(-1).astype(np.uint8)),
        probabilities=Predictor(lambda image: image.astype(np.float32) / 255),
        class_names=("red", "green", "blue"),
        palette=COLORS,
    )
    stand_in = {"inference.model_files.open_model": lambda *_: opened}
    main = command("predict", stand_in)

    def run(source, *flags):
        paths = ["--input", str(source), "--output", str(tmp_path / "out")]
        return main(["--model", "m.keras", *paths, *flags])

    return run


@pytest.fixture
def pictures(tmp_path):
    """Half red, half blue, in a folder and one in it."""
    folder = tmp_path / "in"
    (folder / "day.1").mkdir(parents=True)
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30, 0] = image[:, 30:, 2] = 200
    for name in ("b.png", "day.1/a.x.png"):
        Image.fromarray(image).save(folder / name)
    (folder / ".thumbnails").mkdir()
    Image.fromarray(image).save(folder / ".thumbnails" / "b.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_masks_hold_ids_and_show_colours(predict, pictures, tmp_path, capfd):
    assert predict(pictures) == 0
    captured = capfd.readouterr()
    assert "Written to" in captured.out and "2 masks" in captured.out
    assert "2/2" not in captured.err  # the progress bar is for terminals
    out = tmp_path / "out"
    written = [p.relative_to(out) for p in out.rglob("*") if p.is_file()]
    assert sorted(map(str, written)) == [
        "masks/b.png",
        "masks/day.1/a.x.png",
        "overlays/b.jpg",
        "overlays/day.1/a.x.jpg",
        "predictions.json",
    ]
    mask = Image.open(out / "masks/b.png")
    assert np.unique(np.array(mask)[:, :30]).tolist() == [0]
    assert np.unique(np.array(mask)[:, 30:]).tolist() == [2]
    shown = mask.convert("RGB")
    assert shown.getpixel((3, 3)) == (255, 0, 0)
    assert shown.getpixel((50, 3)) == (0, 0, 255)
    overlay = np.array(Image.open(out / "overlays/b.jpg")).astype(int)
    # Half the picture's 200, half the mask's 255; JPEG changes few levels.
    assert np.abs(overlay[20, 10] - (228, 0, 0)).max() < 6
    facts = json.loads((out / "predictions.json").read_text())
    assert facts["names"] == ["red", "green", "blue"]
    assert facts["palette"] == [list(color) for color in COLORS]


def test_every_id_survives_the_png(tmp_path):
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for classes in (1, 2, 5, 200):
        path = tmp_path / f"{classes}.png"
        prediction_files.write_mask(path, ids, distinct_palette(classes))
        np.testing.assert_array_equal(np.array(Image.open(path)), ids)


def test_what_is_there_is_left_alone(predict, pictures, tmp_path, capfd):
    assert predict(pictures / "b.png") == 0
    mask = tmp_path / "out/masks/b.png"
    mask.write_bytes(b"mine")
    assert predict(pictures) == 0
    assert "1 of 2 pictures are in" in capfd.readouterr().out
    assert mask.read_bytes() == b"mine"
    facts = (tmp_path / "out/predictions.json").read_text()
    (tmp_path / "out/predictions.json").write_text(facts[:-9])
    assert predict(pictures) == 2
    error = capfd.readouterr().err
    assert "predictions.json is not valid JSON" in error
    assert error.endswith("Restore it, or pass another --output.\n")
    (tmp_path / "out/predictions.json").write_text(facts)
    # Other flags make other masks: not into the same folder.
    assert predict(pictures, "--flip") == 2
    assert "another model or other flags" in capfd.readouterr().err
    mask.unlink()
    assert predict(pictures, "--flip", "--overwrite") == 0
    assert np.array(Image.open(mask))[0, 0] == 0


def test_folders_of_drawn_masks_are_left_alone(
    predict, pictures, tmp_path, capfd
):
    drawn = tmp_path / "out/masks/p.png"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"drawn by hand")
    settings = '{"my": "settings"}'
    for flags in ((), ("--overwrite",)):
        for source in (pictures, pictures / "b.png"):
            assert predict(source, *flags) == 2
            error = capfd.readouterr().err
            assert "which holds masks; pass a new folder." in error
            assert error.count("\n") == 1 and "overwrite" not in error
    # A file of that name that is somebody else's says nothing.
    (tmp_path / "out/predictions.json").write_text(settings)
    assert predict(pictures, "--overwrite") == 2
    assert "masks, predictions.json; pass a" in capfd.readouterr().err
    assert drawn.read_bytes() == b"drawn by hand"
    assert not (tmp_path / "out/overlays").exists()


def test_only_results_are_made_anew(predict, pictures, tmp_path, capfd):
    (pictures / "c.png").write_bytes(b"no picture")
    assert predict(pictures) == 2
    said = json.loads((tmp_path / "out/predictions.json").read_text())
    assert said["results"] == [
        "masks/b.png",
        "masks/day.1/a.x.png",
        "overlays/b.jpg",
        "overlays/day.1/a.x.jpg",
    ]
    drawn = tmp_path / "out/masks/c.png"  # what the faulty one did not become
    drawn.write_bytes(b"drawn by hand")
    assert predict(pictures) == 0  # with it, all is there
    assert "left alone." in capfd.readouterr().out
    mask = tmp_path / "out/masks/b.png"
    mask.write_bytes(b"old")
    assert predict(pictures, "--overwrite") == 2
    assert "c.png is there, and predictions.json" in capfd.readouterr().err
    assert mask.read_bytes() == b"old"
    mask.unlink()
    assert predict(pictures / "b.png", "--overwrite") == 0
    assert np.array(Image.open(mask))[0, 0] == 0
    assert drawn.read_bytes() == b"drawn by hand"


def test_a_mask_that_somebody_corrected_is_kept(
    predict, pictures, tmp_path, capfd
):
    assert predict(pictures) == 0 and predict(pictures, "--overwrite") == 0
    mask = tmp_path / "out/masks/b.png"
    made = mask.read_bytes()
    mask.write_bytes(made + b"by hand")
    assert predict(pictures, "--overwrite", "--flip") == 2
    error = capfd.readouterr().err
    assert "masks/b.png changed since it was written" in error
    assert mask.read_bytes() == made + b"by hand"
    assert predict(pictures) == 0  # it is done, and left alone
    assert predict(pictures / "day.1", "--overwrite") == 0  # others are not
    mask.write_bytes(made)
    assert predict(pictures, "--overwrite") == 0


def test_results_that_nobody_named_are_gone_on_with(
    predict, pictures, tmp_path, capfd
):
    assert predict(pictures / "b.png") == 0
    path = tmp_path / "out/predictions.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "results": [1]}))
    assert predict(pictures) == 2 and "holds masks" in capfd.readouterr().err
    del facts["results"]  # as an earlier version wrote it
    path.write_text(json.dumps(facts))
    assert predict(pictures, "--overwrite") == 2
    assert "b.png is there, and predictions.json" in capfd.readouterr().err
    assert predict(pictures) == 0
    names = ["masks/day.1/a.x.png", "overlays/day.1/a.x.jpg"]
    assert json.loads(path.read_text())["results"] == names


def test_two_models_are_not_mixed(predict, pictures, capfd):
    assert predict(pictures / "b.png") == 0
    # Not even where no picture is done already.
    assert predict(pictures / "day.1", "--flip") == 2
    assert "another model or other flags" in capfd.readouterr().err


def test_pictures_that_go_in_are_not_replaced(predict, pictures, capfd):
    assert predict(pictures / "b.png") == 0
    out = pictures.parent / "out"
    mask = (out / "masks/b.png").read_bytes()
    for flags in ((), ("--overwrite",)):
        for source in (out / "masks", out / "masks/b.png"):
            assert predict(source, *flags) == 2
            assert "b.png is a picture of --input" in capfd.readouterr().err
    assert (out / "masks/b.png").read_bytes() == mask


def test_a_faulty_picture_does_not_stop_the_others(
    predict, pictures, tmp_path, capfd
):
    (pictures / "a.png").write_bytes(b"no picture")
    whole = (pictures / "b.png").read_bytes()
    (pictures / "c.png").write_bytes(whole[: len(whole) // 2])
    # 65 bytes that took all memory, a pipe that hung, a loop of links.
    (pictures / "d.png").write_bytes(png((60000, 60000), 8, 2, b""))
    os.mkfifo(pictures / "e.png")
    (pictures / "f.png").symlink_to("f.png")
    (pictures / "g.png").symlink_to("gone.png")
    assert predict(pictures) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: 6 of 8 pictures could not be read: ")
    assert "g.png is a link to a file that is gone." in error
    assert "a.png is no picture" in error and "c.png cannot be" in error
    masks = {p.name for p in (tmp_path / "out/masks").rglob("*.png")}
    assert masks == {"b.png", "a.x.png"}


def test_a_failed_write_leaves_nothing(
    predict, pictures, tmp_path, monkeypatch
):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert predict(pictures) == 2
    left = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert left == ["predictions.json"]


def test_scales_and_tiles_work_here_too(predict, pictures, tmp_path):
    flags = "--tile 32x32 --overlap 0 --scales 0.5,1 --flip".split()
    assert predict(pictures / "b.png", *flags) == 0
    mask = np.array(Image.open(tmp_path / "out/masks/b.png"))
    assert mask[5, 5] == 0 and mask[5, 55] == 2


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def test_the_output_may_lie_in_the_input(pictures):
    jobs, left_out = plan_jobs(pictures, pictures / "out")
    assert len(jobs) == 2 and "1 .txt (notes.txt)" in left_out
    for job in jobs:
        result = job.path(pictures / "out", ".png")
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_bytes(job.picture.read_bytes())
    assert plan_jobs(pictures, pictures / "out") == (jobs, left_out)


def break_nothing_there(folder):
    return folder / "absent", "no picture or folder at .*absent"


def break_empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty", "no picture in .*empty; looked for"


def break_same_folder(folder):
    (folder / "out").mkdir()
    return folder / "out", "--output is the --input folder"


def break_video(folder):
    (folder / "drive.MP4").write_bytes(b"")
    return folder / "drive.MP4", "is a video.*ffmpeg -i .*drive.MP4"


def break_two_of_a_name(folder):
    for name in ("b.jpg", "b.png"):
        (folder / name).write_bytes(b"")
    return folder, r"b.jpg and .*b.png would both become .*masks/b.png"


def break_output_is_a_file(folder):
    (folder / "a.png").write_bytes(b"")
    (folder / "out").write_bytes(b"")
    return folder / "a.png", "--output is a folder.*out is a file; pass"


@pytest.mark.parametrize(
    "break_it",
    [
        break_nothing_there,
        break_empty_folder,
        break_same_folder,
        break_video,
        break_two_of_a_name,
        break_output_is_a_file,
    ],
)
def test_wrong_input_is_one_line(predict, tmp_path, capfd, break_it):
    source, message = break_it(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        masks = PictureResults(tmp_path / "out", "masks", None)
        masks.check(plan_jobs(source, tmp_path / "out")[0])
    before = sorted(tmp_path.rglob("*"))
    assert predict(source) == 2
    error = capfd.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert sorted(tmp_path.rglob("*")) == before  # nothing was made


def test_a_missing_model_is_one_line(tmp_path, capfd):
    main = command("predict")
    picture = save(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    paths = ["--input", str(picture), "--output", str(tmp_path / "out")]
    assert main(["--model", "absent.keras", *paths]) == 2
    assert capfd.readouterr().err.startswith("error: There is no model at")
    assert not (tmp_path / "out").exists()


def test_names_and_colours_are_found(tmp_path):
    plain = ModelFile("plain", ())
    own = ModelFile("own", (), class_names=("a",), palette=((1, 2, 3),))
    path = tmp_path / "int8.tflite"
    assert find_classes(path, own).palette == ((1, 2, 3),)
    unknown = find_classes(path, plain)
    assert unknown.names is None and len(set(unknown.palette)) > 200
    config = tmp_path / "config.json"
    config.write_text('{"dataset": "camvid", "data_dir": null}')
    assert find_classes(path, plain).names == DATASETS["camvid"].class_names
    (tmp_path / "info.json").write_text('{"class_names": ["x", "y"]}')
    config.write_text(json.dumps({"dataset": str(tmp_path)}))
    assert find_classes(path, plain).names == ("x", "y")
    for run in ('{"dataset": "gone/"}', '{"dataset": [1], "data_dir": 3}'):
        config.write_text(run)
        assert find_classes(path, plain).names is None
    for text in ("[1]", "no json"):
        config.write_text(text)
        with pytest.raises(ValueError, match="config.json is no JSON of a tr"):
            find_classes(path, plain)
