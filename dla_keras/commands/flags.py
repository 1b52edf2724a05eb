"""The flags that several commands share, a row a task: read before Keras.

Training has its own in `train.py`.
"""

import argparse
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from dla_keras.choices import parse_size
from dla_keras.commands.shared import find_dataset
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import size_text
from dla_keras.files import check_target
from dla_keras.provenance import read_beside
from dla_keras.tasks.recipes import BALANCED
from dla_keras.variants import PHONE_DETECTORS
from dla_keras.variants import PHONE_SEGMENTERS
from dla_keras.variants import shipped_path


@dataclass(frozen=True)
class TaskFlags:
    """Flags of one task: names and what `add_argument` takes of them.

    Args:
        training: Flags of its training command.
        inference: Flags of `evaluate` and `predict`. Defaults to none.
        evaluation: Flags of `evaluate` alone. Defaults to none.
        presets: Flag -> its value -> the flags that it stands for. Defaults to
            none.
    """

    training: dict[str, dict]
    inference: dict[str, dict] | None = None
    evaluation: dict[str, dict] | None = None
    presets: dict[str, dict] | None = None


def _number(name, help_text, default=None):
    return {"type": number_of(name), "default": default, "help": help_text}


def _range(name, help_text):
    return {"type": number_of(name), "nargs": 2, "help": help_text}


_SIZE = {"type": size_text, "help": "size of the crops, height x width"}
WORKING_SIZE = {
    "--max-side": {
        "type": number_of("max_side"),
        "metavar": "PIXELS",
        "help": "working size: pictures whose longer side is longer are shrunk "
        "to it, and masks come back at the pictures' own size; 0: none; "
        "default: the model's, and for training twice the crop's longer side "
        "(at least 512) where pictures of a folder are longer than 2048",
    },
    "--resize": {
        "type": size_text,
        "metavar": "HxW",
        "help": "another working size: every picture is stretched to it",
    },
}


def _weight_or_balance(text):
    return text if text == BALANCED else number_of("positive_weight")(text)


def _head_stride(default):
    return {
        "--head-stride": {
            "type": int,
            "choices": (2, 4, 8, 16),
            "default": default,
            "help": "side of the image over that of the head's output: 2, 4, "
            "8 or 16; 2 for what is small",
        }
    }


_DENSE = {
    **WORKING_SIZE,
    "--upsampling": {
        "default": "bilinear",
        "help": "how features are enlarged: bilinear or learned",
    },
    "--node": {"default": "conv", "help": "DLA-Up's nodes: conv or separable"},
    "--size": _SIZE,
    "--scale": _range("scale", "smallest and largest zoom"),
    "--rotation": _number(
        "rotation", "largest rotation, in degrees, either way"
    ),
    "--jitter": _number("jitter", "largest change of colors, 0 to 1"),
}
_LABEL_MAPS = {
    **_DENSE,
    "--even-scale": {
        "action": argparse.BooleanOptionalAction,
        "default": False,
        "help": "draw the zoom evenly between the ends of --scale, as the "
        "authors do; default: evenly in its logarithm",
    },
    "--reflect": {
        "action": argparse.BooleanOptionalAction,
        "default": False,
        "help": "reflect pictures at their borders where a crop is larger, as "
        "the authors do; default: ImageNet's mean color",
    },
    "--saturation": _number(
        "saturation", "largest change of the saturation; default: --jitter"
    ),
    "--tint": _number(
        "tint",
        "largest change of red, green and blue, each on its own, 0 to 1: light "
        "and skies of other colors than the data's",
        0.0,
    ),
    "--sharpness": _number(
        "sharpness", "largest change of the sharpness, 0 to 1", 0.0
    ),
}

FLAGS = {
    "segmentation": TaskFlags(
        inference=WORKING_SIZE,
        training={
            **_head_stride(4),
            **_LABEL_MAPS,
            "--phone": {
                "choices": tuple(PHONE_SEGMENTERS),
                "help": "a small network, instead of --variant and --node",
            },
            "--class-weighting": _number(
                "class_weighting",
                "loss weight of a class: its frequency to minus this power",
                0.0,
            ),
            "--class-sampling": _number(
                "class_sampling",
                "above 0, a class is drawn by its frequency to minus this "
                "power, then a picture that shows it, then a crop about it",
                0.0,
            ),
            "--loss": {
                "nargs": "+",
                "choices": ("cross_entropy", "ohem", "dice", "lovasz"),
                "default": (),
                "help": "losses to add up: cross_entropy of all pixels, ohem "
                "of the hardest quarter; dice and lovasz of whole classes, "
                "which count alike, thin or large; default: cross_entropy",
            },
            "--teacher": {
                "metavar": "MODEL",
                "help": "a .keras file of a segmenter of the same classes, "
                "whose probabilities are learned beside the labels",
            },
            "--teacher-weight": _number(
                "teacher_weight",
                "weight of the distance to the teacher's probabilities; "
                "default: 1",
            ),
            "--boundary-weight": {
                "type": number_of("boundary_weight"),
                "default": 0.0,
                "help": "above 0, the boundaries between classes are learned "
                "too, with this weight in the loss",
            },
        },
        presets={"phone": PHONE_SEGMENTERS},
    ),
    "boundary": TaskFlags(
        training={
            **_head_stride(2),
            **_LABEL_MAPS,
            "--annotators": {
                "choices": ("any", "consensus", "soft"),
                "default": "consensus",
                "help": "how several drawings of one picture are combined",
            },
            "--positive-weight": {
                "type": _weight_or_balance,
                "metavar": "WEIGHT",
                "default": 10.0,
                "help": "weight of boundary pixels in the loss, or balanced: "
                "as much as the rest of their picture",
            },
            "--thresholds": {
                "type": number_of("thresholds"),
                "default": 9,
                "help": "number of thresholds in validations",
            },
        },
        inference={
            **WORKING_SIZE,
            "--nms": {
                "action": argparse.BooleanOptionalAction,
                "help": "thin boundaries to ridges; default: a model's yes, "
                "those of other detectors no",
            },
        },
        evaluation={
            "--predictions": {
                "metavar": "FOLDER",
                "help": "boundary maps of any detector, instead of --model",
            },
            "--ground-truth": {
                "metavar": "FOLDER",
                "help": ".mat files (or .png, .npy), for --predictions",
            },
            "--thresholds": {
                "type": number_of("thresholds"),
                "default": 99,
                "help": "number of thresholds to score boundaries at",
            },
            "--processes": {
                "type": number_of("processes"),
                "help": "processes that match boundaries; default: one per "
                "processor",
            },
        },
    ),
    "classification": TaskFlags(
        training={
            "--size": _SIZE,
            "--crop-fraction": _number(
                "crop_fraction",
                "share of a picture's side that a test crop has",
                0.875,
            ),
            "--area": _range(
                "area", "smallest and largest share of a picture in a crop"
            ),
            "--aspect": _range(
                "aspect", "smallest and largest width over height of a crop"
            ),
            "--flip": {
                "action": argparse.BooleanOptionalAction,
                "default": True,
                "help": "mirror half of the crops; default: the recipe's",
            },
            "--jitter": _number(
                "jitter", "largest change of colors, 0 to 1", 0.0
            ),
            "--mixup": _number(
                "mixup",
                "mix two pictures: alpha of the Beta distribution of "
                "their shares; 0: no mixup",
                0.0,
            ),
            "--cutmix": _number(
                "cutmix",
                "paste one picture into another: alpha of the Beta "
                "distribution of its share; 0: no CutMix",
                0.0,
            ),
            "--label-smoothing": _number(
                "label_smoothing",
                "share of the label that is spread over all classes",
                0.0,
            ),
            "--dropout": _number(
                "dropout",
                "share of features dropped before the last layer",
                0.0,
            ),
            "--drop-path": _number(
                "drop_path",
                "rate of stochastic depth in the backbone's last level",
                0.0,
            ),
        },
        inference={
            "--size": {
                "type": size_text,
                "metavar": "HxW",
                "help": "size of the test crops; default: the file's or the "
                "run's",
            },
            "--crop-fraction": _number(
                "crop_fraction",
                "share of a picture's side that a test crop has; default: the "
                "file's or the run's",
            ),
        },
    ),
    "detection": TaskFlags(
        inference=WORKING_SIZE,
        training={
            **_head_stride(4),
            "--head-filters": _number(
                "head_filters", "channels between the layers of a head", 256
            ),
            **_DENSE,
            "--phone": {
                "choices": tuple(PHONE_DETECTORS),
                "help": "a small network, instead of --variant, --node and "
                "--head-filters",
            },
        },
        presets={"phone": PHONE_DETECTORS},
    ),
}


def add_by_number(add) -> None:
    """Add the flag that takes classes by number, whatever their names are.

    Args:
        add: Method `add_argument` of a parser or a group.
    """
    add(
        "--classes-by-number",
        action="store_true",
        help="take class 0 for class 0, and so on, where the names of the "
        "model's classes and the data's differ",
    )


def add_task_flags(parser, task: str, kind: str) -> None:
    """Add the flags of a task to a parser, in a group of their own.

    Args:
        parser: Parser of a command.
        task: Name of the task.
        kind: Field of `TaskFlags`, for instance `"training"`.
    """
    flags = getattr(FLAGS[task], kind)
    if not flags:
        return
    group = parser.add_argument_group(task)
    for name, settings in flags.items():
        group.add_argument(name, **settings)


def shared_flags(*kinds: str) -> dict[str, dict]:
    """Return the flags of all tasks, each once, with the tasks that share it.

    Args:
        kinds: Fields of `TaskFlags` that one parser has, for instance
            `"inference"`.

    Returns:
        Tasks, with commas between -> flag -> what `add_argument` takes.

    Raises:
        ValueError: If a flag differs between tasks.
    """
    flags, owners = {}, {}
    for task, of_task in FLAGS.items():
        for kind in kinds:
            for name, settings in (getattr(of_task, kind) or {}).items():
                if flags.setdefault(name, settings) != settings:
                    raise ValueError(
                        "Expected a flag to be the same for every task. "
                        f"Received: {name} of {owners[name][0]} and another "
                        f"of {task}; give one of them another name."
                    )
                owners.setdefault(name, []).append(task)
    groups = {}
    for name, settings in flags.items():
        title = ", ".join(dict.fromkeys(owners[name]))
        groups.setdefault(title, {})[name] = settings
    return groups


def add_inference_flags(parser, *kinds: str) -> None:
    """Add the flags of `evaluate` and `predict` to a parser.

    Args:
        parser: Parser of a command.
        kinds: Fields of `TaskFlags` beside `"inference"`.
    """
    add = parser.add_argument
    add(
        "--task",
        choices=tuple(FLAGS),
        help="one task of a model that has several; default: all of them",
    )
    add(
        "--threads",
        type=number_of("threads"),
        default=2,
        help="threads that run a .tflite file",
    )
    add(
        "--scales",
        help="average the results at these sizes, for instance 0.5,1,1.5",
    )
    add(
        "--flip",
        action="store_true",
        help="average the results with those of the mirror image",
    )
    add(
        "--tile",
        type=size_text,
        help="go through a picture in tiles of HxW, which takes less memory",
    )
    add(
        "--overlap",
        type=number_of("overlap"),
        help="overlap of the tiles, in pixels; needs --tile; default: 128",
    )
    for title, flags in shared_flags("inference", *kinds).items():
        group = parser.add_argument_group(title)
        for name, settings in flags.items():
            group.add_argument(name, **settings)


def refuse_others(given: set[str], tasks) -> None:
    """Raise `ValueError` if flags are for other tasks than a model's.

    Args:
        given: Names of the flags of a command line; see `given_flags`.
        tasks: Tasks that are done.
    """
    for title, flags in shared_flags("inference", "evaluation").items():
        for flag in flags:
            name = flag.lstrip("-").replace("-", "_")
            if name in given and not set(title.split(", ")) & set(tasks):
                raise ValueError(
                    f"{flag} is for {title}. Received: a model for "
                    f"{' and '.join(tasks)}; leave {flag} out."
                )


def read_fit(args):
    """Return the rule of the working size that flags name; `None` for none.

    Raises:
        ValueError: If there are two, or it is no size.
    """
    from dla_keras.data.fitting import fit_of

    if not (args.resize or args.max_side):
        return None if args.max_side is None else fit_of(None)
    from dla_keras.models.backbone import MAX_STRIDE

    if args.resize and args.max_side:
        raise ValueError(
            "--max-side and --resize are two working sizes: leave one out."
        )
    if args.resize:
        size = parse_size(args.resize)
        if min(size) < 1 or any(side % MAX_STRIDE for side in size):
            raise ValueError(
                "--resize is HEIGHTxWIDTH in multiples of "
                f"{MAX_STRIDE}. Received: {args.resize}."
            )
        return fit_of(size)
    if args.max_side < MAX_STRIDE:
        raise ValueError(
            f"--max-side is at least {MAX_STRIDE} pixels, or 0 for the "
            f"pictures' own size. Received: {args.max_side}."
        )
    return fit_of(args.max_side)


def model_fit(args, model):
    """Return the rule of pictures' working size: the flags', or the model's.

    Args:
        args: Parsed flags of an export.
        model: Model of any task.

    Raises:
        ValueError: If a flag is wrong, or the model is a classifier.
    """
    from dla_keras.data.fitting import fit_of

    fit = read_fit(args)
    if fit and "classification" in model.tasks:
        raise ValueError(
            "--max-side and --resize are for what finds something in each "
            "pixel; a classifier sees a crop, whose size is --size."
        )
    return fit or fit_of(model.working_size)


def read_views(args):
    """Return what a model sees of a picture, as the flags ask.

    Args:
        args: Parsed flags.

    Raises:
        ValueError: If a flag is wrong.
    """
    from dla_keras.inference.views import DEFAULT_OVERLAP
    from dla_keras.inference.views import Views
    from dla_keras.inference.views import check_tile
    from dla_keras.inference.views import parse_scales

    tile = parse_size(args.tile) if args.tile else None
    overlap = DEFAULT_OVERLAP if args.overlap is None else args.overlap
    if tile:
        check_tile(tile, overlap)
    elif args.overlap is not None:
        raise ValueError(
            "--overlap needs tiles: pass --tile HEIGHTxWIDTH, too."
        )
    return Views(
        scales=parse_scales(args.scales) if args.scales else (1.0,),
        flip=args.flip,
        tile=tile,
        overlap=overlap,
        nms=args.nms is not False,
        size=parse_size(args.size) if args.size else None,
        crop_fraction=args.crop_fraction,
    )


def chosen_tasks(opened, task: str | None) -> tuple[str, ...]:
    """Return the tasks to do with a model file: one, or all that it is for.

    Args:
        opened: An opened model file.
        task: Value of `--task`, or `None`.

    Raises:
        ValueError: If the file is not for that task.
    """
    if task is None:
        return opened.tasks
    if task not in opened.tasks:
        raise ValueError(
            f"Expected a model for {task}. Received: {opened.name}, which is "
            f"for {' and '.join(opened.tasks)}; leave --task out, or pass "
            "another --model."
        )
    return (task,)


def export_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """Return a parser with what every export needs: a model and pictures.

    Args:
        command: Name of the command, for instance `"export-tflite"`.
        doc: Docstring of its module.
    """
    parser = make_parser(command, doc)
    parser.add_argument(
        "--model",
        required=True,
        type=lambda text: str(shipped_path(text)),
        help="a .keras file",
    )
    parser.add_argument(
        "--dataset",
        help="a name or a folder; default: the dataset of the model's run, "
        "from config.json beside it",
    )
    parser.add_argument(
        "--data-dir", help="folder of the data; default: the run's"
    )
    add_by_number(parser.add_argument)
    group = parser.add_argument_group(
        "working size, where it shall be another one than the model's"
    )
    for name, settings in WORKING_SIZE.items():
        group.add_argument(name, **settings)
    parser.add_argument(
        "--verification-pictures",
        type=number_of("verification_pictures"),
        default=20,
        help="pictures of the val split on which the outputs are compared",
    )
    return parser


def picture_size(text: str | None, pictures, fit) -> tuple[int, int]:
    """Return `--size`, or what holds all pictures in multiples of 32.

    Args:
        text: Value of `--size`, or `None`.
        pictures: Images of a split.
        fit: Rule of their working size.
    """
    from dla_keras.inference.predictor import size_for
    from dla_keras.lite.convert.graph import check_size

    if text is None:
        return size_for(pictures, fit)
    size = parse_size(text)
    check_size(size)
    return size


def read_pictures(
    model, args, split: str, count: int, change: Callable = lambda p: p
) -> list:
    """Return pictures spread evenly over a split, the same every time.

    Args:
        model: Model of any task.
        args: Parsed flags of `export_parser`.
        split: `"train"` to calibrate, `"val"` to verify.
        count: Number of pictures, at most.
        change: Function that each picture goes through when it is read: not
            all large ones are in memory at once. Defaults to none.

    Raises:
        ValueError: If the dataset has other classes than the model.
    """
    from dla_keras.choices import spread
    from dla_keras.models.classes import KnownClasses
    from dla_keras.models.classes import in_model_order
    from dla_keras.tasks import TASKS

    dataset, data_dir = find_dataset(args.model, args.dataset, args.data_dir)
    examples = TASKS[model.tasks[0]].open_split(dataset, split, data_dir)
    say = print if split == "val" else lambda remark: None  # once
    in_model_order(
        examples,
        KnownClasses(str(args.model), model.class_names, model.num_classes),
        args.classes_by_number,
        say,
    )
    indices = spread(range(len(examples)), count)
    return [change(examples[index].image) for index in indices]


def crop_size(model_path) -> str:
    """Return the size of a classifier's crops, as its run recorded it."""
    size = read_beside(model_path).get("size")
    if not size:
        raise ValueError(
            "The size of the crops is not known: there is no config.json of "
            f"the run beside {model_path}. Pass --size HxW."
        )
    return size


def print_table(rows: dict) -> None:
    """Print names and values in two columns."""
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        print(f"{name:<{width}}{value}")


def check_file(path) -> None:
    """Raise `ValueError` if no file can be at a path: before the work."""
    if pathlib.Path(path).suffix != ".tflite" and not os.path.isdir(path):
        raise ValueError(
            "--output is a .tflite file, and overwrites no other kind. "
            f"Received: {path}."
        )
    check_target(path, "--output", ".tflite file")
