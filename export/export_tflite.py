"""Exports a segmentation or boundary model as a .tflite file and verifies it.

python export/export_tflite.py --model runs/x/model.keras \
    --precision int8 --size 192x384 --output runs/x/model.tflite

The file takes one uint8 RGB picture (1, H, W, 3), normalises it itself and
gives the mask (1, H, W), or logits with `--head logits`; where the model finds
boundaries, their probability too. Names, colours, origin and scores are inside
(`dla_keras/lite/facts.py`), and the metadata that MediaPipe Tasks reads. The
file is compared with the Keras model on pictures of the val split; below
`--min-agreement` it is not written and the exit code is 1.
"""

import os
import sys

from dla_keras.commands import find_dataset
from dla_keras.commands import run_command
from dla_keras.files import atomic_path
from dla_keras.lite.arguments import export_parser
from dla_keras.lite.arguments import picture_size
from dla_keras.lite.arguments import print_table
from dla_keras.lite.conversion import HEADS
from dla_keras.lite.conversion import PRECISIONS
from dla_keras.lite.conversion import convert
from dla_keras.lite.facts import collect_facts
from dla_keras.lite.inspection import inspect
from dla_keras.lite.metadata import describe
from dla_keras.lite.pictures import take_pictures
from dla_keras.lite.runtime import LiteModel
from dla_keras.lite.verification import agreement
from dla_keras.model_files import load_dense_model
from dla_keras.quiet import quiet_stderr


def parse_arguments(argv):
    parser = export_parser(__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, help="a .tflite file")
    parser.add_argument(
        "--precision", choices=tuple(PRECISIONS), default="float32"
    )
    parser.add_argument("--head", choices=HEADS, default="mask")
    parser.add_argument(
        "--size",
        metavar="HxW",
        help="multiples of 32; default: what holds the val pictures",
    )
    parser.add_argument(
        "--calibration-pictures",
        type=int,
        default=100,
        help="pictures of the train split that int8 ranges are taken on",
    )
    thresholds = ", ".join(
        f"{name} {row.min_agreement}" for name, row in PRECISIONS.items()
    )
    parser.add_argument(
        "--min-agreement",
        type=float,
        help=f"share of pixels with the same class; default: {thresholds}",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count(),
        help="for the verification",
    )
    return parser.parse_args(argv)


def export(args) -> None:
    source = find_dataset(args.model, args.dataset, args.data_dir)
    with quiet_stderr():
        held_out = take_pictures(*source, "val", args.verification_pictures)
        size = picture_size(args.size, held_out)
        calibration = []
        if PRECISIONS[args.precision].calibrated:
            count = args.calibration_pictures
            calibration = take_pictures(*source, "train", count)
        model = load_dense_model(args.model)
    data = convert(model, size, args.precision, args.head, calibration)
    facts = collect_facts(model, data, args.precision, args.model)
    data = describe(data, facts)
    lite_model = LiteModel(data, num_threads=args.threads)
    found = agreement(model, lite_model, held_out)
    minimum = args.min_agreement
    if minimum is None:
        minimum = PRECISIONS[args.precision].min_agreement
    for each in found.values():
        each.require(minimum)
    with atomic_path(args.output) as temporary:
        temporary.write_bytes(data)
    print_table(report(args, data, found))


def report(args, data, found):
    facts = inspect(data)
    counts = facts.op_counts.most_common()
    return {
        "file": args.output,
        "size": f"{len(data) / 1e6:.2f} MB",
        "precision": args.precision,
        "input": facts.inputs[0],
        "output": ", ".join(map(str, facts.outputs)),
        "operations": f"{len(facts.ops)}, of which {facts.float_ops} on "
        "float numbers",
        "": ", ".join(f"{count} {name}" for name, count in counts),
        **{f"agreement of {name}": each for name, each in found.items()},
    }


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: export(args))


if __name__ == "__main__":
    sys.exit(main())
