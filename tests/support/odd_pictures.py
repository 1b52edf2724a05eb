"""Pictures as people have them and Pillow does not write them."""

import struct
import zlib

import numpy as np
from PIL import Image


def exif(orientation):
    """Return tags that turn a picture."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png(size, depth, color, pixels):
    """Return the bytes of a PNG.

    Args:
        size: Width and height that its header claims.
        depth: Bits of a sample.
        color: Kind of color: 0 grey, 2 RGB.
        pixels: Bytes of its rows, each behind a 0.
    """
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(pixels)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        crc = zlib.crc32(kind + content)
        data += struct.pack(">I", len(content)) + kind + content
        data += struct.pack(">I", crc)
    return data


def damaged(data, count, seed=0):
    """Yield a file's bytes with some changed, cut or doubled."""
    random = np.random.default_rng(seed)
    for index in range(count):
        changed = bytearray(data)
        for _ in range(1 + index % 4):
            changed[random.integers(len(data))] = random.integers(256)
        if index % 5 == 0:
            del changed[random.integers(1, len(changed)) :]
        if index % 7 == 0:
            changed += changed[: random.integers(len(changed))]
        yield bytes(changed)
