"""Reads what the boundary benchmark compares: annotations and soft maps."""

import pathlib
import zlib

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from dla_keras.data.pictures import open_picture

_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def read_bsds_annotations(path) -> tuple[np.ndarray, ...]:
    """The boundary maps of a BSDS500 ground truth file, one per annotator.

    Args:
        path: a MATLAB v5 file with `groundTruth{k}.Boundaries`.

    Returns:
        Boolean arrays `(height, width)`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it is no such file.

    Example:

    >>> maps = read_bsds_annotations("bsds/val/101085.mat")  # doctest: +SKIP
    >>> len(maps), maps[0].shape  # doctest: +SKIP
    (5, (481, 321))
    """
    broken = (MatReadError, ValueError, TypeError, EOFError, zlib.error)
    try:
        truth = loadmat(path)["groundTruth"].ravel()
        maps = [np.asarray(each["Boundaries"][0, 0]) for each in truth]
    except (NotImplementedError, KeyError, IndexError, *broken) as error:
        raise ValueError(
            "Expected a MATLAB v5 file with groundTruth{k}.Boundaries. "
            f"Received: {path} ({type(error).__name__}: {error})."
        ) from error
    shapes = {each.shape for each in maps}
    if len(shapes) != 1 or len(maps[0].shape) != 2:
        raise ValueError(
            "Expected annotations of one size (height, width). Received: "
            f"{path} with {sorted(shapes)}."
        )
    return tuple(each != 0 for each in maps)


def read_soft_map(path) -> np.ndarray:
    """A detector's boundary map, from 0 (no boundary) to 1.

    Args:
        path: a grey PNG of 8 or 16 bits, white being 1; or an `.npy` file of
            floats from 0 to 1.

    Returns:
        float64 `(height, width)`.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: naming the file, for another shape, type or range.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.npy")
    ...     np.save(path, np.array([[0.0, 0.5]]))
    ...     read_soft_map(path)
    array([[0. , 0.5]])
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no boundary map at {path}.")
    values = _read_npy(path) if path.suffix == ".npy" else _read_grey(path)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            "A boundary map holds one value per pixel, (height, width). "
            f"Received: {path} with shape {values.shape}."
        )
    if not (values.min() >= 0 and values.max() <= 1):  # also for NaN
        raise ValueError(
            "A boundary map lies in 0 to 1: pass logits through a sigmoid. "
            f"Received: {path} with {values.min()} to {values.max()}."
        )
    return values


def _read_npy(path):
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npy file: {error}.") from error
    if values.dtype != bool and not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            "An .npy boundary map holds floats from 0 to 1. Received: "
            f"{path} with {values.dtype}."
        )
    return values.astype(np.float64)


def _read_grey(path):
    image = open_picture(path)
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype(np.float64)
    if image.mode not in ("L", "I;16") or values.dtype not in _WHITE:
        raise ValueError(
            "A boundary map is a grey picture of 8 or 16 bits. Received: "
            f"{path} of mode {image.mode}; convert it to grey."
        )
    return values / _WHITE[values.dtype]
