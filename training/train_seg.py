"""Run `dla-keras train-seg`: see `dla_keras.commands.train_seg`."""

import sys

from dla_keras.commands.train_seg import main

if __name__ == "__main__":
    sys.exit(main())
