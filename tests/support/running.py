"""Commands as tests run them: in this process, parts of them replaced."""

import contextlib
import importlib
from unittest import mock


def command(name, **stand_ins):
    """Return the `main` of a command.

    Args:
        name: Name of the module, for instance `"train_seg"`.
        **stand_ins: Names of the module -> what replaces them while it runs.
    """
    module = importlib.import_module(f"dla_keras.commands.{name}")

    def main(argv=None):
        with contextlib.ExitStack() as replaced:
            for attribute, value in stand_ins.items():
                replaced.enter_context(
                    mock.patch.object(module, attribute, value)
                )
            return module.main(argv)

    return main
