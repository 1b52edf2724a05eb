"""Train a DLA classifier.

    dla-keras train-cls                      # embedded digits
    dla-keras train-cls --dataset my_folder/ # <class>/<picture>
    dla-keras train-cls --recipe imagenet --data-dir tfds/
    dla-keras train-cls --recipe fine_grained --dataset cars196

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `confusion.png`, `report.html`, checkpoints and TensorBoard's
events. After a stop of any kind the same command goes on where it was.
"""

import sys

from dla_keras.commands.shared import run_command
from dla_keras.commands.train import read_flags
from dla_keras.commands.train import train


def parse_flags(argv=None):
    """Return the flags, over the recipe that they name."""
    return read_flags("classification", "train-cls", __doc__, argv)


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: train("classification", args))


if __name__ == "__main__":
    sys.exit(main())
