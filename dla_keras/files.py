"""Files and folders that are either whole or not there."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile


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
        yield folder
        if path.exists():
            os.rename(path, pathlib.Path(workshop, "old"))
        shutil.move(folder, path)


def write_json(path, content) -> None:
    """Writes `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
