"""What goes with the package agrees with it."""

import os
import re
import subprocess
import sys

import pytest
from paths import ROOT

import dla_keras
from dla_keras.commands.main import COMMANDS
from dla_keras.version import EXTRAS
from dla_keras.version import missing_extra


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search("^version: (.*)$", text, re.M)[1] == dla_keras.__version__


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module {name}", name=name)

BLOCKED = {}
sys.meta_path.insert(0, Blocked())
"""


def run_without(packages, code):
    """Run lines in a process that has no such packages; return its output."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            BLOCKED.replace("{}", repr(set(packages))) + code,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    return done.stdout + done.stderr


def test_every_public_name_tells_which_extra_it_needs():
    code = """
import dla_keras
light = {"PHONE_SEGMENTERS", "PRESETS", "SHIPPED_MODELS", "VARIANTS"}
light |= {"PHONE_DETECTORS", "__version__"}
for name in set(dla_keras.__all__) - light:
    try:
        getattr(dla_keras, name)
    except ImportError as error:
        assert 'pip install "dla-keras[' in str(error), (name, error)
    else:
        raise AssertionError(name)
try:
    import dla_keras.layers
except ImportError as error:
    print(error)
"""
    assert run_without(["tensorflow"], code) == (
        'tensorflow is not installed. Run: pip install "dla-keras[train]", or '
        "set KERAS_BACKEND to a backend that is.\n"
    )


FLAGS = {
    "check": "x",
    "predict": "--model x.keras --input x --output y",
    "evaluate": "--model x.keras",
    "quantize": "--model x.keras",
    "export-tflite": "--model x.keras --output y.tflite",
    "export-saved-model": "--model x.keras --output y",
    "benchmark": "--model x.tflite",
}


def test_every_command_tells_which_extra_it_needs(tmp_path):
    (tmp_path / "x.keras").touch()
    (tmp_path / "x").mkdir()
    code = f"""
import os
from dla_keras.commands.main import main
os.chdir({str(tmp_path)!r})
flags = {FLAGS!r}
for name in {list(COMMANDS)!r}:
    assert main([name, *flags.get(name, "").split()]) == 2, name
"""
    packages = ["tensorflow", "tensorflow_datasets", "PIL", "tqdm"]
    lines = run_without(packages, code).splitlines()
    assert len(lines) == len(COMMANDS)
    for line in lines:
        assert re.fullmatch(
            r'error: .* is not installed\. Run: pip install "dla-keras\[.*',
            line,
        )


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("PIL.Image", "train"),
        ("cv2", "train"),
        ("ai_edge_litert.interpreter", "export"),
        ("tf_keras", "export"),
        ("huggingface_hub", "weights"),
        ("nothing", None),
        (None, None),
    ],
)
def test_a_package_is_found_in_its_extra(module, extra):
    cure = missing_extra(module)
    assert extra in EXTRAS or cure is None
    assert cure is None or f"[{extra}]" in cure
