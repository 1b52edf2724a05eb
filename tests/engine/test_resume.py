"""Runs that are killed end as those that are not, to the last bit.

Each test starts processes; the network is tiny, so most of the time is
TensorFlow's tracing.
"""

import csv
import json
import random
import signal
import time
from functools import partial

import numpy as np
import processes
import pytest
import tensorflow as tf

from dla_keras.engine.checkpoints import Checkpoints

FLAGS = (
    *("--deterministic", "--checkpoint-steps", "5", "--validate-every", "5"),
    *("--ema", "0.98", "--recalibrate-bn", "2", "--slow-disk"),
)


def start(run_dir, *flags):
    return processes.start("tiny_run", "--run-dir", run_dir, *FLAGS, *flags)


def wait_until(process, condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive(), process.printed()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def starts(run_dir):
    """How often the run began or went on."""
    path = run_dir / "config.json"
    return len(json.loads(path.read_text())["starts"]) if path.exists() else 0


def rows(run_dir):
    """How many steps are in the table."""
    path = run_dir / "steps.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def curve(run_dir):
    """Return the steps of the loss curve in TensorBoard's files, in order."""
    steps = []
    for path in sorted(run_dir.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            tags = [value.tag for value in event.summary.value]
            steps += [event.step] * tags.count("train/loss")
    return steps


def history(run_dir):
    """Return the rows of `history.csv` without what a clock measures."""
    table = list(
        csv.DictReader((run_dir / "history.csv").read_text().splitlines())
    )
    clocks = ("seconds", "pictures_per_second")
    return [{k: v for k, v in r.items() if k not in clocks} for r in table]


def assert_same(run_dir, reference, steps):
    """Two runs left the same, to the last bit and row."""
    ours, theirs = (
        Checkpoints(folder / "checkpoints").newest()
        for folder in (run_dir, reference)
    )
    assert ours.facts["step"] == theirs.facts["step"] == steps
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, theirs.arrays[name], name)
    assert ours.facts["best"] == theirs.facts["best"]
    # The losses form one sequence: no step twice, none left out.
    text = (run_dir / "steps.csv").read_text()
    assert text == (reference / "steps.csv").read_text()
    numbers = [int(line.split(",")[0]) for line in text.splitlines()[1:]]
    assert numbers == list(range(1, steps + 1))
    assert history(run_dir) == history(reference)
    assert curve(run_dir) == list(range(10, steps + 1, 10))
    best = [folder / "checkpoints/best.npz" for folder in (run_dir, reference)]
    for name, array in np.load(best[0]).items():
        if name != "facts.json":
            np.testing.assert_array_equal(array, np.load(best[1])[name])


def half_written(run_dir):
    """Whether there is a checkpoint without its name yet."""
    return any((run_dir / "checkpoints").glob(".*.npz.*"))


def kill_often(tmp_path, kills, steps, seed):
    """Kills a run at random moments; says how many met a checkpoint."""
    draw = random.Random(seed)
    run_dir, reference = tmp_path / "killed", tmp_path / "whole"
    length = ("--steps", steps)
    inside = 0
    for count in range(kills):
        checkpoints = Checkpoints(run_dir / "checkpoints")
        before = checkpoints.paths()
        process = start(run_dir, *length)
        wait_until(process, lambda count=count: starts(run_dir) > count)
        moment = draw.random()
        if moment < 0.2:  # before the first step, mostly
            time.sleep(draw.uniform(0, 2))
        else:
            new = lambda old, its: its.paths() != old
            wait_until(process, partial(new, before, checkpoints))
            time.sleep(draw.uniform(0, 0.5))
        if moment > 0.6:  # while a checkpoint is written
            wait_until(process, partial(half_written, run_dir))
            time.sleep(draw.uniform(0, 0.1))
        assert process.is_alive(), process.printed()
        process.kill()
        inside += half_written(run_dir)
    start(run_dir, *length).finish()
    start(reference, *length).finish()
    assert_same(run_dir, reference, steps)
    return inside


def test_a_killed_run_ends_as_a_whole_one(tmp_path):
    kill_often(tmp_path, kills=3, steps=70, seed=0)


@pytest.mark.slow
def test_a_run_killed_at_every_turn_ends_as_a_whole_one(tmp_path):
    inside = kill_often(tmp_path, kills=16, steps=400, seed=1)
    print(f"{inside} of 16 kills met a checkpoint being written")
    assert inside >= 3


def test_a_signal_saves_at_once(tmp_path):
    run_dir, reference = tmp_path / "stopped", tmp_path / "whole"
    # No checkpoint but the signal's, several steps at a time.
    flags = ("--checkpoint-steps", 0, "--steps", 130)
    flags += ("--validate-every", 0, "--steps-per-execution", 7)
    process = start(run_dir, *flags)
    wait_until(process, lambda: rows(run_dir) > 0)
    process.send_signal(signal.SIGTERM)
    output = process.finish(128 + signal.SIGTERM)
    checkpoint = Checkpoints(run_dir / "checkpoints").newest()
    assert 0 < checkpoint.facts["step"] < 130
    assert f"goes on from {checkpoint.path}" in output
    assert f"going on from {checkpoint.path}" in start(run_dir, *flags).finish()
    # One step at a time takes the same steps.
    start(reference, *flags, "--steps-per-execution", 1).finish()
    assert_same(run_dir, reference, 130)
