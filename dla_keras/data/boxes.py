"""Boxes of objects: how they are read and checked.

The label of an image is a row for each object: its class, then top, left,
bottom and right, in pixels from the image's upper left corner. What is neither
an object nor background, a crowd for instance, has `ignored(class)` there.
TFDS' `objects`, COCO's json, PASCAL VOC's XML and YOLO's text are read.
"""

import dataclasses
import io
import math
import os
import pathlib
from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from xml.etree import ElementTree

import numpy as np

from dla_keras.choices import spread
from dla_keras.data.checks import SAMPLE
from dla_keras.data.checks import Finding
from dla_keras.data.checks import check_splits
from dla_keras.data.checks import find_absent
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.file_cache import Fault
from dla_keras.data.file_cache import file_stamp
from dla_keras.data.file_cache import remembered
from dla_keras.data.fitting import resize_picture
from dla_keras.data.folders import annotations
from dla_keras.data.folders.class_files import field
from dla_keras.data.folders.layouts import FolderDataset
from dla_keras.data.folders.layouts import NoLayoutError
from dla_keras.data.folders.layouts import finished
from dla_keras.data.folders.layouts import open_folder
from dla_keras.data.folders.pairs import describe
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import picture_size
from dla_keras.data.pictures import read_rgb
from dla_keras.data.tfds_source import check_places
from dla_keras.data.tfds_source import open_builder
from dla_keras.data.tfds_source import open_source
from dla_keras.files import read_lines

MAX_BOXES = 128  # of a crop, as in CenterNet's code
LEAST_SHARE = 0.25  # of a box that a crop shows, to be an object in it
NO_BOX = -1  # as in `models/centers.py`
SLACK = 2.0  # pixels that annotations may lie outside of the image
# Name of a recipe -> TFDS' builder.
BUILDERS = {"coco": "coco/2017", "voc": "voc/2007"}


def ignored(class_id):
    """Return what stands for the class of a box that is to be ignored."""
    return -2 - class_id


@dataclass(frozen=True)
class BoxExample:
    """An image with the boxes of its objects.

    Args:
        image: uint8 `(height, width, 3)`, RGB.
        label: float32 `(boxes, 5)`: class or `ignored(class)`, top, left,
            bottom, right, in pixels.
        name: File or key it came from, for messages and reports.
    """

    image: np.ndarray
    label: np.ndarray
    name: str

    def renumbered(self, table: np.ndarray) -> "BoxExample":
        """Return the example with other class ids.

        Args:
            table: New id of each old one.
        """
        label = self.label.copy()
        ids = label[:, 0].astype(int)
        known = table[np.where(ids < 0, ignored(ids), ids)]
        label[:, 0] = np.where(ids < 0, ignored(known), known)
        return dataclasses.replace(self, label=label)


def resize_boxes(example: BoxExample, height: int, width: int) -> BoxExample:
    """Return an example of an image and its boxes at a size."""
    scale = np.divide((height, width), example.image.shape[:2])
    return dataclasses.replace(
        example,
        image=resize_picture(example.image, height, width),
        label=np.float32(example.label * [1, *scale, *scale]),
    )


@dataclass(frozen=True)
class Boxes:
    """The boxes that a file gives an image, as they stand there.

    Args:
        path: Path of the file.
        name: Name of them in messages.
        rows: float64 `(boxes, 5)`, see `BoxExample.label`.
        size: Height and width that the file says. Defaults to `None`.
    """

    path: pathlib.Path
    name: str
    rows: np.ndarray
    size: tuple[int, int] | None = None

    def cut(self, height: int, width: int) -> np.ndarray:
        """Return those with an area within an image of this size."""
        rows = self.rows.copy()
        rows[:, 1:] = np.clip(rows[:, 1:], 0, [height, width, height, width])
        return np.float32(rows[(rows[:, 3:] > rows[:, 1:3]).all(1)])

    def __str__(self):
        return self.name


class FileBoxes(Sequence):
    """A split whose images are files, read by index.

    Args:
        found: Content of the folder.
        split: Name of the split.
    """

    def __init__(self, found: FolderDataset, split: str):
        self.info = found.info
        self.pairs = found.splits[split]
        self.said = found.said
        folder = os.path.commonpath([image.parent for image, _ in self.pairs])
        self.drawn = tuple(
            os.path.relpath(image, folder) for image, _ in self.pairs
        )
        if not found.drawn:
            self.drawn = ()

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        path, boxes = self.pairs[index]
        image = read_rgb(path)
        return BoxExample(image, boxes.cut(*image.shape[:2]), str(path))


class TFDSBoxes(Sequence):
    """A split of a TFDS builder with the feature `objects`, read by index.

    Args:
        builder: Builder from `open_builder`.
        info: Facts about the dataset.
        split: TFDS' name of the split.
    """

    def __init__(self, builder, info: DatasetInfo, split: str):
        self.info = info
        self._source = open_source(builder, split, ("image",))
        self._split = split

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = self._source[index]
        name = f"{self.info.name}/{self._split}/{index}"
        image = read_rgb(io.BytesIO(row["image"]), name)
        objects = row["objects"]
        classes = np.asarray(objects["label"], np.float64)
        for mark in ("is_crowd", "is_difficult"):
            if mark in objects:
                marked = np.asarray(objects[mark], bool)
                classes = np.where(marked, ignored(classes), classes)
        size = image.shape[:2]
        boxes = np.reshape(objects["bbox"], (-1, 4)) * (*size, *size)
        rows = np.concatenate([classes[:, None], boxes], axis=1)
        label = Boxes(pathlib.Path(name), name, rows).cut(*size)
        return BoxExample(image, label, name)


def open_boxes(
    dataset: str, split: str, data_dir: str | None = None
) -> Sequence[BoxExample]:
    """Open a split of a dataset of boxes for reading by index.

    Args:
        dataset: `"toy_streets"`, a name of TFDS whose dataset has `objects`
            (`"bccd"`, `"coco/2017"`, `"voc/2007"`, ...), or a folder: with a
            COCO json, with PASCAL VOC's XML files, or with YOLO's labels.
        split: `"train"`, `"val"` or another of its splits. Of a folder
            without `"val"`, a fifth of the images is drawn, always the same.
        data_dir: The same folder, or the one in which TFDS keeps its data.
            Defaults to `None`: TFDS' own default.

    Returns:
        A sequence of `BoxExample`, with the dataset's facts as its `info`.

    Raises:
        ValueError: If the dataset is unknown or has no boxes, or files are
            faulty.
        FileNotFoundError: If files are missing.
    """
    check_places(dataset, data_dir)
    for place in filter(None, (data_dir, dataset)):
        path = pathlib.Path(place)
        if path.is_dir() and (found := find_boxes(path)):
            if split not in found.splits:
                raise ValueError(
                    f"Expected a split of {path}: {', '.join(found.splits)}. "
                    f"Received: {split!r}."
                )
            return FileBoxes(found, split)
    if pathlib.Path(dataset).is_dir():
        raise NoLayoutError(
            f"No images with boxes in {dataset}. Looked for: a COCO json with "
            "'bbox', PASCAL VOC's .xml files, data.yaml and labels/*.txt "
            "(YOLO). Export the boxes in one of these forms."
        )
    return _open_tfds(dataset, split, data_dir)


def _open_tfds(dataset, split, data_dir):
    builder = open_builder(BUILDERS.get(dataset, dataset), data_dir)
    features = dict(builder.info.features.items())
    inner = getattr(features.get("objects"), "feature", None)
    objects = dict(inner.items()) if hasattr(inner, "items") else {}
    if not {"bbox", "label"} <= objects.keys():
        raise ValueError(
            "Expected a dataset with the feature 'objects' of 'bbox' and "
            f"'label'. Received: {dataset} with {', '.join(features)}."
        )
    if split == "val":
        names = ("val", "validation", "test")
        split = next((n for n in names if n in builder.info.splits), split)
    return TFDSBoxes(builder, _info(dataset, objects["label"].names), split)


def _info(name, class_names) -> DatasetInfo:
    palette = distinct_palette(len(class_names), class_names)
    return DatasetInfo(name, tuple(class_names), palette)


# --- Folders ---


def find_boxes(path) -> FolderDataset | None:
    """Return what a folder holds, or `None` if it holds no boxes.

    Args:
        path: Path of the folder.

    Raises:
        ValueError: If files are faulty.
    """
    folder = open_folder(pathlib.Path(path))
    stamps = []
    for file in folder.files:
        stat = os.stat(folder.path / file)
        stamps.append((stat.st_size, stat.st_mtime_ns))
    # Splits are opened one by one; the folder is read once, if it stays.
    return _read_folder(folder, hash(tuple(stamps)))


@lru_cache(maxsize=2)
def _read_folder(folder, stamp):
    for name, pattern, read in LAYOUTS:
        marks = folder.matching(pattern)
        found = read(folder, marks) if marks else None
        if found:
            names, splits = found
            said = [f"{folder.path} is read as {name}."]
            info = _info(folder.path.resolve().name, names)
            return finished(folder, info, splits, said)
    return None


def _read_coco(folder, marks):
    """Return names of classes, and images with boxes by split."""
    tables = annotations.coco_tables(folder, marks)
    boxed = any(
        "bbox" in each
        for _, content in tables.values()
        for each in content["annotations"]
        if isinstance(each, dict)
    )
    if not boxed:
        return None
    categories = annotations.coco_categories(folder, tables)
    names = list(dict.fromkeys(categories.values()))
    find, splits = annotations.ImageFinder(folder), {}
    for split, (path, content) in tables.items():
        file = folder.path / path
        by_image = annotations.by_image(content, file)
        splits[split] = [
            (
                find(field(each, "file_name", str, file), path),
                _coco_boxes(
                    each, by_image[each["id"]], categories, names, file
                ),
            )
            for each in content["images"]
        ]
    return names, splits


def _coco_boxes(image, found, categories, names, file):
    where = f"{file} ({image['file_name']})"
    rows = []
    for each in found:
        place = f"{file}, annotation {each.get('id')}"
        if each["category_id"] not in categories:
            raise ValueError(
                f"{place}: expected a category of the file. Received: "
                f"{each['category_id']!r}."
            )
        class_id = names.index(categories[each["category_id"]])
        if each.get("iscrowd"):
            class_id = ignored(class_id)
        box = field(each, "bbox", list, place)
        left, top, width, height = _numbers(box, 4, place)
        rows.append((class_id, top, left, top + height, left + width))
    size = tuple(field(image, k, int, where) for k in ("height", "width"))
    return Boxes(file, where, _table(rows), size)


def _read_voc(folder, marks):
    """Return names of classes, and images with boxes by split."""
    by_stem = {}
    for path in folder.files:
        if path.suffix.lower() in SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    files = {path: _voc_objects(folder.path / path) for path in marks}
    files = {path: row for path, row in files.items() if row is not None}
    if not files:
        return None
    names = sorted({o[0] for _, objects in files.values() for o in objects})
    pairs = []
    for path, (size, objects) in files.items():
        image = _image_of(folder, path, by_stem)
        rows = [
            (ignored(names.index(n)) if hard else names.index(n), *box)
            for n, hard, box in objects
        ]
        file = folder.path / path
        pairs.append((image, Boxes(file, str(file), _table(rows), size)))
    return names, _listed(folder, pairs)


def _image_of(folder, path, by_stem):
    """Return the image that is called as its XML file, in the same split."""
    found = by_stem.get(path.stem, [])
    if len(found) > 1:
        split = describe(path).split
        found = [p for p in found if describe(p).split == split] or found
    if len(found) != 1:
        raise ValueError(
            f"{folder.path / path}: expected one image of its name. Received: "
            f"{', '.join(map(str, found)) or 'none'}; put the images into the "
            "folder, under the names of their .xml files."
        )
    return found[0]


def _voc_objects(path):
    """Return the size and (name, difficult, box) of each object."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path} is no whole XML file: {error}.") from error
    if root.tag != "annotation":
        return None
    size = [root.findtext(f"size/{side}") for side in ("height", "width")]
    whole = all(text and text.strip().isdecimal() for text in size)
    objects = []
    for number, each in enumerate(root.iter("object"), start=1):
        where = f"{path}, object {number}"
        name = (each.findtext("name") or "").strip()
        if not name:
            raise ValueError(f"{where}: expected a <name>. Received: none.")
        sides = ("ymin", "xmin", "ymax", "xmax")
        texts = [each.findtext(f"bndbox/{side}") for side in sides]
        box = _numbers(texts, 4, where)
        hard = (each.findtext("difficult") or "0").strip() == "1"
        objects.append((name, hard, box))
    size = tuple(map(int, size)) if whole and "0" not in size else None
    return size, objects


def _listed(folder, pairs):
    """Return pairs by split: as ImageSets/Main or the folders say."""
    by_stem = {image.stem: (image, boxes) for image, boxes in pairs}
    splits = {}
    for split in ("train", "val", "test"):
        (*lists, _) = *folder.matching(rf"(ImageSets/Main/)?{split}\.txt"), None
        if lists:
            path = folder.path / lists[0]
            splits[split] = [
                _listed_pair(by_stem, line, f"{path}, line {number}")
                for number, line in read_lines(path)
            ]
    if "train" in splits:
        return splits
    splits = {}
    for pair in pairs:
        splits.setdefault(describe(pair[0]).split or "train", []).append(pair)
    return splits


def _listed_pair(by_stem, line, where):
    stem = PurePosixPath(line.split()[0].replace("\\", "/")).name
    found = by_stem.get(stem) or by_stem.get(PurePosixPath(stem).stem)
    if found is None:
        raise ValueError(
            f"{where}: expected an image of the folder that has boxes. "
            f"Received: {line!r}; mend or remove the line."
        )
    return found


def _read_yolo(folder, marks):
    """Return names of classes, and images with boxes by split."""
    found = annotations.yolo_files(folder, marks)
    if found is None:
        return None
    names, images, texts = found
    splits = {}
    for split, paths in images.items():
        splits[split] = [
            (image, _yolo_boxes(folder, image, texts, len(names)))
            for image in paths
        ]
    return names, splits


def _yolo_boxes(folder, image, texts, count):
    path = texts.get(annotations.label_stem(image))
    if path is None:  # an image without objects has no file
        picture = folder.path / image
        return Boxes(picture, str(picture), _table([]))
    file = folder.path / path
    height, width = picture_size(folder.path / image)
    rows = []
    for number, line in read_lines(file):
        where = f"{file}, line {number}"
        word, *rest = line.split()
        if not word.isdecimal() or int(word) >= count:
            raise ValueError(
                f"{where}: expected a class from 0 to {count - 1}. Received: "
                f"{word!r}; mend it, or 'names' of the yaml file."
            )
        shares = _numbers(rest, 4 if len(rest) < 6 else len(rest), where)
        if len(shares) == 4:
            x, y, wide, tall = shares
            box = (y - tall / 2, x - wide / 2, y + tall / 2, x + wide / 2)
        else:  # a polygon
            x, y = shares[::2], shares[1::2]
            box = (min(y), min(x), max(y), max(x))
        sides = np.multiply(box, [height, width, height, width])
        rows.append((int(word), *sides))
    return Boxes(file, str(file), _table(rows), (height, width))


def _numbers(values, count, where):
    """Return finite numbers, or raise with the place they stand at."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"{where}: expected a box of {count} numbers. Received: "
            f"{str(list(values))[:80]}; export it again."
        )
    return numbers


def _table(rows):
    return np.array(rows, np.float64).reshape(-1, 5)


# Name, regular expression of the files that tell it, reader; tried in order.
LAYOUTS = (
    ("COCO", r"(.*/)?[^/]+\.json", _read_coco),
    ("PASCAL VOC", r"(.*/)?[^/]+\.xml", _read_voc),
    ("YOLO", r"([^/]+\.ya?ml|classes\.txt)", _read_yolo),
)


# --- What is wrong ---

# What may be wrong with a split, and whether training must not begin.
FAULTS = {
    "Pictures of {} cannot be used": True,
    "Pictures of {} are of another size than their boxes' file says": True,
    "Boxes of {} have their corners in reverse": True,
    "Boxes of {} lie outside of their pictures": True,
    "Boxes of {} have no area, and are left out": False,
}
BROKEN, OTHER_SIZE, REVERSED, OUTSIDE, EMPTY = FAULTS


@dataclass(frozen=True)
class BoxFacts:
    """What the boxes of a split hold.

    Args:
        name: `"train"` or `"val"`.
        pictures: Number of pictures.
        seen: Number of those that were looked at.
        sizes: Width and height -> number of pictures.
        counts: Number of boxes by class id, and by `ignored(class)`.
        sides: Shorter side of each object's box in pixels, `(objects,)`.
        blank: Names of pictures without a box.
        faults: Key of `FAULTS` -> the places of it.
    """

    name: str
    pictures: int
    seen: int
    sizes: Counter
    counts: Counter
    sides: np.ndarray
    blank: tuple[str, ...]
    faults: dict[str, list[str]]


def read_box_facts(split, name: str) -> BoxFacts:
    """Return what a split's boxes hold; no picture of a file is decoded.

    Args:
        split: Sequence of `BoxExample`. Of one with `pairs`, every file is
            looked at; of others, `SAMPLE` examples.
        name: `"train"` or `"val"`.
    """
    rows = _sized(split, name)
    sizes, sides, blank = Counter(), [np.zeros(0)], []
    counts, faults = Counter(), {kind: [] for kind in FAULTS}
    for image, boxes, size in rows:
        counts.update(boxes.rows[:, 0].astype(int).tolist())
        if isinstance(size, Fault):
            faults[BROKEN].append(str(size))
            continue
        height, width = size
        sizes[width, height] += 1
        if boxes.size not in (None, (height, width)):
            faults[OTHER_SIZE].append(
                f"{image} is {width} x {height}, and {boxes} says "
                f"{boxes.size[1]} x {boxes.size[0]}"
            )
            continue
        for number, row in enumerate(boxes.rows, start=1):
            if kind := _fault_of(row, height, width):
                place = f"{boxes}, box {number}: x {row[2]:g} to {row[4]:g}, y "
                place += f"{row[1]:g} to {row[3]:g}, in {width} x {height}"
                faults[kind].append(place)
        kept = boxes.cut(height, width)
        kept = kept[kept[:, 0] >= 0]
        sides.append((kept[:, 3:] - kept[:, 1:3]).min(1, initial=np.inf))
        if not len(boxes.rows):
            blank.append(str(image))
    sides = np.concatenate(sides)
    seen = len(rows)
    return BoxFacts(
        name, len(split), seen, sizes, counts, sides, (*blank,), faults
    )


def _sized(split, name):
    """Return the name, the boxes and height and width of each picture."""
    if pairs := getattr(split, "pairs", ()):
        names = [str(image) for image, _ in pairs]
        stamps = [file_stamp((image,)) for image, _ in pairs]
        size = lambda index: picture_size(pairs[index][0])
        sizes = remembered(("sizes", name), names, stamps, size)
        sizes = [s if isinstance(s, Fault) else tuple(s) for s in sizes]
        return [(*pair, s) for pair, s in zip(pairs, sizes, strict=True)]
    examples = (split[i] for i in spread(range(len(split)), SAMPLE))
    return [
        (
            e.name,
            Boxes(pathlib.Path(e.name), e.name, e.label),
            e.image.shape[:2],
        )
        for e in examples
    ]


def _fault_of(row, height, width):
    """Return the fault of a box, or `None`."""
    _, top, left, bottom, right = row
    if bottom < top or right < left:
        return REVERSED
    if bottom == top or right == left:
        return EMPTY
    low, high = min(top, left), max(bottom - height, right - width)
    return OUTSIDE if max(-low, high) > SLACK else None


def find_box_faults(train: BoxFacts, val: BoxFacts, info) -> list[Finding]:
    """Return what is wrong with the boxes of a dataset.

    Args:
        train: Facts of the training split.
        val: Facts of the validation split.
        info: Facts about the dataset.
    """
    found = []
    for facts in (train, val):
        for kind, places in facts.faults.items():
            if places:
                message = f"{kind.format(facts.name)}: {places[0]} "
                message += f"({len(places)} in all)."
                found.append(Finding("boxes", message, FAULTS[kind]))
        if facts.seen == facts.pictures:  # a sample says nothing of it
            names = info.class_names
            found += find_absent("box", facts.name, names, facts.counts)
    return found


def check_boxes(train, val, allow: Iterable[str] = ()) -> list[Finding]:
    """Return what is wrong with the boxes of two splits, errors first.

    Args:
        train: Training split. One that is no files, as TFDS', has no findings.
        val: Validation split.
        allow: Keys of `ALLOWED` that are meant, and no errors. Defaults to
            none.
    """
    find = lambda train, val: find_box_faults(
        read_box_facts(train, "train"), read_box_facts(val, "val"), train.info
    )
    return check_splits(train, val, allow, find)
