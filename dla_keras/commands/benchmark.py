"""Measure how long .tflite files take for a picture, step by step.

    dla-keras benchmark --model runs/x/tflite/*.tflite \\
        --threads 1 2 --picture street.jpg

Pre-processing brings decoded pixels to the file's size, inference is from
picture in to outputs out, post-processing makes a colored mask of the
picture's size. Prints medians in ms, and appends them, with what nine of ten
runs take at most and the minimum, to `benchmarks/<machine>.csv`.
"""

import datetime
import os
import pathlib
import sys
from typing import TYPE_CHECKING

from dla_keras import provenance
from dla_keras.choices import parse_size
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import size_text
from dla_keras.files import append_csv
from dla_keras.files import check_csv
from dla_keras.lite.options import STEPS
from dla_keras.tables import text_table
from dla_keras.variants import shipped_path

if TYPE_CHECKING:
    import numpy as np

PERCENTILES = {"median": 50, "p90": 90, "minimum": 0}
FACTS = (
    "date", "commit", "processor", "cores", "runtime", "file", "variant",
    "precision", "outputs", "size", "picture_size", "threads", "runs",
)  # fmt: skip
COLUMNS = FACTS + tuple(
    f"{step}_{statistic}_ms" for step in STEPS for statistic in PERCENTILES
)


def parse_flags(argv):
    parser = make_parser("benchmark", __doc__)
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        required=True,
        type=lambda text: str(shipped_path(text)),
        metavar="TFLITE",
        help="one or more .tflite files",
    )
    add(
        "--threads",
        nargs="+",
        type=number_of("threads"),
        default=[1, os.cpu_count()],
        help="numbers of threads to measure with, one after the other",
    )
    add(
        "--runs",
        type=number_of("runs"),
        default=50,
        help="most runs that are timed",
    )
    add(
        "--warm-up",
        type=number_of("warm_up"),
        default=5,
        help="runs before those that are timed",
    )
    add(
        "--seconds",
        type=number_of("seconds"),
        default=10.0,
        help="time after which no more runs of a file begin",
    )
    add("--picture", help="picture to run on; default: a drawn street")
    add(
        "--picture-size",
        type=size_text,
        metavar="HxW",
        help="size that the picture is brought to first; default: its own, or "
        "720x1280 for the drawn street",
    )
    add(
        "--output",
        help="the .csv file that is appended to; default: "
        "benchmarks/<machine>.csv",
    )
    return parser.parse_args(argv)


def open_picture(path: str | None, size: str | None) -> "np.ndarray":
    """Return the image that the files run on: uint8 `(h, w, 3)`."""
    import numpy as np
    from PIL import Image

    from dla_keras.data.pictures import read_rgb

    if path:
        picture = read_rgb(path)
    else:  # a phone's board, with the runtime alone, has a picture of its own
        from dla_keras.data.toy_streets import draw_picture

        picture = draw_picture("val", 0)[0]
    if size or not path:
        height, width = parse_size(size or "720x1280")
        if not height * width:
            raise ValueError(
                f"--picture-size must not be empty. Received: {size}."
            )
        resized = Image.fromarray(picture).resize((width, height))
        picture = np.asarray(resized)
    return picture


def benchmark(args) -> None:
    from dla_keras.inference.tflite_model import LiteModel
    from dla_keras.lite.measure.cost import time_steps

    name = f"{provenance.machine_slug()}.csv"
    output = pathlib.Path(args.output or pathlib.Path("benchmarks", name))
    check_csv(output, COLUMNS)
    output.parent.mkdir(parents=True, exist_ok=True)
    threads = sorted(set(args.threads))
    picture = open_picture(args.picture, args.picture_size)
    for path in args.model:
        LiteModel(path)  # so that what is wrong shows before the first minute
    rows = []
    for path in args.model:
        for number in threads:
            model = LiteModel(path, threads=number)
            times = time_steps(
                model, picture, args.runs, args.warm_up, args.seconds
            )
            rows.append(row(path, model, number, picture, times))
            print(f"{path}, {threads_text(number)}: done", file=sys.stderr)
    print(table(rows, picture))
    append_csv(output, rows)
    print(f"Appended to {output}")


def row(path, model, threads, picture, times) -> dict:
    """Return the row of one file and number of threads for the CSV file."""
    import numpy as np

    from dla_keras.lite.measure.cost import runtime_version

    known = model.facts
    outputs = [
        " ".join([each["name"], "x".join(map(str, each["shape"][1:3]))]).strip()
        for each in known.get("outputs", ())
    ]
    values = (
        datetime.date.today().isoformat(),
        provenance.git_commit() or "",
        provenance.processor(),
        os.cpu_count(),
        runtime_version(),
        pathlib.Path(path).name,
        known.get("variant", ""),
        known.get("precision", ""),
        ", ".join(outputs),
        "{}x{}".format(*model.input_shape[1:3]),
        "{}x{}".format(*picture.shape[:2]),
        threads,
        len(times["total"]),
    )
    figures = {
        f"{step}_{name}_ms": f"{np.percentile(times[step], percentile):.3f}"
        for step in STEPS
        for name, percentile in PERCENTILES.items()
    }
    return dict(zip(FACTS, values, strict=True)) | figures


def threads_text(number: int) -> str:
    return f"{number} thread" + "s" * (number > 1)


def table(rows, picture) -> str:
    """Return medians for the terminal."""

    height, width = picture.shape[:2]
    header = (
        f"ms for a picture of {height}x{width}",
        "size",
        "threads",
        "runs",
        *STEPS,
    )
    return text_table(
        header,
        [
            (
                *(str(row[name]) for name in ("file", "size", "threads")),
                str(row["runs"]),
                *(f"{float(row[f'{step}_median_ms']):.1f}" for step in STEPS),
            )
            for row in rows
        ],
    )


def main(argv=None) -> int:
    args = parse_flags(argv)
    return run_command(lambda: benchmark(args))


if __name__ == "__main__":
    sys.exit(main())
