"""What a run is told: flags over `--config` over a recipe, each a set of flags.

A file of flags is YAML or JSON; a run's own `config.json` is one, too.
"""

import argparse
import functools
import os
import pathlib
from collections.abc import Mapping

from dla_keras.choices import did_you_mean
from dla_keras.files import read_json
from dla_keras.files import read_text
from dla_keras.provenance import RENAMED
from dla_keras.tables import text_table
from dla_keras.tasks.recipes import OPTIMIZERS

LIST = "list"  # value of `--recipe` that prints them
# What `config.json` says of a run beside its settings.
FACTS = {
    "command",
    "data",
    "git",
    "hardware",
    "replicas",
    "run_id",
    "starts",
    "versions",
}
# Settings that belong to one run, and not to one like it.
OF_ONE_RUN = {"config", "overwrite", "resume", "run_dir"}
# These hang together: a layer replaces those below as a group.
LENGTH = ("epochs", "steps")
TUNED = ("learning_rate", "weight_decay")


def parse_arguments(parser, recipes: dict, other: str, argv=None):
    """Read the flags over the files and the recipe that they name.

    Args:
        parser: Parser with all flags.
        recipes: Values of flags by the name of the recipe; the first one is
            the command's default.
        other: Name of the recipe for datasets that have none.
        argv: Words of the command line. Defaults to `None`: the process' own.

    Returns:
        A namespace; at least one of `epochs` and `steps` is not `None`.
    """
    named = _named(argv)
    if named.recipe == LIST:
        print(recipe_table(recipes))
        parser.exit(0)
    config = read_settings(parser, named.config) if named.config else {}
    name = named.recipe or config.get("recipe")
    dataset = named.dataset or config.get("dataset")
    recipe = _recipe(parser, recipes, name, dataset, other, bool(config))
    defaults = layered(recipe, config)
    length = {key: defaults.pop(key, None) for key in LENGTH}
    tuned = {key: defaults.pop(key) for key in TUNED}
    parser.set_defaults(**defaults)
    args = parser.parse_args(argv)
    if args.epochs is None and args.steps is None:
        args.epochs, args.steps = length["epochs"], length["steps"]
    if args.optimizer != defaults["optimizer"]:
        tuned = dict(zip(TUNED, OPTIMIZERS[args.optimizer], strict=True))
    for key, value in tuned.items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.weights == "none":
        args.weights = None
    return args


def _named(argv):
    """Return the files, the recipe and the dataset that flags name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--config", "--recipe", "--dataset"):
        parser.add_argument(flag)
    return parser.parse_known_args(argv)[0]


def _recipe(parser, recipes, name, dataset, other, complete):
    """Return a recipe by its name or file, or the dataset's, or the first."""
    if name in recipes:
        return {**recipes[name], "recipe": name}
    if name and pathlib.Path(name).is_file():
        content = read_settings(parser, name)
        below = content.pop("recipe", None)
        dataset = dataset or content.get("dataset")
        recipe = _recipe(parser, recipes, below, dataset, other, False)
        return {**layered(recipe, content), "recipe": name}
    if name and not complete:
        near = did_you_mean(name, recipes)
        parser.error(
            f"argument --recipe: expected {LIST}, a file, or one of "
            f"{', '.join(recipes)}. Received: {name}.{near}"
        )
    names = {row["dataset"]: key for key, row in reversed(recipes.items())}
    first = other if dataset else next(iter(recipes))
    return _recipe(
        parser, recipes, names.get(dataset, first), None, other, False
    )


def layered(below: Mapping, above: Mapping) -> dict:
    """Return two sets of flags as one.

    Args:
        below: Values by flag.
        above: Values that replace those of `below`.

    Example:

    >>> recipe = {"optimizer": "sgd", "learning_rate": 0.5, "epochs": 4}
    >>> layered(recipe, {"optimizer": "adamw", "steps": 9})["learning_rate"]
    0.001
    """
    below = dict(below)
    if any(above.get(key) for key in LENGTH):
        below |= dict.fromkeys(LENGTH)
    optimizer = above.get("optimizer", below.get("optimizer"))
    if optimizer != below.get("optimizer"):
        below |= zip(TUNED, OPTIMIZERS[optimizer], strict=True)
    unsaid = {key for key in (*LENGTH, *TUNED) if above.get(key) is None}
    return {**below, **{k: v for k, v in above.items() if k not in unsaid}}


def recipe_table(recipes: dict) -> str:
    """Return a table of recipes with their main figures.

    Args:
        recipes: Values of flags by the name of the recipe.
    """
    rows = []
    for name, row in recipes.items():
        unit = "epochs" if row.get("epochs") else "steps"
        rows.append(
            (
                name,
                row["dataset"],
                row["size"],
                row["batch_size"],
                f"{row[unit]} {unit}",
                f"{row['optimizer']} {row['learning_rate']:g}",
                row["schedule"],
                row.get("weights", "-"),
            )
        )
    header = ("recipe", "dataset", "crops", "batch", "length")
    return text_table((*header, "optimizer", "schedule", "weights"), rows)


def read_settings(parser, path) -> dict:
    """Return what a file says of a command's flags, read as flags are.

    A mistake in it ends the command, in one line that names the file.

    Args:
        parser: Parser with all flags.
        path: Path of a YAML or JSON file, for instance a run's `config.json`.

    Returns:
        Values by the names of flags.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        parser.error(f"argument --config: there is no file at {path}.")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    skipped = FACTS | OF_ONE_RUN if "starts" in content else set()
    actions = {action.dest: action for action in parser._actions}
    values = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        name = RENAMED.get(name, name)
        if name in skipped:
            continue
        if name not in actions or name in ("help", "config"):
            near = did_you_mean(name, actions)
            parser.error(f"{path} holds no flag's name: {key}.{near}")
        values[name] = _parsed(parser, path, actions[name], value)
    return values


def _read(path):
    """Return the mapping that a file holds."""
    if pathlib.Path(path).suffix.lower() == ".json":
        content = read_json(path)
    else:
        import yaml

        try:
            content = yaml.load(read_text(path), _unique_loader())
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or error
            raise ValueError(f"{path}{line} is no YAML: {problem}.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"Expected flags and their values in {path}, for instance "
            f"`epochs: 20`. Received: {content!r}."
        )
    return content


@functools.cache
def _unique_loader():
    """Return PyYAML's safe loader, for which a key twice is a mistake."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            for index, key in enumerate(keys):
                if isinstance(key, str) and key in keys[:index]:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key!r} stands twice",
                        problem_mark=node.value[index][0].start_mark,
                    )
            return super().construct_mapping(node, deep)

    return Loader


def _parsed(parser, path, action, value):
    """Return a flag's value, as its words on a command line would give it."""
    if value is None or (action.nargs == 0 and value is False):
        return value
    flag = action.option_strings[0]
    if isinstance(value, bool):
        # A flag with a negative form, or one that stands alone.
        words = [flag if value else action.option_strings[-1]]
    elif isinstance(value, list):
        words = [flag, *map(str, value)] if value else []
    else:
        words = [flag, str(value)]
    if not words:
        return ()
    parser.source = path
    parsed = vars(parser.parse_args(words))[action.dest]
    parser.source = None
    return parsed


def as_recorded(dataset: str | None, names) -> str | None:
    """Return a folder as it is found from everywhere, and a name as it is.

    Args:
        dataset: Name of a dataset, or a folder.
        names: Names of datasets.
    """
    if dataset and dataset not in names and os.path.isdir(dataset):
        return os.path.abspath(dataset)
    return dataset
