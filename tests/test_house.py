"""The house itself: which room may import which, and examples that run."""

import ast
import doctest
import graphlib
import importlib
import pathlib
import pkgutil
import re
import tempfile

import keras
import numpy as np
import pytest

import dla_keras

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "dla_keras"

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ROW = re.compile(r"\| `dla_keras/(\w+)/` \|.*\|([^|]*)\|$", re.MULTILINE)
MAY_IMPORT = dict(ROW.findall(CONTRIBUTING))  # room -> last cell of its row
ROOMS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
FLAT = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
# Flat modules that stand above rooms: nothing below may import them.
DOORS = {"applications"}

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(dla_keras.__path__, "dla_keras.")
]


VOICED = sorted(
    path.relative_to(ROOT)
    for folder in (PACKAGE, ROOT / "tools")
    for path in folder.rglob("*.py")
)


def imports(path):
    """Full names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def allowed_rooms(room):
    if "every room" in MAY_IMPORT[room]:
        return ROOMS
    return {room, *re.findall(r"`(\w+)`", MAY_IMPORT[room])}


def test_the_table_of_imports_is_what_the_code_does():
    assert set(MAY_IMPORT) == ROOMS
    for room in ROOMS - {"commands"}:
        names = {n for f in (PACKAGE / room).rglob("*.py") for n in imports(f)}
        used = {n.split(".")[1] for n in names if n.startswith("dla_keras.")}
        assert allowed_rooms(room) == {room} | used & ROOMS, room


def test_rooms_can_be_read_one_after_the_other():
    below = {room: allowed_rooms(room) - {room} for room in ROOMS}
    order = [*graphlib.TopologicalSorter(below).static_order()]  # no circle
    assert order[-1] == "commands"


@pytest.mark.parametrize(
    "path",
    [path for room in sorted(ROOMS) for path in (PACKAGE / room).rglob("*.py")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_rooms_import_in_one_direction(path):
    room = path.relative_to(PACKAGE).parts[0]
    allowed = allowed_rooms(room) | FLAT - DOORS
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "dla_keras" and room != "commands":
            assert rest and rest[0] in allowed, name
        if top in ("tensorflow", "tf_keras", "tensorflow_datasets"):
            dynamic_size = path.name == "upsampling.py"  # on that backend only
            assert "TensorFlow" in MAY_IMPORT[room] or dynamic_size, name


def test_at_most_ten_modules_are_flat():
    assert len(FLAT) + 1 <= 10, sorted(FLAT)  # and `__init__`


def test_the_house_does_not_grow_unseen():
    modules = [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]
    # 100 when it was rebuilt, and twenty for folders of people's own.
    assert len(modules) <= 120


@pytest.mark.parametrize("name", sorted(FLAT - {"quiet"}))
def test_flat_modules_do_without_tensorflow(name):
    tops = {n.split(".")[0] for n in imports(PACKAGE / f"{name}.py")}
    assert not tops & {"tensorflow", "tf_keras", "tensorflow_datasets"}


def docstrings(path):
    """Yield the docstrings of a file, each with the line it belongs to."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def entries(docstring, *sections):
    """Yield the text of each entry of some sections of a docstring."""
    section = ""
    for line in docstring.splitlines():
        if re.fullmatch(r"\w[\w ]*:", line):
            section = line
        elif section in sections:
            yield from re.findall(r"^    \*{0,2}\w+: (.*)", line)


@pytest.mark.parametrize("path", VOICED, ids=str)
def test_arguments_are_named_by_noun_phrases(path):
    riddle = re.compile(r"(of|that|what|how|as|likewise)\b", re.IGNORECASE)
    for line, text in docstrings(ROOT / path):
        said = entries(text, "Args:", "Call arguments:")
        found = [entry for entry in said if riddle.match(entry)]
        assert not found, f"{path}:{line}: {found}"
        chain = re.search(r"\bas `\w+`'s\b", text)
        assert not chain, f"{path}:{line}: {chain[0]} sends a reader on"
        for entry in entries(text, "Raises:"):
            assert entry.startswith("If "), f"{path}:{line}: {entry}"


def test_a_model_is_asked_for_its_tasks_only():
    """What a model is, `model.tasks` says; `inputs` is Keras' own."""
    question = re.compile(r"(?:has|get)attr\((?:\w+\.)?model, \"(\w+)\"")
    for path in PACKAGE.rglob("*.py"):
        asked = {*question.findall(path.read_text())}
        one_place = {"tasks"} if path.name == "model_files.py" else set()
        assert asked <= {"inputs"} | one_place, path


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
    seen = set()
    for test in doctest.DocTestFinder().find(module, globs=names):
        # The twelve named networks share one docstring: the first of them
        # runs, and `test_models.py` checks which network each name makes.
        calls = [re.sub(r"DLA\d+\w*", "DLA", e.source) for e in test.examples]
        if tuple(calls) not in seen:
            runner.run(test)
        seen.add(tuple(calls))
    assert not runner.summarize(verbose=False).failed
