"""Deep Layer Aggregation for Keras, from training to phones.

    dla-keras demo                   # first: a network in ten minutes
    dla-keras check FOLDER           # your own pictures, before training
    dla-keras COMMAND --help         # flags and examples of a command

Every command takes flags (`check` a folder, too), and says what it wrote and
where.
"""

import pkgutil
import sys

from dla_keras.choices import did_you_mean
from dla_keras.commands.shared import BAD_INPUT
from dla_keras.version import __version__

# Command -> its module, or its class there, imported only when it is chosen,
# and what it does.
COMMANDS = {
    "demo": ("demo", "Train, export and score a small network"),
    "check": ("check", "Look at a folder of pictures before training"),
    "train-seg": ("train.TrainSeg", "Train a segmentation network"),
    "train-cls": ("train.TrainCls", "Train a classifier"),
    "train-boundary": ("train.TrainBoundary", "Train a boundary detector"),
    "train-det": ("train.TrainDet", "Train a detector of objects"),
    "evaluate": ("evaluate", "Score models on a dataset, in one table"),
    "predict": ("predict", "Write masks or boundaries of pictures"),
    "quantize": ("quantize", "Make a trained network smaller, by training"),
    "export-tflite": ("export_tflite", "Export verified .tflite files"),
    "export-saved-model": ("export_saved_model", "Export a SavedModel"),
    "benchmark": ("benchmark", "Measure how long .tflite files take"),
}


def overview() -> str:
    """Return what `dla-keras --help` prints."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{row[1]}" for name, row in COMMANDS.items()]
    usage = "usage: dla-keras COMMAND [--flag VALUE ...]"
    return "\n".join([usage, "", __doc__, "commands:", *lines])


def main(argv=None) -> int:
    """Run the command that the first argument names; return its exit code."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv), ""]
    rest = rest[:-1]
    if name in ("-h", "--help", ""):
        print(overview())
        return 0 if name else BAD_INPUT
    if name == "--version":
        print(f"dla-keras {__version__}")
        return 0
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS)
        print(
            f"error: there is no command {name}.{near}\n"
            "See `dla-keras --help`.",
            file=sys.stderr,
        )
        return BAD_INPUT
    found = pkgutil.resolve_name(f"dla_keras.commands.{COMMANDS[name][0]}")
    return found.main(rest)


if __name__ == "__main__":
    sys.exit(main())
