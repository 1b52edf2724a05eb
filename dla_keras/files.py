"""Writes files and folders that are either complete or not there."""

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
    """Yield a temporary path, which is renamed to `path` if the block succeeds.

    Args:
        path: Path of the file; its folder is made if needed.

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
        # The name is kept, since some writers choose the format by its ending.
        temporary = pathlib.Path(folder) / path.name
        with _full_disks_named(path):
            yield temporary
        os.replace(temporary, path)


@contextlib.contextmanager
def new_folder(path, marker: str):
    """Yield a temporary folder, which is moved to `path` if the block succeeds.

    Args:
        path: Path of the folder; an older one is replaced.
        marker: Name of a file that such a folder holds. A folder without it is
            somebody else's, and is not replaced.

    Yields:
        The folder to fill. If the block raises, nothing is left behind.

    Raises:
        FileExistsError: If `path` holds something else.
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
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def check_csv(path, columns: Sequence[str]) -> None:
    """Raise `ValueError` if a CSV file has other columns.

    Args:
        path: Path of the file, which may be missing.
        columns: Names of the columns.
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
    """Append rows to a CSV file, which is made if it is missing, atomically.

    Args:
        path: Path of the file.
        rows: Values by column; all rows have the same columns.

    Raises:
        ValueError: If the file has other columns.
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
    """Name the path in the error of a full disk.

    Libraries wrap that error in their own, without the path.
    """
    full = os.strerror(errno.ENOSPC)
    try:
        yield
    except Exception as error:
        if full not in str(error):
            raise
        raise OSError(errno.ENOSPC, full, str(path)) from error
