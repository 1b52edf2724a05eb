"""Three images with boxes, as COCO, PASCAL VOC and YOLO write them."""

import json

from PIL import Image

HEIGHT, WIDTH = 40, 60
# Image -> rows of a class, top, left, bottom and right.
TRUTH = {
    "a": [("car", 4, 6, 20, 30), ("dog", 10, 40, 36, 56)],
    "b": [("dog", 0, 0, 12, 20)],
    "c": [],
}
NAMES = ["car", "dog"]


def pictures(folder):
    """Write the images, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TRUTH:
        Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(
            folder / f"{name}.png"
        )


def coco(folder, **changes):
    pictures(folder / "images")
    table = {
        "images": [
            {"id": i, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH}
            for i, n in enumerate(TRUTH)
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [],
    }
    for i, rows in enumerate(TRUTH.values()):
        for name, top, left, bottom, right in rows:
            entry = {
                "id": len(table["annotations"]),
                "image_id": i,
                "category_id": {"car": 3, "dog": 7}[name],
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
            table["annotations"].append({**entry, **changes})
            changes = {}
    (folder / "train.json").write_text(json.dumps(table))


def voc(folder, spoiled=None):
    pictures(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for name, rows in TRUTH.items():
        objects = ""
        for kind, *box in rows:
            box, spoiled = spoiled or box, None
            sides = zip(("ymin", "xmin", "ymax", "xmax"), box, strict=True)
            corners = "".join(f"<{k}>{v}</{k}>" for k, v in sides)
            objects += f"<object><name>{kind}</name><difficult>0</difficult>"
            objects += f"<bndbox>{corners}</bndbox></object>"
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        text = f"<annotation>{size}{objects}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)


def yolo(folder):
    pictures(folder / "images")
    (folder / "labels").mkdir()
    (folder / "data.yaml").write_text("names: [car, dog]\n")
    for name, rows in TRUTH.items():
        lines = ""
        for kind, top, left, bottom, right in rows:
            x, y = (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT
            sides = (right - left) / WIDTH, (bottom - top) / HEIGHT
            lines += f"{NAMES.index(kind)} {x} {y} {sides[0]} {sides[1]}\n"
        if lines:  # an image without objects has no file
            (folder / "labels" / f"{name}.txt").write_text(lines)
