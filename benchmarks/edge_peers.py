"""Time DLA-34-Up as a .tflite file, and the authors' network elsewhere.

    python benchmarks/edge_peers.py --authors DLA_REPOSITORY \
        --torch-python VENV/bin/python --litert-torch-python VENV/bin/python \
        --csv benchmarks/edge_peers.csv

`--authors` is a clone of the authors' code (github.com/ucbdrive/dla); of the
two environments, one holds `torch onnx onnxscript onnxruntime`, the other
`torch litert-torch`. What is not passed is left out.

All networks have the same weights and take the same drawn street, 512x512, to
the logits of 19 classes at its size. Ours begin with uint8 pixels, the
authors' with a normalized image; none ends with a softmax. The network alone
ends before the last upsampling. Each is measured in a process of its own
(`edge_runtimes.py`), in turns, so that a machine that slows down slows all of
them. A multiply-add of a convolution counts as two floating-point operations,
and the rate is compared with the highest rate of matrix products on our
runtime. `same class` is the share of pixels on which a row agrees with Keras
and learned upsampling, which is the authors' network.
"""

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import edge_files
import edge_runtimes
from edge_files import CONTENDERS

from dla_keras import provenance
from dla_keras.commands.shared import run_command
from dla_keras.files import append_csv
from dla_keras.files import check_csv
from dla_keras.lite.measure.cost import last_words
from dla_keras.lite.options import TARGETS
from dla_keras.tables import text_table

REFERENCE = "float32"
TORCH = ("PyTorch", "PyTorch channels_last", "ONNX Runtime")
# contender, those of which the fastest counts, ratio of ms at most
RATIOS = (
    ("float32", TORCH, 0.95),
    ("float32, learned", TORCH, 0.95),
    ("float32", ("litert-torch",), 0.65),
    ("float32, learned", ("litert-torch",), 0.65),
    ("int8", ("float32",), 0.26),
    ("float32 to mask", ("float32 network alone",), 1.1),
    ("int8 to mask", ("int8 network alone",), 1.1),
)
# contender, share of the rate of matrix products at least
SHARES = (("float32 network alone", 0.9), ("int8 network alone", 0.9))
COLUMNS = (
    "date", "commit", "processor", "cores", "runtime", "threads", "tuned_for",
    "contender", "runs", "median_ms", "minimum_ms", "ratio", "gflop_per_s",
    "share_of_rate", "same_class",
)  # fmt: skip


def start(args, script, python, *words) -> str:
    """Return what a script prints in a process of its own."""
    words += ("--folder", str(args.folder), "--authors", args.authors or "")
    environment = os.environ | {
        "OMP_NUM_THREADS": str(args.threads),
        "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[1]),
    }
    try:
        done = subprocess.run(
            [python, script.__file__, *words],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise ValueError(
            f"{python} {script.__name__}.py {' '.join(words)} failed: "
            f"{last_words(error)}"
        ) from error
    return done.stdout


def find_pythons(args) -> tuple[dict[str, str], dict[str, str]]:
    """Return the Python of each environment, and why others are missing."""
    pythons, reasons = {"dla_keras": sys.executable}, {}
    for environment in ("torch", "litert_torch"):
        option = f"{environment}_python"
        missing = [
            f"--{name.replace('_', '-')}"
            for name in ("authors", option)
            if not getattr(args, name)
        ]
        if missing:
            reasons[environment] = f"{' and '.join(missing)} not given"
        else:
            pythons[environment] = getattr(args, option)
    return pythons, reasons


def measure_in_turns(args, pythons) -> dict[str, dict]:
    """Return how long each contender's runs took, and what it found."""
    for environment, python in pythons.items():
        print(f"Files of {environment} ...", file=sys.stderr)
        words = ("--environment", environment, "--tuned-for", args.tuned_for)
        start(args, edge_files, python, *words)
    answers = defaultdict(list)
    for round_ in range(args.rounds):
        print(f"Round {round_ + 1} of {args.rounds} ...", file=sys.stderr)
        for name, contender in CONTENDERS.items():
            if contender.environment not in pythons:
                continue
            lite = contender.run == "lite"  # all of them on our runtime
            python = pythons["dla_keras" if lite else contender.environment]
            numbers = {
                "--threads": args.threads,
                "--warm-up": args.warm_up,
                "--runs": args.runs,
            }
            words = [str(word) for pair in numbers.items() for word in pair]
            printed = start(
                args, edge_runtimes, python, "--contender", name, *words
            )
            answers[name].append(json.loads(printed.splitlines()[-1]))
    return {
        name: {
            **each[0],
            "milliseconds": sum((a["milliseconds"] for a in each), []),
        }
        for name, each in answers.items()
    }


def gigaflop(contender) -> float:
    """Return the billions of operations of one inference."""
    if contender.is_product:
        return 2e-9 * math.prod(contender.export[2:])
    upsampling, _, head = contender.export or ("learned", "", "logits")
    model = dla_keras.DLASegmenter(
        "dla34",
        edge_files.CLASSES,
        head_stride=edge_files.HEAD_STRIDE,
        upsampling=upsampling,
    )
    side = edge_files.SIDE
    return 2e-9 * sum(
        row.macs
        for row in dla_keras.complexity(model, (side, side, 3)).rows
        if row.kind != "BatchNormalization"  # part of the convolutions here
        and (head != "coarse_logits" or row.path[0] != "up")
    )


def evaluate(measured) -> dict[str, dict]:
    """Return each contender's figures, named as the columns of the CSV file."""
    median = {
        name: statistics.median(each["milliseconds"])
        for name, each in measured.items()
    }
    speed, rate = {}, defaultdict(float)
    for name in measured:
        contender = CONTENDERS[name]
        speed[name] = 1000 * gigaflop(contender) / median[name]
        if contender.is_product:
            precision = contender.precision
            rate[precision] = max(rate[precision], speed[name])
    return {
        name: {
            "contender": name,
            "runtime": each["runtime"],
            "runs": len(each["milliseconds"]),
            "median_ms": median[name],
            "minimum_ms": min(each["milliseconds"]),
            "ratio": median[name] / median[REFERENCE],
            "gflop_per_s": speed[name],
            "share_of_rate": speed[name] / rate[CONTENDERS[name].precision],
            "same_class": each["same"],
        }
        for name, each in measured.items()
    }


def print_figures(args, figures) -> None:
    rows = [
        (
            name,
            f"{row['median_ms']:.1f}",
            f"{row['minimum_ms']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['gflop_per_s']:.0f}",
            f"{row['share_of_rate']:.2f}",
            "" if row["same_class"] is None else f"{row['same_class']:.4f}",
        )
        for name, row in figures.items()
    ]
    header = ("ms", "least", "ratio", "GFLOP/s", "of rate", "same class")
    side = edge_files.SIDE
    title = f"{side}x{side}, {args.threads} threads"
    print(text_table((title, *header), rows), end="\n\n")


def print_targets(figures, reasons) -> None:
    rows = []
    for name, others, most in RATIOS:
        known = [figures[o]["median_ms"] for o in others if o in figures]
        aim = f"{name} / {' or '.join(others)}, ms"
        if known:
            ratio = figures[name]["median_ms"] / min(known)
            met = "met" if ratio <= most else "not met"
            rows.append((aim, f"{ratio:.3f}", f"<= {most}", met))
        else:
            rows.append((aim, "", f"<= {most}", "not measured"))
    for name, least in SHARES:
        share = figures[name]["share_of_rate"]
        met = "met" if share >= least else "not met"
        aim = f"{name} / fastest matrix product, GFLOP/s"
        rows.append((aim, f"{share:.3f}", f">= {least}", met))
    print(text_table(("target", "figure", "aim", ""), rows))
    for name, contender in CONTENDERS.items():
        if name not in figures:
            print(f"Left out: {name}, {reasons[contender.environment]}.")


def compare(args) -> None:
    if min(args.rounds, args.runs, args.threads) < 1 or args.warm_up < 0:
        raise ValueError(
            "Expected one round, run and thread at least. Received: "
            f"--rounds {args.rounds} --runs {args.runs} --threads "
            f"{args.threads} --warm-up {args.warm_up}."
        )
    if args.csv:
        check_csv(args.csv, COLUMNS)
    pythons, reasons = find_pythons(args)
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = pathlib.Path(args.folder or temporary, args.tuned_for)
        args.folder.mkdir(parents=True, exist_ok=True)
        figures = evaluate(measure_in_turns(args, pythons))
    facts = {
        "date": provenance.local_time(),
        "commit": provenance.git_commit(),
        "processor": provenance.processor(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "tuned_for": args.tuned_for,
    }
    print(f"{provenance.machine()}, {facts['date']}")
    print_figures(args, figures)
    print_targets(figures, reasons)
    if args.csv:
        rows = [{**facts, **figure} for figure in figures.values()]
        append_csv(
            args.csv, [{c: rounded(row[c]) for c in COLUMNS} for row in rows]
        )


def rounded(value):
    return round(value, 4) if isinstance(value, float) else value


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--authors", help="folder of the authors' code")
    add("--torch-python", help="one with PyTorch and ONNX Runtime")
    add("--litert-torch-python", help="one with litert-torch")
    add("--csv", help="file to append the figures to")
    add("--folder", help="keeps the files, for another run of the same code")
    x86 = platform.machine() in ("x86_64", "AMD64")
    add("--tuned-for", choices=TARGETS, default="x86" if x86 else "arm")
    add("--threads", type=int, default=2)
    add("--warm-up", type=int, default=3, help="inferences not counted")
    add("--runs", type=int, default=8, help="inferences of a round")
    add("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
