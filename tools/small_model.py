"""A small `.tflite` file without training, and pictures: what both demos show.

Nothing is trained: the last layer of a random network is solved for, within a
minute. Such a model finds sky and road and little else.
"""

import itertools
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.toy_streets import SIZE
from dla_keras.data.toy_streets import draw_picture
from dla_keras.files import atomic_path
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.quiet import quiet_stderr

PRECISIONS = ("float32", "int8")
LOOKED_AT = 24  # val pictures that samples are taken of
SMALL_MODEL_PICTURES = 24  # solved on these, calibrated on the first 8


def solved_model(pictures, labels, ignore_label: int = 255):
    """Return a random DLA-46-C whose last layer is a ridge regression.

    No gradient step: batch norms take one batch's statistics. Blocks add
    little to their shortcuts, as in a trained network: in a purely random one
    any rounding grows from layer to layer.

    Args:
        pictures: uint8 `(n, h, w, 3)` of `toy_streets`.
        labels: uint8 `(n, h, w)`.
        ignore_label: Label of pixels to leave out. Defaults to `255`.

    Returns:
        A `DLASegmenter` of `toy_streets`' classes.
    """
    import keras

    from dla_keras import DLASegmenter

    keras.utils.set_random_seed(3)
    facts = DATASETS["toy_streets"]
    model = DLASegmenter(
        "dla46_c",
        len(facts.class_names),
        class_names=facts.class_names,
        palette=facts.palette,
    )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if "conv3" in layer.name:  # the end of a block
                layer.gamma.assign(0.1 * layer.gamma)
    model(pictures[:8], training=True)
    features = keras.Model(model.input, model.fc.input)
    x = np.concatenate([features(p[None], training=False) for p in pictures])
    x = x.reshape(-1, x.shape[-1])  # (n * h/4 * w/4, features)
    classes = labels[:, 2::4, 2::4].ravel()
    x, classes = x[classes != ignore_label], classes[classes != ignore_label]
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = 10 * np.eye(model.num_classes)[classes]
    ridge = 1e-3 * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    model.fc.set_weights([weights[None, None, :-1], weights[-1]])
    return model


def small_model_files(sizes=(SIZE,)) -> dict[tuple, bytes]:
    """Untrained `.tflite` files that hold their facts.

    Args:
        sizes: heights and widths, multiples of 32. Defaults to that of
            `toy_streets`.

    Returns:
        (precision, size) -> bytes.
    """
    from dla_keras.lite.convert.pipeline import export_tflite

    drawn = [draw_picture("train", i) for i in range(SMALL_MODEL_PICTURES)]
    pictures, labels = map(np.stack, zip(*drawn, strict=True))
    with quiet_stderr():
        model = solved_model(pictures, labels)
    files = {}
    for precision, size in itertools.product(PRECISIONS, sizes):
        made = export_tflite(
            model, None, precision, size, calibration=pictures[:8]
        )
        files[precision, size] = made.data
    return files


def typical_pictures(data: bytes, count: int) -> list[int]:
    """Return which of `toy_streets`' val pictures show a file as it is.

    They are those in the middle of its share of right pixels: neither its
    best nor its worst. Of a file without masks they are the first.

    Args:
        data: Bytes of the `.tflite` file.
        count: Number of pictures.
    """
    model = LiteModel(data)
    if "segmentation" not in model.tasks:
        return [*range(count)]
    predictor = Predictor(model, model.input_shape[1:3], model.fit)
    shares = []
    for index in range(LOOKED_AT):
        image, label = draw_picture("val", index)
        known = label != IGNORE_LABEL
        shares.append(np.mean(predictor(image)[known] == label[known]))
    first = (LOOKED_AT - count) // 2
    return sorted(map(int, np.argsort(shares)[first : first + count]))


def draw_samples(folder: pathlib.Path, indices: Iterable[int]) -> None:
    """Draw pictures of `toy_streets`' val split as `street-1.png` and so on.

    Args:
        folder: Folder of the files.
        indices: Places of the pictures in the split.
    """
    for number, index in enumerate(indices, 1):
        image, _ = draw_picture("val", index)
        with atomic_path(folder / f"street-{number}.png") as temporary:
            Image.fromarray(image).save(temporary)
