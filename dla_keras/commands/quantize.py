"""Make a trained network smaller, with little more training.

    dla-keras quantize --model runs/x/model.keras
    dla-keras quantize --model runs/x/model.keras \\
        --method qat prune_qat cluster_qat prune_cluster_qat --sparsity 0.75

`qat` trains with quantization in the loop, `prune` makes many weights zero,
`cluster` leaves few numbers in a kernel; the others do one after another. Data
and crops are those of the model's run, from its config.json. In `--output`
each method gets a folder with `model.keras`, `config.json`, `metrics.json` and,
where it quantizes, `int8.tflite` and `ranges.json`; `table.md` compares all
methods there. The file is verified on pictures of the val split; below
`--min-agreement` the folder is not written and the exit code is 1. It takes
what segments, and detectors.
"""

import os
import pathlib
import sys
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dla_keras.choices import parse_size
from dla_keras.commands.flags import export_parser
from dla_keras.commands.flags import picture_size
from dla_keras.commands.flags import read_fit
from dla_keras.commands.shared import find_dataset
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import size_text
from dla_keras.commands.train import add_allow
from dla_keras.commands.train import stop_at_errors
from dla_keras.files import new_folder
from dla_keras.lite.options import METHODS
from dla_keras.provenance import command_line
from dla_keras.provenance import git_commit
from dla_keras.provenance import local_time
from dla_keras.provenance import machine
from dla_keras.provenance import read_beside
from dla_keras.variants import shipped_path

if TYPE_CHECKING:
    from dla_keras.lite.compress.fine_tuning import Surroundings

# What a run without such a setting is taken to have had.
RUN = {
    "steps": 2000,
    "batch_size": 4,
    "scale": (0.8, 1.25),
    "rotation": 0.0,
    "jitter": 0.1,
    "saturation": None,
    "tint": 0.0,
    "sharpness": 0.0,
    "even_scale": False,
    "reflect": False,
    "class_weighting": 0.0,
    "loss": (),
    "boundary_weight": 1.0,
}
# Settings of a run that fine-tuning goes without.
WITHOUT = {"teacher": None, "teacher_weight": None}

# Of one clustered DLA-34 on CamVid: 0.541 mIoU so, 0.535 with the running
# statistics.
RENEWAL_STEPS = 20


def parse_flags(argv):
    parser = export_parser("quantize", __doc__)
    add = parser.add_argument
    add_allow(parser)
    add(
        "--method",
        choices=METHODS,
        nargs="+",
        default=["qat"],
        help="one or more of these, each explained below",
    )
    add(
        "--output",
        help="folder of the results; default: compressed, beside the model",
    )
    add(
        "--steps",
        type=number_of("steps"),
        help="training steps of each stage of a method; default: a tenth of "
        "the run's",
    )
    add(
        "--batch-size",
        type=number_of("batch_size"),
        help="images a step; default: the run's",
    )
    # Half of DLA-34's weights pruned on CamVid, of 0.538 mIoU: 0.512 left at
    # 3e-5, 0.497 at 1e-4, 0.447 at 3e-4.
    add(
        "--learning-rate",
        type=number_of("learning_rate"),
        default=3e-5,
        help="learning rate at the start",
    )
    add(
        "--crop",
        type=size_text,
        metavar="HxW",
        help="size of the training crops; default: the run's",
    )
    add(
        "--sparsity",
        type=number_of("sparsity"),
        default=0.5,
        help="share of zeros that pruning leaves in a kernel",
    )
    add(
        "--clusters",
        type=number_of("clusters"),
        default=32,
        help="different numbers that clustering leaves in a kernel",
    )
    add(
        "--seed",
        type=number_of("seed"),
        default=1,
        help="of all random numbers",
    )
    add(
        "--strategy",
        choices=("auto", "one_device", "mirrored"),
        default="auto",
        help="devices to train on; auto: all GPUs of this machine, or the CPU",
    )
    add(
        "--size",
        type=size_text,
        metavar="HxW",
        help="size of int8.tflite, multiples of 32; default: just large enough "
        "for the val pictures at the working size",
    )
    add(
        "--calibration-pictures",
        type=number_of("calibration_pictures"),
        default=100,
        help="pictures of the train split that the first int8 ranges come from",
    )
    add(
        "--min-agreement",
        type=number_of("min_agreement"),
        help="least share of pixels with the Keras model's class; default: "
        "that of int8 in export-tflite",
    )
    add(
        "--threads",
        type=number_of("threads"),
        default=os.cpu_count(),
        help="threads that run a .tflite file",
    )
    return parser.parse_args(argv)


def run_settings(args) -> dict:
    """Return the settings of the model's run, and flags on top of them."""
    dataset, data_dir = find_dataset(args.model, args.dataset, args.data_dir)
    config = read_beside(args.model)
    run = {**RUN, **{k: v for k, v in config.items() if v is not None}}
    run |= {"dataset": dataset, "data_dir": data_dir}
    if args.batch_size:
        run["batch_size"] = args.batch_size
    run["size"] = args.crop or run.get("size")
    if read_fit(args):
        run |= {"max_side": args.max_side, "resize": args.resize}
    return run


def load_for(args):
    """Return the model to compress, at the working size that flags name."""
    from dla_keras.inference.model_files import load_model
    from dla_keras.tasks import TASKS
    from dla_keras.tasks.segmentation import working_size

    model = load_model(args.model)
    row = TASKS[model.tasks[0]]
    if not row.COMPRESSED:
        able = [name for name, each in TASKS.items() if each.COMPRESSED]
        raise ValueError(
            f"Expected a model for {' or '.join(able)}. Received: a "
            f"{type(model).__name__} in {args.model}; export-tflite "
            "--precision int8 makes it smaller without training."
        )
    if read_fit(args):
        model.working_size = working_size(args)
    return model


def surroundings(args, run, train, model, calibration) -> "Surroundings":
    """Return crops, loss and strategy, as in the run."""
    from dla_keras.data.pipeline import remember
    from dla_keras.data.pipeline import training_batches
    from dla_keras.engine.averages import BatchNormRenewal
    from dla_keras.engine.strategies import distribute
    from dla_keras.engine.strategies import is_shared
    from dla_keras.engine.strategies import make_strategy
    from dla_keras.lite.compress.fine_tuning import Surroundings
    from dla_keras.models.backbone import check_input_shape
    from dla_keras.tasks import TASKS

    row = TASKS[model.tasks[0]]
    strategy = make_strategy(args.strategy)
    if is_shared(strategy):
        raise ValueError(
            "quantize trains on one machine. Received: TF_CONFIG with "
            "several; unset it."
        )
    check_input_shape((*parse_size(run["size"]), 3))
    settings = run | WITHOUT | {"head_stride": model.head_stride}
    if "boundary" not in model.tasks:
        settings["boundary_weight"] = 0
    settings = SimpleNamespace(**settings)
    augment = row.augmentation(settings)
    train = remember(train)
    draw = partial(training_batches, train, augment, run["batch_size"])
    batches = lambda steps: distribute(
        strategy,
        lambda replicas, pipeline: draw(
            replicas, steps, args.seed, pipeline=pipeline
        ),
    )
    others = draw(1, RENEWAL_STEPS, args.seed + 1)
    renew = lambda model: BatchNormRenewal(model, others)()
    loss = row.loss_sums(settings, train)
    return Surroundings(batches, loss, calibration, renew, strategy)


def method_config(args, run, method, plan, around) -> dict:
    """Return the content of config.json: the run, and this on top."""
    fine_tuning = {
        "method": method,
        "steps": plan.steps,
        "learning_rate": plan.learning_rate,
        "sparsity": plan.sparsity,
        "clusters": plan.clusters,
        "seed": args.seed,
        "calibration_pictures": len(around.calibration),
        "replicas": around.strategy.num_replicas_in_sync,
        "model": str(args.model),
        "command": command_line(),
        "git": git_commit(),
        "machine": machine(),
        "time": local_time(),
    }
    return {**run, "fine_tuning": fine_tuning}


def open_splits(args, model, run) -> tuple:
    """Return the splits to train and to score on, in the model's classes."""
    from dla_keras.models.classes import KnownClasses
    from dla_keras.models.classes import in_model_order
    from dla_keras.tasks import TASKS

    row = TASKS[model.tasks[0]]
    known = KnownClasses(args.model, model.class_names, model.num_classes)
    by_number, once = args.classes_by_number, lambda remark: None
    source = run["dataset"], run["data_dir"]
    train = row.open_split(source[0], "train", source[1])
    val = row.open_split(source[0], "val", source[1])
    ordered = (
        in_model_order(train, known, by_number, once),
        in_model_order(val, known, by_number),
    )
    allow = args.allow or run.get("allow", ())
    found = row.check(train, val, allow)
    stop_at_errors(model.tasks[0], found, *source)
    return ordered


def quantize(args) -> None:
    from tqdm import tqdm

    from dla_keras.choices import spread
    from dla_keras.data.fitting import fit_of
    from dla_keras.inference.predictor import fit_picture
    from dla_keras.lite.compress.fine_tuning import FineTuning
    from dla_keras.lite.compress.fine_tuning import apply_method
    from dla_keras.lite.compress.folder import CONTENT
    from dla_keras.lite.compress.folder import METRICS
    from dla_keras.lite.compress.folder import Judge
    from dla_keras.lite.compress.folder import fill_folder
    from dla_keras.lite.compress.folder import measure_baselines
    from dla_keras.lite.compress.folder import write_table
    from dla_keras.lite.convert.pipeline import require_memory
    from dla_keras.tasks import TASKS

    run = run_settings(args)
    model = load_for(args)
    train, val = open_splits(args, model, run)
    fit = fit_of(model.working_size)
    row = TASKS[model.tasks[0]]
    train = row.working_split(train, fit)
    seen = row.working_split(val, fit)
    held_out = [e.image for e in spread(seen, args.verification_pictures)]
    size = picture_size(args.size, held_out, fit)
    require_memory(model, size)
    calibration = [
        fit_picture(example.image, *size, fit)
        for example in spread(train, args.calibration_pictures)
    ]
    run["size"] = run["size"] or "x".join(map(str, size))
    plan = FineTuning(
        args.steps or max(1, run["steps"] // 10),
        args.learning_rate,
        args.sparsity,
        args.clusters,
    )
    around = surroundings(args, run, train, model, calibration)
    judge = Judge(
        row,
        val,
        size,
        held_out,
        args.threads,
        fit,
        args.min_agreement,
        lambda indices, label: tqdm(
            indices, f"score {label}", leave=False, disable=None
        ),
    )
    beside = pathlib.Path(args.model).parent
    if beside == shipped_path("streets").parent:
        beside = pathlib.Path("streets")  # not into the package
    output = pathlib.Path(args.output or beside / "compressed")
    before = measure_baselines(model, args.model, calibration, judge)
    finished = {}  # what several methods begin with
    for method in args.method:
        with new_folder(output / method, METRICS, CONTENT) as folder:
            model = load_for(args)
            ranges = apply_method(model, method, plan, around, finished)
            config = method_config(args, run, method, plan, around)
            fill_folder(folder, model, method, ranges, judge, config, before)
    print(write_table(output))
    print(f"Written to {output}: {', '.join(args.method)}, table.md")


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: quantize(args))


if __name__ == "__main__":
    sys.exit(main())
