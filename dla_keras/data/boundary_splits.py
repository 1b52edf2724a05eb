"""Opens a split of pictures with their boundaries: BSDS500, lists, labels."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from dla_keras.data.boundaries import read_bsds_annotations
from dla_keras.data.boundaries import read_soft_map
from dla_keras.data.boundary_labels import CERTAIN
from dla_keras.data.boundary_labels import RULES
from dla_keras.data.boundary_labels import combined_label
from dla_keras.data.boundary_labels import label_edges
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import FolderLayout
from dla_keras.data.folders import layout_pairs
from dla_keras.data.folders import list_pairs
from dla_keras.data.pictures import read_rgb
from dla_keras.data.reading import open_split

# BSDS500's archive, as its parts lie in `BSR/BSDS500/data`.
_BSDS = FolderLayout(
    "images/{split}/{name}.jpg", "groundTruth/{split}/{name}.mat"
)
_HOW_TO_GET = (
    "BSDS500 is BSR_bsds500.tgz of Berkeley's Computer Vision Group: pass the "
    "folder that holds its images/ and groundTruth/ as --data-dir. Any other "
    "set, PASCAL boundaries for instance, comes as a folder of list files "
    "(train_images.txt, train_labels.txt, val_...) whose labels are grey "
    "pictures or BSDS500's .mat files."
)


@dataclasses.dataclass(frozen=True)
class BoundaryExample:
    """A picture with the boundaries that people drew in it.

    Args:
        image: uint8 `(height, width, 3)`, RGB; `None` where only annotations
            are at hand.
        label: uint8 `(height, width)`, see `boundary_labels.py`; likewise.
        annotations: a boolean `(height, width)` per annotator.
        name: file or key it came from.
    """

    image: np.ndarray | None
    label: np.ndarray | None
    annotations: tuple[np.ndarray, ...]
    name: str


class BoundarySplit(Sequence):
    """A split whose pictures and annotations are files, read by index.

    Args:
        pairs: the path of each picture and of its annotations.
        name: what `--dataset` calls the set.
        rule: of `boundary_labels.RULES`.

    Raises:
        FileNotFoundError: for a file that is not there.
    """

    def __init__(self, pairs, name: str, rule: str):
        missing = [p for pair in pairs for p in pair if not p.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {2 * len(pairs)} files of {name} do not "
                f"exist, the first: {missing[0]}."
            )
        self.info = _info(name)
        self._pairs = pairs
        self._rule = rule

    def __len__(self):
        return len(self._pairs)

    def __getitem__(self, index):
        image_path, path = self._pairs[index]
        image, shares = read_rgb(image_path), read_annotations(path)
        if shares[0].shape != image.shape[:2]:
            raise ValueError(
                "Annotations are of their picture's size. Received: "
                f"{path} with {shares[0].shape} for {image_path} with "
                f"{image.shape[:2]}."
            )
        label = combined_label(shares, self._rule)
        annotations = tuple(share > 0 for share in shares)
        return BoundaryExample(image, label, annotations, str(image_path))


class EdgesOfLabels(Sequence):
    """The boundaries between the classes of a segmentation split.

    Args:
        split: a sequence of `Example` with `info`.
    """

    def __init__(self, split):
        self.info = _info(split.info.name)
        self._split = split

    def __len__(self):
        return len(self._split)

    def __getitem__(self, index):
        example = self._split[index]
        label = np.asarray(label_edges(example.label))
        annotations = (label == CERTAIN,)
        return BoundaryExample(example.image, label, annotations, example.name)


class GroundTruth(Sequence):
    """A folder of annotations alone, to compare any detector's maps with.

    In the layout of BSDS500 the pictures beside it are found too, for reports.

    Args:
        folder: of files that `read_annotations` reads, for instance
            `groundTruth/val`.

    Raises:
        FileNotFoundError: without such files.
    """

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        kinds = (".mat", ".png", ".npy")
        self._paths = sorted(
            path for kind in kinds for path in folder.glob(f"*{kind}")
        )
        if not self._paths:
            raise FileNotFoundError(
                f"Expected annotations ({', '.join(kinds)}) in a folder. "
                f"Received: {folder}."
            )
        self._images = folder.parents[1] / "images" / folder.name
        self.info = _info("boundaries")
        self.names = [path.stem for path in self._paths]

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        path = self._paths[index]
        annotations = tuple(share > 0 for share in read_annotations(path))
        picture = self._images / f"{path.stem}.jpg"
        image = read_rgb(picture) if picture.exists() else None
        return BoundaryExample(image, None, annotations, path.stem)


def read_annotations(path) -> tuple[np.ndarray, ...]:
    """Boundary maps of a picture: BSDS500's, or one from a grey picture.

    Args:
        path: a `.mat` file of BSDS500, or what `read_soft_map` takes; in a
            picture that holds nothing above 1, 1 is a boundary.

    Returns:
        `(height, width)` each: boolean, or a share from 0 to 1.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: for another kind of file.
    """
    if pathlib.Path(path).suffix == ".mat":
        return read_bsds_annotations(path)
    share = read_soft_map(path)
    faint = 0 < share.max() <= 1 / 255  # class ids: 0 and 1
    return (share > 0 if faint else share,)


def open_boundary_split(
    dataset: str,
    split: str,
    data_dir: str | None = None,
    rule: str = "consensus",
) -> Sequence[BoundaryExample]:
    """Opens a split for a boundary network.

    Args:
        dataset: `"bsds500"`; a folder with list files; or a segmentation
            dataset, the edges of whose labels are learned.
        split: `"train"`, `"val"`, or a folder's of BSDS500.
        data_dir: its folder. Defaults to `None`.
        rule: how annotators are combined, of `boundary_labels.RULES`; of no
            effect where there is one. Defaults to `"consensus"`.

    Returns:
        A sequence of `BoundaryExample`, with the dataset's facts as `info`.

    Raises:
        ValueError: for an unknown dataset or rule, or faulty files.
        FileNotFoundError: for missing files, with how to get them.

    Example:

    >>> val = open_boundary_split("toy_streets", "val")  # doctest: +SKIP
    >>> val[0].annotations[0].shape  # doctest: +SKIP
    (192, 384)
    """
    if rule not in RULES:
        raise ValueError(
            f"Expected a rule of {', '.join(RULES)}. Received: {rule!r}."
        )
    if dataset in DATASETS:
        return EdgesOfLabels(open_split(dataset, split, data_dir))
    folder = pathlib.Path(data_dir or dataset)
    if (folder / f"{split}_images.txt").exists():
        return BoundarySplit(list_pairs(folder, split), dataset, rule)
    pairs = layout_pairs(folder, _BSDS, split)
    if not pairs:
        known = ", ".join(("bsds500", *DATASETS))
        raise FileNotFoundError(
            f"Expected {folder / _BSDS.images.format(split=split, name='*')} "
            f"or {split}_images.txt there. Received: dataset {dataset!r} "
            f"(known: {known}), data_dir {data_dir!r}. {_HOW_TO_GET}"
        )
    return BoundarySplit(pairs, dataset, rule)


def _info(name):
    return DatasetInfo(name, ("boundary",), ((255, 255, 255),))
