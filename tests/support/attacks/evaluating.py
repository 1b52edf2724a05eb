"""Scores: other data, maps of boundaries that are none, files to write."""

import numpy as np
from attack import Attack
from attack_changes import array
from attack_changes import changed
from attack_changes import cut
from attack_changes import doubled
from attack_changes import every
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import moved
from attack_changes import picture
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import relabelled
from attack_changes import replaced
from attack_changes import said
from attack_changes import scored
from attack_changes import sparse
from attack_changes import text
from attack_ground import scene

AREA = "evaluate, boundary maps"

SCORE = "evaluate --model run/model.keras --dataset seg"
MAPS = (
    "evaluate --task boundary --predictions maps --ground-truth truth "
    "--thresholds 5 --processes 1 --json s.json"
)
MAP, TRUTH = "maps/s6.png", "truth/s6.png"
EDGES = np.zeros((64, 64), bool)
EDGES[30], EDGES[:, 30] = True, True


def bad(wrong, call, changes, *names):
    return Attack(wrong, call, names, changes)


def of_maps(wrong, changes, *names, call=MAPS):
    return Attack(wrong, call, names or ("s6",), changes)


def a_map(wrong, values, *names):
    """Return a map of an array in the place of a picture."""
    changes = (gone(MAP), array("maps/s6.npy", values))
    return of_maps(wrong, changes, *(names or ("s6.npy",)))


def a_truth(wrong, values, *names):
    changes = (gone(TRUTH), array("truth/s6.npy", values))
    return of_maps(wrong, changes, *(names or ("s6.npy",)))


def mat(path, **values):
    import io

    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, values)
    return raw(path, buffer.getvalue())


def a_mat(wrong, **values):
    return of_maps(
        wrong, (gone(TRUTH), mat("truth/s6.mat", **values)), "s6.mat"
    )


# fmt: off
ATTACKS = [
    # --- Models and data that do not fit ---
    bad("classes of another name", SCORE, replaced("seg/info.json", '"sky"', '"air"'), "air", "sky"),
    bad("a class more", SCORE, said("seg/info.json", class_names=["road", "car", "sky", "bus"], palette=None), "bus"),
    bad("a class less than the model's", SCORE, said("seg/info.json", class_names=["road", "sky"], palette=None), "car"),
    bad("no such split", f"{SCORE} --split holdout", (), "holdout"),
    bad("a split with a path", f"{SCORE} --split ../train", (), "../train"),
    bad("no such data", "evaluate --model run/model.keras --dataset no/where", (), "no/where"),
    bad("data that the run does not name", "evaluate --model run/model.keras", said("run/config.json", dataset=None), "run/config.json"),
    bad("data that the run names by a number", "evaluate --model run/model.keras", said("run/config.json", dataset=5), "run/config.json"),
    bad("a run without words", "evaluate --model run/model.keras", raw("run/config.json", bytes(80)), "run/config.json"),
    bad("a picture to score is gone", "evaluate --model run/model.keras --dataset lists", gone("lists/image_7.png"), "image_7.png"),
    bad("a picture to score is broken", SCORE, cut("seg/val/images/s7.png", 0.5), "s7.png"),
    bad("a label to score is broken", SCORE, cut("seg/val/masks/s6.png", 0.5), "s6.png"),
    bad("a label to score has a strange id", SCORE, relabelled("seg/val/masks/s6.png", lambda x: x + 5), "s6.png"),
    bad("pictures of a classifier for a segmenter", "evaluate --model run/model.keras --dataset classes", (), "classes"),
    bad("a task that the model has not", f"{SCORE} --task boundary", (), "--task"),
    bad("thresholds of a segmenter", f"{SCORE} --thresholds 9", (), "--thresholds"),
    bad("a size of a segmenter", f"{SCORE} --size 64x64", (), "--size"),
    bad("no thresholds", f"{SCORE} --thresholds 0", (), "--thresholds"),
    bad("a second model that is none", f"{SCORE} --model run/model.keras seg/info.json", (), "seg/info.json"),
    bad("one table of two", f"{SCORE} --model run/model.keras mask.tflite --json s.json", (), "--json"),
    Attack(
        "all to score is ignored",
        f"{SCORE} --json s.json",
        (),
        tuple(
            relabelled(f"seg/val/masks/s{i}.png", lambda x: x * 0 + 255)
            for i in (6, 7)
        ),
        scored("s.json", miou=None),
    ),
    Attack(
        "two models of one name",
        "evaluate --dataset seg --model run/model.keras other/model.keras",
        (),
        doubled("run", "other"),
        printed("other/model.keras"),
    ),
    Attack(
        "labels of other numbers and the same names",
        f"{SCORE} --json s.json",
        (),
        (
            said("seg/info.json", class_names=["sky", "road", "car"]),
            *(
                relabelled(
                    f"seg/{s}/masks/s{i}.png",
                    lambda x: np.array([1, 2, 0], "u1")[x],
                )
                for i in range(8)
                for s in (["train"] if i < 6 else ["val"])
            ),
        ),
        every(scored("s.json", pictures=2), printed("another order")),
    ),
    # --- Where scores go ---
    bad("a table over a model", f"{SCORE} --table run/model.keras", (), "run/model.keras"),
    bad("scores over a model", f"{SCORE} --json run/model.keras", (), "run/model.keras"),
    bad("scores over a label", f"{SCORE} --json seg/val/masks/s6.png", (), "s6.png"),
    bad("scores over the facts of the data", f"{SCORE} --json seg/info.json", (), "seg/info.json"),
    bad("scores over the run's config", f"{SCORE} --json run/config.json", (), "run/config.json"),
    bad("a table over somebody's notes", f"{SCORE} --table notes.txt", raw("notes.txt", b"\x89mine"), "notes.txt"),
    bad("a table into a folder", f"{SCORE} --table seg", (), "seg"),
    bad("a table into a pipe", f"{SCORE} --table pipe.md", pipe("pipe.md"), "pipe.md"),
    bad("scores below a file", f"{SCORE} --json run/model.keras/s.json", (), "run/model.keras"),
    bad("results in a file's place", f"{SCORE} --output-dir run/model.keras", (), "--output-dir"),
    bad("results in the run itself", f"{SCORE} --output-dir run", (), "run"),
    bad("results in the data", f"{SCORE} --output-dir seg", (), "seg"),
    bad("a report of somebody's", f"{SCORE} --output-dir mine", text("mine/report.html", "my report"), "mine"),
    Attack("a full disk for scores", f"{SCORE} --output-dir out", "out", largest=3_000),
    # --- Maps ---
    of_maps("no maps", (gone("maps"), folder("maps")), "maps"),
    of_maps("maps that are not there", gone("maps"), "maps"),
    of_maps("no truth", (gone("truth"), folder("truth")), "truth"),
    of_maps("a map is missing", gone(MAP)),
    of_maps("a map of another name", moved(MAP, "s6_edges.png")),
    of_maps("two maps of one name", array("maps/s6.npy", EDGES * 1.0), "s6.npy", "s6.png"),
    of_maps("two truths of one name", array("truth/s6.npy", EDGES), "s6.npy", "s6.png"),
    of_maps("a map in color", picture(MAP, scene(6)[0])),
    of_maps("a map of another size", picture(MAP, np.zeros((60, 64), "u1"))),
    of_maps("a map of no bytes", raw(MAP, b"")),
    of_maps("a map is a pipe", pipe(MAP)),
    of_maps("a map is a link to itself", link(MAP, "s6.png")),
    of_maps("a map cut off", cut(MAP, 0.6)),
    of_maps("a map with alpha", picture(MAP, np.dstack([EDGES * np.uint8(255)] * 2))),
    a_map("a map of logits", np.linspace(-8, 8, 4096).reshape(64, 64)),
    a_map("a map that is not finite", np.where(EDGES, np.nan, 0.0)),
    a_map("a map without bound", np.where(EDGES, np.inf, 0.0)),
    a_map("a map of whole numbers", EDGES.astype("i4")),
    a_map("a map of complex numbers", EDGES * 1j),
    a_map("a map of two channels", np.zeros((64, 64, 2))),
    a_map("a map turned", np.zeros((64, 60)), "s6", "(64, 60)"),
    a_map("a map of nothing", np.zeros((0, 64))),
    a_map("a map of one number", np.float64(0.5)),
    a_map("a map of objects", np.array([[None]], object)),
    a_map("a map of words", np.array([["edge"]])),
    of_maps(
        "a map whose header lies",
        (
            gone(MAP),
            array("maps/s6.npy", EDGES * 1.0),
            changed(
                "maps/s6.npy", lambda d: d.replace(b"(64, 64)", b"(9**9,1)")
            ),
        ),
        "s6.npy",
    ),
    of_maps(
        "a map of terabytes",
        (
            gone(MAP),
            array("maps/s6.npy", np.zeros((64, 64))),
            changed(
                "maps/s6.npy",
                lambda d: d.replace(b"(64, 64), }      ", b"(900000, 900000)}"),
            ),
        ),
        "s6.npy",
    ),
    Attack("a map with gigabytes of nothing behind it", MAPS, (), sparse(MAP, 12 << 30), printed("ODS")),
    a_truth("a truth of three channels", np.zeros((64, 64, 3))),
    a_truth("a truth of ids", np.full((64, 64), 7)),
    a_truth("a truth that is not finite", np.full((64, 64), np.nan)),
    of_maps("a truth that is a text", text(TRUTH, "edges")),
    of_maps(
        "MATLAB's file of version 7.3",
        (
            gone(TRUTH),
            raw(
                "truth/s6.mat",
                b"MATLAB 7.3 MAT-file".ljust(124)
                + b"\0\2IM"
                + b"\x89HDF\r\n\x1a\n",
            ),
        ),
        "s6.mat",
    ),
    of_maps("MATLAB's file cut off", (gone(TRUTH), mat("truth/s6.mat", groundTruth=EDGES), cut("truth/s6.mat", 0.3)), "s6.mat"),
    a_mat("MATLAB's file of something else", segmentation=EDGES),
    a_mat("MATLAB's file of an array alone", groundTruth=EDGES * 1.0),
    a_mat("MATLAB's file of words", groundTruth="edges"),
    Attack("maps of black boundaries on white", MAPS, "inverted", tuple(relabelled(f"maps/s{i}.png", lambda x: 255 - x) for i in (6, 7))),
    Attack(
        "maps in MATLAB's order and others' bytes",
        MAPS,
        (),
        tuple(
            change
            for i in (6, 7)
            for change in (
                gone(f"maps/s{i}.png"),
                array(f"maps/s{i}.npy", np.asfortranarray(EDGES, ">f4")),
                gone(f"truth/s{i}.png"),
                array(f"truth/s{i}.npy", np.asfortranarray(EDGES)),
            )
        ),
        scored("s.json", ods_f=1.0),
    ),
    bad("truth without maps", "evaluate --task boundary --ground-truth truth --model erun/model.keras", (), "--ground-truth"),
    bad("maps beside a model", f"{MAPS} --model erun/model.keras", (), "--model"),
    bad("maps of a task without maps", MAPS.replace("boundary", "segmentation"), (), "--predictions"),
]
