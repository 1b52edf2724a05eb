"""Weight files of PyTorch, Keras and others that are none."""

import json

import numpy as np
from attack import Attack
from attack_changes import changed
from attack_changes import cut
from attack_changes import doubled
from attack_changes import first_dataset
from attack_changes import flipped
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import moved
from attack_changes import pipe
from attack_changes import raw
from attack_changes import sparse
from attack_changes import tensors
from attack_changes import text
from attack_changes import weights

AREA = "weight files (.safetensors, .pth, .h5, .zip)"

FILE, OF_KERAS = "w.safetensors", "w.weights.h5"
TRAIN = (
    "train-seg --dataset seg --variant dla_tiny --size 64x64 --batch-size 2 "
    "--run-dir new --steps 1 --weights"
)


def network(**options):
    import dla_keras

    return dla_keras.DLASegmenter("dla_tiny", 3, **options)


def load(path, **options):
    """Return a call that loads weights, and checks that they came whole."""

    def call():
        import dla_keras

        model = network(**options)
        before = model.get_weights()
        try:
            dla_keras.load_pretrained(model, path)
        except Exception:
            for one, other in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)
            raise
        whole = dla_keras.load("run/model.keras").file.model
        for one, other in zip(
            whole.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)

    return call


def loaded(path, **options):
    def call():
        import dla_keras

        model = network(**options)
        dla_keras.load_torch_weights(model, path)

    return call


LOAD, LOAD_H5 = load(FILE), load(OF_KERAS)


def bad(wrong, changes, *names, call=LOAD):
    return Attack(wrong, call, names or (FILE,), changes, given=f"{FILE} run")


def bad_h5(wrong, changes, *names):
    given = f"{OF_KERAS} run"
    return Attack(wrong, LOAD_H5, names or (OF_KERAS,), changes, given=given)


def whole(wrong, changes, call=LOAD):
    right = lambda outcome: None
    return Attack(wrong, call, (), changes, right, given=f"{FILE} run")


def one(header):
    """Return the name of a kernel."""
    return next(n for n, e in header.items() if len(e.get("shape", ())) == 4)


def entry(**values):
    """Return a change of what a header says of one array."""

    def change(header, body):
        header[one(header)].update(values)

    return tensors(FILE, change)


def filled(value, ending="running_mean"):
    """Return a change of the first number of an array."""

    def change(header, body):
        name = next(n for n in header if n.endswith(ending))
        start = header[name]["data_offsets"][0]
        body[start : start + 4] = np.float32(value).tobytes()

    return tensors(FILE, change)


def header_of(content):
    return tensors(FILE, lambda header, body: (content, body))


def renamed(change):
    def rename(header, body):
        return {
            n if n == "__metadata__" else change(n): e
            for n, e in header.items()
        }, body

    return tensors(FILE, rename)


def converted(code, kind):
    """Return a change of all numbers to another kind."""

    def change(header, body):
        made, new = {}, b""
        for name, row in header.items():
            if name == "__metadata__":
                continue
            start, end = row["data_offsets"]
            values = np.frombuffer(bytes(body[start:end]), "<f4")
            data = values.astype(kind).tobytes()
            place = [len(new), len(new) + len(data)]
            made[name] = {**row, "dtype": code, "data_offsets": place}
            new += data
        return made, new

    return tensors(FILE, change)


def fill(value, ending="vars/0"):
    def change(file):
        file[first_dataset(file, ending)][...] = value

    return weights(OF_KERAS, change)


def of_words(file):
    name = first_dataset(file)
    del file[name]
    file[name] = "one, two"


def emptied(file):
    for name in list(file):
        del file[name]


def smaller(file):
    name = first_dataset(file)
    values = file[name][()]
    del file[name]
    file[name] = values[..., 1:]


def elsewhere(file):
    import h5py

    name = first_dataset(file)
    del file[name]
    file[name] = h5py.ExternalLink("run/other.h5", "/x")


def in_a_circle(file):
    import h5py

    name = first_dataset(file)
    del file[name]
    file[name] = h5py.SoftLink(f"/{name}")


# fmt: off
ATTACKS = [
    bad("weights of no bytes", raw(FILE, b"")),
    bad("weights of seven bytes", raw(FILE, b"\1\0\0\0\0\0\0")),
    bad("weights that are a text", text(FILE, "weights: heavy")),
    bad("weights cut off", cut(FILE, 0.7)),
    bad("weights without their last byte", changed(FILE, lambda d: d[:-1])),
    bad("weights with a byte more", changed(FILE, lambda d: d + b"\0")),
    bad("weights of 12 GB", sparse(FILE, 12 << 30)),
    bad("weights are a pipe", pipe(FILE)),
    bad("weights without end", link(FILE, "/dev/zero")),
    bad("weights are a link to themselves", link(FILE, FILE)),
    bad("weights are a folder", (gone(FILE), folder(FILE))),
    bad("a header of 2**60 bytes", changed(FILE, lambda d: (1 << 60).to_bytes(8, "little") + d[8:])),
    bad("a header of 3 GB", changed(FILE, lambda d: (3 << 30).to_bytes(8, "little") + d[8:])),
    bad("a header that is a list", header_of(b"[]")),
    bad("a header that is no JSON", header_of(b"{'a': 1}")),
    bad("a header of lists in lists", header_of(b"[" * 30_000)),
    bad("a header of nothing", header_of(b"{}")),
    bad("a header with a name twice", tensors(FILE, lambda h, b: (json.dumps(h)[:-1].encode() + b", " + json.dumps({one(h): h[one(h)]})[1:].encode(), b))),
    bad("an array of quarter bytes", entry(dtype="F2")),
    bad("an array of floats of 8 bits", entry(dtype="F8_E5M2")),
    bad("an array without a shape", entry(shape=None)),
    bad("an array below zero", entry(shape=[-1, 3, 3, 3])),
    bad("an array beyond the end", entry(data_offsets=[0, 1 << 40])),
    bad("an array from its end to its start", entry(data_offsets=[400, 0])),
    bad("an array of another shape", entry(shape=[1, 1])),
    bad("an array turned", tensors(FILE, lambda h, b: h[one(h)].update(shape=h[one(h)]["shape"][::-1]))),
    bad("a number that is none", filled(np.nan)),
    bad("a number without bound", filled(-np.inf)),
    bad("a variance below zero", filled(-0.5, "running_var")),
    bad("an array less", tensors(FILE, lambda h, b: (h.pop(one(h)), None)[1])),
    bad("names of another network", renamed(lambda n: f"resnet.{n}.x")),
    bad("names with points less", renamed(lambda n: n.replace(".", "_"))),
    bad("weights of whole numbers", converted("I32", "<i4")),
    bad("weights of truth", converted("BOOL", "?")),
    whole("weights of double numbers", converted("F64", "<f8")),
    whole("names behind two wrappers", renamed(lambda n: f"module.model.{n}")),
    whole("names behind a word of one's own", renamed(lambda n: f"student.{n}")),
    Attack("weights of another stride", loaded(FILE, head_stride=8), FILE, given=FILE),
    Attack("weights of another upsampling", loaded(FILE, upsampling="learned"), FILE, given=FILE),
    Attack("weights of another node", loaded(FILE, node="separable"), FILE, given=FILE),
    Attack("weights in a pickle", load("w.pth"), ("w.pth", "torch"), raw("w.pth", b"\x80\x02}q\0.")),
    Attack("weights in a zip of PyTorch", load("w.pt"), ("w.pt", "torch"), raw("w.pt", b"PK\3\4")),
    Attack("weights of NumPy", load("w.npz"), "w.npz", raw("w.npz", b"PK\3\4")),
    Attack("weights of TensorFlow 1", load("w.ckpt"), "w.ckpt", raw("w.ckpt", b"\0")),
    Attack("weights of tf2cv that are a text", load("w.tf2.h5"), "w.tf2.h5", text("w.tf2.h5", "no")),
    Attack("weights of tf2cv in a zip of nothing", load("w.tf2.h5.zip"), "w.tf2.h5.zip", raw("w.tf2.h5.zip", b"PK\5\6" + bytes(18))),
    Attack("a rounded file as weights", load("mask.tflite"), "mask.tflite", given="mask.tflite"),
    Attack("an empty name of weights", load(""), "name of a preset"),
    Attack("a number as weights", load(34), "34"),
    Attack("weights of a preset of nobody", load("dla34_imagenette"), ("dla34_imagenette", "dla_tiny")),
    Attack("weights that Keras calls otherwise", load("w.h5"), "w.h5", moved(OF_KERAS, "w.h5")),
    bad_h5("Keras' weights of no bytes", raw(OF_KERAS, b"")),
    bad_h5("Keras' weights that are a text", text(OF_KERAS, "weights")),
    bad_h5("Keras' weights cut off", cut(OF_KERAS, 0.6)),
    bad_h5("a wrong bit in the frame of HDF5", flipped(OF_KERAS, 0.0001)),
    bad_h5("Keras' weights are a pipe", pipe(OF_KERAS)),
    bad_h5("Keras' weights of words", weights(OF_KERAS, of_words)),
    bad_h5("Keras' weights of nothing", weights(OF_KERAS, emptied)),
    bad_h5("Keras' weights with a smaller kernel", weights(OF_KERAS, smaller)),
    bad_h5("Keras' weights that lie elsewhere", weights(OF_KERAS, elsewhere)),
    bad_h5("Keras' weights in a circle", weights(OF_KERAS, in_a_circle)),
    bad_h5("Keras' weights that are not finite", fill(np.nan)),
    bad_h5("Keras' variances below zero", fill(-2.0, "vars/3")),
    Attack("a classifier's run to train from, damaged", f"{TRAIN} crun", "crun/model.keras", cut("crun/model.keras", 0.5), given="seg"),
    Attack("weights to train from, damaged", f"{TRAIN} {FILE}", FILE, filled(np.nan), given="seg"),
    Attack("weights of a wider network to train from", f"{TRAIN} {FILE} --variant dla46_c", FILE),
    Attack("a run of two folders to train from", f"{TRAIN} both", "both", (doubled("run", "both/run"),)),
]
