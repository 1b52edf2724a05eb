"""Model files of Keras and TensorFlow that are damaged, foreign or hostile."""

import io
import zipfile

import numpy as np
from attack import Attack
from attack_changes import changed
from attack_changes import configured
from attack_changes import cut
from attack_changes import doubled
from attack_changes import first_dataset
from attack_changes import flipped
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import members
from attack_changes import moved
from attack_changes import pipe
from attack_changes import raw
from attack_changes import said
from attack_changes import same_picture
from attack_changes import sparse
from attack_changes import text
from attack_changes import trained
from attack_ground import PREDICT

AREA = "`.keras`, SavedModel"

MODEL, GRAPH = "run/model.keras", "saved/saved_model.pb"
KERAS = f"{PREDICT} out --model {MODEL}"
SAVED = f"{PREDICT} out --model saved"
SCORE = f"evaluate --model {MODEL} --dataset seg"
RIGHT = same_picture("out/masks/p6.png", "expected/model/masks/p6.png")
VALUES = "saved/variables/variables.data-00000-of-00001"
FACTS = "saved/assets.extra/dla_keras.json"


def keras(wrong, changes, *names, call=KERAS):
    return Attack(wrong, call, names or ("model.keras",), changes)


def saved(wrong, changes, *names):
    return Attack(wrong, SAVED, names or ("saved",), changes)


def fill(value, ending="vars/0"):
    """Return a change of the first array whose name ends so."""

    def change(file):
        file[first_dataset(file, ending)][...] = value

    return change


def cropped(file):
    name = first_dataset(file)
    values = file[name][()]
    del file[name]
    file[name] = values[..., :-1]


def encrypted(data):
    """Set the bit of a zip's entries that says they are encrypted."""
    data = bytearray(data)
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = data.find(mark)
        while start >= 0:
            data[start + place] |= 1
            start = data.find(mark, start + 4)
    return bytes(data)


def bomb(data):
    """Return a zip whose configuration unpacks to 12 GB of blanks."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name != "config.json":
                new.writestr(name, old.read(name))
        with new.open("config.json", "w", force_zip64=True) as file:
            for _ in range(12 * 16):
                file.write(b" " * (1 << 26))
    return buffer.getvalue()


def config(**values):
    return configured(MODEL, lambda c: c["config"].update(values))


def renamed_class(module, name):
    return configured(
        MODEL,
        lambda c: c.update(
            module=module, class_name=name, registered_name=None
        ),
    )


def operation(old, new):
    """Return a change of a graph: an operation of the same length."""
    assert len(old) == len(new)
    return changed(GRAPH, lambda data: data.replace(old, new))


# fmt: off
ATTACKS = [
    keras("a model of no bytes", raw(MODEL, b"")),
    keras("a model that is a letter", text(MODEL, "Dear Sir or Madam")),
    keras("a model cut off", cut(MODEL, 0.9)),
    keras("a model without its end", cut(MODEL, 0.999)),
    keras("a wrong bit in the weights", flipped(MODEL, 0.5)),
    keras("a wrong bit in the index", flipped(MODEL, 0.9995)),
    keras("a model of 12 GB", sparse(MODEL, 12 << 30)),
    keras("a model is a pipe", pipe(MODEL)),
    keras("a model without end", link(MODEL, "/dev/zero")),
    keras("a model is a link to itself", link(MODEL, "model.keras")),
    keras("a model is a folder", (gone(MODEL), folder(MODEL))),
    keras("a zip of nothing", raw(MODEL, b"PK\5\6" + bytes(18))),
    keras("an encrypted model", changed(MODEL, encrypted)),
    keras("a configuration of 12 GB", changed(MODEL, bomb)),
    keras("no configuration", members(MODEL, lambda m: m.pop("config.json"))),
    keras("no weights", members(MODEL, lambda m: m.pop("model.weights.h5"))),
    keras("weights that are a text", members(MODEL, lambda m: m.update({"model.weights.h5": b"none"}))),
    keras("a configuration that is a list", members(MODEL, lambda m: m.update({"config.json": b"[]"}))),
    keras("a configuration in lists", members(MODEL, lambda m: m.update({"config.json": b"[" * 50_000}))),
    keras("a class that runs programs", renamed_class("os", "system")),
    keras("a class of subprocess", renamed_class("subprocess", "Popen")),
    keras("a model of another house", renamed_class("keras", "Sequential")),
    keras("an unknown variant", config(variant="dla35")),
    keras("a variant that is a list", config(variant=["dla_tiny"])),
    keras("more classes than weights", config(num_classes=4)),
    keras("a class alone", config(num_classes=1, class_names=["road"])),
    keras("names as one text", config(class_names="abc")),
    keras("two names of three", config(class_names=["road", "car"])),
    keras("a name twice", config(class_names=["road", "car", "car"])),
    keras("a color of four", config(palette=[[1, 2, 3, 4]] * 3)),
    keras("a color below zero", config(palette=[[-1, 0, 0]] * 3)),
    keras("a working size of words", config(working_size="large")),
    keras("a picture of one channel", config(input_shape=[None, None, 1])),
    keras("no deviation of pixels", config(std=[0, 0, 0])),
    keras("numbers of no format", config(dtype="float7")),
    keras("an argument of tomorrow", config(attention=True)),
    keras("weights that are not finite", trained(MODEL, fill(np.nan))),
    keras("weights without bound", trained(MODEL, fill(np.inf)), call=SCORE),
    keras("a kernel too small", trained(MODEL, cropped)),
    keras("variances below zero", trained(MODEL, fill(-1.0, "vars/3")), call=SCORE),
    keras("a .tflite in the name of a model", (gone(MODEL), doubled("mask.tflite", "run/model.keras"))),
    Attack("another suffix", f"{PREDICT} out --model run/model.h5", "model.h5", moved(MODEL, "model.h5")),
    Attack("no model", f"{PREDICT} out --model run/modle.keras", "modle.keras", given="run"),
    Attack("a run as model", f"{PREDICT} out --model run", "run/model.keras"),
    Attack("data as model", f"{PREDICT} out --model seg", "seg"),
    Attack("a run's config that is a list", f"{PREDICT} out --model crun/model.keras", "crun/config.json", text("crun/config.json", "[1, 2]")),
    Attack("a crop of words beside a model", f"{PREDICT} out --model crun/model.keras", "crun/config.json", said("crun/config.json", size="large")),
    Attack(
        "a share of two crops beside a model",
        f"{PREDICT} out --model crun/model.keras",
        "crun/config.json",
        said("crun/config.json", crop_fraction="2"),
    ),
    Attack(
        "a whole model under another name",
        f"{PREDICT} out --model 'my model, #7.keras'",
        (),
        doubled(MODEL, "../my model, #7.keras"),
        RIGHT,
        given="expected",
    ),
    # --- SavedModel ---
    saved("an empty folder as model", (gone("saved"), folder("saved"))),
    saved("a graph of no bytes", raw(GRAPH, b"")),
    saved("a graph cut off", cut(GRAPH, 0.7)),
    saved("a graph that is a text", text(GRAPH, "node { name: 'x' }")),
    saved("a graph of 12 GB", sparse(GRAPH, 12 << 30)),
    saved("a graph is a pipe", pipe(GRAPH)),
    saved("no variables", gone("saved/variables")),
    saved("variables cut off", cut(VALUES, 0.5)),
    saved("a wrong bit in the variables", flipped(VALUES, 0.5)),
    saved("an index cut off", cut("saved/variables/variables.index", 0.5)),
    saved("a graph that writes files", operation(b"\x05Shape", b"\x05Save2")),
    saved("a graph that calls Python", operation(b"\x04Relu", b"\x04PyFu")),
    saved("facts that are no JSON", text(FACTS, "names: road")),
    saved("facts that are a list", text(FACTS, "[]")),
    saved("names that are a number", said(FACTS, names=3)),
    saved("names as one text in facts", said(FACTS, names="abc")),
    saved("one name of three in facts", said(FACTS, names=["road"])),
    saved("a color in words in facts", said(FACTS, palette=["red"] * 3)),
    saved("a rule of fitting that is none", said(FACTS, input={"fit": 7})),
    saved("a color too few in facts", said(FACTS, palette=[[0, 0, 0]])),
    Attack("a SavedModel in the name of a .tflite", f"{PREDICT} out --model saved.tflite", "saved.tflite", moved("saved", "saved.tflite")),
    Attack("a SavedModel without facts", SAVED, (), gone(FACTS), same_picture("out/masks/p6.png", "expected/saved/masks/p6.png"), given="expected"),
    Attack(
        "a SavedModel without its fingerprint",
        SAVED,
        (),
        gone("saved/fingerprint.pb"),
        same_picture("out/masks/p6.png", "expected/saved/masks/p6.png"),
        given="expected",
    ),
]
