"""What a `.tflite` file costs to run: time step by step, memory, slow nodes.

`measure_cost` measures the network alone, by `cost_process.py` in a process
of its own; `time_steps` also times what an app does before and after it.
"""

import dataclasses
import importlib.metadata
import json
import signal
import subprocess
import sys
import time

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import distinct_palette
from dla_keras.inference.prediction_files import colorize
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.predictor import restore_scores
from dla_keras.inference.tflite_model import PACKAGES
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.inference.tflite_model import find_package
from dla_keras.lite.measure import cost_process
from dla_keras.lite.options import STEPS
from dla_keras.report.galleries import dark_on_white

WARM_UP, RUNS, SECONDS = 3, 30, 10.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one file costs on this machine, on so many threads.

    A run is what a caller waits for: picture in, inference, outputs out.

    Args:
        threads: Threads of the interpreter.
        load_ms: Time from the file's name to an interpreter that is ready.
        first_ms: Time of the first run, in which caches are cold.
        median_ms: Median of the runs after the warm-up.
        p90_ms: Time that nine of ten runs take at most.
        minimum_ms: Time of the fastest run.
        runs: Number of runs after the warm-up.
        peak_bytes: Most memory that the process held, less what it held
            before it opened the file, with numpy and the runtime imported:
            weights as mapped and as XNNPACK packs them, activations, outputs.
            `None` where the system does not tell.
        nodes: Operations in the file.
        delegated: Operations that XNNPACK takes.
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
    """Run a file on noise.

    Args:
        path: Path of a `.tflite` file.
        threads: Threads of the interpreter. Defaults to `1`.
        runs: Runs that are timed, at most. Defaults to `30`.
        warm_up: Runs before them. Defaults to `3`.
        seconds: Time after which no other run begins; what is slower than
            that is timed once. Defaults to `10.0`.

    Raises:
        ValueError: If the file cannot be run.
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


def time_steps(
    lite_model: LiteModel,
    picture: np.ndarray,
    runs: int = 50,
    warm_up: int = 5,
    seconds: float = 10.0,
) -> dict[str, list[float]]:
    """Take a picture through a file again and again.

    Decoded pixels become the file's size (`pre`); they go in and the outputs
    come out (`inference`); those become a mask of the picture's size in
    colors, of boundaries a grey one, of a classifier a class, of a detector
    boxes (`post`).

    Args:
        lite_model: File to time.
        picture: uint8 `(h, w, 3)`, of any size.
        runs: Runs that are timed, at most. Defaults to `50`.
        warm_up: Runs before them. Defaults to `5`.
        seconds: Time after which no other run begins. Defaults to `10.0`.

    Returns:
        For each of `STEPS` the milliseconds of every run, one at least.

    Raises:
        ValueError: If the number of runs is none.
    """
    if runs < 1 or warm_up < 0 or not seconds > 0:
        raise ValueError(
            "Expected at least one run in more than 0 seconds. Received: "
            f"{runs} runs after {warm_up} of warm-up in {seconds} s."
        )
    palette = lite_model.palette or distinct_palette(IGNORE_LABEL)
    _, times = cost_process.time_runs(
        lambda: _time_once(lite_model, picture, palette),
        warm_up,
        runs,
        seconds,
    )
    return dict(zip(STEPS, np.transpose(times).tolist(), strict=True))


def _time_once(lite_model, picture, palette):
    """Return the milliseconds of each of `STEPS`."""
    marks = [time.perf_counter()]
    fitted = fit_picture(picture, *lite_model.input_shape[1:3], lite_model.fit)
    marks.append(time.perf_counter())
    outputs = lite_model.infer(fitted)
    marks.append(time.perf_counter())
    _show(lite_model, outputs, picture.shape[:2], palette)
    marks.append(time.perf_counter())
    pre, inference, post = 1000 * np.diff(marks)
    return pre, inference, post, pre + inference + post


def _show(lite_model, outputs, size, palette):
    """Make what a person would look at."""
    if "classification" in lite_model.tasks:
        lite_model.read_scores(outputs).argmax()
    if "detection" in lite_model.tasks:
        lite_model.read_boxes(outputs)
    if "segmentation" in lite_model.tasks:
        mask = lite_model.read_mask(outputs)
        colorize(restore_scores(mask, *size, lite_model.fit), palette)
    if "boundary" in lite_model.tasks:
        found = lite_model.read_boundaries(outputs)
        found = restore_scores(found, *size, lite_model.fit)
        dark_on_white(found[..., 0])


def runtime_version() -> str:
    """Return the package and the version of what runs the files."""
    distribution = PACKAGES[find_package()]
    return f"{distribution} {importlib.metadata.version(distribution)}"


def last_words(error: Exception) -> str:
    """Return in a line why a command failed.

    Args:
        error: Error of `subprocess`.

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
