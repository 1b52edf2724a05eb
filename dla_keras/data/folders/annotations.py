"""Reads what tools annotate without masks: COCO, YOLO, Label Studio's brushes.

Labels are drawn when they are read: 0 where nobody annotated, the number of a
class, from 1, elsewhere.
"""

import collections
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from dla_keras.data.folders.class_files import ClassRow
from dla_keras.data.folders.class_files import Folder
from dla_keras.data.folders.class_files import field
from dla_keras.data.folders.class_files import with_background
from dla_keras.data.folders.drawing import DrawnLabel
from dla_keras.data.folders.drawing import Region
from dla_keras.data.folders.drawing import coco_region
from dla_keras.data.folders.drawing import draw_regions
from dla_keras.data.folders.drawing import yolo_regions
from dla_keras.data.folders.pairs import SPLITS
from dla_keras.data.folders.pairs import describe
from dla_keras.data.folders.pairs import some_of
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import open_picture
from dla_keras.data.pictures import picture_size
from dla_keras.files import read_json
from dla_keras.files import read_lines
from dla_keras.files import read_text


@dataclass(frozen=True)
class Drawing:
    """Images of a folder, and the labels to draw for them.

    Args:
        rows: Classes in the order of the values of the labels.
        splits: Path of an image below the folder and a `DrawnLabel` each, by
            split.
        said: Remarks.
    """

    rows: list[ClassRow]
    splits: dict[str, list[tuple[PurePosixPath, DrawnLabel]]]
    said: tuple[str, ...] = ()


class ImageFinder:
    """Finds the image that a file names, wherever it lies in the folder.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Folder):
        self.folder = folder
        self.by_name = {}
        for path in folder.files:
            if path.suffix.lower() in SUFFIXES:
                self.by_name.setdefault(path.name, []).append(path)

    def __call__(self, name: str, source: PurePosixPath) -> PurePosixPath:
        """Return the image's path below the folder.

        Args:
            name: Its name, maybe with folders, as `source` has it.
            source: File that names it.

        Raises:
            ValueError: If there is none, or several.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        found = self.by_name.get(parts[-1], []) if parts else []
        for count in range(2, len(parts) + 1):
            longer = [p for p in found if p.parts[-count:] == parts[-count:]]
            found = longer or found
        if len(found) > 1:  # those of the source's own split
            split = _said_split(source)
            found = [p for p in found if describe(p).split == split] or found
        if len(found) != 1:
            there = some_of(found) if found else "no such file"
            raise ValueError(
                f"{self.folder.path / source} names the image {name!r}. "
                f"Expected one in {self.folder.path}. Received: {there}; put "
                "the images of the export into the folder."
            )
        return found[0]


# --- COCO ---


def read_coco(folder: Folder, marks) -> Drawing | None:
    """Return what COCO's json files say: polygons and masks in run lengths.

    Args:
        folder: The folder.
        marks: Its json files; of others than COCO's nothing is read.
    """
    tables = coco_tables(folder, marks)
    if not tables:
        return None
    categories = coco_categories(folder, tables)
    rows = with_background([ClassRow(name) for name in categories.values()])
    by_name = {row.name: row.value for row in rows}
    values = {number: by_name[name] for number, name in categories.items()}
    find = ImageFinder(folder)
    return Drawing(
        rows,
        {
            split: _coco_pairs(folder, find, path, content, values)
            for split, (path, content) in tables.items()
        },
    )


def coco_tables(folder: Folder, marks) -> dict[str, tuple]:
    """Return path and content of COCO's json file of each split.

    Args:
        folder: The folder.
        marks: Its json files; those of other kinds are left out.

    Raises:
        ValueError: If two files are for one split.
    """
    tables = {}
    counts = collections.Counter(path.parent for path in marks)
    for path in marks:
        if counts[path.parent] > _MOST_JSON:
            continue
        content = read_json(folder.path / path)
        if not _is_coco(content):
            continue
        split = _said_split(path)
        if split in tables:
            # COCO's own archive has files of captions and keypoints too.
            either = [tables[split], (path, content)]
            named = [t for t in either if "instances" in t[0].name.lower()]
            if len(named) != 1:
                raise ValueError(
                    f"Expected one COCO file for {split} in {folder.path}. "
                    f"Received: {tables[split][0]} and {path}; remove one."
                )
            tables[split] = named[0]
        else:
            tables[split] = (path, content)
    return tables


_MOST_JSON = 12  # in one place: other tools write one for each image
_WORD = re.compile(r"[a-z]+")


def _is_coco(content):
    keys = ("images", "annotations", "categories")
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in keys
    )


def _said_split(path):
    """Return the split that a json file's path says: instances_val2017."""
    words = [SPLITS.get(word) for word in _WORD.findall(path.stem.lower())]
    said = [describe(path).split, *filter(None, words)]
    return said[-1] or "train"


def coco_categories(folder, tables) -> dict[int, str]:
    """Return the name of each category by its number, the same in all files."""
    said = {}
    for path, content in tables.values():
        where = folder.path / path
        rows = content["categories"]
        used = {
            field(each, "category_id", int, f"{where}, an annotation")
            for each in content["annotations"]
        }
        names = {
            field(each, "id", int, where): field(each, "name", str, where)
            for each in rows
        }
        above = [each.get("supercategory") for each in rows]
        # Roboflow lists the name above all classes as a class.
        said[path] = {
            number: name
            for number, name in sorted(names.items())
            if number in used or name not in above
        }
    first, *others = said
    for other in others:
        if any(
            said[first].setdefault(number, name) != name
            for number, name in said[other].items()
        ):
            raise ValueError(
                "Expected the same categories in every split. Received: "
                f"others in {folder.path / other} than in "
                f"{folder.path / first}."
            )
    return dict(sorted(said[first].items()))


def _coco_pairs(folder, find, path, content, values):
    """Return the images of a COCO file with their labels."""
    owners, file = {}, folder.path / path
    by_image_id = by_image(content, file)
    pairs = []
    for each in content["images"]:
        name = field(each, "file_name", str, file)
        image, where = find(name, path), f"{file} ({name})"
        if image in owners:
            raise ValueError(
                f"{file}: expected each image once. Received: {image} as "
                f"{owners[image]!r} and as {name!r}; join their annotations."
            )
        owners[image] = name
        size = tuple(
            field(each, side, int, where) for side in ("height", "width")
        )
        picture, annotations = folder.path / image, by_image_id[each["id"]]
        draw = partial(_draw_coco, annotations, values, size, file, picture)
        pairs.append((image, DrawnLabel(file, where, draw, size)))
    return pairs


def by_image(content, file) -> dict[int, list]:
    """Return the annotations of each image, by its id."""
    found = {}
    for each in content["images"]:
        number = field(each, "id", int, f"{file}, an image")
        if number in found:
            raise ValueError(
                f"{file}: expected an 'id' of its own for each image. "
                f"Received: {number} for {each.get('file_name')!r}, too; "
                "number the images anew, and their annotations."
            )
        found[number] = []
    for each in content["annotations"]:
        number = field(each, "image_id", int, f"{file}, an annotation")
        if number not in found:
            raise ValueError(
                f"{file}, annotation {each.get('id')}: expected the 'id' of "
                f"one of the images as 'image_id'. Received: {number}; list "
                "the image, or remove the annotation."
            )
        found[number].append(each)
    return found


def _draw_coco(annotations, values, size, file, picture):
    if sorted(size) != sorted(picture_size(picture)):  # before it is drawn
        height, width = picture_size(picture)
        raise ValueError(
            f"{file}: expected {width} x {height}, the size of {picture}. "
            f"Received: {size[1]} x {size[0]}; mend 'width' and 'height'."
        )
    regions = []
    for each in annotations:
        number = each["category_id"]
        if number not in values:
            raise ValueError(
                f"{file}, annotation {each.get('id')}: expected a category of "
                f"the file. Received: {number!r}."
            )
        regions.append(coco_region(each, values[number], size, file))
    _refuse_shares(
        [a["segmentation"] for a in annotations], size, file, picture
    )
    return draw_regions(regions, *size, rest=0)


def _refuse_shares(outlines, size, file, picture):
    """Raise `ValueError` if all outlines of an image lie in its first pixel."""
    if not all(isinstance(outline, list) for outline in outlines):
        return
    numbers = [float(x) for each in outlines for flat in each for x in flat]
    if max(numbers, default=2) <= 1 < min(size) - 1:
        raise ValueError(
            f"{file}: expected outlines of {picture} in pixels. Received: "
            f"numbers up to {max(numbers):g}, as shares of its width and "
            "height are; export them in pixels."
        )


# --- YOLO ---


def read_yolo(folder: Folder, marks) -> Drawing | None:
    """Return what YOLO's label files say: polygons.

    Args:
        folder: The folder.
        marks: Its yaml file, or `classes.txt`.
    """
    files = yolo_files(folder, marks)
    if files is None:
        return None
    names, images, found = files
    rows = with_background([ClassRow(name) for name in names])
    values = [row.value for name in names for row in rows if row.name == name]
    splits = {
        split: [
            (image, _yolo_label(folder, image, found, values))
            for image in paths
        ]
        for split, paths in images.items()
    }
    labels = [label for pairs in splits.values() for _, label in pairs]
    bare = [label for label in labels if label.path.suffix.lower() != ".txt"]
    said = f"{len(bare)} of {len(labels)} images have no .txt in labels/: "
    said += f"nothing is on them, for instance on {some_of(bare[:1])}."
    return Drawing(rows, splits, (said,) if bare else ())


def yolo_files(folder: Folder, marks) -> tuple | None:
    """Return what files of YOLO's form there are; `None` if there are none.

    Args:
        folder: The folder.
        marks: Its yaml file, or `classes.txt`.

    Returns:
        Names of the classes, paths of the images by split, and path of each
        .txt file by its path without suffix.

    Raises:
        ValueError: If images and files of labels do not belong together.
    """
    texts = folder.matching(r"(.*/)?labels/(.*/)?.*\.txt")
    for mark in marks:
        if mark.suffix == ".txt":
            facts = {"names": [n for _, n in read_lines(folder.path / mark)]}
        else:
            facts = _read_yaml(folder.path / mark)
        names = _yolo_names(facts, folder.path / mark)
        if names and (texts or mark.suffix != ".txt"):
            break
    else:
        return None
    images = _yolo_images(folder, facts, mark)
    found = {p.with_suffix(""): p for p in folder.matching(r".*\.txt")}
    every = [image for paths in images.values() for image in paths]
    if not any(label_stem(image) in found for image in every):
        wanted = f"{label_stem(every[0])}.txt" if every else "image"
        raise ValueError(
            f"Expected a .txt file in labels/ for the images of "
            f"{folder.path / mark}. Received: none, for instance no "
            f"{folder.path / wanted}."
        )
    _check_owners(folder, texts)
    return names, images, found


def _check_owners(folder, texts):
    """Raise `ValueError` if files of labels have no image of their names."""
    owned = {label_stem(path) for path in folder.files if _is_image(path)}
    alone = [
        path
        for path in texts
        if path.with_suffix("") not in owned and path.name != "classes.txt"
    ]
    if alone:
        raise ValueError(
            f"Every .txt file in labels/ of {folder.path} needs an image of "
            f"its name, capitals too. Received: {len(alone)} without one "
            f"({some_of(alone)}). Rename what belongs together, and move the "
            "rest out of labels/."
        )


def _read_yaml(path):
    import yaml

    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} is not valid YAML: {said}.") from error
    return content if isinstance(content, dict) else {}


def _yolo_names(facts, path):
    """Return the names of the classes, in order; none if it is no such file."""
    names = facts.get("names")
    if isinstance(names, dict):
        if {*names} != {*range(len(names))}:
            raise ValueError(
                f"{path}: expected 'names' for 0 to {len(names) - 1}. "
                f"Received: {', '.join(map(str, names))}."
            )
        names = [names[number] for number in range(len(names))]
    if names is None or not isinstance(names, list):
        return []
    return [str(name) for name in names]


def _yolo_images(folder, facts, mark):
    """Return the paths of the images by split, as the yaml file says."""
    said = {
        split: facts.get(split) or (facts.get("valid") if split == "val" else 0)
        for split in ("train", "val", "test")
    }
    if not said["train"]:
        pictures = folder.matching(r"(.*/)?images/.*")
        found = {}
        for path in pictures:
            if path.suffix.lower() in SUFFIXES:
                split = describe(path).split or "train"
                found.setdefault(split, []).append(path)
        return found
    found = {}
    for split, places in said.items():
        if not places:
            continue
        places = places if isinstance(places, list) else [places]
        paths = [
            path
            for place in places
            for path in _yolo_place(folder, facts, mark, str(place), split)
        ]
        found[split] = sorted(set(paths))
    return found


def _yolo_place(folder, facts, mark, place, split):
    """Return the images of one entry: a folder or a list of images.

    Roboflow writes `../train/images` for `train/images`, and `path` is where
    somebody else keeps the data.
    """
    parts = [part for part in PurePosixPath(place.replace("\\", "/")).parts]
    bases = [mark.parent / str(facts.get("path") or ""), mark.parent]
    for start in range(len(parts)):
        for base in bases:
            inner = base.joinpath(*parts[start:])
            below = f"{inner}/" if str(inner) != "." else ""
            images = [
                path
                for path in folder.files
                if str(path).startswith(below) and _is_image(path)
            ]
            if images:
                return images
            if inner in folder.files and inner.suffix == ".txt":
                find = ImageFinder(folder)
                lines = read_lines(folder.path / inner)
                return [find(line, inner) for _, line in lines]
    raise ValueError(
        f"{folder.path / mark}: expected {split!r} to name a folder of images "
        f"in {folder.path}. Received: {place!r}."
    )


def _is_image(path):
    return path.suffix.lower() in SUFFIXES


def label_stem(image):
    """Return the path of an image's label: labels/x for images/x.jpg."""
    parts = [*image.parts]
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return PurePosixPath(*parts).with_suffix("")


def _yolo_label(folder, image, found, values):
    """Return the label of an image, from the .txt files by their stems."""
    stem = label_stem(image)
    picture = folder.path / image
    # An image without objects has no file of labels.
    path = folder.path / found[stem] if stem in found else None

    def draw():
        height, width = picture_size(picture)
        lines = read_lines(path) if path else []
        regions = yolo_regions(lines, values, (height, width), path)
        return draw_regions(regions, height, width, rest=0)

    name = str(path or folder.path / f"{stem}.txt")
    return DrawnLabel(path or picture, name, draw)


# --- Label Studio ---


_BRUSH = re.compile(
    r"task-(\d+)-annotation-(\d+)-by-"
    r"((?:.+?@.+?\.[a-z]{2,}|[^-]*)-[^-]+-(.+))-(\d+)\.png"
)
_HASH = re.compile(r"^[0-9a-f]{8}-")  # before names, to tell equal ones apart


@dataclass(frozen=True)
class Brush:
    """What the name of a brush's PNG says: Label Studio writes one a class.

    Args:
        path: Path of the file.
        task: Number of the task.
        annotation: Number of the annotation: a task may have several.
        class_name: Class that was brushed.
    """

    path: PurePosixPath
    task: int
    annotation: int
    class_name: str


def read_brush_name(
    path: PurePosixPath, names: Iterable[str] = ()
) -> Brush | None:
    """Return what a file's name says, or `None` if it is no brush's.

    Args:
        path: Path of the file.
        names: Names of classes, which tell where one begins if the tag has a
            dash, too. Defaults to none: it has no dash.

    Example:

    >>> brush = read_brush_name(
    ...     PurePosixPath("task-7-annotation-3-by-1-tag-parked-car-0.png")
    ... )
    >>> brush.task, brush.annotation, brush.class_name
    (7, 3, 'parked-car')
    """
    found = _BRUSH.fullmatch(path.name)
    if found is None:
        return None
    known = [name for name in names if found[3].endswith(f"-{name}")]
    class_name = max(known, key=len, default=found[4])
    return Brush(path, int(found[1]), int(found[2]), class_name)


def read_brushes(folder: Folder, marks) -> Drawing | None:
    """Return what Label Studio's brushes say: a PNG for each class of a task.

    The PNGs have the number of the task; which image that is says the json
    export beside them, or the image's own name (`7.jpg`, `task-7.jpg`).

    Args:
        folder: The folder.
        marks: PNGs of brushes.
    """
    tables = [(p, read_json(folder.path / p)) for p in _json_files(folder)]
    names = {name for _, table in tables for name in _brushed(table)}
    brushes = [read_brush_name(path, names) for path in marks]
    brushes = [brush for brush in brushes if brush]
    if not brushes:
        return None
    _check_tags(folder, brushes, names)
    rows = with_background(
        [ClassRow(n) for n in sorted({b.class_name for b in brushes})]
    )
    values = {row.name: row.value for row in rows}
    images, said = _task_images(folder, brushes, tables)
    pairs = []
    for task in sorted({brush.task for brush in brushes}):
        own = [brush for brush in brushes if brush.task == task]
        last = max(brush.annotation for brush in own)
        if any(brush.annotation != last for brush in own):
            said.append(f"Task {task} has several annotations: {last} is read.")
        own = [brush for brush in own if brush.annotation == last]
        paths = [(folder.path / b.path, values[b.class_name]) for b in own]
        draw = partial(_draw_brushes, paths)
        name = f"{folder.path / own[0].path.parent}/task-{task}-*.png"
        label = DrawnLabel(paths[0][0], name, draw)
        pairs.append((images[task], label))
    return Drawing(rows, {"train": pairs}, tuple(said))


def _check_tags(folder, brushes, names):
    """Raise `ValueError` if a dash may be the tag's, or that of the classes."""
    classes = sorted({brush.class_name for brush in brushes})
    first, _, rest = classes[0].partition("-")
    if names or not rest:
        return
    if all(name.startswith(f"{first}-") for name in classes):
        raise ValueError(
            "Expected Label Studio's JSON export beside its brushes in "
            f"{folder.path}: it says whether the class of {brushes[0].path} is "
            f"{classes[0]!r} or {rest!r}. Received: no json with the names of "
            "classes; export JSON, too."
        )


def _draw_brushes(paths):
    """Return the label of a task, the smaller brushes above the larger."""
    regions, size = [], None
    for path, value in paths:
        pixels = np.array(open_picture(path).convert("L")) > 127
        if size not in (None, pixels.shape):
            raise ValueError(
                f"Expected brushes of one size. Received: {paths[0][0]} with "
                f"{size} and {path} with {pixels.shape} (height, width)."
            )
        size = pixels.shape
        shape = lambda height, width, pixels=pixels: pixels
        regions.append(Region(value, pixels.sum(), shape))
    return draw_regions(regions, *size, rest=0)


def _json_files(folder):
    return folder.matching(r".*\.json")


def _brushed(entry):
    """Yield the names of classes that an export's JSON says were brushed."""
    if isinstance(entry, list):
        for each in entry:
            yield from _brushed(each)
    elif isinstance(entry, dict):
        for key, each in entry.items():
            if key == "brushlabels" and isinstance(each, list):
                yield from (name for name in each if isinstance(name, str))
            else:
                yield from _brushed(each)


def _task_images(folder, brushes, tables):
    """Return the image of each task, and remarks."""
    find, images = ImageFinder(folder), {}
    for path, tasks in tables:
        for task in tasks if isinstance(tasks, list) else ():
            if isinstance(task, dict) and isinstance(task.get("id"), int):
                name = _task_file(task)
                if name:
                    images[task["id"]] = (name, path)
    pictures = [p for p in folder.files if _is_image(p) and not _is_brush(p)]
    found, owners = {}, {}
    for task in sorted({brush.task for brush in brushes}):
        if task in images:
            found[task] = _task_image(find, pictures, *images[task])
        else:
            found[task] = _numbered_image(folder, pictures, task, len(images))
        other = owners.setdefault(found[task], task)
        if other != task:
            raise ValueError(
                f"Expected an image for each task in {folder.path}. Received: "
                f"{found[task]} for the tasks {other} and {task}; put the "
                "images there under the names that the json file has."
            )
    left = [path for path in pictures if path not in owners]
    said = f"{len(left)} images have no brush, and are left out: "
    return found, [f"{said}{some_of(left)}."] if left else []


def _numbered_image(folder, pictures, task, told):
    """Return the image that is called by the number of its task."""
    found = [p for p in pictures if p.stem.removeprefix("task-") == str(task)]
    if len(found) != 1:
        there = f"{some_of(found)}, " if found else ""
        raise ValueError(
            f"Which image is task {task}? Expected Label Studio's JSON export "
            f"(JSON or JSON-MIN) in {folder.path}, or one image called "
            f"{task}.jpg. Received: {there}{told} tasks in json files, "
            f"{len(pictures)} images."
        )
    return found[0]


def _task_image(find, pictures, name, source):
    """Return the image of a name, on one side of which a hash may stand."""
    if not any(path.name == name for path in pictures):
        bare = _HASH.sub("", name)
        near = [
            path
            for path in pictures
            if path.name == bare or _HASH.sub("", path.name) == name
        ]
        if len(near) == 1:
            return near[0]
    return find(name, source)


def _is_brush(path):
    return read_brush_name(path) is not None


def _task_file(task):
    """Return the name of a task's image, without its folder on the server."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = [v for v in data.values() if isinstance(v, str)]
    for text in (*texts, str(task.get("file_upload") or "")):
        text = urllib.parse.unquote(text).partition("?d=")[2] or text
        name = PurePosixPath(text.partition("?")[0].replace("\\", "/")).name
        name = urllib.parse.unquote(name)
        if PurePosixPath(name).suffix.lower() in SUFFIXES:
            return name
    return None
