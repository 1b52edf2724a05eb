"""Keeps a split's decoded pictures in memory, where it is large enough."""

import pathlib
from collections.abc import Sequence

import numpy as np
import psutil

FREE_SHARE = 0.25  # of the free memory, unless told otherwise

# Where Linux says what a container may take (cgroup versions 2 and 1).
_CONTAINER_LIMITS = (
    pathlib.Path("/sys/fs/cgroup/memory.max"),
    pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class RememberedSplit(Sequence):
    """A split that reads and decodes every picture once.

    Args:
        split: a sequence of examples.
    """

    def __init__(self, split: Sequence):
        self._split = split
        self._examples = {}

    @property
    def info(self):
        return self._split.info

    def __len__(self):
        return len(self._split)

    def __getitem__(self, index):
        # Two threads may both read a picture; they find the same.
        if index not in self._examples:
            self._examples[index] = self._split[index]
        return self._examples[index]


def remember(split: Sequence, limit: int | None = None) -> Sequence:
    """The split with a memory for its decoded pictures, if they fit.

    Args:
        split: a sequence of examples; a few tell the size of all.
        limit: bytes that they may take; `0` for no memory. Defaults to
            `None`: a quarter of what is free.

    Example:

    >>> from dla_keras.data.classification import open_classification_split
    >>> split = open_classification_split("digits", "val")
    >>> type(remember(split)).__name__
    'RememberedSplit'
    >>> remember(split, limit=1000) is split
    True
    """
    if isinstance(split, RememberedSplit):
        return split
    if limit is None:
        limit = FREE_SHARE * free_memory()
    some = range(0, len(split), max(1, len(split) // 4))
    sizes = [_bytes(split[index]) for index in some]
    if np.mean(sizes) * len(split) > limit:
        return split
    return RememberedSplit(split)


def free_memory() -> int:
    """Bytes that this process may still take, on its machine or container."""
    free = [psutil.virtual_memory().available]
    for path in _CONTAINER_LIMITS:
        # Or "max", where there is no limit.
        if path.exists() and (text := path.read_text().strip()).isdecimal():
            free.append(int(text) - psutil.Process().memory_info().rss)
    return min(free)


def _bytes(example):
    return np.asarray(example.image).nbytes + np.asarray(example.label).nbytes
