"""Train a DLA-Up boundary detector.

    dla-keras train-boundary          # edges of embedded toy_streets
    dla-keras train-boundary --recipe bsds500 --data-dir BSDS500/data
    dla-keras train-boundary --recipe pascal_boundary --data-dir lists/

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `predictions.png`, `precision_recall.png`, `report.html`,
checkpoints and TensorBoard's events. After a stop of any kind the same command
goes on where it was.
"""

import sys

from dla_keras.commands.shared import run_command
from dla_keras.commands.train import read_flags
from dla_keras.commands.train import train


def parse_flags(argv=None):
    """Return the flags, over the recipe that they name."""
    return read_flags("boundary", "train-boundary", __doc__, argv)


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: train("boundary", args))


if __name__ == "__main__":
    sys.exit(main())
