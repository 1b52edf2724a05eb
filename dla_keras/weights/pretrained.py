"""Published weights: where they are, and how they come into a model."""

import hashlib
import os
import pathlib
import re
import sys
import warnings
import zipfile
from dataclasses import dataclass

import h5py
import keras
import numpy as np

from dla_keras.choices import did_you_mean
from dla_keras.models.network import Network
from dla_keras.models.network import check_network
from dla_keras.models.network import check_values
from dla_keras.variants import IMAGENET_MEAN
from dla_keras.variants import IMAGENET_STD
from dla_keras.variants import find_variant
from dla_keras.variants import shipped_path
from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.tf2cv_files import read_tf2cv_file
from dla_keras.weights.torch_conversion import torch_state
from dla_keras.weights.torch_files import SUFFIXES
from dla_keras.weights.torch_files import read_torch_file


@dataclass(frozen=True)
class Preset:
    """Weights that somebody published.

    Args:
        variant: Network of the weights, a name of `dla_keras.VARIANTS`.
        source: Repository on the Hugging Face hub, URL of a file, or name of a
            file that ships in this folder (`.npz`).
        license: License stated by the publisher.
        top1_error: Top-1 error on the validation set of ImageNet (or of what
            the weights are named after), one crop, in percent, measured by
            the publisher; `None` of what is no classifier.
        top5_error: Top-5 error, measured in the same way.
        revision: Revision of the repository. Defaults to `"main"`.
        sha1: SHA-1 of the file. Defaults to `None`: not known.
        sha384: SHA-384 of the file. Defaults to `None`: not known.
        classes: Number of classes. Defaults to `1000`.
        input_size: Height and width in pixels at which the errors were
            measured. Defaults to `224`.
        crop_fraction: Share of the resized image's shorter side that the
            center crop keeps. Defaults to `0.875`.
        interpolation: Interpolation of that resize. Defaults to `"bilinear"`.
        mean: RGB mean for pixels scaled to 0..1. Defaults to ImageNet's.
        std: RGB standard deviation for pixels scaled to 0..1. Defaults to
            ImageNet's.
    """

    variant: str
    source: str
    license: str
    top1_error: float | None
    top5_error: float | None
    revision: str = "main"
    sha1: str | None = None
    sha384: str | None = None
    classes: int = 1000
    input_size: int = 224
    crop_fraction: float = 0.875
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


# The authors' weights as timm publishes and measures them. Those of the two
# Res2Nets are of other authors, whose license timm does not state.
_TIMM_ERRORS = {
    "dla34": (25.37, 7.95),
    "dla46_c": (35.12, 13.67),
    "dla46x_c": (33.99, 13.05),
    "dla60x_c": (32.07, 11.57),
    "dla60": (22.96, 6.68),
    "dla60x": (21.77, 5.98),
    "dla102": (21.98, 6.05),
    "dla102x": (21.48, 5.77),
    "dla102x2": (20.55, 5.35),
    "dla169": (21.30, 5.67),
    "dla60_res2net": (21.52, 5.80),
    "dla60_res2next": (21.51, 5.86),
}
_TIMM_REVISIONS = {
    "dla34": "f9ff14eefc43f8ddd8064d09648bfdee690b0690",
    "dla46_c": "293e663aa8599e26360789bffc30ba7dfd9d16ad",
    "dla46x_c": "8a71a8e4a62ac7d2df76f8fa6ec9eb060790c836",
    "dla60": "fe14dc4aeaded6c24e63705b9c905a3c5b186681",
    "dla102": "d5a670fe53c66175938f971d60639a3b3dec9794",
    "dla102x": "056ff6e5137379be9668c3ae88b38b2901cbcd80",
    "dla102x2": "0628b11e979339525de4201c479c1171f6d43d60",
    "dla169": "492a94c1481c02dcc647bd261d86ce964bdf38a6",
}

# Retrained by O. Semery: errors, release and SHA-1.
_OSMR = "https://github.com/osmr/imgclsmob/releases/download"
_OSMR_RELEASES = {
    "dla34": (24.37, 7.05, "v0.0.486"),
    "dla46_c": (33.83, 12.87, "v0.0.427"),
    "dla46x_c": (32.90, 12.29, "v0.0.427"),
    "dla60x_c": (30.66, 10.75, "v0.0.427"),
    "dla60": (21.26, 5.53, "v0.0.494"),
    "dla60x": (20.72, 5.50, "v0.0.493"),
    "dla102": (20.57, 5.17, "v0.0.505"),
    "dla102x": (19.59, 4.74, "v0.0.528"),
    "dla102x2": (18.69, 4.28, "v0.0.542"),
    "dla169": (19.27, 4.62, "v0.0.539"),
}
_OSMR_SHA1 = {
    "dla34": "ade65c1687c187de7e6c7a8d8c9654a0b836c160",
    "dla46_c": "dfcae3b549121205008235fd7e59793b394f8998",
    "dla46x_c": "a858beca359f41cfe836cec6d30b01ba98109d06",
    "dla60x_c": "a7850f0307de77fcce42afdbb7070776b7c219ca",
    "dla60": "61a8f4e7c65ef48b6a6cfc715352a4b6573c4460",
    "dla60x": "b692a2267eb3330e36bf9ce4cf3943c9118ed9ae",
    "dla102": "9bebb44b573356606e41cf16c2f1b3298e39106b",
    "dla102x": "dfef2c8122a48cdd24acbc5f41720f30edb9893c",
    "dla102x2": "e05fb468d1af87887e1b5a3b27f4429577497b8f",
    "dla169": "24ee0a54909b9c93ed4be47284b9614ea095a7d4",
}


def _timm(variant):
    top1_error, top5_error = _TIMM_ERRORS[variant]
    return Preset(
        variant=variant,
        source=f"timm/{variant}.in1k",
        license="unknown" if "res2" in variant else "BSD-3-Clause",
        top1_error=top1_error,
        top5_error=top5_error,
        revision=_TIMM_REVISIONS.get(variant, "main"),
    )


def _osmr(variant):
    top1_error, top5_error, release = _OSMR_RELEASES[variant]
    sha1 = _OSMR_SHA1[variant]
    name = variant.replace("_c", "c")
    file = f"{name}-{round(100 * top5_error):04d}-{sha1[:8]}.tf2.h5.zip"
    return Preset(
        variant=variant,
        source=f"{_OSMR}/{release}/{file}",
        license="MIT",
        top1_error=top1_error,
        top5_error=top5_error,
        sha1=sha1,
    )


# Trained here on 200 classes of small pictures, to start from without a
# network; CARDS.md beside this file says how.
_TINY_IMAGENET = Preset(
    variant="dla46_c",
    source="dla46_c_tiny_imagenet.npz",
    license="Apache-2.0; the pictures are for research",
    top1_error=63.70,
    top5_error=36.58,
    classes=200,
    input_size=64,
    crop_fraction=1.0,
)

_COLLECTIONS = {
    "imagenet": tuple(map(_timm, _TIMM_ERRORS)),
    "imagenet_osmr": tuple(map(_osmr, _OSMR_RELEASES)),
    "tiny_imagenet": (_TINY_IMAGENET,),
}

PRESETS = {
    f"{row.variant}_{collection}": row
    for collection, rows in _COLLECTIONS.items()
    for row in rows
}
# CenterNet's plain network, 32.4 AP on COCO (512x512; the authors' 1x), which
# OpenVINO's model zoo keeps alive. They are for pixels of OpenCV, blue first;
# `read_torch_file` turns the kernel, and mean and std are turned here.
PRESETS["coco"] = Preset(
    variant="dla34",
    source="https://storage.openvinotoolkit.org/repositories/open_model_zoo/"
    "public/2022.1/ctdet_coco_dlav0_512/ctdet_coco_dlav0_1x.pth",
    license="MIT",
    top1_error=None,
    top5_error=None,
    sha384="74565ead2d6c42738f90c0c23abaca04048c9156fdd548130a6b9df94786a6d9"
    "64b8d6f548a0a44208885243314eea64",
    classes=80,
    input_size=512,
    mean=(0.470, 0.447, 0.408),
    std=(0.278, 0.274, 0.289),
)


def find_preset(weights: str, variant: str) -> str:
    """Return the name in `PRESETS` that `weights` stands for.

    Args:
        weights: `"imagenet"`, `"imagenet_osmr"`, `"tiny_imagenet"`, or a name
            of `PRESETS`.
        variant: Variant of the model.

    Raises:
        ValueError: If the name is unknown or belongs to another variant, or
            the collection has no weights for this variant.

    Example:

    >>> find_preset("imagenet", "dla34")
    'dla34_imagenet'
    """
    name = f"{variant}_{weights}" if weights in _COLLECTIONS else weights
    if name in PRESETS and PRESETS[name].variant == variant:
        return name
    fitting = [n for n, row in PRESETS.items() if row.variant == variant]
    if weights in _COLLECTIONS:
        reason = f"{weights!r} has no weights for {variant}."
    elif name in PRESETS:
        reason = f"{name!r} is for {PRESETS[name].variant}, not {variant}."
    else:
        hint = did_you_mean(weights, (*_COLLECTIONS, *PRESETS))
        reason = (
            f"Unknown weights: {weights!r} is no preset, and no file by its "
            f"ending.{hint}"
        )
    raise ValueError(
        f"{reason} Presets for {variant}: {', '.join(fitting) or 'none'}. To "
        "begin with random weights, pass None (--weights none)."
    )


def require_preset(weights: str | os.PathLike, variant: str) -> None:
    """Raise what `fetch_preset` does: before the work, and of a preset only.

    Args:
        weights: Name or path, see `read_weights`.
        variant: Variant of the model that they are for.
    """
    if weights in (*_COLLECTIONS, *PRESETS):
        find_variant(variant)
        fetch_preset(find_preset(weights, variant))


_HUB_FILE = "model.safetensors"


def fetch_preset(name: str) -> dict[str, np.ndarray]:
    """Return the state dict of a preset.

    The package holds the files of some. `huggingface_hub` downloads files from
    the Hugging Face hub, with its cache and its variables (`HF_HOME`,
    `HF_HUB_OFFLINE`, `HF_ENDPOINT` for a mirror).
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

    >>> fetch_preset("dla46_c_tiny_imagenet")["fc.bias"].shape
    (200,)
    """
    preset = PRESETS[name]
    if preset.source.endswith(".npz"):
        return _from_package(preset.source)
    if "://" in preset.source:
        return _from_url(name, preset)
    return _from_hub(name, preset)


def _from_package(file):
    """Return the arrays of a file that ships, kernels in float16, as float32.

    Vectors are float32 in it already: variances may be tiny.
    """
    with np.load(pathlib.Path(__file__).with_name(file)) as arrays:
        return {name: np.float32(array) for name, array in arrays.items()}


def _from_hub(name, preset):
    try:
        import huggingface_hub
        from huggingface_hub.utils import logging as hub_logging
    except ImportError as error:
        raise ImportError(
            f"{name!r} comes from the Hugging Face hub: "
            '`pip install "dla-keras[weights]"`, or download '
            f"{_HUB_FILE} and pass its path, or begin with {_without(preset)}. "
            f"{_address(preset)}"
        ) from error
    where = {"filename": _HUB_FILE, "revision": preset.revision}
    # Its own lines about each try do not say what comes of them.
    hub_logging.set_verbosity_error()
    if not huggingface_hub.try_to_load_from_cache(preset.source, **where):
        print(
            f"Fetching {name} from huggingface.co; without a connection this "
            "ends within half a minute.",
            file=sys.stderr,
        )
    try:
        path = huggingface_hub.hf_hub_download(preset.source, **where)
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
        if preset.sha384:
            _check_sha384(name, path, preset.sha384)
            return read_torch_file(path)
        return read_tf2cv_file(path, preset.sha1)
    except ValueError:
        pathlib.Path(path).unlink()  # or the cache would give it again
        raise


def _check_sha384(name, path, expected):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha384").hexdigest()
    if digest != expected:
        raise ValueError(
            f"{name!r} came damaged: its SHA-384 is {digest}, not {expected}. "
            f"{path} was deleted; try again."
        )


def _unavailable(name, preset: Preset, error):
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileNotFoundError(
        f"{name!r} is neither cached nor to be had here ({reason}). "
        f"{_address(preset)} Where there is a connection, download that file, "
        "and pass its path in place of the name; or begin with "
        f"{_without(preset)}."
    )


def _without(preset):
    """Return what needs no network."""
    ships = f"{preset.variant}_tiny_imagenet" in PRESETS
    others = "those that ship (--weights tiny_imagenet) or " if ships else ""
    return f"{others}random weights (--weights none)"


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
            `"imagenet_osmr"` for better, retrained ones, `"tiny_imagenet"`
            for those of DLA-46-C that ship, `"coco"` for CenterNet's detector,
            a name of `dla_keras.PRESETS` or of `dla_keras.SHIPPED_MODELS`; or
            the path of a file: `.keras`,
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
    check_network(model, Network)
    if os.path.basename(_checked(weights)).endswith(".weights.h5"):
        _load_keras_weights(model, pathlib.Path(weights))
        return
    source = read_weights(weights, model)
    _check_pixels(model, source.name)
    try:
        load_torch_state(model, source.state)
    except ValueError as error:
        raise ValueError(f"{source.name}: {error}") from error


def _check_pixels(model, name):
    """Raise `ValueError` if a detector would see other pixels than before."""
    row = PRESETS.get(name)
    if row is None or row.mean == IMAGENET_MEAN or not model.tasks:
        return
    if (model.mean, model.std) != (row.mean, row.std):
        raise ValueError(
            f"{name!r} were trained with mean={row.mean} and std={row.std}. "
            f"Received: a model with mean={model.mean} and std={model.std}; "
            "build it with theirs, or take them to begin a training with "
            "(`dla_keras.weights.take_weights`)."
        )


@dataclass(frozen=True)
class Weights:
    """Weights that were read, of any kind of model.

    Args:
        name: Name of the preset or path of the file, for messages.
        state: Arrays by PyTorch name.
        class_names: Names of the head's classes. Defaults to `None`: nobody
            says.
    """

    name: str
    state: dict[str, np.ndarray]
    class_names: tuple[str, ...] | None = None


def read_weights(weights: str | os.PathLike, model: keras.Model) -> Weights:
    """Return the weights of a preset or a file, whatever model it is of.

    Args:
        weights: Name or path, see `load_pretrained`; or the folder of a run.
        model: Model that they are for, whose variant chooses a preset.

    Raises:
        FileNotFoundError: If the file does not exist, or a preset is not to
            be had.
        ImportError: If a package that is needed is not installed.
        ValueError: If the name is unknown, or the file is damaged or of no
            model of this package.
    """
    path = shipped_path(_checked(weights))
    if path.is_dir():
        path = _model_in(path)
    if path.name.endswith(".keras"):
        found = _read_keras_file(path)
        return Weights(str(path), torch_state(found), found.class_names)
    if path.name.endswith(".tflite"):
        raise ValueError(
            f"{path} holds rounded weights of a graph without names. Pass the "
            ".keras file that it was exported from."
        )
    reads = [read for end, read in _READERS.items() if path.name.endswith(end)]
    if reads:
        return Weights(str(path), reads[0](path))
    name = find_preset(os.fspath(weights), model.variant)
    return Weights(name, fetch_preset(name))


def _checked(weights):
    if isinstance(weights, (str, os.PathLike)) and os.fspath(weights):
        return weights
    raise ValueError(
        "Expected the name of a preset or the path of a file. Received: "
        f"{weights!r}."
    )


def _model_in(folder):
    for name in ("model.keras", "best.keras"):
        if (folder / name).is_file():
            return folder / name
    inside = sorted(path.name for path in folder.glob("*/model.keras"))
    raise FileNotFoundError(
        f"Expected a run's folder with model.keras or best.keras in it. "
        f"Received: {folder}"
        + (f"; there is one in {inside[0]}." if inside else ".")
    )


def _read_keras_file(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no whole .keras file ({path.stat().st_size} bytes). "
            "Copy it again."
        )
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # many kinds, for one cause
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as a .keras model: {reason}"
        ) from error
    if not isinstance(model, Network):
        raise ValueError(
            f"Expected a model of dla_keras. Received: {path} with a "
            f"{type(model).__name__}."
        )
    return model


_READERS = {
    ".tf2.h5": read_tf2cv_file,
    ".tf2.h5.zip": read_tf2cv_file,
    **dict.fromkeys(SUFFIXES, read_torch_file),
}


def check_h5_numbers(path: pathlib.Path) -> None:
    """Raise `ValueError` for a `.weights.h5` file of other numbers than floats.

    Keras takes whole numbers, truth values and complex ones as they come.

    Args:
        path: Path of the file.
    """

    def look(name, item):
        if not isinstance(item, h5py.Dataset) or "seed_generator" in name:
            return
        # NumPy has no bfloat16 of its own, and Keras writes beside it what
        # the numbers are.
        if item.dtype.kind != "f" and item.attrs.get("dtype") != "bfloat16":
            raise ValueError(f"{name} holds {item.dtype}, no floats.")

    with h5py.File(path) as file:
        file.visititems(look)


def _load_keras_weights(model, path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    before = model.get_weights()
    try:
        check_h5_numbers(path)
        with warnings.catch_warnings():  # on what the error says, too
            warnings.simplefilter("ignore")
            model.load_weights(path)
    except Exception as error:  # many kinds, some of them halfway through
        model.set_weights(before)
        reason = " ".join(str(error).splitlines()[:2])  # then come arrays
        raise ValueError(
            f"{path} does not fit {model.name!r}, which was left as it was: "
            f"{reason} A .weights.h5 file fits the very same model only; from "
            "another kind of model, pass its .keras file."
        ) from error
    try:
        check_values(model)
    except ValueError as error:
        model.set_weights(before)
        raise ValueError(
            f"{path} is damaged, or its training diverged: {error} The model "
            "was left as it was."
        ) from error
