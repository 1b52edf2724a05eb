"""Run `dla-keras quantize`: see `dla_keras.commands.quantize`."""

import sys

from dla_keras.commands.quantize import main

if __name__ == "__main__":
    sys.exit(main())
