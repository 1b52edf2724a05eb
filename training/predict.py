"""Writes masks and overlays of pictures.

    python training/predict.py --model runs/x/model.keras \\
        --input pictures/ --output predictions/

The input is a picture or a folder; folders in it and names are kept.
`masks/<name>.png` holds class ids and shows them in colours (as PASCAL VOC's
masks: Pillow reads the ids, OpenCV the colours), `overlays/<name>.jpg` is for
looking, `predictions.json` names the ids. What is there already is left alone,
so that a stopped run goes on; `--overwrite` makes it anew. A picture that
cannot be read does not stop the others: it is named at the end, and the exit
code is 2. Videos go in and out as frames:

    mkdir frames && ffmpeg -i in.mp4 frames/%06d.png
    python training/predict.py --model M --input frames --output out
    ffmpeg -framerate 30 -i out/overlays/%06d.jpg -pix_fmt yuv420p out.mp4
"""

import argparse
import dataclasses
import json
import pathlib
import sys

from PIL import Image
from tqdm import tqdm

import dla_keras  # noqa: F401 first: it quietens TensorFlow
from dla_keras.commands import run_command
from dla_keras.files import write_json
from dla_keras.inference_flags import add_flags
from dla_keras.inference_flags import open_predictor
from dla_keras.prediction_files import find_classes
from dla_keras.prediction_files import plan_jobs
from dla_keras.prediction_files import read_any
from dla_keras.prediction_files import write_mask
from dla_keras.prediction_files import write_overlay


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--model", required=True, help=".keras, SavedModel or .tflite")
    add("--input", required=True, help="a picture, or a folder of them")
    add("--output", required=True, help="a folder")
    add("--overwrite", action="store_true", help="masks that are there")
    add_flags(parser)
    return parser.parse_args(argv)


def predict_files(jobs, predict, palette) -> list[str]:
    """Does the jobs; returns what is wrong with pictures that are faulty."""
    faults = []
    for job in tqdm(jobs, unit="picture", desc="predict"):
        try:
            picture = read_any(job.picture)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        mask = predict(picture)
        write_overlay(job.overlay, picture, mask, palette)
        write_mask(job.mask, mask, palette)  # last: it says that all is done
    return faults


def claim_output(args, classes, fresh: bool) -> None:
    """Notes what the masks are of; masks of two models are not mixed."""
    path = pathlib.Path(args.output, "predictions.json")
    free = ("input", "output", "overwrite", "threads")
    flags = {k: v for k, v in vars(args).items() if k not in free}
    flags["model"] = str(pathlib.Path(args.model).resolve())
    facts = {**flags, **dataclasses.asdict(classes)}
    there = json.loads(path.read_text()) if path.exists() else None
    if not fresh and there != json.loads(json.dumps(facts)):
        raise ValueError(
            f"The masks in {args.output} are of another model or other flags. "
            "Pass another --output, or --overwrite."
        )
    write_json(path, facts)


def predict_all(args) -> None:
    """Finds the pictures, does them, and says how it went."""
    # The pictures are the user's own, and large ones are what tiles are for.
    Image.MAX_IMAGE_PIXELS = None
    jobs = plan_jobs(args.input, args.output)
    predict, opened = open_predictor(args.model, args)
    classes = find_classes(args.model, opened)
    todo = [j for j in jobs if args.overwrite or not j.mask.exists()]
    if len(todo) < len(jobs):
        print(
            f"{len(jobs) - len(todo)} of {len(jobs)} pictures have a mask in "
            f"{args.output} already: left alone (--overwrite makes it anew)."
        )
    claim_output(args, classes, fresh=len(todo) == len(jobs))
    faults = predict_files(todo, predict, classes.palette)
    print(f"Written to {args.output}: {len(todo) - len(faults)} masks")
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(todo)} pictures could not be read: "
            + " ".join(faults)
        )


def main(argv=None) -> int:
    args = parse_arguments(argv)
    return run_command(lambda: predict_all(args))


if __name__ == "__main__":
    sys.exit(main())
