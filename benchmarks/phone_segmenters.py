"""Measure what each network for phones costs, and score it after training.

    python benchmarks/phone_segmenters.py --run dla34up=runs/camvid \
        --run small=runs/camvid_small --picture docs/phone_segmenters.png

`--run` names the folder of a training run: its `model.keras` is scored on the
val split of the run's dataset, with images shrunk by each of `--scales` and
masks enlarged again. Latency is that of the same network with 19 classes, from
the uint8 pixels of one image of 512x512, shrunk by the same factor, to the
uint8 mask, all in turns. "dla34up" is the paper's network, against which the
others are measured.
"""

import argparse
import csv
import functools
import itertools
import json
import pathlib
import shlex
import statistics
import sys
import time

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from tqdm import tqdm

from dla_keras import provenance
from dla_keras.choices import parse_size
from dla_keras.commands.shared import run_command
from dla_keras.data.segmentation import open_split
from dla_keras.data.toy_streets import draw_picture
from dla_keras.files import atomic_path
from dla_keras.inference.model_files import load_segmenter
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.predictor import resize_scores
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.graph import check_size
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.options import TARGETS
from dla_keras.tables import text_table
from dla_keras.tasks.segmentation import evaluate

REFERENCE = "dla34up"
NETWORKS = {**dla_keras.PHONE_SEGMENTERS, REFERENCE: {"variant": "dla34"}}
PRECISIONS = ("float32", "int8")
CLASSES = 19


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--run",
        action="append",
        default=[],
        metavar="NETWORK=FOLDER",
        help=f"a training run of {', '.join(NETWORKS)}; may be repeated",
    )
    add("--size", default="512x512", help="for latency, at scale 1")
    add(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0, 0.75, 0.5],
        help="of pictures",
    )
    add("--threads", type=int, default=2)
    add("--rounds", type=int, default=5)
    add("--runs", type=int, default=10, help="of each file in a round")
    add("--tuned-for", choices=TARGETS, default="x86")
    add("--csv", help="file for the table, as benchmarks/results/ has it")
    add("--picture", help="a .png of mIoU over latency")
    return parser.parse_args(argv)


def score_runs(runs, scales) -> dict[str, dict[tuple[str, float], float]]:
    """Return mIoU by dataset, and by network and scale."""
    scores = {}
    for run in runs:
        network, _, folder = run.partition("=")
        if network not in NETWORKS or not folder:
            raise ValueError(
                "--run takes NETWORK=FOLDER with one of "
                f"{', '.join(NETWORKS)}. Received: {run!r}."
            )
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        val = open_split(config["dataset"], "val", config["data_dir"])
        predict = model_predictor(load_segmenter(folder / "model.keras"))
        found = scores.setdefault(config["dataset"], {})
        for scale in scales:
            label = f"score {network}, {scale:g}"
            found[network, scale] = evaluate(
                functools.partial(predict_small, predict, scale),
                val,
                lambda indices, label=label: tqdm(indices, label, leave=False),
            )["miou"]
    return scores


def predict_small(predict, scale, picture):
    """Return the mask of an image that goes through the network smaller."""
    height, width = picture.shape[:2]
    size = round(scale * height), round(scale * width)
    small = Image.fromarray(picture).resize(size[::-1], Image.BILINEAR)
    return resize_scores(predict(np.asarray(small)), height, width)


def scaled_size(args, scale) -> tuple[int, int]:
    """Return the size of the image that latency is measured on."""
    size = tuple(round(scale * side) for side in parse_size(args.size))
    check_size(size)
    return size


def measure(args) -> dict[tuple[str, float, str], dict]:
    """Return ms, MB and GMACs by network, scale and precision."""
    files, pictures, facts = {}, {}, {}
    wanted = itertools.product(NETWORKS, args.scales, PRECISIONS)
    for network, scale, precision in tqdm(list(wanted), "convert", leave=False):
        size = scaled_size(args, scale)
        pictures[scale] = [
            fit_picture(draw_picture("val", i)[0], *size) for i in range(4)
        ]
        model = dla_keras.DLASegmenter(**NETWORKS[network], num_classes=CLASSES)
        data = export_tflite(
            model,
            None,
            precision,
            size,
            pictures[scale],
            tuned_for=args.tuned_for,
        ).data
        key = network, scale, precision
        files[key] = LiteModel(data, args.threads)
        facts[key] = {
            "mb": len(data) / 1e6,
            "gmacs": dla_keras.complexity(model, (*size, 3)).macs / 1e9,
        }
    milliseconds = {key: [] for key in files}
    for _ in range(args.rounds):
        for key, model in files.items():
            picture = pictures[key[1]][0]
            model(picture)  # what the last one left in the caches
            for _ in range(args.runs):
                start = time.perf_counter()
                model(picture)
                spent = time.perf_counter() - start
                milliseconds[key].append(1e3 * spent)
    for key, values in milliseconds.items():
        facts[key]["ms"] = statistics.median(values)
    return facts


def rows_of(costs, scores, scales):
    """Return the header and the rows of the table, numbers as text."""
    header = ["network", "scale", "GMACs", "int8 MB"]
    header += [f"{p} {unit}" for p in PRECISIONS for unit in ("ms", "ratio")]
    header += [f"{dataset} mIoU" for dataset in scores]
    rows = []
    for network, scale in itertools.product(NETWORKS, scales):
        cost = costs[network, scale, "int8"]
        row = [network, f"{scale:g}", f"{cost['gmacs']:.1f}"]
        row.append(f"{cost['mb']:.1f}")
        for precision in PRECISIONS:
            ms = costs[network, scale, precision]["ms"]
            whole = costs[REFERENCE, max(scales), precision]["ms"]
            row += [f"{ms:.1f}", f"{ms / whole:.2f}"]
        for found in scores.values():
            score = found.get((network, scale))
            row.append("" if score is None else f"{score:.4f}")
        rows.append(row)
    return header, rows


def draw(costs, scores, scales, path) -> None:
    """Draw mIoU over latency: a row for each dataset, a line for a network."""
    figure, panels = plt.subplots(
        len(scores),
        len(PRECISIONS),
        figsize=(10, 4 * len(scores)),
        squeeze=False,
        layout="constrained",
    )
    columns = [(d, p) for d in scores for p in PRECISIONS]
    for axes, (dataset, precision) in zip(panels.flat, columns, strict=True):
        for network in NETWORKS:
            points = [
                (
                    costs[network, scale, precision]["ms"],
                    100 * scores[dataset][network, scale],
                    f"{scale:g}",
                )
                for scale in scales
                if (network, scale) in scores[dataset]
            ]
            if not points:
                continue
            x, y, names = zip(*points, strict=True)
            axes.plot(x, y, marker="o", label=network)
            for *point, name in points:
                axes.annotate(
                    name,
                    point,
                    xytext=(4, 5),
                    textcoords="offset points",
                    fontsize=8,
                )
        axes.set(
            title=f"{dataset}, {precision} latency",
            xlabel="ms a picture",
            ylabel="mIoU, %",
            xscale="log",
        )
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_formatter("{x:.0f}")
        axes.tick_params(axis="x", which="both", labelsize=8)
        axes.margins(x=0.1, y=0.1)
        axes.grid(alpha=0.3, which="both")
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(NETWORKS),
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


def write_csv(path, header, rows) -> None:
    """Write the table with what the docs say of its origin."""
    source = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": provenance.machine(),
        "date": provenance.local_time()[:10],
    }
    with atomic_path(path) as temporary, open(temporary, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*header, *source))
        writer.writerows((*row, *source.values()) for row in rows)


def compare(args) -> None:
    for scale in args.scales:
        scaled_size(args, scale)
    scores = score_runs(args.run, args.scales)
    costs = measure(args)
    header, rows = rows_of(costs, scores, args.scales)
    print(f"{args.size}, {args.threads} threads, tuned for {args.tuned_for}")
    print(text_table(header, rows))
    if args.csv:
        write_csv(args.csv, header, rows)
    if args.picture and scores:
        draw(costs, scores, args.scales, args.picture)


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
