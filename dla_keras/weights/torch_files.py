"""Reads and writes PyTorch's weight files as NumPy arrays by name.

`.safetensors` needs no PyTorch; a pickled file does, and is read without
running any code that it may hold.
"""

import os
import pathlib
import pickle
import re

import keras
import numpy as np

from dla_keras.files import atomic_path
from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.torch_conversion import torch_state

# Keys of the weights in a training checkpoint, in the order they are tried:
# averaged weights first, as in timm.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the state dict in a weight file of PyTorch.

    Of a training checkpoint it is the first of `state_dict_ema`, `model_ema`,
    `state_dict` and `model`. The prefix `module.`, which PyTorch's data
    parallelism puts before every name, is removed.

    Args:
        path: Path of a `.safetensors` file, or of a pickled `.pth`, `.pt`,
            `.tar` or `.bin`, which need PyTorch.

    Returns:
        Arrays by PyTorch name; all floats are float32.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If the package that reads it is not installed.
        ValueError: If the suffix is another one, or the file is damaged, holds
            code, or holds anything but arrays.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "dla46_c.safetensors"
    ...     save_torch_weights(dla_keras.DLA46C(), path)
    ...     read_torch_file(path)["fc.weight"].shape
    (1000, 256, 1, 1)
    """
    path = pathlib.Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"Expected a file that ends in {', '.join(SUFFIXES)}. "
            f"Received: {path}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    content = _READERS[path.suffix](path)
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    return _arrays(content, path)


def load_torch_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Set a model's weights from a file with timm's or the authors' names.

    A classifier's file also goes into a backbone or a segmenter's backbone. If
    anything else differs, an error says so and the model stays as it was:
    see `load_torch_state`.

    Args:
        model: Model of this package.
        path: Path of a `.safetensors`, `.pth`, `.pt`, `.tar` or `.bin` file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If the package that reads it is not installed.
        ValueError: If the file is damaged, holds code or does not fit.

    Example:

    >>> model = dla_keras.DLA34()
    >>> load_torch_weights(model, "dla34.safetensors")  # doctest: +SKIP
    """
    state = read_torch_file(path)
    try:
        load_torch_state(model, state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_torch_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a model's weights as `.safetensors` with PyTorch's names.

    timm's model of the same name loads a classifier's file strictly.

    Args:
        model: Model of this package.
        path: Path of the file, which ends in `.safetensors`.

    Raises:
        ImportError: If `safetensors` is not installed.
        ValueError: If the suffix or the model is another one.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "backbone.safetensors"
    ...     save_torch_weights(dla_keras.DLABackbone("dla46_c"), path)
    ...     load_torch_weights(dla_keras.DLABackbone("dla46_c"), path)
    """
    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(
            f"Weights are written as .safetensors. Received: {path}."
        )
    safetensors = _import_safetensors()
    state = torch_state(model)
    with atomic_path(path) as temporary:
        # PyTorch's readers need this note.
        safetensors.numpy.save_file(state, temporary, {"format": "pt"})


def _import_safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "safetensors reads and writes .safetensors files: pip install "
            "safetensors."
        ) from error
    return safetensors


def _read_safetensors(path):
    safetensors = _import_safetensors()
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(_damaged(path, error)) from error


def _read_pickled(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{path} is pickled by PyTorch, and only PyTorch reads it: pip "
            "install torch, or pass the same weights as .safetensors."
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        code = re.search(
            r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", str(error)
        )
        if not code:
            raise ValueError(_damaged(path, error)) from error
        raise ValueError(
            f"{path} holds more than weights: to read it, {code[1]} would be "
            "called, and a pickled file can call anything. It was not read. "
            "Ask for the weights as .safetensors. If you trust its source, "
            "write the weights alone, in PyTorch: torch.save(torch.load(path, "
            "weights_only=False)['state_dict'], 'weights.pth')."
        ) from error


_READERS = {
    ".safetensors": _read_safetensors,
    ".pth": _read_pickled,
    ".pt": _read_pickled,
    ".tar": _read_pickled,
    ".bin": _read_pickled,
}
SUFFIXES = tuple(_READERS)


def _damaged(path, error):
    reason = str(error).splitlines()[0] if str(error) else "it ends too early"
    return (
        f"{path} is no whole {path.suffix} file of weights "
        f"({path.stat().st_size} bytes): {reason} Copy or download it again."
    )


def _arrays(content, path):
    """Return the content as arrays, or raise if it is anything else."""
    strangers = [
        name
        for name, value in getattr(content, "items", dict)()
        if not (isinstance(name, str) and hasattr(value, "dtype"))
    ]
    if not isinstance(content, dict) or not content or strangers:
        raise ValueError(
            "Expected a state dict: names and arrays, or one under "
            f"{', '.join(_WRAPPERS)}. Received: {path} with "
            f"{strangers[:5] or type(content).__name__}."
        )
    module = all(name.startswith("module.") for name in content)
    return {
        name.removeprefix("module.") if module else name: _array(value)
        for name, value in content.items()
    }


def _array(value):
    if not isinstance(value, np.ndarray):  # NumPy has no bfloat16 of its own
        value = value.detach()
        value = (value.float() if value.is_floating_point() else value).numpy()
    is_integer = np.issubdtype(value.dtype, np.integer)
    return value if is_integer else value.astype(np.float32)
