"""Loads weights into a model, by the name of a preset or the path of a file.

Every `weights=` of the package takes the same.
"""

import hashlib
import os
import pathlib
import re
import zipfile

import keras
import numpy as np

from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.presets import PRESETS
from dla_keras.weights.presets import Preset
from dla_keras.weights.presets import find_preset
from dla_keras.weights.tf2cv_files import read_tf2cv_file
from dla_keras.weights.torch_conversion import torch_state
from dla_keras.weights.torch_files import SUFFIXES
from dla_keras.weights.torch_files import read_torch_file

_HUB_FILE = "model.safetensors"


def fetch_preset(name: str) -> dict[str, np.ndarray]:
    """Return the state dict of a preset.

    `huggingface_hub` downloads files from the Hugging Face hub, with its cache
    and its variables (`HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` for a mirror).
    `keras.utils.get_file` downloads other files and caches them under
    `KERAS_HOME`. Both are checked against their digest before use.

    Args:
        name: Name of `PRESETS`.

    Returns:
        Arrays by PyTorch name.

    Raises:
        ImportError: If `huggingface_hub` is needed and not installed.
        FileNotFoundError: If it is not cached and cannot be downloaded.
        ValueError: If the file is damaged.

    Example:

    >>> state = fetch_preset("dla34_imagenet")  # doctest: +SKIP
    """
    preset = PRESETS[name]
    if "://" in preset.source:
        return _from_url(name, preset)
    return _from_hub(name, preset)


def _from_hub(name, preset):
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"{name!r} comes from the Hugging Face hub: pip install "
            "huggingface_hub safetensors, or download "
            f"{_HUB_FILE} and pass its path. {_address(preset)}"
        ) from error
    try:
        path = huggingface_hub.hf_hub_download(
            preset.source, _HUB_FILE, revision=preset.revision
        )
    except Exception as error:  # many kinds, one remedy
        raise _unavailable(name, preset, error) from error
    # The hub's cache names a large file by its SHA-256.
    blob = pathlib.Path(path).resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name):
        with open(blob, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != blob.name:
            blob.unlink()
            raise ValueError(
                f"{name!r} came damaged, or was changed in the cache: its "
                f"SHA-256 is {digest}, not {blob.name}. {blob} was deleted; "
                "try again."
            )
    return read_torch_file(path)


def _from_url(name, preset):
    try:
        path = keras.utils.get_file(
            origin=preset.source, cache_subdir="dla_keras"
        )
    except Exception as error:  # Keras raises just this
        raise _unavailable(name, preset, error) from error
    try:
        return read_tf2cv_file(path, preset.sha1)
    except ValueError:
        pathlib.Path(path).unlink()  # or the cache would give it again
        raise


def _unavailable(name, preset: Preset, error):
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileNotFoundError(
        f"{name!r} is neither cached nor to be had here ({reason}). "
        f"{_address(preset)} Where there is a connection, download that file, "
        "and pass its path in place of the name."
    )


def _address(preset):
    if "://" in preset.source:
        return f"Wanted: {preset.source}."
    return (
        f"Wanted: https://huggingface.co/{preset.source}/resolve/"
        f"{preset.revision}/{_HUB_FILE}."
    )


def load_pretrained(model: keras.Model, weights: str | os.PathLike) -> None:
    """Set a model's weights from a preset or a file.

    A classifier's weights also go into a backbone, or into the backbone of a
    segmenter, whose other weights stay as they are. Apart from that, the
    weights must fit: see `dla_keras.weights.load_torch_state`.

    Args:
        model: Model of this package.
        weights: `"imagenet"` for the authors' weights of the model's variant,
            `"imagenet_osmr"` for better, retrained ones, a name of
            `dla_keras.PRESETS`; or the path of a file: `.keras`,
            `.weights.h5` (of the very same model), `.safetensors`, PyTorch's
            `.pth`, `.pt`, `.tar` or `.bin`, tf2cv's `.tf2.h5` or its `.zip`.

    Raises:
        FileNotFoundError: If the file does not exist, or a preset is not
            cached and cannot be downloaded.
        ImportError: If a package that is needed is not installed.
        ValueError: If the name is unknown, the file is damaged, or the weights
            do not fit. The model is then as it was.

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
    except Exception as error:  # many kinds, some of them halfway through
        model.set_weights(before)
        reason = str(error).splitlines()[0]  # Keras prints arrays after it
        raise ValueError(
            f"{path} does not fit {model.name!r}, which was left as it was: "
            f"{reason} A .weights.h5 file fits the very same model only; from "
            "another kind of model, pass its .keras file."
        ) from error
