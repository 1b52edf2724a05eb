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
`predictions.json` names the ids, and the files that are results.

What is there already is left alone, so that a stopped run goes on;
`--overwrite` makes anew what `predictions.json` names, and nothing else: a
folder of other files is refused, and so is a result that was changed since. A
picture that cannot be read does not stop the others: it is named at the end,
and the exit code is 2. Videos go in and out as frames:

    mkdir frames && ffmpeg -i in.mp4 frames/%06d.png
    dla-keras predict --model M --input frames --output out
    ffmpeg -framerate 30 -i out/overlays/%06d.jpg -pix_fmt yuv420p out.mp4
"""

import argparse
import hashlib
import json
import os
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
from dla_keras.files import check_folder
from dla_keras.files import read_json
from dla_keras.files import write_json
from dla_keras.variants import shipped_path

CLAIM = "predictions.json"  # in the folder of results: they are ours


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
        help="make results anew that are there already; other files stay",
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


def job_files(job, findings, output) -> list[pathlib.Path]:
    """Return the files that become of a picture."""
    files = [finding.results.path(job) for finding in findings]
    if any(finding.row.draw_over for finding in findings):
        files.append(job.path(pathlib.Path(output, "overlays"), ".jpg"))
    return files


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
        except FileNotFoundError:
            faults.append(f"{job.picture} is a link to a file that is gone.")
            continue
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        do_job(job, picture, findings, classes, output)
    return faults


def read_claim(output) -> dict:
    """Return what the `predictions.json` of a folder says.

    Args:
        output: Folder of the results.

    Returns:
        Its facts; none where the folder is new or empty.

    Raises:
        ValueError: If it holds files, and no `predictions.json` of this
            command: they are somebody's own.
    """
    folder = pathlib.Path(output)
    path = folder / CLAIM
    try:
        facts = read_json(path) if path.is_file() else None
    except ValueError as error:
        raise ValueError(
            f"{error} Restore it, or pass another --output."
        ) from error
    if isinstance(facts, dict) and {"model", "task"} <= facts.keys():
        names = facts.get("results", [])  # earlier versions named none
        named = isinstance(names, list) and all(map(_is_inside, names))
        if named and isinstance(facts.get("digests", {}), dict):
            return facts
    files = folder.iterdir() if folder.is_dir() else ()
    there = sorted(f.name for f in files if not f.name.startswith("."))
    if there:
        raise ValueError(
            f"Expected --output to be a new folder, or one with a {CLAIM} of "
            f"an earlier `predict`. Received: {output}, which holds "
            f"{', '.join(there[:3])}{', ...' if there[3:] else ''}; pass a "
            "new folder."
        )
    return {}


def _is_inside(name):
    """Return whether a result's name leads to nowhere else."""
    path = pathlib.PurePath(name) if isinstance(name, str) else None
    return (
        path is not None and not path.is_absolute() and ".." not in path.parts
    )


def check_paths(jobs, todo, paths, named) -> None:
    """Refuse to write over pictures that go in, and over somebody's files.

    Args:
        jobs: All jobs.
        todo: Those that are to be done.
        paths: Function that returns the files of a job's results, in the
            folder of the results.
        named: Function that tells whether a file is a result of before.

    Raises:
        ValueError: If a result would replace such a file.
    """
    # Not `resolve`: it raises at a loop of links.
    inputs = {os.path.realpath(job.picture) for job in jobs}
    for path in (path for job in jobs for path in paths(job)):
        if os.path.realpath(path) in inputs:
            raise ValueError(
                f"{path} is a picture of --input, and a result would replace "
                "it. Pass another --output."
            )
    for folder in {path.parent for job in todo for path in paths(job)}:
        check_folder(folder, "--output")
    for path in (path for job in todo for path in paths(job)):
        if os.path.lexists(path) and not named(path):
            raise ValueError(
                f"{path} is there, and {CLAIM} does not name it among its "
                "results: it is left alone. Move it, or pass another --output."
            )


def make_claim(args, facts, earlier) -> dict:
    """Return what the results are of; those of two models are not mixed."""
    free = ("given", "input", "output", "overwrite", "threads")
    flags = {k: v for k, v in vars(args).items() if k not in free}
    flags["model"] = str(shipped_path(args.model).resolve())
    claim = json.loads(json.dumps({**flags, **facts}))
    of_files = ("results", "digests")
    before = {k: v for k, v in earlier.items() if k not in of_files}
    if before and not args.overwrite and before != claim:
        raise ValueError(
            f"The results in {args.output} are of another model or other "
            "flags. Pass another --output, or --overwrite."
        )
    return claim


def write_claim(output, claim, files, digests) -> None:
    """Note what the results are of, which files they are, and their content."""
    names = sorted({path.relative_to(output).as_posix() for path in files})
    known = {n: digests[n] for n in names if n in digests}
    facts = {**claim, "results": names, "digests": known}
    write_json(pathlib.Path(output, CLAIM), facts)


def digests_of(output, files) -> dict[str, str]:
    """Return the digest of each file that is there, by its name in a folder."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in files
        if path.is_file()
    }


def check_unchanged(output, files, digests) -> None:
    """Refuse to make anew what somebody corrected.

    Args:
        output: Folder of the results.
        files: Files that would be replaced.
        digests: Digest of each when it was written, by its name; of those of
            earlier versions none is known.

    Raises:
        ValueError: If one is not as it was written.
    """
    found = digests_of(output, files)
    changed = [n for n in found if digests.get(n, found[n]) != found[n]]
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise ValueError(
            f"{pathlib.Path(output, changed[0])}{more} changed since it was "
            "written, by hand perhaps: --overwrite leaves it alone. Move it, "
            "or pass another --output."
        )


def predict_all(args) -> None:
    """Find the pictures, do them, and say how it went."""
    from dla_keras.inference.model_files import open_model
    from dla_keras.inference.prediction_files import find_classes
    from dla_keras.inference.prediction_files import plan_jobs

    jobs, left_out = plan_jobs(args.input, args.output)
    earlier = read_claim(args.output)
    if left_out:
        print(left_out)
    opened = open_model(args.model, args.threads)
    opened = opened.at(read_fit(args) or opened.fit)
    classes = find_classes(args.model, opened)
    by_task = open_findings(args, opened, classes)
    facts = {"task": " and ".join(by_task)}
    for finding in by_task.values():
        finding.results.check(jobs)
        facts |= finding.row.facts(classes)
    claim = make_claim(args, facts, earlier)
    write_results(args, jobs, tuple(by_task.values()), classes, claim, earlier)


def write_results(args, jobs, findings, classes, claim, earlier) -> None:
    """Do the jobs that are to be done, and say how it went.

    Args:
        args: Parsed flags.
        jobs: All jobs.
        findings: Sequence of `Finding`.
        classes: Names and colors.
        claim: Facts from `make_claim`.
        earlier: Facts of an earlier call, which name its results.
    """
    output = pathlib.Path(args.output)
    files = {pathlib.Path(output, n) for n in earlier.get("results", ())}
    digests = {**earlier.get("digests", {})}
    results = [finding.results for finding in findings]
    done = [job for job in jobs if all(job in each for each in results)]
    left = set() if args.overwrite else set(done)
    todo = [job for job in jobs if job not in left]
    paths = lambda job: job_files(job, findings, output)
    check_paths(jobs, todo, paths, files.__contains__)
    if left:
        ours = all(each.path(job) in files for job in left for each in results)
        print(
            f"{len(left)} of {len(jobs)} pictures are in "
            f"{output}/{results[0].name} already: left alone"
            f"{' (--overwrite makes them anew)' if ours else ''}."
        )
    new = {path for job in todo for path in paths(job)}
    if args.overwrite:
        check_unchanged(output, new, digests)
    old = {n: d for n, d in digests.items() if output / n not in new}
    write_claim(output, claim, files | new, old)
    for each in results:
        each.begin(todo)
    faults = write_all(todo, findings, classes, output)
    # What a faulty picture did not become may be drawn by hand.
    there = [path for path in files | new if path.exists()]
    write_claim(output, claim, there, old | digests_of(output, new))
    count = len(todo) - len(faults)
    written = ", ".join(each.spoken(count) for each in results)
    print(f"Written to {output}: {written}")
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
