"""Run `dla-keras evaluate`: see `dla_keras.commands.evaluate`."""

import sys

from dla_keras.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
