"""Reads and writes PyTorch's weight files as NumPy arrays by name.

`.safetensors` needs no PyTorch; a pickled file does, and is read without
running any code that it may hold.
"""

import json
import os
import pathlib
import re

import keras
import numpy as np

from dla_keras.files import atomic_path
from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.torch_conversion import DENSE_MODELS
from dla_keras.weights.torch_conversion import torch_state
from dla_keras.weights.torch_conversion import unused_arrays

# Keys of the weights in a training checkpoint, in the order they are tried:
# averaged weights first, as in timm.
_WRAPPERS = (
    "state_dict_ema", "model_ema", "params_ema", "state_dict",
    "model_state_dict", "model_state", "model", "network", "net", "params",
)  # fmt: skip
_LARGEST = 4 << 30  # bytes; with the optimizer's numbers beside the weights
# Kinds of numbers in .safetensors that are arrays without a scale beside them.
_PLAIN = {
    "F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "I16", "U16",
    "I8", "U8", "BOOL", "C64",
}  # fmt: skip


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the state dict in a weight file of PyTorch.

    Of a training checkpoint it is what stands under `state_dict_ema`,
    `model_ema`, `state_dict`, `model_state_dict`, `model`, `net` or the like.
    What is put before the network's names is removed: `module.` of PyTorch's
    data parallelism, `_orig_mod.` of `torch.compile`, Lightning's `model.`,
    MMSegmentation's `backbone.`, or any other word. The first kernel of
    CenterNet's networks, which are for images with blue first, is turned.

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
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(
            f"Expected weights of at most {_LARGEST >> 30} GB. Received: "
            f"{path} with {size / 2**30:.0f}; the largest network here takes a "
            "quarter of one."
        )
    content = _READERS[path.suffix](path)
    while inner := _unwrapped(content):
        content = inner
    return _blue_last(network_names(_arrays(content, path), path))


def _blue_last(state):
    """Return the arrays with CenterNet's first kernel turned to RGB, or back.

    Its code reads images by OpenCV, which has blue first.
    """
    first = "base.base_layer.0.weight"
    centers = "hm.0.weight" in state and np.ndim(state.get(first)) == 4
    if not centers:
        return state
    return state | {first: np.ascontiguousarray(state[first][:, ::-1])}


def _unwrapped(content):
    if not isinstance(content, dict):
        return None
    inner = (content.get(key) for key in _WRAPPERS)
    return next((each for each in inner if isinstance(each, dict)), None)


def network_names(
    state: dict[str, np.ndarray], path: str | os.PathLike
) -> dict[str, np.ndarray]:
    """Return arrays by the names that a network gives them by itself.

    Args:
        state: Arrays by name, behind a prefix of what the network was in.
        path: Path of the file, for the message.

    Raises:
        ValueError: If there are several networks.

    Example:

    >>> list(network_names({"model._orig_mod.base_layer.0.weight": 0}, "x.pt"))
    ['base_layer.0.weight']
    """
    state = {
        re.sub(r"(^|\.)_orig_mod\.", r"\1", name): array
        for name, array in state.items()
    }
    first = re.compile(r"(.*\.|)base_layer\.0\.weight")  # every DLA has it
    places = [match[1] for match in map(first.fullmatch, state) if match]
    if len(places) > 1:
        raise ValueError(
            f"Expected one network. Received: {path} with {len(places)}, "
            f"under {', '.join(sorted(places))}. Save one of them."
        )
    # A segmenter's own name of its backbone is no prefix.
    prefix = re.sub(r"(^|\.)base\.$", r"\1", places[0]) if places else ""
    if not places and all(name.startswith("module.") for name in state):
        prefix = "module."
    return {name.removeprefix(prefix): array for name, array in state.items()}


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


def save_torch_weights(
    model: keras.Model,
    path: str | os.PathLike,
    unused_parts: bool | None = None,
) -> None:
    """Write a model's weights as `.safetensors` with PyTorch's names.

    timm's model of the same name loads a classifier's file strictly, and the
    authors' code that of a segmenter with learned upsampling; with
    `unused_parts=True` it loads a classifier's, too. A detector's has the
    names of CenterNet's code, and its kernel for images with blue first.

    Args:
        model: Model of this package.
        path: Path of the file, which ends in `.safetensors`.
        unused_parts: Whether the parts are written that only the authors'
            code has, and never uses. Defaults to `None`: for segmenters and
            boundary detectors, which timm does not know.

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
    state = _blue_last(torch_state(model))
    if unused_parts is None:
        unused_parts = isinstance(model, DENSE_MODELS)
    if unused_parts:
        state |= unused_arrays(state)
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
    _check_header(path)
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(_damaged(path, error)) from error


def _check_header(path):
    """Raise `ValueError` for what the library takes or fails on silently."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, path.stat().st_size, 10**8))
    try:
        entries = json.loads(header, object_pairs_hook=list)
        arrays = {n: dict(e) for n, e in entries if n != "__metadata__"}
        kinds = {name: array.get("dtype") for name, array in arrays.items()}
        ends = [array["data_offsets"][1] for array in arrays.values()]
        whole = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, LookupError, RecursionError):
        return  # the library says what is wrong
    if whole != path.stat().st_size:
        raise ValueError(_damaged(path, f"its header says {whole:,}."))
    names = [name for name, _ in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path} names an array twice: {twice[0]}. Which one counts is not "
            "said; write the file again."
        )
    strange = {n: kind for n, kind in kinds.items() if kind not in _PLAIN}
    if strange:
        name, kind = next(iter(strange.items()))
        raise ValueError(
            f"Expected arrays in float32, float16 or bfloat16. Received: {path}"
            f" with {len(strange)} of another kind, {name} of {kind}. Pass the "
            "file before it was quantized."
        )


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
    except Exception as error:  # a text alone is a KeyError
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
        f"({path.stat().st_size} bytes): {reason.rstrip('.')}. Copy or "
        "download it again."
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
            f"{strangers[:5] or type(content or None).__name__}."
        )
    return {n: _array(n, value, path) for n, value in content.items()}


def _array(name, value, path):
    if not isinstance(value, (np.ndarray, np.generic)):
        value = _from_tensor(name, value, path)
    # What is no float is refused where it would be used: see `array_fault`.
    return value if value.dtype.kind in "iubc" else value.astype(np.float32)


def _from_tensor(name, tensor, path):
    tensor, kind = tensor.detach(), str(tensor.dtype)
    try:
        if "float8" in kind or "float4" in kind:
            raise TypeError(kind)
        # NumPy has no bfloat16 of its own.
        return (tensor.float() if "float" in kind else tensor).numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ValueError(
            f"Expected plain arrays of floats. Received: {path} with {name} of "
            f"{kind}, {tensor.layout}, on {tensor.device}. Save the weights "
            "dense, in float32 or float16, before they are quantized."
        ) from error
