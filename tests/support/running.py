"""Commands as tests run them: in this process, parts of them replaced."""

import contextlib
import pkgutil
from unittest import mock


def command(name, stand_ins=None):
    """Return the `main` of a command.

    Args:
        name: Name of the module, for instance `"train_seg"`.
        stand_ins: Dictionary from a name with its module, such as
            `"inference.model_files.load_segmenter"`, to the stand-in that
            replaces it while the command runs.
    """
    module = pkgutil.resolve_name(f"dla_keras.commands.{name}")

    def main(argv=None):
        with contextlib.ExitStack() as replaced:
            for name, value in (stand_ins or {}).items():
                replaced.enter_context(mock.patch(f"dla_keras.{name}", value))
            return module.main(argv)

    return main
