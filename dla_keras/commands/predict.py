"""Write what a model finds in pictures: masks, boundaries, classes.

    dla-keras predict --model runs/x/model.keras \\
        --input pictures/ --output predictions/

The input is a picture or a folder; folders in it and names are kept. A model
file says itself what it is for:

    segmentation    masks/<name>.png holds class ids and shows them in colors
                    (as PASCAL VOC's masks: Pillow reads the ids, OpenCV the
                    colors)
    boundary        boundaries/<name>.png: white is certain, thinned unless
                    --no-nms
    classification  predictions.csv: the five likeliest classes a picture

Where there is something to show, `overlays/<name>.jpg` is for looking;
`predictions.json` names the ids.

What is there already is left alone, so that a stopped run goes on;
`--overwrite` makes it anew. A picture that cannot be read does not stop the
others: it is named at the end, and the exit code is 2. Videos go in and out as
frames:

    mkdir frames && ffmpeg -i in.mp4 frames/%06d.png
    dla-keras predict --model M --input frames --output out
    ffmpeg -framerate 30 -i out/overlays/%06d.jpg -pix_fmt yuv420p out.mp4
"""

import argparse
import json
import pathlib
import sys
from dataclasses import dataclass
from functools import partial

from dla_keras.commands.flags import add_inference_flags
from dla_keras.commands.flags import chosen_tasks
from dla_keras.commands.flags import read_fit
from dla_keras.commands.flags import read_views
from dla_keras.commands.flags import refuse_others
from dla_keras.commands.shared import given_flags
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import run_command
from dla_keras.files import read_json
from dla_keras.files import write_json


def parse_flags(argv=None) -> argparse.Namespace:
    """Return the parsed flags."""
    parser = make_parser("predict", __doc__)
    add = parser.add_argument
    add(
        "--model",
        required=True,
        help="a .keras, SavedModel or .tflite file",
    )
    add("--input", required=True, help="a picture, or a folder of them")
    add("--output", required=True, help="folder of the results")
    add(
        "--overwrite",
        action="store_true",
        help="make results anew that are there already",
    )
    add_inference_flags(parser)
    args = parser.parse_args(argv)
    args.given = given_flags(parser, argv)
    return args


@dataclass(frozen=True)
class Finding:
    """One task of the model: its row, its finder, and where results go."""

    row: object
    find: object
    results: object


def open_findings(args, opened, classes) -> dict[str, Finding]:
    """Return what there is to find, by task."""
    from dla_keras.tasks import TASKS

    views = read_views(args)
    findings = {}
    tasks = chosen_tasks(opened, args.task)
    refuse_others(args.given, tasks)
    for task in tasks:
        row = TASKS[task]
        findings[task] = Finding(
            row,
            row.file_finder(opened, views),
            row.open_results(args.output, classes),
        )
    return findings


def do_job(job, picture, findings, classes, output) -> None:
    """Write all that is found in one picture."""
    from dla_keras.inference.prediction_files import write_overlay

    found = [(f, f.row.find_in(f.find, picture)) for f in findings]
    layers = [
        partial(f.row.draw_over, result, classes)
        for f, result in found
        if f.row.draw_over
    ]
    if layers:
        path = job.path(pathlib.Path(output, "overlays"), ".jpg")
        write_overlay(path, picture, layers)
    # Last: they say that all is done.
    for finding, result in found:
        finding.results.write(job, result)


def write_all(jobs, findings, classes, output) -> list[str]:
    """Do the jobs; return what is wrong with pictures that are faulty."""
    from tqdm import tqdm

    from dla_keras.data.pictures import read_rgb

    faults = []
    for job in tqdm(jobs, unit="picture", desc="predict", disable=None):
        try:
            picture = read_rgb(job.picture)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        do_job(job, picture, findings, classes, output)
    return faults


def claim_output(args, facts, fresh: bool) -> None:
    """Note what the results are of; those of two models are not mixed."""
    path = pathlib.Path(args.output, "predictions.json")
    free = ("given", "input", "output", "overwrite", "threads")
    flags = {k: v for k, v in vars(args).items() if k not in free}
    flags["model"] = str(pathlib.Path(args.model).resolve())
    facts = {**flags, **facts}
    there = read_json(path) if path.exists() and not fresh else None
    if not fresh and there != json.loads(json.dumps(facts)):
        raise ValueError(
            f"The results in {args.output} are of another model or other "
            "flags. Pass another --output, or --overwrite."
        )
    write_json(path, facts)


def predict_all(args) -> None:
    """Find the pictures, do them, and say how it went."""
    from dla_keras.inference.model_files import open_model
    from dla_keras.inference.prediction_files import find_classes
    from dla_keras.inference.prediction_files import plan_jobs

    jobs, left_out = plan_jobs(args.input, args.output)
    if left_out:
        print(left_out)
    opened = open_model(args.model, args.threads)
    opened = opened.at(read_fit(args) or opened.fit)
    classes = find_classes(args.model, opened)
    by_task = open_findings(args, opened, classes)
    findings = tuple(by_task.values())
    facts = {"task": " and ".join(by_task)}
    for finding in findings:
        finding.results.check(jobs)
        facts |= finding.row.facts(classes)
    results = [finding.results for finding in findings]
    done = lambda job: all(job in each for each in results)
    todo = [job for job in jobs if args.overwrite or not done(job)]
    if len(todo) < len(jobs):
        print(
            f"{len(jobs) - len(todo)} of {len(jobs)} pictures are in "
            f"{args.output}/{results[0].name} already: left alone "
            "(--overwrite makes them anew)."
        )
    claim_output(args, facts, fresh=len(todo) == len(jobs))
    for each in results:
        each.begin(todo)
    faults = write_all(todo, findings, classes, args.output)
    count = len(todo) - len(faults)
    written = ", ".join(each.spoken(count) for each in results)
    print(f"Written to {args.output}: {written}")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(todo)} pictures could not be read: "
            + " ".join(faults)
        )


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: predict_all(args))


if __name__ == "__main__":
    sys.exit(main())
