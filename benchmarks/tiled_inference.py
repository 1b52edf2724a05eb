"""Measure the memory of tiled inference, and its agreement with the whole.

    python benchmarks/tiled_inference.py
    python benchmarks/tiled_inference.py --model runs/x/model.keras \\
        --picture street.png --size 256x256

Without a model it prints the peak memory above what the process held before,
for images of several sizes. The image is drawn a window at a time, so that it
takes no memory itself, and each row is a process of its own. With a model and
an image it compares masks and probabilities with those of the whole image, by
overlap. The figures stand in `docs/results/speed.md`.
"""

import argparse
import multiprocessing
import resource
import sys
import time

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import numpy as np

from dla_keras.choices import parse_size
from dla_keras.commands.shared import run_command
from dla_keras.data.pictures import read_rgb
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import model_probabilities
from dla_keras.inference.predictor import most_likely
from dla_keras.inference.views import probability_pieces
from dla_keras.inference.views import tiled
from dla_keras.tables import text_table

CLASSES = 19


class DrawnPicture:
    """Stripes of any size, drawn only where they are read."""

    def __init__(self, height, width):
        self.shape = (height, width, 3)

    def __getitem__(self, window):
        rows, columns = (np.arange(s.start, s.stop) for s in window)
        gray = (rows[:, None] * 3 + columns * 5) % 256
        return np.repeat(gray[..., None], 3, -1).astype(np.uint8)


def peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(variant, size, tile, overlap) -> tuple[float, float]:
    """Return the megabytes and the seconds of one mask."""
    model = dla_keras.DLASegmenter(variant, CLASSES)
    probabilities = model_probabilities(model)
    picture = DrawnPicture(*size)
    probabilities(picture[0:32, 0:32])  # traces and loads
    before, start = peak_bytes(), time.perf_counter()
    if tile:
        tiled(probabilities, tile, overlap)(picture)
    else:
        whole = picture[0 : size[0], 0 : size[1]]
        most_likely(probabilities)(whole)
    seconds = time.perf_counter() - start
    return (peak_bytes() - before) / 2**20, seconds


def print_memory(args) -> None:
    """Print the peak memory for each size of an image."""
    tile, rows = parse_size(args.size), []
    for size in map(parse_size, args.sizes):
        whole = size[0] * size[1] <= args.whole_up_to * 2**20
        for laid in (None, tile) if whole else (tile,):
            # A new process: a peak never comes down again.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                job = (args.variant, size, laid, args.overlap)
                megabytes, seconds = pool.apply(measure, job)
            rows.append(
                (
                    f"{size[0]}x{size[1]}",
                    f"{laid[0]}x{laid[1]}" if laid else "whole",
                    f"{megabytes:.0f}",
                    f"{size[0] * size[1] / 2**20:.0f}",
                    f"{seconds:.1f}",
                )
            )
    header = (f"{args.variant}, overlap {args.overlap}", "tile")
    print(text_table((*header, "MB", "of which mask", "s"), rows))


def print_agreement(args) -> None:
    """Print the agreement with the whole image, by overlap."""
    probabilities = open_model(args.model).probabilities
    picture, tile = read_rgb(args.picture), parse_size(args.size)
    whole, rows = probabilities(picture), []
    for overlap in range(0, min(tile) // 2 + 1, 32):
        found = np.empty_like(whole)
        pieces = probability_pieces(probabilities, picture, tile, overlap)
        for top, left, piece in pieces:
            height, width = piece.shape[:2]
            found[top : top + height, left : left + width] = piece
        same = found.argmax(-1) == whole.argmax(-1)
        difference = np.abs(found - whole)
        rows.append(
            (
                str(overlap),
                f"{same.mean():.4f}",
                f"{difference.mean():.1e}",
                f"{difference.max():.3f}",
            )
        )
    height, width = picture.shape[:2]
    header = (f"{height}x{width} in {args.size}: overlap", "same class")
    print(text_table((*header, "mean |dp|", "max |dp|"), rows))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--variant", default="dla46_c")
    add("--size", default="512x1024", help="of the tiles, height x width")
    add("--overlap", type=int, default=128)
    sizes = "1024x2048 2048x2048 4096x2048 8192x2048 2048x4096".split()
    add("--sizes", nargs="+", default=sizes, help="of the pictures")
    add("--whole-up-to", type=float, default=2, help="2**20 pixels")
    add("--model", help="for the agreement instead, with --picture")
    add("--picture")
    args = parser.parse_args(argv)
    if bool(args.model) != bool(args.picture):
        parser.error("--model and --picture belong together")
    task = print_agreement if args.model else print_memory
    return run_command(lambda: task(args))


if __name__ == "__main__":
    sys.exit(main())
