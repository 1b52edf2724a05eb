"""Trains a DLA-Up boundary detector.

    dla-keras train-boundary          # edges of embedded toy_streets
    dla-keras train-boundary --recipe bsds500 --data-dir BSDS500/data
    dla-keras train-boundary --recipe pascal_boundary --data-dir lists/

Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run folder
`model.keras` and `best.keras`, `config.json`, `history.csv`, `steps.csv`,
`metrics.json`, `predictions.png`, `precision_recall.png`, `report.html`,
checkpoints and TensorBoard's events. After a stop of any kind the same command
goes on where it was.
"""

import sys
from functools import partial

from dla_keras.commands.shared import parse_size
from dla_keras.commands.shared import run_command
from dla_keras.commands.training_flags import PRECISIONS
from dla_keras.commands.training_flags import parse_arguments
from dla_keras.commands.training_flags import training_parser
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.tasks.recipes import BOUNDARIES

RULES = ("any", "consensus", "soft")  # as in `data/boundaries.py`


def parse_flags(argv=None):
    """The flags, over the recipe that they name."""
    parser = training_parser("train-boundary", __doc__)
    add = parser.add_argument_group("boundaries").add_argument
    add("--head-stride", type=int, default=2, help="2, 4, 8 or 16")
    add("--upsampling", default="bilinear", help="bilinear or learned")
    add("--node", default="conv", help="of DLA-Up: conv or separable")
    add("--size", help="of the crops, height x width")
    add("--scale", type=float, nargs=2, help="zoom range")
    add("--rotation", type=float, help="degrees, either way")
    add("--jitter", type=float, help="of colours")
    add(
        "--annotators",
        choices=RULES,
        default="consensus",
        help="how their drawings are combined",
    )
    add(
        "--positive-weight",
        type=float,
        default=10.0,
        help="of a boundary pixel's loss",
    )
    add("--thresholds", type=int, default=9, help="of the validations")
    return parse_arguments(parser, BOUNDARIES, "bsds500", argv)


def make_model(args, info):
    """The network, with its weights to start from."""
    import dla_keras

    model = dla_keras.DLABoundaryDetector(
        args.variant,
        head_stride=args.head_stride,
        upsampling=args.upsampling,
        node=args.node,
        mean=info.mean,
        std=info.std,
        dtype=PRECISIONS[args.precision],
    )
    if args.weights:
        dla_keras.load_pretrained(model, args.weights)
    return model


def validation(model, val, thresholds):
    """What scores the model on the way."""
    from dla_keras.inference.predictor import boundary_predictor
    from dla_keras.tasks.boundary import evaluate_boundary_split
    from dla_keras.tasks.boundary import soft_boundaries

    find = soft_boundaries(boundary_predictor(model))
    return lambda watch: evaluate_boundary_split(
        find, val, thresholds, progress=watch
    )


def drawing(model, val):
    """What shows its predictions on the way."""
    from dla_keras.inference.predictor import boundary_predictor
    from dla_keras.report.grids import boundary_grid
    from dla_keras.tasks.boundary import soft_boundaries

    find = soft_boundaries(boundary_predictor(model))
    return lambda: boundary_grid(find, val, count=4, width=256)


def assemble_boundaries(args, strategy, plan, train, val):
    """The task: crops, network, loss and metric."""
    from dla_keras.data.augmentation import Augmentation
    from dla_keras.engine.assembly import assemble
    from dla_keras.tasks.losses import boundary_cross_entropy_sums

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
        loss_sums=partial(
            boundary_cross_entropy_sums, positive_weight=args.positive_weight
        ),
        validation=lambda model: validation(model, val, args.thresholds),
        columns=("ods_f", "ois_f", "ap"),
        draw=lambda model: drawing(model, val),
    )


def write_results(run_dir, scores, val) -> None:
    """What a run leaves at its end."""
    from dla_keras.inference.model_files import load_boundary_model
    from dla_keras.inference.predictor import boundary_predictor
    from dla_keras.report.charts import precision_recall_figure
    from dla_keras.report.galleries import boundary_galleries
    from dla_keras.report.grids import boundary_grid
    from dla_keras.report.page import write_report
    from dla_keras.tasks.boundary import soft_boundaries

    model = load_boundary_model(run_dir / "model.keras")
    find = soft_boundaries(boundary_predictor(model))
    write_json(run_dir / "metrics.json", scores)
    precision_recall_figure({"DLA": scores}, run_dir / "precision_recall.png")
    with atomic_path(run_dir / "predictions.png") as temporary:
        boundary_grid(find, val).save(temporary)
    galleries = boundary_galleries(find, val, scores["pictures"])
    write_report(run_dir / "report.html", scores, run_dir, galleries)
    print(
        f"ODS {scores['ods_f']:.3f}, OIS {scores['ois_f']:.3f}, AP "
        f"{scores['ap']:.3f} on {len(val)} pictures. Written to {run_dir}: "
        "model.keras, metrics.json, report.html"
    )


def train_detector(args) -> None:
    """Trains as `args` say, from the data to the run folder's files."""
    from dla_keras.data.boundaries import open_boundary_split
    from dla_keras.engine.assembly import run
    from dla_keras.engine.assembly import set_up
    from dla_keras.models.backbone import check_input_shape

    check_input_shape((*parse_size(args.size), 3))
    strategy = set_up(args)
    source = (args.data_dir, args.annotators)
    train = open_boundary_split(args.dataset, "train", *source)
    val = open_boundary_split(args.dataset, "val", *source)
    run_dir, scores = run(
        args,
        strategy,
        train,
        val,
        lambda plan: assemble_boundaries(args, strategy, plan, train, val),
    )
    if scores:
        write_results(run_dir, scores, val)


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: train_detector(args))


if __name__ == "__main__":
    sys.exit(main())
