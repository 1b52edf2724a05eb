"""The training commands end to end, on a few steps of small pictures."""

import csv
import json
import pathlib
import pkgutil
import shutil
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
from list_folder import write_folder
from PIL import Image
from running import command
from tiny_variant import TINY_VARIANT

import dla_keras
from dla_keras.commands.train import _warn_of_guesses
from dla_keras.data.datasets import DATASETS
from dla_keras.tasks import TASKS
from dla_keras.variants import VARIANTS

TINY = "--variant dla_tiny --size 32x64 --batch-size 2 --steps 6".split()


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """Give commands `dla_tiny` to train."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        yield


def flags(name, text):
    """Return the settings that a command reads from flags."""
    module = pkgutil.resolve_name(f"dla_keras.commands.{name}")
    return module.parse_flags(text.split())


def test_a_network_for_phones_is_one_flag():
    args = flags("train.TrainSeg", "--phone tiny")
    assert (args.variant, args.node) == ("dla46_c", "separable")
    args = flags("train.TrainSeg", "")
    assert (args.variant, args.node) == ("dla34", "conv")


def test_train_and_evaluate_a_folder(tmp_path, capfd):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_folder(folder)
    run = tmp_path / "run"
    train = command("train.TrainSeg")
    arguments = ["--dataset", str(folder), "--run-dir", str(run), *TINY]
    more = "--class-weighting 0.5 --ema 0.9 --recalibrate-bn 2".split()
    assert train([*arguments, *more]) == 0
    output = capfd.readouterr()
    assert "| trained" in output.out and "cuda" not in output.err

    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["per_class_iou"]) == {"a", "b", "c"}
    assert np.sum(metrics["confusion"]) == 5 * 48 * 64
    assert set(metrics["baselines"]) == {"majority class", "class by row"}
    config = json.loads((run / "config.json").read_text())
    assert config["steps"] == 6 and config["dataset"] == str(folder)
    assert config["data"]["val"] == config["data"]["train"]
    assert set(config["data"]["train"]) == {"pictures", "files"}
    assert config["recipe"] == "toy_streets" and config["ema"] == 0.9
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert float(rows[-1]["val_miou"]) == metrics["miou"]
    with Image.open(run / "predictions.png") as picture:
        assert picture.width > 3 * 384
    assert list(run.glob("events.out.tfevents.*"))
    for name in ("model", "best"):
        model = keras.models.load_model(run / f"{name}.keras")
        assert model.class_names == ("a", "b", "c")

    # What evaluate.py finds is what training wrote.
    evaluate = command("evaluate")
    same = ["--dataset", str(folder), "--model", str(run / "model.keras")]
    assert evaluate(same) == 0
    again = json.loads(
        (run / "model.keras.evaluation" / "metrics.json").read_text()
    )
    assert again["confusion"] == metrics["confusion"]

    # The same labels under other numbers, by the same names: the same scores.
    turned = tmp_path / "turned"
    shutil.copytree(folder, turned)
    for path in turned.glob("labels_*.png"):
        label = np.array([2, 0, 1], np.uint8)[np.array(Image.open(path))]
        Image.fromarray(label).save(path)
    (turned / "info.json").write_text('{"names": ["b", "c", "a"]}')
    model, scores = str(run / "model.keras"), str(tmp_path / "scores.json")
    other = ["--dataset", str(turned), "--model", model]
    capfd.readouterr()
    assert evaluate([*other, "--json", scores]) == 0
    assert "turned has the classes of " in capfd.readouterr().out
    again = json.loads(pathlib.Path(scores).read_text())
    assert again["confusion"] == metrics["confusion"]
    assert again["per_class_iou"] == metrics["per_class_iou"]
    assert evaluate([*other, "--classes-by-number", "--json", scores]) == 0
    again = json.loads(pathlib.Path(scores).read_text())
    assert again["confusion"] != metrics["confusion"]
    (turned / "info.json").write_text('{"names": ["b", "c", "A", "d"]}')
    capfd.readouterr()
    exported = ["--output", str(tmp_path / "x.tflite")]
    for name, flag in (
        ("evaluate", ["--classes-by-number"]),
        ("export_tflite", exported),
        ("export_saved_model", ["--output", str(tmp_path / "saved")]),
        ("quantize", []),
    ):
        assert command(name)([*other, *flag]) == 2
        error = capfd.readouterr().err
        assert "the 3 classes of" in error and "turned with 4" in error, name
        if "--classes-by-number" not in flag:
            assert ": a, b, c. Rec" in error and ": b, c, A, d. Only" in error

    # The same command finds its work done; another one leaves it alone.
    with pytest.raises(SystemExit) as done:
        train([*arguments, *more])
    assert done.value.code == 0
    assert "finished" in capfd.readouterr().out
    assert train(arguments) == 2
    assert "--class-weighting 0.0 (there: 0.5)" in capfd.readouterr().err


def test_train_a_classifier(tmp_path, capfd):
    run = tmp_path / "run"
    train = command("train.TrainCls")
    few = "--variant dla_tiny --size 32x32 --batch-size 8 --steps 4"
    more = "--mixup 0.2 --cutmix 1 --drop-path 0.1 --label-smoothing 0.1"
    arguments = [*few.split(), *more.split(), "--run-dir", str(run)]
    assert train(arguments) == 0
    assert "| trained" in capfd.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    confusion = np.array(metrics["confusion"])
    assert confusion.sum() == metrics["pictures"] == 360
    assert metrics["top1"] == np.trace(confusion) / 360
    assert metrics["top1"] <= metrics["top5"] <= 1
    with Image.open(run / "confusion.png") as picture:
        assert picture.width > 700
    model = keras.models.load_model(run / "model.keras")
    assert model.class_names == tuple("0123456789")

    # Fine-tuning: its backbone into a network for other classes.
    weights = str(run / "model.keras")
    folder = tmp_path / "shapes"
    for split in ("train", "val"):
        for name in ("dark", "light"):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(4):
                grey = np.full((40, 50, 3), 40 * index + 90 * (name > "e"))
                picture = Image.fromarray(grey.astype(np.uint8))
                picture.save(place / f"{index}.png")
    tuned = ["--dataset", str(folder), "--weights", weights, "--steps", "1"]
    tuned += ["--variant", "dla_tiny", "--size", "32x32", "--batch-size", "4"]
    # At a rate of nothing, the backbone stays what it was.
    tuned += ["--backbone-rate", "0", "--run-dir", str(tmp_path / "tuned")]
    assert train(tuned) == 0
    after = keras.models.load_model(tmp_path / "tuned/model.keras")
    assert after.class_names == ("dark", "light")
    for before, now in zip(
        model.backbone.trainable_variables,
        after.backbone.trainable_variables,
        strict=True,
    ):
        np.testing.assert_array_equal(before.numpy(), now.numpy())


def test_flags_override_recipes():
    seg = "train.TrainSeg"
    args = flags(seg, "--recipe camvid --batch-size 2")
    assert args.dataset == "camvid" and args.batch_size == 2
    assert (args.epochs, args.steps, args.size) == (1200, None, "448x448")
    assert (args.schedule, args.learning_rate) == ("step", 0.01)
    # Steps take the place of epochs, an optimizer brings its own rate.
    args = flags(seg, "--recipe camvid --steps 9 --optimizer adamw")
    assert (args.epochs, args.steps) == (None, 9)
    assert (args.learning_rate, args.weight_decay) == (1e-3, 1e-2)
    assert flags(seg, "--dataset cityscapes").recipe == "cityscapes"
    assert flags(seg, "--dataset folder/").recipe == "toy_streets"
    assert flags(seg, "").dataset == "toy_streets"
    cls = "train.TrainCls"
    assert flags(cls, "").dataset == "digits"
    assert flags(cls, "--dataset imagenet2012").recipe == "imagenet"
    args = flags(cls, "--dataset folder/")
    assert (args.recipe, args.weights) == ("fine_tune", "imagenet")
    assert flags(cls, "--dataset folder/ --weights none").weights is None
    for wrong in ("--recipe citiscapes", "--boundary-weight -1"):
        with pytest.raises(SystemExit):
            flags(seg, wrong)
    with pytest.raises(SystemExit):
        flags(seg, "--boundary-weight nan")


def test_bad_input_is_one_line(tmp_path, capfd):
    train = command("train.TrainSeg")
    classify = command("train.TrainCls")
    evaluate = command("evaluate")
    run = ["--run-dir", str(tmp_path / "run"), *TINY]
    model = ["--dataset", write_folder(tmp_path), "--model"]
    absent = ["--dataset", "citiscapes"]
    (tmp_path / "broken.keras").write_text("no model")
    masks = tmp_path / "masks"
    masks.mkdir()
    write_folder(masks, count=2)
    (masks / "info.json").write_text('{"class_names": ["a", "b"]}')
    for index in range(2):
        Image.new("L", (64, 48), 255 * index).save(
            masks / f"labels_{index}.png"
        )
    for main, arguments, message in (
        (train, ["--dataset", "citiscapes", *run], "Unknown dataset"),
        (train, ["--dataset", str(masks), *run], "--allow zero-255"),
        (train, [*model[:2], *run, "--size", "30x64"], "multiples of 32"),
        (train, [*model[:2], *run, "--variant", "dla43"], "Did you mean"),
        (train, [*model[:2], *run, "--schedule", "step"], "milestones"),
        (train, [*model[:2], *run, "--resume", "x.npz"], "no checkpoint at"),
        (train, [*run, "--strategy", "multi_worker"], "docs/clusters.md"),
        # Before the data is looked for.
        (train, [*absent, "--run-dir", model[1]], "which holds "),
        (train, [*absent, "--run-dir", __file__], "is a file; pass "),
        (train, [*model[:2], "--run-dir", model[1]], "is that of the data"),
        (classify, [*run, "--batch-size", "9", "--mixup", "1"], "in pairs"),
        (evaluate, [*model, "absent.keras"], "There is no model at"),
        (evaluate, [*model, str(tmp_path / "broken.keras")], "cannot be read"),
        (evaluate, [*model, str(tmp_path)], "Expected a .keras file"),
    ):
        assert main(arguments) == 2, message
        error = capfd.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and message in error
    assert not (tmp_path / "run").exists()  # free for the mended command


def arrays(path):
    """Return the arrays of a model's file, and those of its backbone."""
    model = keras.models.load_model(path, compile=False)
    every = {v.path: v.numpy() for v in model.variables}
    assert len(every) == len(model.variables)
    return every, {v.path for v in model.backbone.variables}


def test_a_frozen_backbone_keeps_every_array(tmp_path, capfd):
    folder, weights = tmp_path / "pictures", tmp_path / "start.keras"
    folder.mkdir()
    write_folder(folder)
    dla_keras.DLAClassifier("dla_tiny", 7).save(weights)
    run = tmp_path / "run"
    command_line = [
        *("--dataset", str(folder), "--run-dir", str(run)),
        *("--weights", str(weights), "--freeze-backbone"),
        *"--recalibrate-bn 2 --checkpoint-steps 2 --deterministic".split(),
        *TINY,
    ]
    train = command("train.TrainSeg")
    assert train(command_line) == 0
    assert "130 of 182 arrays taken (backbone 130" in capfd.readouterr().out
    after, backbone = arrays(run / "model.keras")
    source = dla_keras.load(weights).file.model.backbone
    start = {v.path: v.numpy() for v in source.variables}
    kept = {
        name.rsplit("base/")[-1]: array
        for name, array in after.items()
        if name in backbone
    }
    assert len(kept) == 130
    for name, array in start.items():
        np.testing.assert_array_equal(kept[name.rsplit("backbone/")[-1]], array)
    # It goes on as it would have.
    for name in ("metrics.json", "model.keras"):
        (run / name).unlink()
    newest = max((run / "checkpoints").iterdir())
    newest.unlink()
    assert train(command_line) == 0
    again, _ = arrays(run / "model.keras")
    for name, array in after.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("name", "task", "total"),  # arrays that train; 78 are the backbone's
    [
        ("train.TrainSeg", "segmentation", 110),
        ("train.TrainBoundary", "boundary", 134),
        ("train.TrainCls", "classification", 80),
    ],
)
def test_what_trains_is_counted(tmp_path, name, task, total):
    weights = tmp_path / "start.keras"
    dla_keras.DLABackbone("dla_tiny").save(weights)
    row, info = TASKS[task], DATASETS["toy_streets"]
    for frozen in ("", " --freeze-backbone"):
        args = flags(name, f"--variant dla_tiny --weights {weights}{frozen}")
        trained = row.make_model(args, info).trainable_variables
        assert len(trained) == (total - 78 if frozen else total)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--freeze-backbone", "pass --weights imagenet"),
        ("--classes-by-number", "about the classes of --weights"),
        (
            "--weights x.keras --freeze-backbone --backbone-rate 0.1",
            "a backbone that trains",
        ),
    ],
)
@pytest.mark.parametrize("name", ["train.TrainSeg", "train.TrainBoundary"])
def test_flags_about_weights_need_some(name, text, message, capsys):
    with pytest.raises(SystemExit):
        flags(name, text)
    assert message in capsys.readouterr().err


def test_a_network_below_a_guess_is_told(capsys):
    row = SimpleNamespace(COLUMNS={"miou": "mIoU", "pixel_accuracy": "pixel"})
    guesses = {"majority class": {"miou": 0.1}, "class by row": {"miou": 0.15}}
    for miou, told in ((0.02, True), (None, True), (0.15, False), (0.4, False)):
        _warn_of_guesses(row, {"miou": miou}, guesses)
        said = capsys.readouterr().out
        assert ("below 'class by row', which looks at no" in said) == told
    _warn_of_guesses(row, {"miou": 0.0}, {})
    assert capsys.readouterr().out == ""
