"""Facts about the origin of a figure or a model: machine, code, time, run."""

import datetime
import os
import pathlib
import platform
import re
import shlex
import subprocess
import sys

from dla_keras.choices import check_number
from dla_keras.choices import check_range
from dla_keras.choices import parse_size
from dla_keras.files import read_json
from dla_keras.variants import shipped_path

# Settings' names in runs of earlier versions -> today's.
RENAMED = {"crop_pct": "crop_fraction", "precision": "compute"}


def processor() -> str:
    """Return the name of the processor, or of the board if it has none."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else ()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    board = pathlib.Path("/proc/device-tree/model")  # ARM's Linux
    if board.exists():
        return board.read_text().strip("\0\n ")
    return platform.processor() or platform.machine()


def machine() -> str:
    """Return the processor and its number of cores as text."""
    return f"{processor()}, {os.cpu_count()} cores"


def machine_slug() -> str:
    """Return the processor and its number of cores for names of files.

    Example:

    >>> re.fullmatch("[a-z0-9-]+-cores", machine_slug()) is not None
    True
    """
    # Trademarks are not part of a name.
    name = re.sub(r"\((r|tm|c)\)", "", machine().lower())
    return re.sub("[^a-z0-9]+", "-", name).strip("-")


def command_line() -> str:
    """Return the running command as one would type it."""
    script, *arguments = sys.argv
    name = pathlib.Path(script).name
    start = [name] if name == "dla-keras" else ["python", script]
    return shlex.join([*start, *arguments])


def local_time() -> str:
    """Return the local date and time, to the second."""
    time = datetime.datetime.now().astimezone()
    return time.isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the commit of the code, with `+` if the code was changed since."""
    folder = pathlib.Path(__file__).parent
    git = lambda *words: subprocess.run(
        ["git", "-C", folder, *words], capture_output=True, text=True
    )
    try:
        commit, changes = git("rev-parse", "HEAD"), git("diff", "HEAD")
    except OSError:  # no git
        return None
    if commit.returncode:  # no repository
        return None
    return commit.stdout.strip() + "+" * bool(changes.stdout)


def read_beside(path, name: str = "config.json") -> dict:
    """Return what a JSON file of a run beside a model says, by today's names.

    Args:
        path: Path of the model; `None` for a model without a file.
        name: Name of the file. Defaults to `"config.json"`.

    Returns:
        Nothing where there is no such file.

    Raises:
        ValueError: If the file is no JSON of a run.
    """
    file = path and shipped_path(path).resolve().parent / name
    if not file or not file.exists():
        return {}
    try:
        content = read_json(file)
        if not isinstance(content, dict):
            raise ValueError(f"expected an object. Received: {content!r:.80}")
        content = {RENAMED.get(key, key): v for key, v in content.items()}
        if "dla_keras" in (content.get("versions") or ()):  # no stranger's
            for key, value in content.items():
                _check_setting(key, value)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"{file} is no JSON of a training run: {reason}. Remove it, or use "
            "a model from another folder."
        ) from error
    return content


# Settings of a run that commands go on with, by their kind.
_TEXTS = ("dataset", "data_dir", "variant")
_SIZES = ("size", "resize")
_RANGES = ("scale", "area", "aspect")
_NUMBERS = (
    "batch_size", "steps", "max_side", "crop_fraction", "rotation", "jitter",
    "saturation", "sharpness", "class_weighting", "boundary_weight",
)  # fmt: skip


def _check_setting(key, value):
    """Raise `ValueError` for a value that no run can have had."""
    if value is None or value == []:
        return
    texts = key in (*_TEXTS, *_SIZES) and not isinstance(value, str)
    pairs = key in _RANGES and not (isinstance(value, list) and len(value) == 2)
    if texts or pairs:
        kind = "two numbers" if pairs else "a text"
        raise ValueError(f"expected {kind} as {key!r}. Received: {value!r:.80}")
    if key in _SIZES:
        parse_size(value)
    elif key in _RANGES:
        check_range(key, value)
    elif key in _NUMBERS:
        check_number(key, value)
