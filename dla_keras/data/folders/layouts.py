"""Reads the folders that people have: what tools export, and images + masks.

`LAYOUTS` has one row for each kind of folder; `find_layout` tries them in
order. Names and colors of the classes come from the tools' own files.
`data/segmentation.open_split` is above, `pairs` and `annotations` beside.
"""

import contextlib
import json
import os
import pathlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from functools import lru_cache
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.folders.annotations import read_brushes
from dla_keras.data.folders.annotations import read_coco
from dla_keras.data.folders.annotations import read_yolo
from dla_keras.data.folders.class_files import Coding
from dla_keras.data.folders.class_files import Folder
from dla_keras.data.folders.class_files import is_void
from dla_keras.data.folders.class_files import read_color_lines
from dla_keras.data.folders.class_files import read_color_table
from dla_keras.data.folders.class_files import read_contents
from dla_keras.data.folders.class_files import read_cvat
from dla_keras.data.folders.class_files import read_listed_names
from dla_keras.data.folders.class_files import read_mapillary
from dla_keras.data.folders.class_files import read_pascal
from dla_keras.data.folders.class_files import read_roboflow
from dla_keras.data.folders.class_files import read_supervisely
from dla_keras.data.folders.class_files import with_palette
from dla_keras.data.folders.pairs import bare_stem
from dla_keras.data.folders.pairs import describe
from dla_keras.data.folders.pairs import draw_share
from dla_keras.data.folders.pairs import list_files
from dla_keras.data.folders.pairs import pair_by_name
from dla_keras.data.folders.pairs import some_of
from dla_keras.data.folders.pairs import split_by_name
from dla_keras.data.info_file import NAME
from dla_keras.data.info_file import folder_info
from dla_keras.data.info_file import read_info
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import open_header


@dataclass(frozen=True)
class FolderDataset:
    """What a folder holds.

    Args:
        info: Facts about the dataset.
        splits: Path of each image and its label by split: `"train"`, `"val"`,
            maybe `"test"`. A label is a path, or a `DrawnLabel`.
        said: Remarks of one line each about what was chosen.
        drawn: Whether `"val"` is a share of the images that was drawn.
    """

    info: DatasetInfo
    splits: dict[str, list]
    said: tuple[str, ...]
    drawn: bool


@dataclass(frozen=True)
class Layout:
    """A kind of folder.

    Args:
        name: Name of the kind, for messages.
        mark: Regular expression of the path of a file that tells it.
        shape: Short description of its mark, for messages.
        read: Function of the folder and of the files that match `mark` that
            returns a `FolderDataset`, or `None` if it is another kind.
        sure: Whether a file of that path tells it for sure. Defaults to
            `True`.
        known: Name of the dataset whose published folder it is. Defaults to
            `None`: anybody's.
    """

    name: str
    mark: str
    shape: str
    read: Callable[[Folder, list[PurePosixPath]], FolderDataset | None]
    sure: bool = True
    known: str | None = None


class NoLayoutError(ValueError):
    """An error about a folder that is of none of the kinds."""


def find_layout(path, known: str | None = None) -> FolderDataset | None:
    """Return what a folder holds, by the first row of `LAYOUTS` that fits.

    Args:
        path: Path of the folder.
        known: Name of the dataset whose published folder it may be; `None` is
            returned if it is another one. Defaults to `None`: any kind.

    Raises:
        NoLayoutError: If no row fits; the message says what is there, what to
            do, and what was looked for.
        ValueError: If files are faulty.
    """
    if known and not any(row.known == known for row in LAYOUTS):
        return None
    folder = open_folder(pathlib.Path(path))
    # Splits are opened one by one; the folder is read once, if it stays.
    return _read_folder(folder, _stamp(folder), known)


def _stamp(folder):
    """Return what changes when the folder or one of its files does."""
    sizes_and_times = []
    for file in folder.files:
        with contextlib.suppress(OSError):  # a link to nothing, for instance
            stat = os.stat(folder.path / file)
            sizes_and_times.append((stat.st_size, stat.st_mtime_ns))
    return hash((folder.path.resolve(), *sizes_and_times))


@lru_cache(maxsize=2)
def _read_folder(folder, stamp, known) -> FolderDataset | None:
    rows = [row for row in LAYOUTS if known in (None, row.known)]
    marked = [(row, folder.matching(row.mark)) for row in rows]
    for index, (row, files) in enumerate(marked):
        found = row.read(folder, files) if files else None
        if found:
            others = [r.name for r, f in marked[index + 1 :] if f and r.sure]
            said = f"{folder.path} is read as {row.name}" + (
                f"; it looks like {' and '.join(others)} too" if others else ""
            )
            return replace(found, said=(f"{said}.", *found.said))
    if known:
        return None
    raise NoLayoutError(_nothing_found(folder))


def open_folder(path):
    """Return a folder, without one that only wraps it as archives do."""
    files = list_files(path)
    while files and all(len(file.parts) > 1 for file in files):
        tops = {file.parts[0] for file in files}
        word = next(iter(tops))
        if len(tops) > 1 or describe(PurePosixPath(word, "x")).says:
            break
        path = path / word
        files = [PurePosixPath(*file.parts[1:]) for file in files]
    return Folder(path, tuple(files))


# --- Splits ---


def finished(folder, info, splits, said) -> FolderDataset:
    """Return the dataset; without a val split, a share of train is drawn.

    Args:
        folder: The folder.
        info: Facts about the dataset.
        splits: Path of each image below the folder, and its label, by split.
        said: Remarks.
    """
    train, said = splits.get("train", []), [*said]
    if not train:
        raise ValueError(
            f"Expected images to train on in {folder.path}. Received: "
            + (
                f"images of {' and '.join(others)} only; call them train/."
                if (others := [split for split, row in splits.items() if row])
                else "none; list them in the file that names images."
            )
        )
    drawn = not splits.get("val")
    if drawn:
        share = draw_share(str(image) for image, _ in train)
        said.append(
            f"There is no val/: {len(share)} of {len(train)} images of "
            f"{folder.path} validate, always the same; val.txt of a run lists "
            "them."
        )
        in_val = lambda pair: str(pair[0]) in share
        splits = {
            **splits,
            "train": [pair for pair in train if not in_val(pair)],
            "val": [pair for pair in train if in_val(pair)],
        }
    whole = {
        split: [(folder.path / image, label) for image, label in pairs]
        for split, pairs in splits.items()
        if pairs
    }
    return FolderDataset(info, whole, tuple(said), drawn)


# --- Masks ---


def _read_masks(folder, marks, classes) -> FolderDataset | None:
    """Return a folder of images and masks whose classes a file lists."""
    coding = classes(folder, marks)
    if coding is None:
        return None
    paths, said = _find_masks(folder, coding.labels)
    labels = [label for pairs in paths.values() for _, label in pairs]
    if not coding.rows and _names_classes(folder):
        info = folder_info(folder.path, None, labels)
        return finished(folder, info, paths, said)
    if not coding.rows:
        coding = read_contents(folder, labels)
    info, notes = _info(folder, with_palette(coding, labels[0]))
    info = folder_info(folder.path, info, labels)
    return finished(folder, info, paths, [*coding.said, *notes, *said])


def _names_classes(folder):
    """Return whether the folder's own `info.json` names its classes."""
    path = folder.path / NAME
    return path.exists() and bool(read_info(path).class_names)


def _read_known(folder, marks, name, labels=None) -> FolderDataset:
    """Return the published folder of a dataset that has a name."""
    paths, said = _find_masks(folder, labels)
    info = folder_info(folder.path, DATASETS[name])
    return finished(folder, info, paths, said)


def _find_masks(folder, pattern):
    """Return path of image and mask by split, and remarks."""
    pairs = pair_by_name(folder.files, pattern)
    if not pairs.found:
        raise NoLayoutError(_nothing_found(folder))
    splits, said = split_by_name(pairs, folder.path, folder.files)
    paths = {
        split: [(image.path, folder.path / label.path) for image, label in row]
        for split, row in splits.items()
    }
    return paths, said


def _info(folder, coding):
    """Return the facts that a coding says, and remarks."""
    counted = lambda row: not row.ignored and not is_void(row.name)
    rows = [row for row in coding.rows if counted(row)]
    void = [row for row in coding.rows if not counted(row)]
    names = [*dict.fromkeys(row.name for row in rows)]
    if not names:
        raise ValueError(f"Expected classes for {folder.path}. Received: none.")
    colors = {row.name: row.color for row in reversed(rows)}
    free = distinct_palette(len(names), names)
    ids = {name: index for index, name in enumerate(names)}
    values = _table(folder, ids, [(r.value, r.name) for r in rows])
    by_color = [(r.color, r.name) for r in rows if coding.colored]
    by_color = _table(folder, ids, by_color)
    info = DatasetInfo(
        name=folder.path.resolve().name,
        class_names=tuple(names),
        palette=tuple(
            colors[name] or color
            for name, color in zip(names, free, strict=True)
        ),
        label_values=values or None,
        label_colors=by_color or None,
        ignored_ids=tuple(r.value for r in void if r.value is not None),
        ignored_colors=tuple(r.color for r in void if coding.colored),
    )
    said = [f"Ignored: {', '.join(r.name for r in void)}."] if void else []
    return info, said


def _table(folder, ids, pairs):
    """Return the class id of each value or color, which is of one class."""
    table = {}
    for key, name in pairs:
        if key is not None and table.setdefault(key, ids[name]) != ids[name]:
            others = [n for k, n in pairs if k == key]
            raise ValueError(
                f"Expected one class for {key} in the masks of {folder.path}. "
                f"Received: {' and '.join(others)}; export them in colors of "
                "their own."
            )
    return table


def _read_drawn(folder, marks, draw) -> FolderDataset | None:
    """Return a folder whose labels are drawn from annotations."""
    drawing = draw(folder, marks)
    if drawing is None:
        return None
    info, notes = _info(folder, Coding(drawing.rows))
    info = folder_info(folder.path, info)
    ids = np.full(256, IGNORE_LABEL, np.uint8)
    ids[[*info.values]] = [*info.values.values()]
    splits = {
        split: [(image, replace(label, ids=ids)) for image, label in pairs]
        for split, pairs in drawing.splits.items()
    }
    said = [*drawing.said, *notes]
    rest = drawing.rows[0].name
    if rest in info.class_names:
        others = [name for name in info.class_names if name != rest]
        said.append(
            f"Pixels that nobody labelled are the class {rest!r}; "
            f"{folder.path / NAME} ignores them if it names the others alone: "
            f"{json.dumps({'names': others})}."
        )
    return finished(folder, info, splits, said)


# --- Messages ---

# What the files of a folder say about why it cannot be read, and the cure.
_CURES = {
    r"(.*/)?annotations\.xml": "CVAT's XML is not read: export 'Segmentation "
    "mask', with 'Save images'.",
    r"SegmentationClass/.*\.png": "The images are missing: export again with "
    "'Save images', or copy them into JPEGImages/.",
    r"(.*/)?ann/.*\.json": "Supervisely's annotations are not read: use its "
    "app 'Export as masks'.",
    r"(.*/)?labels/.*\.txt": "YOLO's labels need its data.yaml, with 'names'.",
    r"(.*/)?Annotations/.*\.xml": "PASCAL VOC's .xml files hold boxes: masks "
    "in SegmentationClass/ are needed.",
    r".*\.mat": "BSDS500's boundaries are for train-boundary.",
    r".*\.(zip|tar|tgz|gz|7z|rar)": "Unpack the archives.",
    r"(.*/)?[^/]+\.json": "If the json files are labelme's, convert them with "
    "labelme2voc.",
}


def _nothing_found(folder):
    """Return the message about a folder that is none of the kinds."""
    counts = Counter(
        (str(path.parent), path.suffix.lower() or "no suffix")
        for path in folder.files
    )
    there = ", ".join(
        f"{count} {suffix} in {place}/" if place != "." else f"{count} {suffix}"
        for (place, suffix), count in counts.most_common(6)
    )
    shapes = ", ".join(row.shape for row in LAYOUTS)
    return (
        f"No images with labels in {folder.path}. Received: "
        f"{there or 'no file'}. {_cure(folder)} Looked for: train_images.txt, "
        f"{shapes}."
    )


def _cure(folder):
    """Return the sentence that says what to do with the folder."""
    for pattern, cure in _CURES.items():
        if folder.matching(pattern):
            return cure
    by_place = {}
    for path in folder.files:
        picture = describe(path)
        if path.suffix.lower() in SUFFIXES and picture.kind != "left out":
            stem = bare_stem(picture)
            by_place.setdefault(path.parent, set()).add(stem)
    if len(by_place) > 1:
        *others, last = sorted(
            by_place, key=lambda place: _looks_like_masks(folder, place)
        )
        stems = set().union(*(by_place[place] for place in others))
        several = [p for p in by_place if describe(p / "x").kind == "labels"]
        if len(several) > 1:
            return (
                f"{some_of(several)} have several labels for an image: put all "
                "classes of an image into one PNG of its name in masks/."
            )
        if several:
            first = {p.parent: p for p in reversed(folder.files)}
            image = next(first[p] for p in by_place if p not in several)
            return (
                "An image and its label have one name, but for the suffix: "
                f"these have not, for instance {image} and "
                f"{first[several[0]]}."
            )
        same = len(stems & by_place[last]) * 2 > len(by_place[last])
        if same and (len(others) == 1 or _looks_like_masks(folder, last)[0]):
            return f"Rename {last}/ to masks/ if it holds the labels."
        return (
            "If each folder is a class, use train-cls. If not, put the images "
            "into images/ and the labels, as PNG, into masks/."
        )
    return "Put the images into images/ and the labels, as PNG, into masks/."


def _looks_like_masks(folder, place):
    """Return whether the first picture of a place has one channel."""
    inside = (path for path in folder.files if path.parent == place)
    first = next(p for p in inside if p.suffix.lower() in SUFFIXES)
    with open_header(folder.path / first) as image:
        return image.mode in ("1", "L", "P"), first.suffix.lower() == ".png"


def _published(name, mark, shape, labels=None):
    """Return the row of the published folder of a dataset."""
    read = partial(_read_known, name=name, labels=labels)
    return Layout(name, mark, shape, read, known=name)


# Tried in order: what a tool's own file tells comes before names of folders.
LAYOUTS = (
    _published(
        "cityscapes",
        r"leftImg8bit/train/.*",
        "leftImg8bit/ and gtFine/ (Cityscapes)",
        labels=r"gtFine/.*_gtFine_labelIds\.png",
    ),
    _published(
        "bdd100k",
        r"(images/10k|seg/images)/train/.*",
        "images/10k/ (BDD100K)",
        labels=r"labels/sem_seg/masks/.*|seg/labels/.*_train_id\.png",
    ),
    _published(
        "ade20k",
        r"images/training/ADE_train_\d+\.jpg",
        "images/training/ADE_train_*.jpg (ADE20K)",
    ),
    _published(
        "camvid",
        r"trainannot/(0001TP|0006R0|0016E5|Seq05VD)_.*\.png",
        "trainannot/ (SegNet's CamVid)",
    ),
    Layout(
        "Mapillary Vistas",
        r"config[^/]*\.json",
        "config*.json (Mapillary)",
        partial(_read_masks, classes=read_mapillary),
    ),
    Layout(
        "Supervisely's masks",
        r"obj_class_to_machine_color\.json",
        "obj_class_to_machine_color.json (Supervisely)",
        partial(_read_masks, classes=read_supervisely),
    ),
    Layout(
        "Roboflow's semantic masks",
        r"(.*/)?_classes\.csv",
        "_classes.csv (Roboflow)",
        partial(_read_masks, classes=read_roboflow),
    ),
    Layout(
        "CVAT's segmentation masks",
        r"labelmap\.txt",
        "labelmap.txt (CVAT)",
        partial(_read_masks, classes=read_cvat),
    ),
    Layout(
        "Label Studio's brushes",
        r"(.*/)?task-\d+-annotation-\d+-by-.*\.png",
        "task-*.png (Label Studio)",
        partial(_read_drawn, draw=read_brushes),
    ),
    Layout(
        "COCO",
        r"(.*/)?[^/]+\.json",
        "a COCO json",
        partial(_read_drawn, draw=read_coco),
        sure=False,
    ),
    Layout(
        "YOLO polygons",
        r"([^/]+\.ya?ml|classes\.txt)",
        "data.yaml (YOLO)",
        partial(_read_drawn, draw=read_yolo),
        sure=False,
    ),
    Layout(
        "masks with a table of colors",
        r"(.*/)?(label_)?class_dict\.csv",
        "class_dict.csv",
        partial(_read_masks, classes=read_color_table),
    ),
    Layout(
        "CamVid's masks",
        r"label_colors\.txt",
        "label_colors.txt",
        partial(_read_masks, classes=read_color_lines),
    ),
    Layout(
        "PASCAL VOC or labelme2voc",
        r"(class_names|classes|labels)\.txt",
        "class_names.txt",
        partial(_read_masks, classes=read_listed_names),
    ),
    Layout(
        "PASCAL VOC",
        r"(.*/)?SegmentationClass/\d{4}_\d{6}\.png",
        "PASCAL VOC's SegmentationClass/",
        partial(_read_masks, classes=read_pascal),
    ),
    Layout(
        "images and masks",
        ".*",
        "images/ and masks/, inside or outside train/ and val/",
        partial(_read_masks, classes=lambda folder, marks: Coding([])),
        sure=False,
    ),
)
