"""Puts models and sample pictures where the page finds them.

python web_demo/make_models.py --run-dir runs/demo

Copies the `.tflite` files of a run, as `make demo` leaves them, to
`web_demo/models/`, each with its own score where `evaluate` found one, and
draws sample pictures beside them. Without such a run it makes a small untrained
one (`tools/small_model.py`), which shows the page, not the method.
"""

import argparse
import pathlib
import sys

from dla_keras.commands.shared import run_command
from dla_keras.files import atomic_path
from dla_keras.files import read_json
from dla_keras.files import write_json

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))

from small_model import PRECISIONS
from small_model import draw_samples
from small_model import small_model_files
from small_model import typical_pictures

MODELS = pathlib.Path(__file__).parent / "models"
SAMPLES = 4


def make(args) -> None:
    run = pathlib.Path(args.run_dir)
    paths = [run / f"{precision}.tflite" for precision in PRECISIONS]
    if all(path.exists() for path in paths):
        print(f"Models: those of {run}.")
        files = {path.stem: path.read_bytes() for path in paths}
    else:
        print(f"Models: small untrained ones, as {run} holds none.")
        small = small_model_files()
        files = {precision: data for (precision, _), data in small.items()}
    for precision, data in files.items():
        with atomic_path(MODELS / f"{precision}.tflite") as temporary:
            temporary.write_bytes(data)
        write_json(MODELS / f"{precision}.tflite.json", score(run, precision))
    draw_samples(MODELS, typical_pictures(files["int8"], SAMPLES))


def score(run: pathlib.Path, precision: str) -> dict:
    """Return `miou` of the file itself, or nothing where nobody measured it."""
    found = run / f"{precision}.tflite.evaluation" / "metrics.json"
    content = read_json(found) if found.exists() else {}
    return {"miou": content["miou"]} if content.get("miou") else {}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run-dir", default="runs/demo", help="holds the .tflite files"
    )
    args = parser.parse_args(argv)
    return run_command(lambda: make(args))


if __name__ == "__main__":
    sys.exit(main())
