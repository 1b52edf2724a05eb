"""Command-line arguments that the export commands share."""

import argparse
import json
import pathlib

from dla_keras.choices import parse_size
from dla_keras.commands.shared import make_parser


def export_parser(command: str, doc: str) -> argparse.ArgumentParser:
    """Return a parser with what every export needs: a model and pictures.

    Args:
        command: Name of the command, for instance `"export-tflite"`.
        doc: Docstring of its module.
    """
    parser = make_parser(command, doc)
    parser.add_argument("--model", required=True, help="a .keras file")
    parser.add_argument(
        "--dataset",
        help="as in training; default: from the model's config.json",
    )
    parser.add_argument("--data-dir", help="as in training")
    parser.add_argument(
        "--verification-pictures",
        type=int,
        default=20,
        help="pictures of the val split to compare masks on",
    )
    return parser


def picture_size(text: str | None, pictures) -> tuple[int, int]:
    """Return `--size`, or what holds all pictures in multiples of 32."""
    from dla_keras.inference.predictor import common_size
    from dla_keras.inference.predictor import padded_size
    from dla_keras.lite.convert.graph import check_size

    if text is None:
        return padded_size(*common_size(pictures))
    size = parse_size(text)
    check_size(size)
    return size


def read_pictures(model, source, split: str, count: int) -> list:
    """Return pictures spread evenly over a split, the same every time.

    Args:
        model: Model of any task.
        source: Dataset and its folder, as `find_dataset` gives them.
        split: `"train"` to calibrate, `"val"` to verify.
        count: Number of pictures, at most.
    """
    from dla_keras.choices import spread
    from dla_keras.tasks import TASKS

    dataset, data_dir = source
    examples = TASKS[model.tasks[0]].open_split(dataset, split, data_dir)
    return [example.image for example in spread(examples, count)]


def crop_size(model_path) -> str:
    """Return the size of a classifier's crops, as its run recorded it."""
    config = pathlib.Path(model_path).parent / "config.json"
    try:
        return json.loads(config.read_text())["size"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            "The size of the crops is not known: there is no config.json of "
            f"the run beside {model_path}. Pass --size HxW."
        ) from error


def print_table(rows: dict) -> None:
    """Print names and values in two columns."""
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        print(f"{name:<{width}}{value}")


def check_file(path) -> None:
    """Raise `ValueError` if no file can be at a path: before the work."""
    if pathlib.Path(path).is_dir():
        raise ValueError(
            f"--output is a file. Received: the folder {path}; pass a name "
            "in it."
        )
    _check_parents(path)


def check_folder(path) -> None:
    """Raise `ValueError` if no folder can be at a path: before the work."""
    if pathlib.Path(path).is_file():
        raise ValueError(
            f"--output is a folder. Received: the file {path}; pass another "
            "name."
        )
    _check_parents(path)


def _check_parents(path):
    for parent in pathlib.Path(path).resolve().parents:
        if parent.exists() and not parent.is_dir():
            raise ValueError(
                f"--output cannot be {path}, as {parent} is a file. Pass "
                "another path."
            )
