"""Runs a `.tflite` segmentation file on pictures."""

import pathlib

import numpy as np

from dla_keras.quiet import quiet_stderr


class LiteModel:
    """A `.tflite` file as a function from a picture to its mask.

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
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self._check()

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return tuple(map(int, self._input["shape"]))

    @property
    def gives_mask(self) -> bool:
        return len(self._output["shape"]) == 3

    def run(self, image: np.ndarray) -> np.ndarray:
        """What the file gives for one picture.

        Args:
            image: uint8 `(H, W, 3)`, of the file's size.

        Returns:
            A uint8 mask `(H, W)`, or float32 logits `(H, W, classes)`.
        """
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
        output = self._interpreter.get_tensor(self._output["index"])[0]
        scale, zero_point = self._output["quantization"]
        if self.gives_mask or not scale:
            return output
        return np.float32(scale) * (output.astype(np.float32) - zero_point)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        output = self.run(image)
        if self.gives_mask:
            return output
        return np.argmax(output, axis=-1).astype(np.uint8)

    def _check(self):
        shape, output = self._input["shape"], self._output["shape"]
        fits = (
            self._input["dtype"] == np.uint8
            and len(shape) == 4
            and (shape[0], shape[3]) == (1, 3)
            and len(output) in (3, 4)
            and list(output[:3]) == list(shape[:3])
        )
        if not fits:
            raise ValueError(
                "Expected a file that takes one uint8 RGB picture and gives "
                "a mask or logits of its size, as export_tflite.py writes. "
                f"Received: {self.name} from {self._input['dtype'].__name__} "
                f"{shape.tolist()} to {output.tolist()}."
            )


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
