"""Scores models on a dataset's validation split: one table for all of them.

    dla-keras evaluate --model runs/x/model.keras \\
        runs/x/int8.tflite --dataset toy_streets

Takes `.keras`, SavedModel and `.tflite` alike. Beside each model, a folder
`<model>.evaluation` gets `metrics.json`, `predictions.png` and `report.html`.
The authors' test time: `--scales 0.5,0.75,1,1.25,1.5`, and `--flip`.

    dla-keras evaluate --task boundary --predictions maps/ \\
        --ground-truth BSDS500/data/groundTruth/val --json scores.json
    dla-keras evaluate --task boundary --model runs/y/model.keras

Boundaries: the BSDS500 benchmark on any detector's maps (grey PNG of 8 or 16
bits, or `.npy` from 0 to 1), or on those of a model.
"""

import argparse
import pathlib
import sys

from dla_keras.commands.inference_flags import add_flags
from dla_keras.commands.inference_flags import open_boundary_finder
from dla_keras.commands.inference_flags import open_predictor
from dla_keras.commands.shared import find_dataset
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import run_command
from dla_keras.files import atomic_path
from dla_keras.files import write_json
from dla_keras.tables import text_table


def parse_flags(argv=None) -> argparse.Namespace:
    parser = make_parser("evaluate", __doc__)
    add = parser.add_argument
    add("--task", choices=("segmentation", "boundary"), default="segmentation")
    add("--model", nargs="+", default=[], help="one or more model files")
    add("--dataset", help="default: what the first model was trained on")
    add("--data-dir", help="folder with list files, or TFDS' data folder")
    add("--split", default="val")
    add("--output-dir", help="instead of <model>.evaluation; one model only")
    add("--table", help="also write the table to this file")
    add_flags(parser)
    _add_boundary_flags(parser.add_argument_group("boundaries").add_argument)
    args = parser.parse_args(argv)
    if not args.model and not args.predictions:
        parser.error("expected --model FILE, or for boundaries --predictions")
    for flag in ("output_dir", "json"):
        if getattr(args, flag) and len(args.model) > 1:
            name = flag.replace("_", "-")
            parser.error(f"--{name} takes the results of one --model only")
    if args.json and args.task != "boundary":
        parser.error("--json is for --task boundary; metrics.json has the rest")
    return args


def _add_boundary_flags(add):
    add("--predictions", help="folder of boundary maps, instead of --model")
    add("--ground-truth", help="folder of .mat files (or .png, .npy)")
    add("--thresholds", type=int, default=99)
    add("--json", help="also write the scores to this file")
    add(
        "--nms",
        action=argparse.BooleanOptionalAction,
        help="keep ridges only; by default of models' maps, not of files'",
    )
    add("--processes", type=int, help="default: one per processor")


def file_megabytes(path) -> float:
    """Size of a file, or of all files in a folder, in MB (10**6 bytes)."""
    path = pathlib.Path(path)
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files) / 1e6


def evaluate_model(path, split, args) -> dict:
    """Scores one model file and writes what belongs to it."""
    from tqdm import tqdm

    from dla_keras.report.galleries import segmentation_galleries
    from dla_keras.report.grids import prediction_grid
    from dla_keras.report.page import write_report
    from dla_keras.tasks.segmentation import evaluate

    predict, _ = open_predictor(path, args)
    predict(split[0].image)  # compiles, which shall not count as latency
    bar = lambda indices: tqdm(indices, desc=pathlib.Path(path).name)
    scores = evaluate(predict, split, progress=bar)
    scores |= {
        "model": str(path),
        "dataset": split.info.name,
        "split": args.split,
        "megabytes": file_megabytes(path),
    }
    output = pathlib.Path(args.output_dir or f"{path}.evaluation")
    write_json(output / "metrics.json", scores)
    with atomic_path(output / "predictions.png") as temporary:
        prediction_grid(predict, split).save(temporary)
    galleries = segmentation_galleries(predict, split, scores["per_picture"])
    run_dir = pathlib.Path(path).parent
    write_report(output / "report.html", scores, run_dir, galleries)
    return scores


def evaluate_all(args) -> None:
    """Scores every model and prints one table."""
    from dla_keras.data.segmentation import open_split

    source = find_dataset(args.model[0], args.dataset, args.data_dir)
    split = open_split(source[0], args.split, source[1])
    results = [evaluate_model(path, split, args) for path in args.model]
    table = text_table(
        (
            f"{split.info.name}, {len(split)} pictures",
            "MB",
            "mIoU",
            "pixel accuracy",
            "ms/picture",
        ),
        [
            (
                pathlib.Path(scores["model"]).name,
                f"{scores['megabytes']:.1f}",
                f"{scores['miou']:.4f}",
                f"{scores['pixel_accuracy']:.4f}",
                f"{scores['milliseconds']:.1f}",
            )
            for scores in results
        ],
    )
    print(table)
    if args.table:
        with atomic_path(args.table) as temporary:
            temporary.write_text(table + "\n")


def boundary_detectors(args):
    """Yields a name, its output folder, its split and what finds its maps."""
    from dla_keras.data.boundaries import GroundTruth
    from dla_keras.data.boundaries import open_boundary_split
    from dla_keras.tasks.boundary import read_boundaries

    if args.predictions:
        if not args.ground_truth:
            raise ValueError("--predictions need --ground-truth FOLDER.")
        split = GroundTruth(args.ground_truth)
        find = read_boundaries(args.predictions, split, bool(args.nms))
        folder = pathlib.Path(args.predictions)
        yield folder.name, f"{folder}.evaluation", split, find
        return
    for path in args.model:
        dataset, data_dir = find_dataset(path, args.dataset, args.data_dir)
        split = open_boundary_split(dataset, args.split, data_dir)
        find = open_boundary_finder(path, args)
        yield pathlib.Path(path).name, f"{path}.evaluation", split, find


def evaluate_boundaries(args) -> None:
    """The benchmark of every detector, and one figure of all."""
    from tqdm import tqdm

    from dla_keras.report.charts import precision_recall_figure
    from dla_keras.report.galleries import boundary_galleries
    from dla_keras.report.page import write_report
    from dla_keras.tasks.boundary import evaluate_boundary_split

    results = {}
    for name, output, split, find in boundary_detectors(args):
        bar = lambda indices, name=name: tqdm(indices, desc=name)
        scores = evaluate_boundary_split(
            find, split, args.thresholds, args.processes, bar
        )
        results[name] = scores
        output = pathlib.Path(args.output_dir or output)
        write_json(output / "metrics.json", scores)
        galleries = boundary_galleries(find, split, scores["pictures"])
        run_dir = pathlib.Path(output).parent
        write_report(output / "report.html", scores, run_dir, galleries)
        precision_recall_figure(results, output / "precision_recall.png")
    rows = [
        (
            name,
            f"{scores['ods_f']:.3f}",
            f"{scores['ods']['threshold']:.2f}",
            f"{scores['ois_f']:.3f}",
            f"{scores['ap']:.3f}",
        )
        for name, scores in results.items()
    ]
    header = f"{len(split)} pictures", "ODS", "threshold", "OIS", "AP"
    print(text_table(header, rows))
    files = "metrics.json, precision_recall.png, report.html"
    print(f"Written to {output}: {files}")
    if args.json:
        write_json(args.json, scores)


TASKS = {"segmentation": evaluate_all, "boundary": evaluate_boundaries}


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: TASKS[args.task](args))


if __name__ == "__main__":
    sys.exit(main())
