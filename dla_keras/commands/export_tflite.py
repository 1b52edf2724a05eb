"""Export a model as .tflite files and verify them.

    dla-keras export-tflite --model runs/x/model.keras \\
        --precision int8 --size 192x384 --output runs/x/model.tflite
    dla-keras export-tflite --model runs/x/model.keras \\
        --precision all --output runs/x/tflite/ --compare runs/x/qat.tflite

The file takes one uint8 RGB picture (1, H, W, 3), normalizes it itself and
gives the mask (1, H, W), or logits with `--head logits`; where the model finds
boundaries, their probability too; a classifier's file gives the probability of
each class, and a detector's boxes with classes and scores, decoded inside, or
with `--head heads` the maps that they are decoded from. Names, colors, origin
and scores are inside (`dla_keras/lite/file/facts.py`), and the metadata that
MediaPipe Tasks reads. The file is compared with the Keras model on pictures of
the val split, classes and scores; below `--min-agreement`, or with scores too
far off, it is not written and the exit code is 1.

`--precision all` makes a file of each precision in a folder and compares them
with Keras, and with other files (`--compare`): size, mIoU, top-1 or AP and what
is lost, latency, memory, what XNNPACK takes. `table.md`, `comparison.json` and
`report.html`, with pictures where masks differ, are beside the files.
"""

import os
import sys
from typing import TYPE_CHECKING

from dla_keras.commands.flags import check_file
from dla_keras.commands.flags import crop_size
from dla_keras.commands.flags import export_parser
from dla_keras.commands.flags import model_fit
from dla_keras.commands.flags import picture_size
from dla_keras.commands.flags import print_table
from dla_keras.commands.flags import read_pictures
from dla_keras.commands.shared import find_dataset
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import size_text
from dla_keras.files import atomic_path
from dla_keras.files import check_folder
from dla_keras.lite.options import HEADS
from dla_keras.lite.options import PRECISIONS
from dla_keras.lite.options import READERS
from dla_keras.lite.options import TARGETS
from dla_keras.quiet import quiet_stderr
from dla_keras.tables import text_table

if TYPE_CHECKING:
    from dla_keras.lite.convert.pipeline import Exporter

ALL = "all"
WORST = 10  # layers on the terminal
# Who reads a file with a mask.
MASKS_ARE_FOR = "Python, browser, app; not MediaPipe (--for mediapipe)"


def parse_flags(argv):
    """Return the parsed flags."""
    parser = export_parser("export-tflite", __doc__)
    add = parser.add_argument
    add(
        "--output",
        required=True,
        help="a .tflite file, or a folder with --precision all",
    )
    add(
        "--precision",
        choices=(*PRECISIONS, ALL),
        default="float32",
        help="numbers in the file; all: a file of each precision, compared",
    )
    add(
        "--head",
        choices=HEADS,
        help="outputs: for segmentation the class of each pixel, the scores of "
        "all classes, or those before the last upsampling (default: mask, "
        "which MediaPipe cannot read); for detection boxes, or the three maps "
        "that they are decoded from (default: boxes)",
    )
    add(
        "--for",
        choices=READERS,
        default=READERS[0],
        dest="reader",
        help="who runs the file; mediapipe: logits or boxes, of pictures "
        "that are "
        "stretched to the file's size, as MediaPipe Tasks stretches them",
    )
    add(
        "--size",
        type=size_text,
        metavar="HxW",
        help="size of the input, multiples of 32; default: just large enough "
        "for the val pictures at the working size",
    )
    add(
        "--calibration-pictures",
        type=number_of("calibration_pictures"),
        default=100,
        help="pictures of the train split that integer ranges come from",
    )
    thresholds = ", ".join(
        f"{name} {row.min_agreement}" for name, row in PRECISIONS.items()
    )
    add(
        "--min-agreement",
        type=number_of("min_agreement"),
        help="least share of pixels with the Keras model's class; 0: any file "
        f"whose scores are finite; default: {thresholds}",
    )
    add(
        "--threads",
        type=number_of("threads"),
        default=os.cpu_count(),
        help="threads that run a .tflite file",
    )
    add(
        "--tuned-for",
        choices=TARGETS,
        default=TARGETS[0],
        help="processor that the file is made for; the outputs are the same",
    )
    _add_int8(parser.add_argument_group("--precision int8").add_argument)
    every = parser.add_argument_group("--precision all").add_argument
    every(
        "--compare",
        nargs="+",
        default=[],
        metavar="TFLITE",
        help="more .tflite files of the same model for the table",
    )
    every(
        "--eval-pictures",
        type=number_of("eval_pictures"),
        help="pictures of the val split to score on; default: all",
    )
    args = parser.parse_args(argv)
    bounded = args.max_loss is not None
    if args.precision != ALL and args.compare:
        parser.error("--compare needs --precision all")
    if args.precision != ALL and args.eval_pictures and not bounded:
        parser.error("--eval-pictures needs --precision all or --max-loss")
    if args.precision != "int8" and (
        args.layer_errors or args.keep_float or bounded
    ):
        parser.error(
            "--layer-errors, --keep-float and --max-loss need --precision int8"
        )
    if bounded and args.keep_float:
        parser.error("--max-loss chooses itself: leave --keep-float out")
    return args


def _add_int8(add):
    add(
        "--layer-errors",
        action="store_true",
        help="list what rounding costs each layer, also in OUTPUT.layers.csv",
    )
    add(
        "--keep-float",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="names of layers that stay in float, with all layers inside them",
    )
    add(
        "--max-loss",
        type=number_of("max_loss"),
        metavar="POINTS",
        help="points of mIoU that the file may lose against the Keras model: "
        "keeps as few of the worst layers in float as that takes",
    )


def read_exporter(args) -> "tuple[Exporter, tuple]":
    """Return what files are made from, and the dataset."""
    from dla_keras.data.fitting import Fit
    from dla_keras.inference.model_files import load_model
    from dla_keras.inference.predictor import fit_picture
    from dla_keras.lite.convert.pipeline import Exporter
    from dla_keras.lite.convert.pipeline import require_memory

    source = find_dataset(args.model, args.dataset, args.data_dir)
    with quiet_stderr():
        model = load_model(args.model)
        head = choose_head(args, model)
        fit = model_fit(args, model)
        held_out = read_pictures(
            model, args, "val", args.verification_pictures, fit.resize
        )
        dense = "classification" not in model.tasks
        if not dense and args.size is None:
            args.size = crop_size(args.model)
        size = picture_size(args.size, held_out, fit)
        require_memory(model, size)
        if args.reader == "mediapipe":
            fit = Fit("stretch")
        rows = PRECISIONS.values()
        if args.precision != ALL:
            rows = [PRECISIONS[args.precision]]
        calibration = []
        if any(row.calibrated for row in rows):
            count = args.calibration_pictures
            # A classifier's pictures are cropped later.
            fitted = lambda p: fit_picture(p, *size, fit) if dense else p
            calibration = read_pictures(model, args, "train", count, fitted)
    exporter = Exporter(
        model,
        size,
        head=head,
        calibration=calibration,
        held_out=held_out,
        path=args.model,
        threads=args.threads,
        min_agreement=args.min_agreement,
        tuned_for=args.tuned_for,
        keep_float=tuple(args.keep_float),
        rule=fit,
    )
    return exporter, source


def choose_head(args, model) -> str | None:
    """Return the head that was asked for, or that the reader can use.

    Raises:
        ValueError: If MediaPipe shall read what it cannot.
    """
    if args.reader != "mediapipe":
        return args.head
    if "detection" in model.tasks:
        if args.head not in (None, "boxes"):
            raise ValueError(
                "MediaPipe's ObjectDetector reads boxes: --for mediapipe needs "
                f"--head boxes. Received: --head {args.head}."
            )
        return "boxes"
    if args.head not in (None, "logits"):
        raise ValueError(
            "MediaPipe takes a mask's width for its classes, and enlarges "
            "coarse logits another way: --for mediapipe needs --head logits. "
            f"Received: --head {args.head}."
        )
    if "boundary" in model.tasks:
        raise ValueError(
            "MediaPipe Tasks has nothing that reads boundaries, alone or "
            "beside classes: leave --for mediapipe out, or train a segmenter "
            "without --boundary-weight."
        )
    return "logits"


def export(args) -> None:
    """Write the file, or those of every precision, if they agree."""
    from dla_keras.lite.measure.comparison import export_every_precision

    if args.precision == ALL:
        check_folder(args.output, "--output")
        export_every_precision(
            *read_exporter(args),
            args.output,
            args.compare,
            args.eval_pictures,
            args.classes_by_number,
        )
        return
    check_file(args.output)
    exporter = choose_float(args, *read_exporter(args))
    made = exporter.make(args.precision)
    made.require()
    with atomic_path(args.output) as temporary:
        temporary.write_bytes(made.data)
    print_table(report(args, made))


def choose_float(args, exporter, source) -> "Exporter":
    """Rank layers where asked to, and keep some in float."""
    from dla_keras.lite.measure.comparison import read_masks
    from dla_keras.lite.measure.layer_errors import rank_layers
    from dla_keras.lite.measure.layer_errors import within_loss
    from dla_keras.lite.measure.layer_errors import write_layer_errors

    if not args.layer_errors and args.max_loss is None:
        return exporter
    if args.max_loss is not None and "segmentation" not in exporter.model.tasks:
        raise ValueError(
            "--max-loss counts mIoU, and is for models that segment. Received: "
            f"a {type(exporter.model).__name__}; use --layer-errors and "
            "--keep-float."
        )
    errors = rank_layers(exporter)
    if args.layer_errors:
        write_layer_errors(f"{args.output}.layers.csv", errors)
        rows = [
            (e.layer, e.operation, f"{e.noise:.1f}", f"{e.steps:.2f}")
            for e in errors[:WORST]
        ]
        header = ("worst layers", "operation", "signal/noise, dB", "steps")
        print(text_table(header, rows))
    if args.max_loss is None:
        return exporter
    masks = read_masks(
        exporter, source, args.eval_pictures, args.classes_by_number
    )
    if masks is None or masks.scores["miou"] is None:
        raise ValueError(
            "--max-loss counts mIoU, and the val split has no label; use "
            "--layer-errors and --keep-float."
        )
    exporter = within_loss(exporter, errors, masks, args.max_loss)
    kept = ", ".join(exporter.keep_float) or "no layer"
    print(f"In float to lose at most {args.max_loss} points: {kept}")
    return exporter


def report(args, made) -> dict:
    """Return what the file holds, and how it agrees with the model."""
    from dla_keras.lite.file.tflite_file import TfliteFile

    file = TfliteFile(made.data)
    counts = file.op_counts.most_common()
    return {
        "file": args.output,
        "size": f"{len(made.data) / 1e6:.2f} MB",
        "precision": args.precision,
        "input": file.inputs[0],
        "output": ", ".join(map(str, file.outputs)),
        **({"for": MASKS_ARE_FOR} if "mask" in file.output_names else {}),
        "operations": f"{len(file.ops)}, of which {file.float_ops} on "
        "float numbers",
        "": ", ".join(f"{count} {name}" for name, count in counts),
        **{
            f"agreement of {name}": found
            for name, found in made.agreement.items()
        },
    }


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: export(args))


if __name__ == "__main__":
    sys.exit(main())
