"""Every number that a flag or an argument takes has a range, in one table."""

import argparse
import pkgutil

import pytest

from dla_keras.choices import NUMBERS
from dla_keras.choices import check_number
from dla_keras.choices import check_range
from dla_keras.commands import flags
from dla_keras.commands import train
from dla_keras.commands.main import COMMANDS
from dla_keras.commands.main import main
from dla_keras.commands.shared import number_of

THROWN = ("nan", "inf", "-inf", "0", "-1", "1e30", "x", "")
# What has no row: it is one of a few numbers.
CHOSEN = {"head_stride"}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_row_takes_what_is_in_its_range_only(name):
    row = NUMBERS[name]
    read = number_of(name)
    taken = []
    for text in THROWN:
        try:
            taken.append(read(text))
        except argparse.ArgumentTypeError as error:
            message = str(error)
            assert row.expected in message and f"Received: {text}." in message
    # Nothing but zero may pass, and that where the row says so.
    assert taken in ([], [0])
    assert (taken == [0]) == (row.low == 0 and "(" not in row.open)
    # Python's own numbers meet the same ends.
    ends = ((row.low, "("), (row.high, ")"))
    for value, mark in ends:
        if mark in row.open:
            with pytest.raises(ValueError, match=f"`{name}` is a"):
                check_number(name, row.type(value))
        else:
            assert check_number(name, row.type(value)) == value
            assert read(f"{row.type(value)}") == value
    for value in (float("nan"), float("inf"), 1e30, None, "1", True, -1):
        with pytest.raises(ValueError, match="Received"):
            check_number(name, value)


def parsers(monkeypatch):
    """Return the parsers of all commands by name, as they are made."""
    made = {}

    def note(parser, *_):
        made[parser.prog.split()[-1]] = parser
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", note)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", note)
    for module, _ in COMMANDS.values():
        command = pkgutil.resolve_name(f"dla_keras.commands.{module}")
        with pytest.raises(SystemExit):
            command.parse_flags([])
    # Training looks for its recipe first.
    for task in flags.FLAGS:
        parser = train.training_parser(f"train {task}", "Train.")
        flags.add_task_flags(parser, task, "training")
        made[task] = parser
    return made


def test_every_number_of_a_flag_is_of_the_table(monkeypatch):
    readers = {number_of(name): name for name in NUMBERS}
    seen = set()
    for command, parser in parsers(monkeypatch).items():
        for action in parser._actions:
            if action.type in (int, float):
                assert action.dest in CHOSEN and action.choices, command
            if action.type in readers:
                assert readers[action.type] == action.dest, command
                seen.add(action.dest)
    assert {"threads", "min_agreement", "drop_path", "runs"} <= seen
    # Of sizes, of `--validate-every`'s units, and of Python.
    apart = {"side", "minutes", "validate_every", "num_classes", "top"}
    apart |= {"object_classes"}
    apart |= {"positive_weight"}  # or a word
    # Of a detector, with a flag or without.
    assert set(NUMBERS) - seen - {"head_filters"} == apart


SEGMENTATION = (
    *("--learning-rate nan", "--learning-rate inf", "--learning-rate -1"),
    *("--jitter 5", "--scale 2 1", "--scale inf inf", "--scale 0 0"),
    *("--boundary-weight -1", "--recalibrate-bn -1", "--steps 0"),
    *("--checkpoint-steps -1", "--size 320000x320000", "--size 64"),
    *("--weight-decay -1", "--clip-norm -1", "--warmup-epochs -1"),
    *("--milestones 0.5", "--phone tiny --variant dla34", "--ema 1"),
    *("--steps 3 --epochs 3", "--schedule step --milestones 1.5"),
)
NONSENSE = (
    *(("train-seg", words) for words in SEGMENTATION),
    ("train-cls", "--crop-fraction 0"),
    ("train-cls", "--area 1 0.5"),
    ("train-cls", "--phone tiny"),
    ("train-seg", "--mixup 1"),
    ("train-boundary", "--thresholds 0"),
    ("evaluate", "--model x --threads 0"),
    ("evaluate", "--model x --ground-truth y"),
    ("evaluate", "--model x --task boundary --predictions y"),
    ("predict", "--model x --input a --output b --tile 0x32"),
    ("export-tflite", "--model x --output y --min-agreement 2"),
    ("export-tflite", "--model x --output y --size 320000x320000"),
    ("benchmark", "--model x --threads 0"),
    ("quantize", "--model x --sparsity 1"),
)


@pytest.mark.parametrize(("command", "words"), NONSENSE)
def test_nonsense_is_one_line_before_anything_is_done(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, *words.split()])
    first, second = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and first.startswith("error: ")
    assert words.split()[-2] in first or "--" in first
    assert second == f"See `dla-keras {command} --help`."


def test_flags_of_a_preset_may_be_said_again():
    words = "--phone tiny --node separable".split()
    args = train.read_flags("segmentation", "train-seg", "Train.", words)
    assert args.node == "separable" and args.variant == "dla46_c"


def test_flags_of_another_task_are_refused():
    flags.refuse_others({"thresholds"}, ("segmentation", "boundary"))
    with pytest.raises(ValueError, match="--thresholds is for boundary. Rec"):
        flags.refuse_others({"thresholds", "flip"}, ("segmentation",))


def test_ranges_begin_with_the_smaller_end():
    assert check_range("scale", (0.5, 0.5)) == (0.5, 0.5)
    with pytest.raises(ValueError, match="smallest and then the largest"):
        check_range("aspect", [4 / 3, 3 / 4])
