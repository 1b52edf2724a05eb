"""Files that are either whole or not there."""

import contextlib
import json
import os
import pathlib
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


def write_json(path, content) -> None:
    """Writes `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
