"""MediaPipe as tests run it: in a Python of its own, where there is one."""

import os
import pathlib

import pytest

# Where `verify_runtimes.py --cache` has put MediaPipe.
CACHE = os.environ.get("DLA_KERAS_RUNTIMES", ".cache/runtimes")


def mediapipe_python():
    """Return the path of a Python that has MediaPipe; skip without one."""
    found = sorted(pathlib.Path(CACHE).glob("mediapipe*/bin/python"))
    if not found:
        pytest.skip(
            f"MediaPipe is not in {CACHE}: tools/verify_runtimes.py puts it "
            "there, and DLA_KERAS_RUNTIMES names another folder"
        )
    return str(found[-1])
