"""Opens a split: images and label maps by index, from TFDS or from files.

Every example is checked: an RGB image, a label of the same size, ids that are
classes of the dataset or `IGNORE_LABEL`. A fault is an error that names the
file; nothing is skipped.
"""

import dataclasses
import io
import os
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.folders.drawing import DrawnLabel
from dla_keras.data.folders.layouts import LAYOUTS
from dla_keras.data.folders.layouts import NoLayoutError
from dla_keras.data.folders.layouts import find_layout
from dla_keras.data.info_file import folder_info
from dla_keras.data.labels import read_label
from dla_keras.data.pictures import open_picture
from dla_keras.data.pictures import picture_size
from dla_keras.data.pictures import read_rgb
from dla_keras.data.tfds_source import check_places
from dla_keras.data.tfds_source import open_builder
from dla_keras.data.tfds_source import open_source
from dla_keras.files import read_lines


def list_pairs(folder, split: str) -> list:
    """Return the images and labels that a split's list files name, in order.

    Args:
        folder: Folder with the lists; the lines are relative to it.
        split: Name of the split, for instance `"train"`.

    Raises:
        FileNotFoundError: If a list is missing.
        ValueError: If the lists differ in length.
    """
    image_list = folder / f"{split}_images.txt"
    label_list = folder / f"{split}_labels.txt"
    images = _read_list(image_list)
    labels = _read_list(label_list)
    if len(images) != len(labels):
        raise ValueError(
            "Every picture needs a label. Received: "
            f"{len(images)} lines in {image_list} and {len(labels)} in "
            f"{label_list}."
        )
    return list(zip(images.values(), labels.values(), strict=True))


def _read_list(path) -> dict[int, pathlib.Path]:
    """Return the paths that a list names, by the numbers of their lines."""
    if not path.exists():
        raise FileNotFoundError(f"Expected a list of files at {path}.")
    files = {}
    for number, line in read_lines(path):
        files[number] = path.parent / line
        if "\\" in line and not files[number].exists():  # of Windows
            files[number] = path.parent / line.replace("\\", "/")
    return files


def _place_in_list(file, source):
    """Return which line of the list files names a file, for a message."""
    for path in (source, source.replace("_images.txt", "_labels.txt")):
        if path.endswith(".txt"):
            for number, listed in _read_list(pathlib.Path(path)).items():
                if listed == file:
                    return f" ({path}, line {number})"
    return ""


@dataclasses.dataclass(frozen=True)
class Example:
    """An image with its label map.

    Args:
        image: uint8 `(height, width, 3)`, RGB.
        label: uint8 `(height, width)`, class ids or `IGNORE_LABEL`.
        name: File or key it came from, for messages and reports.
    """

    image: np.ndarray
    label: np.ndarray
    name: str

    def renumbered(self, table: np.ndarray) -> "Example":
        """Return the example with other class ids.

        Args:
            table: New id of each old one, `IGNORE_LABEL` included.
        """
        label = table[self.label].astype(np.uint8)
        return dataclasses.replace(self, label=label)


class FileSplit(Sequence):
    """A split whose images and labels are files, read by index.

    Args:
        pairs: Path of each image and of its label.
        info: Facts about the dataset.
        source: List or folder that names the files, for messages.
        checked: Whether all files are looked at now. Defaults to `True`;
            `checks.py` does without, to find all faults and not the first.
        said: Remarks of one line each about how the folder is read. Defaults
            to none.
        drawn: Names of its images, where they are a drawn share. Defaults to
            none.

    Raises:
        FileNotFoundError: If an image or a label does not exist.
        ValueError: If there is no pair, a file is no image, or a label has
            another size than its image.
    """

    def __init__(
        self,
        pairs,
        info: DatasetInfo,
        source: str,
        checked: bool = True,
        said: Sequence[str] = (),
        drawn: Sequence[str] = (),
    ):
        self.info = info
        self.said = (*said, *info.remarks)
        self.drawn = drawn
        self.pairs = pairs
        if not pairs:
            raise ValueError(f"Expected at least one picture in {source}.")
        if not checked:
            return
        files = [
            p for pair in pairs for p in pair if isinstance(p, pathlib.Path)
        ]
        missing = [path for path in files if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{source} names {len(missing)} of {2 * len(pairs)} files "
                f"that do not exist, the first: {missing[0]}"
                f"{_place_in_list(missing[0], source)}."
            )
        # All headers are read now, so that faults show before training. With
        # threads, since each file takes a while on a network drive.
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(check_sizes, pairs))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        image_path, label = self.pairs[index]
        return checked_example(
            read_rgb(image_path),
            self.label(index),
            str(image_path),
            str(label),
        )

    def label(self, index: int):
        """Return the label alone; its image is not read."""
        label = self.pairs[index][1]
        if isinstance(label, DrawnLabel):
            return label.read()
        return read_label(label, self.info)


class TFDSSplit(Sequence):
    """A split of a TFDS builder, read by index.

    Args:
        source: Rows with encoded images, from `open_source`.
        info: Facts about the dataset.
        split: Name of the split, for instance `"train"`.
    """

    def __init__(self, source, info: DatasetInfo, split: str):
        self.info = info
        self._source = source
        self._split = split

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = self._source[index]
        name = f"{self.info.name}/{self._split}/{index}"
        image = read_rgb(io.BytesIO(row[self.info.tfds.image]), name)
        encoded = io.BytesIO(row[self.info.tfds.label])
        label = read_label(encoded, self.info, name)
        return checked_example(image, label, name, name)


def checked_example(image, label, image_name, label_name) -> Example:
    """Return the example, if its label has the image's size.

    Raises:
        ValueError: If the label has another size than the image.
    """
    compare_sizes(image.shape[:2], label.shape, image_name, label_name)
    return Example(image, label, image_name)


def compare_sizes(size, label_size, image_name, label_name) -> None:
    """Raise `ValueError` if a label is of another size than its image.

    Args:
        size: Height and width of the image.
        label_size: Height and width of the label.
        image_name: Name of the image, for the message.
        label_name: Name of the label.
    """
    if size == label_size:
        return
    turned = ""
    if size == label_size[::-1]:
        turned = (
            " If an EXIF tag turns one of them, and not the other, draw the "
            "label on the upright picture, or turn it."
        )
    raise ValueError(
        f"A label is of its picture's size. Received: {label_name} with "
        f"{label_size} for {image_name} with {size} (height, width).{turned}"
    )


def open_split(
    dataset: str,
    split: str,
    data_dir: str | None = None,
    checked: bool = True,
) -> Sequence[Example]:
    """Open a split of a segmentation dataset for reading by index.

    Of a folder, list files come first (`<split>_images.txt` and
    `<split>_labels.txt` hold one path a line, relative to the folder;
    `info.json` holds the facts; the labels hold class ids), then the rows of
    `layouts.LAYOUTS`. Of a name, its folder's list files come first, then the
    folders that its archives unpack to, and TFDS.

    Args:
        dataset: Name of `DATASETS`, or a folder.
        split: `"train"`, `"val"`, or another one that the folder has.
        data_dir: Folder of the dataset, or the one in which TFDS keeps its
            data. Defaults to `None`: TFDS' own default.
        checked: Whether the headers of all files are read now. Defaults to
            `True`.

    Returns:
        A sequence of `Example`, with the dataset's facts as its `info`.

    Raises:
        ValueError: If the dataset is unknown, or files are faulty.
        FileNotFoundError: If files are missing; the message says how to get
            them.

    Example:

    >>> val = open_split("toy_streets", "val")  # doctest: +SKIP
    >>> val[0].image.shape  # doctest: +SKIP
    (192, 384, 3)
    """
    check_places(dataset, data_dir)
    folders = [pathlib.Path(each) for each in (data_dir, dataset) if each]
    for folder in folders:
        lists = {f"{name}_images.txt" for name in (split, "train", "val")}
        if any((folder / name).exists() for name in lists):
            info = folder_info(folder, _listed(dataset), _labels(folder))
            source = f"{folder / split}_images.txt"
            return FileSplit(list_pairs(folder, split), info, source, checked)
    if dataset not in DATASETS:
        return _open_unknown(dataset, folders, split, checked)
    info = DATASETS[dataset]
    if data_dir and (found := find_layout(data_dir, dataset)):
        return _split_of(found, data_dir, split, checked)
    if info.tfds is None:
        shapes = [row.shape for row in LAYOUTS if row.known == dataset]
        raise FileNotFoundError(
            f"{info.how_to_get} Expected {split}_images.txt or "
            f"{' or '.join(shapes)} in its folder. "
            f"Received: data_dir={data_dir!r}; pass --data-dir FOLDER."
        )
    try:
        builder = open_builder(info.tfds.builder, data_dir)
    except FileNotFoundError as error:
        message = f"{error} {info.how_to_get}".strip()
        raise FileNotFoundError(message) from error
    tfds_split = info.tfds.val if split == "val" else split
    features = (info.tfds.image, info.tfds.label)
    source = open_source(builder, tfds_split, features)
    return TFDSSplit(source, info, split)


def _open_unknown(dataset, folders, split, checked):
    """Return the split of a folder that is no known dataset's."""
    said = f"Received: {dataset!r}."
    for folder in folders:
        if folder.is_dir():
            try:
                return _split_of(find_layout(folder), folder, split, checked)
            except NoLayoutError as error:
                if folder == pathlib.Path(dataset):
                    raise
                said = f"Received: {dataset!r}. {error}"
    raise ValueError(
        f"Unknown dataset: expected one of {', '.join(DATASETS)}, or a folder "
        f"with images and labels. {said}"
    )


def _split_of(found, folder, split, checked):
    """Return a split of a folder that `find_layout` read."""
    if split not in found.splits:
        raise ValueError(
            f"Expected a split of {folder}: {', '.join(found.splits)}. "
            f"Received: {split!r}."
        )
    pairs = found.splits[split]
    drawn = [os.path.relpath(image, folder) for image, _ in pairs]
    return FileSplit(
        pairs,
        found.info,
        f"{folder} ({split})",
        checked,
        found.said,
        drawn if found.drawn else (),
    )


def _listed(dataset):
    """Return what is known of a dataset whose list files name class ids.

    So do those of the DLA authors' Cityscapes, even where the dataset's own
    archives hold other ids.
    """
    known = DATASETS.get(dataset)
    if known and known.label_values:
        known = dataclasses.replace(known, label_values=None, ignored_ids=())
    return known and dataclasses.replace(known, tfds=None)


def _labels(folder):
    """Yield the labels that the list files of a folder name."""
    for split in ("train", "val"):
        if (folder / f"{split}_images.txt").exists():
            yield from (label for _, label in list_pairs(folder, split))


def check_sizes(pair) -> None:
    """Raise `ValueError` if the headers show a label of another size.

    Args:
        pair: Path of an image and of its label.
    """
    image, label = pair
    if isinstance(label, DrawnLabel):
        if label.size:
            compare_sizes(picture_size(image), label.size, image, label)
        return
    size, label_size = picture_size(image), picture_size(label)
    if size != label_size == size[::-1]:
        # Or an EXIF tag turns one of them that stands behind its pixels.
        size, label_size = (open_picture(path).size[::-1] for path in pair)
    compare_sizes(size, label_size, *pair)
