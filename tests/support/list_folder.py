"""A segmentation dataset as a folder of list files."""

import json

import numpy as np
from PIL import Image


def write_folder(folder, count=5, size=(48, 64), classes=3):
    """Write a folder of list files with random images; return its name."""
    random = np.random.default_rng(0)
    names = {"images": [], "labels": []}
    for index in range(count):
        image = random.integers(0, 256, (*size, 3), np.uint8)
        label = random.integers(0, classes, size).astype(np.uint8)
        for kind, picture in (("images", image), ("labels", label)):
            names[kind].append(f"{kind}_{index}.png")
            Image.fromarray(picture).save(folder / names[kind][-1])
    for split in ("train", "val"):
        for kind, files in names.items():
            (folder / f"{split}_{kind}.txt").write_text("\n".join(files))
    info = {"class_names": ["a", "b", "c"][:classes], "ignore_label": classes}
    (folder / "info.json").write_text(json.dumps(info))
    return str(folder)
