"""Trains a DLA-Up segmentation network.

    dla-keras train-seg                      # embedded toy_streets
    dla-keras train-seg --dataset camvid/    # a folder of list files
    dla-keras train-seg --recipe cityscapes --data-dir cityscapes/

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `report.html`, checkpoints and TensorBoard's events. After
a stop of any kind the same command goes on where it was.
"""

import sys

from dla_keras.commands.shared import parse_size
from dla_keras.commands.shared import run_command
from dla_keras.commands.training_flags import PRECISIONS
from dla_keras.commands.training_flags import parse_arguments
from dla_keras.commands.training_flags import training_parser
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.tables import text_table
from dla_keras.tasks.recipes import SEGMENTATION
from dla_keras.variants import PHONE_SEGMENTERS


def parse_flags(argv=None):
    """The flags, over the recipe that they name."""
    parser = training_parser("train-seg", __doc__)
    add = parser.add_argument_group("segmentation").add_argument
    add("--head-stride", type=int, default=4, help="2, 4, 8 or 16")
    add("--upsampling", default="bilinear", help="bilinear or learned")
    add("--node", default="conv", help="of DLA-Up: conv or separable")
    add(
        "--phone",
        choices=PHONE_SEGMENTERS,
        help="a small network, instead of --variant and --node",
    )
    add("--size", help="of the crops, height x width")
    add("--scale", type=float, nargs=2, help="zoom range")
    add("--rotation", type=float, help="degrees, either way")
    add("--jitter", type=float, help="of colours")
    add(
        "--class-weighting",
        type=float,
        default=0.0,
        help="loss weight of a class: its frequency to minus this power",
    )
    add(
        "--boundary-weight",
        type=float,
        default=0.0,
        help="above 0, the boundaries between classes are learned too, with "
        "this weight in the loss",
    )
    args = parse_arguments(parser, SEGMENTATION, "toy_streets", argv)
    if args.phone:
        vars(args).update(PHONE_SEGMENTERS[args.phone])
    return args


def make_model(args, info):
    """The network, with its weights to start from."""
    import dla_keras

    model = dla_keras.DLASegmenter(
        args.variant,
        info.num_classes,
        head_stride=args.head_stride,
        upsampling=args.upsampling,
        node=args.node,
        boundary_head=args.boundary_weight > 0,
        mean=info.mean,
        std=info.std,
        class_names=info.class_names,
        palette=info.palette,
        dtype=PRECISIONS[args.precision],
    )
    if args.weights:
        dla_keras.load_pretrained(model, args.weights)
    return model


def drawing(model, val):
    """What shows its predictions on the way."""
    from dla_keras.inference.predictor import model_predictor
    from dla_keras.report.grids import prediction_grid

    predict = model_predictor(model)
    return lambda: prediction_grid(predict, val, count=4, width=256)


def validation(model, val):
    """What scores the model on the way."""
    from dla_keras.inference.predictor import model_predictor
    from dla_keras.tasks.segmentation import evaluate

    predict = model_predictor(model)
    return lambda watch: evaluate(predict, val, progress=watch)


def assemble_segmentation(args, strategy, plan, train, val):
    """The task: crops, network, loss and metric."""
    from dla_keras.data.augmentation import Augmentation
    from dla_keras.engine.assembly import assemble
    from dla_keras.tasks.segmentation import make_loss

    return assemble(
        args,
        strategy,
        plan,
        train,
        augment=Augmentation(
            parse_size(args.size),
            tuple(args.scale),
            args.rotation,
            jitter=args.jitter,
        ),
        make_model=lambda: make_model(args, train.info),
        loss_sums=make_loss(train, args.class_weighting, args.boundary_weight),
        validation=lambda model: validation(model, val),
        columns=("miou", "pixel_accuracy"),
        draw=lambda model: drawing(model, val),
    )


def write_results(run_dir, scores, train, val) -> None:
    """What a run leaves at its end, and its table on the terminal."""
    from dla_keras.inference.model_files import load_segmenter
    from dla_keras.inference.predictor import model_predictor
    from dla_keras.report.galleries import segmentation_galleries
    from dla_keras.report.grids import prediction_grid
    from dla_keras.report.page import write_report
    from dla_keras.tasks.segmentation import evaluate
    from dla_keras.tasks.segmentation import majority_baseline
    from dla_keras.tasks.segmentation import row_baseline

    baselines = {
        "majority class": majority_baseline(train),
        "class by row": row_baseline(train),
    }
    rows = {name: evaluate(b, val) for name, b in baselines.items()}
    scores["baselines"] = {
        name: {key: row[key] for key in ("miou", "pixel_accuracy")}
        for name, row in rows.items()
    }
    predict = model_predictor(load_segmenter(run_dir / "model.keras"))
    with atomic_path(run_dir / "predictions.png") as temporary:
        prediction_grid(predict, val).save(temporary)
    galleries = segmentation_galleries(predict, val, scores["per_picture"])
    write_report(run_dir / "report.html", scores, run_dir, galleries)
    write_json(run_dir / "metrics.json", scores)
    rows["trained"] = scores
    cells = [
        (name, f"{row['miou']:.3f}", f"{row['pixel_accuracy']:.3f}")
        for name, row in rows.items()
    ]
    print(text_table(("on val", "mIoU", "pixel accuracy"), cells))
    print(f"Written to {run_dir}: model.keras, metrics.json, report.html")


def train_segmenter(args) -> None:
    """Trains as `args` say, from the data to the run folder's files."""
    from dla_keras.data.segmentation import open_split
    from dla_keras.engine.assembly import run
    from dla_keras.engine.assembly import set_up
    from dla_keras.models.backbone import check_input_shape

    check_input_shape((*parse_size(args.size), 3))
    strategy = set_up(args)
    train = open_split(args.dataset, "train", args.data_dir)
    val = open_split(args.dataset, "val", args.data_dir)
    run_dir, scores = run(
        args,
        strategy,
        train,
        val,
        lambda plan: assemble_segmentation(args, strategy, plan, train, val),
    )
    if scores:
        write_results(run_dir, scores, train, val)


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: train_segmenter(args))


if __name__ == "__main__":
    sys.exit(main())
