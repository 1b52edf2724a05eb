"""Published or own weights into a model, by a preset's name or a file's path.

What `weights=` means everywhere.
"""

import os
import pathlib
import zipfile

import keras

from dla_keras.weights.fetching import fetch_preset
from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.presets import find_preset
from dla_keras.weights.tf2cv_files import read_tf2cv_file
from dla_keras.weights.torch_conversion import torch_state
from dla_keras.weights.torch_files import SUFFIXES
from dla_keras.weights.torch_files import read_torch_file


def load_pretrained(model: keras.Model, weights: str | os.PathLike) -> None:
    """Sets a model's weights from a preset or a file.

    A classifier's weights also go into a backbone, or into the backbone of a
    segmenter, whose other weights stay as they are. Everything else is
    strict: see `dla_keras.weights.load_torch_state`.

    Args:
        model: any of this package's.
        weights: `"imagenet"` for the authors' weights of the model's variant,
            `"imagenet_osmr"` for better ones trained anew, a name of
            `dla_keras.PRESETS`; or the path of a file: `.keras`,
            `.weights.h5` (of the very same model), `.safetensors`, PyTorch's
            `.pth`, `.pt`, `.tar` or `.bin`, tf2cv's `.tf2.h5` or its `.zip`.

    Raises:
        FileNotFoundError: for a file that is not there, or a preset that is
            neither cached nor to be had.
        ImportError: if a package that is needed is not installed.
        ValueError: for an unknown name, a damaged file, or weights that do
            not fit. The model is then as it was.

    Example:

    >>> model = dla_keras.DLASegmenter("dla34", num_classes=19)
    >>> load_pretrained(model, "imagenet")  # doctest: +SKIP
    """
    path = pathlib.Path(weights)
    reads = [read for end, read in _READERS.items() if path.name.endswith(end)]
    if path.name.endswith(".weights.h5"):
        _load_keras_weights(model, path)
        return
    if reads:
        name, state = path, reads[0](path)
    else:
        name = find_preset(os.fspath(weights), model.variant)
        state = fetch_preset(name)
    try:
        load_torch_state(model, state)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _read_keras_file(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no whole .keras file ({path.stat().st_size} bytes). "
            "Copy it again."
        )
    return torch_state(keras.models.load_model(path, compile=False))


_READERS = {
    ".keras": _read_keras_file,
    ".tf2.h5": read_tf2cv_file,
    ".tf2.h5.zip": read_tf2cv_file,
    **dict.fromkeys(SUFFIXES, read_torch_file),
}


def _load_keras_weights(model, path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    before = model.get_weights()
    try:
        model.load_weights(path)
    except Exception as error:  # of many kinds, some halfway through
        model.set_weights(before)
        reason = str(error).splitlines()[0]  # Keras prints arrays after it
        raise ValueError(
            f"{path} does not fit {model.name!r}, which was left as it was: "
            f"{reason} A .weights.h5 file fits the very same model only; from "
            "another kind of model, pass its .keras file."
        ) from error
