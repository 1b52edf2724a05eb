"""Remembers what files of a dataset hold, so that each is read once.

A file is known by its size and time. What is remembered lies in a folder of
its own, never in the data's; without it all is read anew.
"""

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from dla_keras.files import atomic_path
from dla_keras.version import __version__

# Decoding and a network's delays overlap; a label of 12 megapixels may take
# 200 MB while it is read, so that there are not many at a time.
THREADS = min(8, 2 + (os.cpu_count() or 1))
WORTH_KEEPING = 1.0  # seconds: what is quicker is not written


class Fault(str):
    """The message of an error, in place of a result."""


def cache_folder() -> pathlib.Path:
    """Return the folder that remembers what files hold, never the data's."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home) / "dla_keras" / "checks"


def remembered(key, names: Sequence[str], stamps, work: Callable) -> list:
    """Return `work(i)` for each of some files, or what the cache holds.

    Args:
        key: Facts that the work depends on beside the files, for JSON.
        names: Name of each file.
        stamps: Sizes and times of each; `None` where there is no file to tell
            whether it changed.
        work: Function of an index whose result JSON can hold.

    Returns:
        Results in order; a `Fault` where one was an error.
    """
    root = os.path.abspath(os.path.commonprefix(names))
    text = json.dumps([__version__, root, key])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = cache_folder() / f"{name}.json"
    known = _read_cache(path)
    start = time.monotonic()

    def one(index):
        row = known.get(names[index])
        if row and stamps[index] and row[0] == stamps[index]:
            return row[1]
        try:
            return work(index)
        except FileNotFoundError as error:
            return Fault(f"{error.filename or error} does not exist.")
        except (ValueError, OSError) as error:
            return Fault(error)

    # In parts, since a job of its own costs more than what is remembered.
    parts = [range(len(names))[i : i + 64] for i in range(0, len(names), 64)]
    with ThreadPoolExecutor(THREADS) as threads:
        done = threads.map(lambda part: [*map(one, part)], parts)
        rows = [row for part in done for row in part]
    if time.monotonic() - start > WORTH_KEEPING:
        kept = zip(names, stamps, rows, strict=True)
        kept = {n: [s, r] for n, s, r in kept if s and not isinstance(r, Fault)}
        _write_cache(path, kept)
    return rows


def file_stamp(files) -> list | None:
    """Return sizes and times of files; `None` if one of them is missing.

    Args:
        files: Paths, or drawn labels, which have a `path`.
    """
    try:
        stats = [os.stat(getattr(file, "path", file)) for file in files]
    except OSError:
        return None
    return [n for each in stats for n in (each.st_size, each.st_mtime_ns)]


def _read_cache(path):
    try:
        rows = dict(json.loads(path.read_text()))
        return {name: (stamp, row) for name, (stamp, row) in rows.items()}
    except (OSError, ValueError, TypeError):  # none yet, or a damaged one
        return {}


def _write_cache(path, rows):
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(rows, separators=(",", ":")))
    except OSError:
        pass  # a home that cannot be written: looked at anew each time
