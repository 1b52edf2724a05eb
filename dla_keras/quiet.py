"""Keeps native libraries' chatter off the user's terminal."""

import contextlib
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def quiet_stderr():
    """Holds back what is written to stderr, and shows it on a failure.

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


def import_backend() -> None:
    """Imports Keras and its backend without TensorFlow's greetings.

    They tell every user of missing GPUs and CPU instructions, in part before
    `TF_CPP_MIN_LOG_LEVEL` is heeded, in part when devices are first looked
    for. Whoever wants them imports TensorFlow first.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow leaves oneDNN off on many CPUs where it is faster (AMD Zen 3:
    # a training step of DLA-34-Up takes 0.95 s instead of 1.3 s).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_stderr():
        import keras

        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()
