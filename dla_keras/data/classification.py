"""Opens a split of images with one class each: digits, class folders, TFDS.

Files are checked when they are read, since ImageNet has a million; an error
names its file. `segmentation.py` is the counterpart for label maps.
"""

import functools
import io
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import numpy as np
from PIL import Image

from dla_keras.data.folders.pairs import draw_share
from dla_keras.data.folders.pairs import is_images_and_labels
from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import holds_results
from dla_keras.data.pictures import list_pictures
from dla_keras.data.pictures import read_rgb
from dla_keras.data.pictures import spoken_others
from dla_keras.data.tfds_source import check_places
from dla_keras.data.tfds_source import open_builder
from dla_keras.data.tfds_source import open_source
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD

SIZE = 32  # height and width of the digits, enlarged from 8 pixels

# The lines are in the order of the writers. The last ones are for validation,
# so that most of those hands are new to the model.
SPLITS = {"train": slice(0, 1437), "val": slice(1437, 1797)}


@functools.cache
def _lines():
    path = pathlib.Path(__file__).with_name("digits.csv.gz")
    return np.loadtxt(path, delimiter=",", dtype=np.uint8)


def count_digits(split: str) -> int:
    """Return the number of digits in `"train"` or `"val"`."""
    return len(_lines()[SPLITS[split]])


def read_digit(split: str, index: int) -> tuple[np.ndarray, int]:
    """Return an image, light on dark, and the digit it shows.

    Args:
        split: `"train"` or `"val"`.
        index: Number of the image in the split, from 0.

    Returns:
        The image, uint8 `(32, 32, 3)`, and an integer from 0 to 9.

    Example:

    >>> image, digit = read_digit("val", 0)
    >>> image.shape, digit
    ((32, 32, 3), 2)
    """
    line = _lines()[SPLITS[split]][index]
    grey = Image.fromarray((line[:64].reshape(8, 8) * 15.9375).astype("uint8"))
    enlarged = grey.resize((SIZE, SIZE), Image.BICUBIC).convert("RGB")
    return np.array(enlarged), int(line[64])


# What the splits are called elsewhere, the better name first.
_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "test"),
}

# FGVC-Aircraft's pictures end with rows that name the photographer.
_BANNER_ROWS = 20


@dataclass(frozen=True)
class LabelledPicture:
    """An image of one class.

    Args:
        image: uint8 `(height, width, 3)`, RGB.
        label: Class id.
        name: File or key it came from, for messages and reports.
    """

    image: np.ndarray
    label: int
    name: str

    def renumbered(self, table: np.ndarray) -> "LabelledPicture":
        """Return the image with another class id.

        Args:
            table: New id of each old one.
        """
        return replace(self, label=int(table[self.label]))


@dataclass(frozen=True)
class ClassificationInfo:
    """Facts about a classification dataset.

    Args:
        name: Name of the dataset, the one `--dataset` takes.
        class_names: One name per class id, in order.
        mean: Mean RGB of the images, for pixels scaled to 0..1. Defaults to
            ImageNet's.
        std: Standard deviation of the same pixels. Defaults to ImageNet's.
    """

    name: str
    class_names: tuple[str, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class LabelledSplit(Sequence):
    """A split, read by index.

    Args:
        info: Facts about the dataset.
        length: Number of images.
        read: Function of an index that returns a `LabelledPicture`.
        files: Path and class id of each image. Defaults to none: they are no
            files.
        said: Remarks of one line each about what was chosen. Defaults to
            none.
        drawn: Names of its images, where they are a drawn share. Defaults to
            none.
    """

    info: ClassificationInfo
    length: int
    read: Callable[[int], LabelledPicture]
    files: Sequence = ()
    said: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.read(index)


def open_classification_split(
    dataset: str, split: str, data_dir: str | None = None
) -> Sequence[LabelledPicture]:
    """Open a split of a classification dataset for reading by index.

    Args:
        dataset: `"digits"` (in the package), a classification dataset of TFDS
            (`"imagenet2012"`, `"caltech_birds2011"`, `"cars196"`,
            `"food101"`, ...), or a folder: either of class folders,
            `<split>/<class>/<picture>` or `<class>/<picture>`, or
            FGVC-Aircraft's, with `images_variant_<split>.txt`.
        split: `"train"`, `"val"` or another of its splits. Where there is no
            `"val"`, it is `"valid"`, `"validation"`, or else `"test"`. Class
            folders without any of them validate on a fifth of each class,
            always the same.
        data_dir: The same folder, or the one in which TFDS keeps its data.
            Defaults to `None`: TFDS' own default.

    Returns:
        A sequence of `LabelledPicture`, with the dataset's facts as `info`.

    Raises:
        ValueError: If the dataset is unknown, the split has no image, or a
            class that `train` does not have.
        FileNotFoundError: If files are missing; the message says how to get
            them.

    Example:

    >>> train = open_classification_split("digits", "train")
    >>> len(train), train.info.num_classes, train[7].label
    (1437, 10, 7)
    """
    if dataset == "digits":
        return _open_digits(split)
    check_places(dataset, data_dir)
    for folder in map(pathlib.Path, filter(None, (data_dir, dataset))):
        if root := _aircraft_root(folder):
            return _open_aircraft(root, split)
        if _split_folder(folder, "train") or _holds_classes(folder):
            return _open_class_folders(folder, split)
    if pathlib.Path(dataset).is_dir():
        raise FileNotFoundError(
            f"Expected a folder per class in {dataset}, inside or outside a "
            "folder train/, or FGVC-Aircraft's images_variant_train.txt."
        )
    return _open_tfds(dataset, split, data_dir)


def _open_digits(split):
    if split not in ("train", "val"):
        raise ValueError(
            f"digits has the splits 'train' and 'val'. Received: {split!r}."
        )

    def read(index):
        return LabelledPicture(
            *read_digit(split, index), f"digits/{split}/{index}"
        )

    info = ClassificationInfo("digits", tuple("0123456789"))
    return LabelledSplit(info, count_digits(split), read)


def _open_files(info, files, source, crop_rows=0, said=(), drawn=()):
    """Return a split of `files`, pairs of an image's path and a class id."""
    if not files:
        raise ValueError(f"Expected at least one picture in {source}.")

    def read(index):
        path, label = files[index]
        image = read_rgb(path)
        return LabelledPicture(
            image[: len(image) - crop_rows], label, str(path)
        )

    return LabelledSplit(
        info, len(files), read, files, tuple(said), tuple(drawn)
    )


def _split_folder(folder, split):
    """Return the folder of a split, or `None`."""
    names = _NAMES.get(split, (split,))
    found = (folder / name for name in names if (folder / name).is_dir())
    return next(found, None)


def is_class_folder(folder) -> bool:
    """Return whether a folder is meant to hold a folder per class.

    Args:
        folder: Path of the folder; what its pictures hold is not looked at.
    """
    folder = pathlib.Path(folder)
    if _aircraft_root(folder):
        return True
    train = _split_folder(folder, "train")
    names = {path.name.lower() for path in _folders(train or folder)}
    of_maps = names & {"images", "img", "imgs", "masks", "labels"}
    return not of_maps and bool(names and train or _holds_classes(folder))


def _holds_classes(folder):
    """Return whether two folders or more hold pictures themselves."""
    inside = [path for path in _folders(folder) if any(_pictures_in(path))]
    return len(inside) > 1


def _folders(folder):
    """Return the folders in a folder, but for runs and what is hidden."""
    if not folder.is_dir():
        return []
    folders = (path for path in folder.iterdir() if path.is_dir())
    return sorted(
        path
        for path in folders
        if path.name[0] != "."
        and path.name != "__MACOSX"
        and not holds_results(path)
    )


def _pictures_in(folder):
    return (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _open_class_folders(folder, split):
    train = _split_folder(folder, "train") or folder
    names = tuple(path.name for path in _folders(train))
    _refuse_masks(train, names)
    strange = [name for name in names if not name.isprintable()]
    if strange:
        raise ValueError(
            f"Expected names of classes of one line, in UTF-8, in {train}. "
            f"Received: {os.fsencode(strange[0])!r}; rename the folder."
        )
    info = ClassificationInfo(folder.resolve().name, names)
    place = _split_folder(folder, split) or train
    if split not in _NAMES and place is train:
        raise FileNotFoundError(f"Expected a folder {split} in {folder}.")
    strange = {path.name for path in _folders(place)} - {*names}
    if strange:
        raise ValueError(
            f"{place} has classes that {train} has not: "
            f"{', '.join(sorted(strange))}."
        )
    files, said = _class_files(place, names)
    if _split_folder(folder, "val"):
        return _open_files(info, files, place, said=said)
    share = {
        path
        for label in range(len(names))
        for path in _share_of([p for p, each in files if each == label], place)
    }
    said.append(
        f"There is no val/: {len(share)} of {len(files)} pictures of {place} "
        "validate, a fifth of each class, always the same; val.txt of a run "
        "lists them."
    )
    chosen = [f for f in files if (f[0] in share) == (split == "val")]
    listed = [str(path.relative_to(folder)) for path, _ in chosen]
    return _open_files(info, chosen, place, said=said, drawn=listed)


def _share_of(paths, place):
    """Return the pictures of a class that validate; one alone trains."""
    names = {path.relative_to(place).as_posix(): path for path in paths}
    return [names[n] for n in draw_share(names)] if len(names) > 1 else []


def _class_files(place, names):
    """Return path and class id of each picture, and remarks.

    A class whose folder is missing has none; an empty one is a mistake.
    """
    files, left_out = [], []
    for label, name in enumerate(names):
        if (place / name).is_dir():
            pictures, others = list_pictures(place / name)
            left_out += others
            if not pictures:
                raise ValueError(
                    "Expected a picture in each class folder. Received: none "
                    f"in {place / name}. {spoken_others(others)}".strip()
                )
            files += [(path, label) for path in pictures]
    said = spoken_others(left_out)
    return files, [said] if said else []


def _refuse_masks(train, names):
    """Raise `ValueError` if the folders are images and masks, no classes."""
    if is_images_and_labels(names):
        raise ValueError(
            f"Expected a folder per class in {train}. Received: "
            f"{', '.join(names)}, which are images and labels: use train-seg."
        )


def _aircraft_root(folder):
    """Return the folder of FGVC-Aircraft's lists, or `None`."""
    roots = (folder, folder / "data")
    there = (r for r in roots if (r / "images_variant_train.txt").exists())
    return next(there, None)


def _open_aircraft(root, split):
    path = root / f"images_variant_{split}.txt"
    if not path.exists():
        raise FileNotFoundError(f"Expected FGVC-Aircraft's list at {path}.")
    names = tuple((root / "variants.txt").read_text().splitlines())
    # A line is the image's number and its variant, which may hold spaces.
    lines = [line.partition(" ") for line in path.read_text().splitlines()]
    strange = {variant for _, _, variant in lines} - {*names}
    if strange:
        raise ValueError(
            f"{path} has variants that {root / 'variants.txt'} has not: "
            f"{', '.join(sorted(strange))}."
        )
    files = [
        (root / "images" / f"{number}.jpg", names.index(variant))
        for number, _, variant in lines
    ]
    missing = [path for path, _ in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{path} names {len(missing)} of {len(files)} files that do not "
            f"exist, the first: {missing[0]}."
        )
    info = ClassificationInfo("fgvc_aircraft", names)
    return _open_files(info, files, path, crop_rows=_BANNER_ROWS)


def _open_tfds(dataset, split, data_dir):
    import tensorflow_datasets as tfds

    try:
        builder = open_builder(dataset, data_dir)
    except ValueError as error:
        raise ValueError(
            f"{error} Nor is data_dir={data_dir!r} a folder that holds "
            "train/<class>/<picture>."
        ) from error
    features = dict(builder.info.features.items())
    label = features.get("label")
    if "image" not in features or not isinstance(
        label, tfds.features.ClassLabel
    ):
        raise ValueError(
            "Expected a dataset with the features 'image' and 'label', a "
            f"class. Received: {dataset} with {', '.join(features)}."
        )
    if split == "val":
        known = [n for n in _NAMES["val"] if n in builder.info.splits]
        split = known[0] if known else split
    source = open_source(builder, split, ("image",))

    def read(index):
        row = source[index]
        name = f"{dataset}/{split}/{index}"
        if row["label"] < 0:  # TFDS' mark for labels that are not public
            raise ValueError(f"Expected a class. Received: none for {name}.")
        image = read_rgb(io.BytesIO(row["image"]), name)
        return LabelledPicture(image, int(row["label"]), name)

    info = ClassificationInfo(dataset, tuple(label.names))
    return LabelledSplit(info, len(source), read)
