"""A preset's weights, from the cache or from their publisher."""

import hashlib
import pathlib
import re

import keras
import numpy as np

from dla_keras.weights.presets import PRESETS
from dla_keras.weights.presets import Preset
from dla_keras.weights.tf2cv_files import read_tf2cv_file
from dla_keras.weights.torch_files import read_torch_file

_HUB_FILE = "model.safetensors"


def fetch_preset(name: str) -> dict[str, np.ndarray]:
    """The state dict of a preset.

    A file from the Hugging Face hub comes through `huggingface_hub`, with its
    cache and its variables (`HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT` for a
    mirror); one from elsewhere through `keras.utils.get_file`, cached under
    `KERAS_HOME`. Either is checked against its digest before it is used.

    Args:
        name: a name of `PRESETS`.

    Returns:
        PyTorch name -> array.

    Raises:
        ImportError: if `huggingface_hub` is needed and not installed.
        FileNotFoundError: if it is neither cached nor to be had.
        ValueError: if what came is damaged.

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
    except Exception as error:  # of many kinds, with one remedy
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
        pathlib.Path(path).unlink()  # or it would be found again
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
