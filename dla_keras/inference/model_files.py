"""Opens a model file of any kind: `.keras`, SavedModel or `.tflite`.

All become the same `ModelFile`, so that one evaluation serves all three.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

import numpy as np

from dla_keras.choices import check_number
from dla_keras.choices import parse_size
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import fit_of
from dla_keras.data.fitting import read_fit
from dla_keras.files import check_regular
from dla_keras.inference.model_checks import check_saved_model
from dla_keras.inference.predictor import BoxPredictor
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import box_predictor
from dla_keras.inference.predictor import located_boxes
from dla_keras.inference.predictor import log_probabilities
from dla_keras.inference.predictor import model_logits
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.predictor import model_probabilities
from dla_keras.inference.predictor import softmax
from dla_keras.inference.tflite_facts import MAX_CLASSES
from dla_keras.inference.tflite_facts import OUTPUTS
from dla_keras.inference.tflite_facts import SAVED_RULES
from dla_keras.inference.tflite_facts import check_rules
from dla_keras.models.classes import KnownClasses
from dla_keras.provenance import read_beside
from dla_keras.variants import shipped_path

# The crop of a classifier whose file and run say none.
CROP_SIZE = (224, 224)
CROP_FRACTION = 0.875


@dataclass(frozen=True)
class ModelFile:
    """A model, whichever kind of file it comes from.

    Args:
        name: Path of the file, for messages.
        tasks: Names of the tasks that it is for, in the order of its outputs.
        size: Height and width that it takes; `None` for any.
        fit: Rule of what a picture's own size becomes. Defaults to `PAD`.
        masks: Predictor of masks, where it is for segmentation.
        probabilities: Predictor of class probabilities; `None` where the file
            holds nothing but masks.
        boundaries: Predictor of boundaries' probabilities, where it is for
            them.
        boxes: Predictor of boxes, where it is for detection.
        logits: Function from uint8 pictures `(n, h, w, 3)` to logits
            `(n, classes)`, where it is for classification.
        num_classes: Number of classes that it tells apart. Defaults to
            `None`: none, or not known.
        class_names: Names that the file holds. Defaults to `None`.
        palette: RGB color per class that it holds. Defaults to `None`.
        settings: `size` and `crop_fraction` of a classifier's crops, by the
            file or else its run. Defaults to nothing.
        model: The Keras model, where the file holds one. Defaults to `None`.
    """

    name: str
    tasks: tuple[str, ...]
    size: tuple[int, int] | None = None
    fit: Fit = PAD
    masks: Predictor | None = None
    probabilities: Predictor | None = None
    boundaries: Predictor | None = None
    boxes: BoxPredictor | None = None
    logits: Callable[[np.ndarray], np.ndarray] | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    palette: tuple[tuple[int, int, int], ...] | None = None
    settings: dict = field(default_factory=dict)
    model: object = None

    @property
    def classes(self) -> KnownClasses:
        """Return its classes, to be compared with those of data."""
        return KnownClasses(self.name, self.class_names, self.num_classes)

    @property
    def crop_size(self) -> tuple[int, int]:
        """Return the height and width of a classifier's crop."""
        size = self.settings.get("size")
        run = parse_size(size) if isinstance(size, str) else CROP_SIZE
        return self.size or run

    @property
    def crop_fraction(self) -> float:
        """Return the share of an image's shorter side in that crop."""
        return self.settings.get("crop_fraction", CROP_FRACTION)

    def at(self, fit: Fit, size: tuple[int, int] | None = None) -> "ModelFile":
        """Return the same model for pictures that are fitted by another rule.

        Args:
            fit: Rule of what a picture's own size becomes.
            size: Only size that it is to take. Defaults to `None`: its own.

        Raises:
            ValueError: If the file takes one size only, and has its own rule.
        """
        size = size or self.size
        if (fit, size) == (self.fit, self.size):
            return self
        if self.size or "classification" in self.tasks:
            raise ValueError(
                f"--max-side and --resize are for models that take any size: "
                f"{self.name} brings pictures to its own. Leave them out, or "
                "export another file."
            )
        kinds = ("masks", "probabilities", "boundaries", "boxes")
        found = {kind: getattr(self, kind) for kind in kinds}
        fitted = {
            kind: predict and replace(predict, fit=fit, size=size)
            for kind, predict in found.items()
        }
        return replace(self, fit=fit, size=size, **fitted)


def open_model(path, threads: int = 2) -> ModelFile:
    """Return a model file of any kind, opened.

    Args:
        path: Path of a `.keras` file, a SavedModel's folder or a `.tflite`
            file; or a name in `dla_keras.SHIPPED_MODELS`.
        threads: Number of threads of `.tflite` files. Defaults to `2`.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If the file is of another kind.
    """
    check_number("threads", threads)
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise ValueError(
            f"`path` is the path of a model's file. Received: {path!r}."
        )
    path = shipped_path(path)
    opened = _open(path, threads)
    if opened.num_classes == 1 and "detection" not in opened.tasks:
        raise ValueError(
            f"Expected a model of two classes or more. Received: {path}, which "
            "scores one alone, so that its mask is the same everywhere; export "
            "it with its background as a class."
        )
    if (
        "segmentation" in opened.tasks
        and (opened.num_classes or 0) > MAX_CLASSES
    ):
        raise ValueError(
            f"Expected a model of at most {MAX_CLASSES} classes, as many as a "
            f"mask of bytes can number. Received: {path} with "
            f"{opened.num_classes}."
        )
    if "classification" not in opened.tasks:
        return opened
    # The file's own word comes first.
    settings = {**_crop_settings(read_beside(path)), **opened.settings}
    return replace(opened, settings=settings)


def _open(path, threads):
    if not path.exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    if path.suffix == ".tflite":
        return _open_tflite(path, threads)
    if path.suffix == ".keras":
        return describe_model(load_model(path), str(path))
    if (path / "saved_model.pb").exists():
        return _open_saved_model(path)
    inside = path / "model.keras"
    raise ValueError(
        "Expected a .keras file, a .tflite file or a SavedModel's folder. "
        f"Received: {path}" + (f"; pass {inside}." if inside.exists() else ".")
    )


def _crop_settings(said):
    names = ("size", "crop_fraction")
    return {name: said[name] for name in names if name in said}


def describe_model(model, name: str) -> ModelFile:
    """Return a model in memory as if it came from a file.

    Args:
        model: Model of this package.
        name: Name for messages.

    Raises:
        ValueError: If the model is for no task.
    """
    check_tasks(model, name)
    size = _fixed(model.image_shape[:2])
    fit = fit_of(model.working_size)
    at_size = lambda make: replace(make(model, fit), size=size)
    found = {}
    if "segmentation" in model.tasks:
        found["masks"] = at_size(model_predictor)
        found["probabilities"] = at_size(model_probabilities)
    if "boundary" in model.tasks:
        found["boundaries"] = at_size(boundary_predictor)
    if "detection" in model.tasks:
        found["boxes"] = at_size(box_predictor)
    if "classification" in model.tasks:
        found["logits"] = model_logits(model)
    return ModelFile(
        name,
        model.tasks,
        size,
        fit,
        num_classes=model.num_classes,
        class_names=model.class_names,
        palette=model.palette,
        model=model,
        **found,
    )


def check_tasks(model, name: str) -> None:
    """Raise `ValueError` for a model of no task: the one place that looks.

    Args:
        model: Anything.
        name: Where it comes from, for the message.
    """
    if not getattr(model, "tasks", ()):
        raise ValueError(
            "Expected a DLASegmenter, a DLABoundaryDetector, a DLADetector or "
            f"a DLAClassifier with its top. Received: {type(model).__name__} "
            f"({name})."
        )


def load_segmenter(path):
    """Return the `DLASegmenter` of a `.keras` file.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If the file is broken, or another kind of model.
    """
    from dla_keras.models.segmenter import DLASegmenter

    return _load_keras(path, DLASegmenter)


def load_model(path):
    """Return the model of a `.keras` file, whatever its task.

    Raises:
        FileNotFoundError: If nothing is there.
        ValueError: If the file is broken, or holds a model without a task.
    """
    model = _load_keras(path)
    check_tasks(model, str(path))
    return model


def _load_keras(path, kind=None):
    import keras

    import dla_keras.models  # noqa: F401  Keras finds its classes by name
    from dla_keras.models.network import check_values

    path = shipped_path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    _check_keras_file(path)
    try:
        with warnings.catch_warnings():  # on what the error says, too
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, compile=False)
    except Exception as error:
        reason = short_reason(error)
        raise ValueError(
            f"{path} cannot be read as a .keras model: {reason}"
        ) from error
    if kind and not isinstance(model, kind):
        raise ValueError(
            f"Expected a {kind.__name__}. Received: {type(model).__name__} in "
            f"{path}."
        )
    try:
        check_values(model)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged, or its training diverged: {error} Take an "
            "earlier file of its run."
        ) from error
    return model


def short_reason(error: Exception) -> str:
    """Return why Keras could not read a file, without the file's config.

    Example:

    >>> short_reason(TypeError("It has no `x`.\\n\\nconfig={}\\n"))
    'It has no `x`.'
    """
    text = str(error)
    inner = re.search(r"Exception encountered: (.*)", text)
    lines = (inner[1] if inner else text).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _check_keras_file(path):
    """Say what Keras' own errors do not."""
    if path.is_dir() or path.suffix == ".tflite":
        raise ValueError(
            f"Expected a .keras file. Received: {path}, which is exported "
            "already: pass the .keras file that it came from."
        )
    if not zipfile.is_zipfile(check_regular(path)):
        raise ValueError(
            f"{path} cannot be read as a .keras model: it is another kind of "
            "file, or cut off. Copy it again, or take an earlier one of its "
            "run."
        )


def _open_tflite(path, threads):
    from dla_keras.inference.tflite_model import LiteModel

    return describe_lite(LiteModel(path, threads))


def describe_lite(model) -> ModelFile:
    """Return a `LiteModel` as an opened file."""
    size, fit = tuple(model.input_shape[1:3]), model.fit
    found = {}
    if "segmentation" in model.tasks:
        found["masks"] = Predictor(model, size, fit)
    if "segmentation" in model.tasks and not model.gives_mask:
        run = lambda image: softmax(model.run(image))
        found["probabilities"] = Predictor(run, size, fit)
    if "boundary" in model.tasks:
        found["boundaries"] = Predictor(model.boundaries, size, fit)
    if "detection" in model.tasks:
        find = _as_it_is(model.boxes, model.name)
        found["boxes"] = BoxPredictor(find, size, fit)
    if "classification" in model.tasks:
        found["logits"] = lambda images: log_probabilities(
            np.stack([model.run(image) for image in images])
        )
    return ModelFile(
        model.name,
        model.tasks,
        size,
        fit,
        num_classes=model.num_classes,
        class_names=model.class_names,
        palette=model.palette,
        settings=_crop_settings(model.facts.get("input", {})),
        **found,
    )


def _as_it_is(find, name):
    """Return a function of an image, which its mirror image is no part of."""

    def run(image, flip):
        if flip:
            raise ValueError(
                f"--flip needs the .keras file: {name} finds boxes in one "
                "image at a time. Leave --flip out."
            )
        return find(image)

    return run


def _open_saved_model(path):
    import tensorflow as tf

    check_saved_model(path)
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
    facts = path / SAVED_FACTS
    said, fit = _saved_facts(facts)

    def run_all(image):
        picture = tf.cast(image[None], spec.dtype)
        given = serve(**{name: picture})
        return {output: given[output][0].numpy() for output in given}

    def run(image, output):
        return run_all(image)[output]

    # `loaded` must outlive its signature.
    run_all.model = loaded
    found = {}
    if "mask" in outputs:
        mask = lambda image: run(image, "mask").astype(np.uint8)
        found["masks"] = Predictor(mask, size, fit)
    if "logits" in outputs:
        logits = lambda image: softmax(run(image, "logits"))
        found["probabilities"] = Predictor(logits, size, fit)
    if "boundary" in outputs:
        edges = lambda image: run(image, "boundary")[..., None]
        found["boundaries"] = Predictor(edges, size, fit)
    if "location" in outputs:
        find = lambda image: located_boxes(run_all(image), image.shape[:2])
        find = _as_it_is(find, str(path))
        found["boxes"] = BoxPredictor(find, size, fit)
    if "probabilities" in outputs:
        found["logits"] = lambda images: log_probabilities(
            np.stack([run(image, "probabilities") for image in images])
        )
    tasks = [row.task for n, row in WRITTEN.items() if n in outputs]
    tasks = tuple(dict.fromkeys(tasks))
    scores = {"logits", "probabilities", "heat"} & outputs.keys()
    count = outputs[scores.pop()].shape[-1] if scores else None
    return ModelFile(
        str(path),
        tasks,
        size,
        fit,
        num_classes=count,
        **found,
        **_saved_classes(said, count, facts),
    )


# Beside a SavedModel's graph, where the format keeps what is others'.
SAVED_FACTS = "assets.extra/dla_keras.json"


def _saved_facts(path):
    """Return what a SavedModel says of itself, and its rule of fitting."""
    said = read_beside(path, path.name)
    try:
        check_rules(said, SAVED_RULES)
        return said, read_fit(said.get("input") or {})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _saved_classes(said, count, path):
    """Return what a SavedModel says of its classes."""
    for key in ("names", "palette"):
        if said.get(key) and count not in (None, len(said[key])):
            raise ValueError(
                f"Expected {key} of {count} classes, as many as the model has. "
                f"Received: {len(said[key])} in {path}; export it again."
            )
    names, palette = said.get("names"), said.get("palette")
    return {
        "class_names": names and tuple(names),
        "palette": palette and tuple(map(tuple, palette)),
    }


# Logits alone are not enough: a SavedModel has the mask beside them.
WRITTEN = {name: row for name, row in OUTPUTS.items() if name != "logits"}


def _check_signature(path, inputs, outputs):
    taken = [spec.shape.rank for spec in inputs.values()]
    given = {
        name: outputs[name].shape.rank == row.rank
        for name, row in WRITTEN.items()
        if name in outputs
    }
    if taken != [4] or not given or not all(given.values()):
        inputs, outputs = (
            ", ".join(f"{n} {s.shape}" for n, s in specs.items()) or "nothing"
            for specs in (inputs, outputs)
        )
        raise ValueError(
            f"Expected a SavedModel that takes pictures (N, H, W, 3) and gives "
            "`mask` (N, H, W), `boundary`, `probabilities` or boxes, as "
            f"export-saved-model writes. Received: {path}, whose "
            f"`serving_default` takes {inputs} and gives {outputs}."
        )


def _fixed(size):
    """Return height and width where both are given, otherwise `None`."""
    return None if None in size else tuple(size)
