"""Run `dla-keras train-cls`: see `dla_keras.commands.train_cls`."""

import sys

from dla_keras.commands.train_cls import main

if __name__ == "__main__":
    sys.exit(main())
