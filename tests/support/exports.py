"""Small exports as labelling tools write them, all of the same scenes.

Each function writes one into a folder and returns its class names. What a
label must hold, `truth` says: the formats differ, the scenes do not.
"""

import csv
import json
import os
import pathlib

import numpy as np
from PIL import Image

NAMES = ("road", "car", "person")
COLORS = ((128, 64, 128), (0, 0, 142), (220, 20, 60))
TRAIN, COUNT = 6, 8
HEIGHT, WIDTH = 64, 80


def boxes(index):
    """Return what a scene shows: left, top, right, bottom of each class."""
    return (
        ("road", (0, 8, WIDTH, HEIGHT)),
        ("car", (4 + 2 * index, 12, 30 + 2 * index, 36)),
        ("person", (50 - index, 40, 58 - index, 60)),
    )


def values(index):
    """Return the scene's classes from 1, and 0 where nobody labelled."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (_, (left, top, right, bottom)) in enumerate(boxes(index), 1):
        label[top:bottom, left:right] = value
    return label


def truth(name):
    """Return a scene's classes from 1, by the name of its image."""
    return values(int(pathlib.Path(name).name.split("street_")[1][:2]))


def photo(index):
    """Return the scene's picture: each class in a brightness of its own."""
    noise = np.random.default_rng(index).integers(0, 40, (HEIGHT, WIDTH, 3))
    return Image.fromarray((values(index)[..., None] * 60 + noise).astype("u1"))


def save(image, *parts):
    path = pathlib.Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write(text, *parts):
    path = pathlib.Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def grey(label):
    return Image.fromarray(label)


def colored(label, background=(0, 0, 0)):
    return Image.fromarray(np.array([background, *COLORS], np.uint8)[label])


def paletted(label):
    image = Image.fromarray(label)
    image.putpalette([*(0, 0, 0), *(c for color in COLORS for c in color)])
    return image


def images_masks(folder):
    for i in range(COUNT):
        stem = f"street_{i:02d}"
        save(photo(i), folder, "images", f"{stem}{('.jpg', '.PNG')[i % 2]}")
        save(grey(values(i)), folder, "masks", f"{stem}_mask.png")
    return ["class_0", "class_1", "class_2", "class_3"]


def splits_outside(folder):
    """Write train/images and train/masks, with names of their own."""
    for i in range(COUNT):
        split = "train" if i < TRAIN else "valid"
        save(photo(i), folder, split, "images", f"street_{i:02d}.jpg")
        save(
            paletted(values(i)), folder, split, "labels", f"street_{i:02d}.png"
        )
    write("sky\nroad\ncar\nperson\n", folder, "classes.txt")
    return ["sky", *NAMES]


def cvat(folder):
    for i in range(COUNT):
        save(photo(i), folder, "JPEGImages", f"street_{i:02d}.jpg")
        for kind in ("Class", "Object"):
            mask = colored(values(i))
            save(mask, folder, f"Segmentation{kind}", f"street_{i:02d}.png")
    stems = "".join(f"street_{i:02d}\n" for i in range(COUNT))
    write(stems, folder, "ImageSets", "Segmentation", "default.txt")
    rows = [
        f"{name}:{','.join(map(str, color))}::\n"
        for name, color in zip(NAMES, COLORS, strict=True)
    ]
    head = "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
    write(head + "".join(rows), folder, "labelmap.txt")
    return ["background", *NAMES]


def voc(folder):
    """Write what labelme2voc.py writes, with the lists of PASCAL VOC."""
    for i in range(COUNT):
        stem = f"street_{i:02d}"
        save(photo(i), folder, "JPEGImages", f"{stem}.jpg")
        (folder / "SegmentationClass").mkdir(exist_ok=True)
        np.save(folder / "SegmentationClass" / f"{stem}.npy", values(i))
        save(paletted(values(i)), folder, "SegmentationClassPNG", f"{stem}.png")
        save(photo(i), folder, "SegmentationClassVisualization", f"{stem}.jpg")
    write("_background_\n" + "\n".join(NAMES), folder, "class_names.txt")
    for split, part in (("train", range(TRAIN)), ("val", range(TRAIN, COUNT))):
        stems = "\n".join(f"street_{i:02d}" for i in part)
        write(stems, folder, "ImageSets", "Segmentation", f"{split}.txt")
    return ["background", *NAMES]


def roboflow(folder):
    for i in range(COUNT):
        split = "train" if i < TRAIN else "valid"
        stem = f"street_{i:02d}_jpg.rf.{i:032x}"
        save(photo(i), folder, split, f"{stem}.jpg")
        save(grey(values(i)), folder, split, f"{stem}_mask.png")
    rows = "".join(f"{i}, {name}\n" for i, name in enumerate(NAMES, 1))
    for split in ("train", "valid"):
        text = f"Pixel Value, Class\n0, background\n{rows}"
        write(text, folder, split, "_classes.csv")
    write("Roboflow exported this.", folder, "README.roboflow.txt")
    return ["background", *NAMES]


def supervisely(folder):
    for i in range(COUNT):
        name, data = f"street_{i:02d}.jpg", folder / "project" / "ds0"
        save(photo(i), data, "img", name)
        equal = Image.fromarray(np.stack([values(i)] * 3, -1))
        save(equal, data, "masks_machine", f"street_{i:02d}.png")
        save(photo(i), data, "masks_human", f"street_{i:02d}.png")
        write({"size": {}, "objects": []}, data, "ann", f"{name}.json")
    table = {name: [i] * 3 for i, name in enumerate(NAMES, 1)}
    write(table, folder, "project", "obj_class_to_machine_color.json")
    classes = [
        {"title": name, "shape": "bitmap", "color": "#" + bytes(color).hex()}
        for name, color in zip(NAMES, COLORS, strict=True)
    ]
    write({"classes": classes, "tags": []}, folder, "project", "meta.json")
    return ["background", *NAMES]


def mapillary(folder):
    """Write the folders of Vistas 2.0, which holds the older labels too."""
    for i in range(COUNT):
        part = folder / ("training" if i < TRAIN else "validation")
        save(photo(i), part, "images", f"street_{i:02d}.jpg")
        save(grey(values(i) * 0), part, "v1.2", "labels", f"street_{i:02d}.png")
        for kind in ("labels", "instances", "panoptic"):
            save(paletted(values(i)), part, "v2.0", kind, f"street_{i:02d}.png")
    save(photo(9), folder, "testing", "images", "street_09.jpg")
    labels = [
        {"name": f"object--{n}", "readable": n.title(), "color": c}
        | {"evaluate": n != "none", "instances": False}
        for n, c in zip(("none", *NAMES), ((0, 0, 0), *COLORS), strict=True)
    ]
    write({"labels": labels[:1]}, folder, "config_v1.2.json")
    write({"labels": labels, "version": "2.0"}, folder, "config_v2.0.json")
    return ["Road", "Car", "Person"]


def label_studio(folder):
    """Write a PNG for each class of a task, and the JSON export beside."""
    tasks = []
    for i in range(COUNT):
        name = f"{i:08x}-street_{i:02d}.jpg"
        save(photo(i), folder, "images", f"street_{i:02d}.jpg")
        tasks.append(
            {"id": 30 + i, "data": {"image": f"/data/upload/1/{name}"}}
        )
        for value, class_name in enumerate(NAMES, 1):
            brush = np.where(values(i) == value, 255, 0).astype(np.uint8)
            stem = f"task-{30 + i}-annotation-{i}-by-1-tag-{class_name}-0"
            save(grey(brush), folder, "brushes", f"{stem}.png")
    write(tasks, folder, "project-1-at-2026-11-27.json")
    return ["background", "car", "person", "road"]


def polygon(box):
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def run_lengths(mask):
    """Return COCO's runs of a mask, of zeros first, column by column."""
    flat = mask.T.reshape(-1)
    ends = [*np.flatnonzero(np.diff(flat)) + 1, len(flat)]
    runs = np.diff([0, *ends]).tolist()
    return runs if not flat[0] else [0, *runs]


def compressed(runs):
    """Return runs as COCO's tools compress them."""
    text = ""
    for index, run in enumerate(runs):
        rest = run - (runs[index - 2] if index > 2 else 0)
        more = True
        while more:
            piece, rest = rest & 31, rest >> 5
            more = rest != (-1 if piece & 16 else 0)
            text += chr((piece | 32 if more else piece) + 48)
    return text


def coco(folder):
    """Write COCO's files: a polygon, runs, and compressed runs, a crowd."""
    for split, part in (("train", range(TRAIN)), ("val", range(TRAIN, COUNT))):
        images, annotations = [], []
        for i in part:
            name = f"street_{i:02d}.jpg"
            save(photo(i), folder, split, name)
            size = {"height": HEIGHT, "width": WIDTH}
            images.append({"id": i, "file_name": name} | size)
            for number, (class_name, box) in enumerate(boxes(i)):
                mask = np.zeros((HEIGHT, WIDTH), bool)
                mask[box[1] : box[3], box[0] : box[2]] = True
                runs = run_lengths(mask)
                counts = {"size": [HEIGHT, WIDTH], "counts": runs}
                outlines = (
                    [polygon(box)],
                    counts,
                    counts | {"counts": compressed(runs)},
                )
                annotations.append(
                    {"id": len(annotations), "image_id": i, "iscrowd": 0}
                    | {"category_id": 5 + 2 * NAMES.index(class_name)}
                    | {"segmentation": outlines[number]}
                )
        categories = [{"id": 5 + 2 * i, "name": n} for i, n in enumerate(NAMES)]
        content = {"images": images, "annotations": annotations}
        content |= {"categories": categories}
        write(content, folder, "annotations", f"instances_{split}2017.json")
    return ["background", *NAMES]


def yolo(folder):
    for i in range(COUNT):
        split = "train" if i < TRAIN else "valid"
        save(photo(i), folder, split, "images", f"street_{i:02d}.jpg")
        lines = []
        for class_name, box in boxes(i):
            shares = np.reshape(polygon(box), (-1, 2)) / (WIDTH, HEIGHT)
            numbers = " ".join(f"{share:.9f}" for share in shares.reshape(-1))
            lines.append(f"{NAMES.index(class_name)} {numbers}")
        write("\n".join(lines), folder, split, "labels", f"street_{i:02d}.txt")
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(NAMES))
    write(
        "path: ../datasets/street\ntrain: ../train/images\n"
        f"val: ../valid/images\nnc: 3\nnames:\n{names}\n",
        folder,
        "data.yaml",
    )
    return ["background", *NAMES]


def kaggle(folder):
    """Write CamVid's copy on Kaggle: train, train_labels, ..._L.png."""
    for i in range(COUNT):
        split = "train" if i < TRAIN else "val"
        save(photo(i), folder, split, f"street_{i:02d}.png")
        labels = folder / f"{split}_labels"
        save(colored(values(i)), labels, f"street_{i:02d}_L.png")
    with (folder / "class_dict.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "r", "g", "b"))
        writer.writerow(("Void", 0, 0, 0))
        for name, color in zip(NAMES, COLORS, strict=True):
            writer.writerow((name, *color))
    return list(NAMES)


EXPORTS = {
    export.__name__: export
    for export in (
        *(images_masks, splits_outside, cvat, voc, roboflow, supervisely),
        *(mapillary, label_studio, coco, yolo, kaggle),
    )
}


def os_walk_backwards():
    """Return `os.walk` with names in another order than the usual one."""

    def walk(*args, _walk=os.walk, **options):
        for place, folders, names in _walk(*args, **options):
            folders.sort(reverse=True)
            yield place, folders, sorted(names, reverse=True)

    return walk
