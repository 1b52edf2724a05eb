"""`.tflite` files that are damaged, or whose facts are none."""

import numpy as np
from attack import Attack
from attack_changes import changed
from attack_changes import cut
from attack_changes import doubled
from attack_changes import facts
from attack_changes import flipped
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import rebuilt
from attack_changes import same_picture
from attack_changes import sparse
from attack_changes import text
from attack_ground import PREDICT

AREA = "`.tflite` (structure, facts)"

FILE, WHOLE = "int8.tflite", "mask.tflite"
OF_INT8 = f"{PREDICT} out --model {FILE}"
OF_MASK = f"{PREDICT} out --model {WHOLE}"
OF_CLASS = f"{PREDICT} out --model class.tflite"
SCORE = f"evaluate --model {WHOLE} --dataset seg"
TIME = f"benchmark --model {WHOLE} --runs 1 --seconds 1 --output t.csv"
RIGHT = same_picture("out/masks/p6.png", "expected/mask/masks/p6.png")


def bad(wrong, changes, *names, call=OF_INT8):
    file = next(n for n in (FILE, WHOLE, "class.tflite") if n in call)
    return Attack(wrong, call, names or (file,), changes)


def told(wrong, change, call=OF_MASK):
    """Return a file whose facts are changed by a function of them."""
    file = next(n for n in (WHOLE, "class.tflite") if n in call)
    return Attack(wrong, call, (file,), facts(file, change))


def put(key, value):
    return lambda found: {**found, key: value}


def without(key):
    return lambda found: {k: v for k, v in found.items() if k != key}


def first_class(**values):
    def change(found):
        found["classes"][0].update(values)

    return change


def graph(file):
    return file._model.subgraphs[0]


def structure(wrong, change):
    """Return a file of valid tables with a change of its objects."""
    return bad(wrong, rebuilt(WHOLE, change), call=OF_MASK)


def foreign(file):
    """Take away what a file says of itself."""
    file._model.metadata = []
    file.labels = None


def with_scale(value):
    def change(file):
        foreign(file)
        tensor = next(
            t
            for t in graph(file).tensors
            if t.quantization is not None and t.quantization.scale is not None
        )
        tensor.quantization.scale = np.full_like(
            tensor.quantization.scale, value
        )

    return change


def last_operation(**values):
    def change(file):
        foreign(file)
        for name, value in values.items():
            setattr(graph(file).operators[-1], name, value)

    return change


# fmt: off
ATTACKS = [
    bad("a file of no bytes", raw(FILE, b"")),
    bad("a file of eight bytes", raw(FILE, b"\x1c\0\0\0TFL3")),
    bad("a file that is a text", text(FILE, "TFL3 is what it is")),
    bad("a third of a file", cut(FILE, 0.33)),
    bad("a file without its last bytes", cut(FILE, 0.9999)),
    bad("a wrong bit in the first tables", flipped(FILE, 0.002)),
    bad("a wrong bit in a weight", flipped(FILE, 0.3)),
    bad("a wrong bit in the middle", flipped(FILE, 0.5)),
    bad("a wrong bit near the end", flipped(FILE, 0.97)),
    bad("a file twice", changed(FILE, lambda d: d + d)),
    bad("a file with more behind it", changed(FILE, lambda d: d + bytes(64))),
    bad("a file without its first byte", changed(FILE, lambda d: d[1:])),
    bad("a file as text of Windows", changed(FILE, lambda d: d.replace(b"\n", b"\r\n") + b"\r\n")),
    bad("a file of another format", changed(FILE, lambda d: d[:4] + b"TFL2" + d[8:])),
    bad("a root beyond the end", changed(FILE, lambda d: b"\xff" * 4 + d[4:])),
    bad("a file of 12 GB", sparse(FILE, 12 << 30)),
    bad("a file is a pipe", pipe(FILE)),
    bad("a file without end", link(FILE, "/dev/zero")),
    bad("a file is a link to itself", link(FILE, FILE)),
    bad("a file is a folder", (gone(FILE), folder(FILE))),
    bad("a picture as file", (gone(FILE), doubled("photos/p6.png", "../int8.tflite"))),
    bad("a page of a download", text(FILE, "<!DOCTYPE html><title>404</title>"), call=OF_INT8.replace("predict", "predict --task segmentation")),
    bad("a damaged file in a table", flipped(WHOLE, 0.4), call=SCORE),
    bad("a damaged file to be timed", flipped(WHOLE, 0.6), call=TIME),
    # --- Facts ---
    told("facts of tomorrow", put("format", 2)),
    told("facts of no format", without("format")),
    told("facts without classes", without("classes")),
    told("facts without an input", without("input")),
    told("facts that are a list", lambda found: [found["format"]]),
    told("facts that are no JSON", lambda found: b'{"format":1,"classes":'),
    told("facts of lists in lists", lambda found: b'{"format":1,"x":' + b"[" * 400),
    told("classes that are a number", put("classes", 3)),
    told("classes that are names", put("classes", ["a", "b", "c"])),
    told("classes that are null", put("classes", None)),
    told("no class", put("classes", [])),
    told("a class less", lambda f: {**f, "classes": f["classes"][:2]}),
    told("a class that is null", lambda f: {**f, "classes": [None] * 3}),
    told("a name that is a number", first_class(name=7)),
    told("a name that is a list", first_class(name=["r"])),
    told("a name of another class", first_class(name="sky")),
    told("a color of two", first_class(color=[1, 2])),
    told("a color of words", first_class(color="red")),
    told("a color above a byte", first_class(color=[300, 0, 0])),
    told("a color of halves", first_class(color=[0.5, 0, 0])),
    told("a color of one class alone", lambda f: f["classes"][0].pop("color")),
    told("an input that is a list", put("input", [1, 64, 64, 3])),
    told("an input that is null", put("input", None)),
    told("outputs that are a text", put("outputs", "mask")),
    told("facts that are a list, to be scored", put("classes", {}), SCORE),
    told("outputs that are numbers", put("outputs", [1, 2]), TIME),
    told("a crop of words", lambda f: {**f, "input": {"size": "x"}}, OF_CLASS),
    told("a crop of nothing", lambda f: {**f, "input": {**f["input"], "crop_fraction": 0}}, OF_CLASS),
    told("a rule of fitting of nobody", lambda f: {**f, "input": {**f["input"], "fit": "zoom"}}),
    bad("facts changed by hand", facts(WHOLE, first_class(name="rood"), seal=False), call=OF_MASK),
    # --- Tables ---
    structure("an operation of no code", last_operation(opcodeIndex=2**31)),
    structure("an operation of no tensor", last_operation(inputs=[2**30])),
    structure("an operation that writes its input", last_operation(outputs=[-7])),
    structure("an operation without inputs", last_operation(inputs=[])),
    structure("a scale of nothing", with_scale(0.0)),
    structure("a scale without bound", with_scale(np.inf)),
    structure("a scale below zero", with_scale(-0.1)),
    structure("no operation", lambda f: (foreign(f), setattr(graph(f), "operators", []))),
    structure("no output", lambda f: (foreign(f), setattr(graph(f), "outputs", []), setattr(f._model, "signatureDefs", []))),
    structure("no graph", lambda f: (foreign(f), setattr(f._model, "subgraphs", []))),
    structure(
        "a picture of 2**31 rows",
        lambda f: (
            foreign(f),
            setattr(
                graph(f).tensors[graph(f).inputs[0]],
                "shape",
                np.array([1, 2**31 - 1, 64, 3], np.int32),
            ),
        ),
    ),
    structure(
        "a picture of one channel",
        lambda f: (
            foreign(f),
            setattr(
                graph(f).tensors[graph(f).inputs[0]],
                "shape",
                np.array([1, 64, 64, 1], np.int32),
            ),
        ),
    ),
    Attack("a whole file that says nothing of itself", OF_MASK, (), rebuilt(WHOLE, foreign), RIGHT, given="expected"),
    Attack(
        "a whole file under a strange name",
        f"{PREDICT} out --model 'a #1 & 50%.tflite'",
        (),
        doubled(WHOLE, "a #1 & 50%.tflite"),
        RIGHT,
        given="expected",
    ),
    Attack("flags that the file cannot follow", f"{OF_MASK} --resize 96x96", ("--resize", WHOLE)),
    Attack("a task that the file has not", f"{OF_MASK} --task boundary", "--task"),
    Attack(
        "an export compared with a damaged one",
        "export-tflite --model run/model.keras --dataset seg --precision all "
        "--output all --compare int8.tflite",
        "int8.tflite",
        flipped(FILE, 0.4),
    ),
    Attack("a whole file to be timed", TIME, (), (), printed("t.csv")),
]
