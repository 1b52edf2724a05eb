"""Score models on a dataset's validation split, in one table.

    dla-keras evaluate --model runs/x/model.keras runs/x/int8.tflite
    dla-keras evaluate --model runs/x/model.keras --dataset camvid
    dla-keras evaluate --task boundary --predictions maps/ \\
        --ground-truth BSDS500/data/groundTruth/val --json scores.json

Takes `.keras`, SavedModel and `.tflite` alike; a model file says itself what
it is for. Beside each model, a folder `<model>.evaluation` gets
`metrics.json`, `report.html` and pictures; a second task of a model gets a
folder in it. The authors' test time: `--scales 0.5,0.75,1,1.25,1.5 --flip`.

Boundaries: the BSDS500 benchmark on those of a model, or on any detector's
maps (`--predictions`: grey PNG of 8 or 16 bits, or `.npy` from 0 to 1).
"""

import argparse
import functools
import pathlib
import sys
from dataclasses import dataclass

from dla_keras.commands.flags import add_by_number
from dla_keras.commands.flags import add_inference_flags
from dla_keras.commands.flags import chosen_tasks
from dla_keras.commands.flags import read_fit
from dla_keras.commands.flags import read_views
from dla_keras.commands.flags import refuse_others
from dla_keras.commands.shared import find_dataset
from dla_keras.commands.shared import given_flags
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import say_choices
from dla_keras.commands.shared import warn_of_trained
from dla_keras.files import atomic_path
from dla_keras.files import check_folder
from dla_keras.files import check_target
from dla_keras.files import write_json
from dla_keras.tables import score_text
from dla_keras.tables import text_table
from dla_keras.variants import shipped_path


def parse_flags(argv=None) -> argparse.Namespace:
    """Return the parsed flags."""
    parser = make_parser("evaluate", __doc__)
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        default=[],
        help="model files: .keras, SavedModel or .tflite",
    )
    add(
        "--dataset",
        help="name or folder; default: what the first model was trained on",
    )
    add("--data-dir", help="folder of the data, or TFDS' data folder")
    add_by_number(add)
    add("--split", default="val", help="the split to score on")
    add(
        "--output-dir",
        help="folder of the results, instead of <model>.evaluation; one model "
        "only",
    )
    add("--table", help="also write the table to this file")
    add("--json", help="also write the scores to this file; one model only")
    add_inference_flags(parser, "evaluation")
    args = parser.parse_args(argv)
    args.given = given_flags(parser, argv)
    if not args.model and not args.predictions:
        parser.error("expected --model FILE, or for boundaries --predictions")
    if args.predictions and not args.task:
        parser.error("--predictions needs --task: files do not say their task")
    if args.predictions and args.model:
        parser.error("--predictions stand for a model: leave --model out")
    if args.ground_truth and not args.predictions:
        parser.error("--ground-truth is for --predictions: leave it out")
    for flag in ("output_dir", "json"):
        if vars(args)[flag] and len(args.model) > 1:
            name = flag.replace("_", "-")
            parser.error(f"--{name} takes the results of one --model only")
    return args


@dataclass(frozen=True)
class Candidate:
    """A model at one of its tasks, or recorded predictions, to be scored.

    Args:
        name: Name in the table.
        path: Path of the model, or of the folder of predictions.
        task: Name of the task.
        output: Folder of the results.
        split: Split to score it on.
        find: Finder of the task's row.
    """

    name: str
    path: pathlib.Path
    task: str
    output: pathlib.Path
    split: object
    find: object


def check_outputs(args) -> None:
    """Refuse to write over what is not of this command, before the work.

    Raises:
        ValueError: If a file is of another kind, or a folder holds files and
            no results of before.
    """
    for path, flag, kind in (
        (args.table, "--table", "table"),
        (args.json, "--json", "scores"),
    ):
        if path:
            check_target(path, flag, kind)
    found = args.model or [args.predictions]
    own = [args.output_dir] if args.output_dir else []
    folders = own or [f"{path}.evaluation" for path in found]
    for folder in map(pathlib.Path, folders):
        check_folder(folder, "--output-dir")
        files = folder.iterdir() if folder.is_dir() else ()
        there = sorted(file.name for file in files if file.name[0] != ".")
        report, scores = folder / "report.html", folder / "metrics.json"
        if {*there} & {report.name, scores.name}:
            if report.name in there:
                check_target(report, "--output-dir", "report")
            if scores.name in there:
                check_target(scores, "--output-dir", "scores")
        elif there and own:
            raise ValueError(
                "Expected --output-dir to be a new folder, or one with results "
                f"of an earlier `evaluate`. Received: {folder}, which holds "
                f"{', '.join(there[:3])}; pass another folder."
            )


def candidates(args):
    """Yield what the flags name, once all of it fits."""
    from dla_keras.inference.model_files import open_model
    from dla_keras.models.classes import in_model_order
    from dla_keras.tasks import TASKS

    if args.predictions:
        path = pathlib.Path(args.predictions)
        split, find = TASKS[args.task].open_recorded(
            path, args.ground_truth, args.nms
        )
        output = pathlib.Path(args.output_dir or f"{path}.evaluation")
        yield Candidate(path.name, path, args.task, output, split, find)
        return
    dataset, data_dir = find_dataset(args.model[0], args.dataset, args.data_dir)

    @functools.cache
    def open_split(task):
        split = TASKS[task].open_split(dataset, args.split, data_dir)
        say_choices(split)
        return split

    def in_order(opened):
        split = open_split(opened.tasks[0])
        return in_model_order(split, opened.classes, args.classes_by_number)

    views, fit = read_views(args), read_fit(args)
    # All of them, before the first is scored: a misfit shows now.
    files = [open_model(path, args.threads) for path in args.model]
    files = [opened.at(fit or opened.fit) for opened in files]
    firsts = list(map(in_order, files))
    for given, opened, first in zip(args.model, files, firsts, strict=True):
        path, tasks = shipped_path(given), chosen_tasks(opened, args.task)
        if args.split == "val":
            warn_of_trained(open_split(opened.tasks[0]), path.parent)
        if len(args.model) == 1:
            refuse_others(args.given, tasks)
        for task in tasks:
            row = TASKS[task]
            split = first
            if task != opened.tasks[0]:
                split = row.open_split(dataset, args.split, data_dir, first)
            split = row.working_split(split, opened.fit, scored=True)
            find = row.file_finder(opened, views)
            row.find_in(find, split[0].image)  # compiles: no part of latency
            output = pathlib.Path(args.output_dir or f"{given}.evaluation")
            if task != opened.tasks[0]:
                output /= task
            name = pathlib.Path(given).name
            yield Candidate(name, path, task, output, split, find)


def evaluate_candidate(candidate: Candidate, earlier: dict, args) -> dict:
    """Return the scores of a candidate, with all its files written.

    Args:
        candidate: Model file to score, with its task and split.
        earlier: Name -> scores of what was scored before at its task.
        args: Parsed flags.
    """
    from tqdm import tqdm

    from dla_keras.tasks import TASKS
    from dla_keras.tasks import options

    row = TASKS[candidate.task]
    scores = row.evaluate(
        candidate.find,
        candidate.split,
        lambda indices: tqdm(indices, desc=candidate.name, disable=None),
        **options(args, row.EVALUATE_FLAGS),
    )
    scores |= {
        "model": str(candidate.path),
        "dataset": candidate.split.info.name,
        "split": args.split,
        "megabytes": file_megabytes(candidate.path),
    }
    write_results(
        row,
        candidate.output,
        candidate.find,
        candidate.split,
        {**earlier, candidate.name: scores},
        candidate.path.parent,
    )
    return scores


def write_results(row, folder, find, split, results: dict, run_dir) -> None:
    """Write pictures, report and scores; `metrics.json` is the last.

    Args:
        row: Row of the task.
        folder: Folder to write into.
        find: Finder of the row.
        split: Split that was scored.
        results: Name -> scores, those of `find` last.
        run_dir: Folder of the training, for the report.
    """
    from dla_keras.report.page import write_report

    *_, scores = results.values()
    for name, save in row.figures(find, split, results).items():
        with atomic_path(folder / name) as temporary:
            save(temporary)
    galleries = row.galleries(find, split, scores)
    kept = {k: v for k, v in scores.items() if k not in row.LEFT_OUT}
    write_report(folder / "report.html", row, kept, run_dir, galleries)
    write_json(folder / "metrics.json", kept)


def file_megabytes(path: pathlib.Path) -> float:
    """Return the size of a file, or of all in a folder, in MB (10**6 bytes)."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def results_table(task: str, split, results: dict[str, dict]) -> str:
    """Return the table of a task, a model a row.

    Args:
        task: Name of the task.
        split: Split that was scored.
        results: Name -> scores.
    """
    from dla_keras.tasks import TASKS

    rows = []
    for name, scores in results.items():
        cells = {
            "MB": f"{scores['megabytes']:.1f}",
            **TASKS[task].cells(scores),
            "ms/picture": f"{scores['milliseconds']:.1f}",
        }
        rows.append((name, *cells.values()))
    title = f"{split.info.name}, {len(split)} pictures"
    return text_table((title, *cells), rows)


def class_table(scores: dict) -> str | None:
    """Return the table of a model's scores by class, if it has classes.

    Args:
        scores: Scores of a model.
    """
    from dla_keras.tasks.scores import BY_CLASS

    columns = {key: name for key, name in BY_CLASS.items() if key in scores}
    if not columns:
        return None
    rows = [
        (name, *(score_text(scores[key].get(name), 3) for key in columns))
        for name in scores["class_names"]
    ]
    return text_table(("class", *columns.values()), rows)


def evaluate_all(args) -> None:
    """Score every model at each of its tasks, and print a table of each."""
    check_outputs(args)
    results, splits = {}, {}
    for candidate in candidates(args):
        at_task = results.setdefault(candidate.task, {})
        name = candidate.name
        if name in at_task:  # of another folder
            name = str(candidate.path)
        at_task[name] = evaluate_candidate(candidate, at_task, args)
        splits[candidate.task] = candidate.split
        print(f"Written to {candidate.output}: metrics.json, report.html")
    tables = [results_table(t, splits[t], r) for t, r in results.items()]
    if len(args.model) == 1:
        scored = [scores for r in results.values() for scores in r.values()]
        tables += filter(None, map(class_table, scored))
    text = "\n\n".join(tables)
    print(text)
    if args.table:
        with atomic_path(args.table) as temporary:
            temporary.write_text(text + "\n")
    if args.json:
        scores = {task: s for task, r in results.items() for s in r.values()}
        only = scores if len(scores) > 1 else next(iter(scores.values()))
        write_json(args.json, only)


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: evaluate_all(args))


if __name__ == "__main__":
    sys.exit(main())
