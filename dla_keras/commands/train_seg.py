"""Train a DLA-Up segmentation network.

    dla-keras train-seg                      # embedded toy_streets
    dla-keras train-seg --dataset my_folder/ # images/ and masks/, or an export
    dla-keras train-seg --recipe cityscapes --data-dir cityscapes/

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `predictions.png`, `report.html`, checkpoints and TensorBoard's
events. After a stop of any kind the same command goes on where it was.
"""

import sys

from dla_keras.commands.shared import run_command
from dla_keras.commands.train import read_flags
from dla_keras.commands.train import train


def parse_flags(argv=None):
    """Return the flags, over the recipe that they name."""
    return read_flags("segmentation", "train-seg", __doc__, argv)


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: train("segmentation", args))


if __name__ == "__main__":
    sys.exit(main())
