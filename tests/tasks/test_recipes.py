"""The paper's recipes against the authors' commands, setting by setting."""

import numpy as np
import pytest

from dla_keras.commands.train import read_flags
from dla_keras.commands.train import train
from dla_keras.data.augmentation import Augmentation
from dla_keras.tasks import TASKS
from dla_keras.tasks.recipes import BALANCED
from dla_keras.tasks.recipes import RECIPES
from dla_keras.weights import pretrained

PAPERS = {
    "cityscapes": "segmentation",
    "camvid": "segmentation",
    "bsds500": "boundary",
    "pascal_boundary": "boundary",
}
# github.com/ucbdrive/dla at d477ceb: flag -> where the authors set it, and what
# it is for the four of `PAPERS`, or for all.
README, SEGMENT = "README.md: ", "segment.py: "
RANDOM_COLOR = SEGMENT + "--random-color, RandomJitter(0.4, 0.4, 0.4)"
AUTHORS = {
    "variant": (README + "--arch dla102up", "dla102"),
    "weights": (README + "--pretrained-base imagenet", "imagenet"),
    "size": (README + "-s", "832x832", "448x448", "416x416", "480x480"),
    "batch_size": (README + "--batch-size", 16, 16, 16, 32),
    "epochs": (README + "--epochs", 500, 1200, 1200, 400),
    "learning_rate": (README + "--lr", 0.01),
    "schedule": (
        f"{README}--lr-mode poly; {SEGMENT}its default step",
        *("poly", "step", "step", "step"),
    ),
    "milestones": (
        f"{README}--step 800 of 1200 epochs, 200 of 400",
        *((), (800 / 1200,), (800 / 1200,), (200 / 400,)),
    ),
    "scale": (
        f"{README}--random-scale 2; data_transforms.py: RandomScale",
        *((0.5, 2.0), (0.5, 2.0), (1.0, 1.0), (1.0, 1.0)),
    ),
    "even_scale": ("data_transforms.py: RandomScale, random.uniform", True),
    "rotation": (README + "--random-rotate", 10.0, 10.0, 180.0, 10.0),
    "reflect": ("data_transforms.py: RandomRotate, RandomCrop", True),
    "jitter": (RANDOM_COLOR, 0.4),
    "sharpness": (RANDOM_COLOR, 0.4),
    "tint": (RANDOM_COLOR + ": none", 0.0),
    "saturation": (RANDOM_COLOR + ": none", 0.0),
    "head_stride": (SEGMENT + "--down, default 2", 2),
    "upsampling": ("dla_up.py: IDAUp, ConvTranspose2d", "learned"),
    "node": ("dla_up.py: IDAUp, Conv2d of 3x3", "conv"),
    "optimizer": (SEGMENT + "torch.optim.SGD", "sgd"),
    "weight_decay": (SEGMENT + "--weight-decay, default 1e-4", 1e-4),
    "backbone_rate": ("dla_up.py: optim_parameters, one rate", 1.0),
    "warmup_epochs": (SEGMENT + "adjust_learning_rate", 0.0),
    "clip_norm": (SEGMENT + "train, no limit", None),
    "ema": (SEGMENT + "train, no average", None),
    "freeze_backbone": ("dla_up.py: optim_parameters", False),
}
OF_SEGMENTATION = {
    "class_weighting": (SEGMENT + "NLLLoss2d without weights", 0.0),
    "class_sampling": (SEGMENT + "DataLoader, shuffle", 0.0),
    # None is the cross-entropy of all pixels.
    "loss": (SEGMENT + "NLLLoss2d", ()),
    "boundary_weight": (SEGMENT + "one criterion", 0.0),
    "teacher": (SEGMENT + "one criterion", None),
}
OF_BOUNDARIES = {
    "annotators": (SEGMENT + "SegList, binary: label > 0", "any"),
    "positive_weight": (README + "--edge-weight 10", 10.0),
}
# Ours alone: which data, and how often it is validated on.
OURS = {"dataset", "validate_every"}


def paper(name, *words):
    """Return the flags of a paper's recipe."""
    words = ["--recipe", name, *words]
    return read_flags(PAPERS[name], "train", "Train.", words)


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_row_is_the_authors_command(name):
    task, index = PAPERS[name], list(PAPERS).index(name)
    of_task = {"segmentation": OF_SEGMENTATION, "boundary": OF_BOUNDARIES}
    table = AUTHORS | of_task[task]
    args = vars(paper(name))
    for flag, (source, *values) in table.items():
        expected = values[index] if len(values) > 1 else values[0]
        found = args[flag]
        found = tuple(found) if isinstance(found, list) else found
        assert found == expected, f"{flag}: {source}"
    assert RECIPES[task][0][name].keys() <= table.keys() | OURS


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_crops_are_the_authors(name):

    args = paper(name)
    side = int(args.size.partition("x")[0])
    assert TASKS[PAPERS[name]].augmentation(args) == Augmentation(
        (side, side),
        scale=tuple(args.scale),
        rotation=args.rotation,
        flip=True,  # segment.py: RandomHorizontalFlip
        jitter=0.4,
        saturation=0.0,
        sharpness=0.4,
        even_scale=True,
        reflect=True,
    )


def test_flags_reach_crops_and_loss():
    words = "--dataset mine/ --tint 0.3 --positive-weight balanced".split()
    args = read_flags("boundary", "train", "Train.", words)
    assert TASKS["boundary"].augmentation(args).tint == 0.3
    loss = TASKS["boundary"].loss_sums(args, None)
    assert loss.keywords == {"positive_weight": BALANCED}


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_rate_is_the_authors_at_each_epochs_begin(name):
    from dla_keras.engine.optimizers import MOMENTUM
    from dla_keras.engine.optimizers import Schedule

    assert MOMENTUM == 0.9  # README.md: --momentum
    args = paper(name)
    rate = Schedule(args.learning_rate, args.epochs, args.schedule,
                    args.milestones)  # fmt: skip
    drop = {"camvid": 800, "bsds500": 800, "pascal_boundary": 200}.get(name)
    for epoch in (0, 1, 199, 200, 399, 499, 799, 800, 1199):
        if epoch < args.epochs:
            # segment.py: adjust_learning_rate
            theirs = (
                0.01 * 0.1 ** (epoch // drop)
                if drop
                else 0.01 * (1 - epoch / 500) ** 0.9
            )
            # 1 - 499 / 500 in float32 is off by 3e-5 of itself.
            np.testing.assert_allclose(rate(epoch), theirs, rtol=1e-4)


def test_small_rows_and_own_folders_start_without_a_network():
    offline = {
        ("segmentation", "toy_streets"),
        ("segmentation", "camvid_small"),
        ("boundary", "toy_streets"),
        ("boundary", "bsds500_small"),
    }
    ships = (None, "tiny_imagenet")
    for task, name in offline:
        row = RECIPES[task][0][name]
        assert not {"even_scale", "reflect", "sharpness"} & {*row}
        assert row.get("weights") in ships
    for task in ("segmentation", "boundary"):
        args = read_flags(task, "train", "Train.", ["--dataset", "mine/"])
        assert (task, args.recipe) in offline and args.weights in ships


def test_absent_weights_are_said_before_the_data_is_looked_for(
    monkeypatch, tmp_path
):
    def refuse(name):
        raise FileNotFoundError(f"{name} is not to be had")

    monkeypatch.setattr(pretrained, "fetch_preset", refuse)
    run = ("--data-dir", str(tmp_path / "absent"), "--run-dir")
    run += (str(tmp_path / "run"), "--size", "64x64")
    for name in PAPERS:
        with pytest.raises(FileNotFoundError, match="dla102_imagenet is not"):
            train(PAPERS[name], paper(name, *run))
        with pytest.raises(FileNotFoundError, match="absent"):
            train(PAPERS[name], paper(name, *run, "--weights", "none"))
    with pytest.raises(ValueError, match="Did you mean"):
        train("segmentation", paper("camvid", *run, "--variant", "dla43"))
    assert not (tmp_path / "run").exists()
