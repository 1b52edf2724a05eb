"""Finds pictures that train and val share, or nearly: a score would not know.

Each picture becomes 256 bits that survive another size, light or compression;
pictures are alike where few bits differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dla_keras.choices import spread
from dla_keras.data.checks import Finding
from dla_keras.data.file_cache import Fault
from dla_keras.data.file_cache import file_stamp
from dla_keras.data.file_cache import remembered
from dla_keras.data.pictures import decode
from dla_keras.data.pictures import open_header
from dla_keras.data.pictures import read_rgb

# Bits of 256 in which two pictures differ that are nearly the same. Copies of
# half the size or a third more light differ in 28 at most, with a hundredth cut
# off in 34; the two of 3,600 small photographs that are most alike in 51.
NEAR = 36
PLAIN = 16  # set bits of a picture that shows too little to compare
MOST = 10_000  # pictures of a split that are compared with the other's


def picture_hashes(paths: Sequence, name: str) -> list:
    """Return the dHash of each picture, or a `Fault`.

    Args:
        paths: Paths of pictures.
        name: Name of the split, for the cache.
    """
    names = [str(path) for path in paths]
    stamps = [file_stamp((path,)) for path in paths]
    work = lambda index: picture_hash(paths[index])
    return remembered(("dhash", name), names, stamps, work)


def picture_hash(path) -> str:
    """Return 256 bits of a picture, in hexadecimal digits: its dHash.

    A bit says whether a picture shrunk to 17x16 grows lighter to the right, so
    that another size, light or compression changes few of them.

    Args:
        path: Path of the picture.

    Raises:
        ValueError: If it cannot be read.
    """
    small = _shrunk(path).resize((17, 16), Image.Resampling.BOX)
    pixels = np.asarray(small, np.int16)
    return np.packbits(pixels[:, 1:] > pixels[:, :-1]).tobytes().hex()


def _shrunk(path):
    """Return a grey picture; a large JPEG is decoded at an eighth, quickly."""
    header = open_header(path)
    if header.format != "JPEG" or min(header.size) < 256:
        header.close()
        return Image.fromarray(read_rgb(path)).convert("L")
    header.draft("L", (header.width // 8, header.height // 8))
    return decode(header, path).convert("L")


def near_duplicates(train: Sequence, val: Sequence) -> list[tuple]:
    """Return pictures of `val` that `train` has, too, or nearly.

    Args:
        train: Hashes of the training pictures, from `picture_hashes`.
        val: Hashes of the validation pictures.

    Returns:
        Number of bits that differ, index in `val`, index in `train`, the most
        alike first.

    Example:

    >>> near_duplicates(["00ff" * 16, "0f0f" * 16], ["0fff" + "0f0f" * 15])
    [(4, 0, 1)]
    """
    theirs, their_bits = _signs(train)
    ours, our_bits = _signs(val)
    found = []
    for first in range(0, len(ours) if len(theirs) else 0, 256):
        # Signs that are alike less those that are not, of 256.
        alike = our_bits[first : first + 256] @ their_bits.T
        for row, values in enumerate(alike, start=first):
            nearest = int(values.argmax())
            bits = int(256 - values[nearest]) // 2
            if bits <= NEAR:
                found.append((bits, ours[row], theirs[nearest]))
    return sorted(found)


def _signs(hashes):
    """Return the indices of hashes that say something, and their bits as 1, -1.

    float32 `(number, 256)`, whose products BLAS makes quickly.
    """
    good = [i for i, row in enumerate(hashes) if not isinstance(row, Fault)]
    packed = bytes.fromhex("".join(hashes[i] for i in good))
    bits = np.unpackbits(np.frombuffer(packed, np.uint8)).reshape(-1, 256)
    shows = np.abs(bits.sum(1, dtype=int) - 128) <= 128 - PLAIN
    index = [i for i, show in zip(good, shows, strict=True) if show]
    return index, bits[shows] * np.float32(2) - 1


@dataclass(frozen=True)
class Twins:
    """Pictures of `val` that `train` has too, and what went wrong meanwhile.

    Args:
        pairs: Bits that differ, path in `val`, path in `train`.
        unread: Message of each picture that cannot be decoded.
        notes: Lines on how they were looked for.
        total: Number of pictures of `val` that were looked for.
    """

    pairs: list
    unread: list
    notes: list
    total: int

    @property
    def findings(self) -> list:
        """Return a finding for each kind of what there is."""
        found = []
        if self.unread:
            count, first = len(self.unread), self.unread[0]
            what = f"{count} pictures" if count > 1 else "A picture"
            more = f" (and {count - 1} more)" if count > 1 else ""
            message = f"{what} cannot be decoded: {first}{more}"
            found.append(Finding("broken", message, True))
        if self.pairs:
            _, ours, theirs = self.pairs[0]
            message = (
                f"{len(self.pairs)} of {self.total} pictures of val are in "
                f"train, too, or nearly, for instance {ours} and {theirs}: "
                "the scores will be too good. Keep one place, day or video "
                "in one split."
            )
            found.append(Finding("duplicates", message, False))
        return found


def compare_pictures(train, val, faults=()) -> Twins:
    """Return what two splits share; pictures are decoded for it.

    Args:
        train: Paths of the training pictures.
        val: Paths of the validation pictures.
        faults: Messages about some of them, which need no other. Defaults to
            none.
    """
    if not (train and val):
        note = "Pictures that are no files are not compared."
        return Twins([], [], [note], 0)
    notes = []
    if max(len(train), len(val)) > MOST:
        notes.append(f"{MOST} pictures of a split were compared, at most.")
    train, val = spread(train, MOST), spread(val, MOST)
    theirs, ours = picture_hashes(train, "train"), picture_hashes(val, "val")
    pairs = [
        (bits, val[i], train[j]) for bits, i, j in near_duplicates(theirs, ours)
    ]
    known = "\n".join(faults)
    unread = [
        row
        for path, row in zip((*train, *val), (*theirs, *ours), strict=True)
        if isinstance(row, Fault) and str(path) not in known
    ]
    return Twins(pairs, unread, notes, len(val))
