"""The flags of each task, a row each: plain data, read before Keras."""

import argparse
from dataclasses import dataclass

from dla_keras.variants import PHONE_SEGMENTERS


@dataclass(frozen=True)
class TaskFlags:
    """Flags of one task: names and what `add_argument` takes of them.

    Args:
        training: Flags of its training command.
        inference: Flags of `evaluate` and `predict`. Defaults to none.
        evaluation: Flags of `evaluate` alone. Defaults to none.
        presets: Flag -> its value -> the flags that it stands for. Defaults to
            none.
    """

    training: dict[str, dict]
    inference: dict[str, dict] | None = None
    evaluation: dict[str, dict] | None = None
    presets: dict[str, dict] | None = None


def _number(help_text, default=None):
    return {"type": float, "default": default, "help": help_text}


def _numbers(help_text):
    return {"type": float, "nargs": 2, "help": help_text}


_SIZE = {"help": "size of the crops, height x width"}
_DENSE = {
    "--upsampling": {"default": "bilinear", "help": "bilinear or learned"},
    "--node": {"default": "conv", "help": "of DLA-Up: conv or separable"},
    "--size": _SIZE,
    "--scale": _numbers("range of the zoom"),
    "--rotation": _number("degrees, either way"),
    "--jitter": _number("largest change of colors, 0 to 1"),
}

FLAGS = {
    "segmentation": TaskFlags(
        training={
            "--head-stride": {
                "type": int,
                "default": 4,
                "help": "2, 4, 8 or 16",
            },
            **_DENSE,
            "--phone": {
                "choices": tuple(PHONE_SEGMENTERS),
                "help": "a small network, instead of --variant and --node",
            },
            "--class-weighting": _number(
                "loss weight of a class: its frequency to minus this power",
                0.0,
            ),
            "--boundary-weight": _number(
                "above 0, the boundaries between classes are learned too, "
                "with this weight in the loss",
                0.0,
            ),
        },
        presets={"phone": PHONE_SEGMENTERS},
    ),
    "boundary": TaskFlags(
        training={
            "--head-stride": {
                "type": int,
                "default": 2,
                "help": "2, 4, 8 or 16",
            },
            **_DENSE,
            "--annotators": {
                "choices": ("any", "consensus", "soft"),
                "default": "consensus",
                "help": "how their drawings are combined",
            },
            "--positive-weight": _number("weight of a boundary's loss", 10.0),
            "--thresholds": {
                "type": int,
                "default": 9,
                "help": "number of thresholds in validations",
            },
        },
        inference={
            "--nms": {
                "action": argparse.BooleanOptionalAction,
                "help": "keep ridges only; by default those of models' maps",
            },
        },
        evaluation={
            "--predictions": {
                "metavar": "FOLDER",
                "help": "boundary maps of any detector, instead of --model",
            },
            "--ground-truth": {
                "metavar": "FOLDER",
                "help": ".mat files (or .png, .npy), for --predictions",
            },
            "--thresholds": {"type": int, "default": 99},
            "--processes": {"type": int, "help": "default: one per processor"},
        },
    ),
    "classification": TaskFlags(
        training={
            "--size": _SIZE,
            "--crop-fraction": _number(
                "share of a picture's side that a test crop has", 0.875
            ),
            "--area": _numbers("range of the crops' share of the picture"),
            "--aspect": _numbers("range of width over height"),
            "--flip": {
                "action": argparse.BooleanOptionalAction,
                "default": True,
            },
            "--jitter": _number("largest change of colors, 0 to 1", 0.0),
            "--mixup": _number("parameter of mixup's Beta; 0: none", 0.0),
            "--cutmix": _number("parameter of CutMix' Beta; 0: none", 0.0),
            "--label-smoothing": _number(None, 0.0),
            "--dropout": _number("before the last layer", 0.0),
            "--drop-path": _number("stochastic depth", 0.0),
        },
        inference={
            "--size": {
                "metavar": "HxW",
                "help": "size of the test crops; default: the run's",
            },
            "--crop-fraction": _number(
                "share of a picture's side that a test crop has; default: the "
                "run's"
            ),
        },
    ),
}


def add_task_flags(parser, task: str, kind: str) -> None:
    """Add the flags of a task to a parser, in a group of their own.

    Args:
        parser: Parser of a command.
        task: Name of the task.
        kind: Field of `TaskFlags`, for instance `"training"`.
    """
    flags = getattr(FLAGS[task], kind)
    if not flags:
        return
    group = parser.add_argument_group(task)
    for name, settings in flags.items():
        group.add_argument(name, **settings)
