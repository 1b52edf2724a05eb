"""Bad inputs thrown at commands, a process each, and what becomes of them.

`attacks/` holds the inputs, a module for each area; `attack_ground.py` makes
what is whole before it is broken. `main` is what runs in the process.
"""

import hashlib
import importlib
import json
import os
import pathlib
import pkgutil
import re
import resource
import shlex
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from unittest import mock

import attacks
import processes
from tiny_variant import TINY_VARIANT

MEMORY = 8 << 30  # bytes that a process may take
SECONDS = 100  # that a process may take, by the clock and of a processor
LONGEST = 900  # letters of a message

# Verdict -> what it means; the first two are passed.
VERDICTS = {
    "clear": "clear error",
    "handled": "handled (right result)",
    "unclear": "unclear error (no file, no flag, or many lines)",
    "traceback": "traceback",
    "silent": "silent wrong",
    "harmed": "harmed or left a file",
    "hang": "hang",
    "crash": "native crash, no message at all",
}
PASSED = ("clear", "handled")
# Imported once, before a process begins.
processes.FORKS.set_forkserver_preload(
    ["dla_keras", *processes.SCRIPTS, "attack_imports"]
)


@dataclass(frozen=True)
class Change:
    """One thing that is done to a case's folder.

    Args:
        path: Path in the folder.
        do: Function of that path.
    """

    path: str
    do: Callable[[pathlib.Path], object]


@dataclass(frozen=True)
class Attack:
    """One bad input: what is wrong, how it is made, what must come of it.

    Args:
        wrong: Description in few words.
        call: Command and its flags; or a function, of Python's doors.
        names: Words that the message must hold. Defaults to none: the input
            is to be handled.
        changes: Changes of what is whole. Defaults to none.
        right: Function of the `Outcome` that returns what is wrong with the
            result of an exit code 0, if anything. Defaults to `None`: with
            `names` there is no right result, without any will do.
        given: More of the ground that the case needs. Defaults to none.
        may_change: Patterns of files that may be replaced. Defaults to none.
        environment: Variables. Defaults to none.
        largest: Size in bytes that written files may have. Defaults to `None`:
            any.
    """

    wrong: str
    call: str | Callable
    names: tuple[str, ...] | str = ()
    changes: tuple[Change, ...] | Change = ()
    right: Callable | None = None
    given: str = ""
    may_change: tuple[str, ...] = ()
    environment: dict = field(default_factory=dict)
    largest: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a process.

    Args:
        folder: Folder that it ran in.
        code: Exit code; negative for a signal, `None` for a hang.
        out: What it printed.
        err: What it printed as errors and warnings.
        harmed: Files of before that are changed or gone, and work files that
            are left.
    """

    folder: pathlib.Path
    code: int | None
    out: str
    err: str
    harmed: tuple[str, ...]


def areas() -> dict[str, list[Attack]]:
    """Return all inputs by the name of their area."""
    names = sorted(
        found.name for found in pkgutil.iter_modules(attacks.__path__)
    )
    modules = {n: importlib.import_module(f"attacks.{n}") for n in names}
    return {n: m.ATTACKS for n, m in modules.items() if hasattr(m, "ATTACKS")}


def attempt(area: str, number: int, ground, folder) -> tuple[str, str, float]:
    """Run one case; return its verdict, why, and the processor's seconds.

    Args:
        area: Name of the area.
        number: Place of the case in it.
        ground: Folder of what is whole.
        folder: Folder to make for the case.
    """
    row = areas()[area][number]
    changes = row.changes
    changes = (changes,) if isinstance(changes, Change) else changes
    folder.mkdir(parents=True)
    for name in needed(row, changes, ground):
        copied(ground, folder, name)
    for change in changes:
        change.do(folder / change.path)
    before, left = contents(folder, row.may_change), work_files(folder)
    logs = folder.with_suffix(".out"), folder.with_suffix(".err")
    started = processes.start(
        *("attack", area, number, folder), environment=row.environment
    )
    started.process.join(SECONDS)
    code = started.process.exitcode
    if code is None:
        started.process.kill()
        started.process.join()
    started.log.unlink()
    after = contents(folder, row.may_change)
    harmed = [name for name in before if after.get(name) != before[name]]
    out, err = (
        log.read_text(errors="replace") if log.exists() else "" for log in logs
    )
    harmed += sorted(work_files(folder) - left if code is not None else ())
    outcome = Outcome(folder, code, out, err, tuple(harmed))
    noted = folder.with_suffix(".seconds")
    seconds = float(noted.read_text()) if noted.exists() else float(SECONDS)
    return *judged(row, outcome), round(seconds, 2)


def needed(row, changes, ground) -> set[str]:
    """Return what of the ground a case needs, by the first words of paths."""
    words = shlex.split(row.call) if isinstance(row.call, str) else []
    paths = [*words, *row.given.split(), *(change.path for change in changes)]
    there = {path.name for path in ground.iterdir()}
    return {path.split("/")[0] for path in paths} & there


def copied(ground, folder, name) -> None:
    """Copy one thing of the ground; what names its place names the new one."""
    source, target = ground / name, folder / name
    if source.is_file():
        shutil.copy2(source, target)
        return
    shutil.copytree(source, target)
    for config in (
        *target.glob("config.json"),
        *target.glob("*/predictions.json"),
    ):
        text = config.read_text().replace(str(ground), str(folder))
        config.write_text(text)


def contents(folder, without=()) -> dict[str, str]:
    """Return what each file of a folder holds, as a hash or a kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(name.match(pattern) for pattern in without):
            continue
        if path.is_symlink():
            found[str(name)] = os.readlink(path)
        elif path.is_file():
            found[str(name)] = content_of(path)
        elif not path.is_dir():
            found[str(name)] = "no file"
    return found


def content_of(path) -> str:
    size = path.stat().st_size
    if size > 1 << 24:  # sparse ones
        return f"{size} bytes"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def work_files(folder) -> set[str]:
    """Return hidden folders that a write left behind."""
    found = (p for p in folder.rglob(".*.*") if p.is_dir())
    return {f"left: {path.relative_to(folder)}" for path in found}


def judged(row: Attack, outcome: Outcome) -> tuple[str, str]:
    """Return the verdict on an outcome, and why.

    Args:
        row: The input.
        outcome: What became of it.
    """
    if outcome.code is None:
        return "hang", f"{SECONDS} s"
    if outcome.code < 0:
        return "crash", f"signal {-outcome.code}"
    if outcome.harmed:
        return "harmed", ", ".join(outcome.harmed[:3])
    if "Traceback (most recent call last)" in outcome.err:
        return "traceback", outcome.err.strip().splitlines()[-1][:300]
    if outcome.code == 0:
        return judged_result(row, outcome)
    err = outcome.err or findings(outcome.out)
    fault = message_fault(row, err)
    said = " ".join(err.split())[:LONGEST]
    return ("unclear", f"{fault}: {said}") if fault else ("clear", said)


def judged_result(row, outcome):
    if row.right is None:
        told = "silent" if row.names else "handled"
        return told, " ".join(outcome.out.split())[-200:]
    fault = row.right(outcome)
    return ("silent", fault) if fault else ("handled", "")


def findings(out) -> str:
    """Return what `check` prints of faults, among its tables, as one error."""
    lines = [x for x in out.splitlines() if x.startswith(("error: ", "  "))]
    text = " ".join(line.removeprefix("error: ") for line in lines)
    return f"error: {text}" if lines else ""


def message_fault(row, err) -> str | None:
    """Return what is wrong with an error's message, if anything."""
    names = (row.names,) if isinstance(row.names, str) else row.names
    if not names:
        return "what can be used is refused"
    pointer = re.compile(
        r"warning: |See `dla-keras.* --help`\.|error: |stopped by |"
        r"step \d+ of \d+, "
    )
    lines = [line for line in err.splitlines() if line.strip()]
    errors = [x for x in lines if x.startswith(("error: ", "stopped by "))]
    others = [line for line in lines if not pointer.match(line)]
    if not isinstance(row.call, str):  # a list of names, below its error
        others = [line for line in others if not line.startswith("  ")]
    if len(errors) != 1:
        return f"{len(errors)} lines of errors"
    if others:
        return f"{len(others)} other lines, {others[0][:80]!r}"
    if len(errors[0]) > LONGEST:
        return f"{len(errors[0])} letters"
    missing = [name for name in names if name not in errors[0]]
    return f"does not name {', '.join(missing)}" if missing else None


# --- The process ---


def main(arguments) -> int:
    """Run a case; for `processes.start`."""
    area, number, folder = arguments
    row = importlib.import_module(f"attacks.{area}").ATTACKS[int(number)]
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        with open(pathlib.Path(folder).with_suffix(suffix), "wb") as file:
            os.dup2(file.fileno(), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # not the server's
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    if row.largest is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (row.largest, hard))
    os.chdir(folder)
    from dla_keras.variants import VARIANTS

    try:
        with mock.patch.dict(VARIANTS, TINY_VARIANT):
            return run(row.call)
    finally:
        note_seconds(pathlib.Path(folder).with_suffix(".seconds"))


def note_seconds(path) -> None:
    """Write the processor's time of this process and those it waited for."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    used = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    path.write_text(str(sum(u.ru_utime + u.ru_stime for u in used)))


def run(call) -> int:
    """Run words of the command line, or a function of Python's doors."""
    if isinstance(call, str):
        from dla_keras.commands.main import main as command

        words = shlex.split(call)
        sys.argv = ["dla-keras", *words]
        return command(words)
    try:
        call()
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


# --- Tables ---


class Results:
    """Verdicts of many cases, kept in a file if there is a folder for it.

    Args:
        folder: Folder of `results.json` and `table.md`; `None` for none.
    """

    def __init__(self, folder=None):
        self._folder = folder and pathlib.Path(folder)
        self._found = {}
        if self._folder and (self._folder / "results.json").exists():
            text = (self._folder / "results.json").read_text()
            self._found = json.loads(text)

    def add(self, area: str, wrong: str, found: tuple) -> None:
        """Note what `attempt` found."""
        self._found.setdefault(area, {})[wrong] = found
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self._found, indent=1)
            (self._folder / "results.json").write_text(text)
            (self._folder / "table.md").write_text(self.tables())

    def tables(self) -> str:
        """Return verdicts and areas as two tables of Markdown."""
        known = {a: {r.wrong for r in rows} for a, rows in areas().items()}
        found = {
            area: {w: v for w, v in rows.items() if w in known.get(area, ())}
            for area, rows in self._found.items()
        }
        counts = Counter(
            row[0] for rows in found.values() for row in rows.values()
        )
        lines = ["| verdict | cases |", "| --- | ---: |"]
        lines += [f"| {said} | {counts[v]} |" for v, said in VERDICTS.items()]
        lines += ["", "| area | cases | failed | CPU, s |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        for area, rows in found.items():
            title = importlib.import_module(f"attacks.{area}").AREA
            failed = sum(row[0] not in PASSED for row in rows.values())
            seconds = sum(row[2] for row in rows.values())
            lines.append(
                f"| {title} | {len(rows)} | {failed} | {seconds:.0f} |"
            )
        failed = [
            f"- {area}: {wrong}: **{verdict}**, {why}"
            for area, rows in found.items()
            for wrong, (verdict, why, _) in rows.items()
            if verdict not in PASSED
        ]
        return "\n".join([*lines, "", *failed]) + "\n"
