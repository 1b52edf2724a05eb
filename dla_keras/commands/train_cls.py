"""Trains a DLA classifier.

    dla-keras train-cls                      # embedded digits
    dla-keras train-cls --dataset my_folder/ # train/<class>/<picture>
    dla-keras train-cls --recipe imagenet --data-dir tfds/
    dla-keras train-cls --recipe fine_grained --dataset cars196

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `confusion.png`, checkpoints and TensorBoard's events. After a
stop of any kind the same command goes on where it was.
"""

import argparse
import sys

from dla_keras.commands.shared import parse_size
from dla_keras.commands.shared import run_command
from dla_keras.commands.training_flags import PRECISIONS
from dla_keras.commands.training_flags import parse_arguments
from dla_keras.commands.training_flags import training_parser
from dla_keras.files import write_json
from dla_keras.tables import text_table
from dla_keras.tasks.recipes import CLASSIFICATION


def parse_flags(argv=None):
    """The flags, over the recipe that they name."""
    parser = training_parser("train-cls", __doc__)
    add = parser.add_argument_group("classification").add_argument
    add("--size", help="of the crops, height x width")
    add("--crop-pct", type=float, default=0.875, help="of crops to test on")
    add("--area", type=float, nargs=2, help="range of the crops' share")
    add("--aspect", type=float, nargs=2, help="range of width over height")
    add("--flip", action=argparse.BooleanOptionalAction, default=True)
    add("--jitter", type=float, default=0.0, help="of colours")
    add("--mixup", type=float, default=0.0, help="Beta's parameter; 0: none")
    add("--cutmix", type=float, default=0.0, help="likewise")
    add("--label-smoothing", type=float, default=0.0)
    add("--dropout", type=float, default=0.0, help="before the last layer")
    add("--drop-path", type=float, default=0.0, help="stochastic depth")
    return parse_arguments(parser, CLASSIFICATION, "fine_tune", argv)


def make_model(args, info):
    """The network, with its weights to start from, the last layer anew."""
    import dla_keras

    options = {
        "num_classes": info.num_classes,
        "classifier_activation": None,  # logits
        "dropout_rate": args.dropout,
        "drop_path_rate": args.drop_path,
        "class_names": info.class_names,
        "dtype": PRECISIONS[args.precision],
    }
    model = dla_keras.DLAClassifier(args.variant, **options)
    if args.weights:
        dla_keras.load_pretrained(model.backbone, args.weights)
    return model


def validation(model, val, args):
    """What scores the model on the way."""
    import tensorflow as tf

    from dla_keras.tasks.classification import evaluate_classifier

    logits = tf.function(
        lambda images: model(images, training=False), reduce_retracing=True
    )
    return lambda watch: evaluate_classifier(
        logits, val, parse_size(args.size), args.crop_pct, progress=watch
    )


def assemble_classification(args, strategy, plan, train, val):
    """The task: crops, network, loss and metric."""
    from dla_keras.data.augmentation import Mixing
    from dla_keras.data.augmentation import RandomResizedCrop
    from dla_keras.engine.assembly import assemble
    from dla_keras.tasks.losses import class_cross_entropy_sums

    classes = train.info.num_classes
    mix = None
    if args.mixup or args.cutmix:
        mix = Mixing(classes, args.mixup, args.cutmix)
    return assemble(
        args,
        strategy,
        plan,
        train,
        augment=RandomResizedCrop(
            parse_size(args.size),
            tuple(args.area),
            tuple(args.aspect),
            args.flip,
            args.jitter,
        ),
        make_model=lambda: make_model(args, train.info),
        loss_sums=lambda labels, logits: class_cross_entropy_sums(
            labels, logits, args.label_smoothing
        ),
        validation=lambda model: validation(model, val, args),
        columns=("top1", "top5"),
        mix=mix,
    )


def write_results(run_dir, scores, val) -> None:
    """What a run leaves at its end, and its table on the terminal."""
    from dla_keras.report.charts import confusion_figure
    from dla_keras.report.galleries import classification_galleries
    from dla_keras.report.page import write_report

    names = scores["class_names"]
    confusion_figure(scores["confusion"], names, run_dir / "confusion.png")
    galleries = classification_galleries(val, scores.pop("per_picture"))
    write_report(run_dir / "report.html", scores, run_dir, galleries)
    write_json(run_dir / "metrics.json", scores)
    cells = [("trained", f"{scores['top1']:.4f}", f"{scores['top5']:.4f}")]
    print(text_table(("on val", "top-1", "top-5"), cells))
    print(f"Written to {run_dir}: model.keras, metrics.json, report.html")


def train_classifier(args) -> None:
    """Trains as `args` say, from the data to the run folder's files."""
    from dla_keras.data.classification import open_classification_split
    from dla_keras.engine.assembly import run
    from dla_keras.engine.assembly import set_up
    from dla_keras.models.backbone import check_input_shape

    check_input_shape((*parse_size(args.size), 3))
    strategy = set_up(args)
    train = open_classification_split(args.dataset, "train", args.data_dir)
    val = open_classification_split(args.dataset, "val", args.data_dir)
    run_dir, scores = run(
        args,
        strategy,
        train,
        val,
        lambda plan: assemble_classification(args, strategy, plan, train, val),
    )
    if scores:
        write_results(run_dir, scores, val)


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: train_classifier(args))


if __name__ == "__main__":
    sys.exit(main())
