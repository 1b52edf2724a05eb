"""Run `dla-keras predict`: see `dla_keras.commands.predict`."""

import sys

from dla_keras.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
