"""Images with the boundaries that people drew: BSDS500, lists, label edges.

A label map is uint8: 0 where there is no boundary, `CERTAIN` where there is
one, between them the share of annotators who saw one, and `IGNORE_LABEL` where
a pixel does not count.
"""

import contextlib
import dataclasses
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np
from keras import ops
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from dla_keras.choices import choose
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.fitting import resize_picture
from dla_keras.data.folders.layouts import NoLayoutError
from dla_keras.data.folders.layouts import find_layout
from dla_keras.data.pictures import open_picture
from dla_keras.data.pictures import read_rgb
from dla_keras.data.segmentation import list_pairs
from dla_keras.data.segmentation import open_split
from dla_keras.data.tfds_source import check_places
from dla_keras.files import check_regular

CERTAIN = 254

# Share of the annotators that "consensus" needs: RCF's 64 / 255 for BSDS500
# (Liu et al., CVPR 2017). The drawings rarely agree on a pixel more than that.
CONSENSUS = 0.25


def _any(share):
    return np.where(share > 0, CERTAIN, 0)


def _consensus(share):
    doubtful = np.where(share > 0, IGNORE_LABEL, 0)
    return np.where(share > CONSENSUS, CERTAIN, doubtful)


def _soft(share):
    return np.round(CERTAIN * share)


# Name and function from the share of annotators who drew a boundary to a label.
RULES = {"any": _any, "consensus": _consensus, "soft": _soft}


def combined_label(
    annotations: Sequence[np.ndarray], rule: str = "consensus"
) -> np.ndarray:
    """Return one label map from the annotators' boundary maps.

    Args:
        annotations: `(height, width)` each, boolean, or a share from 0 to 1.
        rule: `"any"`, the authors' rule: a boundary wherever anyone drew one.
            `"consensus"`: a boundary where more than a quarter did; pixels
            where fewer did do not count. `"soft"`: the share itself is
            learned. Defaults to `"consensus"`.

    Returns:
        uint8 `(height, width)`.

    Raises:
        ValueError: If the rule is unknown.

    Example:

    >>> drawn = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
    >>> {rule: combined_label(drawn, rule).tolist() for rule in RULES}
    {'any': [[254, 254, 0]], 'consensus': [[254, 254, 0]],
    'soft': [[254, 127, 0]]}
    """
    combine = choose("rule", rule, RULES)
    share = np.mean(np.asarray(annotations, np.float64), axis=0)
    return combine(share).astype(np.uint8)


def label_edges(labels):
    """Return the boundaries between classes, as labels for a boundary network.

    A pixel is on a boundary if its right or its lower neighbor is of another
    class. Ignored pixels stay ignored, and have no boundary.

    Args:
        labels: `(..., height, width)`, class ids or `IGNORE_LABEL`; a NumPy
            array or a tensor.

    Returns:
        A uint8 tensor of the same shape: 0, `CERTAIN` or `IGNORE_LABEL`.

    Example:

    >>> np.asarray(label_edges(np.array([[1, 1, 2, 2, 255]])))
    array([[  0, 254,   0,   0, 255]], dtype=uint8)
    """
    labels = ops.cast(labels, "int32")
    valid = labels != IGNORE_LABEL
    edges = ops.zeros_like(valid)
    for axis in (-1, -2):
        size = ops.shape(labels)[axis]
        # The last row or column is its own neighbor.
        following = ops.minimum(ops.arange(size) + 1, size - 1)
        neighbour = ops.take(labels, following, axis)
        differs = (neighbour != labels) & (neighbour != IGNORE_LABEL)
        edges = edges | (differs & valid)
    marked = ops.where(edges, CERTAIN, 0)
    return ops.cast(ops.where(valid, marked, IGNORE_LABEL), "uint8")


_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def read_bsds_annotations(path) -> tuple[np.ndarray, ...]:
    """Return the boundary maps of a BSDS500 file, one per annotator.

    Args:
        path: Path of a MATLAB v5 file with `groundTruth{k}.Boundaries`.

    Returns:
        Boolean arrays `(height, width)`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is no such file.

    Example:

    >>> maps = read_bsds_annotations("bsds/val/101085.mat")  # doctest: +SKIP
    >>> len(maps), maps[0].shape  # doctest: +SKIP
    (5, (481, 321))
    """
    broken = (MatReadError, ValueError, TypeError, EOFError, zlib.error)
    check_regular(path)
    try:
        truth = loadmat(path)["groundTruth"].ravel()
        maps = [np.asarray(each["Boundaries"][0, 0]) for each in truth]
    except (NotImplementedError, LookupError, OSError, *broken) as error:
        raise ValueError(
            "Expected a MATLAB v5 file with groundTruth{k}.Boundaries. "
            f"Received: {path} ({type(error).__name__}: {error})."
        ) from error
    shapes = {each.shape for each in maps}
    if len(shapes) != 1 or len(maps[0].shape) != 2:
        raise ValueError(
            "Expected annotations of one size (height, width). Received: "
            f"{path} with {sorted(shapes)}."
        )
    return tuple(each != 0 for each in maps)


def read_soft_map(path) -> np.ndarray:
    """Return a detector's boundary map, from 0 (no boundary) to 1.

    Args:
        path: Path of a gray PNG of 8 or 16 bits, in which white is 1, or of an
            `.npy` file of floats from 0 to 1.

    Returns:
        float64 `(height, width)`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the shape, type or range is another one.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.npy")
    ...     np.save(path, np.array([[0.0, 0.5]]))
    ...     read_soft_map(path)
    array([[0. , 0.5]])
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no boundary map at {path}.")
    values = _read_npy(path) if path.suffix == ".npy" else _read_grey(path)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            "A boundary map holds one value per pixel, (height, width). "
            f"Received: {path} with shape {values.shape}."
        )
    if not (values.min() >= 0 and values.max() <= 1):  # also for NaN
        raise ValueError(
            "A boundary map lies in 0 to 1: pass logits through a sigmoid. "
            f"Received: {path} with {values.min()} to {values.max()}."
        )
    return values


def _read_npy(path):
    try:
        # Mapped, since a header may lie about terabytes.
        values = np.load(path, "r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy file: {error}.") from error
    if values.dtype != bool and not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            "An .npy boundary map holds floats from 0 to 1. Received: "
            f"{path} with {values.dtype}."
        )
    return np.array(values, np.float64)  # no map of the file


def _read_grey(path):
    image = open_picture(path)
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype(np.float64)
    if image.mode not in ("L", "I;16") or values.dtype not in _WHITE:
        raise ValueError(
            "A boundary map is a grey picture of 8 or 16 bits. Received: "
            f"{path} of mode {image.mode}; convert it to grey."
        )
    return values / _WHITE[values.dtype]


_HOW_TO_GET = (
    "BSDS500 is BSR_bsds500.tgz of Berkeley's Computer Vision Group: pass the "
    "folder that holds its images/ and groundTruth/ as --data-dir. Any other "
    "set, PASCAL boundaries for instance, comes as a folder of list files "
    "(train_images.txt, train_labels.txt, val_...) whose labels are grey "
    "pictures or BSDS500's .mat files."
)


@dataclasses.dataclass(frozen=True)
class BoundaryExample:
    """An image with the boundaries that people drew in it.

    Args:
        image: uint8 `(height, width, 3)`, RGB; `None` if there are only
            annotations.
        label: uint8 `(height, width)`, 0 to `CERTAIN` or `IGNORE_LABEL`;
            `None` if there are only annotations.
        annotations: Boolean `(height, width)` per annotator.
        name: File or key it came from.
    """

    image: np.ndarray | None
    label: np.ndarray | None
    annotations: tuple[np.ndarray, ...]
    name: str


def resize_boundaries(
    example: BoundaryExample, height: int, width: int
) -> BoundaryExample:
    """Return an example at a size at which no line is lost.

    A pixel lies on a boundary if one of those that it covers does; otherwise it
    is ignored if one of them is.

    Args:
        example: Example with an image.
        height: Height of the result.
        width: Width of the result.
    """
    if example.image.shape[:2] == (height, width):
        return example
    # In the order of what wins: none, ignored, the shares of annotators.
    label = example.label
    rank = np.where(label == IGNORE_LABEL, 1, label + np.uint8(label > 0))
    rank = _covered(rank.astype(np.uint8), height, width)
    return dataclasses.replace(
        example,
        image=resize_picture(example.image, height, width),
        label=np.where(rank == 1, np.uint8(IGNORE_LABEL), rank - (rank > 1)),
        annotations=tuple(
            _covered(each, height, width) for each in example.annotations
        ),
    )


def _covered(values, *size):
    """Return the largest of the values that each pixel of a size covers."""
    for axis, (old, new) in enumerate(zip(values.shape, size, strict=True)):
        if new < old:
            # Pixel i covers those whose middle it holds.
            first = -(-(2 * np.arange(new) * old - new) // (2 * new))
            values = np.maximum.reduceat(values, np.maximum(first, 0), axis)
        else:
            nearest = (2 * np.arange(new) + 1) * old // (2 * new)
            values = np.take(values, nearest, axis)
    return values


class BoundarySplit(Sequence):
    """A split whose images and annotations are files, read by index.

    Args:
        pairs: Path of each image and of its annotations.
        name: Name of the dataset, the one `--dataset` takes.
        rule: Name of a row of `RULES`.

    Raises:
        FileNotFoundError: If a file does not exist.
    """

    def __init__(self, pairs, name: str, rule: str):
        missing = [p for pair in pairs for p in pair if not p.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {2 * len(pairs)} files of {name} do not "
                f"exist, the first: {missing[0]}."
            )
        self.info = _info(name)
        self.pairs = pairs
        self._rule = rule

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        image_path, path = self.pairs[index]
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
        split: Sequence of `Example` with `info`.
    """

    def __init__(self, split):
        self.info = _info(split.info.name)
        self.pairs = getattr(split, "pairs", ())
        self.drawn = getattr(split, "drawn", ())
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

    If it lies as BSDS500 does, the images beside it are found too, for reports.

    Args:
        folder: Folder of files that `read_annotations` reads, for instance
            `groundTruth/val`.

    Raises:
        FileNotFoundError: If there is no such file.
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
        place = folder.absolute()
        self._images = place.parent.parent / "images" / place.name
        self.info = _info("boundaries")
        self.names = [path.stem for path in self._paths]
        twice = [p for p in self._paths if self.names.count(p.stem) > 1]
        if twice:
            raise ValueError(
                f"Expected one file of annotations for a name in {folder}. "
                f"Received: {twice[0].name} and {twice[1].name}; move one away."
            )

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        path = self._paths[index]
        annotations = tuple(share > 0 for share in read_annotations(path))
        picture = self._images / f"{path.stem}.jpg"
        image = read_rgb(picture) if picture.exists() else None
        return BoundaryExample(image, None, annotations, path.stem)


def read_annotations(path) -> tuple[np.ndarray, ...]:
    """Return the boundary maps of an image: BSDS500's, or one from a gray file.

    Args:
        path: Path of a `.mat` file of BSDS500, or of a file `read_soft_map`
            reads. In a PNG that holds nothing above 1, 1 is a boundary.

    Returns:
        `(height, width)` each: boolean, or a share from 0 to 1.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is another kind of file.
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
    """Open a split for a boundary network.

    Args:
        dataset: `"bsds500"`, a folder with list files, or a segmentation
            dataset or its folder, whose boundaries between classes are
            learned.
        split: `"train"`, `"val"`, or the name of a folder of BSDS500.
        data_dir: Folder of the dataset. Defaults to `None`.
        rule: Name of a row of `RULES`, which combines the annotators. It has
            no effect if there is only one. Defaults to `"consensus"`.

    Returns:
        A sequence of `BoundaryExample`, with the dataset's facts as `info`.

    Raises:
        ValueError: If the rule is unknown, or files are faulty.
        FileNotFoundError: If files are missing; the message says how to get
            them.

    Example:

    >>> val = open_boundary_split("toy_streets", "val")  # doctest: +SKIP
    >>> val[0].annotations[0].shape  # doctest: +SKIP
    (192, 384)
    """
    choose("rule", rule, RULES)
    check_places(dataset, data_dir)
    if dataset in DATASETS:
        return EdgesOfLabels(open_split(dataset, split, data_dir))
    folder = pathlib.Path(data_dir or dataset)
    if (folder / f"{split}_images.txt").exists():
        return BoundarySplit(list_pairs(folder, split), dataset, rule)
    # BSDS500's archive, as its parts lie in `BSR/BSDS500/data`.
    truth = folder / "groundTruth" / split
    images = sorted((folder / "images" / split).glob("*.jpg"))
    pairs = [(image, truth / f"{image.stem}.mat") for image in images]
    if not truth.is_dir():
        with contextlib.suppress(NoLayoutError):
            find_layout(folder)
            return EdgesOfLabels(open_split(str(folder), split))
    if not pairs:
        known = ", ".join(("bsds500", *DATASETS))
        raise FileNotFoundError(
            f"Expected {folder / 'images' / split / '*.jpg'} or "
            f"{split}_images.txt there. Received: dataset {dataset!r} "
            f"(known: {known}), data_dir {data_dir!r}. {_HOW_TO_GET}"
        )
    return BoundarySplit(pairs, dataset, rule)


def _info(name):
    return DatasetInfo(name, ("boundary",), ((255, 255, 255),))
