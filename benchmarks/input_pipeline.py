"""Time the training input: the DLA authors' PIL pipeline beside this one.

    python benchmarks/input_pipeline.py --data-dir camvid/

Both read a folder of list files in one process and give float32 batches with
the same augmentations: rotation by up to 10 degrees, zoom of 0.5 to 2, crop,
change of colors by up to 0.4, flip. The pipelines take turns; a figure is the
median of the rounds. It is processors' time, of all threads together, which
hardly depends on what else the machine does.

The authors' operations and their order are those of `data_transforms.py` and
`segment.py` in github.com/ucbdrive/dla, with NumPy in place of torch. They
change sharpness where this package changes saturation: the ratio is to the
same operations with saturation, which is faster.
"""

import argparse
import pathlib
import random
import sys
import time

import numpy as np
from PIL import Image
from PIL import ImageEnhance
from PIL.Image import Resampling

from dla_keras import provenance
from dla_keras.commands.shared import run_command
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.pipeline import training_batches
from dla_keras.data.segmentation import list_pairs
from dla_keras.data.segmentation import open_split
from dla_keras.files import append_csv
from dla_keras.tables import text_table

VOID = 255


def padded(image, label, top, bottom, left, right):
    """Return the image reflected at its borders, the label void outside."""
    edges = ((top, bottom), (left, right))
    image = np.pad(np.asarray(image), (*edges, (0, 0)), "reflect")
    label = np.pad(np.asarray(label), edges, constant_values=VOID)
    return Image.fromarray(image), Image.fromarray(label)


def rotate(image, label, degrees=10):
    width, height = image.size
    angle = random.randint(-degrees, degrees)
    image, label = padded(image, label, height, height, width, width)
    box = (width, height, 2 * width, 2 * height)
    return (
        image.rotate(angle, resample=Resampling.BILINEAR).crop(box),
        label.rotate(angle, resample=Resampling.NEAREST).crop(box),
    )


def zoom(image, label, low=0.5, high=2.0):
    ratio = random.uniform(low, high)
    size = tuple(int(ratio * side) for side in image.size)
    smooth = Resampling.LANCZOS if ratio < 1 else Resampling.BICUBIC
    return image.resize(size, smooth), label.resize(size, Resampling.NEAREST)


def crop(image, label, size):
    missing = [max(0, size - side) for side in image.size]
    if any(missing):
        left, top = (side // 2 for side in missing)
        right, bottom = missing[0] - left, missing[1] - top
        image, label = padded(image, label, top, bottom, left, right)
    x, y = (random.randint(0, side - size) for side in image.size)
    box = (x, y, x + size, y + size)
    return image.crop(box), label.crop(box)


def change_colors(image, enhancers, strength=0.4):
    for enhancer in random.sample(enhancers, len(enhancers)):
        factor = random.uniform(1 - strength, 1 + strength)
        image = enhancer(image).enhance(factor)
    return image


def authors_example(paths, size, third_change, info):
    """Return one training image as the authors' code makes it."""
    image, label = (Image.open(path) for path in paths)
    image, label = zoom(*rotate(image, label))
    image, label = crop(image, label, size)
    changes = [ImageEnhance.Brightness, ImageEnhance.Contrast, third_change]
    image = change_colors(image, changes)
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        label = label.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    channels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    pixels = channels.astype(np.float32) / 255
    pixels -= np.float32(info.mean)[:, None, None]
    pixels /= np.float32(info.std)[:, None, None]
    return pixels, np.array(label, np.int64)


def authors_pipeline(args, info, third_change):
    pairs = list_pairs(pathlib.Path(args.data_dir), "train")

    def run():
        for _ in range(args.steps):
            examples = [
                authors_example(pair, args.size, third_change, info)
                for pair in random.sample(pairs, args.batch_size)
            ]
            for column in zip(*examples, strict=True):
                np.stack(column)

    return run


def our_pipeline(args, split, memory):
    batches = training_batches(
        split,
        Augmentation((args.size, args.size)),
        args.batch_size,
        replicas=1,
        steps=args.steps,
        seed=0,
        memory=memory,
    )

    def run():
        for _ in batches:
            pass

    return run


def measure(runs, pictures, rounds):
    """Return the median ms of all processors' time for a picture."""
    for run in runs.values():
        run()  # warm: files in the system's cache, pictures remembered
    spent = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            spent[name].append(time.process_time() - start)
    return {
        name: 1000 * np.median(seconds) / pictures
        for name, seconds in spent.items()
    }


def compare(args) -> None:
    split = open_split(args.data_dir, "train")
    same = "authors' code, the same augmentations"
    runs = {
        "authors' code, as published": authors_pipeline(
            args, split.info, ImageEnhance.Sharpness
        ),
        same: authors_pipeline(args, split.info, ImageEnhance.Color),
        "dla_keras, decoding anew": our_pipeline(args, split, 0),
        "dla_keras": our_pipeline(args, split, None),
    }
    busy = measure(runs, args.steps * args.batch_size, args.rounds)
    rows = [
        (name, f"{ms:.1f}", f"{1000 / ms:.1f}", f"{busy[same] / ms:.1f}")
        for name, ms in busy.items()
    ]
    header = ("input", "CPU ms per image", "images/s and core", "ratio")
    print(f"{split.info.name}, crops of {args.size} x {args.size}")
    print(text_table(header, rows))
    if args.csv:
        source = {
            "command": provenance.command_line(),
            "machine": provenance.machine(),
            "date": provenance.local_time()[:10],
        }
        tables = [dict(zip(header, row, strict=True)) for row in rows]
        append_csv(args.csv, [row | source for row in tables])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with list files")
    add("--size", type=int, default=448, help="side of the crops")
    add("--batch-size", type=int, default=16)
    add("--steps", type=int, default=6, help="batches a round")
    add("--rounds", type=int, default=5)
    add("--csv", help="file to append the figures to")
    args = parser.parse_args(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
