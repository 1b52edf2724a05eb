"""Run `dla-keras train-det`: see `dla_keras.commands.train`."""

import sys

from dla_keras.commands.train import TrainDet

if __name__ == "__main__":
    sys.exit(TrainDet.main())
