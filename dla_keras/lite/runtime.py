"""Runs a `.tflite` file on pictures: masks, logits, boundaries."""

import pathlib

import numpy as np

from dla_keras.lite.facts import read_facts
from dla_keras.quiet import quiet_stderr


class LiteModel:
    """A `.tflite` file as a function from a picture to its mask.

    `run` gives logits where the file does, `boundaries` what lies between;
    `class_names` and `palette` are what the file says of its classes.

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
        classes = (read_facts(bytes(source)) or {}).get("classes") or ()
        self.class_names = tuple(c["name"] for c in classes) or None
        self.palette = tuple(tuple(c["color"]) for c in classes) or None
        (self._input,) = self._interpreter.get_input_details()
        outputs = _named_outputs(self._interpreter)
        self._boundary = outputs.pop("boundary", None)
        self._output = next(iter(outputs.values()), None)
        if len(outputs) > 1 or not self._fits():
            raise ValueError(self._misfit())

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return tuple(map(int, self._input["shape"]))

    @property
    def gives_classes(self) -> bool:
        return self._output is not None

    @property
    def gives_mask(self) -> bool:
        return self.gives_classes and len(self._output["shape"]) == 3

    @property
    def gives_boundaries(self) -> bool:
        return self._boundary is not None

    def run(self, image: np.ndarray) -> np.ndarray:
        """What the file says about the classes in one picture.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.

        Returns:
            A uint8 mask `(H, W)`, or float32 logits `(H, W, classes)`.
        """
        self._invoke(image)
        return self._values(self._output, as_they_are=self.gives_mask)

    def boundaries(self, image: np.ndarray) -> np.ndarray:
        """The probability of a boundary: float32 `(H, W, 1)`.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.
        """
        self._invoke(image)
        return self._values(self._boundary)[..., None]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        output = self.run(image)
        if self.gives_mask:
            return output
        return np.argmax(output, axis=-1).astype(np.uint8)

    def _invoke(self, image):
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.shape != self.input_shape[1:]:
            raise ValueError(
                f"{self.name} takes a uint8 picture of shape "
                f"{self.input_shape[1:]}. Received: {image.dtype} "
                f"{image.shape}; `dla_keras.inference.fit_picture` brings "
                "pictures to a size."
            )
        self._interpreter.set_tensor(self._input["index"], image[None])
        self._interpreter.invoke()

    def _values(self, output, as_they_are=False):
        values = self._interpreter.get_tensor(output["index"])[0]
        scale, zero_point = output["quantization"]
        if as_they_are or not scale:
            return values
        return np.float32(scale) * (values.astype(np.float32) - zero_point)

    def _fits(self):
        shape = self._input["shape"]
        outputs = [o for o in (self._output, self._boundary) if o is not None]
        return (
            self._input["dtype"] == np.uint8
            and len(shape) == 4
            and (shape[0], shape[3]) == (1, 3)
            and all(
                len(output["shape"]) in (3, 4)
                and list(output["shape"][:3]) == list(shape[:3])
                for output in outputs
            )
        )

    def _misfit(self):
        outputs = self._interpreter.get_output_details()
        return (
            "Expected a file that takes one uint8 RGB picture and gives a "
            "mask, logits or boundaries of its size, as export_tflite.py "
            f"writes. Received: {self.name} from "
            f"{self._input['dtype'].__name__} {self._input['shape'].tolist()} "
            f"to {', '.join(str(o['shape'].tolist()) for o in outputs)}."
        )


def _named_outputs(interpreter):
    """Output -> its details, by the names of the signature if there is one."""
    if interpreter.get_signature_list():
        return interpreter.get_signature_runner().get_output_details()
    return {o["name"]: o for o in interpreter.get_output_details()}


def _interpreter(data, num_threads, name):
    try:
        interpreter = _interpreter_class()(
            model_content=bytes(data), num_threads=num_threads
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} is no complete .tflite file, or this runtime cannot "
            f"run it: {error}"
        ) from error
    return interpreter


def _interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    except ImportError:
        pass
    try:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter
    except ImportError:
        raise ImportError(
            "Running a .tflite file needs a runtime: `pip install "
            "ai-edge-litert` (or tflite-runtime)."
        ) from None
