"""Run `dla-keras train-boundary`: see `dla_keras.commands.train_boundary`."""

import sys

from dla_keras.commands.train_boundary import main

if __name__ == "__main__":
    sys.exit(main())
