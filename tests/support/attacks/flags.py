"""Flags of training that no training can have, and folders of classes."""

import numpy as np
from attack import Attack
from attack_changes import doubled
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import moved
from attack_changes import picture
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import sparse
from attack_changes import text
from attack_changes import there
from attack_ground import NET

AREA = "flags of training (seg, cls, boundary) incl. class folders"

SEG = f"train-seg --dataset seg {NET} --run-dir new"
CLS = f"train-cls --dataset classes {NET} --run-dir new --steps 1"
EDGE = f"train-boundary --dataset edges {NET} --run-dir new --steps 1"

# Words of a flag that is given a wrong value: no number of its range.
NUMBERS = (
    "--learning-rate 1,5e-3", "--learning-rate 0x1p-3", "--learning-rate ''",
    "--learning-rate 10**-3", "--weight-decay 1e-4f", "--weight-decay -1e-9",
    "--steps 10.0", "--steps 1e3", "--steps ''", "--steps 1/2",
    "--epochs 99999999999999999999999", "--epochs two", "--batch-size 4,4",
    "--batch-size 0b100", "--batch-size 2**3", "--scale 1 inf",
    "--scale -1 1", "--rotation 1e2d", "--rotation 180.0001",
    "--jitter 1.0000001", "--jitter ½", "--ema 0.9999999999999999999",
    "--ema 1", "--ema 99%", "--schedule step --milestones 0.5 1.0",
    "--schedule step --milestones 50%", "--warmup-epochs inf",
    "--backbone-rate 1e4", "--clip-norm 0", "--clip-norm 1e39",
    "--seed -0x1", "--seed 4294967296", "--accumulate 0.5",
    "--steps-per-execution 0", "--validate-every 5hours",
    "--validate-every 0.5", "--validate-every 1e3steps",
    "--validate-every -1min", "--val-pictures -3", "--keep 0",
    "--patience none", "--checkpoint-minutes infinity",
    "--checkpoint-steps 1.5", "--class-weighting 11",
    "--boundary-weight 1e7",
)  # fmt: skip
CHOICES = (
    "--optimizer SGD", "--schedule linear", "--strategy tpu", "--device cuda",
    "--compute int8", "--head-stride 3", "--phone large", "--allow everything",
    "--logger tensorboard", "--size 64", "--size 64x", "--size 64×64",
    "--size 64x64x3", "--size -64x64", "--size 40000x64",
)  # fmt: skip
OF_CLS = (
    "--crop-fraction 1.01", "--area 0 0.5", "--area 0.8", "--aspect 0 2",
    "--mixup -0.1", "--cutmix 1e4", "--label-smoothing 1", "--dropout 1.0",
    "--drop-path nan",
)  # fmt: skip
OF_EDGE = (
    "--positive-weight 0", "--positive-weight even", "--thresholds 1.5", "--annotators all",
    "--head-stride 4.0",
)  # fmt: skip


def refused(call, flags):
    flag = next(w for w in reversed(flags.split()) if w[:2] == "--")
    return Attack(f"{flags} of {call.split()[0]}", f"{call} {flags}", flag)


# fmt: off
ATTACKS = [
    *(refused(SEG, flags) for flags in (*NUMBERS, *CHOICES)),
    *(refused(CLS, flags) for flags in OF_CLS),
    *(refused(EDGE, flags) for flags in OF_EDGE),
    Attack("milestones alone", f"{SEG} --milestones 0.5", "--milestones"),
    Attack("lengths of two units", f"{SEG} --steps 3 --epochs 1", "--epochs"),
    Attack("scale from large to small", f"{SEG} --scale 1.5 0.5", "--scale"),
    Attack("crops of no multiple", f"{SEG} --size 48x64", ("48", "32")),
    Attack("crops of nothing", f"{SEG} --size 0x64", "--size"),
    Attack("crops that take all memory", f"{SEG} --steps 1 --size 32768x32768", ("--size", "memory")),
    Attack("batches that take all memory", f"{SEG} --steps 1 --batch-size 1000000", ("--batch-size", "memory")),
    Attack("no such variant", f"{SEG} --variant dla35", ("variant", "dla34")),
    Attack("a path as variant", f"{SEG} --variant ../dla34", "variant"),
    Attack("no such node", f"{SEG} --node deep", ("node", "separable")),
    Attack("no such upsampling", f"{SEG} --upsampling cubic", "upsampling"),
    Attack("a phone's network of another variant", f"{SEG} --phone small --variant dla60", ("--phone", "--variant")),
    Attack("frozen nothing", f"{SEG} --freeze-backbone", "--freeze-backbone"),
    Attack("weights that are not there", f"{SEG} --steps 1 --weights no/such.keras", "no/such.keras"),
    Attack("weights in a folder of pictures", f"{SEG} --steps 1 --weights photos", "photos", given="photos"),
    Attack("a name of weights with a slip", f"{SEG} --steps 1 --weights imagnet", ("imagnet", "imagenet")),
    Attack("no such dataset", f"{SEG} --dataset camvit", "camvit"),
    Attack("a dataset without a name", f"{SEG} --dataset ''", "dataset"),
    Attack("a picture as dataset", f"{SEG} --dataset photos/p6.png", "photos/p6.png", given="photos"),
    Attack("no data folder", f"{SEG} --data-dir no/where", "no/where"),
    Attack("two working sizes", f"{SEG} --max-side 64 --resize 64x64", "--resize"),
    Attack("a working size below a cell", f"{SEG} --max-side 9", "--max-side"),
    Attack("a stretched size of no cells", f"{SEG} --resize 50x64", "--resize"),
    Attack("parts that do not share a batch", f"{SEG} --steps 1 --accumulate 3", "--accumulate"),
    Attack("no such recipe", f"{SEG} --recipe camvid-fast", "camvid-fast"),
    Attack("a picture as recipe", f"{SEG} --recipe photos/p6.png", "p6.png", given="photos"),
    Attack("a folder as config", f"{SEG} --config seg", "seg"),
    Attack("a config that is not there", f"{SEG} --config no.yaml", "no.yaml"),
    Attack("a config with an unknown flag", f"{SEG} --config c.yaml", ("c.yaml", "learning_rat"), text("c.yaml", "learning_rat: 0.1\n")),
    Attack("a config with two documents", f"{SEG} --config c.yaml", "c.yaml", text("c.yaml", "steps: 1\n---\nsteps: 2\n")),
    Attack("a config that names a flag twice", f"{SEG} --config c.yaml", ("c.yaml", "steps"), text("c.yaml", "steps: 1\nseed: 0\nsteps: 2\n")),
    Attack(
        "a config that grows without end",
        f"{SEG} --config c.yaml",
        "c.yaml",
        text(
            "c.yaml",
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
                for i in range(1, 12)
            ),
        ),
    ),
    Attack("a config that runs Python", f"{SEG} --config c.yaml", "c.yaml", text("c.yaml", "steps: !!python/object/apply:os.getpid []\n")),
    Attack("a config of lists in lists", f"{SEG} --config c.json", "c.json", text("c.json", "[" * 20_000)),
    Attack("a config with a rate that is no number", f"{SEG} --config c.json", ("c.json", "NaN"), text("c.json", '{"learning_rate": NaN}')),
    Attack("a config with an object as size", f"{SEG} --config c.json", ("c.json", "size"), text("c.json", {"size": {"height": 64}})),
    Attack("a config with one scale", f"{SEG} --config c.yaml", ("c.yaml", "scale"), text("c.yaml", "scale: [1]\n")),
    Attack("a run below a file", f"{SEG}/run --steps 1", "new", raw("new", b"mine")),
    Attack("a run in a file", f"{SEG} --steps 1", "new", raw("new", b"mine")),
    Attack("a run among the pictures", f"{SEG} --steps 1 --run-dir seg/train", "--run-dir"),
    Attack("a run in a folder of notes", f"{SEG} --steps 1", "notes.txt", text("new/notes.txt", "mine")),
    Attack("a name that is too long", f"{SEG} --steps 1 --run-dir {'r' * 300}", "rrrr"),
    Attack("a checkpoint that is not there", f"{SEG} --steps 1 --resume no/such.npz", "no/such.npz"),
    Attack("a picture as checkpoint", f"{SEG} --steps 1 --resume photos/p6.png", "photos/p6.png", given="photos"),
    Attack("machines that are no JSON", f"{SEG} --steps 1 --strategy multi_worker", "TF_CONFIG", environment={"TF_CONFIG": "{worker: 1}"}),
    Attack("machines without a cluster", f"{SEG} --steps 1 --strategy multi_worker", "TF_CONFIG"),
    Attack("a GPU that is not there", f"{SEG} --steps 1 --device gpu", "--device"),
    Attack("a service that is not installed", f"{SEG} --steps 1 --logger wandb", "wandb"),
    # --- Folders of classes ---
    Attack("one class alone", CLS, "classes", (gone("classes/train/dog"), gone("classes/val/dog"))),
    Attack("a class without a picture", CLS, "classes/train/emu", folder("classes/train/emu")),
    Attack("a class of val alone", CLS, "emu", doubled("classes/val/dog", "emu")),
    Attack("a class whose name has two lines", CLS, "classes/train", (doubled("classes/train/dog", "hot\ndog"), doubled("classes/val/dog", "hot\ndog"))),
    Attack("a picture that is a text", CLS, "cat1.png", text("classes/train/cat/cat1.png", "a cat")),
    Attack("a picture of no bytes", CLS, "dog3.png", raw("classes/train/dog/dog3.png", b"")),
    Attack("a pipe among the pictures", CLS, "cat9.png", pipe("classes/train/cat/cat9.png")),
    Attack("a link to itself among the pictures", CLS, "cat9.png", link("classes/train/cat/cat9.png", "cat9.png")),
    Attack("a broken picture to validate on", CLS, "dog7.png", raw("classes/val/dog/dog7.png", b"\x89PNG\r\n\x1a\n" + bytes(40))),
    Attack("a picture with gigabytes of nothing behind it", CLS, (), sparse("classes/train/cat/cat0.png", 12 << 30), there("new/model.keras")),
    Attack(
        "a class of deep floats",
        CLS,
        "cat0.tiff",
        (
            gone("classes/train/cat/cat0.png"),
            picture(
                "classes/train/cat/cat0.tiff", np.full((64, 64), 0.5, "f4")
            ),
        ),
    ),
    Attack("classes in a folder called validation", CLS, (), moved("classes/val", "validation"), there("new/model.keras", "new/metrics.json")),
    Attack("masks as classes", CLS.replace("classes", "seg/train"), ("seg/train", "train-seg"), given="seg"),
    Attack("classes as masks", SEG.replace("seg --v", "classes --v"), "classes", given="classes"),
    Attack("classes that nobody labelled", "check classes", "emu", folder("classes/train/emu")),
    Attack("a link in a circle of folders", "check classes", (), link("classes/train/cat/more", ".."), printed("cat", "dog")),
]
