"""Run `dla-keras train-cls`: see `dla_keras.commands.train`."""

import sys

from dla_keras.commands.train import TrainCls

if __name__ == "__main__":
    sys.exit(TrainCls.main())
