"""Checks that .tflite files give the same outputs in every runtime.

python tools/verify_runtimes.py --model runs/x/int8.tflite runs/x/f32.tflite

LiteRT's XNNPACK kernels on this machine count as right. The others are its
builtin kernels, TensorFlow's interpreter, tflite-runtime of 2023, 64-bit ARM
(emulated) and MediaPipe Tasks. What is not installed is put into `--cache`,
about 800 MB the first time; what cannot be had is said, with the reason. An
integer file's outputs with XNNPACK must be the same on ARM, to the bit.
Exit code 1 if a check failed, or one that `--require` names did not run.
"""

import argparse
import dataclasses
import sys

import numpy as np
from runtimes.checks import check_files
from runtimes.rows import RUNTIMES

from dla_keras.commands.shared import run_command
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import list_pictures
from dla_keras.data.pictures import read_rgb
from dla_keras.data.toy_streets import draw_picture
from dla_keras.files import write_json
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.tables import text_table

HEADER = (
    "runtime", "version", "kernels", "file", "output", "against", "equal",
    "largest difference", "agreement", "verdict",
)  # fmt: skip


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    names = [runtime.name for runtime in RUNTIMES]
    parser.add_argument("--model", nargs="+", required=True, metavar="TFLITE")
    parser.add_argument(
        "--pictures", help="a folder; default: drawn toy_streets"
    )
    parser.add_argument(
        "--count", type=int, default=3, help="how many pictures"
    )
    parser.add_argument("--runtimes", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--require",
        nargs="+",
        choices=names,
        default=[],
        help="runtimes whose absence is a failure",
    )
    parser.add_argument(
        "--cache", default=".cache/runtimes", help="environments made here"
    )
    parser.add_argument("--json", help="a file for the same table")
    return parser.parse_args(argv)


def read_pictures(folder, count: int) -> list:
    """Return the first images of a folder, or drawn ones."""
    if count < 1:
        raise ValueError(f"--count must be at least 1. Received: {count}.")
    if folder is None:
        return [draw_picture("val", index)[0] for index in range(count)]
    paths, _ = list_pictures(folder)
    if not paths:
        raise ValueError(
            f"Expected pictures ({', '.join(SUFFIXES)}) in {folder}. Received: "
            "none."
        )
    return [read_rgb(path) for path in paths[:count]]


def verify(args) -> None:
    pictures = read_pictures(args.pictures, args.count)
    fitted = {}
    for path in args.model:
        model = LiteModel(path)
        size, fit = model.input_shape[1:3], model.fit
        inputs = [fit_picture(p, *size, fit) for p in pictures]
        fitted[path] = np.stack(inputs)
    runtimes = [row for row in RUNTIMES if row.name in args.runtimes]
    checks = []
    for check in check_files(fitted, args.cache, runtimes):
        checks.append(check)
        words = (check.runtime, check.kernels, check.file, check.output)
        said = f"{' '.join(filter(None, words))}: {check.verdict}"
        print(said, file=sys.stderr)
    if args.json:
        write_json(args.json, [dataclasses.asdict(check) for check in checks])
    print(text_table(HEADER, map(table_row, checks)))
    refuse_failures(checks, args.require)


def table_row(check):
    def number(value, form):
        return "" if value is None else format(value, form)

    return (
        check.runtime,
        check.version,
        check.kernels,
        check.file,
        check.output,
        check.against,
        number(check.equal, ".4%"),
        number(check.difference, ".3g"),
        number(check.agreement, ".4%"),
        check.verdict,
    )


def refuse_failures(checks, required) -> None:
    """Raise `VerificationError` for a failed or a missing check."""
    failed = [
        f"{check.runtime} {check.file} {check.output}".strip()
        for check in checks
        if check.failed
    ]
    if failed:
        raise VerificationError(f"Failed: {', '.join(failed)}.")
    ran = {check.runtime for check in checks if check.ran}
    missing = [name for name in required if name not in ran]
    if missing:
        raise VerificationError(
            f"Required, and not checked: {', '.join(missing)}."
        )


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: verify(args))


if __name__ == "__main__":
    sys.exit(main())
