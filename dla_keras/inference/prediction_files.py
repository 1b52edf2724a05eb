"""The files of `predict`: pictures in; masks, maps, tables and overlays out."""

import csv
import json
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.info_file import folder_info
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import list_pictures
from dla_keras.data.pictures import spoken_others
from dla_keras.files import atomic_path
from dla_keras.files import check_folder
from dla_keras.files import read_json
from dla_keras.files import read_table
from dla_keras.provenance import read_beside

if TYPE_CHECKING:  # pages are written without TensorFlow, too
    from dla_keras.inference.model_files import ModelFile

VIDEO_SUFFIXES = frozenset(".mp4 .mov .avi .mkv .webm .m4v".split())
OVERLAY_SIDE = 4096  # pixels, at most: overlays are for looking
BOUNDARY_COLOR = (200, 0, 40)  # in overlays


@dataclass(frozen=True)
class Job:
    """A picture and the name of what becomes of it.

    Args:
        picture: Path of the picture.
        name: Its path in the folder of pictures.
    """

    picture: pathlib.Path
    name: pathlib.PurePath

    def path(self, folder, suffix: str) -> pathlib.Path:
        """Return the path of a file that is called as the picture."""
        # Not `with_suffix` twice: "a.b" is a name.
        stem = self.name.with_suffix("").name
        return pathlib.Path(folder) / self.name.with_name(f"{stem}{suffix}")


def plan_jobs(source, output) -> tuple[list[Job], str]:
    """Return a job for a picture, or for each one in a folder and below.

    Args:
        source: Path of a picture or of a folder; hidden files are left out.
        output: Folder of the results, which may lie in that of the pictures.

    Returns:
        The jobs, and a sentence about other files in the folder, or "".

    Raises:
        FileNotFoundError: If nothing is there, or no picture in the folder.
        ValueError: If the source is a video or the output, or the output is
            a file, or below one.
    """
    source, output = pathlib.Path(source), pathlib.Path(output)
    if not source.exists():
        raise FileNotFoundError(f"There is no picture or folder at {source}.")
    if source.suffix.lower() in VIDEO_SUFFIXES:
        raise ValueError(
            f"{source} is a video. Make a folder of its frames: mkdir frames "
            f"&& ffmpeg -i {source} frames/%06d.png"
        )
    if source.resolve() == output.resolve():
        raise ValueError(
            f"--output is the --input folder, {source}: the results would be "
            "among the pictures. Pass another folder."
        )
    check_folder(output, "--output")
    if not source.is_dir():
        return [Job(source, pathlib.PurePath(source.name))], ""
    pictures, others = list_pictures(source, without=output)
    if not pictures:
        raise FileNotFoundError(
            f"There is no picture in {source}; looked for names that end with "
            f"{', '.join(SUFFIXES)}. {spoken_others(others)}".strip()
        )
    jobs = [Job(path, path.relative_to(source)) for path in pictures]
    return jobs, spoken_others(others)


class PictureResults:
    """Results that are pictures: a PNG for each, in a folder.

    Args:
        output: Folder of all results.
        name: Name of the folder in it, for instance `"masks"`.
        write: Function that writes a result: `(path, result)`.
    """

    def __init__(self, output, name: str, write: Callable):
        self.name = name
        self._folder = pathlib.Path(output, name)
        self._write = write

    def path(self, job: Job) -> pathlib.Path:
        """Return the path of a job's result."""
        return job.path(self._folder, ".png")

    def check(self, jobs) -> None:
        """Raise `ValueError` if two pictures would become one file."""
        pictures = {}
        for job in jobs:
            other = pictures.setdefault(self.path(job), job.picture)
            if other != job.picture:
                raise ValueError(
                    f"{other} and {job.picture} would both become "
                    f"{self.path(job)}. Rename one."
                )

    def begin(self, jobs) -> None:
        """Do nothing: each picture has a file of its own."""

    def __contains__(self, job: Job) -> bool:
        return self.path(job).exists()

    def write(self, job: Job, result) -> None:
        """Write a job's result."""
        self._write(self.path(job), result)

    def spoken(self, count: int) -> str:
        """Return what so many results are called."""
        return f"{count} {self.name}"


class TableResults:
    """Results that are rows of one CSV file.

    Args:
        output: Folder of all results.
        name: Name of the file in it.
        row: Function from a result to its row, column -> text.
    """

    def __init__(self, output, name: str, row: Callable):
        self.name = name
        self._path = pathlib.Path(output, name)
        self._row = row
        self._rows = {}
        if self._path.exists():
            rows = read_table(self._path, ("picture",))
            # A killed process may have left the last one half-written.
            self._rows = {r["picture"]: r for r in rows if all(r.values())}

    def path(self, job: Job) -> pathlib.Path:
        """Return the path of the table, where all jobs' results are."""
        return self._path

    def check(self, jobs) -> None:
        """Do nothing: rows have the pictures' whole names."""

    def begin(self, jobs) -> None:
        """Remove the rows of jobs that are to be done."""
        for job in jobs:
            self._rows.pop(str(job.name), None)
        with atomic_path(self._path) as temporary:
            self._add(temporary, self._rows.values())

    def __contains__(self, job: Job) -> bool:
        return str(job.name) in self._rows

    def write(self, job: Job, result) -> None:
        """Write a job's row."""
        row = {"picture": str(job.name), **self._row(result)}
        self._rows[row["picture"]] = row
        self._add(self._path, [row])

    def _add(self, path, rows):
        with path.open("a", newline="", encoding="utf-8") as file:
            for row in rows:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                if not file.tell():
                    writer.writeheader()
                writer.writerow(row)

    def spoken(self, count: int) -> str:
        """Return what so many results are called."""
        return f"{self.name} of {count} pictures"


@dataclass(frozen=True)
class Found:
    """Objects that were found in an image, from the likeliest on.

    Args:
        boxes: float32 `(n, 4)`: top, left, bottom, right, in pixels from the
            image's upper left corner.
        classes: int32 `(n,)`.
        scores: float32 `(n,)`, 0 to 1.
        size: Height and width of the image.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    size: tuple[int, int]

    def above(self, score: float) -> "Found":
        """Return those of this score at least."""
        kept = self.scores >= score
        return Found(
            self.boxes[kept], self.classes[kept], self.scores[kept], self.size
        )


class BoxResults:
    """Boxes of pictures in one file, in the form of COCO's results.

    It is a list of `image_id`, here the picture's name, `category_id`, `bbox`
    (left, top, width, height, in pixels) and `score`; pictures without a box
    are not in it. The file is whole after every picture.

    Args:
        output: Folder of all results.
        name: Name of the file in it.
        least_score: Score below which a box is left out. Defaults to `0.05`.
    """

    def __init__(self, output, name: str, least_score: float = 0.05):
        self.name = name
        self._path = pathlib.Path(output, name)
        self._least = least_score
        self._rows = {}
        self._done = set()
        if self._path.exists():
            for row in read_json(self._path):
                self._rows.setdefault(row["image_id"], []).append(row)
            self._done = {*self._rows}

    def path(self, job: Job) -> pathlib.Path:
        """Return the path of the file, where all jobs' results are."""
        return self._path

    def check(self, jobs) -> None:
        """Do nothing: rows have the pictures' whole names."""

    def begin(self, jobs) -> None:
        """Remove the rows of jobs that are to be done."""
        for job in jobs:
            self._rows.pop(str(job.name), None)
        rows = [row for found in self._rows.values() for row in found]
        lines = ",\n".join(map(json.dumps, rows))
        with atomic_path(self._path) as temporary:
            temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")

    def __contains__(self, job: Job) -> bool:
        return str(job.name) in self._done

    def write(self, job: Job, found) -> None:
        """Write a job's boxes.

        Args:
            job: The job.
            found: A `Found`.
        """
        found = found.above(self._least)
        lines = []
        for (top, left, bottom, right), class_id, score in zip(
            found.boxes.tolist(), found.classes, found.scores, strict=True
        ):
            box = left, top, right - left, bottom - top
            row = {
                "image_id": str(job.name),
                "category_id": int(class_id),
                "bbox": [round(side, 2) for side in box],
                "score": round(float(score), 5),
            }
            lines.append(json.dumps(row))
        if not lines:
            return
        with self._path.open("r+b") as file:
            file.seek(-len(b"\n]\n"), os.SEEK_END)
            empty = file.tell() == len(b"[\n")
            text = ("" if empty else ",\n") + ",\n".join(lines) + "\n]\n"
            file.write(text.encode())

    def spoken(self, count: int) -> str:
        """Return what so many results are called."""
        return f"{self.name} of {count} pictures"


@dataclass(frozen=True)
class Classes:
    """The meaning of class ids.

    Args:
        names: One name per class id; `None` where nobody knows.
        palette: RGB color of each.
    """

    names: tuple[str, ...] | None
    palette: tuple[tuple[int, int, int], ...]


def find_classes(model_path, opened: "ModelFile") -> Classes:
    """Return the model's names and colors, its run's, or any colors.

    Args:
        model_path: Path of the model file; its run's `config.json` may lie
            beside it.
        opened: The same file, opened.
    """
    names, palette = opened.class_names, opened.palette
    if not (names and palette):
        info = _trained_on(read_beside(model_path))
        if info and opened.num_classes not in (None, info.num_classes):
            info = None  # of somebody else's run
        names = names or (info and info.class_names)
        palette = palette or (info and info.palette)
    palette = palette or distinct_palette(IGNORE_LABEL, names or ())
    return Classes(names, palette)


def _trained_on(run):
    """Return facts of the dataset that a run names, if known."""
    said = [run.get(key) for key in ("data_dir", "dataset")]
    names = [name for name in said if name and isinstance(name, str)]
    known = DATASETS.get(names[-1]) if names else None
    for folder in map(pathlib.Path, names):
        if (folder / "info.json").exists():
            return folder_info(folder, known)
    return known


def write_mask(path, mask, palette) -> None:
    """Write class ids as a PNG whose palette shows them in colors.

    Args:
        path: Path of the file.
        mask: uint8 `(height, width)`.
        palette: RGB color per class.
    """
    image = Image.fromarray(mask)
    every_id = np.arange(256, dtype=np.uint8)  # a byte per pixel, always
    image.putpalette(colorize(every_id, palette).tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary)


def write_overlay(path, picture, layers) -> None:
    """Write a picture with results over it, at most 4096 pixels a side.

    Args:
        path: Path of the file.
        picture: uint8 `(height, width, 3)`.
        layers: Functions that draw something over a PIL image, and return it.
    """
    shown = Image.fromarray(picture)
    shown.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    for draw in layers:
        shown = draw(shown)
    with atomic_path(path) as temporary:
        shown.save(temporary, quality=92)


def blend_mask(below, mask, palette, share: float = 0.5) -> Image.Image:
    """Return a picture with its mask over it.

    Args:
        below: PIL image.
        mask: uint8 `(height, width)`, of any size.
        palette: RGB color per class.
        share: Share of the mask's colors. Defaults to `0.5`.
    """
    above = Image.fromarray(mask).resize(below.size, Image.NEAREST)
    colors = Image.fromarray(colorize(np.asarray(above), palette))
    return Image.blend(below, colors, share)


def draw_boxes(
    below, found, palette, names=None, size: tuple[int, int] | None = None
) -> Image.Image:
    """Return a picture with boxes in it, their classes and scores.

    Args:
        below: PIL image.
        found: `boxes`, `classes`, and `scores` unless it is the truth, in the
            pixels of an image of its `size`.
        palette: RGB color per class.
        names: Names of the classes. Defaults to `None`: their numbers.
        size: Height and width of the image that boxes are in the pixels of.
            Defaults to `None`: that of `found`.
    """
    shown = below.convert("RGB")
    draw = ImageDraw.Draw(shown)
    scale = np.divide(shown.size[::-1], size or found.size)
    width = max(1, round(max(shown.size) / 400))
    font = ImageFont.load_default(size=max(9, round(max(shown.size) / 50)))
    order = np.argsort(found.scores, kind="stable")  # the surest on top
    for index in order:
        class_id, score = int(found.classes[index]), found.scores[index]
        top, left, bottom, right = found.boxes[index] * [*scale, *scale]
        color = tuple(palette[class_id])
        draw.rectangle((left, top, right, bottom), outline=color, width=width)
        text = names[class_id] if names else str(class_id)
        text += "" if score >= 1 else f" {score:.2f}"
        place = draw.textbbox((left + width, top + width), text, font=font)
        draw.rectangle(place, fill=color)
        dark = sum(color) < 380
        draw.text(place[:2], text, "white" if dark else "black", font, "lt")
    return shown


def write_soft_map(path, soft_map) -> None:
    """Write a boundary map as a grey PNG of 8 bits.

    Args:
        path: Path of the file.
        soft_map: `(height, width)`, 0 to 1, which becomes 255.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(_bytes(soft_map)).save(temporary)


def draw_boundaries(below, soft_map) -> Image.Image:
    """Return a paler picture with its boundaries in it.

    Args:
        below: PIL image.
        soft_map: `(height, width)`, 0 to 1, of any size.
    """
    above = Image.fromarray(_bytes(soft_map))
    above = above.resize(below.size, Image.BILINEAR)
    paler = Image.blend(below, Image.new("RGB", below.size, "white"), 0.4)
    paler.paste(BOUNDARY_COLOR, mask=above)
    return paler


def _bytes(soft_map):
    return np.uint8(np.round(255 * soft_map))


def colorize(mask, palette) -> np.ndarray:
    """Return a mask in its dataset's colors, ignored pixels in black.

    Args:
        mask: `(height, width)`, class ids or `IGNORE_LABEL`.
        palette: RGB color per class.

    Returns:
        uint8 `(height, width, 3)`.

    Example:

    >>> colorize(np.array([[1, 255]]), ((255, 0, 0), (0, 0, 9))).tolist()
    [[[0, 0, 9], [0, 0, 0]]]
    """
    table = np.zeros((IGNORE_LABEL + 1, 3), np.uint8)
    table[: len(palette)] = palette
    return table[mask]
