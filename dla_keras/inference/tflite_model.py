"""Runs a `.tflite` file on pictures: masks, logits, boundaries."""

import importlib
import io
import pathlib
import zipfile

import numpy as np

from dla_keras.inference.predictor import resize_scores
from dla_keras.lite.file.facts import read_facts
from dla_keras.quiet import quiet_stderr

# Packages that run files -> what pip calls them; the first one found is used.
PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
}


class LiteModel:
    """A `.tflite` file as a function from a picture to its mask.

    `run` gives logits where the file does, `boundaries` what lies between;
    `class_names` and `palette` are what the file says of its classes, `facts`
    all that it says (`facts.py`). Logits at a coarser stride, as of
    `head="coarse_logits"`, are brought to the picture's size here.

    Args:
        source: path of the file, or its bytes.
        num_threads: Defaults to `1`.

    Raises:
        FileNotFoundError: if nothing is there.
        ImportError: without a runtime.
        ValueError: for a file that is broken or takes no RGB picture.

    Example:

    >>> model = LiteModel("model.tflite")  # doctest: +SKIP
    >>> model(np.zeros(model.input_shape[1:], np.uint8))  # doctest: +SKIP
    """

    def __init__(self, source, num_threads: int = 1):
        if isinstance(source, (str, pathlib.Path)):
            self.name = str(source)
            if not pathlib.Path(source).is_file():
                raise FileNotFoundError(f"There is no file at {source}.")
            source = pathlib.Path(source).read_bytes()
        else:
            self.name = f"{len(source)} bytes"
        with quiet_stderr():
            self._interpreter = _interpreter(source, num_threads, self.name)
        # Another exporter's file says nothing.
        self.facts = read_facts(bytes(source)) or {}
        classes = self.facts.get("classes") or ()
        # Weights end before: a file without its end would run all the same.
        if classes and not zipfile.is_zipfile(io.BytesIO(source)):
            raise ValueError(
                f"{self.name} is cut off: the labels at its end are missing. "
                "Copy or export it again."
            )
        self.class_names = tuple(c["name"] for c in classes) or None
        self.palette = tuple(tuple(c["color"]) for c in classes) or None
        self._inputs = self._interpreter.get_input_details()
        self._outputs = _named_outputs(self._interpreter)
        scores = [name for name in self._outputs if name != "boundary"]
        self._scores = self._outputs[scores[0]] if scores else None
        if len(scores) > 1 or not self._fits():
            raise ValueError(self._misfit())

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return tuple(map(int, self._inputs[0]["shape"]))

    @property
    def gives_classes(self) -> bool:
        return self._scores is not None

    @property
    def gives_mask(self) -> bool:
        return self.gives_classes and len(self._scores["shape"]) == 3

    @property
    def gives_boundaries(self) -> bool:
        return "boundary" in self._outputs

    def run(self, image: np.ndarray) -> np.ndarray:
        """What the file says about the classes in one picture.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.

        Returns:
            A uint8 mask `(H, W)`, or float32 logits `(H, W, classes)`.
        """
        return self.read_scores(self.infer(image))

    def boundaries(self, image: np.ndarray) -> np.ndarray:
        """The probability of a boundary: float32 `(H, W, 1)`.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        return self.read_boundaries(self.infer(image))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.read_mask(self.infer(image))

    # The two halves of `run`, for who measures or shows them apart.

    def infer(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name, in the numbers that the file stores.

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
        """What `run` gives, from what `infer` gave."""
        (scores,) = (v for n, v in outputs.items() if n != "boundary")
        if self.gives_mask:
            return scores
        height, width = self.input_shape[1:3]
        return resize_scores(_numbers(scores, self._scores), height, width)

    def read_mask(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """A uint8 mask `(H, W)`, likewise."""
        scores = self.read_scores(outputs)
        if self.gives_mask:
            return scores
        return np.argmax(scores, axis=-1).astype(np.uint8)

    def read_boundaries(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """What `boundaries` gives, likewise."""
        details = self._outputs["boundary"]
        return _numbers(outputs["boundary"], details)[..., None]

    def _fits(self):
        if len(self._inputs) != 1 or not self._outputs:
            return False
        shape = self._inputs[0]["shape"]
        return (
            self._inputs[0]["dtype"] == np.uint8
            and len(shape) == 4
            and (shape[0], shape[3]) == (1, 3)
            and not self._open_sides()
            and all(
                _covers(output["shape"], shape, coarser=output is self._scores)
                for output in self._outputs.values()
            )
        )

    def _open_sides(self):
        """Whether height or width is left to whoever runs the file."""
        return -1 in self._inputs[0]["shape_signature"][1:3]

    def _misfit(self):
        inputs, outputs = (
            ", ".join(f"{d['dtype'].__name__} {_signature(d)}" for d in details)
            for details in (self._inputs, self._outputs.values())
        )
        text = (
            "Expected a file that takes one uint8 RGB picture of a fixed size "
            "and gives a mask, logits or boundaries of it, as export_tflite.py "
            f"writes. Received: {self.name} from {inputs or 'nothing'} to "
            f"{outputs or 'nothing'}."
        )
        if self._inputs and self._open_sides():
            text += " Its sides are open (-1): convert it at a fixed size."
        return text


def find_package() -> str:
    """Name of the installed package that runs files.

    Raises:
        ImportError: without one.
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
    """Output -> its details, by the names of the signature if there is one."""
    if interpreter.get_signature_list():
        return interpreter.get_signature_runner().get_output_details()
    return {o["name"]: o for o in interpreter.get_output_details()}


def _covers(shape, picture, coarser):
    """Whether an output has a value for each pixel of a picture.

    Args:
        shape: of the output.
        picture: the input's shape.
        coarser: whether scores of classes may have a stride.
    """
    if len(shape) not in (3, 4) or shape[0] != 1 or min(shape) < 1:
        return False
    strides = [
        side / own for side, own in zip(picture[1:3], shape[1:3], strict=True)
    ]
    if len(shape) == 3 or not coarser:
        return strides == [1, 1]
    return strides[0] == strides[1] and strides[0].is_integer()


def _numbers(values, details):
    """Stored numbers as what they stand for."""
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    return np.float32(scale) * (values.astype(np.float32) - zero_point)


def _signature(details):
    """A shape with -1 for every open side."""
    return [int(s) for s in details.get("shape_signature", details["shape"])]


def _interpreter(data, num_threads, name):
    package = importlib.import_module(f"{find_package()}.interpreter")
    try:
        interpreter = package.Interpreter(
            model_content=bytes(data), num_threads=num_threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} is no complete .tflite file, or this runtime cannot "
            f"run it: {error}"
        ) from error
    return interpreter
