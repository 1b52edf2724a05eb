"""How long a picture takes on its way through a file, step by step.

Beside `cost.py`, which measures the network alone: here is also what an app
does before and after it.
"""

import time

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import distinct_palette
from dla_keras.inference.prediction_files import colorize
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.predictor import restore_scores
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.report.grids import dark_on_white

STEPS = ("pre", "inference", "post", "total")


def time_steps(
    lite_model: LiteModel,
    picture: np.ndarray,
    runs: int = 50,
    warm_up: int = 5,
    seconds: float = 10.0,
) -> dict[str, list[float]]:
    """Takes a picture through a file again and again.

    Decoded pixels become the file's size (`pre`); they go in and the outputs
    come out (`inference`); those become a mask of the picture's size in
    colours (`post`), of boundaries a grey one.

    Args:
        lite_model: the file.
        picture: uint8 `(h, w, 3)`, of any size.
        runs: that are timed, at most. Defaults to `50`.
        warm_up: runs before them. Defaults to `5`.
        seconds: after which no other run begins. Defaults to `10.0`.

    Returns:
        For each of `STEPS` the milliseconds of every run, one at least.

    Raises:
        ValueError: for a number of runs that is none.
    """
    if runs < 1 or warm_up < 0 or not seconds > 0:
        raise ValueError(
            "Expected at least one run in more than 0 seconds. Received: "
            f"{runs} runs after {warm_up} of warm-up in {seconds} s."
        )
    palette = lite_model.palette or distinct_palette(IGNORE_LABEL)
    begin, times = time.perf_counter(), []
    for run in range(-warm_up, runs):
        found = _time_once(lite_model, picture, palette)
        late = time.perf_counter() - begin >= seconds
        # Of a file that slow, a run of the warm-up is as good as any.
        if run >= 0 or late:
            times.append(found)
        if late:
            break
    return dict(zip(STEPS, np.transpose(times).tolist(), strict=True))


def _time_once(lite_model, picture, palette):
    """Milliseconds of each of `STEPS`."""
    marks = [time.perf_counter()]
    fitted = fit_picture(picture, *lite_model.input_shape[1:3])
    marks.append(time.perf_counter())
    outputs = lite_model.infer(fitted)
    marks.append(time.perf_counter())
    _show(lite_model, outputs, picture.shape[:2], palette)
    marks.append(time.perf_counter())
    pre, inference, post = 1000 * np.diff(marks)
    return pre, inference, post, pre + inference + post


def _show(lite_model, outputs, size, palette):
    """What a person would look at."""
    if lite_model.gives_classes:
        mask = lite_model.read_mask(outputs)
        colorize(restore_scores(mask, *size), palette)
    if lite_model.gives_boundaries:
        found = lite_model.read_boundaries(outputs)
        dark_on_white(restore_scores(found, *size)[..., 0])
