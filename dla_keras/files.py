"""Reads texts that people wrote; writes files that are complete or absent."""

import codecs
import contextlib
import csv
import errno
import functools
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from dla_keras.choices import did_you_mean


@contextlib.contextmanager
def atomic_path(path, synced: bool = False):
    """Yield a temporary path, which is renamed to `path` if the block succeeds.

    Args:
        path: Path of the file; its folder is made if needed.
        synced: Whether the file is complete after a power cut, too. Defaults
            to `False`.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "a.txt"
    ...     with atomic_path(target) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     target.read_text()
    'whole'
    """
    path = pathlib.Path(path)
    with _workshop(path) as folder:
        # The name is kept, since some writers choose the format by its ending.
        temporary = folder / path.name
        with _full_disks_named(path):
            yield temporary
            if synced:
                _sync(temporary)
        os.replace(temporary, path)
    if synced:
        with contextlib.suppress(OSError):  # not every system syncs folders
            _sync(path.parent)


def _sync(path):
    """Write a file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- Work that is not finished ---

# Name of a folder of `_workshop`: the process, and where its number is known.
_WORK = re.compile(r"\..*\.(\d{1,9})-([0-9a-f]{8})-\w+")


@contextlib.contextmanager
def _workshop(path):
    """Yield a folder beside `path`, which is gone after the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent.absolute())
    # Names have at most 255 bytes, a letter up to four.
    prefix = f".{path.name[:50]}.{os.getpid()}-{_home()}-"
    try:
        made = tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    with made as folder:
        yield pathlib.Path(folder)


@functools.cache  # once a process: the folder may hold many files
def sweep(folder: pathlib.Path) -> None:
    """Remove unfinished work from a folder, if its process was killed.

    That of other machines stays, whose processes are not known here.

    Args:
        folder: Path of the folder.
    """
    with contextlib.suppress(OSError):  # may be written into, and not read
        for name in os.listdir(folder):
            found = _WORK.fullmatch(name)
            if not found or found[2] != _home() or is_alive(int(found[1])):
                continue
            # One that was about to be replaced by a finished folder.
            if not (folder / name / "old").exists():
                shutil.rmtree(folder / name, ignore_errors=True)


def is_alive(number: int) -> bool:
    """Return whether a process of this machine runs.

    Args:
        number: Number of the process.

    Example:

    >>> is_alive(os.getpid())
    True
    """
    if os.name == "nt":
        return True  # to ask would end it
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


@functools.cache
def _home():
    """Return 8 letters for where this process has its number.

    Machines may have one name, and containers of one machine count processes
    each for itself.
    """
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    with contextlib.suppress(OSError):
        parts.append(pathlib.Path("/etc/machine-id").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def set_aside(path, why: str) -> None:
    """Rename what cannot be used to `NAME.damaged`, with a warning.

    Args:
        path: Path of a file or a folder.
        why: Fault of it, which follows the path in the warning.
    """
    path = pathlib.Path(path)
    target = path.with_name(f"{path.name}.damaged")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.damaged{number}")
    os.rename(path, target)
    warnings.warn(f"{path} {why}: set aside as {target}.", stacklevel=2)


# --- What is written ---


def check_folder(path, flag: str) -> None:
    """Raise `ValueError` if a folder cannot be made, since a file is there.

    Args:
        path: Path of the folder, which may be missing.
        flag: Flag that names it, for instance `"--output"`.
    """
    path = pathlib.Path(path)
    if place := _in_the_way(path):
        raise ValueError(
            f"{flag} is a folder. Received: {path}, where {place} is a file; "
            f"pass another {flag}."
        )


def _in_the_way(path):
    """Return what is no folder among a path and those above it, if anything."""
    places = (path, *path.parents)
    there = (p for p in places if os.path.lexists(p) and not p.is_dir())
    return next(there, None)


PAGE = b"default-src 'none'"  # what every page of ours says
CHECKED = b" pictures to train on, "  # and that of `check`
# What is written -> how a file is known to be of that kind.
_KINDS = {
    "report": lambda data: PAGE in data and CHECKED not in data,
    "page of `check`": lambda data: PAGE in data and CHECKED in data,
    "scores": lambda data: b'"megabytes"' in data,
    "table": lambda data: data.startswith(b"| "),
    ".tflite file": lambda data: data[4:8] == b"TFL3",
}


def check_target(path, flag: str, kind: str) -> None:
    """Raise `ValueError` if a file cannot be written, or replaces another kind.

    Args:
        path: Path of the file.
        flag: Flag that names it, for instance `"--table"`.
        kind: Kind of file, one that may be replaced: a key of `_KINDS`, for
            instance `"table"`.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "scores.md")
    ...     check_target(path, "--table", "table")
    ...     _ = path.write_text("my notes")
    ...     try:
    ...         check_target(path, "--table", "table")
    ...     except ValueError as error:
    ...         print(str(error).replace(folder, ""))
    --table would replace /scores.md, which is no table that was written here.
    Pass another --table.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(
            f"{flag} is a file. Received: the folder {path}; pass a name in it."
        )
    if place := _in_the_way(path.parent):
        raise ValueError(
            f"{flag} cannot be {path}, where {place} is a file; pass another "
            f"{flag}."
        )
    if not os.path.lexists(path):
        return
    whole = path.is_file() and path.stat().st_size <= MAX_TEXT
    if not whole or not _KINDS[kind](path.read_bytes()):
        raise ValueError(
            f"{flag} would replace {path}, which is no {kind} that was written "
            f"here. Pass another {flag}."
        )


@contextlib.contextmanager
def new_folder(path, marker: str, names: Sequence[str] | None = None):
    """Yield a temporary folder, which is moved to `path` if the block succeeds.

    Args:
        path: Path of the folder; an older one is replaced.
        marker: Name of a file that such a folder holds. A folder without it is
            somebody else's, and is not replaced.
        names: Names of all that such a folder holds; one with more is not
            replaced either. Defaults to `None`: any.

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
    there = os.listdir(path) if path.exists() else ()
    more = sorted({*there} - {*(there if names is None else names)})
    more = [name for name in more if not name.endswith(".evaluation")]
    if more:
        raise FileExistsError(
            f"{path} holds {', '.join(more[:3])}, too, which would be lost. "
            "Move it, or pass another folder."
        )
    with _workshop(path) as workshop:
        folder, old = workshop / "new", workshop / "old"
        folder.mkdir()
        with _full_disks_named(path):
            yield folder
        try:
            if path.exists():
                os.rename(path, old)
            os.rename(folder, path)
        except BaseException:  # a signal, too
            if old.exists() and not path.exists():
                os.rename(old, path)
            raise


def write_json(path, content) -> None:
    """Write `content` as indented JSON, which is complete or absent."""
    with atomic_path(path, synced=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def check_csv(path, columns: Sequence[str]) -> None:
    """Raise `ValueError` if a CSV file has other columns.

    Args:
        path: Path of the file, which may be missing.
        columns: Names of the columns.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        return
    first = next(iter(read_text(path).splitlines()), "")
    found = next(csv.reader([first]), [])
    if found != list(columns):
        theirs = ", ".join(found) or "none"
        raise ValueError(
            f"{path} has other columns. Expected: {', '.join(columns[:3])} and "
            f"so on ({len(columns)}). Received: {theirs[:80]} ({len(found)}). "
            "Rename that file, or pass another."
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


def read_table(path, needed: Sequence[str]) -> list[dict]:
    """Return the rows of a CSV file, column -> text.

    Args:
        path: Path of the file.
        needed: Names of columns that it has.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If it is no file of text, or lacks a column.
    """
    text = read_text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows, columns = list(reader), reader.fieldnames or ()
    except csv.Error as error:
        raise ValueError(
            f"{path} is no table: {error}. Restore it, or rename it."
        ) from error
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ValueError(
            f"Expected a table with the column {missing[0]!r}. Received: {path}"
            f" with {', '.join(map(str, columns))[:80] or 'none'}. Restore it, "
            "or rename it."
        )
    return rows


def read_numbers(path, needed: Sequence[str]) -> tuple[list[dict], str | None]:
    """Return the whole rows of a table of numbers, and what is damaged.

    A power cut may leave zeros or half a line at the end of a file.

    Args:
        path: Path of a CSV file, which may be missing.
        needed: Names of columns that have a number in each row.

    Returns:
        Rows with the text of each number by column, and what is wrong with
        the file, in words; `None` where nothing is.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "steps.csv")
    ...     _ = path.write_text("step,loss\\n1,0.5\\n2,")
    ...     read_numbers(path, ("step", "loss"))
    ([{'step': '1', 'loss': '0.5'}], 'ends in half a line')
    """
    if not os.path.lexists(path):
        return [], None
    try:
        if check_regular(path).stat().st_size > MAX_TEXT:
            return [], "is longer than any table"
        text = pathlib.Path(path).read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return [], "is no file that can be read"
    text, _, half = text.rpartition("\n")
    rows, wrong = [], "ends in half a line" if half else None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if not set(needed) <= set(reader.fieldnames or ()):
            return [], f"has not the columns {', '.join(needed)}"
        for row in reader:
            if _has_numbers(row, needed):
                rows.append(row)
            else:
                wrong = f"has no numbers in line {reader.line_num}"
    except csv.Error as error:
        wrong = f"is no table ({error})"
    return rows, wrong


def _has_numbers(row, needed):
    try:
        numbers = {name: float(text) for name, text in row.items() if text}
    except (TypeError, ValueError):  # more cells than columns, or words
        return False
    return numbers.keys() >= set(needed)


@contextlib.contextmanager
def _full_disks_named(path):
    """Name the path in the error of a full disk.

    Libraries wrap that error in their own, without the path.
    """
    try:
        yield
    except Exception as error:
        # The disk, one's share of it, or the largest file that it takes.
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if (full := os.strerror(number)) in str(error):
                raise OSError(number, full, str(path)) from error
        raise


MAX_TEXT = 2**30  # bytes; COCO's annotations are half of it

# The longer first: UTF-32 begins as UTF-16 does.
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def check_regular(path) -> pathlib.Path:
    """Return the path, if a file is there that ends when it is read.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If it is a folder, a pipe or a device.
    """
    path = pathlib.Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise ValueError(f"Expected a file at {path}. Received: {kind}.")
    return path


def read_text(path) -> str:
    """Return a file's text: UTF-8 or UTF-16, with or without its mark.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is another encoding, or no text.
    """
    size = check_regular(path).stat().st_size
    if size > MAX_TEXT:
        raise ValueError(
            f"Expected a text of at most {MAX_TEXT:,} bytes. Received: {path} "
            f"with {size:,}; restore it."
        )
    data = pathlib.Path(path).read_bytes()
    found = (name for mark, name in _BOMS.items() if data.startswith(mark))
    # What is written in Latin letters has a zero in each pair of UTF-16.
    bare = {b"\0": "utf-16-le"}.get(data[1:2], "utf-8")
    bare = "utf-16-be" if data[:1] == b"\0" else bare
    try:
        text = data.decode(next(found, bare))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Expected text in UTF-8 or UTF-16. Received: {path} with "
            f"{error.object[error.start : error.end]!r} at byte "
            f"{error.start}; save it as UTF-8."
        ) from error
    if "\0" in text:
        raise ValueError(
            f"Expected text. Received: {path} with a zero byte at character "
            f"{text.index(chr(0))}; restore it."
        )
    return text


def read_lines(path) -> list[tuple[int, str]]:
    """Return a text's lines that are not empty, each with its number from 1.

    Args:
        path: Path of the file, which `read_text` reads. Spaces and quotes
            around a line are left out.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train_images.txt")
    ...     _ = path.write_text('a.png\\n\\n"b c.png"\\n', "utf-16")
    ...     read_lines(path)
    [(1, 'a.png'), (3, 'b c.png')]
    """
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        line = line.strip()
        if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
            line = line[1:-1].strip()
        if line:
            lines.append((number, line))
    return lines


def read_json(path, fields: Mapping[str, Callable] | None = None):
    """Return the content of a JSON file.

    Args:
        path: Path of the file, which `read_text` reads.
        fields: Known keys of the file's object; for each a function that
            returns its value, checked, or raises a `ValueError` that says
            what is expected ("an integer from 0 to 255"). Defaults to `None`:
            any content.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no JSON, no object, has an unknown key or a value
            of another kind; the message names the file and the key.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "info.json")
    ...     _ = path.write_text('{"classes": "3"}')
    ...     read_json(path, {"classes": int})
    {'classes': 3}
    """
    text = read_text(path)
    try:
        content = json.loads(
            text, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    if fields is None:
        return content
    if not isinstance(content, dict):
        raise ValueError(
            f"Expected an object, {{...}}, in {path}. Received: "
            f"{_short(content)}."
        )
    return {
        key: _checked_field(path, key, value, fields)
        for key, value in content.items()
    }


def _checked_field(path, key, value, fields):
    if key not in fields:
        raise ValueError(
            f"{path} has the keys {', '.join(fields)}. Received: {key!r}."
            f"{did_you_mean(key, fields)}"
        )
    try:
        return fields[key](value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"Expected {error} as {key!r} in {path}. Received: {_short(value)}."
        ) from error


def _no_number(text):
    raise ValueError(f"{text} is no number")


def _unique(pairs):
    """Return an object whose keys are written once."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in an object")
        found[key] = value
    return found


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
