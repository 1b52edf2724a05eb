"""Time the boundary benchmark, beside a naive version of its matching.

    python benchmarks/boundary_metrics.py --data-dir ../shared/data/bsds500

The maps are Sobel's of the photographs, thinned by non-maximum suppression, or
any detector's (`--predictions`). The naive version fills in the distances of
all pixels to all others and calls the dense assignment. It runs on a few
samples of image, threshold and annotator, in turns with ours, and must find as
many pairs.
"""

import argparse
import os
import pathlib
import resource
import sys
import time

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from dla_keras.bsds.benchmark import evaluate_boundaries
from dla_keras.bsds.benchmark import spread_thresholds
from dla_keras.bsds.matching import match_boundaries
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.bsds.thinning import thin
from dla_keras.commands.shared import run_command
from dla_keras.data.boundaries import read_bsds_annotations
from dla_keras.data.boundaries import read_soft_map
from dla_keras.data.pictures import read_rgb


def sobel_map(path):
    gray = np.asarray(Image.fromarray(read_rgb(path)).convert("L"), np.float32)
    gray = ndimage.gaussian_filter(gray, 1.5)
    magnitude = np.hypot(ndimage.sobel(gray, 0), ndimage.sobel(gray, 1))
    return suppress_non_maxima(magnitude / magnitude.max())


def find_pairs(args):
    """Return the paths of annotations, and of images or maps beside them."""
    folder = pathlib.Path(args.data_dir)
    pictures = pathlib.Path(args.predictions or folder / "images" / args.split)
    truths = sorted((folder / "groundTruth" / args.split).glob("*.mat"))
    by_name = {path.stem: path for path in pictures.iterdir()}
    return [(path, by_name[path.stem]) for path in truths[: args.pictures]]


def read_pair(truth, picture, args):
    soft_map = (read_soft_map if args.predictions else sobel_map)(picture)
    return truth.stem, soft_map, read_bsds_annotations(truth)


def naive_matches(prediction, truth, max_distance=0.0075):
    """Return the number of pairs that the dense assignment finds."""
    rows, columns = np.nonzero(prediction)
    true_rows, true_columns = np.nonzero(truth)
    distances = np.hypot(
        rows[:, None] - true_rows, columns[:, None] - true_columns
    )
    reach = max_distance * np.hypot(*truth.shape)
    costs = np.where(distances <= reach, distances, 100 * reach)
    chosen = linear_sum_assignment(costs)
    return int((distances[chosen] <= reach).sum())


def compare(pairs, args):
    """Return the seconds of one matching, ours and naive, taken in turns."""
    random = np.random.default_rng(0)
    thresholds = spread_thresholds(args.thresholds)
    seconds = {"ours": [], "naive": []}
    for _ in tqdm(range(args.naive), "naive"):
        pair = pairs[random.integers(len(pairs))]
        _, soft_map, annotations = read_pair(*pair, args)
        mask = thin(soft_map >= random.choice(thresholds))
        truth = annotations[random.integers(len(annotations))]
        start = time.perf_counter()
        ours = int(match_boundaries(mask, truth)[0].sum())
        middle = time.perf_counter()
        naive = naive_matches(mask, truth)
        seconds["naive"].append(time.perf_counter() - middle)
        seconds["ours"].append(middle - start)
        if ours != naive:
            raise RuntimeError(f"{pair[0]}: {ours} pairs, naive {naive}")
    return {name: float(np.mean(each)) for name, each in seconds.items()}


def peak_megabytes(who):
    return resource.getrusage(who).ru_maxrss / 1000  # Linux: kB


def parse_arguments(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="BSDS500: groundTruth and images")
    add("--split", default="train", help="BSDS500's has 200 pictures")
    add("--predictions", help="folder of maps, instead of Sobel's")
    add("--pictures", type=int, default=200)
    add("--thresholds", type=int, default=99)
    add("--processes", type=int, default=os.cpu_count())
    add("--naive", type=int, default=20, help="matchings to compare")
    return parser.parse_args(argv)


def measure(args) -> None:
    pairs = find_pairs(args)
    start = time.perf_counter()
    scores = evaluate_boundaries(
        (read_pair(*pair, args) for pair in pairs),
        args.thresholds,
        processes=args.processes,
        progress=lambda results: tqdm(results, "ours", len(pairs)),
    )
    minutes = (time.perf_counter() - start) / 60
    print(
        f"{len(pairs)} pictures x {args.thresholds} thresholds on "
        f"{args.processes} processes: {minutes:.1f} minutes; peak memory "
        f"{peak_megabytes(resource.RUSAGE_SELF):.0f} MB, and "
        f"{peak_megabytes(resource.RUSAGE_CHILDREN):.0f} MB per process"
    )
    print({name: scores[name] for name in ("ods", "ois", "ap")})
    if args.naive:
        seconds = compare(pairs, args)
        ratio = seconds["naive"] / seconds["ours"]
        print(
            f"one matching: ours {1000 * seconds['ours']:.1f} ms, naive "
            f"{1000 * seconds['naive']:.1f} ms, {ratio:.0f} times as long"
        )


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: measure(args))


if __name__ == "__main__":
    sys.exit(main())
