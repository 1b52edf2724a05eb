"""Keep native libraries' chatter off the user's terminal."""

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile
import warnings

from dla_keras.version import missing_extra


@contextlib.contextmanager
def quiet_stderr():
    """Hold back what is written to stderr, and show it on a failure.

    TensorFlow, its converter and the XNNPACK delegate write from C++, past
    `sys.stderr` and `logging`, so the file descriptor itself is redirected.
    An expected error (`ValueError`, `ImportError`, `OSError`) says what is
    wrong by itself and needs none of the chatter.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        show = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except Exception as error:
            show = not isinstance(error, (ValueError, ImportError, OSError))
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            if show:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))


def _register_models():
    # So that `keras.models.load_model` finds them in a program that has not
    # touched a name of ours yet.
    importlib.import_module("dla_keras.models")


def _look_for_devices():
    # The second half of TensorFlow's greetings comes with the first look.
    sys.modules["tensorflow"].config.list_physical_devices()


# What follows an import of these, as quietly.
_AFTER = {"keras": _register_models, "tensorflow": _look_for_devices}


@contextlib.contextmanager
def _backend_needed():
    # The core installs Keras alone, which runs on a backend.
    try:
        yield
    except ImportError as error:
        cure = missing_extra(error.name)
        if cure is None:
            raise
        raise ImportError(
            f"{cure}, or set KERAS_BACKEND to a backend that is.",
            name=error.name,
        ) from error


class _QuietImports(importlib.abc.MetaPathFinder):
    """Has packages of `_AFTER` imported quietly.

    It finds nothing itself: it takes the answer that Python would get without
    it, and wraps what executes the package. Some ask for the answer only, to
    see whether a package is installed, and do not execute anything.
    """

    def __init__(self):
        self.asking = False

    def find_spec(self, name, path=None, target=None):
        if name not in _AFTER or self.asking:
            return None
        self.asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module):
                with quiet_stderr(), _backend_needed():
                    execute(module)
                    _AFTER[name]()

            spec.loader.exec_module = execute_quietly
        return spec


def import_quietly() -> None:
    """Have Keras and TensorFlow imported quietly, by whomever.

    TensorFlow tells every user of missing GPUs and CPU instructions, in part
    before `TF_CPP_MIN_LOG_LEVEL` is heeded, in part when devices are first
    looked for. Whoever wants to read that imports TensorFlow first. Once Keras
    is there, the classes of our models and layers are registered with it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves oneDNN off on many CPUs where it is faster (AMD Zen 3:
    # a training step of DLA-34-Up takes 0.95 s instead of 1.3 s).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.meta_path.insert(0, _QuietImports())
    for name in sorted(_AFTER.keys() & sys.modules.keys()):
        with quiet_stderr():
            _AFTER[name]()
