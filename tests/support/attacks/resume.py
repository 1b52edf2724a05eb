"""Runs that go on: damaged checkpoints, other data, other flags."""

import numpy as np
from attack import Attack
from attack_changes import arrays
from attack_changes import cut
from attack_changes import doubled
from attack_changes import every
from attack_changes import flipped
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import moved
from attack_changes import picture
from attack_changes import pipe
from attack_changes import raw
from attack_changes import recorded
from attack_changes import relabelled
from attack_changes import replaced
from attack_changes import said
from attack_changes import same_model
from attack_changes import sparse
from attack_changes import text
from attack_changes import warned
from attack_ground import SEG
from attack_ground import scene

AREA = "resume (checkpoints, config, data, flags)"

GO_ON = f"{SEG} --run-dir half"
STEP = "half/checkpoints/step-00000038.npz"
NEXT = "half/checkpoints/step-00000039.npz"
CONFIG = "half/config.json"
FREE = ("half/*", "half/*/*")
WHOLE = same_model("half/model.keras", "run/model.keras")


def broken(wrong, changes, *names, call=GO_ON):
    """Return a run that cannot go on, and loses nothing."""
    return Attack(wrong, call, names or ("step-00000038.npz",), changes)


def mended(wrong, changes, *words):
    """Return a run that goes on from what is whole, and ends as it would."""
    right = every(WHOLE, warned(*words)) if words else WHOLE
    return Attack(wrong, GO_ON, (), changes, right, "run", FREE)


def first(value):
    """Return a change of the first array of floats of more than one number."""

    def change(found):
        name = next(
            n for n, a in found.items() if a.dtype.kind == "f" and a.size > 9
        )
        found[name] = value(found[name])

    return change


def another(flags, *names):
    return Attack(
        f"{flags}, other than the run's",
        f"{GO_ON} {flags}",
        names or flags.split()[0],
    )


# fmt: off
ATTACKS = [
    mended("a killed run", ()),
    broken("a checkpoint of no bytes", raw(STEP, b"")),
    broken("a checkpoint cut off", cut(STEP, 0.8)),
    broken("a wrong bit in a checkpoint", flipped(STEP, 0.3)),
    broken("a checkpoint that is a text", text(STEP, "step 38")),
    broken("a checkpoint of 12 GB", sparse(STEP, 12 << 30)),
    broken("a checkpoint that is not finite", arrays(STEP, first(lambda a: a * np.nan))),
    broken("a checkpoint with a kernel too small", arrays(STEP, first(lambda a: a[..., :-1]))),
    broken("a checkpoint of halves", arrays(STEP, first(lambda a: a.astype(np.float16)))),
    broken("a checkpoint of whole numbers", arrays(STEP, first(lambda a: a.astype(np.int64)))),
    broken("a checkpoint without an array", arrays(STEP, lambda f: f.pop(next(iter(f))))),
    broken("a checkpoint with an array too many", arrays(STEP, lambda f: f.update(more=np.ones(3)))),
    broken("a checkpoint without facts", arrays(STEP, lambda f: f.pop("facts.json"))),
    broken("a step in words", recorded(STEP, step="thirty-eight")),
    broken("a step below zero", recorded(STEP, step=-2)),
    broken("a step beyond the end", recorded(STEP, step=4_000_000)),
    broken("no step", recorded(STEP, step=None)),
    broken("facts of numbers", arrays(STEP, lambda f: f.update({"facts.json": np.arange(9.0)}))),
    broken("the checkpoint of another network", (gone(STEP), doubled("crun/checkpoints/step-00000038.npz", "../../half/checkpoints/step-00000038.npz"))),
    mended("a newer checkpoint of no bytes", raw(NEXT, b""), "step-00000039"),
    mended("a newer checkpoint that is a folder", folder(NEXT), "step-00000039"),
    mended("a newer checkpoint that leads nowhere", link(NEXT, "nothing.npz"), "step-00000039"),
    mended("a newer checkpoint in a circle", link(NEXT, "step-00000039.npz"), "step-00000039"),
    mended("a newer checkpoint that is a pipe", pipe(NEXT), "step-00000039"),
    mended("a checkpoint with a word as step", text("half/checkpoints/step-best.npz", "x")),
    mended("what a killed write left", text("half/checkpoints/.step-00000040.npz.x1/step-00000040.npz", "x")),
    mended("a run in another place", (moved("half", "away/half"), moved("away/half", "../half"))),
    # --- Data ---
    broken("a picture more", (picture("seg/train/images/s9.png", scene(9)[0]), picture("seg/train/masks/s9.png", scene(9)[1])), "7 pictures", "6"),
    broken("a picture less", (gone("seg/train/images/s5.png"), gone("seg/train/masks/s5.png")), "5 pictures"),
    broken("a class of another name", replaced("seg/info.json", '"sky"', '"air"'), "air", "sky"),
    broken("classes in another order", replaced("seg/info.json", '"road", "car"', '"car", "road"'), "car", "road"),
    broken("values of other classes", said("seg/info.json", label_values={"0": "road", "1": "sky", "2": "car"}), "values"),
    broken(
        "labels drawn anew",
        relabelled(
            "seg/train/masks/s2.png",
            lambda x: np.where(np.indices(x.shape).sum(0) % 7 < 3, 1, x).astype(
                "u1"
            ),
        ),
        "files in train",
    ),
    broken(
        "a split in another way",
        (
            moved("seg/train/images/s5.png", "../../val/images/s5.png"),
            moved("seg/train/masks/s5.png", "../../val/masks/s5.png"),
        ),
        "5 pictures",
    ),
    # --- Settings ---
    broken("a config of zeros", raw(CONFIG, bytes(300)), "half/config.json"),
    broken("a config cut off", cut(CONFIG, 0.5), "half/config.json"),
    broken("a config of lists in lists", text(CONFIG, "[" * 50_000), "half/config.json"),
    broken("a config in Latin-1", raw(CONFIG, b'{"dataset": "stra\xdfe"}'), "half/config.json"),
    broken("a config is a folder", (gone(CONFIG), folder(CONFIG)), "half"),
    broken("a config of a webpage", text(CONFIG, {"version": 1, "plugins": []}), "half"),
    broken("starts that are a number", said(CONFIG, starts=3), "half/config.json"),
    broken("data that is a text", said(CONFIG, data="streets"), "half/config.json"),
    broken("versions that are a text", said(CONFIG, versions="0.9"), "half"),
    another("--learning-rate 5e-3"),
    another("--seed 4"),
    another("--size 32x64"),
    another("--ema 0.9"),
    another("--node separable"),
    another("--steps 41", "--steps", "--resume"),
    another("--resume never", "half"),
    Attack(
        "another run's checkpoint",
        f"{SEG} --run-dir new --resume crun/checkpoints/step-00000038.npz",
        "crun/checkpoints/step-00000038.npz",
        given="crun",
    ),
    Attack("begun anew over its own checkpoint", f"{GO_ON} --overwrite --resume {STEP}", "--resume"),
]
