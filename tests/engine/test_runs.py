"""Whole runs of a tiny network: what goes wrong, and what must not matter."""

import csv
import dataclasses
import json
import os
import re

import numpy as np
import pytest
from tiny_run import ROW
from tiny_run import Noise
from tiny_run import main

from dla_keras.choices import NUMBERS
from dla_keras.data.pipeline import batch_names
from dla_keras.engine.checkpoints import read_checkpoint


@pytest.fixture
def run(tmp_path, capfd):
    """Return a function that runs in `tmp_path / name`: code and output."""

    def run(name, *flags):
        arguments = ["--run-dir", tmp_path / name, "--steps", 24, *flags]
        code = main([str(word) for word in arguments])
        out, err = capfd.readouterr()
        return code, out + err

    return run


def weights(path):
    checkpoint = read_checkpoint(path / "checkpoints/step-00000024.npz")
    return list(checkpoint.arrays.values())


def assert_close(ours, theirs, tolerance):
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_how_steps_are_executed_does_not_matter(run, tmp_path):
    assert run("plain", "--dropout", 0)[0] == 0
    several = ("--steps-per-execution", 7, "--checkpoint-steps", 5)
    assert run("several", "--dropout", 0, *several)[0] == 0
    # The same sums; only threads may add up in another order.
    assert_close(tmp_path / "plain", tmp_path / "several", 1e-4)
    losses = [
        np.loadtxt(tmp_path / name / "steps.csv", delimiter=",", skiprows=1)
        for name in ("plain", "several")
    ]
    np.testing.assert_allclose(*losses, atol=1e-4)
    assert losses[0][-6:, 1].mean() < losses[0][:6, 1].mean()


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_mixed_precision_learns_as_float32_does(run, tmp_path, compute):
    flags = ("--dropout", 0, "--clip-norm", 1, "--ema", 0.9)
    assert run("full", *flags)[0] == 0
    assert run("mixed", *flags, "--compute", compute)[0] == 0
    rows = [
        list(
            csv.DictReader(
                (tmp_path / name / "history.csv").read_text().splitlines()
            )
        )
        for name in ("full", "mixed")
    ]
    # Eight bits of mantissa: percents.
    full, mixed = (float(r[-1]["loss"]) for r in rows)
    assert mixed == pytest.approx(full, rel=0.03) and mixed != full


def test_a_loss_that_is_not_finite_names_step_and_files(run, tmp_path):
    poisoned = "noise/11"
    first = next(
        step
        for step in range(24)
        if poisoned in batch_names(Noise(37), 4, step, seed=0)
    )
    assert first > 3
    flags = ("--poisoned", 11, "--checkpoint-steps", 2)
    for _ in range(2):  # and the same where it goes on
        code, output = run("bad", *flags)
        assert code == 2
        assert f"The loss is nan at step {first + 1} of 24" in output
        assert poisoned in output and "learning rate 0.0" in output
    named = re.search(r"on (noise.*)\. Look at", output)[1].split(", ")
    assert named == batch_names(Noise(37), 4, first, seed=0)
    kept = sorted((tmp_path / "bad/checkpoints").glob("step-*.npz"))
    last = read_checkpoint(kept[-1])
    assert last.facts["step"] <= first and str(kept[-1]) in output
    assert all(np.isfinite(array).all() for array in last.arrays.values())


# The overflow is what the test is about.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_weights_that_are_not_finite_are_not_saved(run, tmp_path, monkeypatch):
    anything = dataclasses.replace(NUMBERS["learning_rate"], high=1e40)
    monkeypatch.setitem(NUMBERS, "learning_rate", anything)
    flags = ("--learning-rate", 1e39, "--checkpoint-steps", 1)
    code, output = run("bad", *flags)
    assert code == 2 and "is not finite after step 1 of 24" in output
    assert not list((tmp_path / "bad/checkpoints").iterdir())


def test_validation_is_tried_before_the_first_step(run, tmp_path, monkeypatch):
    def fail(records, info):
        raise ValueError(f"no scores of {len(records)} picture")

    monkeypatch.setattr(ROW, "summarize", fail)
    code, output = run("tried")
    assert code == 2 and "no scores of 1 picture" in output
    assert not (tmp_path / "tried").exists()  # free for the mended command


def test_a_batch_that_cannot_be_shared_is_refused(run, tmp_path):
    code, output = run("odd", "--accumulate", 3)
    assert code == 2 and "multiple of 3 (1 replicas, --accumulate 3)" in output
    assert not (tmp_path / "odd").exists()


def test_a_full_disk_ends_the_run_with_the_last_checkpoint(
    run, tmp_path, monkeypatch
):
    import resource

    def limit(size):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    flags = ("--checkpoint-steps", 6, "--dropout", 0)
    sync = os.fsync
    count = [0]

    def fill_up(descriptor):
        sync(descriptor)
        count[0] += 1
        if count[0] == 9:  # in the second checkpoint
            limit(5000)

    monkeypatch.setattr(os, "fsync", fill_up)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        code, output = run("full", *flags)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2, output
    assert "cannot be written: File too large" in output
    folder = tmp_path / "full/checkpoints"
    names = sorted(path.name for path in folder.iterdir())
    assert names and all(name.endswith(".npz") for name in names)
    for name in names:
        read_checkpoint(folder / name)
    monkeypatch.undo()
    code, output = run("full", *flags)
    assert code == 0 and f"going on from {folder / names[-1]}" in output
    assert run("whole", *flags)[0] == 0
    assert_close(tmp_path / "full", tmp_path / "whole", 1e-4)


def test_a_damaged_checkpoint_costs_its_steps_only(run, tmp_path):
    flags = ("--checkpoint-steps", 6, "--dropout", 0, "--keep", 9)
    assert run("whole", *flags)[0] == 0
    first = run("damaged", *flags)
    assert first[0] == 0
    paths = sorted((tmp_path / "damaged/checkpoints").glob("step-*"))
    data = paths[-1].read_bytes()
    paths[-1].write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="step-00000024.*step-00000018"):
        code, output = run("damaged", *flags)
    assert code == 0 and f"going on from {paths[-2]}" in output
    assert_close(tmp_path / "damaged", tmp_path / "whole", 1e-4)
    rows = (tmp_path / "damaged/steps.csv").read_text().splitlines()[1:]
    numbers = [int(row.split(",")[0]) for row in rows]
    assert numbers == list(range(1, 25))


def test_a_run_goes_on_from_any_checkpoint(run, tmp_path):
    flags = ("--checkpoint-steps", 6, "--dropout", 0, "--keep", 9)
    assert run("whole", *flags)[0] == 0
    twelve = tmp_path / "whole/checkpoints/step-00000012.npz"
    code, output = run("other", *flags, "--resume", twelve)
    assert code == 0 and f"going on from {twelve}" in output
    assert_close(tmp_path / "other", tmp_path / "whole", 1e-4)
    config = json.loads((tmp_path / "other/config.json").read_text())
    assert [start["step"] for start in config["starts"]] == [12]
    # Only of the same network and optimizer.
    code, output = run("third", "--resume", twelve, "--ema", 0.9)
    assert code == 2 and "is of another network, optimizer or" in output
    assert not (tmp_path / "third").exists()
    code, output = run("whole", *flags, "--learning-rate", 0.3)
    assert code == 2 and "--learning-rate 0.3 (there: 0.1)" in output
    code, output = run("whole", *flags, "--resume", "never")
    assert code == 2 and "holds an earlier run" in output
