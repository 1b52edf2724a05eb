"""Tells one dataset from another, so that a run goes on with its own."""

import hashlib
import json
import os

from dla_keras.data.checks import label_coding
from dla_keras.data.file_cache import file_stamp


def fingerprint(train, val) -> dict:
    """Return what tells one dataset from another, for `config.json`.

    Args:
        train: Training split.
        val: Validation split.

    Returns:
        `class_names`, `coding`, and for each split the number of `pictures`
        and a hash of their `files`: names within the data's folder, and sizes.
    """
    names = list(getattr(train.info, "class_names", ()))
    facts = {"class_names": names, "coding": label_coding(train.info)}
    for name, split in (("train", train), ("val", val)):
        facts[name] = {"pictures": len(split)}
        if pairs := getattr(split, "pairs", None):
            facts[name]["files"] = _files_hash(pairs)
    return facts


def _files_hash(pairs):
    """Return a hash of names and sizes that a moved folder keeps."""
    files = [file for pair in pairs for file in pair]
    paths = [os.path.abspath(getattr(file, "path", file)) for file in files]
    root = os.path.commonpath(paths)
    lines = [
        f"{os.path.relpath(path, root)} {(file_stamp((path,)) or [None])[0]}"
        for path in paths
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def differences(ours: dict, theirs: dict) -> list[str]:
    """Return what differs between the data of two runs, in words.

    Args:
        ours: Fingerprint of the data at hand.
        theirs: Fingerprint that an earlier run recorded.

    Example:

    >>> ours = {"class_names": ["a"], "train": {"pictures": 3}}
    >>> differences(ours, {"class_names": ["b"], "train": {"pictures": 3}})
    ['classes a (there: b)']
    """
    said = []
    ours_names, names = (x.get("class_names", ()) for x in (ours, theirs))
    if [*ours_names] != [*names]:
        said.append(
            f"classes {', '.join(ours_names)} (there: {', '.join(names)})"
        )
    if ours.get("coding") != theirs.get("coding"):
        said.append(
            f"meaning of labels' values {json.dumps(ours.get('coding'))} "
            f"(there: {json.dumps(theirs.get('coding'))})"
        )
    for split in ("train", "val"):
        one, other = ours.get(split, {}), theirs.get(split, {})
        if one.get("pictures") != other.get("pictures"):
            said.append(
                f"{one.get('pictures')} pictures of {split} (there: "
                f"{other.get('pictures')})"
            )
        elif one != other:
            said.append(f"other files in {split}, by their names and sizes")
    return said
