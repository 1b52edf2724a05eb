"""Several replicas and several processes take the steps of one device."""

import json
import signal
import socket
import time

import numpy as np
import processes
import pytest
from tiny_run import main as tiny_run

from dla_keras.engine.checkpoints import read_checkpoint

SMALL = ("sgd", "adamw", "clipped", "accumulated")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def launch(script, *arguments, workers=1):
    """Start a script, once or as several workers of a cluster."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
    environments = [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(workers)
    ]
    return [
        processes.start(
            script, *arguments, environment=environment if workers > 1 else None
        )
        for environment in environments
    ]


def results(path, replicas, *cases, workers=1):
    for process in launch("replicas", path, replicas, *cases, workers=workers):
        process.finish()
    return np.load(path)


@pytest.fixture(scope="module")
def two_replicas(tmp_path_factory):
    """All that two replicas are asked for, in one process."""
    path = tmp_path_factory.mktemp("two") / "2.npz"
    return results(path, 2, *SMALL, "overflow", "dropout")


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "1.npz"
    return results(path, 1, *SMALL, "validation")


def assert_equal(ours, theirs, tolerance, cases):
    names = [name for name in ours.files if name.split("/")[0] in cases]
    assert names
    for name in names:
        np.testing.assert_allclose(
            ours[name], theirs[name], rtol=0, atol=tolerance, err_msg=name
        )


def assert_the_steps_of_one(ours, one_device, cases):
    for case in cases:
        losses = ours[f"{case}/losses"]
        assert losses[0] != pytest.approx(losses[-1], rel=1e-3)
    # Float64. Measured: 1e-15, for AdamW 5e-12.
    assert_equal(ours, one_device, 1e-10, cases)


def test_two_replicas_take_the_steps_of_one(two_replicas, one_device):
    assert_the_steps_of_one(two_replicas, one_device, SMALL)


@pytest.mark.parametrize(
    ("replicas", "workers", "cases"),
    [(4, 1, ("sgd", "accumulated")), (2, 2, ("adamw", "clipped"))],
)
def test_replicas_and_workers_take_the_steps_of_one(
    tmp_path, one_device, replicas, workers, cases
):
    ours = results(
        tmp_path / "n.npz",
        replicas,
        *cases,
        "validation",
        "exchange",
        workers=workers,
    )
    assert_the_steps_of_one(ours, one_device, cases)
    scores = str(ours["validation/scores"])
    assert scores == str(one_device["validation/scores"])
    assert json.loads(scores)["pictures"] == 7
    # What processes tell each other arrives as it is, in their order.
    first, second = json.loads(str(ours["exchange/told"]))
    assert ours["exchange/count"] == len(first) == workers
    assert first == [
        {"number": n, "text": "ö" * (1 + 999 * n), "none": None}
        for n in range(workers)
    ]
    assert second == [[0.1, 2**53 + 1], None][:workers]


def test_what_replicas_share_and_what_not(two_replicas):
    ours = two_replicas
    # What overflows on one replica is skipped on both.
    assert not ours["overflow/changed"]
    assert ours["overflow/scale"] == 2.0**39
    assert ours["overflow/losses"][-1] < 0.9 * ours["overflow/losses"][0]
    assert ours["overflow/apart"] == 0
    # Each replica, and each call, has its own dropout mask.
    masks = ours["dropout/masks"].reshape(4, -1)
    assert len(np.unique(masks, axis=0)) == 4


@pytest.mark.slow
def test_a_deep_network_on_two_replicas(tmp_path):
    one = results(tmp_path / "1.npz", 1, "deep")
    two = results(tmp_path / "2.npz", 2, "deep")
    # Measured: 2e-6 in float64, so quickly does it move apart.
    assert_equal(two, one, 2e-5, ("deep",))


def assert_runs_end_alike(ours, theirs, step):
    name = f"checkpoints/step-{step:08d}.npz"
    ours, theirs = (
        read_checkpoint(run / name).arrays for run in (ours, theirs)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        # Float32, over dozens of steps. Measured: 3e-4.
        np.testing.assert_allclose(array, theirs[name], atol=1e-3, rtol=0)


def test_a_run_goes_on_with_another_number_of_replicas(tmp_path):
    flags = ("--dropout", 0, "--steps", 40, "--checkpoint-steps", 20)
    flags += ("--validate-every", 0)
    two = ("--run-dir", tmp_path / "two", "--virtual-cpus", 2, *flags)
    (process,) = launch("tiny_run", *two)
    output = process.finish()
    assert "2 replica(s)" in output
    start = tmp_path / "two/checkpoints/step-00000020.npz"
    one = ("--run-dir", tmp_path / "one", *flags, "--resume", start)
    assert tiny_run([str(word) for word in one]) == 0
    assert_runs_end_alike(tmp_path / "one", tmp_path / "two", 40)
    whole = ("--run-dir", tmp_path / "whole", *flags)
    assert tiny_run([str(word) for word in whole]) == 0
    assert_runs_end_alike(tmp_path / "whole", tmp_path / "two", 40)


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all(tmp_path):
    flags = ("--dropout", 0, "--steps", 60, "--checkpoint-steps", 1)
    flags += ("--ema", 0.9, "--recalibrate-bn", 2, "--validate-every", 2)
    arguments = ("--run-dir", tmp_path / "two", *flags, "--slow-disk")
    workers = launch("tiny_run", *arguments, workers=2)
    table = tmp_path / "two/steps.csv"
    deadline = time.monotonic() + 120
    while not table.exists() or len(table.read_text().splitlines()) < 5:
        assert all(worker.is_alive() for worker in workers)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers[1].send_signal(signal.SIGTERM)  # not the chief
    chief, other = (w.finish(128 + signal.SIGTERM) for w in workers)
    assert "Stopped by SIGTERM after step" in chief
    assert "Stopped" not in other and "steps of" not in other
    chief, other = launch("tiny_run", *arguments, workers=2)
    assert "going on from" in chief.finish()
    other.finish()
    numbers = [
        int(row.split(",")[0]) for row in table.read_text().splitlines()[1:]
    ]
    assert numbers == list(range(1, 61))

    one = ("--run-dir", tmp_path / "one", *flags)
    assert tiny_run([str(word) for word in one]) == 0
    assert_runs_end_alike(tmp_path / "one", tmp_path / "two", 60)
