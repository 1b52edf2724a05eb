"""The docs: tables come from CSV files, and what pages show works."""

import csv
import doctest
import pathlib
import pkgutil
import re
import shlex
from unittest import mock

import keras
import numpy as np
import pytest
from list_folder import write_folder
from PIL import Image

import dla_keras
from dla_keras.commands.main import COMMANDS

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PALETTE = ((9, 9, 9), (0, 0, 255), (9, 0, 0))
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import tables

    return tables


def test_every_table_says_how_it_was_made(tables):
    for name in {*tables.names()} - {"recipes"}:  # which are not measured
        for row in tables.rows_of(name):
            missing = [key for key in tables.SOURCE if not row[key]]
            assert not missing, f"{name}: {row}"


def test_every_table_is_on_a_page(tables):
    asked = {
        match[1].split(";")[0].strip()
        for page in PAGES
        for match in tables.REQUEST.finditer(page.read_text())
    }
    helpers = {"camvid_precisions"}  # is shown as `camvid_files`
    assert asked | helpers == set(tables.names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_have_the_numbers_of_the_files(page, tables):
    text = page.read_text(encoding="utf-8")
    assert tables.renewed(text) == text, (
        "Tables are out of date: run python docs/tables.py."
    )
    asked = tables.REQUEST.findall(text)
    assert len(tables.RENDERED.findall(text)) == len(asked), page


def test_readme_can_be_read_at_once(tables):
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_a_table_of_some_columns(tables, monkeypatch):
    row = {"net": "a", "IoU": "0.5", "MB": "", "machine": "M", "date": "D"}
    rows = [row | {"command": "run"}, row | {"net": "b", "command": "other"}]
    monkeypatch.setattr(tables, "names", lambda: ["x"])
    monkeypatch.setattr(tables, "rows_of", lambda name: rows)
    request = "<!-- table: x; net; IoU -->"
    page = tables.renewed(f"{request}\nold\n<!-- end -->\nend")
    assert page.splitlines() == [
        request,
        "| net | IoU |",
        "| --- | ---: |",
        "| a | 0.5 |",
        "| b | 0.5 |",
        "",
        "<small>a: `run`; M, D.</small>",
        "",
        "<small>b: `other`; M, D.</small>",
        "<!-- end -->",
        "end",
    ]
    assert "small" not in tables.render("x; no source")
    with pytest.raises(ValueError, match="Received: Mb"):
        tables.render("x; Mb")


def test_an_unknown_table_is_named(tables):
    with pytest.raises(ValueError, match="Received: nothing"):
        tables.render("nothing")


def test_aims_are_computed_from_the_measurements(tables):
    aims = {row["what we aim at"]: row for row in tables.rows_of("edge_aims")}
    ms = {
        row["contender"]: float(row["median_ms"])
        for row in tables.read("edge_peers.csv")
    }
    int8 = aims["int8 / float32"]
    assert float(int8["figure"]) == round(ms["int8"] / ms["float32"], 2)
    assert (int8["aim"], int8[""]) == ("at most 0.26", "met")
    assert aims["float32 / the best of PyTorch and ONNX Runtime"][""] == (
        "not met"
    )


def test_examples_of_docstrings_are_marked(monkeypatch):
    griffe = pytest.importorskip("griffe")
    monkeypatch.syspath_prepend(DOCS)
    import docstrings

    text = "Return x.\n\nExample:\n\n>>> x()\n1\n\nNote:\n    Keep."
    thing = griffe.Function("x", docstring=griffe.Docstring(text))
    docstrings.Examples().on_object(obj=thing)
    assert thing.docstring.value == (
        "Return x.\n\nExamples:\n    >>> x()\n    1\n\nNote:\n    Keep."
    )


def test_links_of_pages_outside_the_site_lead_somewhere():
    """`make docs` checks those of the site."""
    demos = ("web_demo/README", "android_demo/README")
    for name in ("README", "CONTRIBUTING", *demos):
        page = ROOT / f"{name}.md"
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{name}: {target}"


def test_places_to_add_something_exist():
    """CONTRIBUTING's table "Where to add" leads to files and to names."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.split("## Where to add")[1].split("##")[0]
    for row in table.strip().splitlines()[2:]:
        words = re.findall(r"`([^`]+)`", row)
        places = [
            place
            for word in words
            if "/" in word and " " not in word
            for place in (ROOT / word, ROOT / "dla_keras" / word)
            if place.exists()
        ]
        assert places, row
        text = "".join(
            path.read_text() for path in places if path.suffix == ".py"
        )
        for name in words:
            if name.isupper():
                assert re.search(rf"\b{name}\b", text), name


SHELL = re.compile(r"dla-keras +([a-z]+(?:-[a-z]+)*)([^`|#\n]*)")
SCRIPT = re.compile(r"python (?:training|export)/(\w+)\.py([^`|#\n]*)")
SCRIPTS = {"quantize_seg": "quantize", "benchmark_tflite": "benchmark"}


def shown_commands():
    """Yield the place, the module and the flags of each command shown."""
    texts = {
        str(page.relative_to(ROOT)): page.read_text()
        for page in [*PAGES, ROOT / "web_demo" / "README.md"]
    }
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.csv")):
        with open(path, newline="") as file:
            commands = {row["command"] for row in csv.DictReader(file)}
        texts[path.name] = "\n".join(sorted(commands))
    for place, text in texts.items():
        text = re.sub(r"\\\n\s*", "", text)
        for command, flags in SHELL.findall(text):
            yield place, COMMANDS[command][0], flags.strip(" '")
        for script, flags in SCRIPT.findall(text):
            name = SCRIPTS.get(script, script).replace("_", "-")
            yield place, COMMANDS[name][0], flags.strip()


@pytest.mark.parametrize(("place", "module", "flags"), list(shown_commands()))
def test_every_command_parses(place, module, flags):
    command = pkgutil.resolve_name(f"dla_keras.commands.{module}")
    if not flags:
        return  # named, not shown: it may need flags
    parse = getattr(command, "parse_flags", None) or command.parse_arguments
    parse(shlex.split(flags))


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    """Return a folder with all that the pages' Python opens."""
    folder = tmp_path_factory.mktemp("evening")
    random = np.random.default_rng(0)
    street = random.integers(0, 256, (48, 80, 3), np.uint8)
    Image.fromarray(street).save(folder / "street.jpg")
    (folder / "my_folder").mkdir()
    write_folder(folder / "my_folder", count=2)
    names = '{"names": ["road", "sky", "car"]}'
    (folder / "my_folder/info.json").write_text(names)
    model = dla_keras.DLASegmenter(
        "dla46_c", 3, class_names=("road", "sky", "car"), palette=PALETTE
    )
    dla_keras.export_tflite(model, folder / "mine.tflite", size=(64, 96))
    return folder


def run_python(page, names):
    text = (ROOT / page).read_text()
    for block in re.findall(r"^```python\n(.*?)^```", text, re.S | re.M):
        exec(block, names)


@pytest.mark.parametrize(
    "page", ["README.md", "docs/python.md", "docs/phone.md"]
)
def test_python_of_a_page_runs(page, evening, monkeypatch):
    monkeypatch.chdir(evening)
    found = {}
    run_python(page, found)
    if page == "README.md":
        assert found["mask"].shape == (48, 80)
        saved = np.asarray(Image.open("mask.png"))
        assert {tuple(color) for color in saved.reshape(-1, 3)} <= set(PALETTE)


def test_export_in_python_is_called_as_it_is(monkeypatch):
    export = mock.create_autospec(dla_keras.export_tflite)
    monkeypatch.setattr(dla_keras, "export_tflite", export)
    images = {"train_images": [], "val_images": []}
    run_python("docs/edge.md", {"model": None, **images})
    assert export.call_args.kwargs["precision"] == "int8"


def test_table_of_complexity_is_what_is_printed():
    text = (DOCS / "aggregation.md").read_text().replace("\n```", "\n")
    names = {"dla_keras": dla_keras}
    keras.utils.clear_session()  # names are numbered from the first again
    test = doctest.DocTestParser().get_doctest(text, names, "page", None, 0)
    assert test.examples and not doctest.DocTestRunner().run(test).failed


def test_every_page_with_python_is_run():
    run = {"README.md", "docs/python.md", "docs/phone.md", "docs/edge.md"}
    with_python = {
        str(page.relative_to(ROOT))
        for page in PAGES
        if "```python" in page.read_text()
    }
    assert with_python == run
