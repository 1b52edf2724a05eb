"""Boxes that are faulty, as YOLO, COCO and PASCAL VOC write them."""

from attack import Attack
from attack_changes import cut
from attack_changes import gone
from attack_changes import picture
from attack_changes import printed
from attack_changes import raw
from attack_changes import text
from attack_ground import NET
from attack_ground import scene

AREA = "boxes: COCO, PASCAL VOC, YOLO"

CHECK = "check things --output page.html"
TRAIN = f"train-det --dataset things {NET} --run-dir new --steps 1"
PICTURES = tuple(
    picture(f"things/images/{split}/s{i}.png", scene(i)[0])
    for i, split in enumerate(("train", "train", "val"))
)
LABEL = "things/labels/train/s1.txt"
WHOLE = tuple(
    text(f"things/labels/{split}/s{i}.txt", "0 .3 .5 .2 .2\n1 .6 .6 .2 .3\n")
    for i, split in enumerate(("train", "train", "val"))
)
YOLO = (*PICTURES, *WHOLE, text("things/data.yaml", "names: [car, sky]\n"))
JSON = "things/boxes.json"
XML = (
    "<annotation><size><width>64</width><height>64</height></size><object>"
    "<name>car</name><bndbox><xmin>4</xmin><ymin>8</ymin><xmax>30</xmax>"
    "<ymax>40</ymax></bndbox></object></annotation>"
)


def yolo(wrong, change, *names, call=CHECK, right=None):
    changes = change if isinstance(change, tuple) else (change,)
    return Attack(wrong, call, names or ("s1.txt",), (*YOLO, *changes), right)


def line(wrong, content, *names, **settings):
    return yolo(wrong, text(LABEL, content), *names, **settings)


def coco(wrong, *names, **values):
    """Return COCO's json of which an annotation, or a list, is another one."""
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [4, 8, 20, 30]}
    box |= {key: x for key, x in values.items() if key in box}
    table = {
        "images": [
            {"id": i, "file_name": f"s{i}.png", "width": 64, "height": 64}
            for i in range(3)
        ],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [box],
    }
    table |= {key: x for key, x in values.items() if key in table}
    return Attack(
        wrong, CHECK, names or ("boxes.json",), (*PICTURES, text(JSON, table))
    )


def voc(wrong, old, new, *names):
    changes = (
        text(f"things/s{i}.xml", XML.replace(old, new) if i == 1 else XML)
        for i in range(3)
    )
    return Attack(wrong, CHECK, names or ("s1.xml",), (*PICTURES, *changes))


# fmt: off
ATTACKS = [
    yolo("boxes that are whole", (), "nothing", right=printed("train-det", "| car ")),
    line("a box of a class that is none", "7 .3 .5 .2 .2\n"),
    line("a box of a class below zero", "-1 .3 .5 .2 .2\n"),
    line("a box of a named class", "car .3 .5 .2 .2\n"),
    line("a box of three numbers", "0 .3 .5 .2\n"),
    line("a box of no number", "0 nan .5 .2 .2\n"),
    line("a box without an end", "0 .5 .5 inf .2\n"),
    line("a box of a huge number", "0 .5 .5 1e300 .2\n", "s1.txt", "outside"),
    line("a box in pixels", "0 20 30 12 12\n", "s1.txt", "outside"),
    line("a box in reverse", "0 .5 .5 -.2 .2\n", "s1.txt", "reverse"),
    line("a box of no area", "0 .5 .5 0 .2\n0 .5 .5 .2 .2\n", "s1.txt", right=printed("warning: Boxes of train have no area", "s1.txt")),
    line("boxes of a picture's bytes", scene(1)[0].tobytes().decode("latin1")),
    yolo("boxes in another encoding", raw(LABEL, b"0 .3 .5 .2 .2\xff\n")),
    yolo("a picture of boxes cut short", cut("things/images/train/s1.png", 0.5), "s1.png"),
    yolo("boxes without their picture", gone("things/images/train/s1.png"), "s1"),
    yolo("no boxes at all", (gone("things/labels/train"), gone("things/labels/val")), "things"),
    yolo("a class that no box is of", text("things/data.yaml", "names: [car, sky, bus]\n"), "bus", "--allow absent-classes"),
    yolo("names of boxes that are a number", text("things/data.yaml", "names: 2\n"), "data.yaml"),
    yolo("faulty boxes in training", text(LABEL, "0 20 30 12 12\n"), "s1.txt", "dla-keras check --task detection", call=TRAIN),
    coco("a box of a category that is none", category_id=9),
    coco("a box of an image that is none", image_id=9),
    coco("a box of words", bbox="here"),
    coco("a box of two numbers", bbox=[1, 2]),
    coco("a box of nothing", bbox=None),
    coco("an image of boxes that is not there", images=[{"id": 0, "file_name": "x.png", "width": 64, "height": 64}]),
    coco("an image of another size than its boxes say", "s0.png", images=[{"id": 0, "file_name": "s0.png", "width": 32, "height": 64}]),
    coco("boxes without a category", "things", categories=[]),
    voc("XML that ends early", "</bndbox></object></annotation>", ""),
    voc("XML of a box without a side", "<xmin>4</xmin>", ""),
    voc("XML of a box of words", "<xmin>4</xmin>", "<xmin>four</xmin>"),
    voc("XML of an object without a name", "<name>car</name>", ""),
    voc("XML in reverse", "<xmin>4</xmin>", "<xmin>50</xmin>", "s1.xml", "reverse"),
    voc("XML of another size", "<width>64</width>", "<width>32</width>", "s1.png"),
    voc("XML that grows to gigabytes", "<annotation>", '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)) + "]><annotation><name>&j;</name>"),
]
# fmt: on
