"""Run `dla-keras train-boundary`: see `dla_keras.commands.train`."""

import sys

from dla_keras.commands.train import TrainBoundary

if __name__ == "__main__":
    sys.exit(TrainBoundary.main())
