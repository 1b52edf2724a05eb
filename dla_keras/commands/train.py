"""Training: flags over a recipe, then a task's row from data to a report."""

import argparse
import inspect
import pathlib
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING

from dla_keras.choices import check_range
from dla_keras.choices import parse_size
from dla_keras.commands.flags import FLAGS
from dla_keras.commands.flags import add_by_number
from dla_keras.commands.flags import add_task_flags
from dla_keras.commands.flags import read_fit
from dla_keras.commands.settings import as_recorded
from dla_keras.commands.settings import parse_arguments
from dla_keras.commands.shared import given_flags
from dla_keras.commands.shared import interval
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import say_choices
from dla_keras.commands.shared import say_wait
from dla_keras.data.datasets import ALLOWED
from dla_keras.data.datasets import DATASETS
from dla_keras.tables import text_table
from dla_keras.tasks.recipes import COMPUTE
from dla_keras.tasks.recipes import OPTIMIZERS
from dla_keras.tasks.recipes import RECIPES
from dla_keras.tasks.recipes import SCHEDULES

if TYPE_CHECKING:
    from dla_keras.data.fitting import Fit

CHECKED = ("segmentation", "detection", "classification")  # by `check`
LOGGERS = ("wandb", "mlflow")  # `engine/loggers`
STRATEGIES = ("one_device", "mirrored", "multi_worker")  # `engine/strategies`


def training_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """Return a parser with the flags of data, optimization, speed and the run.

    Args:
        command: Name of the command, for instance `"train-seg"`.
        doc: Its help.
    """
    parser = make_parser(command, doc)
    add = parser.add_argument
    add(
        "--recipe",
        help="set of flags to begin with: a name, a file as for --config, or "
        "list, which prints the names; default: the dataset's, if any",
    )
    add(
        "--config",
        metavar="FILE",
        help="YAML or JSON file of flags, for instance another run's "
        "config.json; flags override it",
    )
    add("--dataset", help="name of a dataset, or its folder")
    add("--data-dir", help="folder of the data, or TFDS' data folder")
    add_allow(parser)
    add(
        "--variant",
        default="dla34",
        help="backbone, a name in dla_keras.VARIANTS",
    )
    add(
        "--weights",
        help="weights to start from, of which all is taken that fits: "
        "imagenet, a file, the folder of a run, or none",
    )
    add_by_number(add)
    add(
        "--freeze-backbone",
        action="store_true",
        help="train the rest only: the backbone keeps its --weights, its batch "
        "norms their statistics",
    )
    _add_optimization(parser.add_argument_group("optimization").add_argument)
    _add_speed(parser.add_argument_group("speed").add_argument)
    _add_run(parser.add_argument_group("the run").add_argument)
    return parser


def add_allow(parser) -> None:
    """Add the flag that says which findings about labels are meant."""
    parser.add_argument(
        "--allow",
        nargs="+",
        choices=ALLOWED,
        default=(),
        metavar="WHAT",
        help="what the check of the labels takes for a fault, and is meant: "
        + "; ".join(f"{name}, {what}" for name, what in ALLOWED.items()),
    )


def _add_optimization(add):
    add(
        "--epochs",
        type=number_of("epochs"),
        help="length of the training; default: the recipe's",
    )
    add(
        "--steps",
        type=number_of("steps"),
        help="length in steps, instead of --epochs",
    )
    add(
        "--batch-size",
        type=number_of("batch_size"),
        default=4,
        help="images a step, over all replicas",
    )
    add("--optimizer", choices=OPTIMIZERS, default="sgd")
    rates = ", ".join(f"{n} {row[0]}" for n, row in OPTIMIZERS.items())
    add(
        "--learning-rate",
        type=number_of("learning_rate"),
        help="default: the recipe's; if --optimizer "
        f"is not the recipe's: {rates}",
    )
    decays = ", ".join(f"{n} {row[1]}" for n, row in OPTIMIZERS.items())
    add(
        "--weight-decay",
        type=number_of("weight_decay"),
        help=f"default: the recipe's; if --optimizer is not: {decays}",
    )
    add(
        "--schedule",
        choices=SCHEDULES,
        default="poly",
        help="course of the learning rate",
    )
    add(
        "--milestones",
        type=number_of("milestones"),
        nargs="+",
        default=(),
        help="shares of the run at which --schedule step drops to a tenth",
    )
    add(
        "--warmup-epochs",
        type=number_of("warmup_epochs"),
        default=0.0,
        help="epochs in which the learning rate rises to its full value",
    )
    add(
        "--backbone-rate",
        type=number_of("backbone_rate"),
        default=1.0,
        help="factor of the backbone's learning rate",
    )
    add(
        "--clip-norm",
        type=number_of("clip_norm"),
        help="largest norm of the gradient; default: no limit",
    )
    add(
        "--ema",
        type=number_of("ema"),
        help="evaluate and export a moving average of the weights, with this "
        "momentum, for instance 0.999; 0: no average",
    )
    add(
        "--recalibrate-bn",
        type=number_of("recalibrate_bn"),
        default=0,
        help="batches that batch norms' statistics are computed anew on, "
        "before each validation; 0: keep those of training",
    )
    add(
        "--seed",
        type=number_of("seed"),
        default=0,
        help="of all random numbers",
    )


def _add_speed(add):
    add(
        "--strategy",
        choices=("auto", *STRATEGIES),
        default="auto",
        help="devices to train on; auto: all GPUs of this machine, else its "
        "CPU; all machines where TF_CONFIG names them",
    )
    add(
        "--device",
        choices=("auto", "gpu", "cpu"),
        default="auto",
        help="gpu: an error where TensorFlow sees none; auto: GPUs, else the "
        "CPU",
    )
    add(
        "--compute",
        choices=tuple(COMPUTE),
        default="float32",
        help="number format to compute in; weights stay float32",
    )
    add("--jit", action="store_true", help="compile with XLA; one replica only")
    add(
        "--accumulate",
        type=number_of("accumulate"),
        default=1,
        help="parts that a batch is computed in, one after the other, to save "
        "memory",
    )
    add(
        "--steps-per-execution",
        type=number_of("steps_per_execution"),
        default=1,
        help="steps that run without a return to Python",
    )


def _add_run(add):
    add(
        "--validate-every",
        type=interval,
        metavar="N[steps|min]",
        help="time between validations: 5 (epochs), 500steps or 10min; 0: "
        "only at the end; default: each epoch, or as few as make 30 a run",
    )
    add(
        "--val-pictures",
        type=number_of("val_pictures"),
        help="pictures, evenly spread, that validations on the way look at; "
        "the scores at the end are of all; default: all",
    )
    add(
        "--patience",
        type=number_of("patience"),
        help="validations without a better score after which training ends; "
        "default: none",
    )
    add(
        "--logger",
        nargs="+",
        choices=LOGGERS,
        default=(),
        help="log to these services, too: W&B, MLflow; their own variables "
        "apply, for instance WANDB_PROJECT and MLFLOW_TRACKING_URI",
    )
    add(
        "--run-dir",
        help="folder of the run; default: runs/<dataset>-<variant>-<time>",
    )
    add(
        "--overwrite",
        action="store_true",
        help="begin anew in the folder of an earlier run; what that run wrote "
        "is lost, other files stay",
    )
    add(
        "--resume",
        default="auto",
        help="auto: from the run folder's newest "
        "checkpoint, if any; never; or the path of a checkpoint",
    )
    add(
        "--checkpoint-steps",
        type=number_of("checkpoint_steps"),
        default=0,
        help="steps between checkpoints; 0: by time only",
    )
    add(
        "--checkpoint-minutes",
        type=number_of("checkpoint_minutes"),
        default=10.0,
        help="minutes between checkpoints",
    )
    add(
        "--keep",
        type=number_of("keep"),
        default=3,
        help="number of checkpoints to keep, the last ones",
    )
    add(
        "--deterministic",
        action="store_true",
        help="the same command gives the same weights, to the last bit",
    )


def read_flags(task: str, command: str, doc: str, argv=None):
    """Return the flags of a training command, over the recipe they name.

    Args:
        task: Name of the task.
        command: Name of the command, for instance `"train-seg"`.
        doc: Its help.
        argv: Words of the command line. Defaults to `None`: the process' own.
    """
    parser = training_parser(command, doc)
    add_task_flags(parser, task, "training")
    recipes, other = RECIPES[task]
    args = parse_arguments(parser, recipes, other, argv)
    names = {*DATASETS, *(row["dataset"] for row in recipes.values())}
    args.dataset = as_recorded(args.dataset, names)
    args.data_dir = as_recorded(args.data_dir, ())
    given = given_flags(parser, argv)
    _check_ranges(parser, args)
    _check_lengths(parser, args, given)
    _check_weights(parser, args, given)
    for flag, table in (FLAGS[task].presets or {}).items():
        preset = table.get(vars(args)[flag], {})
        for name in sorted(given & preset.keys()):
            if vars(args)[name] != preset[name]:
                parser.error(
                    f"--{flag} {vars(args)[flag]} is {_flag(name)} "
                    f"{preset[name]}. Received: {_flag(name)} "
                    f"{vars(args)[name]}; leave one of the two out."
                )
        vars(args).update(preset)
    return args


def _flag(name):
    return f"--{name.replace('_', '-')}"


def _check_ranges(parser, args):
    """Refuse a range whose ends are the wrong way around."""
    for name in ("scale", "area", "aspect"):
        try:
            if values := getattr(args, name, None):
                check_range(name, values)
        except ValueError as error:
            parser.error(f"argument {_flag(name)}: {error}")


def _check_lengths(parser, args, given):
    """Refuse flags of which one would be ignored."""
    if {"steps", "epochs"} <= given:
        parser.error(
            "--steps and --epochs are the same length in two units: leave "
            "one of them out."
        )
    if "milestones" in given and args.schedule != "step":
        parser.error(
            "--milestones are for --schedule step. Received: --schedule "
            f"{args.schedule}; leave --milestones out."
        )


def _check_weights(parser, args, given):
    """Refuse flags about weights where there are none, or none that train."""
    if args.freeze_backbone and not args.weights:
        parser.error(
            "--freeze-backbone keeps weights that somebody trained. Received: "
            "no --weights; pass --weights imagenet, or a file."
        )
    if args.freeze_backbone and "backbone_rate" in given:
        parser.error(
            "--backbone-rate is for a backbone that trains. Received: "
            "--freeze-backbone; leave one of the two out."
        )
    others = args.weights or vars(args).get("teacher")
    if args.classes_by_number and not others:
        parser.error(
            "--classes-by-number is about the classes of --weights or a "
            "--teacher. Received: none; leave it out."
        )


def train(task: str, args) -> None:
    """Train as the flags say, from the data to the run folder's files."""
    from dla_keras.data.pipeline import require_crop_memory
    from dla_keras.engine.assembly import Ending
    from dla_keras.engine.assembly import run
    from dla_keras.engine.assembly import set_up
    from dla_keras.engine.run_folder import check_run_dir
    from dla_keras.models.backbone import check_input_shape
    from dla_keras.tasks import TASKS
    from dla_keras.tasks import options
    from dla_keras.weights.pretrained import require_preset

    row = TASKS[task]
    check_input_shape((*parse_size(args.size), 3))
    require_crop_memory(parse_size(args.size), args.batch_size)
    if args.run_dir:
        check_run_dir(args.run_dir, vars(args), args.overwrite)
    if args.weights:
        require_preset(args.weights, args.variant)
    strategy = set_up(args)
    source = {"data_dir": args.data_dir, **options(args, row.SPLIT_FLAGS)}
    splits = [
        row.open_split(args.dataset, split, **source)
        for split in ("train", "val")
    ]
    say_choices(splits[0])
    say_wait(splits)
    findings = row.check(*splits, args.allow)
    stop_at_errors(task, findings, args.dataset, args.data_dir)
    fit = working_fit(task, args, splits)
    splits = [
        row.working_split(split, fit, scored)
        for split, scored in zip(splits, (False, True), strict=True)
    ]
    ending = Ending(
        lambda *scored: rehearse(row, *scored, *splits),
        lambda run_dir, scores: finish(row, run_dir, scores, *splits),
    )
    run(row, args, strategy, *splits, ending)


def stop_at_errors(
    task: str, findings, dataset: str, data_dir: str | None
) -> None:
    """Print the warnings among findings about the data; raise its errors.

    Args:
        task: Name of the task.
        findings: Findings of the row's `check`, errors first.
        dataset: Name of the dataset, or its folder.
        data_dir: Folder of the data, or `None`.
    """
    errors = [row.message for row in findings if row.error]
    for row in findings[len(errors) :]:
        print(f"warning: {row.message}", file=sys.stderr)
    if errors and task not in CHECKED:
        raise ValueError(" ".join(errors))
    if errors:
        words = ["dla-keras", "check", "--task", task, "--dataset", dataset]
        if data_dir:
            words += ["--data-dir", data_dir]
        more = f" {len(errors) - 1} more:" if errors[1:] else " All about it:"
        raise ValueError(f"{errors[0]}{more} {shlex.join(words)}")


def working_fit(task: str, args, splits) -> "Fit":
    """Return the rule of the working size: the flags', or one for large photos.

    Data sets that have a recipe are trained at their pictures' own size. What
    is chosen here is told, and noted in `args` as if it were a flag.

    Args:
        task: Name of the task.
        args: Parsed flags of training.
        splits: Training and validation split.
    """
    from dla_keras.data.datasets import DATASETS
    from dla_keras.data.fitting import PAD
    from dla_keras.data.fitting import default_max_side
    from dla_keras.data.fitting import fit_of
    from dla_keras.data.fitting import longest_side

    if "max_side" not in vars(args):  # crops of whole pictures
        return PAD
    fit = read_fit(args)
    known = {row["dataset"] for row in RECIPES[task][0].values()}
    if fit is not None or args.dataset in known | set(DATASETS):
        return fit or PAD
    longest = longest_side(splits) or 0
    args.max_side = default_max_side(longest, parse_size(args.size))
    if args.max_side:
        print(
            f"Pictures of up to {longest} pixels a side are shrunk to "
            f"--max-side {args.max_side}, and masks come back at their own "
            "size; --max-side 0 trains without."
        )
    return fit_of(args.max_side)


def rehearse(row, find, few, scores: dict, train, val) -> None:
    """Write the report of a few pictures, and throw it away.

    Args:
        row: Row of the task.
        find: Finder of the row.
        few: Pictures that it scored.
        scores: Scores of them.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.engine.validation import FirstPictures

    one = FirstPictures(train), FirstPictures(val)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _write_end(row, folder, find, few, scores, row.baselines(*one))


def finish(row, run_dir, scores: dict, train, val) -> None:
    """Write what a run leaves at its end, and print its table.

    Args:
        row: Row of the task.
        run_dir: The run's folder, with `model.keras`.
        scores: Scores of the model on `val`.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.inference.model_files import open_model
    from dla_keras.inference.views import Views

    baselines = row.baselines(train, val)
    opened = open_model(run_dir / "model.keras")
    find = row.file_finder(opened, Views())
    print(_write_end(row, run_dir, find, val, scores, baselines))
    _warn_of_guesses(row, scores, baselines)
    print(f"Written to {run_dir}: model.keras, metrics.json, report.html")


def _write_end(row, folder, find, split, scores, baselines):
    """Write report and scores; return the table of them."""
    from dla_keras.commands.evaluate import write_results

    if baselines:
        scores = {**scores, "baselines": baselines}
    write_results(row, folder, find, split, {"this model": scores}, folder)
    rows = {**baselines, "trained": scores}
    table = {name: row.cells(each) for name, each in rows.items()}
    return text_table(
        ("on val", *table["trained"]),
        [(name, *cells.values()) for name, cells in table.items()],
    )


def _warn_of_guesses(row, scores, baselines) -> None:
    """Say that a network is no better than what looks at no picture."""
    key = next(iter(row.COLUMNS))
    guesses = {n: s[key] for n, s in baselines.items() if s[key] is not None}
    name = max(guesses, key=guesses.get, default=None)
    if name and (scores[key] or 0) < guesses[name]:
        print(
            f"The network is below {name!r}, which looks at no picture: it "
            "has learned nothing yet. Train it for more steps, or look at the "
            "labels with dla-keras check."
        )


class Training:
    """A training command: the docstring of its class is its help."""

    command = task = ""

    @classmethod
    def parse_flags(cls, argv=None):
        """Return the flags, over the recipe that they name."""
        return read_flags(cls.task, cls.command, inspect.getdoc(cls), argv)

    @classmethod
    def main(cls, argv=None) -> int:
        """Run the command; return its exit code."""
        args = cls.parse_flags(argv)
        return run_command(lambda: train(cls.task, args))


class TrainSeg(Training):
    """Train a DLA-Up segmentation network.

        dla-keras train-seg                      # embedded toy_streets
        dla-keras train-seg --dataset my_folder/ # images/, masks/, or an export
        dla-keras train-seg --recipe cityscapes --data-dir cityscapes/

    Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run
    folder `model.keras` and `best.keras`, `config.json`, `history.csv`,
    `steps.csv`, `metrics.json`, `predictions.png`, `report.html`, checkpoints
    and TensorBoard's events. After a stop of any kind the same command goes on
    where it was.
    """

    command, task = "train-seg", "segmentation"


class TrainCls(Training):
    """Train a DLA classifier.

        dla-keras train-cls                      # embedded digits
        dla-keras train-cls --dataset my_folder/ # <class>/<picture>
        dla-keras train-cls --recipe imagenet --data-dir tfds/
        dla-keras train-cls --recipe fine_grained --dataset cars196

    Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run
    folder `model.keras` and `best.keras`, `config.json`, `history.csv`,
    `steps.csv`, `metrics.json`, `confusion.png`, `report.html`, checkpoints
    and TensorBoard's events. After a stop of any kind the same command goes on
    where it was.
    """

    command, task = "train-cls", "classification"


class TrainBoundary(Training):
    """Train a DLA-Up boundary detector.

        dla-keras train-boundary          # edges of embedded toy_streets
        dla-keras train-boundary --recipe bsds500 --data-dir BSDS500/data
        dla-keras train-boundary --recipe pascal_boundary --data-dir lists/

    Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run
    folder `model.keras` and `best.keras`, `config.json`, `history.csv`,
    `steps.csv`, `metrics.json`, `predictions.png`, `precision_recall.png`,
    `report.html`, checkpoints and TensorBoard's events. After a stop of any
    kind the same command goes on where it was.
    """

    command, task = "train-boundary", "boundary"


class TrainDet(Training):
    """Train a DLA-Up detector of objects.

        dla-keras train-det                      # embedded toy_streets
        dla-keras train-det --dataset my_folder/ # COCO, PASCAL VOC or YOLO
        dla-keras train-det --recipe bccd        # blood cells, from TFDS

    Needs no flag. Trains on all GPUs, or on the CPU, and writes to the run
    folder `model.keras` and `best.keras`, `config.json`, `history.csv`,
    `steps.csv`, `metrics.json`, `predictions.png`, `precision_recall.png`,
    `report.html`, checkpoints and TensorBoard's events. After a stop of any
    kind the same command goes on where it was.
    """

    command, task = "train-det", "detection"
