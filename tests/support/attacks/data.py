"""Labels, pictures, lists and info.json of segmentation that are faulty."""

import io
import struct
import zlib

import numpy as np
from attack import Attack
from attack_changes import array
from attack_changes import changed
from attack_changes import cut
from attack_changes import doubled
from attack_changes import every
from attack_changes import flipped
from attack_changes import folder
from attack_changes import gone
from attack_changes import link
from attack_changes import moved
from attack_changes import picture
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import relabelled
from attack_changes import said
from attack_changes import sparse
from attack_changes import text
from attack_changes import there
from attack_ground import NET
from attack_ground import scene
from odd_pictures import exif
from odd_pictures import png
from PIL import Image

AREA = "segmentation data: info.json, lists, pictures, labels"

CHECK = "check seg --output page.html"
LISTS = "check lists --output page.html"
TRAIN = f"train-seg --dataset seg {NET} --run-dir new --steps 1"
FROM_LISTS = f"train-seg --dataset lists {NET} --run-dir new --steps 1"
INFO = "seg/info.json"
IMAGE, LABEL = "seg/train/images/s1.png", "seg/train/masks/s1.png"

PHOTO, IDS = scene(1)
READ = printed("road", "car", "sky", "6")


def info(wrong, content, *names, call=CHECK, encoding="utf-8"):
    changes = text(INFO, content, encoding)
    return Attack(wrong, call, names or ("info.json",), changes)


def label(wrong, change, *names, call=CHECK):
    return Attack(wrong, call, names or ("s1.png",), change)


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    size = struct.pack(">I", len(content))
    return size + kind + content + struct.pack(">I", crc)


def with_chunk(kind, content):
    """Return a change that puts a chunk behind the header of a PNG."""
    return lambda data: data[:33] + chunk(kind, content) + data[33:]


def encoded(image, name, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, **options)
    return buffer.getvalue()


def two_people(ids, index):
    """Return a mask of 0 and 1 with an edge to ignore, or of 0 and 255."""
    mask = np.where(ids == 1, 1 if index % 2 else 255, 0).astype(np.uint8)
    if index % 2:
        mask[:2] = 255
    return mask


NAMED = {"class_names": ["road", "car", "sky"]}

# fmt: off
ATTACKS = [
    # --- info.json ---
    info("info.json of a number", "7"),
    info("info.json of a text", '"road, car, sky"'),
    info("info.json of nothing", ""),
    info("info.json of blanks", " \n\t"),
    info("info.json of half an object", '{"class_names": ["road", "car"'),
    info("info.json with a comma too many", '{"classes": 3,}'),
    info("info.json with a remark", '{"classes": 3 // road, car, sky\n}'),
    info("info.json in quotes of Python", "{'classes': 3}"),
    info("info.json of arrays without end", '{"classes": ' + "[" * 50_000),
    info("info.json in EBCDIC", '{"classes": 3}', encoding="cp500"),
    info("no classes", '{"class_names": {}}', "info.json", "class_names"),
    info("half a class", '{"classes": 2.5}', "info.json", "classes"),
    info("truth as classes", '{"classes": true}', "info.json", "classes"),
    info("minus three classes", '{"classes": -3}', "info.json", "classes"),
    info("more classes than bytes", '{"classes": 256}', "info.json"),
    info("a class without letters", '{"names": ["road", " ", "sky"]}'),
    info("a class of two lines", '{"names": ["road", "c\\nar", "sky"]}'),
    info("a class that rings", '{"names": ["road", "c\\u0007ar", "sky"]}'),
    info("half a surrogate", '{"names": ["road", "\\ud800", "sky"]}'),
    info("a class twice", '{"names": ["road", "sky", "sky"]}', "names"),
    info("names of numbers", '{"names": [1, 2, 3]}', "names"),
    info("names by halves", '{"names": {"0": "a", "0.5": "b"}}', "names"),
    info("two names for a value", '{"names": {"1": "a", "01": "b"}}', "names"),
    info("two counts", '{"classes": 3, "names": ["a", "b"]}', "differ"),
    info("a key with a slip", '{"clas_names": ["a", "b"]}', "clas_names"),
    info("a key twice", '{"classes": 3, "classes": 2}', "classes", "twice"),
    info("a color too few", {**NAMED, "palette": ["#ff0000"]}, "palette"),
    info("a color of words", {**NAMED, "palette": ["red"] * 3}, "palette"),
    info("a color of halves", {**NAMED, "palette": [[0.5, 0, 0]] * 3}, "palette"),
    info("colors of nobody", {**NAMED, "colors": {"bus": "#010203"}}, "bus"),
    info("a value of no class", {**NAMED, "label_values": {"0": "bus"}}, "bus"),
    info("a class of no value", {**NAMED, "label_values": {"0": 9}}, "9"),
    info("no values", {**NAMED, "label_values": []}, "label_values"),
    info("values in words", {**NAMED, "label_values": {"a": "b"}}, "label_values"),
    info("a class that is ignored", {**NAMED, "ignore_label": 2}, "sky"),
    info("an ignored word", {**NAMED, "ignore_label": "void"}, "ignore_label"),
    info("an ignored 256", {**NAMED, "ignore_label": 256}, "ignore_label"),
    info("an ignored color of five", {**NAMED, "ignored": "#12345"}, "ignored"),
    info("a mean of bytes", {**NAMED, "mean": [123, 117, 104]}, "mean"),
    info("a mean of two", {**NAMED, "mean": [0.5, 0.5]}, "mean"),
    info("no deviation", {**NAMED, "std": [0, 0.2, 0.2]}, "std"),
    info("a mean of 1e400", '{"classes": 3, "mean": [1e400, 0, 0]}', "mean"),
    info("info.json for training", '{"classes": "three"}', call=TRAIN),
    Attack("info.json is a folder", CHECK, "info.json", (gone(INFO), folder(INFO))),
    Attack("info.json is a pipe", CHECK, "info.json", pipe(INFO)),
    Attack("info.json in a circle", CHECK, "info.json", link(INFO, "info.json")),
    Attack("info.json of 12 GB", CHECK, "info.json", sparse(INFO, 12 << 30)),
    Attack("info.json in UTF-32", CHECK, (), text(INFO, NAMED, "utf-32"), READ),
    Attack("info.json with its mark", CHECK, (), text(INFO, NAMED, "utf-8-sig"), READ),
    Attack("names of other alphabets", CHECK, (), text(INFO, {"names": ["дорога", "車", "🛩"]}), printed("дорога", "車", "🛩")),
    # --- lists ---
    Attack("a list names what is not there", FROM_LISTS, ("image_99.png", "line 2"), text("lists/train_images.txt", "image_0.png\nimage_99.png\n" * 3)),
    Attack("a list is shorter", LISTS, ("train_labels.txt", "6", "5"), changed("lists/train_labels.txt", lambda d: d[:-12])),
    Attack("a list of blanks", LISTS, "val_images.txt", text("lists/val_images.txt", " \n\n")),
    Attack("a list of zeros", LISTS, "train_images.txt", raw("lists/train_images.txt", bytes(99))),
    Attack("a list is a folder", LISTS, "train_images.txt", (gone("lists/train_images.txt"), folder("lists/train_images.txt"))),
    Attack("a list of 12 GB", LISTS, "train_images.txt", sparse("lists/train_images.txt", 12 << 30)),
    Attack("a list is missing", LISTS, "val_labels.txt", gone("lists/val_labels.txt")),
    Attack("a list names folders", LISTS, "lists", text("lists/train_images.txt", ".\n" * 6)),
    Attack("a list with remarks", LISTS, "train_images.txt", changed("lists/train_images.txt", lambda d: b"# pictures\n" + d)),
    Attack("a list in another order", LISTS, "--allow other-names", changed("lists/train_labels.txt", lambda d: b"".join(reversed(d.splitlines(True))))),
    Attack("lists of Windows in UTF-16", LISTS, (), changed("lists/train_images.txt", lambda d: d.decode().replace("\n", "\r\n").encode("utf-16")), READ),
    Attack(
        "a list that validates what trains",
        LISTS,
        (),
        (
            doubled("lists/train_images.txt", "val_images.txt"),
            doubled("lists/train_labels.txt", "val_labels.txt"),
        ),
        printed("warning", "train"),
    ),
    # --- pictures ---
    label("a picture that is a text", text(IMAGE, "street")),
    label("a picture of no bytes", raw(IMAGE, b""), call=TRAIN),
    label("a picture cut off", cut(IMAGE, 0.5), call=TRAIN),
    label("a picture with a wrong bit", flipped(IMAGE, 0.6), call=TRAIN),
    label("a label cut off", cut(LABEL, 0.6)),
    label("a label with a wrong bit", flipped(LABEL, 0.7)),
    label("a picture of 65 bytes and gigapixels", raw(IMAGE, png((60_000, 60_000), 8, 2, b"")), "s1.png", "pixels"),
    label("a label of 65 bytes and gigapixels", raw(LABEL, png((60_000, 60_000), 8, 0, b"")), "s1.png", "pixels"),
    label("a picture without width", raw(IMAGE, png((0, 64), 8, 2, b""))),
    label("PostScript in a PNG's name", raw(IMAGE, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")),
    label("an icon in a PNG's name", raw(IMAGE, encoded(PHOTO, "ICO"))),
    label("SVG in a PNG's name", text(LABEL, '<svg width="64" height="64"/>')),
    label("a picture is a pipe", pipe(IMAGE)),
    label("a label is a pipe", pipe(LABEL), call=TRAIN),
    label("a picture is a folder", (gone(IMAGE), folder(IMAGE))),
    label("a picture is a link to nothing", link(IMAGE, "../nothing.png")),
    label("a picture is a link to itself", link(IMAGE, "s1.png"), call=TRAIN),
    label("a picture without end", link(IMAGE, "/dev/zero")),
    label("a picture of floats", (gone(IMAGE), picture("seg/train/images/s1.tif", PHOTO[..., 0].astype("f4"))), "s1.tif", call=TRAIN),
    label("a label of another size", picture(LABEL, IDS[:60]), "s1.png", "60"),
    label("a label lying on its side", picture(LABEL, IDS[:, :48]), "s1.png"),
    label("a picture turned by its EXIF", picture(IMAGE, PHOTO[:48], exif=exif(6)), "s1.png"),
    label("a label as JPEG", (gone(LABEL), picture("seg/train/masks/s1.jpg", IDS)), "s1.jpg"),
    label("JPEG in the name of a PNG label", raw(LABEL, encoded(IDS, "JPEG"))),
    label("a label as lossy WebP", (gone(LABEL), picture("seg/train/masks/s1.webp", np.stack([IDS] * 3, -1))), "s1.webp"),
    label("a label with a strange id", relabelled(LABEL, lambda x: np.where(x == 1, 77, x).astype("u1")), "s1.png", "77"),
    label(
        "one pixel of a strange id",
        relabelled(
            "seg/val/masks/s7.png",
            lambda x: np.where(
                np.arange(64 * 64).reshape(64, 64) == 99, 3, x
            ).astype("u1"),
        ),
        "s7.png",
        "3",
        call=TRAIN,
    ),
    label("a label of 32 bits beyond a byte", (gone(LABEL), picture("seg/train/masks/s1.tif", IDS.astype("i4") + 70_000)), "s1.tif"),
    label("a label below zero", (gone(LABEL), picture("seg/train/masks/s1.tif", IDS.astype("i4") - 1)), "s1.tif"),
    label("a label of half ids", (gone(LABEL), picture("seg/train/masks/s1.tif", IDS.astype("f4") / 2)), "s1.tif"),
    label("a label of strange colors", picture(LABEL, np.array([[1, 2, 3], [9, 8, 7], [200, 1, 99]], "u1")[IDS]), "s1.png"),
    label("a label that one sees through", picture(LABEL, np.dstack([PHOTO, IDS * 90])), "s1.png"),
    label("a label of photographs", picture(LABEL, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "s1.png"),
    label("smoothed masks", relabelled(LABEL, lambda x: np.array(Image.fromarray(x * 100).resize((32, 32), 2).resize((64, 64), 2))), "s1.png"),
    Attack("all is ignored", TRAIN, "ignored", tuple(relabelled(f"seg/train/masks/s{i}.png", lambda x: x * 0 + 255) for i in range(6))),
    Attack("all is road", TRAIN, ("road", "--allow single-class"), tuple(relabelled(f"seg/train/masks/s{i}.png", lambda x: x * 0) for i in range(6))),
    Attack(
        "masks of 0 and 1 beside those of 0 and 255",
        "check two --output page.html",
        ("m0.png", "m1.png"),
        tuple(
            change
            for i in range(6)
            for change in (
                picture(f"two/images/m{i}.png", scene(i)[0]),
                picture(
                    f"two/masks/m{i}.png",
                    two_people(scene(i)[1], i),
                ),
            )
        )
        + (text("two/info.json", {"names": ["rest", "car"]}),),
    ),
    Attack(
        "a class that train never shows",
        TRAIN,
        ("bus", "--allow absent-classes"),
        said(INFO, class_names=["road", "car", "sky", "bus"], palette=None),
    ),
    Attack("a label with a strange chunk", CHECK, (), changed(LABEL, with_chunk(b"prVt", b"made by nobody")), READ),
    Attack(
        "a label with a text that unpacks to gigabytes",
        CHECK,
        "s1.png",
        changed(
            LABEL,
            with_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(1 << 27), 9)),
        ),
        every(READ, there("page.html")),
    ),
    Attack(
        "labels in a format of arrays",
        CHECK,
        "seg",
        tuple(
            change
            for i in range(6)
            for change in (
                gone(f"seg/train/masks/s{i}.png"),
                array(f"seg/train/masks/s{i}.npy", scene(i)[1]),
            )
        ),
    ),
    # --- folders ---
    Attack("an empty folder", "check nothing", "nothing", folder("nothing")),
    Attack("a folder that is not there", "check no/where", "no/where"),
    Attack("pictures without labels", "check photos", "photos"),
    Attack("a picture without its label", TRAIN, "s4.png", gone("seg/train/masks/s4.png")),
    Attack("a label without its picture", CHECK, "s4.png", gone("seg/train/images/s4.png")),
    Attack("two labels for a picture", CHECK, ("s1.png", "s1.bmp"), picture("seg/train/masks/s1.bmp", IDS)),
    Attack("a name of two lines", CHECK, "rename", moved(IMAGE, "s\n1.png")),
    Attack("a name that is no text", CHECK, "rename", link("seg/train/images/b\udcff.png", "s0.png")),
    Attack("a circle of folders", CHECK, (), link("seg/train/images/more", "../.."), READ),
    Attack("val without a picture", TRAIN, "val", (gone("seg/val"), folder("seg/val/images"), folder("seg/val/masks")), there("new/model.keras")),
    Attack("a run among the pictures", CHECK, (), doubled("run", "seg/train/images/runs/a"), READ, "seg"),
    Attack("masks that a network wrote among the labels", CHECK, (), doubled("expected/mask", "../seg/train/masks/net"), READ, "seg"),
    Attack("labels under pictures' names", CHECK, "seg", (moved("seg/train/masks", "images2"), moved("seg/val/masks", "images2"))),
]
