"""Flags from files: whole runs in and out, recipes of one's own."""

import json
import os

import pytest

from dla_keras.commands.train import read_flags


def seg(*words):
    return read_flags("segmentation", "train-seg", "Train.", [*map(str, words)])


def cls(*words):
    return read_flags(
        "classification", "train-cls", "Train.", [*map(str, words)]
    )


def settings(args, *without):
    """Return flags as `config.json` has them."""
    kept = {k: v for k, v in vars(args).items() if k not in without}
    return json.loads(json.dumps(kept))


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (seg, "--phone tiny --milestones 0.5 --schedule step --jit --ema 0.5"),
        (seg, "--recipe camvid_small --validate-every 70steps --patience 3"),
        (cls, "--recipe imagenet --no-flip --area 0.5 1 --steps 9"),
        (cls, "--recipe fine_tune --weights none --optimizer adamw"),
    ],
)
def test_a_runs_config_makes_the_same_run(read, words, tmp_path):
    args = read("--run-dir", "runs/x", "--overwrite", *words.split())
    facts = {"starts": [{"step": 0}], "git": None, "command": ["python"]}
    facts |= {"hardware": {}, "replicas": 1, "versions": {}, "data": {}}
    config = {**settings(args), "steps": 40, **facts}
    path = write(tmp_path / "config.json", json.dumps(config))
    again = read("--config", path)
    # What belongs to that run alone is not taken.
    assert (again.run_dir, again.overwrite, again.config) == (
        None,
        False,
        str(path),
    )
    own = ("run_dir", "overwrite", "config", "steps")
    assert settings(again, *own) == settings(args, *own)
    assert again.steps == 40
    # Flags override it, as groups that hang together.
    other = read("--config", path, "--epochs", 2, "--optimizer", "sgd")
    assert (other.epochs, other.steps) == (2, None)
    if args.optimizer == "adamw":
        assert (other.learning_rate, other.weight_decay) == (0.02, 1e-4)


def test_a_config_may_be_written_by_hand(tmp_path):
    path = write(
        tmp_path / "run.yaml",
        "# Streets at night.\nlearning-rate: 1e-3\noptimizer: adamw\n"
        "dataset: camvid\nscale: [0.8, 1.4]\nrun_dir: runs/night\n"
        "jit: yes\nlogger: wandb\nsize: 64x96\nclip_norm:\n",
    )
    args = seg("--config", path)
    assert (args.recipe, args.run_dir) == ("camvid", "runs/night")
    assert (args.learning_rate, args.weight_decay) == (1e-3, 1e-2)
    assert (args.scale, args.size, args.jit) == ([0.8, 1.4], "64x96", True)
    assert (args.logger, args.epochs) == (["wandb"], 1200)


def test_a_recipe_of_ones_own_is_a_file(tmp_path):
    path = write(
        tmp_path / "mine.yml", "recipe: camvid_small\nepochs: 3\njitter: 0.1"
    )
    args = seg("--recipe", path, "--batch-size", 2)
    assert (args.recipe, args.dataset) == (str(path), "camvid")
    assert (args.epochs, args.steps, args.ema) == (3, None, 0.999)
    assert (args.jitter, args.batch_size, args.class_weighting) == (0.1, 2, 0.3)
    # Without a recipe below it, that of the dataset.
    path = write(tmp_path / "plain.json", '{"dataset": "ade20k", "steps": 5}')
    args = seg("--recipe", path)
    assert (args.size, args.steps, args.epochs) == ("512x512", 5, None)
    config = write(tmp_path / "c.yaml", f"recipe: {path}\nsteps: 7")
    assert seg("--config", config).steps == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "holds no flag's name: epoch. Did you mean epochs?"),
        ("help: 1", "holds no flag's name: help."),
        ("mixup: 1", "holds no flag's name: mixup."),
        ("learning_rate: .nan", "argument --learning-rate: expected a number"),
        ("learning_rate: [1, 2]", "unrecognized arguments: 2"),
        ("learning_rate: true", "argument --learning-rate: expected one arg"),
        ("scale: 2", "argument --scale: expected 2 arguments"),
        ("jit: maybe", "unrecognized arguments: maybe"),
        ("optimizer: adam", "invalid choice: 'adam'"),
        ("- epochs", "Expected flags and their values in"),
        ("", "Expected flags and their values in"),
        ("epochs: 3\nsteps: [4", "line 2 is no YAML: "),
        (
            "epochs: 3\nseed: 1\nepochs: 4",
            "line 3 is no YAML: the key 'epochs'",
        ),
        ("size: 64", "argument --size: Expected HEIGHTxWIDTH"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(
    text, message, tmp_path, capsys
):
    path = write(tmp_path / "run.yaml", text)
    with pytest.raises(SystemExit) as ended:
        seg("--config", path)
    first, second = capsys.readouterr().err.splitlines()
    assert (
        ended.value.code == 2 and second == "See `dla-keras train-seg --help`."
    )
    assert first.startswith("error: ") and message in first
    assert str(path) in first


def test_a_missing_file_is_named(tmp_path, capsys):
    for flag in ("--config", "--recipe"):
        with pytest.raises(SystemExit):
            seg(flag, tmp_path / "absent.yaml")
        error = capsys.readouterr().err.splitlines()[0]
        assert f"argument {flag}: " in error and "absent.yaml" in error
        assert "Errno" not in error


def test_recipes_are_listed_with_their_figures(capsys):
    with pytest.raises(SystemExit) as ended:
        seg("--recipe", "list")
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0 and lines[2].startswith("| toy_streets ")
    (row,) = [line for line in lines if line.startswith("| camvid_small")]
    for figure in ("camvid", "288x384", "3600 steps", "adamw 0.002"):
        assert figure in row


def test_a_folder_is_recorded_as_it_is_found_from_everywhere(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "camvid", "data"):
        os.mkdir(name)
    args = seg("--dataset", "mine/", "--data-dir", "data")
    assert args.dataset == str(tmp_path / "mine")
    assert args.data_dir == str(tmp_path / "data")
    assert seg("--dataset", "camvid").dataset == "camvid"
    assert seg("--dataset", "absent").dataset == "absent"


def test_flags_that_came_later_are_off():
    """Or a run that began before them could not go on: see `run_folder`."""
    args = vars(seg("--dataset", "toy_streets"))
    later = ("loss", "class_sampling", "teacher", "teacher_weight")
    later += ("even_scale", "reflect", "saturation", "sharpness", "tint")
    assert not any(args[name] for name in later)
