"""Tables and events of a run that goes on, after a power cut for instance."""

import csv
import json

import numpy as np
from attack import Attack
from attack_changes import changed
from attack_changes import cut
from attack_changes import every
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import pipe
from attack_changes import raw
from attack_changes import sparse
from attack_changes import text
from attack_changes import there

from attacks.resume import FREE
from attacks.resume import GO_ON
from attacks.resume import WHOLE

AREA = "tables and events at resume"

STEPS, HISTORY = "half/steps.csv", "half/history.csv"
EVENTS = "half/events.out.tfevents.1700000000.elsewhere.0.dla_keras"


def ascending(outcome):
    """Check that the tables hold each step once, in order."""
    for name in ("steps.csv", "history.csv"):
        with (outcome.folder / "half" / name).open(newline="") as file:
            steps = [float(row["step"]) for row in csv.DictReader(file)]
        if not steps or np.any(np.diff(steps) <= 0):
            return f"{name} holds the steps {steps[-5:]}"
    return None


def finite(outcome):
    """Check that the scores are there."""
    found = json.loads((outcome.folder / "half/metrics.json").read_text())
    return None if found["miou"] is not None else "there is no score"


def goes_on(wrong, changes, *kept):
    """Return a run that ends as if nothing had been."""
    right = every(WHOLE, ascending, finite, there(*kept))
    return Attack(wrong, GO_ON, (), changes, right, "run", FREE)


def either(wrong, changes, name):
    """Return a run that goes on, or is refused before it takes a step."""
    right = every(WHOLE, ascending, finite)
    return Attack(wrong, GO_ON, (name,), changes, right, "run", FREE)


def lines(change):
    """Return a change of the lines of a table."""
    return lambda data: b"".join(change(data.splitlines(True)))


# fmt: off
ATTACKS = [
    goes_on("steps with a tail of zeros", changed(STEPS, lambda d: d[:-40] + bytes(4096))),
    goes_on("steps that end within a number", changed(STEPS, lambda d: d + b"3")),
    goes_on("steps of zeros alone", raw(STEPS, bytes(512))),
    goes_on("steps of no bytes", raw(STEPS, b"")),
    goes_on("steps of another kind", raw(STEPS, b"PK\3\4\x9c\xff\xfe\x81")),
    goes_on("steps without columns", changed(STEPS, lines(lambda x: x[1:]))),
    goes_on("steps with the columns twice", changed(STEPS, lines(lambda x: x[:3] + x[:1] + x[3:]))),
    goes_on("steps with a word", changed(STEPS, lines(lambda x: [*x[:4], b"two," + x[4], *x[5:]]))),
    goes_on("steps with a row twice", changed(STEPS, lines(lambda x: [*x[:5], x[4], *x[5:]]))),
    goes_on("steps in a comma too many", changed(STEPS, lines(lambda x: [x[0], *(r.strip() + b",,9\n" for r in x[1:])]))),
    goes_on("steps of Windows", changed(STEPS, lambda d: d.replace(b"\n", b"\r\n"))),
    goes_on("steps in UTF-16", changed(STEPS, lambda d: d.decode().encode("utf-16"))),
    goes_on("steps that are gone", gone(STEPS)),
    either("steps are a folder", (gone(STEPS), folder(STEPS)), "steps.csv"),
    either("steps in a circle", link(STEPS, "steps.csv"), "steps.csv"),
    either("steps are a pipe", pipe(STEPS), "steps.csv"),
    either("steps of 12 GB", sparse(STEPS, 12 << 30), "steps.csv"),
    goes_on("a history cut off", cut(HISTORY, 0.9)),
    goes_on("a history with a tail of zeros", changed(HISTORY, lambda d: d + bytes(2000))),
    goes_on("a history of words", text(HISTORY, "step,val_miou\none,good\n")),
    goes_on("a history of not a number", text(HISTORY, "step,val_miou\n20,nan\n")),
    goes_on("a history of other columns", text(HISTORY, "step,accuracy\n20,0.5\n")),
    goes_on("somebody's events", text(EVENTS, "not mine"), EVENTS),
    goes_on("events that are a folder", folder(EVENTS), EVENTS),
    goes_on("events that lead nowhere", link(EVENTS, "nowhere")),
    goes_on("scores of no bytes", raw("half/metrics.json", b"")),
    goes_on("scores of zeros", raw("half/metrics.json", bytes(64))),
    goes_on("scores that are a list", text("half/metrics.json", "[]")),
    either("a report is a folder", folder("half/report.html"), "report.html"),
    goes_on("loggers of words", text("half/loggers.json", "wandb")),
]
