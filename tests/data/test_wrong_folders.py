"""What would train on wrong labels without a word is refused, or said."""

import json
import os
import re
import shutil

import exports
import numpy as np
import pytest
from exports import EXPORTS
from PIL import Image

from dla_keras.data.checks import check_splits
from dla_keras.data.checks import find_strays
from dla_keras.data.checks import find_unlike
from dla_keras.data.classification import open_classification_split
from dla_keras.data.folders.annotations import read_brush_name
from dla_keras.data.folders.layouts import find_layout
from dla_keras.data.segmentation import open_split

SPLITS = ("train", "val")


def read_all(folder):
    for split in find_layout(folder).splits.values():
        for _, label in split:
            label.read()


def read_labels(folder):
    splits = [open_split(str(folder), s, checked=False) for s in SPLITS]
    return np.stack([s.label(i) for s in splits for i in range(len(s))])


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- Label Studio ---


def tasks_file(folder):
    return folder / "project-1-at-2026-11-27.json"


def rename_images(folder, pattern):
    """Call the images of tasks 30, 31, ... otherwise, and in the json too."""

    def change(tasks):
        for index, task in enumerate(tasks):
            old = folder / f"images/street_{index:02d}.jpg"
            name = pattern.format(index)
            old.rename(old.with_name(name))
            task["data"]["image"] = "/data/upload/1/" + name

    change_json(tasks_file(folder), change)


@pytest.mark.parametrize("pattern", ["IMG_{:04d}.jpg", "abab{:04d}-street.jpg"])
def test_a_tasks_number_is_no_name_and_a_date_is_no_hash(tmp_path, pattern):
    EXPORTS["label_studio"](tmp_path)
    rename_images(tmp_path, pattern)
    text = tasks_file(tmp_path).read_text()
    for index in range(exports.COUNT):  # tasks from 1: one image further
        text = text.replace(f'"id": {30 + index}', f'"id": {1 + index}')
        for path in tmp_path.glob(f"brushes/task-{30 + index}-*"):
            rest = path.name.split("-", 2)[2]
            path.rename(path.with_name(f"task-{1 + index}-{rest}"))
    tasks_file(tmp_path).write_text(text)
    for split in ("train", "val"):
        split = open_split(str(tmp_path), split)
        assert not find_strays(split) and not find_unlike(split)
        for example in split:
            digits = "".join(c for c in example.name if c.isdigit())[-4:]
            truth = np.array([0, 3, 1, 2])[exports.values(int(digits))]
            assert np.array_equal(example.label, truth), example.name


def test_an_image_is_of_one_task(tmp_path):
    EXPORTS["label_studio"](tmp_path)
    change_json(
        tasks_file(tmp_path),
        lambda tasks: tasks[1]["data"].update(image="abababab-street_00.jpg"),
    )
    with pytest.raises(ValueError, match="street_00.jpg for the tasks 30 and"):
        find_layout(tmp_path)


def test_images_of_one_number_and_images_without_brush(tmp_path):
    EXPORTS["label_studio"](tmp_path)
    shutil.copy(tmp_path / "images/street_00.jpg", tmp_path / "images/new.jpg")
    said = find_layout(tmp_path).said
    assert any("1 images have no brush" in s and "new.jpg" in s for s in said)
    tasks_file(tmp_path).unlink()
    for suffix in (".jpg", ".png"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"images/30{suffix}")
    with pytest.raises(
        ValueError, match="task 30[?].* images/30.jpg, images/30"
    ):
        find_layout(tmp_path)


def test_names_of_classes_in_the_json_end_a_brushs_name(tmp_path):
    name = "task-7-annotation-3-by-anna-maria-my-tag-parked-car-0.png"
    names = ["car", "parked-car", "road"]
    assert read_brush_name(tmp_path / name, names).class_name == "parked-car"
    EXPORTS["label_studio"](tmp_path)
    for path in tmp_path.glob("brushes/*1-by-1-*"):
        path.rename(str(path).replace("by-1-tag", "by-a-b-my-tag"))
    result = [{"value": {"brushlabels": [*exports.NAMES]}}]
    change_json(
        tasks_file(tmp_path),
        lambda tasks: tasks[0].update(annotations=[{"result": result}]),
    )
    names = find_layout(tmp_path).info.class_names
    assert names == ("background", "car", "person", "road")


def test_a_dash_may_be_of_a_tag_or_of_the_classes(tmp_path):
    EXPORTS["label_studio"](tmp_path)
    for index in range(exports.COUNT):
        image = tmp_path / f"images/street_{index:02d}.jpg"
        image.rename(image.with_name(f"{30 + index}.jpg"))
    tasks_file(tmp_path).unlink()
    found = find_layout(tmp_path)
    assert found.info.class_names == ("background", "car", "person", "road")
    for path in tmp_path.glob("brushes/*-by-1-*"):
        path.rename(str(path).replace("by-1-tag", "by-1-my-tag"))
    with pytest.raises(ValueError, match="'tag-car' or 'car'.*export JSON"):
        find_layout(tmp_path)


# --- YOLO ---


def test_a_label_of_yolo_needs_its_image(tmp_path):
    EXPORTS["yolo"](tmp_path)
    labels = tmp_path / "train/labels"
    (labels / "street_00.txt").rename(labels / "street_00.TXT")
    (labels / "classes.txt").touch()
    (labels / "street_01.txt").unlink()
    found = find_layout(tmp_path)
    assert "1 of 8 images have no .txt in labels/" in "".join(found.said)
    assert "street_01.jpg" in "".join(found.said)
    first = min(found.splits["train"])[1].read()
    assert np.array_equal(first, exports.truth("street_00"))
    (labels / "street_02.txt").rename(labels / "Street_02.txt")
    with pytest.raises(ValueError, match=r"1 without one .*/Street_02.txt\)"):
        find_layout(tmp_path)


# --- COCO ---


def unknown_image(content):
    content["annotations"][2]["image_id"] = 77
    return "annotation 2: expected the 'id' of one of the images.* 77; list"


def double_id(content):
    content["images"][1]["id"] = 0
    return "an 'id' of its own .* 0 for 'street_01.jpg', too"


def double_file(content):
    content["images"][1]["file_name"] = "train/street_00.jpg"
    return "street_00.jpg as 'street_00.jpg' and as 'train/street_00.jpg'"


def huge_size(content):
    content["images"][1]["width"] = 10**12
    return "expected 80 x 64, the size of .*street_01.jpg. Received: 10000"


def negative_size(content):
    content["images"][1]["width"] = -80
    return "the size of .*street_01.jpg. Received: -80 x 64"


def shares(content):
    points(1 / 80, 0)(content)
    for each in content["annotations"]:
        if isinstance(each["segmentation"], dict):
            each["segmentation"] = [[0, 0, 1, 0, 1, 1]]
    return "expected outlines of .*street_00.jpg in pixels. .* up to 1,"


def points(scale, offset):
    def change(content):
        for each in content["annotations"]:
            if isinstance(each["segmentation"], list):
                flat = np.array(each["segmentation"][0], float)
                each["segmentation"] = [(flat * scale + offset).tolist()]
        return "expected an outline in an image of 80 x 64 pixels"

    return change


def crowd_of_text(content):
    content["annotations"][0]["iscrowd"] = "0"
    return "annotation 0: expected 0 or 1 as 'iscrowd'. Received: '0'"


@pytest.mark.parametrize(
    "change",
    [
        *(unknown_image, double_id, double_file, huge_size, negative_size),
        *(points(1, 500), points(1e300, -1), shares, crowd_of_text),
    ],
)
def test_annotations_of_coco_that_would_be_lost_are_named(tmp_path, change):
    EXPORTS["coco"](tmp_path)
    said = []
    path = tmp_path / "annotations/instances_train2017.json"
    change_json(path, lambda content: said.append(change(content)))
    with pytest.raises(ValueError, match=said[0]):
        read_all(tmp_path)


def test_a_supercategory_may_be_anything(tmp_path):
    EXPORTS["coco"](tmp_path)
    path = tmp_path / "annotations/instances_train2017.json"
    change_json(
        path, lambda c: c["categories"][0].update(supercategory=["a", {}])
    )
    read_all(tmp_path)


# --- Masks ---


def write_masks(folder, masks, **options):
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index, mask in enumerate(masks):
        mask = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        Image.new("RGB", mask.size).save(folder / f"images/{index}.jpg")
        mask.save(folder / f"masks/{index}.png")


def disc(low, high, smooth):
    """Return a disc of one color on another, its edge smoothed or not."""
    y, x = np.mgrid[:48, :64]
    inside = 15.5 - np.hypot(y - 24, x - 30)
    share = np.clip(inside, 0, 1) if smooth else inside > 0
    share = np.multiply.outer(share, np.subtract(high, low, dtype=float))
    return (np.array(low) + share).astype(np.uint8)


@pytest.mark.parametrize("color", [255, 200, (90, 30, 250)])
def test_smoothed_edges_are_no_classes(tmp_path, color):
    zero = np.zeros_like(color)
    write_masks(tmp_path, [disc(zero, color, smooth=False)] * 4)
    assert find_layout(tmp_path).info.num_classes == 2
    masks = [disc(zero, color, smooth=True), disc(zero, color, smooth=False)]
    write_masks(tmp_path, masks * 2)
    with pytest.raises(ValueError, match="save masks without smoothing"):
        find_layout(tmp_path)


def test_one_pixel_beside_0_and_255_is_no_class(tmp_path):
    masks = [disc(0, 255, smooth=False) for _ in range(6)]
    masks[2][0, 0] = 254
    write_masks(tmp_path, masks)
    with pytest.raises(ValueError, match=r"1 of 3 values in few .*\(254\)"):
        find_layout(tmp_path)
    facts = {"names": ["ground", "cat"]}
    exports.write(facts, tmp_path, "info.json")
    with pytest.raises(ValueError, match=r"\[254\] .* without smoothing"):
        read_labels(tmp_path)
    facts["label_values"] = {"0": 0, "254": 1, "255": 1}
    exports.write(facts, tmp_path, "info.json")
    assert read_labels(tmp_path).max() == 1
    masks[2][:] = 254  # no edge: a class
    write_masks(tmp_path, masks)
    assert find_layout(tmp_path).info.num_classes == 2


# --- Lists and names ---


def test_an_empty_list_is_named(tmp_path):
    EXPORTS["images_masks"](tmp_path / "a")
    (tmp_path / "a/train.txt").touch()
    with pytest.raises(ValueError, match="train.txt: expected an image a line"):
        find_layout(tmp_path / "a")
    EXPORTS["cvat"](tmp_path / "b")
    for path in (tmp_path / "b/ImageSets/Segmentation").iterdir():
        path.write_text("\n")
    with pytest.raises(ValueError, match="expected an image a line"):
        find_layout(tmp_path / "b")


def test_a_list_of_what_validates_is_enough(tmp_path):
    EXPORTS["images_masks"](tmp_path)
    (tmp_path / "val.txt").write_text("street_04\nstreet_05\n")
    found = find_layout(tmp_path)
    names = [path.stem for path, _ in found.splits["val"]]
    assert names == ["street_04", "street_05"] and not found.drawn
    assert len(found.splits["train"]) == exports.COUNT - 2
    assert "the 6 images that val.txt does not list train" in found.said[-1]
    (tmp_path / "images/street_00.jpg").unlink()
    with pytest.raises(ValueError, match="1 labels without an image"):
        find_layout(tmp_path)


def test_accents_are_composed_before_names_are_compared(tmp_path):
    apart, whole = "Tu\u0308r", "T\u00fcr"
    write_masks(tmp_path, [np.full((4, 6), i % 2, np.uint8) for i in range(3)])
    for index in range(3):
        image = tmp_path / f"images/{index}.jpg"
        image.rename(image.with_name(f"{apart}{index}.jpg"))
        mask = tmp_path / f"masks/{index}.png"
        mask.rename(mask.with_name(f"{whole}{index}.png"))
    assert len(find_layout(tmp_path).splits["train"]) == 2
    (tmp_path / "train.txt").write_text(f"{whole}0.jpg\n{apart}1\n", "utf-8")
    assert len(find_layout(tmp_path).splits["train"]) >= 1


# --- What the checks say ---


def said_kinds(folder):
    """Return the kinds of findings of a folder, and the first message."""
    splits = [open_split(str(folder), s) for s in ("train", "val")]
    found = check_splits(*splits)
    return [row.kind for row in found], found[0].message if found else ""


def test_masks_of_two_people_are_told_apart(tmp_path):
    masks = [disc(0, 255 if i % 2 else 1, smooth=False) for i in range(10)]
    write_masks(tmp_path, masks)
    kinds, message = said_kinds(tmp_path)
    assert kinds == ["zero-255"] and "5 labels hold 0 and 255" in message
    facts = {"names": ["ground", "cat"]}
    exports.write(facts, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == ["zero-255"]
    facts["label_values"] = {"0": 0, "1": 1, "255": 1}
    exports.write(facts, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == []
    masks = [disc(0, 1, smooth=False) for i in range(10)]
    for mask in masks[:9]:  # an edge that is ignored, and one without it
        mask[20:22] = 255
    masks[0][masks[0] == 1] = 0
    write_masks(tmp_path, masks)
    assert said_kinds(tmp_path)[0] == []


def test_palettes_that_differ_are_noticed(tmp_path):
    def paletted(order):
        colors = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)])
        scene = disc(0, 1, smooth=False)
        scene[40:] = 2
        mask = Image.fromarray(np.argsort(order).astype(np.uint8)[scene], "P")
        mask.putpalette(colors[order].flatten().tolist())
        return mask

    write_masks(tmp_path, [paletted([0, 1, 2])] * 10)
    assert said_kinds(tmp_path)[0] == []
    masks = [paletted([0, 2, 1] if i % 2 else [0, 1, 2]) for i in range(10)]
    write_masks(tmp_path, masks)
    kinds, message = said_kinds(tmp_path)
    assert kinds == ["other-palettes"] and "with label_colors" in message
    facts = {"names": ["ground", "road", "car"]}
    exports.write(facts, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == ["other-palettes"]
    facts["label_colors"] = ["#000000", "#ff0000", "#0000ff"]
    exports.write(facts, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == []
    for mask in masks:  # one color throughout says nothing
        mask.putpalette([7] * 768)
    write_masks(tmp_path, masks)
    exports.write({"names": facts["names"]}, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == []


def test_a_class_called_void_is_named(tmp_path):
    write_masks(tmp_path, [np.uint8([[0, 1, 2]])] * 4)
    exports.write({"names": ["a", "Void", "c"]}, tmp_path, "info.json")
    kinds, message = said_kinds(tmp_path)
    assert kinds == ["void-class"] and "'Void' is a class" in message


# --- Messages that name what is there ---


def test_a_name_that_is_no_text_is_shown(tmp_path):
    write_masks(tmp_path, [np.uint8([[0, 1]])] * 3)
    for name, shown in ((b"T\xfcr", r"T\\xfcr"), (b"a\nb", r"a\\nb")):
        path = tmp_path / "images" / os.fsdecode(name)
        path.touch()
        with pytest.raises(ValueError, match=f"b'images/{shown}'; rename it"):
            find_layout(tmp_path)
        path.unlink()


def test_one_class_alone_is_said_without_an_info_json(tmp_path):
    EXPORTS["coco"](tmp_path / "a")
    for path in (tmp_path / "a/annotations").iterdir():
        change_json(path, lambda c: c.update(categories=[], annotations=[]))
    EXPORTS["kaggle"](tmp_path / "b")
    (tmp_path / "b/class_dict.csv").write_text("name,r,g,b\nroad,0,0,0\n")
    for folder, name in (("a", "background"), ("b", "road")):
        with pytest.raises(ValueError, match=f"'{name}' alone") as error:
            find_layout(tmp_path / folder)
        assert "List what else was labelled" in str(error.value)


@pytest.mark.parametrize("value", [0, 255])
def test_masks_of_one_value_are_not_labelled(tmp_path, value):
    write_masks(tmp_path, [np.full((4, 6), value, np.uint8)] * 3)
    with pytest.raises(ValueError, match=f"two values .* {value} alone"):
        find_layout(tmp_path)


def test_ids_from_1_are_as_many_classes(tmp_path):
    write_masks(tmp_path, [np.uint8([[1, 2, 3]])] * 3)
    names = find_layout(tmp_path).info.class_names
    assert names == ("class_1", "class_2", "class_3")


def test_masks_of_each_class_are_to_be_joined(tmp_path):
    write_masks(tmp_path, [np.uint8([[0, 1]])] * 3)
    for name in ("car", "road"):
        shutil.copytree(tmp_path / "masks", tmp_path / "new" / name)
    shutil.rmtree(tmp_path / "masks")
    (tmp_path / "new").rename(tmp_path / "masks")
    with pytest.raises(ValueError, match="masks/car, masks/road have several"):
        find_layout(tmp_path)


def test_a_folder_without_images_is_not_told_to_call_them_train(tmp_path):
    EXPORTS["coco"](tmp_path)
    for path in (tmp_path / "annotations").iterdir():
        change_json(path, lambda c: c.update(images=[], annotations=[]))
    with pytest.raises(ValueError, match="Received: none; list them"):
        find_layout(tmp_path)


def test_masks_of_0_and_255_are_noticed_where_255_is_ignored(tmp_path):
    folder = tmp_path / "two"
    for index in range(6):
        values = exports.values(index)
        mask = np.where(values == 2, 1, 0)
        mask[:2] = 255
        if index % 2:
            mask = 255 * (values == 2)
        exports.save(exports.photo(index), folder, "images", f"{index}.png")
        path = folder, "masks", f"{index}.png"
        exports.save(exports.grey(mask.astype(np.uint8)), *path)
    exports.write({"names": ["rest", "car"]}, folder, "info.json")
    splits = [open_split(str(folder), split) for split in SPLITS]
    (found,) = [f for f in check_splits(*splits) if f.error]
    assert found.kind == "zero-255" and "3 labels hold 0 and" in found.message
    names = [int(n) for n in re.findall(r"masks/(\d).png", found.message)]
    assert len(names) == 2 and names[0] % 2 and not names[1] % 2
    assert not any(f.error for f in check_splits(*splits, ["zero-255"]))


def test_absent_classes_are_counted_if_they_are_many(tmp_path):
    exports.images_masks(tmp_path)
    names = [f"thing {i}" for i in range(20)]
    exports.write({"names": names}, tmp_path, "info.json")
    found = check_splits(*(open_split(str(tmp_path), s) for s in SPLITS))
    (message,) = [f.message for f in found if f.kind == "absent-classes"]
    assert "'thing 4', " in message and "'thing 9' and 10 more." in message


@pytest.mark.parametrize(
    "names", [["config.json", "steps.csv"], ["predictions.json"]]
)
def test_runs_and_results_among_the_data_are_none_of_it(tmp_path, names):
    exports.images_masks(tmp_path / "a")
    expected = read_labels(tmp_path / "a")
    exports.images_masks(tmp_path / "a/images/mine/run")
    shutil.copytree(tmp_path / "a/masks", tmp_path / "b/train/car")
    shutil.copytree(tmp_path / "a/masks", tmp_path / "b/train/bus")
    shutil.copytree(tmp_path / "a", tmp_path / "b/train/runs/x")
    for place in ("a/images/mine/run", "b/train/runs/x"):
        for name in names:
            exports.write({}, tmp_path, place, name)
    assert np.array_equal(read_labels(tmp_path / "a"), expected)
    split = open_classification_split(str(tmp_path / "b"), "train")
    assert split.info.class_names == ("bus", "car")


def test_masks_whose_most_is_ignored_are_named(tmp_path):
    write_masks(tmp_path, [np.uint8([[255, 254, 253, 255, 255]])] * 4)
    kinds, message = said_kinds(tmp_path)
    assert kinds == ["mostly-ignored"] and "60.0% of train" in message
    facts = {"names": ["a", "b", "c"], "label_values": [255, 254, 253]}
    exports.write(facts, tmp_path, "info.json")
    assert said_kinds(tmp_path)[0] == []


def test_a_speck_in_a_corner_is_an_outline(tmp_path):
    EXPORTS["coco"](tmp_path)
    path = tmp_path / "annotations/instances_train2017.json"
    speck, border = [0, 0, 1, 0, 1, 1, 0, 1], [80, 3, 80, 9, 80.5, 9]

    def change(content):
        content["annotations"][0]["segmentation"] = [speck]
        content["annotations"][3]["segmentation"] = [border]

    change_json(path, change)
    read_all(tmp_path)


def test_names_of_several_masks_of_an_image_are_shown(tmp_path):
    write_masks(tmp_path, [np.uint8([[0, 1]])] * 3)
    for path in [*(tmp_path / "masks").iterdir()]:
        for part in "xy":
            shutil.copy(path, path.with_stem(f"{path.stem}_{part}"))
        path.unlink()
    with pytest.raises(ValueError, match="images/0.jpg and masks/0_x.png"):
        find_layout(tmp_path)
