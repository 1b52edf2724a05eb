"""The files of `predict.py`: pictures in; masks, maps and overlays out.

Beside `data/reading.py`, which is strict, since labels must fit: here any
picture that people have is taken as a viewer would show it.
"""

import json
import pathlib
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL import ImageOps

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.pictures import open_picture
from dla_keras.data.segmentation import folder_info
from dla_keras.files import atomic_path
from dla_keras.inference.model_files import ModelFile

SUFFIXES = frozenset(
    ".jpg .jpeg .png .webp .bmp .tif .tiff .ppm .pgm .gif".split()
)
VIDEO_SUFFIXES = frozenset(".mp4 .mov .avi .mkv .webm .m4v".split())
OVERLAY_SIDE = 4096  # pixels, at most: overlays are for looking
BOUNDARY_COLOR = (200, 0, 40)  # in overlays

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Job:
    """A picture and what becomes of it.

    Args:
        picture: its path.
        result: path of a PNG, whose values are class ids, or how sure a
            boundary is.
        overlay: path of a JPEG, the result over the picture.
    """

    picture: pathlib.Path
    result: pathlib.Path
    overlay: pathlib.Path


def plan_jobs(source, output, results: str = "masks") -> list[Job]:
    """A job for a picture, or for each one of a folder and those in it.

    Args:
        source: a picture, or a folder; hidden files are left out.
        output: a folder; two in it repeat the folders and names of `source`.
        results: the name of one; the other is `overlays`. Defaults to
            `"masks"`.

    Raises:
        FileNotFoundError: if nothing is there, or no picture in the folder.
        ValueError: for a video, for an output that is the input, or for two
            pictures that would become one file.
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
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output is a folder. Received: the file {output}.")
    if not source.is_dir():
        return [_job(source, source.parent, output, results)]
    inside = output.resolve()
    paths = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not any(p[0] == "." for p in path.relative_to(source).parts)
        and inside not in path.resolve().parents
    ]
    if not paths:
        raise FileNotFoundError(
            f"There is no picture in {source}; looked for names that end with "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    jobs = [_job(path, source, output, results) for path in paths]
    _check_names(jobs)
    return jobs


def _job(path, root, output, results):
    name = path.relative_to(root).with_suffix("")
    # Not `with_suffix`: "a.b" is a name.
    return Job(
        path,
        output / results / name.with_name(f"{name.name}.png"),
        output / "overlays" / name.with_name(f"{name.name}.jpg"),
    )


def _check_names(jobs):
    pictures = {}
    for job in jobs:
        other = pictures.setdefault(job.result, job.picture)
        if other != job.picture:
            raise ValueError(
                f"{other} and {job.picture} would both become {job.result}. "
                "Rename one."
            )


def read_any(path) -> np.ndarray:
    """The pixels of a picture as a viewer shows it: uint8 `(h, w, 3)`.

    Turned as its EXIF says; grey becomes RGB, 16 bits become 8, and what is
    transparent becomes white.

    Args:
        path: of the file.

    Raises:
        ValueError: if it is no picture, cannot be decoded, or its pixels
            have no known range.
    """
    image = open_picture(path)
    if image.mode in ("F", "I"):
        raise ValueError(
            "Expected a picture of 8 or 16 bits a channel. Received: "
            f"{path} in Pillow's mode {image.mode!r}; convert it."
        )
    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP:
        image = Image.fromarray((np.asarray(image) / 257).round().astype("u1"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


@dataclass(frozen=True)
class Classes:
    """What the ids of a mask mean.

    Args:
        names: one per class id; `None` where nobody knows.
        palette: an RGB colour for each.
    """

    names: tuple[str, ...] | None
    palette: tuple[tuple[int, int, int], ...]


def find_classes(model_path, opened: ModelFile) -> Classes:
    """Names and colours: the model's own, its run's, or just colours.

    Args:
        model_path: of the file; its run's `config.json` may lie beside it.
        opened: the same file, opened.
    """
    names, palette = opened.class_names, opened.palette
    config = pathlib.Path(model_path).resolve().parent / "config.json"
    if not (names and palette) and config.exists():
        info = _trained_on(config)
        names = names or (info and info.class_names)
        palette = palette or (info and info.palette)
    palette = palette or distinct_palette(IGNORE_LABEL, names or ())
    return Classes(names, palette)


def _trained_on(config):
    """Facts of the dataset that a run's `config.json` names, if they last."""
    try:
        settings = json.loads(config.read_text())
        name, data_dir = settings["dataset"], settings.get("data_dir")
    except (json.JSONDecodeError, KeyError, TypeError):
        return None  # somebody else's config.json
    known = DATASETS.get(name)
    for folder in map(pathlib.Path, filter(None, (data_dir, name))):
        if (folder / "info.json").exists():
            return folder_info(folder, known)
    return known


def write_mask(path, mask, palette) -> None:
    """Writes class ids as a PNG whose palette shows them in colours.

    Args:
        path: of the file.
        mask: uint8 `(height, width)`.
        palette: RGB colour per class.
    """
    image = Image.fromarray(mask)
    every_id = np.arange(256, dtype=np.uint8)  # a byte per pixel, always
    image.putpalette(colorize(every_id, palette).tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary)


def write_overlay(path, picture, mask, palette, share: float = 0.5) -> None:
    """Writes a picture with its mask over it, at most 4096 pixels a side.

    Args:
        path: of the file.
        picture: uint8 `(height, width, 3)`.
        mask: uint8 `(height, width)`.
        palette: RGB colour per class.
        share: of the mask's colours. Defaults to `0.5`.
    """
    below, above = Image.fromarray(picture), Image.fromarray(mask)
    below.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    above = above.resize(below.size, Image.NEAREST)
    colors = Image.fromarray(colorize(np.asarray(above), palette))
    with atomic_path(path) as temporary:
        Image.blend(below, colors, share).save(temporary, quality=92)


def write_soft_map(path, soft_map) -> None:
    """Writes a boundary map as a grey PNG of 8 bits.

    Args:
        path: of the file.
        soft_map: `(height, width)`, 0 to 1, which becomes 255.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(_bytes(soft_map)).save(temporary)


def write_boundary_overlay(path, picture, soft_map) -> None:
    """Writes a paler picture with its boundaries in it, as `write_overlay`.

    Args:
        path: of the file.
        picture: uint8 `(height, width, 3)`.
        soft_map: `(height, width)`, 0 to 1.
    """
    below, above = Image.fromarray(picture), Image.fromarray(_bytes(soft_map))
    below.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    above = above.resize(below.size, Image.BILINEAR)
    paler = Image.blend(below, Image.new("RGB", below.size, "white"), 0.4)
    paler.paste(BOUNDARY_COLOR, mask=above)
    with atomic_path(path) as temporary:
        paler.save(temporary, quality=92)


def _bytes(soft_map):
    return np.uint8(np.round(255 * soft_map))


def colorize(mask, palette) -> np.ndarray:
    """A mask in its dataset's colours, ignored pixels in black.

    Args:
        mask: `(height, width)`, class ids or `IGNORE_LABEL`.
        palette: RGB colour per class.

    Returns:
        uint8 `(height, width, 3)`.

    Example:

    >>> colorize(np.array([[1, 255]]), ((255, 0, 0), (0, 0, 9))).tolist()
    [[[0, 0, 9], [0, 0, 0]]]
    """
    table = np.zeros((IGNORE_LABEL + 1, 3), np.uint8)
    table[: len(palette)] = palette
    return table[mask]
