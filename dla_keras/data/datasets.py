"""What is known about each dataset before a picture is read.

First room of the data's way: `reading.py` opens a split with these facts, and
models, reports and exported files carry them on, so no stage types them again.
"""

import colorsys
from dataclasses import dataclass

from dla_keras.normalization import IMAGENET_MEAN
from dla_keras.normalization import IMAGENET_STD

# Labels leave `reading.py` with this value wherever a pixel neither trains nor
# counts, whatever the files hold.
IGNORE_LABEL = 255


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a segmentation dataset.

    Args:
        name: what `--dataset` calls it.
        class_names: one name per class id, in order.
        palette: one RGB colour (0 to 255) per class id, in order.
        ignore_label: what the dataset's files hold where a pixel neither
            trains nor counts. Defaults to `255`.
        mean: mean RGB of the pictures, for pixels scaled to 0..1. Defaults to
            ImageNet's.
        std: standard deviation, likewise.
        tfds_name: name of the TFDS builder, `None` for list files. Defaults
            to `None`.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_label: int = IGNORE_LABEL
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    tfds_name: str | None = None

    def __post_init__(self):
        if len(self.palette) != len(self.class_names):
            raise ValueError(
                f"Dataset {self.name!r} needs one colour per class. Received: "
                f"{len(self.class_names)} class names and {len(self.palette)} "
                "colours."
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


# Cityscapes' 19 training classes in the order of their train ids, with the
# colours of its label definition (Cordts et al., CVPR 2016).
CITYSCAPES_CLASSES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}

# The 11 classes that CamVid is reported on (Brostow et al. 2008, grouped as in
# SegNet), in the order and colours of SegNet's copy.
CAMVID_CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign_symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}

DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="toy_streets",
            class_names=tuple(CITYSCAPES_CLASSES),
            palette=tuple(CITYSCAPES_CLASSES.values()),
            tfds_name="toy_streets",
        ),
        DatasetInfo(
            name="camvid",
            class_names=tuple(CAMVID_CLASSES),
            palette=tuple(CAMVID_CLASSES.values()),
            ignore_label=11,
        ),
    )
}
