"""Run `dla-keras export-saved-model`."""

import sys

from dla_keras.commands.export_saved_model import main

if __name__ == "__main__":
    sys.exit(main())
