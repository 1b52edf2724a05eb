"""What the commands in `training/` and `export/` share."""

import json
import pathlib
import re
import sys
from collections.abc import Callable

BAD_INPUT = 2  # exit code


def parse_size(text: str) -> tuple[int, int]:
    """Reads a `--size`: height and width in pixels.

    Raises:
        ValueError: for anything else.

    Example:

    >>> parse_size("384x480")
    (384, 480)
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(
            "Expected HEIGHTxWIDTH in pixels, for instance 384x480. "
            f"Received: {text!r}."
        )
    return int(height), int(width)


def find_dataset(model_path, dataset: str | None, data_dir: str | None):
    """The dataset to use: as passed, or as the training run recorded it.

    Args:
        model_path: the model's file; `config.json` lies beside it.
        dataset: what `--dataset` holds, or `None`.
        data_dir: what `--data-dir` holds, or `None`.

    Returns:
        `dataset` and `data_dir` for `open_split`.

    Raises:
        FileNotFoundError: without a model there.
        ValueError: if nothing tells.
    """
    if not pathlib.Path(model_path).exists():
        raise FileNotFoundError(f"There is no model at {model_path}.")
    if dataset:
        return dataset, data_dir
    path = pathlib.Path(model_path).parent / "config.json"
    try:
        config = json.loads(path.read_text())
        return config["dataset"], data_dir or config.get("data_dir")
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            "The dataset is not known: "
            f"{path} does not name the dataset "
            f"({type(error).__name__}). Pass --dataset NAME, with --data-dir "
            "FOLDER where needed."
        ) from error


def plain_message(error: Exception) -> str:
    """What went wrong, without what TensorFlow wraps around it.

    An error raised while reading pictures comes out of the input pipeline as
    TensorFlow's, with the traces of two languages in its message.

    Example:

    >>> error = RuntimeError("node x: ValueError: a.png is empty\\nTraceback")
    >>> plain_message(error)
    'a.png is empty'
    """
    inner = re.search(r"(?:Value|OS|FileNotFound)Error: (.*)", str(error))
    return inner[1] if inner else str(error)


def run_command(command: Callable[[], object]) -> int:
    """Runs a command; an expected error becomes one line and an exit code.

    Args:
        command: does the work.

    Returns:
        `0`, or the error's `exit_code`, or `2`.
    """
    expected = (ValueError, OSError, ImportError)
    try:
        command()
    except Exception as error:
        # TensorFlow's own errors, told by their module without importing it.
        wrapped = type(error).__module__.startswith("tensorflow.")
        if not wrapped and not isinstance(error, expected):
            raise
        print(f"error: {plain_message(error)}", file=sys.stderr)
        return getattr(error, "exit_code", BAD_INPUT)
    return 0
