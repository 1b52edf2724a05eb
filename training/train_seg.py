"""Trains a DLA-Up segmentation network.

    python training/train_seg.py                      # embedded toy_streets
    python training/train_seg.py --dataset camvid/    # a folder of list files

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras`, `config.json`, `history.csv`, `metrics.json`,
`predictions.png` and TensorBoard's events.
"""

import argparse
import csv
import datetime
import pathlib
import sys
import time

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

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
from dla_keras.inference import model_predictor
from dla_keras.reports import prediction_grid
from dla_keras.reports import text_table
from dla_keras.training_loop import distribute
from dla_keras.training_loop import make_strategy
from dla_keras.training_loop import make_train_step

LOG_EVERY = 10  # steps

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
    add("--batch-size", type=int, default=4, help="over all replicas")
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


def make_run_dir(args) -> pathlib.Path:
    """The run's folder, made; an earlier run's only with `--overwrite`."""
    name = pathlib.Path(args.dataset).name
    now = datetime.datetime.now()
    default = f"runs/{name}-{args.variant}-{now:%Y%m%d-%H%M%S}"
    run_dir = pathlib.Path(args.run_dir or default)
    if (run_dir / "config.json").exists() and not args.overwrite:
        raise ValueError(
            f"{run_dir} holds an earlier run. Choose another --run-dir, or "
            "pass --overwrite to lose it."
        )
    run_dir.mkdir(parents=True, exist_ok=True)
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


class History:
    """`history.csv` and TensorBoard, a row per validation."""

    def __init__(self, run_dir):
        self.path = run_dir / "history.csv"
        self.writer = tf.summary.create_file_writer(str(run_dir))
        self.rows = []

    def add(self, row):
        self.rows.append(row)
        with atomic_path(self.path) as temporary:
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.rows[0])
                writer.writeheader()
                writer.writerows(self.rows)
        with self.writer.as_default(step=row["step"]):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self.writer.flush()


def run_steps(args, train, val, strategy, steps, history):
    """Trains; returns the model."""
    model, optimizer, train_step = build(args, train, strategy, steps)
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
    epoch = max(1, len(train) // args.batch_size)  # steps
    validate = model_predictor(model)
    start, losses = time.time(), []
    bar = tqdm(range(1, steps + 1), unit="step", desc="train", mininterval=1)
    for step in bar:
        losses.append(train_step(next(batches)))
        last = step == steps
        if step % LOG_EVERY == 0 or last:
            loss = float(np.mean(losses[-LOG_EVERY:]))
            if not np.isfinite(loss):
                raise ValueError(
                    f"The loss is {loss} at step {step}. Try a smaller "
                    "--learning-rate."
                )
            bar.set_postfix(loss=f"{loss:.3f}")
        due = args.validate_every and step % (args.validate_every * epoch) == 0
        if due or last:
            scores = evaluate(validate, val)
            history.add(
                {
                    "step": step,
                    "epoch": round(step / epoch, 2),
                    "loss": float(np.mean(losses)),
                    "learning_rate": float(optimizer.learning_rate.numpy()),
                    "val_miou": scores["miou"],
                    "val_pixel_accuracy": scores["pixel_accuracy"],
                    "seconds": round(time.time() - start, 1),
                }
            )
            losses = []
    return model, scores


def train(args) -> dict:
    """Trains as `args` say; returns what `metrics.json` holds."""
    run_dir = make_run_dir(args)
    train = open_split(args.dataset, "train", args.data_dir)
    val = open_split(args.dataset, "val", args.data_dir)
    steps = args.steps or args.epochs * max(1, len(train) // args.batch_size)
    strategy = make_strategy()
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
    model, scores = run_steps(
        args, train, val, strategy, steps, History(run_dir)
    )
    with atomic_path(run_dir / "model.keras") as temporary:
        model.save(temporary)
    baselines = {
        "majority class": evaluate(majority_baseline(train), val),
        "class by row": evaluate(row_baseline(train), val),
    }
    scores["baselines"] = {
        name: {"miou": s["miou"], "pixel_accuracy": s["pixel_accuracy"]}
        for name, s in baselines.items()
    }
    write_json(run_dir / "metrics.json", scores)
    with atomic_path(run_dir / "predictions.png") as temporary:
        prediction_grid(model_predictor(model), val).save(temporary)
    rows = {**scores["baselines"], "trained": scores}
    print(
        text_table(
            ("on val", "mIoU", "pixel accuracy"),
            [
                (name, f"{s['miou']:.3f}", f"{s['pixel_accuracy']:.3f}")
                for name, s in rows.items()
            ],
        )
    )
    print(f"Written to {run_dir}: model.keras, metrics.json, predictions.png")
    return scores


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: train(args))


if __name__ == "__main__":
    sys.exit(main())
