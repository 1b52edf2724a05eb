"""Every tool's export is read as it is: names, colors, splits, each pixel."""

import json
import shutil

import exports
import numpy as np
import pytest
from exports import EXPORTS
from PIL import Image

from dla_keras.commands.shared import warn_of_trained
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.folders.annotations import read_brush_name
from dla_keras.data.folders.drawing import decode_counts
from dla_keras.data.folders.drawing import fill_polygon
from dla_keras.data.folders.drawing import run_length_region
from dla_keras.data.folders.layouts import find_layout
from dla_keras.data.folders.pairs import draw_share
from dla_keras.data.folders.pairs import trained_on
from dla_keras.data.folders.pairs import write_drawn
from dla_keras.data.segmentation import open_split


def image(path, value=0, size=(8, 6), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def stems(split):
    return {path.stem for path, _ in split}


@pytest.mark.parametrize("tool", EXPORTS)
def test_an_export_is_read_to_the_pixel(tmp_path, tool):
    names = EXPORTS[tool](tmp_path)
    opened = {s: open_split(str(tmp_path), s) for s in ("train", "val")}
    assert [len(split) for split in opened.values()] == [6, 2]
    ids = {name: index for index, name in enumerate(names)}
    # What the scenes hold, as ids of this tool's classes.
    expected = np.full(256, IGNORE_LABEL)
    for value, name in enumerate(("background", *exports.NAMES)):
        for known in (name, name.title(), f"class_{value}"):
            expected[value] = ids.get(known, expected[value])
    if "sky" in names:
        expected[0] = 0
    seen = set()
    for split in opened.values():
        assert list(split.info.class_names) == names
        for example in split:
            seen.add(example.name.split("street_")[1][:2])
            wanted = expected[exports.truth(example.name)]
            assert np.array_equal(example.label, wanted), example.name
            assert example.image.shape == (exports.HEIGHT, exports.WIDTH, 3)
    assert len(seen) == exports.COUNT


@pytest.mark.parametrize(
    "tool", ["cvat", "kaggle", "mapillary", "supervisely", "voc"]
)
def test_colors_come_from_the_files(tmp_path, tool):
    names = EXPORTS[tool](tmp_path)
    palette = find_layout(tmp_path).info.palette
    colors = dict(zip((n.lower() for n in names), palette, strict=True))
    expected = dict(zip(exports.NAMES, exports.COLORS, strict=True))
    assert {**colors, **expected} == colors


def test_what_was_chosen_is_said(tmp_path):
    EXPORTS["mapillary"](tmp_path)
    said = find_layout(tmp_path).said
    assert f"{tmp_path} is read as Mapillary Vistas." in said
    assert "Its masks are those of v2.0/labels." in said
    assert "Ignored: None." in said
    assert any("1 images of test/ have no labels" in line for line in said)
    (tmp_path / "labelmap.txt").touch()
    first = find_layout(tmp_path).said[0]
    assert first.endswith("it looks like CVAT's segmentation masks too.")


# --- Pairs ---


@pytest.mark.parametrize(
    "picture, label",
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("Images/{}.b.JPG", "Masks/{}.b.jpg.png"),
        ("img/{}.jpg", "gt/{}_gt.png"),
        ("images/{}.jpg", "annotations/{}_labelIds.png"),
        ("imgs/image_{}.png", "labels/mask_{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("train/images/ulm/{}.jpg", "train/masks/ulm/{}.png"),
        ("images/train/{}.jpg", "labels/train/{}.png"),
        ("training/images/{}.jpg", "training/masks/{}_mask.png"),
        ("train/{}.png", "trainannot/{}.png"),
        ("train_images/{}.png", "train_masks/{}.png"),
        ("images_train2017/{}.png", "masks_train2017/{}.png"),
        ("train/{}_sat.jpg", "train/{}_mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("images/train/{}.jpg", "masks/{}.png"),
        ("data/photos/{}.jpg", "data/ground_truth/{}.png"),
        ("images/{}_mask.jpg", "masks/{}_mask.png"),
        ("{}.jpg", "{}.png"),
        ("{}/image.jpg", "{}/mask.png"),
        ("train/{}/rgb.png", "train/{}/label.png"),
    ],
)
def test_an_image_finds_its_label(tmp_path, picture, label):
    pairs = [
        tuple(tmp_path / path.format(stem) for path in (picture, label))
        for stem in ("001", "002", "a")
    ]
    for pair in pairs:
        for path in pair:
            image(path)
    (tmp_path / "classes.txt").write_text("road\ncar\n")
    splits = find_layout(tmp_path).splits
    assert {*splits["train"], *splits["val"]} == {*pairs}


def test_what_is_left_out_is_named(tmp_path):
    EXPORTS["images_masks"](tmp_path)
    image(tmp_path / "more/a.jpg")
    (tmp_path / "images/b.xcf").touch()
    image(tmp_path / "images/a_mask.jpg")  # an image, and no label
    image(tmp_path / "masks/a_mask.png")
    image(tmp_path / "masks/street_00_color.png", 9)  # another view
    said = find_layout(tmp_path).said
    assert any(
        "2 files that are neither" in s and "images/b.xcf, more/a.jpg" in s
        for s in said
    )
    assert "2 of 9 images" in said[-1]


def test_the_same_name_in_two_places_is_two_images(tmp_path):
    for place in ("ds0", "ds1"):
        for stem in "ab":
            image(tmp_path / place / "img" / f"{stem}.jpg")
            image(tmp_path / place / "masks" / f"{stem}.png", stem == "a")
    splits = find_layout(tmp_path).splits
    for path, label in (*splits["train"], *splits["val"]):
        assert path.parents[1] == label.parents[1] and path.stem == label.stem


def test_a_published_folder_is_known(tmp_path):
    for split in ("train", "val"):
        stem = f"{split}/ulm/ulm_000001_000019"
        image(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        for kind, value in {
            "labelIds": 7,
            "color": 1,
            "instanceIds": 2,
        }.items():
            image(tmp_path / "gtFine" / f"{stem}_gtFine_{kind}.png", value)
    val = open_split(str(tmp_path), "val")
    assert val.info == DATASETS["cityscapes"]
    assert val[0].label.max() == 0  # 7 is road, class 0


def test_a_folder_that_only_wraps_another_is_opened(tmp_path):
    EXPORTS["cvat"](tmp_path / "download" / "task_7")
    assert find_layout(tmp_path).info.name == "task_7"


# --- Splits ---


def test_a_drawn_share_is_always_the_same(tmp_path, monkeypatch):
    names = [f"street_{i}.jpg" for i in range(40)]
    share = draw_share(names)
    assert len(share) == 8 and share == draw_share(reversed(names))
    more = draw_share(names + [f"new_{i}.jpg" for i in range(10)])
    assert len(share - more) <= 2  # the others stay where they are
    assert {n for n in more if n in names} - share == set()
    composed, decomposed = "stra\u00dfe_\u00e9.jpg", "stra\u00dfe_e\u0301.jpg"
    others = [f"{i}.jpg" for i in range(9)]
    assert (composed in draw_share([composed, *others])) == (
        decomposed in draw_share([decomposed, *others])
    )


def test_the_order_of_the_file_system_does_not_matter(tmp_path, monkeypatch):
    EXPORTS["images_masks"](tmp_path / "here")
    found = find_layout(tmp_path / "here")
    assert found.drawn and "2 of 8 images" in found.said[-1]
    assert not stems(found.splits["train"]) & stems(found.splits["val"])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    walk = exports.os_walk_backwards()
    monkeypatch.setattr("dla_keras.data.folders.pairs.os.walk", walk)
    again = find_layout(tmp_path / "there")
    for split, pairs in found.splits.items():
        assert [p.name for p, _ in pairs] == [
            p.name for p, _ in again.splits[split]
        ]
    val = open_split(str(tmp_path / "there"), "val")
    assert list(val.drawn) == [
        f"images/{p.name}" for p, _ in found.splits["val"]
    ]


def test_a_share_that_moved_since_a_training_is_noticed(tmp_path, capsys):
    data, run_dir = tmp_path / "data", tmp_path / "run"
    EXPORTS["images_masks"](data)
    opened = {s: open_split(str(data), s) for s in ("train", "val")}
    write_drawn(run_dir, opened)
    assert trained_on(opened["val"], run_dir) == []
    for _, label in opened["val"].pairs:  # others validate when these go
        label.unlink()
    for path, _ in opened["val"].pairs:
        path.unlink()
    val = open_split(str(data), "val")
    warn_of_trained(val, run_dir)
    assert trained_on(val, run_dir) == list(val.drawn)
    assert "1 of 1 images to score on trained" in capsys.readouterr().err
    for name in ("train.txt", "val.txt"):  # the lists keep the split
        shutil.copy(run_dir / name, data)
    with pytest.raises(ValueError, match="val.txt, line 1: expected an image"):
        open_split(str(data), "val")


def test_lists_of_splits_are_read(tmp_path):
    EXPORTS["images_masks"](tmp_path)
    (tmp_path / "train.txt").write_bytes(
        b"\xef\xbb\xbfimages\\street_00.jpg\r\nstreet_01\r\n"
    )
    (tmp_path / "val.txt").write_text('"street_04.jpg"\n', encoding="utf-16")
    found = find_layout(tmp_path)
    assert stems(found.splits["train"]) == {"street_00", "street_01"}
    assert stems(found.splits["val"]) == {"street_04"}
    assert not found.drawn and "5 images are in no list" in found.said[-1]
    (tmp_path / "val.txt").write_text("\nstreet_99\n")
    with pytest.raises(ValueError, match=r"val.txt, line 2: .*'street_99'"):
        find_layout(tmp_path)


def test_list_files_come_first(tmp_path):
    EXPORTS["images_masks"](tmp_path)
    for kind, line in (
        ("images", "images\\street_00.jpg"),
        ("labels", '"masks\\street_00_mask.png"'),
    ):
        for split in ("train", "val"):
            text = f"\ufeff{line}\r\n"
            (tmp_path / f"{split}_{kind}.txt").write_text(text, "utf-8")
    (tmp_path / "info.json").write_text('{"class_names": ["a","b","c","d"]}')
    assert len(open_split(str(tmp_path), "train")) == 1
    with pytest.raises(
        FileNotFoundError, match="list of files at .*test_image"
    ):
        open_split(str(tmp_path), "test")


# --- Classes ---


def test_masks_that_no_file_explains_are_looked_through(tmp_path):
    def said(*values, suffix=".png", **options):
        shutil.rmtree(tmp_path, ignore_errors=True)
        for index, value in enumerate(values):
            image(tmp_path / f"images/{index}.jpg")
            image(tmp_path / f"masks/{index}{suffix}", value, **options)
        found = find_layout(tmp_path)
        return found.info, found.said[1]

    info, remark = said(0, 255)
    assert info.class_names == ("background", "foreground")
    assert info.label_values == {0: 0, 255: 1}
    assert (
        remark == "The masks hold 0 and 255 alone: background and foreground."
    )
    info, remark = said(0, 3, 255)
    assert info.class_names == ("value_0", "value_3")
    info, remark = said(0, 2, 255)
    assert info.class_names == ("class_0", "class_1", "class_2")
    assert 'info.json: {"names": [...]}' in remark
    info, remark = said((0, 0, 0), (0, 0, 142), mode="RGB")
    assert info.class_names == ("color_000000", "color_00008e")
    assert info.label_colors == {(0, 0, 0): 0, (0, 0, 142): 1}


def test_info_json_has_the_last_word(tmp_path):
    def told(tool, **facts):
        folder = tmp_path / f"{tool}-{len([*tmp_path.iterdir()])}"
        folder.mkdir()
        EXPORTS[tool](folder)
        exports.write(facts, folder, "info.json")
        return open_split(str(folder), "val")

    names = ["sky", *exports.NAMES]
    val = told("images_masks", names=names, palette={"car": "#010203"})
    assert val.info.class_names == tuple(names)
    assert val.info.palette[2] == (1, 2, 3)
    assert "name" not in "".join(val.said[1:])
    # Another order of the file's own names maps them.
    val = told("yolo", names=["person", "background", "car", "road"])
    truth = exports.values(6)
    assert np.array_equal(val[0].label, np.array([1, 3, 2, 0])[truth])
    val = told("yolo", names=[*exports.NAMES])  # what nobody drew is ignored
    assert np.array_equal(val[0].label, np.array([255, 0, 1, 2])[truth])
    val = told("supervisely", mean=[0.1, 0.2, 0.3])
    assert val.info.mean == (0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="one name for each of the 4 classes"):
        told("cvat", names=["a", "b"])
    with pytest.raises(ValueError, match="Did you mean palette"):
        told("images_masks", names=names, pallete=[])


def test_void_classes_are_ignored(tmp_path):
    EXPORTS["kaggle"](tmp_path)
    info = find_layout(tmp_path).info
    assert info.ignored_colors == ((0, 0, 0),)
    assert "Ignored: Void." in find_layout(tmp_path).said


# --- Forms of what the tools write ---


def yolo_of_label_studio(folder):
    """classes.txt, notes.json, images/ and labels/, and no yaml."""
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("\n".join(exports.NAMES))
    (folder / "notes.json").write_text('{"categories": [], "info": {}}')
    for split in ("train", "valid"):
        for kind in ("images", "labels"):
            for path in (folder / split / kind).iterdir():
                name = path.name.replace("street", "train_street")
                target = folder / kind / split / name
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)


def yolo_of_cvat(folder):
    """Name the images in lists, below a folder that is not there."""
    for split in ("train", "valid"):
        names = sorted((folder / split / "images").iterdir())
        lines = [f"data/{split}/images/{path.name}" for path in names]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    names = ", ".join(exports.NAMES)
    (folder / "data.yaml").write_text(
        f"path: .\ntrain: train.txt\nval: valid.txt\nnames: [{names}]\n"
    )


def yolo_of_several_folders(folder):
    (folder / "data.yaml").write_text(
        "path: /home/somebody/street\ntrain: [train/images]\n"
        "valid: valid/images\nnames: {0: road, 1: car, 2: person}\n"
    )


def yolo_without_objects(folder):
    (folder / "train/labels/street_03.txt").unlink()


@pytest.mark.parametrize(
    "change",
    [
        *(yolo_of_label_studio, yolo_of_cvat, yolo_of_several_folders),
        yolo_without_objects,
    ],
    ids=lambda change: change.__name__,
)
def test_yolos_folders_have_many_forms(tmp_path, change):
    EXPORTS["yolo"](tmp_path)
    change(tmp_path)
    opened = [open_split(str(tmp_path), s) for s in ("train", "val")]
    assert [len(split) for split in opened] == [6, 2]
    for example in (*opened[0], *opened[1]):
        expected = exports.truth(example.name)
        if change is yolo_without_objects and "_03" in example.name:
            expected = expected * 0
        assert np.array_equal(example.label, expected), example.name


def test_lists_of_segnet_name_the_label_too(tmp_path):
    for index, split in enumerate(("train", "train", "val")):
        image(tmp_path / split / f"{index}.png")
        image(tmp_path / f"{split}annot" / f"{index}.png", index)
    for split, lines in {"train": "01", "val": "2"}.items():
        (tmp_path / f"{split}.txt").write_text(
            "\n".join(
                f"/SegNet/CamVid/{split}/{i}.png /SegNet/CamVid/{split}annot/"
                f"{i}.png"
                for i in lines
            )
        )
    splits = find_layout(tmp_path).splits
    assert stems(splits["train"]) == {"0", "1"} and stems(splits["val"]) == {
        "2"
    }


# --- Drawing ---


def test_a_polygon_holds_the_pixels_whose_centers_are_inside():
    random = np.random.default_rng(3)
    for _ in range(6):
        points = random.uniform(-5, 30, (7, 2))
        expected = np.zeros((24, 28), bool)
        for row, column in np.ndindex(24, 28):
            x, y, inside = column + 0.5, row + 0.5, False
            for (x0, y0), (x1, y1) in zip(
                points, np.roll(points, -1, 0), strict=True
            ):
                if (y0 > y) != (y1 > y):
                    inside ^= x > x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            expected[row, column] = inside
        assert np.array_equal(fill_polygon(points, 24, 28), expected)


def test_run_lengths_are_those_of_pycocotools():
    # pycocotools 2.0.11: a box of 3 x 5 with a hole, in 5 x 8 pixels.
    mask = np.zeros((5, 8), bool)
    mask[1:4, 2:7] = True
    mask[2, 4] = False
    text = ";3200NO012004"
    assert decode_counts(text) == exports.run_lengths(mask)
    region = run_length_region(1, text, (5, 8))
    assert np.array_equal(region.pixels(5, 8), mask) and region.area == 14
    large = np.random.default_rng(0).random((150, 90)) < 0.02
    runs = exports.run_lengths(large)
    assert decode_counts(exports.compressed(runs)) == runs


def test_crowds_are_ignored_and_small_objects_lie_above(tmp_path):
    EXPORTS["coco"](tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    annotations = content["annotations"]
    annotations.reverse()  # the road is the last one, and the largest
    whole = [exports.HEIGHT * exports.WIDTH]
    crowd = {"size": [exports.HEIGHT, exports.WIDTH], "counts": [0, *whole]}
    annotations.append(
        {"id": 99, "image_id": 6, "category_id": 7, "iscrowd": 1}
        | {"segmentation": crowd}
    )
    path.write_text(json.dumps(content))
    val = open_split(str(tmp_path), "val")
    expected = exports.values(6)
    assert np.array_equal(val[1].label, exports.values(7))
    expected[expected == 0] = IGNORE_LABEL
    assert np.array_equal(val[0].label, expected)


def test_roboflows_name_above_all_classes_is_no_class(tmp_path):
    EXPORTS["coco"](tmp_path)
    for path in (tmp_path / "annotations").iterdir():
        content = json.loads(path.read_text())
        for category in content["categories"]:
            category["supercategory"] = "street"
        above = {"id": 0, "name": "street", "supercategory": "none"}
        content["categories"].insert(0, above)
        path.write_text(json.dumps(content))
        split = "train" if "train" in path.name else "valid"
        target = tmp_path / split / "_annotations.coco.json"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    (tmp_path / "val").rename(tmp_path / "valid.images")
    for path in (tmp_path / "valid.images").iterdir():
        path.rename(tmp_path / "valid" / path.name)
    info = find_layout(tmp_path).info
    assert info.class_names == ("background", *exports.NAMES)


@pytest.mark.parametrize(
    "name, class_name",
    [
        ("task-7-annotation-3-by-1-tag-car-0.png", "car"),
        (
            "task-7-annotation-3-by-a@b.org-brush-parked-car-12.png",
            "parked-car",
        ),
        ("task-7-annotation-3-by-anna-maria@my-x.de-tag-car-0.png", "car"),
        ("task-7-annotation-3.png", None),
    ],
)
def test_names_of_brushes(tmp_path, name, class_name):
    brush = read_brush_name(tmp_path / name)
    assert (brush and brush.class_name) == class_name


# --- Faults ---


def alone(folder):
    (folder / "images/street_02.jpg").rename(folder / "images/street_42.jpg")
    return (
        r"7 pairs, 1 images without a label \(images/street_42.jpg\) and 1 "
        r"labels without an image \(masks/street_02_mask.png\). Rename what"
    )


def twice(folder):
    image(folder / "images/street_00.bmp")
    return "images/street_00.bmp and images/street_00.jpg; remove one"


def other_size(folder):
    image(folder / "masks/street_03_mask.png")
    return "masks/street_03_mask.png with .* for .*images/street_03"


def other_word(folder):
    (folder / "masks").rename(folder / "painted")
    return (
        r"8 .png in painted/, 4 .jpg in images/.* Rename painted/ to masks/ if "
        ".*Looked for: train_images.txt, "
    )


def no_masks(folder):
    shutil.rmtree(folder / "masks")
    return "4 .png in images/. Put the images into images/ and the labels"


def jpeg_masks(folder):
    for path in folder.glob("masks/*.png"):
        exports.grey(exports.truth(path.name)).save(path.with_suffix(".jpg"))
        path.unlink()
    return "JPEG blurs ids.*masks/street_0"


def photographs(folder):
    for path in folder.glob("masks/*.png"):
        exports.photo(1).save(path)
    return "masks of few colors in .* save masks as PNG"


def classes(folder):
    for name in ("images", "masks"):
        shutil.rmtree(folder / name)
    for name in ("cat", "dog", "owl"):
        image(folder / name / "1.jpg", mode="RGB")
    return "1 .jpg in cat/.* If each folder is a class, use train-cls"


def boundaries(folder):
    shutil.rmtree(folder / "masks")
    (folder / "groundTruth").mkdir()
    (folder / "groundTruth/1.mat").touch()
    return "1 .mat in groundTruth/.* for train-boundary"


def archives(folder):
    for name in ("images", "masks"):
        shutil.rmtree(folder / name)
    (folder / "street.zip").touch()
    return "Received: 1 .zip. Unpack the archives"


def one_image(folder):
    for index in range(1, exports.COUNT):
        for path in folder.glob(f"*/street_{index:02d}*"):
            path.unlink()
    return r"at least two images: .* Received: 1 images/street_00.jpg"


def no_train(folder):
    (folder / "val").mkdir()
    for kind in ("images", "masks"):
        (folder / kind).rename(folder / "val" / kind)
    return "Received: images of val only"


def unsaved_images(folder):
    shutil.rmtree(folder / "JPEGImages")
    return "The images are missing: export again with 'Save images'"


def bad_color(folder):
    with (folder / "labelmap.txt").open("a") as file:
        file.write("\nlamp:1,2,300::\n")
    return r"labelmap.txt, line 7: expected a color.*'1, 2, 300'"


def bad_value(folder):
    (folder / "train/_classes.csv").write_text("Pixel Value, Class\nx, road\n")
    return "_classes.csv, line 2: expected a whole number"


def other_classes(folder):
    (folder / "valid/_classes.csv").write_text("Pixel Value, Class\n1, a\n")
    return "others in .*valid/_classes.csv than in .*train/_classes.csv"


def bad_columns(folder):
    (folder / "class_dict.csv").write_text("name;r;g;b\nroad;1;2;3\n")
    return "class_dict.csv, line 1: expected the columns name, r, g, b"


def short_row(folder):
    (folder / "class_dict.csv").write_text("name,r,g,b\n\nroad,1,2\n")
    return "class_dict.csv, line 3: expected 4 cells"


def colored_machine_mask(folder):
    path = folder / "project/obj_class_to_machine_color.json"
    path.write_text('{"road": [1, 1, 1], "car": [1, 2, 3]}')
    return r"class 'car': expected a grey machine color. Received: \[1, 2, 3\]"


def no_tasks(folder):
    next(folder.glob("*.json")).unlink()
    return "Which image is task 30[?] .*JSON export.*8 images"


def a_box(folder):
    path = folder / "train/labels/street_02.txt"
    path.write_text("\n1 0.5 0.5 0.1 0.1\n")
    return "street_02.txt, line 2: expected a class and a polygon.*a box"


def bad_class(folder):
    path = folder / "train/labels/street_02.txt"
    path.write_text("3 0 0 1 1 0 1")
    return "street_02.txt, line 1: expected a class from 0 to 2. Received: '3'"


def pixels_for_shares(folder):
    path = folder / "train/labels/street_02.txt"
    path.write_text("1 0 0 64 64 0 64")
    return "street_02.txt, line 1: expected shares .* Received: 0 to 64"


def bad_yaml(folder):
    (folder / "data.yaml").write_text("names: [a\ntrain: x")
    return "data.yaml is not valid YAML"


def missing_place(folder):
    text = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(text.replace("valid", "validate"))
    return "data.yaml: expected 'val' to name a folder of images"


def no_outline_files(folder):
    for split in ("train", "valid"):
        shutil.rmtree(folder / split / "labels")
    return "Expected a .txt file in labels/ for the images"


def change_coco(folder, change):
    path = folder / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def no_outline(folder):
    change_coco(folder, lambda c: c["annotations"][4].update(segmentation=[]))
    return "train2017.json, annotation 4: expected a polygon or a mask"


def bad_runs(folder):
    outline = {"size": [64, 80], "counts": [3, 4]}
    change_coco(
        folder, lambda c: c["annotations"][1].update(segmentation=outline)
    )
    return "annotation 1: .* runs over 64 x 80 pixels. Received: 7 pixels"


def runs_of_another_size(folder):
    outline = {"size": [2, 3], "counts": [3, 3]}
    change_coco(
        folder, lambda c: c["annotations"][1].update(segmentation=outline)
    )
    return r"annotation 1: .* 'size', 64 x 80. Received: size \[2, 3\]"


def odd_polygon(folder):
    change_coco(
        folder,
        lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5]]),
    )
    return "annotation 0: expected three points or more"


def unknown_category(folder):
    change_coco(folder, lambda c: c["annotations"][0].update(category_id=6))
    return "annotation 0: expected a category of the file. Received: 6"


def missing_image(folder):
    (folder / "train/street_03.jpg").unlink()
    return "names the image 'street_03.jpg'.*no such file"


def two_tables(folder):
    path = folder / "annotations/instances_train2017.json"
    shutil.copy(path, folder / "annotations/instances_training.json")
    return "one COCO file for train .* and annotations/instances_training.json"


FAULTS = {
    "images_masks": (
        *(alone, twice, other_size, other_word, no_masks, one_image, no_train),
        *(jpeg_masks, photographs, classes, boundaries, archives),
    ),
    "cvat": (unsaved_images, bad_color),
    "roboflow": (bad_value, other_classes),
    "kaggle": (bad_columns, short_row),
    "supervisely": (colored_machine_mask,),
    "label_studio": (no_tasks,),
    "yolo": (
        *(a_box, bad_class, pixels_for_shares, bad_yaml, missing_place),
        no_outline_files,
    ),
    "coco": (
        *(no_outline, bad_runs, runs_of_another_size, odd_polygon),
        *(unknown_category, missing_image, two_tables),
    ),
}


@pytest.mark.parametrize(
    "tool, fault",
    [(tool, fault) for tool, faults in FAULTS.items() for fault in faults],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_faulty_folder_is_explained(tmp_path, tool, fault):
    EXPORTS[tool](tmp_path)
    message = fault(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        list(open_split(str(tmp_path), "train"))
    assert "\n" not in str(error.value)


JUNK = (b"", b"\n", b'"', b"[", b"null", b"-1", b"1e999", b"{}", b"\xff", b"x,")


@pytest.mark.parametrize("tool", ["coco", "label_studio", "yolo", "kaggle"])
def test_a_damaged_text_is_read_or_explained_in_a_line(tmp_path, tool):
    EXPORTS[tool](tmp_path)
    random = np.random.default_rng(0)
    texts = [
        p for p in tmp_path.rglob("*.*") if p.suffix not in (".jpg", ".png")
    ]
    explained = 0
    for round_ in range(40):
        path = texts[round_ % len(texts)]
        whole = path.read_bytes()
        start = int(random.integers(len(whole)))
        end = start + int(random.integers(9))
        junk = JUNK[random.integers(len(JUNK))]
        path.write_bytes(whole[:start] + junk + whole[end:])
        try:
            split = open_split(str(tmp_path), "train")
            for index in range(len(split)):
                split.label(index)
        except (ValueError, OSError) as error:  # and no other one
            explained += 1
            assert "\n" not in str(error) and str(tmp_path) in str(error)
        path.write_bytes(whole)
    assert explained > 5
