"""Command-line arguments that the export commands share."""

import argparse

from dla_keras.commands import parse_size
from dla_keras.inference import padded_size
from dla_keras.lite.conversion import check_size
from dla_keras.lite.pictures import common_size


def export_parser(description: str) -> argparse.ArgumentParser:
    """A parser with what every export needs: a model and pictures."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
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
    """`--size`, or what holds all pictures in multiples of 32."""
    if text is None:
        return padded_size(*common_size(pictures))
    size = parse_size(text)
    check_size(size)
    return size


def print_table(rows: dict) -> None:
    """Prints names and values in two columns."""
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        print(f"{name:<{width}}{value}")
