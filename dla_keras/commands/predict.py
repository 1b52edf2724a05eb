"""Writes masks, or boundaries, and overlays of pictures.

    dla-keras predict --model runs/x/model.keras \\
        --input pictures/ --output predictions/

The input is a picture or a folder; folders in it and names are kept.
`masks/<name>.png` holds class ids and shows them in colours (as PASCAL VOC's
masks: Pillow reads the ids, OpenCV the colours), `overlays/<name>.jpg` is for
looking, `predictions.json` names the ids. With `--task boundary` the maps are
in `boundaries/<name>.png`, white being certain, thinned unless `--no-nms`.

What is there already is left alone, so that a stopped run goes on;
`--overwrite` makes it anew. A picture that cannot be read does not stop the
others: it is named at the end, and the exit code is 2. Videos go in and out as
frames:

    mkdir frames && ffmpeg -i in.mp4 frames/%06d.png
    dla-keras predict --model M --input frames --output out
    ffmpeg -framerate 30 -i out/overlays/%06d.jpg -pix_fmt yuv420p out.mp4
"""

import argparse
import dataclasses
import json
import pathlib
import sys

from dla_keras.commands.inference_flags import add_flags
from dla_keras.commands.inference_flags import open_boundary_finder
from dla_keras.commands.inference_flags import open_predictor
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import run_command
from dla_keras.files import write_json


def parse_flags(argv=None) -> argparse.Namespace:
    parser = make_parser("predict", __doc__)
    add = parser.add_argument
    add("--model", required=True, help=".keras, SavedModel or .tflite")
    add("--input", required=True, help="a picture, or a folder of them")
    add("--output", required=True, help="a folder")
    add("--overwrite", action="store_true", help="what is there already")
    add("--task", choices=("segmentation", "boundary"), default="segmentation")
    add(
        "--nms",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep boundaries' ridges only",
    )
    add_flags(parser)
    return parser.parse_args(argv)


def mask_writer(args):
    """What does a job, and facts about all results."""
    from dla_keras.inference.prediction_files import find_classes
    from dla_keras.inference.prediction_files import write_mask
    from dla_keras.inference.prediction_files import write_overlay

    predict, opened = open_predictor(args.model, args)
    classes = find_classes(args.model, opened)

    def write(job, picture):
        mask = predict(picture)
        write_overlay(job.overlay, picture, mask, classes.palette)
        # Last: it says that all is done.
        write_mask(job.result, mask, classes.palette)

    return write, dataclasses.asdict(classes)


def boundary_writer(args):
    """The same for boundaries."""
    from dla_keras.data.boundaries import BoundaryExample
    from dla_keras.inference.prediction_files import write_boundary_overlay
    from dla_keras.inference.prediction_files import write_soft_map

    find = open_boundary_finder(args.model, args)

    def write(job, picture):
        example = BoundaryExample(picture, None, (), str(job.picture))
        soft_map = find(example)
        write_boundary_overlay(job.overlay, picture, soft_map)
        write_soft_map(job.result, soft_map)

    return write, {}


# task -> its folder of results, and what makes them
TASKS = {
    "segmentation": ("masks", mask_writer),
    "boundary": ("boundaries", boundary_writer),
}


def write_all(jobs, write) -> list[str]:
    """Does the jobs; returns what is wrong with pictures that are faulty."""
    from tqdm import tqdm

    from dla_keras.inference.prediction_files import read_any

    faults = []
    for job in tqdm(jobs, unit="picture", desc="predict"):
        try:
            picture = read_any(job.picture)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        write(job, picture)
    return faults


def claim_output(args, facts, fresh: bool) -> None:
    """Notes what the results are of; those of two models are not mixed."""
    path = pathlib.Path(args.output, "predictions.json")
    free = ("input", "output", "overwrite", "threads")
    flags = {k: v for k, v in vars(args).items() if k not in free}
    flags["model"] = str(pathlib.Path(args.model).resolve())
    facts = {**flags, **facts}
    there = json.loads(path.read_text()) if path.exists() else None
    if not fresh and there != json.loads(json.dumps(facts)):
        raise ValueError(
            f"The results in {args.output} are of another model or other "
            "flags. Pass another --output, or --overwrite."
        )
    write_json(path, facts)


def predict_all(args) -> None:
    """Finds the pictures, does them, and says how it went."""
    from PIL import Image

    from dla_keras.inference.prediction_files import plan_jobs

    # The pictures are the user's own, and large ones are what tiles are for.
    Image.MAX_IMAGE_PIXELS = None
    results, make_writer = TASKS[args.task]
    jobs = plan_jobs(args.input, args.output, results)
    write, facts = make_writer(args)
    todo = [j for j in jobs if args.overwrite or not j.result.exists()]
    if len(todo) < len(jobs):
        print(
            f"{len(jobs) - len(todo)} of {len(jobs)} pictures are in "
            f"{args.output}/{results} already: left alone (--overwrite makes "
            "them anew)."
        )
    claim_output(args, facts, fresh=len(todo) == len(jobs))
    faults = write_all(todo, write)
    print(f"Written to {args.output}: {len(todo) - len(faults)} {results}")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(todo)} pictures could not be read: "
            + " ".join(faults)
        )


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: predict_all(args))


if __name__ == "__main__":
    sys.exit(main())
