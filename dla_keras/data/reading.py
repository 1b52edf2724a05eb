"""Opens a split: pictures and labels by index, from TFDS or from list files.

What leaves here is checked: RGB pictures, labels of the same size, ids inside
the dataset's classes or `IGNORE_LABEL`. A fault is an error that names the
file; nothing is skipped.
"""

import dataclasses
import io
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL import UnidentifiedImageError

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import distinct_palette


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture with its label.

    Args:
        image: uint8 `(height, width, 3)`, RGB.
        label: uint8 `(height, width)`, class ids or `IGNORE_LABEL`.
        name: file or key it came from, for messages and reports.
    """

    image: np.ndarray
    label: np.ndarray
    name: str


class ListFileSplit(Sequence):
    """A split of a folder in the layout of the DLA and DRN code.

    `<split>_images.txt` and `<split>_labels.txt` hold one path a line,
    relative to the folder; `info.json` holds the facts.

    Args:
        folder: the folder with the lists.
        split: for instance `"train"`.
        info: the dataset's facts.

    Raises:
        FileNotFoundError: for a list, picture or label that is not there.
        ValueError: for lists of different lengths, an empty list, a file
            that is no picture, or a label of another size.
    """

    def __init__(self, folder, split: str, info: DatasetInfo):
        self.info = info
        folder = pathlib.Path(folder)
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
        if not images:
            raise ValueError(f"Expected at least one picture in {image_list}.")
        self._pairs = [
            (folder / image, folder / label)
            for image, label in zip(images, labels, strict=True)
        ]
        _check_pairs(self._pairs, image_list, label_list)

    def __len__(self):
        return len(self._pairs)

    def __getitem__(self, index):
        image_path, label_path = self._pairs[index]
        image = np.array(_open(image_path).convert("RGB"))
        label = np.array(_open(label_path))
        return checked_example(
            image, label, self.info, str(image_path), str(label_path)
        )


class TFDSSplit(Sequence):
    """A split of a TFDS builder, read by index.

    Args:
        source: what `builder.as_data_source(split)` gives, pictures left as
            encoded.
        info: the dataset's facts.
        split: for instance `"train"`.
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
        image = _open(io.BytesIO(row["image"]), name).convert("RGB")
        label = _open(io.BytesIO(row["segmentation_label"]), name)
        return checked_example(
            np.array(image), np.array(label), self.info, name, name
        )


def checked_example(image, label, info, image_name, label_name) -> Example:
    """The example, once its label fits the picture and the classes.

    Raises:
        ValueError: naming `label_name`, for a label that is not one id per
            pixel, of another size, or with ids that are no class.
    """
    if label.ndim != 2:
        raise ValueError(
            f"A label holds one class id per pixel. Received: {label_name} "
            f"with shape {label.shape}; convert its colours to ids."
        )
    if label.shape != image.shape[:2]:
        raise ValueError(
            "A label is of its picture's size. Received: "
            f"{label_name} with {label.shape} for {image_name} with "
            f"{image.shape[:2]} (height, width)."
        )
    ignored = (label == info.ignore_label) | (label == IGNORE_LABEL)
    foreign = np.unique(label[~ignored & (label >= info.num_classes)])
    if foreign.size:
        raise ValueError(
            f"{info.name} has class ids 0 to {info.num_classes - 1}, and "
            f"{info.ignore_label} where ignored. Received: ids "
            f"{foreign.tolist()} in {label_name}."
        )
    label = np.where(ignored, IGNORE_LABEL, label).astype(np.uint8)
    return Example(image, label, image_name)


def open_split(
    dataset: str, split: str, data_dir: str | None = None
) -> Sequence[Example]:
    """Opens a dataset's split for reading by index.

    Args:
        dataset: a name of `DATASETS`, or a folder with list files.
        split: `"train"` or `"val"`.
        data_dir: a folder with list files, or where TFDS keeps its data.
            Defaults to `None`: TFDS' own default.

    Returns:
        A sequence of `Example`, with the dataset's facts as its `info`.

    Raises:
        ValueError: for an unknown dataset, or faulty files.
        FileNotFoundError: for missing files.

    Example:

    >>> val = open_split("toy_streets", "val")  # doctest: +SKIP
    >>> val[0].image.shape  # doctest: +SKIP
    (192, 384, 3)
    """
    for folder in (data_dir, dataset):
        if folder and (pathlib.Path(folder) / f"{split}_images.txt").exists():
            info = _folder_info(pathlib.Path(folder), DATASETS.get(dataset))
            return ListFileSplit(folder, split, info)
    if dataset not in DATASETS:
        raise ValueError(
            f"Unknown dataset: expected one of {', '.join(DATASETS)}, or a "
            f"folder that holds {split}_images.txt and {split}_labels.txt. "
            f"Received: {dataset!r}"
            + (f" and data_dir={data_dir!r}." if data_dir else ".")
        )
    info = DATASETS[dataset]
    if info.tfds_name is None:
        raise FileNotFoundError(
            f"{dataset} is read from list files. Expected "
            f"{split}_images.txt, {split}_labels.txt and info.json in its "
            f"folder. Received: data_dir={data_dir!r}; pass --data-dir FOLDER."
        )
    return _open_tfds(info, split, data_dir)


def _open_tfds(info, split, data_dir):
    import tensorflow_datasets as tfds

    from dla_keras.data import toy_streets  # noqa: F401 registers the builder

    # ArrayRecord files, unlike TFRecord, can be read by index.
    builder = tfds.builder(
        info.tfds_name, data_dir=data_dir, file_format="array_record"
    )
    builder.download_and_prepare()
    # Left encoded, pictures are decoded here as those of list files are.
    decoders = {
        feature: tfds.decode.SkipDecoding()
        for feature in ("image", "segmentation_label")
    }
    source = builder.as_data_source(split, decoders=decoders)
    return TFDSSplit(source, info, split)


def _folder_info(folder, known: DatasetInfo | None) -> DatasetInfo:
    """The facts of a folder: `info.json`, over what `DATASETS` knows."""
    path = folder / "info.json"
    facts = {}
    if path.exists():
        try:
            facts = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not valid JSON: {error}.") from error
    class_names = facts.get("class_names") or (known and known.class_names)
    if not class_names and "classes" in facts:
        class_names = [f"class_{i}" for i in range(facts["classes"])]
    if not class_names:
        raise ValueError(
            f"The classes of {folder} are unknown. Expected 'class_names' (a "
            f"list) or 'classes' (their number) in {path}."
        )
    if known is None or len(known.class_names) != len(class_names):
        palette = distinct_palette(len(class_names))
        known = DatasetInfo(folder.name, tuple(class_names), palette)
    palette = facts.get("palette", known.palette)
    return dataclasses.replace(
        known,
        class_names=tuple(class_names),
        palette=tuple(map(tuple, palette)),
        ignore_label=facts.get("ignore_label", known.ignore_label),
        mean=tuple(facts.get("mean", known.mean)),
        std=tuple(facts.get("std", known.std)),
        tfds_name=None,
    )


def _read_list(path):
    if not path.exists():
        raise FileNotFoundError(f"Expected a list of files at {path}.")
    lines = path.read_text().splitlines()
    return [line.strip() for line in lines if line.strip()]


def _check_pairs(pairs, image_list, label_list):
    """Looks at every file's header, so that faults show before training."""
    for column, list_path in enumerate((image_list, label_list)):
        missing = [p[column] for p in pairs if not p[column].is_file()]
        if missing:
            raise FileNotFoundError(
                f"{list_path} names {len(missing)} of {len(pairs)} files that "
                f"do not exist, the first: {missing[0]}."
            )
    for image_path, label_path in pairs:
        with _header(image_path) as image, _header(label_path) as label:
            if image.size != label.size:
                raise ValueError(
                    "A label is of its picture's size. Received: "
                    f"{label_path} with {label.size} for {image_path} with "
                    f"{image.size} (width, height)."
                )


def _header(file, name=None):
    try:
        return Image.open(file)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name or file} is no picture: {error}.") from error


def _open(file, name=None):
    """The decoded picture of a path, or of encoded bytes under a name."""
    image = _header(file, name)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{name or file} cannot be decoded: {error}."
        ) from error
    return image
