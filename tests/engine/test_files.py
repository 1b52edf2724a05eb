"""What a run writes: checkpoints, its folder's config, and its tables."""

import datetime
import errno
import json
import os
import platform
import random
import resource
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from list_folder import write_folder
from PIL import Image

from dla_keras.commands.flags import add_task_flags
from dla_keras.commands.train import training_parser
from dla_keras.data.segmentation import open_split
from dla_keras.engine import loggers
from dla_keras.engine.checkpoints import Checkpoints
from dla_keras.engine.checkpoints import read_checkpoint
from dla_keras.engine.checkpoints import write_checkpoint
from dla_keras.engine.loggers import Loggers
from dla_keras.engine.loggers import Tables
from dla_keras.engine.loop import Plan
from dla_keras.engine.run_folder import FREE
from dla_keras.engine.run_folder import NETWORK
from dla_keras.engine.run_folder import SCORED
from dla_keras.engine.run_folder import choose_run_dir
from dla_keras.engine.run_folder import claim
from dla_keras.engine.run_folder import differences
from dla_keras.engine.run_folder import find_start
from dla_keras.engine.run_folder import fingerprint
from dla_keras.engine.run_folder import hold_run_dir
from dla_keras.engine.strategies import make_strategy

ARRAYS = {
    "model/0/kernel": np.arange(600, dtype=np.float32).reshape(20, 30),
    "model/1/seed": np.array([1, 2], np.uint32),
    "optimizer/0/iteration": np.array(7, np.int64),
}


# === Checkpoints ===


def test_a_checkpoint_comes_back_to_the_bit(tmp_path):
    facts = {"step": 7, "rows": [{"loss": 0.1 + 0.2}], "best": None}
    write_checkpoint(tmp_path / "a.npz", ARRAYS, facts)
    checkpoint = read_checkpoint(tmp_path / "a.npz")
    assert checkpoint.facts == facts
    assert checkpoint.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert checkpoint.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(checkpoint.arrays[name], array)


def test_every_damage_is_found_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    write_checkpoint(path, ARRAYS, {"step": 7})
    whole = path.read_bytes()
    draw = random.Random(0)
    found = 0
    for _ in range(400):
        damaged = bytearray(whole)
        kind = draw.choice(("flip", "cut", "zeros"))
        at = draw.randrange(len(whole))
        if kind == "flip":
            damaged[at] ^= 1 << draw.randrange(8)
        elif kind == "cut":
            del damaged[at:]
        else:
            damaged[at : at + 512] = bytes(len(damaged[at : at + 512]))
        path.write_bytes(damaged)
        try:
            checkpoint = read_checkpoint(path)
        except ValueError as error:
            assert "damaged" in str(error) and "a.npz" in str(error)
            found += 1
            continue
        # A date, say, or zeros that were zeros before.
        assert checkpoint.facts == {"step": 7}
        assert checkpoint.arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(checkpoint.arrays[name], array)
    assert found > 300


def test_the_last_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 15, 20):
        checkpoints.save(step, ARRAYS, {"step": step}, best=step == 10)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.npz", "step-00000015.npz", "step-00000020.npz"]
    assert read_checkpoint(tmp_path / "best.npz").facts == {"step": 10}
    assert checkpoints.newest().facts == {"step": 20}


def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for step in (5, 10, 15):
        checkpoints.save(step, ARRAYS, {"step": step})
    five, ten, fifteen = checkpoints.paths()
    fifteen.write_bytes(fifteen.read_bytes()[:-100])
    with pytest.warns(UserWarning) as warnings:
        assert checkpoints.newest().facts == {"step": 10}
    message = str(warnings[0].message)
    assert str(fifteen) in message and str(ten) in message
    # Going on from 10 leaves the damaged one, but not in the way.
    checkpoints.set_aside(10)
    assert checkpoints.paths() == [five, ten]
    assert fifteen.with_suffix(".npz.unused").exists()
    assert len(list(tmp_path.iterdir())) == 3
    # What is no file at all gives way, too, and does not stop what follows.
    (tmp_path / "step-00000011.npz").mkdir()
    (tmp_path / "step-00000012.npz").symlink_to(tmp_path / "gone")
    (tmp_path / "step-final.npz").write_bytes(b"a person's own")
    with pytest.warns(UserWarning, match="0012.npz.*0011.npz") as said:
        assert checkpoints.newest().facts == {"step": 10}
    assert f"the one before, {ten}" in str(said[0].message)
    checkpoints.set_aside(11)
    for step in (20, 25, 30, 35):
        checkpoints.save(step, ARRAYS, {"step": step})
    assert (tmp_path / "step-00000011.npz").is_dir()
    assert (tmp_path / "step-final.npz").exists()
    (tmp_path / "step-00000011.npz").rmdir()
    for path in checkpoints.paths():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="No checkpoint can be read.*--over"):
        checkpoints.newest()


def test_no_space_leaves_the_earlier_checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(5, ARRAYS, {"step": 5})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to write on, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="step-00000010.npz cannot be") as e:
            checkpoints.save(10, ARRAYS, {"step": 10}, best=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.strerror(errno.EFBIG) in str(e.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005.npz"]
    assert checkpoints.newest().facts == {"step": 5}


# === The run's folder ===


def test_a_folder_is_gone_on_with_by_its_own_run_only(tmp_path):
    strategy = make_strategy("one_device")
    settings = {"dataset": "noise", "learning_rate": 0.1, "strategy": "auto"}
    settings["data"] = {"class_names": ["a", "b"], "train": {"pictures": 9}}
    assert find_start(tmp_path, settings) is None
    claim(tmp_path, settings, strategy, 0, False)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert find_start(tmp_path, settings) is None
    checkpoints.folder.mkdir()
    checkpoints.save(5, ARRAYS, {"step": 5})
    # What does not change the result may differ.
    start = find_start(tmp_path, {**settings, "strategy": "mirrored"})
    assert start.facts == {"step": 5}
    # A flag that a later version brought is no difference, unless used.
    assert find_start(tmp_path, {**settings, "boundary_weight": 0.0})
    with pytest.raises(ValueError, match="boundary-weight 1.0 .there: None"):
        find_start(tmp_path, {**settings, "boundary_weight": 1.0})
    # A run that was begun when a flag had another name.
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace("strategy", "precision"))
    renamed = {**settings, "compute": "auto"}
    assert find_start(tmp_path, renamed).facts == {"step": 5}
    with pytest.raises(ValueError, match="compute float16 .there: auto"):
        find_start(tmp_path, {**renamed, "compute": "float16"})
    with pytest.raises(ValueError, match="learning-rate 0.2 .there: 0.1"):
        find_start(tmp_path, {**settings, "learning_rate": 0.2})
    names = {**settings["data"], "class_names": ["b", "a"]}
    with pytest.raises(ValueError, match="other data.*b, a .there: a, b"):
        find_start(tmp_path, {**settings, "data": names})
    with pytest.raises(ValueError, match="holds an earlier run"):
        find_start(tmp_path, settings, "never")
    assert find_start(tmp_path, settings, overwrite=True) is None
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*x.npz"):
        find_start(tmp_path, settings, str(tmp_path / "x.npz"))
    for cut_off in ("", "\0" * 512, '{"miou": 0.', "[]"):
        (tmp_path / "metrics.json").write_text(cut_off)
        assert find_start(tmp_path, settings).facts == {"step": 5}
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(SystemExit) as finished:
        find_start(tmp_path, settings)
    assert finished.value.code == 0

    config = json.loads((tmp_path / "config.json").read_text())
    assert config["learning_rate"] == 0.1
    assert config["hardware"]["device"] == f"CPU, {os.cpu_count()} cores"
    assert config["versions"]["keras"] == keras.__version__
    assert config["starts"][0]["hardware"]["cores"] == os.cpu_count()
    # Of its folder, a run removes what it wrote.
    own = ["checkpoints/notes.md", "mine.keras", "own.txt", "train.txt"]
    gone = ["best.keras", "history.csv", "checkpoints/best.npz"]
    for name in own + gone:
        (tmp_path / name).write_text("")
    claim(tmp_path, settings, strategy, 7, True)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    left = {str(path.relative_to(tmp_path)) for path in files}
    assert left == {"config.json", *own}
    config = json.loads((tmp_path / "config.json").read_text())
    assert [start["step"] for start in config["starts"]] == [7]
    (tmp_path / "checkpoints/notes.md").unlink()
    claim(tmp_path, settings, strategy, 0, True)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.keras", "my own"),
        ("val.txt", "my own"),
        ("config.json", '{"my": "server settings"}'),
        ("config.json", '{"versions": {"server": 2}, "starts": []}'),
        ("config.json", '["a list"]'),
        ("checkpoints", None),
    ],
)
def test_a_folder_of_something_else_takes_no_run(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text) if text else path.mkdir()
    (tmp_path / ".DS_Store").write_text("")
    message = f"which holds {name} and no config.json of a run; choose another"
    for words in (("auto", False), ("never", False), ("auto", True)):
        with pytest.raises(ValueError, match=message):
            find_start(tmp_path, {"dataset": "noise"}, *words)
    for run_dir in (tmp_path / ".DS_Store", tmp_path / ".DS_Store/run"):
        with pytest.raises(ValueError, match=".DS_Store is a file; pass an"):
            find_start(run_dir, {"dataset": "noise"})
    path.unlink() if text else path.rmdir()
    assert find_start(tmp_path, {"dataset": "noise"}) is None


def test_no_run_begins_in_the_folder_of_its_data(tmp_path):
    strategy = make_strategy("one_device")
    for flag in ("dataset", "data_dir"):
        settings = {"dataset": "noise", flag: f"{tmp_path}/"}
        for overwrite in (False, True):
            with pytest.raises(ValueError, match="which is that of the data"):
                find_start(tmp_path, settings, "auto", overwrite)
    # An earlier version has begun one: it goes on.
    claim(tmp_path, settings, strategy, 0, False)
    assert find_start(tmp_path, settings) is None
    with pytest.raises(ValueError, match="which is that of the data"):
        find_start(tmp_path, settings, overwrite=True)
    (tmp_path / "config.json").write_text('{"versions": {"dla_ke')
    with pytest.raises(ValueError, match="not valid JSON.*restore that file"):
        find_start(tmp_path, settings, overwrite=True)


def test_what_cannot_go_on_in_its_folder_can_in_another(tmp_path, monkeypatch):
    strategy = make_strategy("one_device")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    run = tmp_path / "run"
    earlier = {"dataset": "mine/", "steps": 10}  # as an earlier version did
    claim(run, earlier, strategy, 0, False)
    now = {**earlier, "dataset": str(tmp_path / "mine")}
    assert find_start(run, now) is None
    with pytest.raises(ValueError, match="--resume CHECKPOINT it goes on"):
        find_start(run, {**now, "steps": 20})
    checkpoints = Checkpoints(run / "checkpoints")
    checkpoints.folder.mkdir()
    checkpoints.save(5, ARRAYS, {"step": 5})
    hint = f"--resume {checkpoints.paths()[0]} it goes on from there"
    with pytest.raises(ValueError, match="--steps 20 .there: 10") as error:
        find_start(run, {**now, "steps": 20})
    assert hint in str(error.value)
    with pytest.raises(ValueError, match="--overwrite would remove"):
        find_start(run, now, str(checkpoints.paths()[0]), overwrite=True)
    assert find_start(
        tmp_path / "new", {**now, "steps": 20}, str(checkpoints.paths()[0])
    ).facts == {"step": 5}


def flags(**changes):
    names = {"run_dir": None, "resume": "auto", "overwrite": False}
    names |= {"dataset": "noise", "variant": "tiny", "data_dir": None}
    return SimpleNamespace(**names | changes)


# Holds the lock as another process would, and says when.
HOLDER = """
import fcntl, os, platform, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
print(os.getpid(), platform.node(), "noon", file=file, flush=True)
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_has_one_run_at_a_time(tmp_path, monkeypatch):
    run = tmp_path / "run"
    args = flags(run_dir=str(run))
    with hold_run_dir(args):
        (run / "config.json").write_text('{"versions": {"dla_keras": "0"}}')
        with hold_run_dir(args, chief=False):  # another machine of this run
            pass
        with pytest.raises(ValueError, match=f"process {os.getpid()} on "):
            with hold_run_dir(args):
                pass
    command = [sys.executable, "-c", HOLDER, str(run / ".lock")]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    message = (
        f"in use: process {other.pid} on {platform.node()} has .* since noon"
    )
    with pytest.raises(ValueError, match=message):
        with hold_run_dir(args):
            pass
    assert run.exists()
    other.kill()
    other.communicate()
    said = (run / ".lock").read_text()
    with hold_run_dir(args):  # the kernel has let go of it
        pass
    assert (run / ".lock").read_text() == ""

    # Where files cannot be locked, the number of the process must do.
    def missing(file, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", missing)
    (run / ".lock").write_text(said)  # it was killed
    with hold_run_dir(args):
        pass
    (run / ".lock").write_text(said.replace(str(other.pid), str(os.getppid())))
    with pytest.raises(ValueError, match=f"process {os.getppid()} on"):
        with hold_run_dir(args):
            pass
    for odd in (b"7", b"\xff\0", f"x {platform.node()} noon".encode()):
        (run / ".lock").write_bytes(odd)
        with hold_run_dir(args):
            pass
    (run / ".lock").write_text("7 far-away noon\n")
    with pytest.warns(UserWarning, match="Process 7 on far-away may still"):
        with hold_run_dir(args):
            pass


def test_a_folder_in_which_no_run_begins_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    for run_dir in (None, "new", "mine"):
        with pytest.raises(ValueError, match="a wrong flag"):
            with hold_run_dir(flags(run_dir=run_dir)):
                raise ValueError("a wrong flag")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "runs"]
    assert not list((tmp_path / "runs").iterdir())


def test_runs_of_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime.datetime(2026, 11, 27, 6, 0, 0)
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: now))
    monkeypatch.setattr("dla_keras.engine.run_folder.datetime", clock)
    names = [str(choose_run_dir(flags())) for _ in range(3)]
    first = "runs/noise-tiny-20261127-060000"
    assert names == [first, f"{first}-2", f"{first}-3"]
    assert all(os.path.isdir(name) for name in names)


def test_another_runs_checkpoint_is_told_by_what_differs(tmp_path):
    strategy = make_strategy("one_device")
    data = {"class_names": ["a", "b"], "train": {"pictures": 9}}
    settings = {"variant": "dla34", "compute": "float32", "data": data}
    mine = claim(tmp_path / "mine", settings, strategy, 0, False)
    assert mine == claim(tmp_path / "mine", settings, strategy, 0, False)
    theirs = claim(tmp_path / "theirs", settings, strategy, 0, False)
    assert mine["id"] != theirs["id"]
    config = json.loads((tmp_path / "mine/config.json").read_text())
    assert config["run_id"] == mine["id"]
    assert claim(tmp_path / "mine", settings, strategy, 0, True) != mine

    path = tmp_path / "theirs/checkpoints/step-00000005.npz"

    def start(changes, resume="auto", **origin):
        facts = {"step": 5, "run": {**theirs, **origin}}
        write_checkpoint(path, ARRAYS, facts)
        run_dir = path.parents[1] if resume == "auto" else tmp_path / "new"
        return find_start(run_dir, {**settings, **changes}, resume)

    assert start({}).facts["step"] == 5
    with pytest.raises(ValueError, match=f"there: {mine['id']}.; move it away"):
        start({}, id=mine["id"])
    other = {**data, "class_names": ["a", "c"]}
    with pytest.raises(ValueError, match=r"classes a, b \(there: a, c\); move"):
        start({}, id=mine["id"], data=other)
    # One that is named may be of another run, of the same network and classes.
    named = str(path)
    assert start({}, named, id=mine["id"]).facts["step"] == 5
    with pytest.raises(ValueError, match="classes a, c .there: a, b.; pass"):
        start({"data": other}, named)
    for flag, value in (("variant", "dla60"), ("compute", "bfloat16")):
        with pytest.raises(
            ValueError, match=f"of another run: --{flag} {value}"
        ):
            start({flag: value}, named)
    more = {**data, "train": {"pictures": 12}}
    with pytest.warns(UserWarning, match="12 pictures of train .there: 9"):
        assert start({"data": more}, named).facts["step"] == 5
    # Those of earlier versions do not say.
    write_checkpoint(path, ARRAYS, {"step": 7})
    for resume in ("auto", named):
        assert find_start(path.parents[1], settings, resume).facts["step"] == 7


def test_the_names_of_free_settings_are_flags():
    known = set()
    for task, name in (
        ("segmentation", "train-seg"),
        ("boundary", "train-boundary"),
        ("classification", "train-cls"),
    ):
        parser = training_parser(name, "Train.")
        add_task_flags(parser, task, "training")
        known |= {action.dest for action in parser._actions}
    assert {*FREE, *SCORED, *NETWORK} <= known


def test_flags_of_validation_are_free_until_it_has_chosen(tmp_path):
    settings = {"dataset": "noise", "thresholds": 99, "validate_every": 5}
    changed = {**settings, "thresholds": 33, "validate_every": 2}
    facts = {"step": 5, "rows": []}
    strategy = make_strategy("one_device")
    facts["run"] = claim(tmp_path, settings, strategy, 0, False)
    path = tmp_path / "checkpoints/step-00000005.npz"
    write_checkpoint(path, ARRAYS, facts)
    assert find_start(tmp_path, changed).facts["step"] == 5
    with pytest.raises(ValueError, match="--patience 3"):
        find_start(tmp_path, {**settings, "patience": 3})
    write_checkpoint(path, ARRAYS, {**facts, "rows": [{"step": 5}]})
    assert find_start(tmp_path, settings).facts["step"] == 5
    with pytest.raises(ValueError, match="--thresholds 33 .there: 99"):
        find_start(tmp_path, changed)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ValueError, match="--thresholds 33 .there: 99"):
        find_start(tmp_path, changed)


def test_a_plan_stops_where_something_is_due():
    stops = [0]
    plan = Plan(25, 10, 10, checkpoint_steps=8, steps_per_execution=6)
    while stops[-1] < plan.steps:
        stops.append(plan.next_stop(stops[-1]))
    assert stops == [0, 6, 8, 10, 16, 20, 24, 25]
    assert [s for s in stops if plan.validates(s)] == [10, 20, 25]
    assert [s for s in stops if plan.saves(s)] == [0, 8, 16, 24]


# === History ===


def test_history_goes_on_without_a_double_row(tmp_path):
    logger = Loggers()
    logger.start(tmp_path, {}, 0, [])
    logger.log_steps(1, [1 / 3] * 25, [0.1] * 25)
    logger.log(20, {"val_miou": 0.5, "val_iou/car": None})
    logger.sync()
    logger.own[0].finish("failed")
    text = (tmp_path / "history.csv").read_text()
    assert text == "step,val_miou,val_iou/car\n20,0.5,\n"
    event = next(tmp_path.glob("events*"))
    event.write_bytes(event.read_bytes()[:-3])  # killed while writing
    lines = (tmp_path / "steps.csv").read_text().splitlines(True)
    twice = [*lines[:6], lines[5], *lines[6:], "26,0.3"]
    (tmp_path / "steps.csv").write_text("".join(twice))

    logger = Loggers()
    with pytest.warns(UserWarning, match="steps.csv ends in half a line: set"):
        logger.start(tmp_path, {}, 12, [])
    logger.log_steps(13, [0.25] * 10, [0.1] * 10)
    logger.finish("finished")
    lines = (tmp_path / "steps.csv").read_text().splitlines()
    assert lines[12:14] == [f"12,{1 / 3!r},0.1", "13,0.25,0.1"]
    assert len(lines) == 23
    assert not (tmp_path / "history.csv").exists()
    steps = [
        tf.compat.v1.Event.FromString(record.numpy()).step
        for path in tmp_path.glob("events*")
        for record in tf.data.TFRecordDataset(str(path))
    ]
    assert sorted(steps) == [0, 0, 10, 10, 20, 20]  # loss and rate


def test_no_table_is_a_reason_to_stop(tmp_path):
    """Zeros, as a power cut leaves them, folders, and files of others."""
    (tmp_path / "steps.csv").write_text("step,loss,learning_rate\n1,0.5,0.1\n")
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("\0" * 5000)
    for name in ("history.csv", "events.out.tfevents.1.dla_keras"):
        (tmp_path / name).mkdir()
    ours = tmp_path / "events.out.tfevents.2.dla_keras"
    theirs = tmp_path / "events.out.tfevents.2.v2"  # of another tool
    for path in (ours, theirs):
        path.write_bytes(b"\0" * 5000)
    (tmp_path / "loggers.json").write_text("")
    logger = Loggers()
    with pytest.warns(UserWarning) as said:
        logger.start(tmp_path, {}, 1, [{"step": 1, "val_miou": 0.5}])
    logger.log_steps(2, [0.25], [0.1])
    logger.finish("finished")
    assert len(said) == 2
    assert not ours.stat().st_size and theirs.stat().st_size == 5000
    text = "step,loss,learning_rate\n"
    text += "1,0.5,0.1\n2,0.25,0.1\n"
    assert (tmp_path / "steps.csv").read_text() == text
    assert (tmp_path / "steps.csv.damaged").stat().st_size > 5000
    assert (tmp_path / "history.csv").read_text() == "step,val_miou\n1,0.5\n"
    assert (tmp_path / "history.csv.damaged").is_dir()
    with pytest.warns(UserWarning, match="loggers.json holds no ids"):
        assert loggers._Ids(tmp_path).get("wandb") is None


def test_a_run_keeps_the_columns_that_it_began_with(tmp_path):
    tables = Tables()
    earlier = [{"step": 10, "val_miou": 0.25, "seconds": 9.0}]
    tables.start(tmp_path, {}, 10, earlier)
    row = {"val_miou": 0.5, "seconds": 20.0, "val_iou/car": 0.5}
    tables.log(20, row)
    tables.finish("finished")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines == ["step,val_miou,seconds", "10,0.25,9.0", "20,0.5,20.0"]
    assert tables.rows[-1] == {"step": 20, **row}  # the checkpoint has all


def test_a_fingerprint_tells_data_apart_and_not_their_place(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    write_folder(folder)

    def mark(place):
        splits = (open_split(str(place), s) for s in ("train", "val"))
        return json.loads(json.dumps(fingerprint(*splits)))

    first = mark(folder)
    assert differences(first, first) == []
    folder = folder.rename(tmp_path / "there")
    assert differences(mark(folder), first) == []

    facts = json.loads((folder / "info.json").read_text())
    changes = {"class_names": ["a", "c", "b"], "ignore_label": 4}
    (folder / "info.json").write_text(json.dumps(facts | changes))
    one, two = differences(mark(folder), first)
    assert one == "classes a, c, b (there: a, b, c)"
    assert two.startswith("meaning of labels' values") and "[4]" in two
    (folder / "info.json").write_text(json.dumps(facts))

    Image.new("RGB", (64, 48)).save(folder / "images_0.png")
    said = differences(mark(folder), first)
    assert said == [
        f"other files in {split}, by their names and sizes"
        for split in ("train", "val")
    ]
    for kind in ("images", "labels"):
        path = folder / f"train_{kind}.txt"
        path.write_text("\n".join(path.read_text().splitlines()[:4]))
    assert differences(mark(folder), first)[0] == (
        "4 pictures of train (there: 5)"
    )
