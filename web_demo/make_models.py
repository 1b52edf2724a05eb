"""Puts models and sample pictures where the page finds them.

python web_demo/make_models.py

Copies the segmenter of streets that ships, in int8, to `web_demo/models/`, and
a photograph beside it. With `--run-dir runs/demo` it takes the `.tflite` files
of a run instead, as `make demo` leaves them, each with its own score where
`evaluate` found one, and draws sample pictures.
"""

import argparse
import pathlib
import sys

from PIL import Image

from dla_keras.commands.shared import run_command
from dla_keras.files import atomic_path
from dla_keras.files import read_json
from dla_keras.files import write_json
from dla_keras.variants import shipped_path

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))

from small_model import PRECISIONS
from small_model import draw_samples
from small_model import typical_pictures

MODELS = pathlib.Path(__file__).parent / "models"
SAMPLES = 4


def make(run_dir: pathlib.Path | None) -> None:
    """Put the files of a run, or those that ship, in the place of all others.

    Args:
        run_dir: Folder of the run, or `None`.
    """
    shipped = shipped_path("streets-int8")
    paths = [shipped]
    if run_dir:
        paths = [run_dir / f"{precision}.tflite" for precision in PRECISIONS]
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            raise FileNotFoundError(
                f"There is no {missing[0]}. Run make demo first, or leave "
                "--run-dir out."
            )
    for old in (*MODELS.glob("*.tflite*"), *MODELS.glob("*.png")):
        old.unlink()
    for path in paths:
        with atomic_path(MODELS / path.name) as temporary:
            temporary.write_bytes(path.read_bytes())
        write_json(MODELS / f"{path.name}.json", score(path))
    if run_dir:
        draw_samples(MODELS, typical_pictures(paths[-1].read_bytes(), SAMPLES))
    else:
        with atomic_path(MODELS / "street.png") as temporary:
            Image.open(shipped.with_suffix(".jpg")).save(temporary)
    print(f"Models: {', '.join(map(str, paths))}.")


def score(path: pathlib.Path) -> dict:
    """Return `miou` of the file itself, or nothing where nobody measured it."""
    found = path.with_name(f"{path.name}.evaluation") / "metrics.json"
    content = read_json(found) if found.exists() else {}
    return {"miou": content["miou"]} if content.get("miou") else {}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--run-dir",
        type=pathlib.Path,
        help="folder of the .tflite files to take instead",
    )
    args = parser.parse_args(argv)
    return run_command(lambda: make(args.run_dir))


if __name__ == "__main__":
    sys.exit(main())
