"""Checkpoints: whole or not there, checked when read, the last few kept.

A checkpoint is one `.npz`: the variables as arrays, and facts as JSON. A zip
file's checksums find every damage to them.
"""

import json
import os
import pathlib
import shutil
import warnings
from dataclasses import dataclass

import numpy as np

from dla_keras.files import atomic_path

FACTS = "facts.json"  # beside the arrays


@dataclass(frozen=True)
class Checkpoint:
    """What one file holds.

    Args:
        path: of the file.
        arrays: by name.
        facts: what JSON can hold.
    """

    path: pathlib.Path
    arrays: dict
    facts: dict


def write_checkpoint(path, arrays: dict, facts: dict) -> None:
    """Writes a checkpoint: on the disk, complete, before it has its name."""
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, **{FACTS: text})
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def read_checkpoint(path) -> Checkpoint:
    """Reads a checkpoint and checks every byte of it.

    Raises:
        FileNotFoundError: if nothing is there.
        ValueError: for a file that is no checkpoint, or a damaged one.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint at {path}.")
    try:
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(arrays.pop(FACTS).tobytes())
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise ValueError(
            f"{path} is no checkpoint, or damaged "
            f"({type(error).__name__}: {error})."
        ) from error
    return Checkpoint(path, arrays, facts)


class Checkpoints:
    """A run's checkpoints: `step-00000120.npz`, ..., and `best.npz`.

    Args:
        folder: where they are.
        keep: how many of the last to keep. Defaults to `3`.
    """

    def __init__(self, folder, keep: int = 3):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def paths(self) -> list[pathlib.Path]:
        """The checkpoints by step, oldest first."""
        return sorted(self.folder.glob("step-*.npz"))

    def save(
        self, step: int, arrays: dict, facts: dict, best: bool = False
    ) -> pathlib.Path:
        """Writes the checkpoint of a step, then removes the oldest.

        Args:
            step: steps taken so far.
            arrays: by name.
            facts: what JSON can hold.
            best: whether to keep it as `best.npz` too, whatever becomes of
                it. Defaults to `False`.

        Raises:
            OSError: if it cannot be written; the others are as before.
        """
        path = self.folder / f"step-{step:08d}.npz"
        try:
            # The best first: were it missing, nothing would write it again.
            for target in ("best.npz",) * best + (path.name,):
                write_checkpoint(self.folder / target, arrays, facts)
        except OSError as error:
            size = sum(array.nbytes for array in arrays.values()) / 1e6
            raise OSError(
                f"The checkpoint {path} cannot be written: {error.strerror}. "
                f"It takes {size:.0f} MB. Those before it are untouched: make "
                "room, and run the same command again."
            ) from error
        for old in self.paths()[: -self.keep]:
            old.unlink()
        return path

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole; `None` without any.

        Warns of a damaged one, and names the one used instead.

        Raises:
            ValueError: if there are some, and all are damaged.
        """
        damaged = []
        for path in reversed(self.paths()):
            try:
                checkpoint = read_checkpoint(path)
            except ValueError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(
                    f"{' '.join(damaged)} Going on from the one before, "
                    f"{path}.",
                    stacklevel=2,
                )
            return checkpoint
        if damaged:
            raise ValueError(
                f"No checkpoint can be read. {' '.join(damaged)} Pass "
                "--overwrite to begin anew."
            )
        return None

    def set_aside(self, step: int) -> None:
        """Renames what lies beyond the step that a run goes on from.

        It is damaged, or of a course that the run no longer takes. What a
        killed process left half-written goes.
        """
        for path in self.paths():
            if int(path.stem.removeprefix("step-")) > step:
                path.rename(path.with_suffix(".npz.unused"))
        for leftover in self.folder.glob(".*.npz.*"):
            shutil.rmtree(leftover)


def _sync_folder(folder) -> None:
    """Puts names on the disk too, which syncing a file does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
