"""Files and folders that are either whole or not there."""

import contextlib
import csv
import errno
import io
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence


@contextlib.contextmanager
def atomic_path(path):
    """A temporary path that becomes `path` once the block has ended well.

    Args:
        path: where the file shall be; its folder is made.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "a.txt"
    ...     with atomic_path(target) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     target.read_text()
    'whole'
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}."
    ) as folder:
        # The name is kept: some writers choose the format by its ending.
        temporary = pathlib.Path(folder) / path.name
        with _full_disks_named(path):
            yield temporary
        os.replace(temporary, path)


@contextlib.contextmanager
def new_folder(path, marker: str):
    """Fills a folder beside its place, and moves it there when complete.

    Args:
        path: where it goes; an older one there is replaced.
        marker: name of a file that such a folder holds: a folder without it
            is somebody else's.

    Yields:
        The folder to fill. If the block raises, nothing is left behind.

    Raises:
        FileExistsError: if `path` holds something else.
    """
    path = pathlib.Path(path)
    ours = not path.exists() or (path / marker).exists()
    if not ours and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(
            f"{path} exists and holds no {marker}. Remove it, or pass "
            "another folder."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}."
    ) as workshop:
        folder = pathlib.Path(workshop, "new")
        folder.mkdir()
        with _full_disks_named(path):
            yield folder
        if path.exists():
            os.rename(path, pathlib.Path(workshop, "old"))
        shutil.move(folder, path)


def write_json(path, content) -> None:
    """Writes `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def check_csv(path, columns: Sequence[str]) -> None:
    """Raises `ValueError` unless rows of these columns fit into a file.

    Args:
        path: of a CSV file, which need not be there.
        columns: their names.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        found = next(csv.reader(file), [])
    if found != list(columns):
        raise ValueError(
            f"{path} has other columns. Expected: {','.join(columns)}. "
            f"Received: {','.join(found) or 'none'}. Rename that file, or "
            "pass another."
        )


def append_csv(path, rows: Sequence[dict]) -> None:
    """Adds rows at the end of a CSV file, or begins one, atomically.

    Args:
        path: of the file.
        rows: column -> value; all of the same columns.

    Raises:
        ValueError: if the file has other columns.
    """
    path, columns = pathlib.Path(path), list(rows[0])
    check_csv(path, columns)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if path.exists():
        text.write(path.read_text(encoding="utf-8").rstrip("\n") + "\n")
    else:
        writer.writeheader()
    writer.writerows(rows)
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


@contextlib.contextmanager
def _full_disks_named(path):
    """Says whose disk is full, which a failed write does not.

    Libraries wrap it in errors of their own.
    """
    full = os.strerror(errno.ENOSPC)
    try:
        yield
    except Exception as error:
        if full not in str(error):
            raise
        raise OSError(errno.ENOSPC, full, str(path)) from error
