"""The flags that all training commands share, and how recipes fill them."""

import argparse

from dla_keras.choices import did_you_mean
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import positive
from dla_keras.tasks.recipes import COMPUTE
from dla_keras.tasks.recipes import OPTIMIZERS
from dla_keras.tasks.recipes import SCHEDULES

STRATEGIES = ("one_device", "mirrored", "multi_worker")  # `engine/strategies`


def training_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """Return a parser with the flags of data, optimization, speed and the run.

    Args:
        command: Name of the command, for instance `"train-seg"`.
        doc: Docstring of its module.
    """
    parser = make_parser(command, doc)
    add = parser.add_argument
    add(
        "--recipe",
        help="a row of dla_keras/tasks/recipes.py; default: the "
        "one named as the dataset, if any",
    )
    add("--dataset", help="a name, or a folder")
    add("--data-dir", help="folder of the data, or TFDS' data folder")
    add("--variant", default="dla34", help="a row of dla_keras.VARIANTS")
    add("--weights", help="to start from: imagenet, a file, or none")
    _add_optimization(parser.add_argument_group("optimization").add_argument)
    _add_speed(parser.add_argument_group("speed").add_argument)
    _add_run(parser.add_argument_group("the run").add_argument)
    return parser


def _add_optimization(add):
    add("--epochs", type=positive, help="default: the recipe's")
    add("--steps", type=int, help="instead of --epochs")
    add("--batch-size", type=positive, default=4, help="over all replicas")
    add("--optimizer", choices=OPTIMIZERS, default="sgd")
    rates = ", ".join(f"{n} {row[0]}" for n, row in OPTIMIZERS.items())
    add(
        "--learning-rate",
        type=float,
        help="default: the recipe's, or with "
        f"another optimizer than its own {rates}",
    )
    decays = ", ".join(f"{n} {row[1]}" for n, row in OPTIMIZERS.items())
    add(
        "--weight-decay", type=float, help=f"default: the recipe's, or {decays}"
    )
    add("--schedule", choices=SCHEDULES, default="poly")
    add(
        "--milestones",
        type=float,
        nargs="+",
        default=(),
        help="shares of the run at which --schedule step drops to a tenth",
    )
    add("--warmup-epochs", type=float, default=0.0)
    add(
        "--backbone-rate",
        type=float,
        default=1.0,
        help="factor of the backbone's learning rate",
    )
    add("--clip-norm", type=float, help="largest norm of the gradient")
    add(
        "--ema",
        type=float,
        help="momentum of an average of the weights, "
        "which is then evaluated and exported, for instance 0.999; 0: none",
    )
    add(
        "--recalibrate-bn",
        type=int,
        default=0,
        help="batches to renew batch norms' statistics with, before each "
        "validation; 0: the running ones",
    )
    add("--seed", type=int, default=0)


def _add_speed(add):
    add("--strategy", choices=("auto", *STRATEGIES), default="auto")
    add("--compute", choices=tuple(COMPUTE), default="float32")
    add("--jit", action="store_true", help="XLA; one replica only")
    add(
        "--accumulate",
        type=positive,
        default=1,
        help="microbatches a step, to save memory",
    )
    add("--steps-per-execution", type=positive, default=1)


def _add_run(add):
    add("--validate-every", type=int, default=1, help="epochs; 0: at the end")
    add("--run-dir", help="default: runs/<dataset>-<variant>-<time>")
    add("--overwrite", action="store_true", help="an earlier run's folder")
    add(
        "--resume",
        default="auto",
        help="auto: from the run folder's newest "
        "checkpoint, if any; never; or the path of a checkpoint",
    )
    add("--checkpoint-steps", type=int, default=0, help="0: by time only")
    add("--checkpoint-minutes", type=float, default=10.0)
    add("--keep", type=positive, default=3, help="of the last checkpoints")
    add(
        "--deterministic",
        action="store_true",
        help="the same command gives the same weights, to the last bit",
    )


def parse_arguments(parser, recipes: dict, other: str, argv=None):
    """Read the flags over the recipe that they name.

    Args:
        parser: Parser with all flags.
        recipes: Values of flags by the name of the recipe; the first one is
            the command's default.
        other: Name of the recipe for datasets that have none.
        argv: Words of the command line. Defaults to `None`: the process' own.

    Returns:
        A namespace; either `epochs` or `steps` is `None`.
    """
    name = _named_recipe(recipes, other, argv)
    if name not in recipes:
        near = did_you_mean(name, recipes)
        parser.error(
            f"argument --recipe: expected one of {', '.join(recipes)}. "
            f"Received: {name}.{near}"
        )
    recipe = dict(recipes[name])
    # These hang together: a flag replaces the recipe's values as a group.
    length = {key: recipe.pop(key, None) for key in ("epochs", "steps")}
    tuned = {key: recipe.pop(key) for key in ("learning_rate", "weight_decay")}
    parser.set_defaults(**recipe, recipe=name)
    args = parser.parse_args(argv)
    if args.epochs is None and args.steps is None:
        args.epochs, args.steps = length["epochs"], length["steps"]
    if args.optimizer != recipe["optimizer"]:
        tuned = dict(zip(tuned, OPTIMIZERS[args.optimizer], strict=True))
    for key, value in tuned.items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.weights == "none":
        args.weights = None
    return args


def _named_recipe(recipes, other, argv):
    """Return the named recipe, or the dataset's, or the first one."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe")
    parser.add_argument("--dataset")
    named, _ = parser.parse_known_args(argv)
    if named.recipe:
        return named.recipe
    names = {row["dataset"]: name for name, row in reversed(recipes.items())}
    return names.get(
        named.dataset, other if named.dataset else next(iter(recipes))
    )
