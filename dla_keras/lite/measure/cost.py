"""What a `.tflite` file costs to run: time, memory, nodes on slow kernels.

Measured by `cost_process.py` in a process of its own.
"""

import dataclasses
import importlib.metadata
import json
import signal
import subprocess
import sys

from dla_keras.inference.tflite_model import PACKAGES
from dla_keras.inference.tflite_model import find_package
from dla_keras.lite.measure import cost_process

WARM_UP, RUNS, SECONDS = 3, 30, 10.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one file costs on this machine, on so many threads.

    A run is what a caller waits for: picture in, inference, outputs out.

    Args:
        threads: of the interpreter.
        load_ms: from the file's name to an interpreter that is ready.
        first_ms: the first run, in which caches are cold.
        median_ms: of the runs after the warm-up.
        p90_ms: likewise, what nine of ten take at most.
        minimum_ms: likewise.
        runs: how many they were.
        peak_bytes: the most memory that the process held, less what it held
            before it opened the file, with numpy and the runtime imported:
            weights as mapped and as XNNPACK packs them, activations, outputs.
            `None` where the system does not tell.
        nodes: operations in the file.
        delegated: how many of them XNNPACK takes.
    """

    threads: int
    load_ms: float
    first_ms: float
    median_ms: float
    p90_ms: float
    minimum_ms: float
    runs: int
    peak_bytes: int | None
    nodes: int
    delegated: int


def measure_cost(
    path,
    threads: int = 1,
    runs: int = RUNS,
    warm_up: int = WARM_UP,
    seconds: float = SECONDS,
) -> Cost:
    """Runs a file on noise.

    Args:
        path: of a `.tflite` file.
        threads: of the interpreter. Defaults to `1`.
        runs: that are timed, at most. Defaults to `30`.
        warm_up: runs before them. Defaults to `3`.
        seconds: after which no other run begins; what is slower than that is
            timed once. Defaults to `10.0`.

    Raises:
        ValueError: for a file that cannot be run.
    """
    arguments = find_package(), path, threads, warm_up, runs, seconds
    try:
        done = subprocess.run(
            # Without the script's folder among those of modules (-P): the
            # names of its neighbours are not meant for the library's parts.
            [sys.executable, "-P", cost_process.__file__, *map(str, arguments)],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.SubprocessError as error:
        raise ValueError(
            f"{path} could not be measured: {last_words(error)}"
        ) from error
    return Cost(threads=threads, **json.loads(done.stdout.splitlines()[-1]))


def runtime_version() -> str:
    """Package and version of what runs the files."""
    distribution = PACKAGES[find_package()]
    return f"{distribution} {importlib.metadata.version(distribution)}"


def last_words(error: Exception) -> str:
    """Why a command failed, in a line.

    Args:
        error: what `subprocess` raised.

    Example:

    >>> last_words(OSError("no such command"))
    'no such command'
    """
    code = getattr(error, "returncode", 0)
    if code < 0:
        return f"died with {signal.Signals(-code).name}"
    written = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [type(error).__name__])[-1]
