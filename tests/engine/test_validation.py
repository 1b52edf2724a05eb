"""Validation: what devices and machines share, and when it is time for it."""

import csv
import json
import threading
from types import SimpleNamespace

import pytest
from tiny_run import main

from dla_keras.choices import parse_interval
from dla_keras.engine.assembly import default_interval
from dla_keras.engine.assembly import make_plan
from dla_keras.engine.checkpoints import read_checkpoint
from dla_keras.engine.loop import Plan
from dla_keras.engine.loop import Progress
from dla_keras.engine.loop import Run
from dla_keras.engine.validation import Stopped
from dla_keras.engine.validation import Validation


def measure(find, split, indices):
    for index in indices:
        yield [split[index], find(index)]


ROW = SimpleNamespace(
    BATCH=2,
    measure=measure,
    summarize=lambda records, info: {"order": records},
)


class Letters(str):
    info = None


LETTERS = Letters("abcdefghijk")


def machines(count, finders, watch=iter, **options):
    """Return what each of some machines, each a thread, finds."""
    barrier = threading.Barrier(count)
    told, found = [None] * count, [None] * count

    def work(number):
        def exchange(content):
            told[number] = json.dumps(content)
            barrier.wait(timeout=30)
            return [json.loads(each) for each in told]

        validation = Validation(
            ROW, finders, LETTERS, None, {}, exchange, (number, count)
        )
        try:
            found[number] = validation(
                watch if number == count - 1 else iter, **options
            )
        except Stopped:
            found[number] = "stopped"

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)
    return found


def test_devices_and_machines_share_the_pictures_of_one():
    one = Validation(ROW, {None: lambda index: index}, LETTERS)()
    assert one == {"order": [[x, i] for i, x in enumerate(LETTERS)]}
    seen = {"CPU:0": [], None: []}
    note = lambda name: lambda index: seen[name].append(index) or index
    finders = {name: note(name) for name in seen}
    assert Validation(ROW, finders, LETTERS)() == one
    # Batches stay whole, wherever they are scored.
    assert seen == {"CPU:0": [0, 1, 4, 5, 8, 9], None: [2, 3, 6, 7, 10]}
    assert machines(3, finders) == [one] * 3
    assert sorted(sum(seen.values(), [])) == sorted(2 * [*range(11)])


def test_a_signal_to_one_machine_stops_the_validation_of_all():
    def watch(indices):
        yield from list(indices)[:1]
        raise Stopped

    finders = {None: lambda index: index}
    assert machines(3, finders, watch) == ["stopped"] * 3


def test_pictures_are_bounded_on_the_way_only():
    some = Validation(ROW, {None: lambda index: index}, LETTERS, 4)
    assert some.is_bounded
    assert [index for _, index in some()["order"]] == [0, 2, 5, 8]
    assert len(some(whole=True)["order"]) == 11
    assert not Validation(ROW, {}, LETTERS, 11).is_bounded


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("0", (0, "epochs")),
        ("20", (20, "epochs")),
        ("2 Epochs", (2, "epochs")),
        ("500steps", (500, "steps")),
        ("0.5min", (0.5, "min")),
    ],
)
def test_intervals_have_units(text, parsed):
    assert parse_interval(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "-1", "nan", "1.5", "2.5steps", "0min", "5 parsecs", "1e30"]
)
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ValueError, match="Expected a .*Received: "):
        parse_interval(text)


def plan_of(pictures=40, **changes):
    args = SimpleNamespace(
        **{
            "batch_size": 4,
            "steps": 1800,
            "epochs": None,
            "validate_every": None,
            "patience": None,
            "checkpoint_steps": 0,
            "checkpoint_minutes": 10.0,
            "keep": 3,
            "steps_per_execution": 1,
            **changes,
        }
    )
    return args, make_plan(args, pictures)


def test_a_run_validates_some_thirty_times_where_nobody_says_how_often():
    for steps, epoch_steps in ((1800, 10), (1799, 1), (90, 30), (10**6, 7)):
        args, plan = plan_of(4 * epoch_steps, steps=steps)
        due = sum(map(plan.validates, range(1, steps + 1)))
        assert due <= 31 and args.validate_every >= 1
        if steps >= 30 * epoch_steps:
            assert due >= 29
    assert default_interval(90, 30) == 1
    _, plan = plan_of(validate_every=1)
    assert plan.validation_steps == 10
    _, plan = plan_of(validate_every="70steps")
    assert plan.validation_steps == 70
    args, plan = plan_of(validate_every="5min")
    assert (plan.validation_steps, plan.validation_minutes) == (0, 5)
    with pytest.raises(ValueError, match="--patience counts.*every 5min"):
        plan_of(validate_every="5min", patience=3)


def test_the_clock_counts_from_the_last_validation(monkeypatch):
    _, plan = plan_of(validate_every="2min")
    run = object.__new__(Run)
    run.plan, run.clock = plan, 1000.0
    monkeypatch.setattr("time.perf_counter", lambda: 1060.0)
    # 300 s before this start, of which the last validation ended at 240.
    run.progress = Progress(seconds=300.0, rows=[{"seconds": 240.0}])
    assert run._is_long_ago()
    run.progress.rows[-1]["seconds"] = 241.0
    assert not run._is_long_ago()


def test_the_model_is_written_before_it_is_scored():
    def fail(watch):
        raise ValueError("a picture is gone")

    run, saved = object.__new__(Run), []
    run.plan, run.progress, run.pace = Plan(9, 9), Progress(), None
    run.signals = SimpleNamespace(watch=iter)
    snapshot = SimpleNamespace(take=lambda: saved.append("taken"))
    run.task = SimpleNamespace(snapshot=snapshot, validate=fail)
    run._export = saved.append
    for run.progress.step in (8, 9):
        with pytest.raises(ValueError, match="a picture is gone"):
            run._score()
    assert saved == ["taken", "taken", "model"]


def test_a_score_that_rests_on_nothing_is_no_better(tmp_path, capfd):
    """It is so where no pixel of the pictures counts."""
    run = object.__new__(Run)
    run.plan, run.progress = Plan(9, 9), Progress()
    run.clock, saved = 0.0, []
    run._export = run._save = lambda *_, **__: saved.append(run.progress.step)
    run.task = SimpleNamespace(columns=("miou",), rate=lambda step: 0.1)
    run.bar = SimpleNamespace(write=lambda text, file: print(text))
    run.logger = SimpleNamespace(log=lambda *_: None)
    run.task.draw, run.chief = None, True
    for step, score in enumerate((None, None, 0.5, None, 0.25, 0.75), 1):
        run.progress.step, run.progress.loss_steps = step, 1
        run._note({"miou": score}, None)
    assert sorted({*saved}) == [1, 3, 6]
    assert (run.progress.best, run.progress.best_step) == (0.75, 6)
    assert "step 4: loss 0.000, miou -" in capfd.readouterr().out


def rows(run_dir):
    text = (run_dir / "history.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def run(run_dir, *flags):
    words = ["--run-dir", run_dir, "--steps", 60, "--deterministic", *flags]
    return main([str(word) for word in words])


def test_patience_ends_a_run_where_it_would_end_without_a_stop(
    tmp_path, monkeypatch, capfd
):
    """The rate is so small that no score becomes better after the first."""
    flags = ("--learning-rate", 1e-9, "--dropout", 0, "--patience", 3)
    flags += ("--validate-every", "5steps", "--val-pictures", 2)
    saved = []
    export = Run._export
    note = lambda self, name: saved.append(name) or export(self, name)
    monkeypatch.setattr(Run, "_export", note)
    assert run(tmp_path / "whole", *flags) == 0
    assert [row["step"] for row in rows(tmp_path / "whole")] == [
        "5",
        "10",
        "15",
        "20",
    ]
    # Written when it changed, and the model of the end.
    assert saved == ["best", "model"]
    assert "step 20: loss" in capfd.readouterr().err
    start = tmp_path / "whole/checkpoints/step-00000005.npz"
    checkpoint = read_checkpoint(start)
    assert checkpoint.facts["waited"] == 0
    # From where one validation has been waited for, the same end.
    more = ("--checkpoint-steps", 12, "--keep", 9)
    assert run(tmp_path / "kept", *flags, *more) == 0
    start = tmp_path / "kept/checkpoints/step-00000012.npz"
    assert read_checkpoint(start).facts["waited"] == 1
    assert run(tmp_path / "resumed", *flags, *more, "--resume", start) == 0
    ends = [
        read_checkpoint(tmp_path / name / "checkpoints/step-00000020.npz")
        for name in ("whole", "kept", "resumed")
    ]
    for name, array in ends[0].arrays.items():
        for other in ends[1:]:
            assert (other.arrays[name] == array).all()
    assert [end.facts["waited"] for end in ends] == [3, 3, 3]


def test_what_the_clock_decides_changes_no_weight(tmp_path):
    flags = ("--steps", 24, "--recalibrate-bn", 2)
    often = "0.0001min"
    assert run(tmp_path / "clock", *flags, "--validate-every", often) == 0
    assert run(tmp_path / "end", *flags, "--validate-every", 0) == 0
    assert len(rows(tmp_path / "clock")) > len(rows(tmp_path / "end")) == 1
    clock, end = (
        read_checkpoint(tmp_path / name / "checkpoints/step-00000024.npz")
        for name in ("clock", "end")
    )
    for name, array in clock.arrays.items():
        assert (array == end.arrays[name]).all(), name
