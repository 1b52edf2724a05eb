"""`toy_streets`: a TFDS dataset of drawn street scenes with exact labels.

The default dataset, so that training runs offline. `scene.py` draws a picture,
`plan.py` decides what is on it; the other files hold what it is drawn with.
"""

import io
import zlib

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dla_keras.data.datasets import CITYSCAPES_CLASSES
from dla_keras.data.toy_streets.scene import draw_scene

SIZE = (192, 384)  # height and width, pixels
# What has boxes: BDD100K's ten classes of objects.
OBJECTS = (
    *("person", "rider", "car", "truck", "bus", "train", "motorcycle"),
    *("bicycle", "traffic light", "traffic sign"),
)
FRAGMENT = 12  # pixels of the longer side, below which a box is to be ignored

# split -> (seed, number of images)
SPLITS = {"train": (1, 600), "val": (2, 100)}

_DESCRIPTION = f"""
Drawn street scenes with exact labels. A random street is planned in metres,
seen through a random pinhole camera and painted with random light, weather and
sensor faults; no picture is downloaded. Colors are shared between classes, so
shape and place must tell them apart.

The classes are Cityscapes' 19 training classes in the order of their train
ids: {", ".join(CITYSCAPES_CLASSES)}. Label 255 is to be ignored.

The objects are those of ten classes, each with the box of what is seen of it;
fragments whose longer side is below {FRAGMENT} pixels are marked `is_crowd`.
"""

_CITATION = """
@misc{toy_streets,
  title = {toy_streets: drawn street scenes for semantic segmentation},
  author = {{The dla_keras authors}},
  note = {Class list after Cordts et al., The Cityscapes Dataset for Semantic
          Urban Scene Understanding, CVPR 2016},
}
"""


def draw_picture(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image of a split; the same arguments give the same pixels.

    Args:
        split: `"train"` or `"val"`.
        index: Number of the image in the split, from 0.

    Returns:
        The RGB image `(192, 384, 3)` and the label `(192, 384)`, both uint8.

    Example:

    >>> image, label = draw_picture("val", 0)
    >>> image.shape, label.shape
    ((192, 384, 3), (192, 384))
    """
    return draw_instances(split, index)[:2]


def draw_instances(split: str, index: int) -> tuple[np.ndarray, ...]:
    """Draw one image of a split, with the numbers of its things.

    Args:
        split: `"train"` or `"val"`.
        index: Number of the image in the split, from 0.

    Returns:
        Image and label of `draw_picture`, and an int32 map `(192, 384)`.
    """
    seed, _ = SPLITS[split]
    return draw_scene(np.random.default_rng([seed, index]), *SIZE)


def find_objects(label: np.ndarray, numbers: np.ndarray) -> list[dict]:
    """Return the objects of a label, as TFDS has them.

    Args:
        label: uint8 `(height, width)`, Cityscapes' train ids.
        numbers: int32 `(height, width)`, number of the thing at each pixel.

    Returns:
        For each thing and class of `OBJECTS` in it `bbox` (top, left, bottom,
        right, 0 to 1), `label` (in `OBJECTS`), and `is_crowd`.
    """
    found, ids = [], [*CITYSCAPES_CLASSES]
    for number in np.unique(numbers[numbers > 0]):
        thing = numbers == number
        for class_id in np.unique(label[thing]):
            name = ids[class_id] if class_id < len(ids) else None
            if name not in OBJECTS:
                continue
            rows, columns = np.nonzero(thing & (label == class_id))
            top, left = rows.min(), columns.min()
            bottom, right = rows.max() + 1, columns.max() + 1
            height, width = label.shape
            box = top / height, left / width, bottom / height, right / width
            found.append(
                {
                    "bbox": tfds.features.BBox(*box),
                    "label": name,
                    "is_crowd": bool(
                        max(bottom - top, right - left) < FRAGMENT
                    ),
                }
            )
    return found


def _png(pixels):
    # Half the time of TFDS' own encoder, and files no larger: noise has no
    # repeats to search for, and labels consist of runs.
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "PNG", compress_level=1, compress_type=zlib.Z_RLE
    )
    file.seek(0)
    return file


class ToyStreets(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `toy_streets`.

    Example:

    ```python
    builder = ToyStreets(data_dir="data", file_format="array_record")
    builder.download_and_prepare()
    builder.as_data_source("val")[0]["image"].shape  # (192, 384, 3)
    ```
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "First version.",
        "1.1.0": "Objects; images and labels are the same.",
    }

    def _info(self):
        return self.dataset_info_from_configs(
            description=_DESCRIPTION,
            citation=_CITATION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(*SIZE, 3), encoding_format="png"
                    ),
                    "segmentation_label": tfds.features.Image(
                        shape=(*SIZE, 1), encoding_format="png"
                    ),
                    "objects": tfds.features.Sequence(
                        {
                            "bbox": tfds.features.BBoxFeature(),
                            "label": tfds.features.ClassLabel(names=OBJECTS),
                            "is_crowd": np.bool_,
                        }
                    ),
                }
            ),
            supervised_keys=("image", "segmentation_label"),
            # So that record `i` of a split is its image `i`.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split):
        _, count = SPLITS[split]
        for index in range(count):
            image, label, numbers = draw_instances(split, index)
            yield (
                index,
                {
                    "image": _png(image),
                    "segmentation_label": _png(label),
                    "objects": find_objects(label, numbers),
                },
            )
