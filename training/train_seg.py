"""Trains a DLA-Up segmentation network.

    python training/train_seg.py                      # embedded toy_streets
    python training/train_seg.py --dataset camvid/    # a folder of list files

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras`, `config.json`, `history.csv`, `metrics.json`,
`predictions.png` and TensorBoard's events.
"""

import argparse
import datetime
import pathlib
import sys

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from dla_keras.commands import parse_size
from dla_keras.commands import run_command
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.pipeline import training_batches
from dla_keras.data.reading import open_split
from dla_keras.evaluation import class_frequencies
from dla_keras.evaluation import evaluate
from dla_keras.evaluation import majority_baseline
from dla_keras.evaluation import row_baseline
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.history import History
from dla_keras.inference import model_predictor
from dla_keras.models.backbone import check_input_shape
from dla_keras.reports import prediction_grid
from dla_keras.reports import text_table
from dla_keras.training_loop import distribute
from dla_keras.training_loop import make_strategy
from dla_keras.training_loop import make_train_step
from dla_keras.training_loop import run_steps

# name -> (optimizer of rate and decay, default rate, default decay)
OPTIMIZERS = {
    # The paper's. The decay is an L2 penalty in the gradient, so that it goes
    # through the momentum as PyTorch's does.
    "sgd": (
        lambda rate, decay: keras.optimizers.SGD(rate, momentum=0.9),
        0.02,
        1e-4,
    ),
    # Further on after few steps from scratch.
    "adamw": (
        lambda rate, decay: keras.optimizers.AdamW(rate, weight_decay=decay),
        1e-3,
        1e-2,
    ),
}


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return number


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--dataset", default="toy_streets", help="a name, or a folder")
    add("--data-dir", help="folder with list files, or TFDS' data folder")
    add("--variant", default="dla34", help="a row of dla_keras.VARIANTS")
    add("--head-stride", type=int, default=4, help="2, 4, 8 or 16")
    add("--upsampling", default="bilinear", help="bilinear or learned")
    add("--epochs", type=int, default=4)
    add("--steps", type=int, help="instead of --epochs")
    add("--batch-size", type=positive, default=4, help="over all replicas")
    add("--size", default="128x256", help="of the crops, height x width")
    add("--scale", type=float, nargs=2, default=(0.5, 2.0), help="zoom range")
    add("--rotation", type=float, default=10.0, help="degrees, either way")
    add("--jitter", type=float, default=0.4, help="of colours")
    add("--optimizer", choices=OPTIMIZERS, default="sgd")
    rates = ", ".join(f"{n} {row[1]}" for n, row in OPTIMIZERS.items())
    add("--learning-rate", type=float, help=f"at the start; default: {rates}")
    decays = ", ".join(f"{n} {row[2]}" for n, row in OPTIMIZERS.items())
    add("--weight-decay", type=float, help=f"default: {decays}")
    add(
        "--class-weighting",
        type=float,
        default=0.0,
        help="loss weight of a class: its frequency to minus this power",
    )
    add("--validate-every", type=int, default=1, help="epochs; 0: at the end")
    add("--seed", type=int, default=0)
    add("--run-dir", help="default: runs/<dataset>-<variant>-<time>")
    add("--overwrite", action="store_true", help="an earlier run's folder")
    args = parser.parse_args(argv)
    _, rate, decay = OPTIMIZERS[args.optimizer]
    if args.learning_rate is None:
        args.learning_rate = rate
    if args.weight_decay is None:
        args.weight_decay = decay
    return args


def choose_run_dir(args) -> pathlib.Path:
    """The run's folder; an earlier run's only with `--overwrite`."""
    name = pathlib.Path(args.dataset).name
    now = datetime.datetime.now()
    default = f"runs/{name}-{args.variant}-{now:%Y%m%d-%H%M%S}"
    run_dir = pathlib.Path(args.run_dir or default)
    if (run_dir / "config.json").exists() and not args.overwrite:
        raise ValueError(
            f"{run_dir} holds an earlier run. Choose another --run-dir, or "
            "pass --overwrite to lose it."
        )
    return run_dir


def build(args, train, strategy, steps):
    """Model, optimizer and compiled step."""
    keras.utils.set_random_seed(args.seed)
    info = train.info
    class_weights = None
    if args.class_weighting:
        frequency = np.maximum(class_frequencies(train), 1e-6)
        class_weights = frequency**-args.class_weighting
        class_weights /= (class_weights * frequency).sum()
    with strategy.scope():
        model = dla_keras.DLASegmenter(
            args.variant,
            info.num_classes,
            head_stride=args.head_stride,
            upsampling=args.upsampling,
            mean=info.mean,
            std=info.std,
            class_names=info.class_names,
            palette=info.palette,
        )
        rate = keras.optimizers.schedules.PolynomialDecay(
            args.learning_rate, steps, end_learning_rate=0.0, power=0.9
        )
        make_optimizer = OPTIMIZERS[args.optimizer][0]
        optimizer = make_optimizer(rate, args.weight_decay)
    penalty = args.weight_decay if args.optimizer == "sgd" else 0.0
    step = make_train_step(strategy, model, optimizer, penalty, class_weights)
    return model, optimizer, step


def fit(args, built, strategy, train, val, steps, history):
    """Trains what `build` made; returns its last scores on `val`."""
    model, optimizer, train_step = built
    augmentation = Augmentation(
        parse_size(args.size),
        tuple(args.scale),
        args.rotation,
        jitter=args.jitter,
    )
    batches = distribute(
        strategy,
        lambda replicas: training_batches(
            train, augmentation, args.batch_size, replicas, steps, args.seed
        ),
    )
    predict = model_predictor(model)
    return run_steps(
        train_step,
        batches,
        steps,
        optimizer,
        epoch_steps=max(1, len(train) // args.batch_size),
        validate=lambda: evaluate(predict, val),
        validate_every=args.validate_every,
        history=history,
    )


def write_results(run_dir, model, scores, train, val) -> None:
    """Everything that a run leaves, and its table on the terminal."""
    with atomic_path(run_dir / "model.keras") as temporary:
        model.save(temporary)
    baselines = {
        "majority class": majority_baseline(train),
        "class by row": row_baseline(train),
    }
    rows = {name: evaluate(b, val) for name, b in baselines.items()}
    scores["baselines"] = {
        name: {key: row[key] for key in ("miou", "pixel_accuracy")}
        for name, row in rows.items()
    }
    write_json(run_dir / "metrics.json", scores)
    with atomic_path(run_dir / "predictions.png") as temporary:
        prediction_grid(model_predictor(model), val).save(temporary)
    rows["trained"] = scores
    cells = [
        (name, f"{row['miou']:.3f}", f"{row['pixel_accuracy']:.3f}")
        for name, row in rows.items()
    ]
    print(text_table(("on val", "mIoU", "pixel accuracy"), cells))
    print(f"Written to {run_dir}: model.keras, metrics.json, predictions.png")


def train(args) -> None:
    """Trains as `args` say, from the data to the run folder's files."""
    check_input_shape((*parse_size(args.size), 3))
    run_dir = choose_run_dir(args)
    train = open_split(args.dataset, "train", args.data_dir)
    val = open_split(args.dataset, "val", args.data_dir)
    steps = args.steps
    if steps is None:
        steps = args.epochs * max(1, len(train) // args.batch_size)
    if steps < 1:
        raise ValueError(
            "There must be a step to take. Received: "
            f"--steps {args.steps}, --epochs {args.epochs}."
        )
    strategy = make_strategy()
    # Before anything is written: it refuses what is wrong in the arguments.
    built = build(args, train, strategy, steps)
    write_json(
        run_dir / "config.json",
        {
            **vars(args),
            "run_dir": str(run_dir),
            "steps": steps,
            "replicas": strategy.num_replicas_in_sync,
            "command": ["python", *sys.argv],
            "versions": {
                "dla_keras": dla_keras.__version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
            },
        },
    )
    print(
        f"{train.info.name}: {len(train)} pictures to train on, {len(val)} to "
        f"validate; {args.variant}, {steps} steps of {args.batch_size} crops "
        f"of {args.size} on "
        f"{', '.join(strategy.extended.worker_devices)}"
    )
    history = History(run_dir)
    scores = fit(args, built, strategy, train, val, steps, history)
    write_results(run_dir, built[0], scores, train, val)


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: train(args))


if __name__ == "__main__":
    sys.exit(main())
