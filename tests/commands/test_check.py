"""`dla-keras check`: a table, a page and the next command, without Keras."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from box_folders import coco
from box_folders import voc
from box_folders import yolo
from list_folder import write_folder
from paths import ROOT
from PIL import Image

from dla_keras.commands import check
from dla_keras.commands.check import training_flags
from dla_keras.commands.train import TrainCls
from dla_keras.commands.train import TrainDet
from dla_keras.commands.train import TrainSeg
from dla_keras.report.dataset_page import ClassRow
from dla_keras.report.dataset_page import Dataset


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Run in a folder of its own, with its own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    code = check.main([*map(str, arguments)])
    return code, capsys.readouterr()


def test_a_good_folder(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_folder(folder, count=14)
    # Another split, or every picture is one of both.
    for kind in ("images", "labels"):
        names = [f"{kind}_{index}.png" for index in range(14)]
        (folder / f"train_{kind}.txt").write_text("\n".join(names[:9]))
        (folder / f"val_{kind}.txt").write_text("\n".join(names[9:]))
    code, output = run(capsys, folder)
    assert code == 0, output.err
    assert "| 64 x 48        |     9 |    5 |" in output.out
    shares = re.search(
        r"\| a +\| (\S+) % \| (\S+) % \| +9 \| +5 \|", output.out
    )
    assert abs(float(shares[1]) - 33.3) < 2  # of random labels
    assert "error" not in output.out and "warning" not in output.out

    page = (tmp_path / "check-pictures.html").read_text()
    assert "default-src 'none'" in page
    assert page.count("data:image/jpeg;base64,") == 12
    assert "Nothing that looks wrong." in page
    # The command to type next is one that the training takes.
    words = output.out.partition("Train:\n")[2].partition("\n\n")[0]
    words = words.replace("\\\n", " ").split()
    assert words[:2] == ["dla-keras", "train-seg"]
    args = TrainSeg.parse_flags(words[2:])
    assert args.size == "64x64" and args.dataset == str(folder)
    assert not [*folder.glob("*.html")]


def test_everything_wrong_is_named(tmp_path, capsys):
    folder = tmp_path / "bad"
    folder.mkdir()
    write_folder(folder, count=8)
    (folder / "images_1.png").unlink()
    (folder / "labels_2.png").write_text("no picture")
    cut = (folder / "images_3.png").read_bytes()[:3000]
    (folder / "images_3.png").write_bytes(cut)
    labels = [f"labels_{i}.png" for i in (0, 1, 2, 3, 5, 4, 6, 7)]
    (folder / "train_labels.txt").write_text("\n".join(labels))
    code, output = run(capsys, folder, "--output", tmp_path / "a/b.html")
    assert code == 2
    page = (tmp_path / "a/b.html").read_text()
    for words in (
        "images_1.png does not exist",
        "labels_2.png is no picture",
        "images_3.png cannot be decoded",
        "2 of 8 labels bear the name of another picture",
        "6 of 8 pictures of val are in train, too",
    ):
        assert words in output.out, words
        assert words in page, words
    assert "When that is mended, train:" in page
    assert "4 to mend first" in page
    code, output = run(capsys, folder, "--allow", "other-names")
    assert "warning: 2 of 8 labels" in output.out
    assert "--allow other-names" in output.out.partition("train:")[2]


def test_class_folders(tmp_path, capsys):
    random = np.random.default_rng(0)
    for split, name, count in (
        ("train", "cat", 3),
        ("train", "dog", 1),
        ("val", "cat", 2),
        ("val", "dog", 1),
    ):
        folder = tmp_path / "pets" / split / name
        folder.mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (80, 90, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    code, output = run(capsys, "pets")
    assert code == 0, output
    assert "| cat   | 75.0 % | 66.7 % |        3 |      2 |" in output.out
    words = output.out.partition("Train:\n")[2].partition("\n\n")[0]
    words = words.replace("\\\n", " ").split()
    args = TrainCls.parse_flags(words[2:])
    assert args.size == "64x64" and args.dataset.endswith("pets")
    page = (tmp_path / "check-pets.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4


@pytest.mark.parametrize("write", [coco, voc, yolo])
def test_boxes_are_found_in_each_form(write, tmp_path, capsys):
    folder = tmp_path / "objects"
    write(folder)
    code, output = run(capsys, folder, "--allow", "absent-classes")
    assert code == 0, output
    # Of three boxes: the pictures are drawn into the splits by their names.
    counts = re.search(r"\| boxes +\| +(\d) \| +(\d) \|", output.out)
    assert int(counts[1]) + int(counts[2]) == 3
    rows = re.findall(r"\| (car|dog) .*? (\d) \| +(\d) \|", output.out)
    assert {name: int(a) + int(b) for name, a, b in rows} == dict(car=1, dog=2)
    assert re.search(r"Without a box: 1 of \d pictures of \w+", output.out)
    words = output.out.partition("Train:\n")[2].partition("\n\n")[0]
    words = words.replace("\\\n", " ").split()
    assert words[:2] == ["dla-keras", "train-det"]
    args = TrainDet.parse_flags(words[2:])
    assert args.size == "64x64" and args.dataset == str(folder)
    page = (tmp_path / "check-objects.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert "predict --model objects.tflite" in page


def test_sizes_and_faults_of_boxes(tmp_path, capsys):
    coco(tmp_path)
    table = json.loads((tmp_path / "train.json").read_text())
    (tmp_path / "val.json").write_text(json.dumps(table))
    box = dict(table["annotations"][0], image_id=2, category_id=3)
    for number, sides in enumerate(
        [(5, 4, 8, 30), (5, 4, 20, 13), (5, 4, 0, 9), (50, 4, 30, 9)], 10
    ):
        table["annotations"].append({**box, "id": number, "bbox": sides})
    table["annotations"].append({**box, "id": 20, "iscrowd": 1})
    (tmp_path / "train.json").write_text(json.dumps(table))
    code, output = run(capsys, tmp_path)
    assert code == 2
    # Shorter sides of train: 16, 16, 12, 8, 13, and 9 of what is outside.
    for line in (
        r"\| boxes +\| +6 \| +3 \|",
        r"\| shorter side, half below +\| +12 px \| +16 px \|",
        r"\| shorter side below 12 px +\| 33.3 % \| +0 \|",
        r"\| ignored +\| 12.5 % \| +0 \| +1 \| +0 \|",
        r"error: Boxes of train lie outside of .*box 4: x 50 to 80",
        r"warning: Boxes of train have no area.*box 3: x 5 to 5",
    ):
        assert re.search(line, output.out), line
    page = (tmp_path / f"check-{tmp_path.name}.html").read_text()
    assert page.count("box 4: x 50 to 80") == 2  # found, and where
    # Of a folder with outlines the masks are looked at, unless boxes are asked.
    for each in table["annotations"]:
        left, top, width, height = each["bbox"]
        each["segmentation"] = [[left, top, left + width, top, left, top + 9]]
        each["bbox"] = [1, 2, 12, 13]
    for name in ("train", "val"):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    assert "train-seg" in run(capsys, tmp_path)[1].out
    code, output = run(capsys, tmp_path, "--task", "detection")
    assert code == 0 and "train-det" in output.out


def boxed(size, shorter):
    sides = np.full(9, float(shorter)), np.zeros(0)
    sizes = Counter({size: 205}), Counter()
    return Dataset("x", (205, 9), sizes, (), (), unit="boxes", sides=sides)


@pytest.mark.parametrize(
    "size, shorter, card, expected",
    [
        ((640, 480), 96, False, "--size 256x320 --max-side 320 --phone small"),
        # Twelve pixels are left of the smaller boxes, or the picture's own.
        ((4000, 3000), 60, False, "--size 256x320 --max-side 800 --phone"),
        ((4000, 3000), 10, False, "--size 256x320 --phone small"),
        ((640, 480), 96, True, "--size 448x576 --max-side 576 --phone base"),
    ],
)
def test_what_is_proposed_fits_the_boxes(size, shorter, card, expected):
    flags = training_flags("detection", boxed(size, shorter), card)
    assert expected in " ".join(flags)
    steps = 60 * 205 // (16 if card else 8)
    assert flags[-1] == str(max(1000, steps))


def seen(size, pictures, rarest=0.2):
    rows = [ClassRow("a", (1 - rarest, 0.5), (9, 9))]
    rows.append(ClassRow("b", (rarest, 0.5), (9, 9)))
    return Dataset(
        "x", (pictures, 9), (Counter({size: pictures}), Counter()), rows, ()
    )


@pytest.mark.parametrize(
    "size, pictures, rarest, card, expected",
    [
        # 40 photographs and no card: a small network, 200 epochs.
        (
            (4000, 3000),
            40,
            0.2,
            False,
            "--size 192x256 --max-side 512 4 2000",
        ),
        ((480, 360), 367, 0.003, False, "--class-weighting 0.3 4 4000"),
        (
            (2048, 1024),
            2975,
            0.2,
            True,
            "--size 352x736 --max-side 1472 8 40000",
        ),
        ((64, 48), 3, 0.2, False, "--size 64x64 --phone small 3 1000"),
    ],
)
def test_what_is_proposed_fits_the_data(size, pictures, rarest, card, expected):
    dataset = seen(size, pictures, rarest)
    flags = " ".join(training_flags("segmentation", dataset, card))
    *parts, batch, steps = expected.split()
    assert " ".join(parts) in flags
    assert flags.endswith(f"--batch-size {batch} --steps {steps}")
    assert flags.startswith("--weights imagenet")
    assert ("--phone" in flags) != card


def test_of_class_folders_their_own_error_is_told(tmp_path, capsys):
    for place in ("train/cat", "train/dog", "val/cat", "val/ant"):
        (tmp_path / "a" / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "a" / place / "1.png")
    code, output = run(capsys, tmp_path / "a")
    assert code == 2 and "has classes that" in output.err
    assert output.err.endswith("has not: ant.\n")
    (tmp_path / "a/val/ant/1.png").unlink()
    (tmp_path / "a/val/ant").rename(tmp_path / "a/val/dog")
    code, output = run(capsys, tmp_path / "a")
    assert code == 2 and "none in " in output.err
    # Images whose labels are missing are no classes.
    (tmp_path / "a/train/cat").rename(tmp_path / "a/train/images")
    code, output = run(capsys, tmp_path / "a")
    assert code == 2 and "No images with labels" in output.err


def test_mistakes_are_one_line(tmp_path, capsys):
    for arguments, message in (
        ((), "pass a folder, or --dataset NAME"),
        (("x", "--output", "x.png"), "--output is an .html file"),
        (("x", "--allow", "all"), "invalid choice"),
        (("x", "--dataset", "y"), "Received: x and --dataset y; leave one"),
    ):
        with pytest.raises(SystemExit):
            run(capsys, *arguments)
        assert message in capsys.readouterr().err
    (tmp_path / "notes.html").write_text("mine")
    write_folder(tmp_path)
    code, output = run(capsys, tmp_path, "--output", "notes.html")
    assert code == 2 and "notes.html, which is no page of" in output.err
    assert (tmp_path / "notes.html").read_text() == "mine"
    assert run(capsys, tmp_path, "--output", "new.html")[0] == 0
    assert run(capsys, tmp_path, "--output", "new.html")[0] == 0
    code, output = run(capsys, "absent")
    assert code == 2 and output.err.startswith("error: Unknown dataset")


def test_it_does_without_keras(tmp_path):
    write_folder(tmp_path)
    yolo(tmp_path / "yolo")
    code = """
import sys
from dla_keras.commands import check
code = check.main(["."]) or check.main(["yolo", "--allow", "absent-classes"])
heavy = {"keras", "tensorflow", "tensorflow_datasets"} & set(sys.modules)
assert code == 0 and not heavy, (code, heavy)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
