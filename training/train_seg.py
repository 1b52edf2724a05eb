"""Run `dla-keras train-seg`: see `dla_keras.commands.train`."""

import sys

from dla_keras.commands.train import TrainSeg

if __name__ == "__main__":
    sys.exit(TrainSeg.main())
