"""The door: `dla-keras`, help, mistyped flags, and what they may cost."""

import inspect
import json
import os
import pkgutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from paths import ROOT

from dla_keras.commands.main import COMMANDS
from dla_keras.commands.main import main
from dla_keras.commands.train import STRATEGIES
from dla_keras.files import atomic_path
from dla_keras.provenance import command_line
from dla_keras.tasks import recipes

MODULES = [module for module, _ in COMMANDS.values()]

MEASURE = """
import json, pkgutil, resource, sys
module, *arguments = sys.argv[1:]
code = None
try:
    pkgutil.resolve_name(f"dla_keras.commands.{module}").main(arguments)
except SystemExit as ended:
    code = ended.code
used = resource.getrusage(resource.RUSAGE_SELF)
heavy = {"keras", "tensorflow", "numpy", "PIL"} & set(sys.modules)
seconds = used.ru_utime + used.ru_stime
print(json.dumps([code, seconds, sorted(heavy)]), file=sys.stderr)
"""


def run_fresh(module, *arguments):
    """Run a command in a process of its own.

    Returns:
        Its exit code, CPU seconds, heavy imports, standard output and the
        lines of its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, module, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    *lines, last = done.stderr.splitlines()
    return *json.loads(last), done.stdout, lines


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick_and_shows_the_examples(name):
    module = COMMANDS[name][0]
    code, seconds, heavy, text, _ = run_fresh(module, "--help")
    found = pkgutil.resolve_name(f"dla_keras.commands.{module}")
    doc = inspect.getdoc(found)
    assert (code, heavy) == (0, [])
    # 0.06 to 0.08 s on an idle core; it was 5 s.
    assert seconds < 1.0
    assert doc.strip().partition("\n")[2].strip("\n") in text
    assert f"\n    dla-keras {name}" in doc
    assert "default: None" not in text


@pytest.mark.parametrize("module", MODULES)
def test_a_mistyped_flag_is_one_line(module):
    code, seconds, heavy, _, lines = run_fresh(module, "--helpp")
    assert (code, heavy) == (2, [])
    assert seconds < 1.0
    first, second = lines
    assert first == "error: there is no flag --helpp. Did you mean --help?"
    assert second.startswith("See `dla-keras ")


# Command -> its function that does the work.
WORK = {
    "benchmark": "benchmark",
    "check": "check",
    "evaluate": "evaluate_all",
    "export_saved_model": "export",
    "export_tflite": "export",
    "predict": "predict_all",
    "quantize": "quantize",
    "train.TrainBoundary": "train",
    "train.TrainCls": "train",
    "train.TrainDet": "train",
    "train.TrainSeg": "train",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", MODULES)
def test_a_signal_is_one_line(name, number, tmp_path, monkeypatch, capsys):
    def work(*_):
        with atomic_path(tmp_path / "result") as path:
            path.write_text("half")
            signal.raise_signal(number)

    first = "train.TrainSeg" if name == "demo" else name  # its first stage
    module = first.partition(".")[0]
    monkeypatch.setattr(f"dla_keras.commands.{module}.{WORK[first]}", work)
    flags = lambda argv: SimpleNamespace(run_dir=str(tmp_path), steps=1)
    command = pkgutil.resolve_name(f"dla_keras.commands.{name}")
    monkeypatch.setattr(command, "parse_flags", flags)
    # It is ignored where tests run in the background of a shell.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert command.main([]) == 128 + number
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, usual)
    out, error = capsys.readouterr()
    assert error.splitlines() == [
        f"stopped by {number.name}: what is finished stays, and nothing is "
        "half-written"
    ]
    assert not out and not list(tmp_path.iterdir())


def test_a_warning_is_one_line():
    script = "import warnings; from dla_keras.commands.shared import *; "
    script += "run_command(lambda: warnings.warn('steps.csv is odd'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == "warning: steps.csv is odd\n"


def test_flags_are_not_taken_by_their_beginning(capsys):
    with pytest.raises(SystemExit):
        main(["train-seg", "--step", "3"])
    assert "Did you mean --steps?" in capsys.readouterr().err


def test_a_missing_flag_and_a_wrong_choice_are_one_line_each(capsys):
    for arguments, message in (
        (["predict", "--model", "x"], "required: --input, --output"),
        (["train-seg", "--optimizer", "adam"], "invalid choice: 'adam'"),
        (
            ["train-seg", "--batch-size", "0"],
            "of at least 1 and at most 1e+06. Rec",
        ),
        (["train-seg", "--recipe", "camvit"], "Did you mean camvid?"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        first, second = capsys.readouterr().err.splitlines()
        assert ended.value.code == 2
        assert first.startswith("error: ") and message in first
        assert second == f"See `dla-keras {arguments[0]} --help`."


def test_the_overview_lists_every_command(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, (_, summary) in COMMANDS.items():
        assert any(
            line.split()[:1] == [name] and line.endswith(summary)
            for line in lines
        )
    assert main([]) == 2


def test_an_unknown_command_names_the_near_one(capsys):
    assert main(["train-segg"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "no command train-segg. Did you mean train-seg" in first
    assert second == "See `dla-keras --help`."


def test_help_begins_with_what_is_needed(capsys):
    with pytest.raises(SystemExit):
        main(["export-saved-model", "--help"])
    assert capsys.readouterr().out.splitlines()[0] == (
        "usage: dla-keras export-saved-model --model MODEL --output OUTPUT "
        "[--flag VALUE ...]"
    )


def test_a_run_notes_the_command_as_one_types_it(monkeypatch):
    arguments = ["train-seg", "--run-dir", "my run"]
    monkeypatch.setattr("sys.argv", ["/env/bin/dla-keras", *arguments])
    assert command_line() == "dla-keras train-seg --run-dir 'my run'"
    monkeypatch.setattr("sys.argv", ["training/train_seg.py", "--jit"])
    assert command_line() == "python training/train_seg.py --jit"


def test_names_that_flags_offer_are_those_of_the_library():
    from dla_keras.commands.flags import FLAGS
    from dla_keras.data.boundaries import RULES
    from dla_keras.engine import optimizers
    from dla_keras.engine import strategies

    assert tuple(recipes.OPTIMIZERS) == tuple(optimizers.OPTIMIZERS)
    assert tuple(recipes.SCHEDULES) == tuple(optimizers.SCHEDULES)
    assert tuple(strategies.STRATEGIES) == STRATEGIES
    annotators = FLAGS["boundary"].training["--annotators"]
    assert tuple(RULES) == annotators["choices"]
