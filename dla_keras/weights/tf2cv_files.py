"""Weight files of tf2cv (osmr/imgclsmob), under their PyTorch names.

That package saves its Keras 2 models as HDF5, each array under the path of its
layers. The paths are renamed to timm's, so that all sources are loaded alike.
"""

import hashlib
import io
import os
import pathlib
import re
import zipfile

import h5py
import numpy as np

_LARGEST = 2**30  # bytes of a file; the largest of these networks has 0.2e9
# From an array's path to its name in PyTorch, applied one after the other.
_RENAMES = (
    (r"^.*?(?=init_block/|stage\d/|output1/)", ""),
    (r"/conv/kernel:0$", "/weight"),
    (r"/conv/bias:0$", "/bias"),
    (r"/gamma:0$", "/weight"),
    (r"/beta:0$", "/bias"),
    (r"/moving_mean:0$", "/running_mean"),
    (r"/moving_variance:0$", "/running_var"),
    (r"^output1/", "fc/"),
    (r"^init_block/conv1/", "base_layer/"),
    (r"^init_block/conv2/", "level0/"),
    (r"^init_block/conv3/", "level1/"),
    (r"^stage(\d)/", lambda match: f"level{int(match[1]) + 1}/"),
    # timm's projection belongs to the tree, not to its first block.
    (r"/tree1/project_conv/", "/project/"),
    (r"/root/conv/", "/root/"),
    (r"^(base_layer|level[01]|.*/project)/conv/", r"\1/0/"),
    (r"^(base_layer|level[01]|.*/project)/bn/", r"\1/1/"),
    (r"/body/conv(\d)/(conv|bn)/", r"/\2\1/"),
    (r"/", "."),
)


def read_tf2cv_file(
    path: str | os.PathLike, sha1: str | None = None
) -> dict[str, np.ndarray]:
    """Return the state dict in a weight file of tf2cv's DLA networks.

    Args:
        path: Path of the `.tf2.h5` file, or of the `.zip` it is published in.
        sha1: SHA-1 of the `.h5` file, hexadecimal. Defaults to `None`: not
            checked.

    Returns:
        Float32 arrays in PyTorch's layout by PyTorch name.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged.

    Example:

    >>> state = read_tf2cv_file("dla34.tf2.h5")  # doctest: +SKIP
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        content = _unzipped(path)
        if sha1 is not None and hashlib.sha1(content).hexdigest() != sha1:
            raise OSError(f"its SHA-1 is not {sha1}")
        with h5py.File(io.BytesIO(content)) as file:
            return _joined(_arrays(file))
    except Exception as error:  # of zip, HDF5 and arrays; for one cause
        raise ValueError(
            f"{path} is no whole weight file of tf2cv "
            f"({path.stat().st_size} bytes): {error}. Download it again."
        ) from error


def _unzipped(path):
    if path.suffix != ".zip":
        _check_size(path.stat().st_size)
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) != 1:
            raise OSError(f"it holds {len(entries)} files in place of one")
        _check_size(entries[0].file_size)
        return archive.read(entries[0])


def _check_size(size):
    if size > _LARGEST:
        raise OSError(f"it says that it holds {size / 1e9:.1f} GB")


def _arrays(file):
    """Return the arrays of a file by path."""
    arrays = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            _check_size(item.size * item.dtype.itemsize)
            arrays[name] = np.asarray(item[()])

    file.visititems(collect)
    return arrays


def _joined(arrays):
    """Return the state dict, with the groups of a convolution joined."""
    kernels, state = {}, {}
    for path, array in arrays.items():
        group = re.search(r"/convgroup(\d+)/", path)
        path = re.sub(r"/convgroup\d+/", "/conv/", path)
        for pattern, replacement in _RENAMES:
            path = re.sub(pattern, replacement, path)
        if array.ndim == 4:
            order = int(group[1]) if group else 1
            kernels.setdefault(path, {})[order] = array
        else:
            state[path] = array
    for name, parts in kernels.items():
        # (height, width, inputs, outputs), the groups' outputs in a row
        kernel = np.concatenate([parts[i] for i in sorted(parts)], axis=-1)
        state[name] = kernel.transpose(3, 2, 0, 1)
    return state
