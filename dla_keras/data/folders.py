"""Finds the pictures and labels of a folder: list files, known layouts."""

import json

from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import FolderLayout
from dla_keras.data.datasets import distinct_palette


def list_pairs(folder, split: str) -> list:
    """The pictures and labels that a split's list files name, line by line.

    Args:
        folder: the folder with the lists; the lines are relative to it.
        split: for instance `"train"`.

    Raises:
        FileNotFoundError: for a missing list.
        ValueError: for lists of different lengths.
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
    return [
        (folder / image, folder / label)
        for image, label in zip(images, labels, strict=True)
    ]


def layout_pairs(folder, layout: FolderLayout, split: str) -> list:
    """The pictures of a split that lie as a layout says, with their labels.

    Args:
        folder: the dataset's folder.
        layout: where the pictures and labels are in it.
        split: `"train"`, `"val"`, or what the layout's folders are called.
    """
    split = {"train": layout.train, "val": layout.val}.get(split, split)
    head, tail = layout.images.format(split=split, name="*").split("*")
    pairs = []
    for image in sorted((folder / head).rglob(f"*{tail}")):
        name = image.relative_to(folder / head).as_posix().removesuffix(tail)
        label = folder / layout.labels.format(split=split, name=name)
        pairs.append((image, label))
    return pairs


def folder_info(folder, known: DatasetInfo | None) -> DatasetInfo:
    """The facts of a folder: its `info.json`, over what is known already.

    Args:
        folder: the folder with the list files.
        known: the dataset's facts, if it is a known one.

    Raises:
        ValueError: for a file that is no JSON, or unknown classes.
    """
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
    # Lists name labels that hold class ids, as the DLA code's Cityscapes do,
    # though the dataset's own archives hold others.
    ignored = (IGNORE_LABEL,) if known.label_ids else known.ignored_ids
    if "ignore_label" in facts:
        ignored = (facts["ignore_label"],)
    return DatasetInfo(
        name=known.name,
        class_names=tuple(class_names),
        palette=tuple(map(tuple, facts.get("palette", known.palette))),
        ignored_ids=ignored,
        mean=tuple(facts.get("mean", known.mean)),
        std=tuple(facts.get("std", known.std)),
    )


def _read_list(path):
    if not path.exists():
        raise FileNotFoundError(f"Expected a list of files at {path}.")
    lines = path.read_text().splitlines()
    return [line.strip() for line in lines if line.strip()]
