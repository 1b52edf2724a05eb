"""Write the page of `dla-keras check`: what a dataset holds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

import numpy as np
from PIL import Image

from dla_keras.data.checks import Finding
from dla_keras.report.galleries import Gallery
from dla_keras.report.galleries import ShownPicture
from dla_keras.report.page import gallery_sections
from dla_keras.report.page import render

SIZES = 8  # rows of the table of sizes
SMALL = 12  # pixels of the shorter side, below which boxes are hard to find
FAULTS = 200  # places that the page names


@dataclass(frozen=True)
class ClassRow:
    """A class, or what is ignored, in both splits.

    Args:
        name: Name of the class.
        shares: Its share of the pixels, of the boxes or of the pictures, in
            `train` and in `val`.
        counts: Number of its boxes, or of pictures in which it occurs, in
            both.
        color: RGB color. Defaults to `None`.
    """

    name: str
    shares: tuple[float, float]
    counts: tuple[int, int]
    color: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Dataset:
    """Everything that the page and the table are made from.

    Args:
        name: Name of the dataset.
        pictures: Number of pictures in `train` and in `val`.
        sizes: Width and height -> number of pictures, of both.
        classes: Rows of the classes.
        findings: Faults of the data, errors first.
        faults: Message of each file that cannot be used, and of each faulty
            box. Defaults to none.
        duplicates: Pictures of `val` beside those of `train` that are nearly
            the same. Defaults to none.
        notes: Lines on how it was looked at. Defaults to none.
        unit: Thing that shares are of. Defaults to `"pixels"`.
        sides: Shorter side of each box in pixels, of both. Defaults to none.
    """

    name: str
    pictures: tuple[int, int]
    sizes: tuple[Counter, Counter]
    classes: Sequence[ClassRow]
    findings: Sequence[Finding]
    faults: Sequence[str] = ()
    duplicates: Sequence[tuple] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    unit: str = "pixels"
    sides: tuple = ()


def percent(share: float) -> str:
    """Return a share as text, so that little does not look like nothing.

    Example:

    >>> percent(0.1234), percent(0.00001), percent(0.0)
    ('12.3 %', '< 0.1 %', '0')
    """
    if not share:
        return "0"
    return f"{share:.1%}".replace("%", " %") if share > 5e-4 else "< 0.1 %"


def class_table(dataset: Dataset) -> tuple[tuple, list[tuple]]:
    """Return header and rows of the classes' shares and numbers."""
    header = ("class", "train", "val", "in train", "in val")
    if dataset.unit == "boxes":
        header = (*header[:3], "boxes of train", "boxes of val")
    return header, [
        (row.name, *map(percent, row.shares), *row.counts)
        for row in dataset.classes
    ]


def size_table(dataset: Dataset) -> tuple[tuple, list[tuple]]:
    """Return header and rows of the pictures' sizes, the commonest first."""
    order = sum(dataset.sizes, Counter()).most_common()
    cells = [
        (
            f"{width} x {height}",
            *(sizes[width, height] for sizes in dataset.sizes),
        )
        for (width, height), _ in order
    ]
    if len(cells) > SIZES:
        rest = order[SIZES - 1 :]
        counts = (sum(s[size] for size, _ in rest) for s in dataset.sizes)
        cells[SIZES - 1 :] = [(f"{len(rest)} other sizes", *counts)]
    return ("width x height", "train", "val"), cells


def box_table(dataset: Dataset) -> tuple[tuple, list[tuple]]:
    """Return header and rows of the boxes' number and shorter sides."""

    def cells(quantity):
        return [quantity(s) if len(s) else "-" for s in dataset.sides]

    rows = [("boxes", *map(len, dataset.sides))]
    for percent_below, name in (
        (5, "5 % below"),
        (50, "half below"),
        (95, "95 % below"),
    ):
        pixels = lambda s, p=percent_below: f"{np.percentile(s, p):.0f} px"
        rows.append((f"shorter side, {name}", *cells(pixels)))
    small = lambda s: percent(np.mean(s < SMALL))
    rows.append((f"shorter side below {SMALL} px", *cells(small)))
    return ("objects", "train", "val"), rows


def dataset_page(
    dataset: Dataset, gallery: Gallery, commands: Sequence[tuple[str, str]]
) -> str:
    """Return the HTML of the page.

    Args:
        dataset: Figures and findings.
        gallery: Some pictures under their labels.
        commands: Pairs of a purpose and the command for it.
    """
    train, val = dataset.pictures
    errors = sum(row.error for row in dataset.findings)
    verdict = f"{errors} to mend first" if errors else "ready to train"
    sections = (
        ("Found", _found(dataset)),
        ("Next", [("commands", commands)]),
        ("Pictures", _pictures(dataset)),
        ("Classes", _classes(dataset)),
        *gallery_sections([gallery, _duplicates(dataset)]),
        ("Where it is wrong", _faults(dataset.faults)),
        ("How it was looked at", [("text", note) for note in dataset.notes]),
    )
    subtitle = f"{train} pictures to train on, {val} to validate; {verdict}"
    return render(dataset.name, subtitle, sections)


def _found(dataset):
    if not dataset.findings:
        return [("text", "Nothing that looks wrong.")]
    rows = [
        ("error" if row.error else "warning", row.message)
        for row in dataset.findings
    ]
    return [("facts", rows)]


def _pictures(dataset):
    train, val = dataset.pictures
    classes = [row for row in dataset.classes if row.name != "ignored"]
    tiles = [("to train on", train), ("to validate", val)]
    tiles.append(("classes", len(classes)))
    blocks = [("tiles", tiles)]
    if any(dataset.sizes):
        blocks.append(("table", *size_table(dataset)))
    if dataset.sides:
        blocks.append(("table", *box_table(dataset)))
    return blocks


def _classes(dataset):
    longest = max((max(r.shares) for r in dataset.classes), default=0) or 1
    rows = []
    for row in dataset.classes:
        train, val = map(percent, row.shares)
        text = f"{train}; {val} of val"
        if dataset.unit == "pixels":
            text += f"; in {row.counts[0]} and {row.counts[1]} pictures"
        if dataset.unit == "boxes":
            text += f"; {row.counts[0]} and {row.counts[1]}"
        length = 45 * row.shares[0] / longest
        rows.append((row.name, length, text, row.color, None))
    words = f"Share of the {dataset.unit} of train, and of val."
    blocks = [("text", words), ("bars", rows)]
    never = [
        row.name
        for row in dataset.classes
        if not any(row.counts) and row.name != "ignored"
    ]
    if never:
        blocks.append(("text", f"In no picture: {', '.join(never)}."))
    return blocks


def _duplicates(dataset):
    pictures = tuple(
        ShownPicture(
            f"{ours} and {theirs}",
            "the same picture" if not bits else f"{bits} of 256 bits differ",
            {"val": _opened(ours), "train": _opened(theirs)},
        )
        for bits, ours, theirs in dataset.duplicates[:6]
    )
    return Gallery("In val and in train, or nearly", pictures)


def _opened(path):
    from dla_keras.data.pictures import read_rgb

    return Image.fromarray(read_rgb(path))


def _faults(faults):
    if not faults:
        return []
    more = len(faults) - FAULTS
    lines = [*faults[:FAULTS], *([f"and {more} more"] if more > 0 else [])]
    return [("facts", [(str(i + 1), line) for i, line in enumerate(lines)])]
