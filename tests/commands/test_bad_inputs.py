"""Everything that can be wrong, thrown at every command: nothing is lost.

    pytest -m slow tests/commands/test_bad_inputs.py -k predict

Each case runs in a process of its own, with 8 GB of memory and 100 seconds. It
fails on a traceback, a wrong result without a word, a file that is harmed, a
hang, a crash, and on a message that is not one line with the name of the file
or the flag. With a folder in `BAD_INPUTS`, what is whole is made there once,
and `table.md` adds up the verdicts of all calls.
"""

import os
import pathlib

import attack
import processes
import pytest

pytestmark = pytest.mark.slow

AREAS = attack.areas()
CASES = [
    pytest.param(area, number, id=f"{area}-{row.wrong.replace(' ', '_')}")
    for area, rows in AREAS.items()
    for number, row in enumerate(rows)
]
FOLDER = os.environ.get("BAD_INPUTS")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Folder of what is whole."""
    place = FOLDER and pathlib.Path(FOLDER)
    folder = (place or tmp_path_factory.mktemp("attack")) / "ground"
    if not folder.exists():
        processes.start("attack_ground", folder).finish()
    return folder


@pytest.fixture(scope="module")
def results(request):
    """Verdicts, which are printed at the end."""
    found = attack.Results(FOLDER)
    yield found
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    if reporter:  # none in a worker of xdist
        reporter.write_line("\n" + found.tables())


def test_there_are_many_and_none_twice():
    wrong = [(area, row.wrong) for area, rows in AREAS.items() for row in rows]
    assert len(wrong) == len(set(wrong)) and len(wrong) >= 330
    inputs = [
        repr((row.call, row.changes, row.environment, row.largest))
        for rows in AREAS.values()
        for row in rows
    ]
    assert len(inputs) == len(set(inputs))


@pytest.mark.parametrize(("area", "number"), CASES)
def test_a_bad_input(area, number, ground, results, tmp_path):
    row = AREAS[area][number]
    found = attack.attempt(area, number, ground, tmp_path / "case")
    results.add(area, row.wrong, found)
    verdict, why, _ = found
    assert verdict in attack.PASSED, f"{verdict}: {why}"
