"""Checkpoints: written whole, checked when read, the last few kept.

A checkpoint is one `.npz`: the variables as arrays, and facts as JSON. The zip
file's checksums find every damage.
"""

import json
import pathlib
import re
import warnings
from dataclasses import dataclass

import numpy as np

from dla_keras.files import atomic_path
from dla_keras.files import sweep

FACTS = "facts.json"  # beside the arrays
ORIGIN = "run"  # among the facts: the run that wrote it


@dataclass(frozen=True)
class Checkpoint:
    """Content of one checkpoint file.

    Args:
        path: Path of the file.
        arrays: Arrays by name.
        facts: Facts by name, of types that JSON knows.
    """

    path: pathlib.Path
    arrays: dict
    facts: dict


def write_checkpoint(path, arrays: dict, facts: dict) -> None:
    """Write a checkpoint; it gets its name once it is complete on the disk."""
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with atomic_path(path, synced=True) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, **arrays, **{FACTS: text})


def read_checkpoint(path) -> Checkpoint:
    """Read a checkpoint and check every byte of it.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is no checkpoint, or a damaged one.
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
        folder: Folder of the checkpoints.
        keep: Number of the last checkpoints to keep. Defaults to `3`.
    """

    def __init__(self, folder, keep: int = 3):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def paths(self) -> list[pathlib.Path]:
        """Return the paths of the checkpoints by step, oldest first."""
        return sorted(filter(_step, self.folder.glob("step-*.npz")), key=_step)

    def save(
        self, step: int, arrays: dict, facts: dict, best: bool = False
    ) -> pathlib.Path:
        """Write the checkpoint of a step, then remove the oldest.

        Args:
            step: Steps taken so far.
            arrays: Arrays by name.
            facts: Facts by name, of types that JSON knows.
            best: Whether to write it as `best.npz` too, which is kept until
                the next best. Defaults to `False`.

        Raises:
            OSError: If it cannot be written; the others are as before.
        """
        path = self.folder / f"step-{step:08d}.npz"
        try:
            # The best first: if it were missing after a kill in between, no
            # later step would write it again.
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
            if not old.is_dir():  # a folder is none of ours
                old.unlink()
        return path

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is not damaged, if there is any.

        A damaged checkpoint is reported, and the previous one is used.

        Raises:
            ValueError: If there are some, and all are damaged.
        """
        damaged = []
        for path in reversed(self.paths()):
            try:
                checkpoint = read_checkpoint(path)
            except (ValueError, OSError) as error:
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
        """Rename the checkpoints beyond the step that a run goes on from.

        They are damaged, or the run takes another course from here on. Files
        that a killed process left half-written are removed.
        """
        for path in self.paths():
            if _step(path) > step:
                path.rename(path.with_suffix(".npz.unused"))
        sweep(self.folder.absolute())


def _step(path) -> int:
    """Return the step in a checkpoint's name, `0` where there is none."""
    found = re.fullmatch(r"step-(\d+)\.npz", path.name)
    return int(found[1]) if found else 0
