"""Networks for phones: what each costs, and what it scores after training.

    python benchmarks/phone_segmenters.py --run dla34up=runs/camvid \
        --run small=runs/camvid_small --picture docs/phone_segmenters.png

`--run` names what `train_seg.py` left: its `metrics.json` and `config.json`
give data set and mIoU. Latency is that of the same network with 19 classes for
one picture of 512x512, from uint8 pixels to uint8 mask, all networks turn by
turn. "dla34up" is the paper's, which the others are measured against.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import matplotlib.pyplot as plt

from dla_keras.commands import parse_size
from dla_keras.commands import run_command
from dla_keras.data.toy_streets import draw_picture
from dla_keras.files import atomic_path
from dla_keras.inference import fit_picture
from dla_keras.lite.conversion import TARGETS
from dla_keras.lite.conversion import convert
from dla_keras.lite.runtime import LiteModel
from dla_keras.tables import text_table

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
    add("--size", default="512x512")
    add("--threads", type=int, default=2)
    add("--rounds", type=int, default=5)
    add("--runs", type=int, default=10, help="of each file in a round")
    add("--tuned-for", choices=TARGETS, default="x86")
    add("--csv", help="a file for the table")
    add("--picture", help="a .png of mIoU over latency")
    return parser.parse_args(argv)


def read_scores(runs) -> dict[str, dict[str, float]]:
    """Data set -> network -> mIoU."""
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
        metrics = json.loads((folder / "metrics.json").read_text())
        scores.setdefault(config["dataset"], {})[network] = metrics["miou"]
    return scores


def measure(args) -> dict[tuple[str, str], dict]:
    """(network, precision) -> ms, MB and GMACs."""
    size = parse_size(args.size)
    pictures = [fit_picture(draw_picture("val", i)[0], *size) for i in range(4)]
    files, facts = {}, {}
    for network, arguments in NETWORKS.items():
        model = dla_keras.DLASegmenter(**arguments, num_classes=CLASSES)
        cost = dla_keras.complexity(model, (*size, 3))
        for precision in PRECISIONS:
            data = convert(
                model,
                size,
                precision,
                calibration=pictures,
                tuned_for=args.tuned_for,
            )
            files[network, precision] = LiteModel(data, args.threads)
            facts[network, precision] = {
                "mb": len(data) / 1e6,
                "gmacs": cost.macs / 1e9,
            }
    seconds = {key: [] for key in files}
    for _ in range(args.rounds):
        for key, model in files.items():
            model(pictures[0])  # what the last one left in the caches
            for _ in range(args.runs):
                start = time.perf_counter()
                model(pictures[0])
                seconds[key].append(time.perf_counter() - start)
    for key, values in seconds.items():
        facts[key]["ms"] = 1e3 * statistics.median(values)
    return facts


def rows_of(costs, scores):
    """The table: header and rows, numbers as text."""
    header = ["network", "GMACs", "int8 MB"]
    header += [f"{p} {unit}" for p in PRECISIONS for unit in ("ms", "ratio")]
    header += [f"{dataset} mIoU" for dataset in scores]
    rows = []
    for network in NETWORKS:
        row = [
            network,
            f"{costs[network, 'int8']['gmacs']:.1f}",
            f"{costs[network, 'int8']['mb']:.1f}",
        ]
        for precision in PRECISIONS:
            ms = costs[network, precision]["ms"]
            whole = costs[REFERENCE, precision]["ms"]
            row += [f"{ms:.1f}", f"{ms / whole:.2f}"]
        for dataset in scores.values():
            score = dataset.get(network)
            row.append("" if score is None else f"{score:.4f}")
        rows.append(row)
    return header, rows


def draw(costs, scores, path) -> None:
    """mIoU over latency: a panel for each data set."""
    figure, panels = plt.subplots(
        1,
        len(scores),
        figsize=(5 * len(scores), 4),
        squeeze=False,
        layout="constrained",
    )
    for axes, (dataset, found) in zip(panels[0], scores.items(), strict=True):
        for precision, marker in zip(PRECISIONS, "os", strict=True):
            points = [
                (costs[network, precision]["ms"], 100 * score, network)
                for network, score in found.items()
            ]
            points.sort()
            x, y, names = zip(*points, strict=True)
            axes.plot(x, y, marker=marker, label=precision, alpha=0.8)
            for each in points:
                axes.annotate(
                    each[2],
                    each[:2],
                    xytext=(4, 5),
                    textcoords="offset points",
                    fontsize=8,
                )
        axes.set(title=dataset, xlabel="ms a picture", xscale="log")
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_formatter("{x:.0f}")
        axes.margins(x=0.15)
        axes.set_ylabel("mIoU of the trained network, %")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def compare(args) -> None:
    scores = read_scores(args.run)
    costs = measure(args)
    header, rows = rows_of(costs, scores)
    print(f"{args.size}, {args.threads} threads, tuned for {args.tuned_for}")
    print(text_table(header, rows))
    if args.csv:
        lines = [",".join(row) for row in (header, *rows)]
        with atomic_path(args.csv) as temporary:
            temporary.write_text("\n".join(lines) + "\n")
    if args.picture and scores:
        draw(costs, scores, args.picture)


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
