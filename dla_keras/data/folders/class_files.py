"""Reads what labelling tools write about classes: names, colors, values.

Each function takes a folder and the files that tell it, and returns a
`Coding`, or `None` if the files are of another kind.
"""

import csv
import io
import itertools
import pathlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.file_cache import Fault
from dla_keras.data.file_cache import file_stamp
from dla_keras.data.file_cache import remembered
from dla_keras.data.labels import stored_counts
from dla_keras.data.pictures import open_header
from dla_keras.data.pictures import open_picture
from dla_keras.files import read_json
from dla_keras.files import read_lines
from dla_keras.files import read_text

BACKGROUND = "background"
_VOID = frozenset(
    ("void", "unlabeled", "unlabelled", "unknown", "ignore", "ignored")
)


@dataclass(frozen=True)
class Folder:
    """A folder and the files below it.

    Args:
        path: Path of the folder.
        files: Paths of its files below it, in order.
    """

    path: pathlib.Path
    files: tuple[PurePosixPath, ...]

    def matching(self, pattern: str) -> list[PurePosixPath]:
        """Return the files whose whole path matches a regular expression."""
        found = re.compile(pattern, re.IGNORECASE)
        return [path for path in self.files if found.fullmatch(str(path))]


def field(entry, key: str, kind: type, where) -> object:
    """Return a field of an entry of a tool's file.

    Args:
        entry: Entry as JSON gives it.
        key: Name of the field.
        kind: Type of its value.
        where: File, and place in it, for messages.

    Raises:
        ValueError: If the field is missing or has another type.
    """
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not kind:
        raise ValueError(
            f"{where}: expected {key!r}, a value of type {kind.__name__}. "
            f"Received: {value!r:.80}; export it again."
        )
    return value


class ClassRow(NamedTuple):
    """A class as a tool's file lists it.

    Args:
        name: Name of the class; several rows of one name are one class.
        color: RGB in the masks, or to draw it with. Defaults to `None`.
        value: Value in the masks. Defaults to `None`.
        ignored: Whether its pixels are ignored. Defaults to `False`.
    """

    name: str
    color: tuple[int, int, int] | None = None
    value: int | None = None
    ignored: bool = False


class Coding(NamedTuple):
    """The classes of a folder, and how its masks hold them.

    Args:
        rows: Classes, in order.
        colored: Whether masks hold colors. Defaults to `False`: values.
        labels: Regular expression of the paths of masks. Defaults to `None`:
            folders of any word for them.
        said: Remarks. Defaults to none.
    """

    rows: list[ClassRow]
    colored: bool = False
    labels: str | None = None
    said: tuple[str, ...] = ()


def bare_name(name: str) -> str:
    """Return a name without what tools put around it: `__ignore__`."""
    return name.strip(" _-").lower()


def is_void(name: str) -> bool:
    """Return whether a class of this name is none: its pixels are ignored.

    Args:
        name: Name of the class, as a tool's file has it.
    """
    return bare_name(name) in _VOID


def read_mapillary(folder, marks) -> Coding | None:
    """Read `config*.json`: value i is class i, with its color."""
    for path in reversed(marks):  # the newer version first
        config = read_json(folder.path / path)
        labels = config.get("labels") if isinstance(config, dict) else None
        version = re.search(r"v\d\.\d", path.name)
        place = f"{version[0]}/labels" if version else "labels"
        masks = rf".*/{re.escape(place)}/.*"
        if not isinstance(labels, list) or not folder.matching(masks):
            continue
        where = folder.path / path
        names = [
            [field(each, key, str, where) for key in ("readable", "name")]
            for each in labels
        ]
        short = len({readable for readable, _ in names}) == len(labels)
        numbered = enumerate(zip(names, labels, strict=True))
        rows = [
            ClassRow(
                name[0] if short else name[1],
                _color(field(each, "color", list, where), where),
                value,
                not each.get("evaluate", True),
            )
            for value, (name, each) in numbered
        ]
        said = f"Its masks are those of {place}."
        return Coding(rows, labels=masks, said=(said,))
    return None


def read_supervisely(folder, marks) -> Coding:
    """Read `obj_class_to_machine_color.json`, and colors of `meta.json`."""
    path = folder.path / marks[0]
    table = read_json(path)
    shown = {}
    for meta in folder.matching(r"meta\.json"):
        where = folder.path / meta
        for each in field(read_json(where), "classes", list, where):
            name = field(each, "title", str, where)
            shown[name] = _hex_color(each.get("color"))
    rows = []
    for name in table if isinstance(table, dict) else ():
        color = _color(field(table, name, list, path), f"{path}, {name!r}")
        if len({*color}) != 1:
            raise ValueError(
                f"{path}, class {name!r}: expected a grey machine color. "
                f"Received: {[*color]}; export with machine masks."
            )
        rows.append(ClassRow(name, shown.get(name), color[0]))
    return Coding(with_background(rows), labels=r"(.*/)?masks_machine/.*")


def with_background(rows: list[ClassRow]) -> list[ClassRow]:
    """Return classes with values, and one of value 0 for what nobody labelled.

    Args:
        rows: Classes; those without a value count from 1. One that is called
            background is the one of value 0.
    """
    if any(row.value == 0 for row in rows):
        return rows
    named = [row for row in rows if bare_name(row.name) == BACKGROUND]
    zero = named[0] if named else ClassRow(BACKGROUND, (0, 0, 0))
    others = [r for r in rows if r not in named or r.value is not None]
    return [
        zero._replace(value=0),
        *(
            row._replace(value=value) if row.value is None else row
            for value, row in enumerate(others, 1)
        ),
    ]


def read_roboflow(folder, marks) -> Coding:
    """Read `_classes.csv` of each split; all say the same."""
    tables = {path: _roboflow_rows(folder.path / path) for path in marks}
    for path, rows in tables.items():
        if rows != tables[marks[0]]:
            raise ValueError(
                "Expected the same classes in every split. Received: others "
                f"in {folder.path / path} than in {folder.path / marks[0]}."
            )
    return Coding(tables[marks[0]])


def _roboflow_rows(path):
    rows = []
    for where, row in _csv_rows(path, ("pixel value", "class")):
        value = _whole(row["pixel value"], where)
        rows.append(ClassRow(row["class"], value=value))
    return rows


def read_cvat(folder, marks) -> Coding:
    """Read `labelmap.txt`: name:r,g,b:parts:actions."""
    path, rows = folder.path / marks[0], []
    for number, line in read_lines(path):
        if not line.startswith("#"):
            name, _, rest = line.partition(":")
            numbers = rest.partition(":")[0].split(",")
            color = _color(numbers, f"{path}, line {number}")
            rows.append(ClassRow(name.strip(), color, len(rows)))
    return Coding(rows, colored=True)


def read_listed_names(folder, marks) -> Coding:
    """Read `class_names.txt`, `classes.txt` or `labels.txt`: a name a line.

    labelme's lists may begin with `__ignore__`, which has no value.
    """
    lines = [name for _, name in read_lines(folder.path / marks[0])]
    names = [name for name in lines if name != "__ignore__"]
    rows = [
        ClassRow(
            BACKGROUND if bare_name(name) == BACKGROUND else name, None, value
        )
        for value, name in enumerate(names)
    ]
    return Coding(rows)


def read_color_table(folder, marks) -> Coding:
    """Read `class_dict.csv` (name, r, g, b)."""
    rows = [
        ClassRow(row["name"], _color([row[c] for c in "rgb"], where), index)
        for index, (where, row) in enumerate(
            _csv_rows(folder.path / marks[0], ("name", "r", "g", "b"))
        )
    ]
    return Coding(rows, colored=True)


def read_color_lines(folder, marks) -> Coding:
    """Read CamVid's `label_colors.txt`: r g b name."""
    path, rows = folder.path / marks[0], []
    for number, line in read_lines(path):
        *numbers, name = line.split(None, 3)
        color = _color(numbers, f"{path}, line {number}")
        rows.append(ClassRow(name, color, len(rows)))
    return Coding(rows, colored=True)


def read_pascal(folder, marks) -> Coding | None:
    """Return the classes of PASCAL VOC, where the images are its own."""
    own = folder.matching(r"SegmentationClass/\d{4}_\d{6}\.png")
    masks = folder.matching(r"SegmentationClass/.*\.png")
    if not own or len(own) < len(masks):
        return None
    rows = [ClassRow(name, value=i) for i, name in enumerate(_PASCAL.split())]
    return Coding(rows, labels=r"SegmentationClass/.*")


_PASCAL = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow "
    "diningtable dog horse motorbike person pottedplant sheep sofa train "
    "tvmonitor"
)


def _csv_rows(path, columns):
    """Yield the place and the cells, by column, of each row of a CSV file."""
    lines = io.StringIO("\n".join(read_text(path).splitlines()))
    reader = csv.reader(lines, skipinitialspace=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    if {*columns} - {*header}:
        raise ValueError(
            f"{path}, line 1: expected the columns {', '.join(columns)}. "
            f"Received: {header}."
        )
    for cells in reader:
        if any(cell.strip() for cell in cells):
            where = f"{path}, line {reader.line_num}"
            if len(cells) < len(header):
                raise ValueError(
                    f"{where}: expected {len(header)} cells. Received: {cells}."
                )
            yield where, dict(zip(header, map(str.strip, cells)))  # noqa: B905


def _whole(text, where):
    """Return a whole number from 0."""
    if not text.strip().isdecimal():
        raise ValueError(
            f"{where}: expected a whole number from 0. Received: {text!r}."
        )
    return int(text)


def _color(numbers, where):
    """Return a color from three numbers or their texts."""
    texts = [str(number).strip() for number in numbers]
    if len(texts) != 3 or not all(
        text.isdecimal() and int(text) < 256 for text in texts
    ):
        raise ValueError(
            f"{where}: expected a color, three numbers from 0 to 255. "
            f"Received: {', '.join(texts)!r}."
        )
    return tuple(map(int, texts))


def _hex_color(text):
    """Return the color that `#rrggbb` says, or `None`."""
    found = re.match(r"#([0-9a-f]{6})", str(text), re.IGNORECASE)
    return tuple(bytes.fromhex(found[1])) if found else None


# --- What the masks say ---


def read_contents(folder: Folder, labels: Sequence) -> Coding:
    """Return the classes of masks that no file names, from all of them.

    Args:
        folder: The folder.
        labels: Paths of the masks.

    Raises:
        ValueError: If they hold too many colors, or none can be read.
    """
    values, colors = _contents_of(labels)
    cure = f'name them in {folder.path / "info.json"}: {{"names": [...]}}'
    if colors:  # where some are grey, those are colors too
        colors += Counter({(v,) * 3: count for v, count in values.items()})
        return _coding_of_colors(folder, colors, cure)
    if len(values) == 1:
        (value,) = values
        ignored = ", which is ignored" if value == IGNORE_LABEL else ""
        raise ValueError(
            f"Expected masks of two values or more in {folder.path}. Received: "
            f"{value} alone{ignored}. Label the images, or if it is a class, "
            f"{cure}."
        )
    classes = sorted({*values} - {IGNORE_LABEL})
    if {*values} == {0, IGNORE_LABEL}:
        said = "The masks hold 0 and 255 alone: background and foreground."
        rows = [
            ClassRow(BACKGROUND, value=0),
            ClassRow("foreground", value=IGNORE_LABEL),
        ]
    elif classes[-1] < 1.5 * len(classes):
        first = min(classes[0], 1)  # ids may count from 1
        numbers = range(first, classes[-1] + 1)
        rows = [ClassRow(f"class_{i}", value=i) for i in numbers]
        said = f"No file names the {len(rows)} classes; {cure}."
    else:
        greys = {(value,) * 3: count for value, count in values.items()}
        _check_smoothing(folder, greys)
        rows = [ClassRow(f"value_{value}", value=value) for value in classes]
        said = f"No file names the classes of {len(rows)} values; {cure}."
    return Coding(rows, said=(said,))


def _coding_of_colors(folder, colors, cure):
    if len(colors) > IGNORE_LABEL:
        raise ValueError(
            f"Expected masks of few colors in {folder.path}. Received: "
            f"{len(colors)} colors or more; save masks as PNG, without "
            "smoothing."
        )
    _check_smoothing(folder, colors)
    colors = sorted(colors)
    rows = [ClassRow(f"color_{bytes(color).hex()}", color) for color in colors]
    said = f"No file names the classes of {len(rows)} colors; {cure}."
    return Coding(rows, colored=True, said=(said,))


def _check_smoothing(folder, colors):
    """Raise `ValueError` if colors are those of edges between two others.

    Args:
        folder: The folder.
        colors: Number of pixels by color; values are shades of grey.
    """
    *_, second, _ = [0, *sorted(colors.values())]
    rare = [color for color, count in colors.items() if count < second / 10]
    common = [np.array(color) for color in colors if color not in rare]
    pairs = [*itertools.combinations(common, 2)]
    edges = [
        color
        for color in rare
        if any(_between(np.array(color), *pair) for pair in pairs)
    ]
    black, white = (0, 0, 0), (IGNORE_LABEL,) * 3
    masks = {*colors} - {*rare} == {black, white} and len(edges) == len(rare)
    if edges and (masks or (len(edges) > 2 and 2 * len(edges) >= len(colors))):
        grey = all(len({*color}) == 1 for color in colors)
        shown = [c[0] if grey else "#" + bytes(c).hex() for c in sorted(edges)]
        raise ValueError(
            f"Expected masks of one value or color for each class in "
            f"{folder.path}. Received: {len(edges)} of {len(colors)} "
            f"{'values' if grey else 'colors'} in few pixels, between two "
            f"others, as smoothed edges have ({', '.join(map(str, shown[:4]))}"
            f"{', ...' if len(shown) > 4 else ''}); save masks without "
            "smoothing (resize by nearest neighbor), or say in info.json what "
            "each means, with names and "
            f"label_{'values' if grey else 'colors'}."
        )


def _between(color, first, last):
    """Return whether a color lies on the line from one to another."""
    way = last - first
    place = np.dot(color - first, way) / np.dot(way, way)
    return 0 < place < 1 and np.abs(first + place * way - color).max() <= 3


def _contents_of(labels):
    """Return the pixels of each value of all masks, and of each color.

    A broken mask has none: the checks of the labels name it.
    """
    rows = remembered(
        "counts",
        [*map(str, labels)],
        [file_stamp((label,)) for label in labels],
        lambda index: _contents(labels[index]),
    )
    whole = [row for row in rows if not isinstance(row, Fault)]
    if not whole:
        raise ValueError(rows[0])
    values, colors = Counter(), Counter()
    for item, count in (each for row in whole for each in row):
        if isinstance(item, list):
            colors[tuple(item)] += count
        else:
            values[item] += count
    return values, colors


def _contents(label):
    """Return the values of a mask, or its colors as lists, and their pixels."""
    if values := stored_counts(label):
        return sorted(values.items())
    image = open_picture(label).convert("RGB")
    # Pillow counts in place; NumPy would make integers of the bytes first.
    counted = image.getcolors(image.width * image.height)
    # More of them are no classes, whichever they are.
    return sorted([[*color], count] for count, color in counted)[
        : IGNORE_LABEL + 1
    ]


def with_palette(coding: Coding, label) -> Coding:
    """Return the coding with the colors of a palette mask, if it has none.

    Args:
        coding: Classes of a folder.
        label: Path of one of its masks.
    """
    if coding.colored or any(row.color for row in coding.rows):
        return coding
    with open_header(label) as image:
        if image.mode != "P":
            return coding
        flat = image.getpalette("RGB")
    colors = [tuple(flat[at : at + 3]) for at in range(0, len(flat), 3)]
    rows = [
        row._replace(color=colors[row.value])
        if row.value is not None and row.value < len(colors)
        else row
        for row in coding.rows
    ]
    return coding._replace(rows=rows)
