"""Opens a model file of any kind: `.keras`, SavedModel or `.tflite`.

All become the same `ModelFile`, so that one evaluation serves all three.
"""

import pathlib
import zipfile
from dataclasses import dataclass
from dataclasses import replace

import numpy as np

from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.predictor import model_probabilities
from dla_keras.inference.predictor import softmax


@dataclass(frozen=True)
class ModelFile:
    """A segmentation model, whichever kind of file it comes from.

    Args:
        masks: gives masks.
        probabilities: gives probabilities; `None` where the file holds
            nothing but masks.
        class_names: what the file itself says. Defaults to `None`.
        palette: likewise, an RGB colour per class. Defaults to `None`.
    """

    masks: Predictor
    probabilities: Predictor | None
    class_names: tuple[str, ...] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None


def open_model(path, num_threads: int = 2) -> ModelFile:
    """Opens a model file of any kind.

    Args:
        path: a `.keras` file, a SavedModel's folder or a `.tflite` file.
        num_threads: for `.tflite` files. Defaults to `2`.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a file of another kind.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    if path.suffix == ".tflite":
        return _open_tflite(path, num_threads)
    if path.suffix == ".keras":
        model = load_segmenter(path)
        size = _fixed(model.image_shape[:2])
        return ModelFile(
            replace(model_predictor(model), size=size),
            replace(model_probabilities(model), size=size),
            model.class_names,
            model.palette,
        )
    if (path / "saved_model.pb").exists():
        return _open_saved_model(path)
    raise ValueError(
        "Expected a .keras file, a .tflite file or a SavedModel's folder. "
        f"Received: {path}."
    )


def open_boundaries(path, num_threads: int = 2) -> Predictor:
    """A predictor of boundaries' probabilities around a model file.

    Args:
        path: a `.keras` or a `.tflite` file.
        num_threads: for `.tflite` files. Defaults to `2`.

    Returns:
        uint8 `(h, w, 3)` -> float32 `(h, w, 1)`.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a file of another kind, or without boundaries.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        model = load_boundary_model(path)
        size = _fixed(model.image_shape[:2])
        return replace(boundary_predictor(model), size=size)
    from dla_keras.inference.tflite_model import LiteModel

    model = LiteModel(path, num_threads)
    if "boundary" not in model.tasks:
        raise ValueError(f"{path} finds no boundaries, only classes.")
    return Predictor(model.boundaries, tuple(model.input_shape[1:3]))


def load_predictor(path, num_threads: int = 2) -> Predictor:
    """A predictor of masks around a model file; see `open_model`."""
    return open_model(path, num_threads).masks


def load_segmenter(path):
    """The `DLASegmenter` of a `.keras` file.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a broken file, or another kind of model.
    """
    from dla_keras.models.segmenter import DLASegmenter

    return _load_keras(path, DLASegmenter)


def load_dense_model(path):
    """The `DLASegmenter` or `DLABoundaryDetector` of a `.keras` file.

    Raises: as `load_segmenter`.
    """
    from dla_keras.models.boundary_detector import DLABoundaryDetector
    from dla_keras.models.segmenter import DLASegmenter

    return _load_keras(path, (DLABoundaryDetector, DLASegmenter))


def load_boundary_model(path):
    """The model that finds boundaries, of a `.keras` file.

    Raises: as `load_segmenter`, and for a segmenter without a boundary head.
    """
    model = load_dense_model(path)
    if not getattr(model, "boundary_head", True):
        raise ValueError(
            f"The DLASegmenter in {path} has no boundary head: train one with "
            "--boundary-weight 1, or a DLABoundaryDetector."
        )
    return model


def _load_keras(path, kinds):
    import keras

    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    _check_keras_file(pathlib.Path(path))
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a .keras model: {error}"
        ) from error
    if not isinstance(model, kinds):
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        raise ValueError(
            f"Expected a {' or '.join(kind.__name__ for kind in kinds)}. "
            f"Received: {type(model).__name__} in {path}."
        )
    return model


def _check_keras_file(path):
    """Says what Keras' own errors do not."""
    if path.is_dir() or path.suffix == ".tflite":
        raise ValueError(
            f"Expected a .keras file. Received: {path}, which is exported "
            "already: pass the .keras file that it came from."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} cannot be read as a .keras model: it is another kind of "
            "file, or cut off. Copy it again, or take an earlier one of its "
            "run."
        )


def _open_tflite(path, num_threads):
    from dla_keras.inference.tflite_model import LiteModel

    model = LiteModel(path, num_threads)
    if "segmentation" not in model.tasks:
        raise ValueError(
            f"{path} finds boundaries, no classes: pass --task boundary."
        )
    size = tuple(model.input_shape[1:3])
    probabilities = None
    if not model.gives_mask:
        probabilities = Predictor(lambda image: softmax(model.run(image)), size)
    return ModelFile(
        Predictor(model, size), probabilities, model.class_names, model.palette
    )


def _open_saved_model(path):
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # several of TensorFlow's, with its traces
        raise ValueError(
            f"{path} cannot be read as a SavedModel; it may be incomplete. "
            f"TensorFlow: {str(error).splitlines()[0]}"
        ) from error
    serve = loaded.signatures.get("serving_default")
    inputs = serve.structured_input_signature[1] if serve else {}
    outputs = serve.structured_outputs if serve else {}
    _check_signature(path, inputs, outputs)
    ((name, spec),) = inputs.items()
    size = _fixed(spec.shape[1:3].as_list())

    def run(image, output):
        picture = tf.cast(image[None], spec.dtype)
        return serve(**{name: picture})[output][0].numpy()

    # `loaded` must outlive its signature.
    run.model = loaded
    masks = Predictor(lambda image: run(image, "mask").astype(np.uint8), size)
    probabilities = None
    if "logits" in outputs:
        probabilities = Predictor(
            lambda image: softmax(run(image, "logits")), size
        )
    return ModelFile(masks, probabilities)


def _check_signature(path, inputs, outputs):
    ranks = [spec.shape.rank for spec in inputs.values()]
    mask = outputs.get("mask")
    if ranks != [4] or mask is None or mask.shape.rank != 3:
        inputs, outputs = (
            ", ".join(f"{n} {s.shape}" for n, s in specs.items()) or "nothing"
            for specs in (inputs, outputs)
        )
        raise ValueError(
            f"Expected a SavedModel that takes pictures (N, H, W, 3) and gives "
            f"`mask` (N, H, W), as export_saved_model.py writes. Received: "
            f"{path}, whose `serving_default` takes {inputs} and gives "
            f"{outputs}."
        )


def _fixed(size):
    """Height and width where both are given, otherwise `None`."""
    return None if None in size else tuple(size)
