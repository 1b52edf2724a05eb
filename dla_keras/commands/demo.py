"""Train, export and score a small segmentation network on drawn streets.

    dla-keras demo                   # ten minutes of two cores

Needs no data and no flag. Trains a DLA-46-C-Up on `toy_streets`, which draws
its pictures itself, exports the network as a `.tflite` file in float32 and in
int8, and scores all three on the same pictures; then the segmenter of streets
that ships looks at a photograph. The run folder has everything that training,
export and evaluation of your own pictures would leave.
"""

import pathlib
import sys

from dla_keras.commands import evaluate
from dla_keras.commands import export_tflite
from dla_keras.commands import predict
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.train import TrainSeg
from dla_keras.provenance import read_beside
from dla_keras.variants import shipped_path

# A recipe for ten minutes: the paper's is for days.
TRAINING = (
    "--dataset toy_streets --variant dla46_c --weights tiny_imagenet "
    "--size 192x384 --batch-size 2 "
    "--scale 0.8 1.25 --rotation 0 --jitter 0.1 --class-weighting 0.3 "
    "--optimizer adamw --learning-rate 2e-3"
).split()
STEPS = 600
PRECISIONS = ("float32", "int8")
PHOTOGRAPH = shipped_path("streets").with_suffix(".jpg")


def parse_flags(argv=None):
    """Return the flags of the command line."""
    parser = make_parser("demo", __doc__)
    add = parser.add_argument
    add("--run-dir", default="runs/demo", help="folder of all results")
    add(
        "--steps",
        type=number_of("steps"),
        default=STEPS,
        help="steps of the training; with fewer than the default the network "
        "is unsure of most pixels, so its files are written even where they do "
        "not agree with it",
    )
    return parser.parse_args(argv)


def stages(run_dir: pathlib.Path, steps: int):
    """Yield each command of the demo with its arguments."""
    model = f"{run_dir}/model.keras"
    files = [f"{run_dir}/{precision}.tflite" for precision in PRECISIONS]
    run = ["--steps", str(steps), "--run-dir", str(run_dir), "--overwrite"]
    yield TrainSeg, [*TRAINING, *run]
    verify = [] if steps >= STEPS else ["--min-agreement", "0"]
    for precision, file in zip(PRECISIONS, files, strict=True):
        yield (
            export_tflite,
            ["--model", model, "--precision", precision, "--output", file]
            + verify,
        )
    table = ["--table", f"{run_dir}/table.md"]
    yield evaluate, [*table, "--model", model, *files]
    seen = ["--input", str(PHOTOGRAPH), "--output", f"{run_dir}/photograph"]
    yield predict, ["--model", "streets", *seen, "--overwrite"]


def check_run(run_dir: pathlib.Path) -> None:
    """Raise `ValueError` if a folder holds a run that is not the demo's.

    Args:
        run_dir: Folder of all results, which are replaced.
    """
    config = read_beside(run_dir / "model.keras")
    flag = lambda name: TRAINING[TRAINING.index(f"--{name}") + 1]
    ours = ("dataset", "variant", "size")
    if config and any(config.get(name) != flag(name) for name in ours):
        raise ValueError(
            f"{run_dir} holds another run than the demo's, which would be "
            "lost. Pass another --run-dir."
        )


def main(argv=None) -> int:
    """Run every stage until one fails; return the last exit code."""
    args = parse_flags(argv)
    run_dir = pathlib.Path(args.run_dir)
    if code := run_command(lambda: check_run(run_dir)):
        return code
    for command, arguments in stages(run_dir, args.steps):
        code = command.main(arguments)
        if code:
            return code
    print(f"""
Table     {run_dir}/table.md
Report    {run_dir}/report.html
Pictures  {run_dir}/predictions.png (the trained network)
          {run_dir}/int8.tflite.evaluation/predictions.png (a phone's answer)
          {run_dir}/photograph/overlays/{PHOTOGRAPH.name} (a real street, by the
          segmenter that ships: dla_keras.load("streets"))
Next      dla-keras predict --model streets --input PICTURES --output MASKS
          finds sky, road, cars and eight more in street pictures of your own.
          dla-keras check FOLDER
          looks at pictures and labels of your own, and says how to train on
          them.""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
