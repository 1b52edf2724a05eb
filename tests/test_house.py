"""The house itself: which room may import which, and examples that run."""

import ast
import doctest
import importlib
import pathlib
import pkgutil
import tempfile

import keras
import numpy as np
import pytest

import dla_keras

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "dla_keras"

# Room -> what it may import from this package (besides itself). Flat modules
# that everybody may import stand in FLAT.
FLAT = {
    "choices",
    "files",
    "normalization",
    "provenance",
    "quiet",
    "tables",
    "variants",
    "version",
}
ALLOWED = {
    "layers": set(),
    "models": {"layers"},
    "weights": {"layers", "models"},
    "bsds": set(),
    "data": set(),
    "inference": {"data", "layers", "models", "lite"},
    "tasks": {"bsds", "data", "inference", "layers", "models"},
    "report": {"data", "tasks", "inference"},
    "engine": {"data", "layers", "models", "tasks"},
    "lite": {
        "commands",
        "data",
        "inference",
        "layers",
        "models",
        "report",
        "tasks",
    },
}
MAY_USE_TENSORFLOW = {
    "commands",
    "data",
    "engine",
    "inference",  # for models in TensorFlow's formats, when called
    "lite",
    "quiet",  # if it is the backend
}

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(dla_keras.__path__, "dla_keras.")
]


def imports(path):
    """Full names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_rooms_import_in_one_direction(path):
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "dla_keras" and room(path) in ALLOWED:
            allowed = ALLOWED[room(path)] | FLAT | {room(path)}
            assert rest and rest[0] in allowed, name
        if top in ("tensorflow", "tf_keras", "tensorflow_datasets"):
            dynamic_size = path.name == "upsampling.py"  # on that backend only
            assert room(path) in MAY_USE_TENSORFLOW or dynamic_size, name


def test_commands_import_the_library_only():
    scripts = [*ROOT.glob("training/*.py"), *ROOT.glob("export/*.py")]
    stems = {script.stem for script in scripts}
    assert stems >= {"train_seg", "evaluate", "export_tflite"}
    for script in scripts:
        assert not stems & {name.split(".")[0] for name in imports(script)}


def test_public_names_exist_once():
    assert len(set(dla_keras.__all__)) == len(dla_keras.__all__)
    for name in dla_keras.__all__:
        assert getattr(dla_keras, name) is not None


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    names = {
        "np": np,
        "keras": keras,
        "dla_keras": dla_keras,
        "pathlib": pathlib,
        "tempfile": tempfile,
        **vars(module),
    }
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    for test in doctest.DocTestFinder().find(module, globs=names):
        runner.run(test)
    assert not runner.summarize(verbose=False).failed
