"""Runs a `.tflite` file on pictures: masks, boundaries, classes, boxes."""

import importlib
import io
import pathlib
import zipfile

import numpy as np

from dla_keras.data.fitting import read_fit
from dla_keras.inference.model_checks import check_file
from dla_keras.inference.model_checks import check_length
from dla_keras.inference.model_checks import is_sealed
from dla_keras.inference.model_checks import try_apart
from dla_keras.inference.predictor import decode_maps
from dla_keras.inference.predictor import located_boxes
from dla_keras.inference.predictor import resize_scores
from dla_keras.inference.tflite_facts import BOXES
from dla_keras.inference.tflite_facts import MAPS
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.quiet import quiet_stderr

_NO_SCORES = ("boundary", *BOXES, *MAPS)  # of classes in pixels or images

# Packages that run files -> what pip calls them; the first one found is used.
PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
}


class LiteModel:
    """A `.tflite` file as a function from a picture to its mask.

    `run` gives logits where the file does, and a classifier's probabilities;
    `boundaries` what lies between classes; `boxes` gives objects. Logits at a
    coarser stride, as of `head="coarse_logits"`, are brought to the picture's
    size here.

    Args:
        source: Path of the file, or its bytes.
        threads: Threads of the runtime. Defaults to `1`.

    Attributes:
        tasks: Names of the tasks that its outputs are for, for instance
            `("segmentation", "boundary")`.
        facts: All that the file says of itself (`tflite_facts.py`).
        fit: Rule by which pictures are brought to the file's size.
        class_names: Names of the classes; `None` if the file says none.
        palette: RGB color of each class; `None` if the file says none.

    Raises:
        FileNotFoundError: If nothing is there.
        ImportError: If no runtime is installed.
        ValueError: If the file is broken or takes no RGB picture.

    Example:

    >>> model = LiteModel("model.tflite")  # doctest: +SKIP
    >>> model(np.zeros(model.input_shape[1:], np.uint8))  # doctest: +SKIP
    """

    def __init__(self, source, threads: int = 1):
        from_disk = isinstance(source, (str, pathlib.Path))
        if from_disk:
            self.name = str(source)
            if not pathlib.Path(source).is_file():
                raise FileNotFoundError(f"There is no file at {source}.")
            check_length(source)
            data = pathlib.Path(source).read_bytes()
        else:
            self.name = f"{len(source)} bytes"
            data = bytes(source)
        # Another exporter's file says nothing.
        self.facts = self._looked_at(data, from_disk) or {}
        with quiet_stderr():
            self._interpreter = _interpreter(data, threads, self.name)
        classes = self.facts.get("classes") or ()
        self.class_names = tuple(c["name"] for c in classes) or None
        self._check_labels(data)
        colors = tuple(tuple(c["color"]) for c in classes if "color" in c)
        self.palette = colors or None
        self._inputs = self._interpreter.get_input_details()
        self._outputs = _named_outputs(self._interpreter)
        scores = [n for n in self._outputs if n not in _NO_SCORES]
        self._scores = self._outputs[scores[0]] if scores else None
        if len(scores) > 1 or not self._fits():
            raise ValueError(self._misfit())
        self.tasks = self._find_tasks()

    def _check_labels(self, data):
        """Raise `ValueError` unless the names at the file's end are the facts'.

        Weights end before: a file without its end would run all the same.
        """
        if self.class_names is None:
            return
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                labels = archive.read("labels.txt").decode()
        except (
            zipfile.BadZipFile,
            KeyError,
            ValueError,
            RuntimeError,
        ) as error:
            raise ValueError(
                f"{self.name} is cut off: the labels at its end are missing. "
                "Copy or export it again."
            ) from error
        if labels != "\n".join(self.class_names) + "\n":
            raise ValueError(
                f"{self.name}: its facts name other classes than its labels: "
                f"{', '.join(self.class_names[:5])}, ... Export it again."
            )

    def _looked_at(self, data, from_disk):
        """Return the facts of a file that a runtime may be given."""
        try:
            check_file(data)
            facts = read_facts(data)
            known = is_sealed(data, (facts or {}).get("digest"))
            self.fit = read_fit((facts or {}).get("input", {}))
            # Bytes in memory are those of a file that is being made.
            if from_disk and not known:
                try_apart(data, find_package())
            return facts
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return tuple(map(int, self._inputs[0]["shape"]))

    @property
    def num_classes(self) -> int | None:
        """Return the number of classes; `None` for a mask that says none."""
        scores = self._outputs.get("heat", self._scores)
        if self.class_names or scores is None or self.gives_mask:
            return self.class_names and len(self.class_names)
        return int(scores["shape"][-1])

    @property
    def gives_mask(self) -> bool:
        return self._scores is not None and len(self._scores["shape"]) == 3

    @property
    def gives_maps(self) -> bool:
        return "heat" in self._outputs

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return what the file says about the classes in one picture.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.

        Returns:
            A uint8 mask `(H, W)`, or float32 logits `(H, W, num_classes)`; a
            classifier's probabilities, float32 `(num_classes,)`.
        """
        return self.read_scores(self.infer(image))

    def boundaries(self, image: np.ndarray) -> np.ndarray:
        """Return the probability of a boundary: float32 `(H, W, 1)`.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        return self.read_boundaries(self.infer(image))

    def boxes(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return boxes in the image's pixels, their classes and scores.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        return self.read_boxes(self.infer(image))

    def maps(self, image: np.ndarray) -> np.ndarray:
        """Return a detector's maps, float32 `(h, w, num_classes + 4)`.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        return self.read_maps(self.infer(image))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.read_mask(self.infer(image))

    # Inference and what is read from it, apart: a benchmark times each.

    def infer(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name, in the numbers that the file stores.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.shape != self.input_shape[1:]:
            raise ValueError(
                f"{self.name} takes a uint8 picture of shape "
                f"{self.input_shape[1:]}. Received: {image.dtype} "
                f"{image.shape}; `dla_keras.inference.predictor.fit_picture` "
                "brings pictures to a size."
            )
        self._interpreter.set_tensor(self._inputs[0]["index"], image[None])
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(output["index"])[0]
            for name, output in self._outputs.items()
        }

    def read_scores(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return what `run` gives, from what `infer` gave."""
        (scores,) = (v for n, v in outputs.items() if n not in _NO_SCORES)
        if self.gives_mask:
            return scores
        numbers = _numbers(scores, self._scores)
        if "classification" in self.tasks:
            return numbers
        return resize_scores(numbers, *self.input_shape[1:3])

    def read_mask(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return a uint8 mask `(H, W)`, from what `infer` gave."""
        scores = self.read_scores(outputs)
        if self.gives_mask:
            return scores
        return np.argmax(scores, axis=-1).astype(np.uint8)

    def read_boundaries(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return what `boundaries` gives, from what `infer` gave."""
        details = self._outputs["boundary"]
        return _numbers(outputs["boundary"], details)[..., None]

    def read_maps(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return what `maps` gives, from what `infer` gave."""
        maps = [_numbers(outputs[n], self._outputs[n]) for n in MAPS]
        return np.concatenate(maps, axis=-1)

    def read_boxes(
        self, outputs: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """Return what `boxes` gives, from what `infer` gave."""
        size = self.input_shape[1:3]
        if self.gives_maps:
            stride = size[0] // outputs["heat"].shape[0]
            return decode_maps(self.read_maps(outputs), stride)
        return located_boxes(outputs, size)

    def _find_tasks(self):
        tasks = []
        if self._scores is not None:
            of_pixels = len(self._scores["shape"]) > 2
            tasks.append("segmentation" if of_pixels else "classification")
        if "boundary" in self._outputs:
            tasks.append("boundary")
        if self.gives_maps or "location" in self._outputs:
            tasks.append("detection")
        return tuple(tasks)

    def _fits(self):
        if len(self._inputs) != 1 or not self._outputs:
            return False
        shape = self._inputs[0]["shape"]
        return (
            self._inputs[0]["dtype"] == np.uint8
            and len(shape) == 4
            and (shape[0], shape[3]) == (1, 3)
            and not self._open_sides()
            and self._boxes_fit()
            and all(
                _covers(output["shape"], shape, coarser=output is self._scores)
                for name, output in self._outputs.items()
                if name not in (*BOXES, *MAPS)
            )
        )

    def _boxes_fit(self):
        """Return whether the outputs of a detector are whole, or none."""
        for names in (BOXES, MAPS):
            if not set(names) & set(self._outputs):
                continue
            if not set(names) <= set(self._outputs):
                return False
            found = [tuple(self._outputs[n]["shape"]) for n in names]
            if names == BOXES:
                count = found[2][-1]
                return found == [(1, count, 4), *[(1, count)] * 2, (1,)]
            sides = found[0][1:3]
            picture = self._inputs[0]["shape"]
            return found[1:] == [(1, *sides, 2)] * 2 and _covers(
                found[0], picture, coarser=True
            )
        return True

    def _open_sides(self):
        """Return whether a side is left to whoever runs the file."""
        return -1 in self._inputs[0]["shape_signature"][1:3]

    def _misfit(self):
        inputs, outputs = (
            ", ".join(f"{d['dtype'].__name__} {_signature(d)}" for d in details)
            for details in (self._inputs, self._outputs.values())
        )
        text = (
            "Expected a file that takes one uint8 RGB picture of a fixed size "
            "and gives a mask, logits, boundaries or boxes of it, or "
            f"probabilities of its class. Received: {self.name} from "
            f"{inputs or 'nothing'} to {outputs or 'nothing'}."
        )
        if self._inputs and self._open_sides():
            text += " Its sides are open (-1): convert it at a fixed size."
        return text


def find_package() -> str:
    """Return the name of the installed package that runs files.

    Raises:
        ImportError: If there is none.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(f"{package}.interpreter")
            return package
        except ImportError:
            pass
    raise ImportError(
        "Running a .tflite file needs a runtime: `pip install "
        f"{' (or '.join(PACKAGES.values())})`."
    )


def _named_outputs(interpreter):
    """Map outputs to their details, by the signature's names if it has one."""
    if interpreter.get_signature_list():
        return interpreter.get_signature_runner().get_output_details()
    return {o["name"]: o for o in interpreter.get_output_details()}


def _covers(shape, picture, coarser):
    """Return whether an output has values for a picture or for its pixels.

    Args:
        shape: Shape of the output.
        picture: Shape of the input.
        coarser: Whether scores of classes may have a stride, or be one for
            the whole picture.
    """
    if len(shape) == 2 and coarser:
        return shape[0] == 1 and shape[1] >= 1
    if len(shape) not in (3, 4) or shape[0] != 1 or min(shape) < 1:
        return False
    strides = [
        side / own for side, own in zip(picture[1:3], shape[1:3], strict=True)
    ]
    if len(shape) == 3 or not coarser:
        return strides == [1, 1]
    return strides[0] == strides[1] and strides[0].is_integer()


def _numbers(values, details):
    """Return what stored numbers stand for."""
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    return np.float32(scale) * (values.astype(np.float32) - zero_point)


def _signature(details):
    """Return a shape with -1 for every open side."""
    return [int(s) for s in details.get("shape_signature", details["shape"])]


def _interpreter(data, threads, name):
    package = importlib.import_module(f"{find_package()}.interpreter")
    try:
        interpreter = package.Interpreter(
            model_content=bytes(data), num_threads=threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} is no complete .tflite file, or this runtime cannot "
            f"run it: {error}"
        ) from error
    return interpreter
