"""Data of TFDS that is damaged, and places that cannot be written to.

Root may write anywhere: a file in the place of a folder, `/proc`, a limit on
the size of files, and an ended process stand for what others meet.
"""

import contextlib
import os
import signal
import threading
import time

from attack import Attack
from attack import Change
from attack_changes import gone
from attack_changes import moved
from attack_changes import pipe
from attack_changes import raw
from attack_changes import said
from attack_changes import text
from attack_changes import there
from attack_ground import CLS
from attack_ground import EXPORT
from attack_ground import PREDICT
from attack_ground import SEG

AREA = "TFDS folder, read-only places, signals"

PETS = "tfds/little_pets/1.0.0"
TFDS = (
    "train-cls --dataset little_pets --data-dir tfds --variant dla_tiny "
    "--size 64x64 --batch-size 2 --weights none --run-dir new --steps 1"
)
RECORDS = "little_pets-train"


def of_tfds(wrong, changes, *names):
    return Attack(wrong, TFDS, names or ("little_pets",), changes)


def every_row(change):
    """Change the file of rows, whatever TFDS calls it."""

    def do(path):
        (file,) = path.glob(f"{RECORDS}*")
        file.write_bytes(change(file.read_bytes()))

    return Change(PETS, do)


def without_rows():
    return Change(PETS, lambda p: [f.unlink() for f in p.glob(f"{RECORDS}*")])


def interrupted(words, seconds):
    """Return a call of a command that somebody stops."""

    def call():
        import shlex

        from dla_keras.commands.main import main as command

        def stop():
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=stop, daemon=True).start()
        raise SystemExit(command(shlex.split(words)))

    return call


def held(words):
    """Return a call of a command in a folder that another process is in.

    That process begins the same run, and is stopped where it takes a step.
    """

    def call():
        import shlex

        from dla_keras.commands.main import main as command

        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                null = os.open("first.log", os.O_WRONLY | os.O_CREAT)
                os.dup2(null, 1)
                os.dup2(null, 2)
                command(shlex.split(words))
            os._exit(0)
        try:
            for _ in range(600):
                time.sleep(0.1)
                if os.path.exists("new/config.json"):
                    break
            os.kill(child, signal.SIGSTOP)
            raise SystemExit(command(shlex.split(words)))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    return call


# fmt: off
ATTACKS = [
    # --- TFDS ---
    Attack("data of TFDS that is whole", TFDS, (), (), there("new/model.keras"), "tfds"),
    of_tfds("facts of TFDS that are no JSON", text(f"{PETS}/dataset_info.json", "{")),
    of_tfds("facts of TFDS that are a list", text(f"{PETS}/dataset_info.json", "[]")),
    of_tfds("facts of TFDS of zeros", raw(f"{PETS}/dataset_info.json", bytes(99))),
    of_tfds("facts of TFDS without splits", said(f"{PETS}/dataset_info.json", splits=[])),
    of_tfds("splits of TFDS without lengths", said(f"{PETS}/dataset_info.json", splits=[{"name": "train"}])),
    of_tfds("no features of TFDS", gone(f"{PETS}/features.json")),
    of_tfds("features of TFDS that are no JSON", text(f"{PETS}/features.json", "image")),
    of_tfds("features of TFDS of nobody", text(f"{PETS}/features.json", {"pythonClassName": "os.system"})),
    Attack("names of classes that are gone", TFDS, (), gone(f"{PETS}/label.labels.txt"), there("new/model.keras")),
    of_tfds("no rows of TFDS", without_rows()),
    of_tfds("rows of TFDS cut off", every_row(lambda d: d[: len(d) // 2])),
    of_tfds("rows of TFDS of zeros", every_row(lambda d: bytes(len(d)))),
    of_tfds("rows of TFDS of no bytes", every_row(lambda d: b"")),
    of_tfds("a version of TFDS that is no number", moved(PETS, "first")),
    Attack("a dataset that TFDS lacks", TFDS.replace("little_pets", "little_cats"), "little_cats", given="tfds"),
    Attack("a split that TFDS lacks", "evaluate --model crun/model.keras --dataset little_pets --data-dir tfds --split holdout", "holdout"),
    Attack("data of TFDS in a file", TFDS.replace("tfds", "tfds/little_pets/x"), "tfds/little_pets/x", text("tfds/little_pets/x", "x")),
    # --- Places ---
    Attack("a run in /proc", f"{SEG} --run-dir /proc/dla", "/proc/dla"),
    Attack("a run below a process", f"{CLS} --run-dir /proc/self/fd/run", "/proc/self/fd/run"),
    Attack("results in /proc", f"{PREDICT} /proc/dla --model mask.tflite", "/proc/dla"),
    Attack("a file in /proc", f"{EXPORT} --output /proc/dla/x.tflite", "/proc/dla"),
    Attack("a SavedModel in /proc", "export-saved-model --model run/model.keras --dataset seg --output /proc/dla", "/proc/dla"),
    Attack("a page in /proc", "check seg --output /proc/dla/x.html", "/proc/dla"),
    Attack("times in /proc", "benchmark --model mask.tflite --runs 1 --output /proc/dla/t.csv", "/proc/dla"),
    Attack("scores in /proc", "evaluate --model mask.tflite --dataset seg --json /proc/dla.json", "/proc/dla.json"),
    Attack("methods in /proc", "quantize --model run/model.keras --dataset seg --steps 1 --output /proc/dla", "/proc/dla"),
    Attack("a run in a pipe", f"{SEG} --run-dir new", "new", pipe("new")),
    Attack("a run on a full disk", f"{SEG} --run-dir new", "File too large", largest=30_000),
    # --- Signals and two at once ---
    Attack("a training that is stopped at once", interrupted(f"{SEG} --run-dir new", 0.2), "SIGINT", given="seg"),
    Attack("a prediction that is stopped", interrupted(f"{PREDICT} out --model run/model.keras", 0.4), "SIGINT", given="photos run"),
    Attack("an export that is stopped", interrupted(f"{EXPORT} --output x.tflite", 1.5), "SIGINT", given="seg run"),
    Attack("a run that another process is in", held(f"{SEG} --run-dir new"), "new", given="seg"),
]
