"""Pictures and folders of `predict` that are faulty, or somebody's own."""

import io

import numpy as np
from attack import Attack
from attack_changes import changed
from attack_changes import cut
from attack_changes import doubled
from attack_changes import every
from attack_changes import folder
from attack_changes import link
from attack_changes import picture
from attack_changes import pipe
from attack_changes import printed
from attack_changes import raw
from attack_changes import same_picture
from attack_changes import sparse
from attack_changes import text
from attack_changes import there
from attack_ground import scene
from odd_pictures import exif
from odd_pictures import png
from PIL import Image

AREA = "predict"

TO_OUT = "predict --model mask.tflite --output out --input"
FOLDER = f"{TO_OUT} photos"
OF_KERAS = "predict --model run/model.keras --output out --input photos"
ODD = "photos/odd.png"
PHOTO = scene(6)[0]
RIGHT = every(
    same_picture("out/masks/p6.png", "expected/mask/masks/p6.png"),
    same_picture("out/masks/p7.png", "expected/mask/masks/p7.png"),
)
MASK = "expected/mask/masks/p6.png"
DONE = {"model": "mask.tflite", "task": "segmentation", "results": []}


def flag(words, *names, call=FOLDER):
    return Attack(
        f"{words} of predict", f"{call} {words}", names or words.split()[0]
    )


def beside(wrong, changes, *names):
    """Return a faulty picture among whole ones, which are done all the same."""
    return Attack(wrong, FOLDER, names or ("odd.png",), changes)


def shown(wrong, change, expected=MASK, least=1.0):
    """Return an odd picture whose mask is known."""
    right = same_picture("out/masks/odd.png", expected, least)
    return Attack(wrong, FOLDER, (), change, right, "expected")


def to(wrong, call, changes, *names, may_change=()):
    return Attack(wrong, call, names, changes, may_change=may_change)


def claimed(wrong, content, *names, call=FOLDER):
    names = names or ("predictions.json",)
    return Attack(wrong, call, names, text("out/predictions.json", content))


def encoded(image, name, **options):
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def by_hand(data):
    """Return a mask that somebody corrected."""
    image = Image.open(io.BytesIO(data))
    image.paste(1, (0, 0, 20, 20))
    return encoded(image, "PNG")


def table(wrong, change, *names):
    """Return a table of an earlier call that is damaged."""
    return Attack(
        wrong,
        "predict --model class.tflite --output out --input photos --overwrite",
        names or ("predictions.csv",),
        (
            text("out/predictions.json", {**DONE, "task": "classification"}),
            change,
        ),
    )


# fmt: off
ATTACKS = [
    # --- Flags ---
    *(
        flag(words)
        for words in (
            "--scales 0",
            "--scales 0.5,,1",
            "--scales half",
            "--scales -1",
            "--scales 1e9",
            "--scales nan",
            "--scales inf,1",
            "--tile 0x64",
            "--tile 64",
            "--tile 33x64",
            "--overlap 16",
            "--threads 0",
            "--threads 1.5",
            "--threads 4096",
            "--task depth",
            "--max-side -32",
            "--resize 64",
            "--crop-fraction 0",
            "--size 64x64",
            "--nms",
        )
    ),
    flag("--task classification", "--task", "segmentation"),
    flag("--tile 64x64 --overlap 64", "--overlap"),
    flag("--max-side 8", "--max-side", call=OF_KERAS),
    flag("--max-side 64 --resize 64x64", "--resize", call=OF_KERAS),
    flag("--resize 48x64", "--resize", call=OF_KERAS),
    flag("--input", "--input", call=OF_KERAS),
    # --- Where pictures are ---
    to("no picture there", f"{TO_OUT} no/where", (), "no/where"),
    to("an empty folder of pictures", f"{TO_OUT} none", folder("none"), "none"),
    to("pictures that are hidden", f"{TO_OUT} none", doubled("photos/p6.png", "../none/.p6.png"), "none"),
    to("a video", f"{TO_OUT} street.MP4", raw("street.MP4", b"ftyp"), "street.MP4"),
    to("a pipe as picture", f"{TO_OUT} pipe.png", pipe("pipe.png"), "pipe.png"),
    to("a link in a circle as picture", f"{TO_OUT} c.png", link("c.png", "c.png"), "c.png"),
    to("a text as picture", f"{TO_OUT} a.txt", text("a.txt", "a street"), "a.txt"),
    to("pictures that are results", f"{TO_OUT} out", doubled("photos", "out"), "--output"),
    to("results among the pictures by a link", FOLDER, link("out", "photos"), "--output"),
    # --- Pictures among others ---
    beside("a picture of no bytes among others", raw(ODD, b"")),
    beside("a picture cut off among others", (doubled("photos/p6.png", "odd.png"), cut(ODD, 0.7))),
    beside("a picture of 65 bytes that takes all memory", raw(ODD, png((50_000, 50_000), 16, 2, b""))),
    beside("a picture of gigabytes of pixels in a line", raw(ODD, png((2**31 - 1, 1), 8, 0, b""))),
    beside("a picture of 12 GB among others", sparse(ODD, 12 << 30)),
    beside("a pipe among others", pipe(ODD)),
    beside("a link to nothing among others", link(ODD, "gone.png")),
    beside("a picture without end among others", link(ODD, "/dev/zero")),
    beside("a picture that starts a program", raw(ODD, b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")),
    beside("floats among others", picture("photos/odd.tiff", PHOTO[..., 0] / np.float32(255)), "odd.tiff"),
    Attack("a circle of folders of pictures", FOLDER, (), link("photos/more", "."), RIGHT, "expected"),
    Attack(
        "a folder that is called as a picture",
        FOLDER,
        (),
        doubled("photos/p7.png", "odd.png/p7.png"),
        every(RIGHT, there("out/masks/odd.png/p7.png")),
        "expected",
    ),
    Attack("notes among pictures", FOLDER, (), text("photos/notes.md", "mine"), every(RIGHT, printed("notes.md")), "expected"),
    Attack("two pictures of one name", FOLDER, ("p6.png", "p6.bmp"), picture("photos/p6.bmp", PHOTO)),
    # --- Odd pictures, whose masks are known ---
    shown("a picture of three equal channels and alpha", picture(ODD, np.dstack([PHOTO, PHOTO[..., :1] * 0 + 255]))),
    shown("a picture in a palette", picture(ODD, Image.fromarray(PHOTO).quantize(256)), least=0.97),
    shown("a picture turned by its EXIF, upright", picture(ODD, Image.fromarray(PHOTO).transpose(Image.Transpose.ROTATE_90), exif=exif(6))),
    shown("a picture of 16 bits", picture(ODD, Image.fromarray(PHOTO[..., 0].astype("u2") * 257)), least=0.0),
    shown("a progressive JPEG in a PNG's name", raw(ODD, encoded(Image.fromarray(PHOTO), "JPEG", progressive=True, quality=100)), least=0.95),
    shown("a picture in CMYK", raw(ODD, encoded(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"))),
    shown("a picture of one pixel", picture(ODD, PHOTO[:1, :1]), np.zeros((1, 1), "u1"), 0.0),
    shown("a picture of one line", picture(ODD, np.repeat(PHOTO[:1], 20, 1)), np.zeros((1, 1280), "u1"), 0.0),
    shown(
        "a picture that moves",
        raw(
            ODD,
            encoded(
                Image.fromarray(PHOTO),
                "GIF",
                save_all=True,
                append_images=[Image.fromarray(PHOTO[::-1])],
            ),
        ),
        least=0.9,
    ),
    # --- Where results go ---
    to("results in a file", FOLDER, raw("out", b"mine"), "out"),
    to("results below a file", f"{FOLDER} --output out/deep/er", raw("out", b"mine"), "out"),
    to("results in a folder of masks", FOLDER, doubled("expected/mask/masks", "../../out/masks"), "masks"),
    to("results anew in a folder of masks", f"{FOLDER} --overwrite", doubled("expected/mask/masks", "../../out/masks"), "masks"),
    to("results in the data", f"{TO_OUT} seg/train/images --output seg/train --overwrite", (), "seg/train"),
    to(
        "results over the picture itself",
        f"{TO_OUT} seg/train/masks/s1.png --output seg/train --overwrite",
        text("seg/train/predictions.json", DONE),
        "s1.png",
    ),
    to(
        "results over the picture by a link",
        f"{TO_OUT} photos --overwrite",
        (
            text("out/predictions.json", {**DONE, "results": ["masks/p6.png"]}),
            link("out/masks/p6.png", "../../photos/p6.png"),
        ),
        "p6.png",
    ),
    to("a mask's place is a folder", f"{FOLDER} --overwrite", (text("out/predictions.json", DONE), folder("out/masks/p6.png")), "p6.png"),
    to("the masks' place is a file", f"{FOLDER} --overwrite", (text("out/predictions.json", DONE), raw("out/masks", b"x")), "masks"),
    Attack(
        "a mask that somebody corrected, made anew",
        "predict --model mask.tflite --output expected/mask --overwrite --input photos",
        "p6.png",
        changed(MASK, by_hand),
        printed("p6.png"),
    ),
    Attack(
        "a mask that somebody corrected, gone on with",
        "predict --model mask.tflite --output expected/mask --input photos",
        (),
        changed(MASK, by_hand),
        printed("left alone"),
        may_change=("expected/mask/predictions.json",),
    ),
    # --- predictions.json ---
    claimed("results of no JSON", "results: p6.png"),
    claimed("results of zeros", "\0\0\0\0"),
    claimed("results of a list", ["masks/p6.png"]),
    claimed("results that are a number", {**DONE, "results": 7}),
    claimed("results that are numbers", {**DONE, "results": [1, 2]}),
    claimed("results of another task", {**DONE, "task": "boundary"}, "out"),
    claimed("results elsewhere", {**DONE, "results": ["../photos/p6.png"]}, "out", call=f"{FOLDER} --overwrite"),
    claimed("results at the root", {**DONE, "results": ["/etc/hostname"]}, "out", call=f"{FOLDER} --overwrite"),
    to("results are a folder", FOLDER, folder("out/predictions.json"), "predictions.json"),
    to("results are a pipe", FOLDER, pipe("out/predictions.json"), "predictions.json"),
    # --- The table of a classifier ---
    table("a table of another kind", raw("out/predictions.csv", b"PK\3\4\xff\xfe\x9c")),
    table("a table of zeros", raw("out/predictions.csv", bytes(200))),
    table("a table without pictures", text("out/predictions.csv", "image,score\na.png,0.5\n")),
    table("a table is a folder", folder("out/predictions.csv")),
    table("a table with a column too many", text("out/predictions.csv", "picture\np6.png,1,2,3\n")),
    Attack("a full disk", FOLDER, "out", picture("photos/p7.png", np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)), largest=40_000),
]
