"""Run `dla-keras export-tflite`: see `dla_keras.commands.export_tflite`."""

import sys

from dla_keras.commands.export_tflite import main

if __name__ == "__main__":
    sys.exit(main())
