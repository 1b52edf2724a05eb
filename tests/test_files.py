"""Files that are complete or absent, whatever happens to their process."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from paths import ROOT

from dla_keras import files
from dla_keras.files import atomic_path
from dla_keras.files import check_target
from dla_keras.files import new_folder
from dla_keras.files import read_numbers
from dla_keras.files import read_table
from dla_keras.files import set_aside
from dla_keras.files import write_json

# Writes `FOLDER/o`, and is killed or stopped in the middle.
WRITER = """
import pathlib, signal, sys, time
from dla_keras.commands.shared import run_command
from dla_keras.files import atomic_path, new_folder

signal.signal(signal.SIGINT, signal.default_int_handler)  # also below `&`

def work():
    target = pathlib.Path(sys.argv[1], "o")
    file = sys.argv[2] == "file"
    with (atomic_path(target) if file else new_folder(target, "m")) as place:
        (place if file else place / "m").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

sys.exit(run_command(work))
"""


def started(folder, kind):
    """Return a process that is in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("number, code", [(2, 130), (15, 143)])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_stopped_process_leaves_one_line(tmp_path, kind, number, code):
    process = started(tmp_path, kind)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == code
    (line,) = error.splitlines()
    assert line.startswith("stopped by SIG") and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    killed, alive = started(tmp_path, "file"), started(tmp_path, "folder")
    killed.kill()
    killed.communicate()
    (dead,) = tmp_path.glob(f".o.{killed.pid}-*")
    (working,) = tmp_path.glob(f".o.{alive.pid}-*")
    name = dead.name.replace(files._home(), "0123abcd")
    others = [name, ".model.keras.abcdefgh", f"{dead.name[1:]}", ".o.9-x"]
    for other in others:  # of another machine, an earlier version, people
        (tmp_path / other).mkdir()
    half_swapped = tmp_path / f".r.{killed.pid}-{files._home()}-abcd"
    (half_swapped / "old").mkdir(parents=True)
    files.sweep.cache_clear()
    write_json(tmp_path / "new.json", {})
    alive.kill()
    alive.communicate()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {working.name, half_swapped.name, "new.json", *others}


def test_a_replaced_folder_is_there_until_the_new_one_is(tmp_path, monkeypatch):
    target = tmp_path / "saved"
    with new_folder(target, "m") as folder:
        (folder / "m").write_text("first")
    rename = os.rename

    def stop(source, to):
        if pathlib.Path(to) == target and pathlib.Path(source).name == "new":
            raise KeyboardInterrupt
        rename(source, to)

    monkeypatch.setattr(os, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        with new_folder(target, "m") as folder:
            (folder / "m").write_text("second")
    assert (target / "m").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_the_longest_names_are_written(tmp_path):
    for name in ("a" * 255, "道" * 85):
        with atomic_path(tmp_path / name) as temporary:
            temporary.write_text("whole")
        assert (tmp_path / name).read_text() == "whole"


def test_json_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    sync, replace = os.fsync, os.replace
    name = lambda number: os.path.basename(
        os.readlink(f"/proc/self/fd/{number}")
    )
    monkeypatch.setattr(
        os, "fsync", lambda n: synced.append(name(n)) or sync(n)
    )
    monkeypatch.setattr(
        os, "replace", lambda *a: synced.append("named") or replace(*a)
    )
    write_json(tmp_path / "metrics.json", {"miou": 0.5})
    assert synced == ["metrics.json", "named", tmp_path.name]


WHOLE = "step,loss\n1,0.5\n2,0.25\n"


@pytest.mark.parametrize(
    "text, rows, damage",
    [
        (WHOLE, 2, None),
        ("step,loss,rate\n1,0.5\n2,0.25,\n", 2, None),  # of an earlier version
        (WHOLE + "\0" * 200_000, 2, "half a line"),
        (WHOLE + "\0\0\0\n3,0.1\n", 3, "line 4"),
        (WHOLE + "3", 2, "half a line"),
        (WHOLE + "3\n", 2, "line 4"),
        (WHOLE + "3,0.5,7\n", 2, "line 4"),
        (WHOLE + "a,b\n", 2, "line 4"),
        ("epoch,loss\n1,0.5\n", 0, "has not the columns step, loss"),
        ("step,loss", 0, "has not the columns"),
        ("", 0, "has not the columns"),
        ("\0" * 4096, 0, "has not the columns"),
        ("\xff\xfe\n" + WHOLE, 0, "has not the columns"),
    ],
)
def test_whole_rows_are_read_of_a_damaged_table(tmp_path, text, rows, damage):
    path = tmp_path / "steps.csv"
    path.write_text(text, encoding="latin-1")
    found, said = read_numbers(path, ("step", "loss"))
    assert len(found) == rows
    assert said is None if damage is None else damage in said


def test_a_table_of_words_is_read_or_refused_by_name(tmp_path):
    path, words = tmp_path / "predictions.csv", "picture,class\na.png,cat\n"
    path.write_text(words)
    assert read_table(path, ("picture",)) == [
        {"picture": "a.png", "class": "cat"}
    ]
    random, refused = np.random.default_rng(0), 0
    for length in range(60):
        data = bytearray(words.encode() * 3)
        for at in random.integers(len(data), size=3):
            data[at : at + int(random.integers(4))] = random.bytes(2)
        path.write_bytes(data[: len(data) - length])
        try:
            read_table(path, ("picture",))
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 20
    path.write_text("name,class\n")
    with pytest.raises(
        ValueError, match="column 'picture'. .* with name, class"
    ):
        read_table(path, ("picture",))
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv", ())


def test_what_is_no_table_is_none(tmp_path):
    path = tmp_path / "steps.csv"
    assert read_numbers(path, ("step",)) == ([], None)
    path.mkdir()
    assert read_numbers(path, ("step",)) == ([], "is no file that can be read")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "gone")
    assert read_numbers(link, ("step",))[1] == "is no file that can be read"


def test_only_a_file_of_the_same_kind_is_replaced(tmp_path):
    ours, mine = tmp_path / "ours.md", tmp_path / "mine.md"
    ours.write_text("| model | mIoU |\n")
    mine.write_text("my notes")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "link.md").symlink_to("nothing")
    for path in (ours, tmp_path / "a/new.md"):
        check_target(path, "--table", "table")
    for name, reason in {
        "mine.md": "is no table that was written here",
        "pipe.md": "is no table",
        "link.md": "is no table",
        "": "Received: the folder",
        "mine.md/new.md": "where .*mine.md is a file",
    }.items():
        with pytest.raises(ValueError, match=f"--table.*{reason}"):
            check_target(tmp_path / name, "--table", "table")
    with pytest.raises(ValueError, match="--json would replace .*ours.md"):
        check_target(ours, "--json", "scores")


def test_a_folder_with_more_in_it_is_not_replaced(tmp_path):
    folder = tmp_path / "saved"
    for name in ("m", "m.evaluation"):
        (folder / name).mkdir(parents=True)
    with new_folder(folder, "m", ["m"]) as new:
        (new / "m").touch()
    (folder / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="saved holds notes.txt, too"):
        with new_folder(folder, "m", ["m"]):
            pass


def test_what_is_set_aside_replaces_nothing(tmp_path):
    path = tmp_path / "steps.csv"
    for text in ("one", "two"):
        path.write_text(text)
        with pytest.warns(UserWarning, match="steps.csv is odd: set aside as"):
            set_aside(path, "is odd")
    names = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert names == {"steps.csv.damaged": "one", "steps.csv.damaged2": "two"}
