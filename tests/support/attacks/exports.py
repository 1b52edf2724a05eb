"""Exports, benchmark, quantize, check and the demo, told what cannot be."""

import numpy as np
from attack import Attack
from attack_changes import cut
from attack_changes import doubled
from attack_changes import first_dataset
from attack_changes import folder
from attack_changes import gone
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import said
from attack_changes import sparse
from attack_changes import text
from attack_changes import there
from attack_changes import trained
from attack_ground import EXPORT
from odd_pictures import png

AREA = "exports, benchmark, quantise, check, demo"

TO = f"{EXPORT} --output x.tflite"
SAVED = "export-saved-model --model run/model.keras --dataset seg --output"
TIME = "benchmark --model mask.tflite --runs 1 --seconds 1 --output"
SMALLER = "quantize --model run/model.keras --dataset seg --steps 1 --output q"
CONFIG = "run/config.json"


def bad(wrong, call, changes, *names, given=""):
    return Attack(wrong, call, names, changes, given=given)


def flag(words, *names, call=TO):
    command = call.split()[0]
    return Attack(
        f"{words} of {command}", f"{call} {words}", names or words.split()[0]
    )


def beside(wrong, call=SMALLER, names=(CONFIG,), **values):
    """Return a run whose config says what cannot be."""
    call = call.replace(" --dataset seg", "")
    return Attack(wrong, call, names, said(CONFIG, **values), given="seg")


def fill(value):
    def change(file):
        file[first_dataset(file)][...] = value

    return trained("run/model.keras", change)


# fmt: off
ATTACKS = [
    # --- export-tflite ---
    *(
        flag(words)
        for words in (
            "--precision int4",
            "--head both",
            "--size 64",
            "--size 0x0",
            "--min-agreement 1.01",
            "--min-agreement 99%",
            "--min-agreement nan",
            "--threads -1",
            "--for tensorflow",
            "--tuned-for riscv",
            "--verification-pictures 0",
            "--calibration-pictures none",
            "--max-loss -1 --precision int8",
            "--max-side 20",
            "--resize 63x64",
            "--eval-pictures 0",
        )
    ),
    flag("--size 32768x32768", "--size", "memory"),
    flag("--size 48x64", "size", "32"),
    flag("--keep-float fc", "--keep-float"),
    flag("--layer-errors --precision float16", "--layer-errors"),
    flag("--max-loss 1 --keep-float fc --precision int8", "--keep-float"),
    flag("--precision int8 --keep-float no_such_layer", "no_such_layer"),
    flag("--compare mask.tflite", "--compare"),
    flag("--for mediapipe --head mask", "--head"),
    bad("a file over its model", f"{EXPORT} --output run/model.keras", (), "run/model.keras"),
    bad("a file over a list", f"{EXPORT} --output run/steps.csv", (), "run/steps.csv"),
    bad("a file over a folder", f"{EXPORT} --output x.tflite", folder("x.tflite"), "x.tflite"),
    bad("a file over a picture of its name", TO, raw("x.tflite", b"\x89PNG\r\n\x1a\n mine"), "x.tflite"),
    bad("a file over a pipe", TO, pipe("x.tflite"), "x.tflite"),
    bad("a file below a file", f"{EXPORT} --output run/model.keras/x.tflite", (), "run/model.keras"),
    bad("all files in a file", f"{EXPORT} --precision all --output run/model.keras", (), "--output"),
    bad("a model that is exported already", "export-tflite --dataset seg --output x.tflite --model mask.tflite", (), "mask.tflite"),
    bad("a model that is a SavedModel", "export-tflite --dataset seg --output x.tflite --model saved", (), "saved"),
    bad("a damaged model to export", TO, cut("run/model.keras", 0.6), "run/model.keras"),
    bad("a model to export that is not finite", TO, fill(np.nan), "run/model.keras"),
    bad("a model that sees nothing in any picture", TO, fill(0.0), "everywhere"),
    bad("a classifier of a working size", "export-tflite --model crun/model.keras --dataset classes --output x.tflite --max-side 64", (), "--max-side"),
    bad("a classifier without its run", "export-tflite --model crun/model.keras --dataset classes --output x.tflite", gone("crun/config.json"), "--size"),
    bad("a model without its data", "export-tflite --model run/model.keras --output x.tflite", gone(CONFIG), "--dataset"),
    bad("data of other classes to verify on", TO, said("seg/info.json", class_names=["a", "b", "c"], palette=None), "road"),
    bad(
        "data without val to verify on",
        f"{TO} --dataset one",
        (
            doubled("seg/train/images/s1.png", "../../../one/images/s1.png"),
            doubled("seg/train/masks/s1.png", "../../../one/masks/s1.png"),
            text("one/info.json", {"names": ["road", "car", "sky"]}),
        ),
        "one",
    ),
    bad("pictures to calibrate that are broken", f"{TO} --precision int8", cut("seg/train/images/s0.png", 0.5), "s0.png"),
    # --- export-saved-model ---
    bad("a SavedModel over a file", f"{SAVED} run/model.keras", (), "--output"),
    bad("a SavedModel over its run", f"{SAVED} run", (), "run"),
    bad("a SavedModel over pictures", f"{SAVED} photos", (), "photos"),
    bad("a SavedModel over one with notes", f"{SAVED} saved", text("saved/notes.txt", "mine"), "saved"),
    flag("--min-agreement 2", "--min-agreement", call=f"{SAVED} s"),
    flag("--size 64x63", "32", call=f"{SAVED} s"),
    bad("a SavedModel of what is not finite", f"{SAVED} s", fill(np.inf), "run/model.keras"),
    # --- benchmark ---
    *(
        flag(words, call=f"{TIME} t.csv")
        for words in (
            "--threads 0",
            "--runs 0",
            "--seconds 0",
            "--warm-up -1",
            "--picture-size 0x64",
            "--picture-size big",
        )
    ),
    bad("times over another table", f"{TIME} run/steps.csv", (), "run/steps.csv"),
    bad("times over a model", f"{TIME} mask.tflite", (), "mask.tflite"),
    bad("times over zeros", f"{TIME} t.csv", raw("t.csv", bytes(900)), "t.csv"),
    bad("times over another kind", f"{TIME} t.csv", raw("t.csv", b"\xff\xd8\xff\xe0 JFIF \x9d"), "t.csv"),
    bad("times over a folder", f"{TIME} t.csv", folder("t.csv"), "t.csv"),
    bad("times over a pipe", f"{TIME} t.csv", pipe("t.csv"), "t.csv"),
    bad("times over 12 GB", f"{TIME} t.csv", sparse("t.csv", 12 << 30), "t.csv"),
    bad("a broken picture to be timed on", f"{TIME} t.csv --picture photos/p6.png", cut("photos/p6.png", 0.4), "p6.png"),
    bad("a picture of gigapixels to be timed on", f"{TIME} t.csv --picture x.png", raw("x.png", png((99_999, 99_999), 8, 2, b"")), "x.png"),
    bad("a model to be timed that is Keras'", "benchmark --output t.csv --model run/model.keras", (), "run/model.keras"),
    bad("no model to be timed", "benchmark --output t.csv --model mask.tflite none.tflite", (), "none.tflite"),
    # --- quantize ---
    *(
        flag(words, call=SMALLER)
        for words in (
            "--method shrink",
            "--sparsity 1",
            "--sparsity -0.1",
            "--clusters 1",
            "--clusters 300",
            "--batch-size 0",
            "--crop 64",
            "--learning-rate 0",
            "--seed 1.5",
        )
    ),
    flag("--crop 50x64", "32", call=SMALLER),
    flag("--size 50x64", "32", call=SMALLER),
    bad("a classifier to be made smaller", "quantize --model crun/model.keras --dataset classes --output q", (), "crun/model.keras"),
    bad("a detector to be made smaller", "quantize --model erun/model.keras --dataset edges --output q", (), "erun/model.keras"),
    bad("results of methods in a file", SMALLER, raw("q", b"mine"), "q"),
    bad("results of a method over notes", SMALLER, text("q/qat/notes.txt", "mine"), "q/qat"),
    beside("a run of a scale that is a number", scale=2),
    beside("a run of a scale of three", scale=[1, 2, 3]),
    beside("a run of batches in words", batch_size="four"),
    beside("a run of batches of nothing", batch_size=0),
    beside("a run of turns in words", rotation="little"),
    beside("a run of crops that are numbers", size=64),
    beside("a run of crops in words", size="large"),
    beside("a run of a jitter above one", jitter=7),
    beside("a run of weights of classes in words", class_weighting="yes"),
    beside("a run of data that is a list", dataset=["seg"]),
    beside("a run of data that is a number, to export", "export-tflite --model run/model.keras --output x.tflite", dataset=3),
    beside("a run of a folder of data that is a list, to export", "export-tflite --model run/model.keras --output x.tflite", data_dir=[1]),
    # --- check ---
    bad("check of two places", "check seg --dataset lists", (), "seg", "lists", given="seg lists"),
    bad("check of nothing", "check", (), "folder"),
    bad("a page over a model", "check seg --output run/model.keras", (), "--output", given="run"),
    bad("a page over a report", "check seg --output run/report.html", (), "run/report.html"),
    bad("a page over a folder", "check seg --output x.html", folder("x.html"), "x.html"),
    bad("a page over a pipe", "check seg --output x.html", pipe("x.html"), "x.html"),
    bad("a page below a file", "check seg --output seg/info.json/x.html", (), "seg/info.json"),
    bad("a task of nobody", "check seg --task depth", (), "--task"),
    bad("labels as classes", "check seg --task classification", (), "seg"),
    bad("an allowance of nobody", "check seg --allow anything", (), "--allow"),
    bad("class folders with one that is empty", "check classes --output x.html", folder("classes/train/ant"), "classes/train/ant"),
    bad("class folders of one class", "check classes --output x.html", (gone("classes/train/cat"), gone("classes/val/cat")), "classes"),
    bad("class folders with a strange one in val", "check classes --output x.html", doubled("classes/val/cat", "ant"), "ant"),
    Attack("a page in a new folder", "check seg --output new/pages/x.html", (), (), there("new/pages/x.html")),
    # --- demo, and the command itself ---
    bad("the demo in a file", "demo --steps 1 --run-dir seg/info.json", (), "--run-dir"),
    bad("the demo in the data", "demo --steps 1 --run-dir seg", (), "seg"),
    bad("the demo in somebody's run", "demo --steps 1 --run-dir run", (), "run"),
    bad("the demo of no steps", "demo --steps 0", (), "--steps"),
    bad("a command with a slip", "exprot-tflite", (), "export-tflite"),
    bad("a flag with a slip", f"{TO} --precison int8", (), "--precision"),
    bad("a flag without its value", f"{EXPORT} --output", (), "--output"),
    bad("a model without its flag", "export-tflite run/model.keras", (), "--model"),
    Attack("a version with more words", "--version", (), (), printed("dla-keras")),
]
