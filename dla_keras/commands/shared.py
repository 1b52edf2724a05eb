"""What all commands share: a parser, the dataset to use, errors in one line."""

import argparse
import contextlib
import functools
import pathlib
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable

from dla_keras.choices import EPOCHS
from dla_keras.choices import NUMBERS
from dla_keras.choices import check_number
from dla_keras.choices import did_you_mean
from dla_keras.choices import parse_interval
from dla_keras.choices import parse_size
from dla_keras.provenance import read_beside
from dla_keras.variants import shipped_path
from dla_keras.version import missing_extra

BAD_INPUT = 2  # exit code
MANY = 1000  # labels that take a while to look at


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as it is written, with the defaults that say something."""

    def _get_help_string(self, action):
        text = action.help or ""
        silent = (None, False, argparse.SUPPRESS)
        told = "default:" in text or action.default in ((), [])
        if told or any(action.default is value for value in silent):
            return text
        return f"{text} (default: %(default)s)".strip()


class _Parser(argparse.ArgumentParser):
    """A parser that says a mistake in one line, and where the help is.

    Its help names the flags that are needed once more, and not all of them.

    Attributes:
        source: Path of the file whose flags are read; `None` for those of the
            command line.
    """

    source = None

    def error(self, message):
        pointer = f"See `{self.prog} --help`."
        if self.source is not None:
            message = f"{self.source}: {message}"
        self.exit(BAD_INPUT, f"error: {message}\n{pointer}\n")

    def format_help(self):
        needed = [action for action in self._actions if action.required]
        flags = [
            f"{row.option_strings[0]} {row.dest.upper()}" for row in needed
        ]
        self.usage = " ".join([self.prog, *flags, "[--flag VALUE ...]"])
        for action in self._actions:
            if action.help is None and action.default is not None:
                action.help = "default: %(default)s"
        return super().format_help()

    def parse_known_args(self, args=None, namespace=None):
        # Before anything is found to be missing: that may be the flag which is
        # mistyped.
        args = sys.argv[1:] if args is None else list(map(str, args))
        flags = [word.partition("=")[0] for word in args if word[:2] == "--"]
        for flag in flags:
            if flag == "--":
                break
            if flag not in self._option_string_actions:
                near = did_you_mean(flag, self._option_string_actions)
                self.error(f"there is no flag {flag}.{near}")
        return super().parse_known_args(args, namespace)


def make_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """Return a parser without flags, whose help is a module's docstring.

    Args:
        command: Name of the command, for instance `"train-seg"`.
        doc: Docstring of its module: one line that says what it does, then
            examples and the rest.
    """
    first, _, rest = doc.strip().partition("\n")
    return _Parser(
        prog=f"dla-keras {command}".strip(),
        description=first,
        epilog=rest.strip("\n"),
        formatter_class=_Help,
        allow_abbrev=False,
    )


def given_flags(parser: argparse.ArgumentParser, argv=None) -> set[str]:
    """Return the names of the flags that a command line holds.

    Args:
        parser: Parser of the command.
        argv: Words of the command line. Defaults to `None`: the process' own.
    """
    absent = dict.fromkeys((action.dest for action in parser._actions), ...)
    found = parser.parse_args(argv, argparse.Namespace(**absent))
    return {name for name, value in vars(found).items() if value is not ...}


@functools.cache  # one of a kind, so that tasks may share a flag
def number_of(name: str) -> Callable[[str], float]:
    """Return what reads a row of `choices.NUMBERS` for argparse."""

    def read(text):
        row = NUMBERS[name]
        try:
            return check_number(name, row.type(text))
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(
                f"expected {row.expected}. Received: {text}."
            ) from None

    return read


def interval(text: str) -> int | str:
    """Return the time between validations, for argparse, as it is recorded."""
    try:
        number, unit = parse_interval(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return number if unit == EPOCHS else f"{number:g}{unit}"


def size_text(text: str) -> str:
    """Return HEIGHTxWIDTH as it is, for argparse, if it is a size."""
    try:
        parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def find_dataset(model_path, dataset: str | None, data_dir: str | None):
    """Return the dataset to use: as passed, or as the training run recorded it.

    Args:
        model_path: Path of the model's file; `config.json` lies beside it.
        dataset: Value of `--dataset`, or `None`.
        data_dir: Value of `--data-dir`, or `None`.

    Returns:
        `dataset` and `data_dir` for `open_split`.

    Raises:
        FileNotFoundError: If there is no model.
        ValueError: If neither the flag nor the run names a dataset.
    """
    if not shipped_path(model_path).exists():
        raise FileNotFoundError(f"There is no model at {model_path}.")
    if dataset:
        return dataset, data_dir
    config = read_beside(model_path)
    if "dataset" not in config:
        path = pathlib.Path(model_path).parent / "config.json"
        raise ValueError(
            f"The dataset is not known: {path} does not name it. Pass "
            "--dataset NAME, with --data-dir FOLDER where needed."
        )
    return config["dataset"], data_dir or config.get("data_dir")


def say_choices(split) -> None:
    """Print how a folder is read, where more than one way is thinkable.

    Args:
        split: Split of a dataset.
    """
    for line in getattr(split, "said", ()):
        print(line)


def warn_of_trained(split, folder) -> None:
    """Print a warning if a run trained on what a drawn share now holds.

    Args:
        split: Split to score on.
        folder: Folder of the run.
    """
    from dla_keras.data.folders.pairs import trained_on

    if trained := trained_on(split, folder):
        print(
            f"warning: {len(trained)} of {len(split)} images to score on "
            f"trained {folder} ({trained[0]}, ...): the dataset has other "
            f"images since. Copy train.txt and val.txt of {folder} into its "
            "folder to keep them apart.",
            file=sys.stderr,
        )


def say_wait(splits) -> None:
    """Print that labels are looked at, where there are many of them.

    Args:
        splits: Splits of a dataset; those of files have `pairs`.
    """
    labels = sum(len(getattr(split, "pairs", ())) for split in splits)
    if labels > MANY:
        print(f"Looking at {labels} labels", flush=True)


def plain_message(error: Exception) -> str:
    """Return what went wrong, without what TensorFlow wraps around it.

    An error raised while reading pictures comes out of the input pipeline as
    TensorFlow's, with the traces of two languages in its message.

    Example:

    >>> error = RuntimeError("node x: ValueError: a.png is empty\\nTraceback")
    >>> plain_message(error)
    'a.png is empty'
    """
    cure = isinstance(error, ImportError) and missing_extra(error.name)
    if cure:
        return cure
    if isinstance(error, MemoryError):
        more = f" ({error})" if str(error) else ""
        return f"The memory is used up{more}: pass less, or smaller files."
    if isinstance(error, (ValueError, OSError)):  # ours: it may quote another
        return str(error)
    inner = re.search(r"(?:Value|OS|FileNotFound)Error: (.*)", str(error))
    return inner[1] if inner else str(error)


class Interrupted(BaseException):
    """Raised wherever a command is when it is asked to stop."""


class _StopSignals:
    """Turns the first SIGINT or SIGTERM into `Interrupted` during the block.

    So every block that cleans up after itself does. A second signal acts as
    usual, for those who cannot wait. Training handles its own meanwhile.
    """

    def __init__(self):
        self.number = 0
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self  # which alone is told of signals
        for number in (signal.SIGINT, signal.SIGTERM):
            # Not where somebody ignores it: `nohup`, or a shell's background.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_):
        while self._before:
            signal.signal(*self._before.popitem())

    def _stop(self, number, _):
        self.number = number
        self.__exit__()
        raise Interrupted


@contextlib.contextmanager
def _plain_warnings():
    """Show warnings as errors are shown: in a line, without lines of code."""
    usual = warnings.formatwarning

    def plain(message, category, *place):
        if category is UserWarning:
            return f"warning: {message}\n"
        return usual(message, category, *place)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def run_command(command: Callable[[], object]) -> int:
    """Run a command; an expected error becomes one line and an exit code.

    So does SIGINT (Ctrl-C) or SIGTERM, after the work folders are removed.

    Args:
        command: Function that does the work.

    Returns:
        `0`, or the error's `exit_code`, or `2`; `128` more than its number
        after a signal, as a shell reports it.
    """
    expected = (ValueError, OSError, ImportError, MemoryError)
    signals = _StopSignals()
    try:
        with _plain_warnings(), signals:
            command()
    except BaseException as error:
        if signals.number:  # perhaps another error came of it
            name = signal.Signals(signals.number).name
            print(
                f"stopped by {name}: what is finished stays, and nothing is "
                "half-written",
                file=sys.stderr,
            )
            return 128 + signals.number
        # TensorFlow's own errors, told by their module without importing it.
        wrapped = type(error).__module__.startswith("tensorflow.")
        if not wrapped and not isinstance(error, expected):
            raise
        print(f"error: {plain_message(error)}", file=sys.stderr)
        return getattr(error, "exit_code", BAD_INPUT)
    return 0
