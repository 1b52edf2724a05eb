"""Run `dla-keras benchmark`: see `dla_keras.commands.benchmark`."""

import sys

from dla_keras.commands.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
