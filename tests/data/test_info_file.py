"""info.json: what it may say, and one line with file and key for the rest."""

import json
import random

import numpy as np
import pytest
from list_folder import write_folder
from odd_pictures import damaged
from PIL import Image

from dla_keras.data.datasets import CITYSCAPES_CLASSES
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.info_file import FIELDS
from dla_keras.data.info_file import folder_info
from dla_keras.data.labels import read_label
from dla_keras.data.segmentation import list_pairs
from dla_keras.data.segmentation import open_split
from dla_keras.files import read_json
from dla_keras.files import read_lines

COLORS = ((128, 64, 128), (0, 0, 142), (220, 20, 60))
NAMES = ["ground", "square", "disc"]


@pytest.fixture
def said(tmp_path):
    """Return a function that gives the facts of a folder with a file."""

    def read(content, known=None, labels=None):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "info.json").write_text(text)
        return folder_info(tmp_path, known, labels)

    return read


def write_labels(folder, values):
    names = []
    for index, row in enumerate(values):
        names.append(folder / f"{index}.png")
        Image.fromarray(np.array([row], np.uint8)).save(names[-1])
    return names


@pytest.mark.parametrize(
    ("labels", "content", "table"),
    [
        ([(0, 0), (0, 255)], {}, {0: 0, 255: 1}),
        ([(0, 1)], {}, {0: 0, 1: 1}),
        ([(0, 255), (0, 255, 7)], {}, {0: 0, 7: 1}),  # a border of 255
        ([(0, 9, 7)], {"ignore_label": 9}, {0: 0, 7: 1}),
        (None, {}, {0: 0, 255: 1}),
        ([(0, 3)], {"label_values": {"3": 0, "4": 0}}, {0: 0, 3: 1, 4: 1}),
    ],
)
def test_one_class_is_read_as_two(tmp_path, said, labels, content, table):
    paths = labels and write_labels(tmp_path, labels)
    info = said({"names": ["square"], **content}, labels=paths)
    assert info.class_names == ("background", "square")
    assert info.label_values == table
    assert len(info.remarks) == 1 and "names one class" in info.remarks[0]
    for path in paths or ():
        ids = read_label(path, info)
        stored = np.array(Image.open(path))
        expected = [table.get(value, 255) for value in stored[0]]
        np.testing.assert_array_equal(ids[0], expected)


@pytest.mark.parametrize(
    ("labels", "content", "message"),
    [
        ([(0, 1, 2)], {}, "for the one class 'square'. Received: 1, 2"),
        ([(0, 0)], {}, "Received: nothing else"),
        ([(0, 1)], {"ignore_label": 0}, "the labels' 0 is no background"),
        ([(0, 1)], {"label_values": {"0": 0}}, r'\["background", "square"\]'),
    ],
)
def test_one_class_needs_one_value(tmp_path, said, labels, content, message):
    paths = write_labels(tmp_path, labels)
    with pytest.raises(ValueError, match=f"info.json: .*{message}"):
        said({"names": ["square"], **content}, labels=paths)


@pytest.mark.parametrize(
    "content",
    [
        {"class_names": NAMES},
        {"names": NAMES},
        {"classes": NAMES},
        {"names": NAMES, "classes": 3},
        {"names": {"0": "ground", "1": "square", "2": "disc"}},
        {"names": {"2": "disc", "0": "ground", "1": "square"}},
        {"class_names": {"ground": 0, "disc": 2, "square": 1}},
    ],
)
def test_names_are_understood_under_three_keys(said, content):
    info = said(content)
    assert info.class_names == tuple(NAMES)
    assert info.label_values is info.label_colors is None
    assert said({"classes": 2}).class_names == ("class_0", "class_1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"names": {"7": "a", "255": "b"}}, {7: 0, 255: 1}),
        ({"names": {"b": 255, "a": -1}}, {-1: 0, 255: 1}),
        ({"label_values": {"0": "a", "255": "b"}}, {0: 0, 255: 1}),
        ({"label_values": {"0": 0, "70000": 1}}, {0: 0, 70000: 1}),
        ({"label_values": {"a": [0, 3], "b": 255}}, {0: 0, 3: 0, 255: 1}),
        ({"label_values": [0, [255, 254]]}, {0: 0, 255: 1, 254: 1}),
    ],
)
def test_values_of_classes_are_said_in_any_of_these_ways(
    said, content, expected
):
    assert said({"names": ["a", "b"], **content}).label_values == expected


@pytest.mark.parametrize(
    "colors",
    [
        {"#804080": "a", "00008E": 1},
        {"a": [128, 64, 128], "b": "#00008e"},
        {"b": [[0, 0, 142]], "a": ["804080"]},
        [[128, 64, 128], ["#00008e"]],
    ],
)
def test_colors_of_classes_are_said_in_any_of_these_ways(said, colors):
    info = said({"names": ["a", "b"], "label_colors": colors})
    assert info.label_colors == {COLORS[0]: 0, COLORS[1]: 1}
    assert not info.values  # they are what the labels hold


def test_palettes_are_hex_numbers_or_by_name(said):
    by_list = said(
        {"names": NAMES, "palette": ["#804080", [0, 0, 142], "dc143c"]}
    )
    assert by_list.palette == COLORS
    by_name = said({"names": NAMES, "colors": {"disc": "#010203"}})
    assert by_name.palette[2] == (1, 2, 3)
    road = CITYSCAPES_CLASSES["road"]
    assert said({"names": ["road", "b"]}).palette[0] == road


def test_what_is_ignored_is_a_value_a_color_or_several(said):
    names = {"names": NAMES}
    assert said(names | {"ignore_label": 7}).ignored_ids == (7,)
    assert said(names | {"ignore_index": [7, 9]}).ignored_ids == (7, 9)
    mixed = said(names | {"ignored": [-1, "#000000", [1, 2, 3]]})
    assert mixed.ignored_ids == (-1,)
    assert mixed.ignored_colors == ((0, 0, 0), (1, 2, 3))
    assert said(names | {"mean": [0, 0.5, 1], "std": [1, 1, 0.1]}).std[2] == 0.1


FAULTS = [
    (
        {"class_nmaes": NAMES},
        "has the keys .*'class_nmaes'. Did you mean class",
    ),
    ({"names": NAMES, "ignore_labels": 0}, "Did you mean ignore_label"),
    (
        {"names": NAMES, "ignore_label": 300},
        "number from 0 to 255 as 'ignore_la",
    ),
    ({"names": NAMES, "ignore_label": "255"}, '0 to 255 .* Received: "255"'),
    ({"names": NAMES, "ignore_label": None}, "0 to 255 .* Received: null"),
    ({"names": NAMES, "ignore_label": True}, "0 to 255 .* Received: true"),
    ({"names": NAMES, "ignore_label": 2}, "2 is a class or is ignored.*'disc'"),
    ({"names": NAMES, "ignored": "black"}, "a color, .* as 'ignored'"),
    ({"names": NAMES, "palette": NAMES}, 'for each class a|a color, "#rrggbb"'),
    ({"names": NAMES, "palette": ["#fff"] * 3}, 'a color, "#rrggbb"'),
    ({"names": NAMES, "palette": [[0, 0, 256]] * 3}, "three numbers from 0"),
    ({"names": NAMES, "palette": [[0, 0, 0]]}, "one color per class, 3"),
    (
        {"names": NAMES, "palette": {"dics": "#000000"}},
        "'dics'. Did you mean d",
    ),
    ({"names": NAMES, "mean": [0, 128, 255]}, "from 0 to 1.* as 'mean'"),
    ({"names": NAMES, "std": [0, 1, 1]}, "as 'std'"),
    (
        {"names": "abc"},
        "names of the classes, .* as 'names' in .* Received: \"abc\"",
    ),
    ({"names": ["a", "a"]}, "names that differ"),
    ({"names": ["a\nb", "c"]}, "on one line"),
    ({"names": ["a", ""]}, "on one line"),
    ({"names": ["a", 3]}, "on one line"),
    ({"names": []}, "the names of the classes"),
    ({"names": {}}, "the names of the classes"),
    ({"names": {"x": "y"}}, "a whole number from"),
    ({"names": {"a": 0, "b": 0}}, "values that differ"),
    ({"names": {"0": ["a"]}}, "on one line"),
    ({"names": [str(i) for i in range(256)]}, "at most 255 classes"),
    ({"classes": 0}, "from 1 to 255 as 'classes'"),
    ({"classes": 2.5}, "the names of the classes"),
    ({"classes": 2, "names": NAMES}, "names and classes, which differ"),
    ({"names": NAMES, "class_names": ["a"]}, "class_names and names, which d"),
    ({}, "are unknown. Expected 'class_names'"),
    (
        {"names": NAMES, "label_values": {"0": "grund"}},
        "'grund'. Did you mean g",
    ),
    ({"names": NAMES, "label_values": {"0": 3}}, "class ids, 0 to 2. Received"),
    (
        {"names": NAMES, "label_values": {"0": None}},
        "values .*as 'label_values'",
    ),
    ({"names": NAMES, "label_values": {"a": "b"}}, "a whole number"),
    ({"names": NAMES, "label_values": [0, 0, 1]}, "each of them once"),
    ({"names": NAMES, "label_values": 3}, "values in the labels and the class"),
    ({"names": NAMES, "label_values": {"0": 0, "9": 1}, "ignored": 9}, "both"),
    ({"names": {"1": "a"}, "label_values": {"0": 0}}, "says twice"),
    ({"names": NAMES, "label_colors": {"#00000": "disc"}}, "a color"),
    (
        {"names": NAMES, "label_colors": {"#000000": 0}, "ignored": "000000"},
        r"\(0, 0, 0\) is a class or is ignored",
    ),
    ([NAMES], r"an object, \{...\}, in .*info.json"),
    ("null", "an object"),
    ("{", "is not valid JSON"),
    ('{"classes": 1, "classes": 2}', "'classes' stands twice"),
    ('{"mean": [NaN, 0, 0]}', "NaN is no number"),
    ("[" * 100_000, "is not valid JSON"),
    ('{"classes": ' + "9" * 5000 + "}", "is not valid JSON"),
]


@pytest.mark.parametrize(("content", "message"), FAULTS)
def test_a_fault_is_one_line_with_file_and_key(said, content, message):
    with pytest.raises(ValueError, match=message) as raised:
        said(content)
    text = str(raised.value)
    assert "info.json" in text and "\n" not in text and len(text) < 500


def test_text_is_read_in_any_unicode(tmp_path):
    path = tmp_path / "info.json"
    text = '{"names": ["Straße", "道"]}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        path.write_bytes(text.encode(encoding))
        assert folder_info(tmp_path, None).class_names == ("Straße", "道")
    for encoding in ("utf-16-le", "utf-16-be"):  # without a mark
        path.write_bytes(text.encode(encoding))
        assert read_json(path) == {"names": ["Straße", "道"]}
    path.write_bytes(text.replace("道", "x").encode("latin-1"))
    with pytest.raises(ValueError, match=r"UTF-8 or UTF-16.*info.json.*xdf"):
        read_json(path)
    path.write_bytes(b'{"names": \0 1}')
    with pytest.raises(ValueError, match="zero byte at character 10"):
        read_json(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_are_read_as_windows_writes_them(tmp_path, encoding):
    write_folder(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("images_0.png", "labels_0.png"):
        (tmp_path / name).rename(tmp_path / "sub" / name)
    for kind in ("images", "labels"):
        path = tmp_path / f"train_{kind}.txt"
        text = f'sub\\{kind}_0.png\r\n\r\n"{kind}_1.png"\r\n'
        path.write_bytes(text.encode(encoding))
    pairs = list_pairs(tmp_path, "train")
    assert [image.name for image, _ in pairs] == [
        "images_0.png",
        "images_1.png",
    ]
    assert len([*open_split(str(tmp_path), "train")]) == 2
    lines = read_lines(tmp_path / "train_images.txt")
    assert lines == [(1, "sub\\images_0.png"), (3, "images_1.png")]


def test_zero_is_ignored_and_ids_count_from_one_if_labels_say_so(
    said, tmp_path
):
    content = {"names": NAMES, "ignore_label": 0}
    labels = write_labels(tmp_path, [[0, 1, 2], [0, 3]])
    info = said(content, labels=labels)
    assert info.label_values == {1: 0, 2: 1, 3: 2}
    assert info.ignored_ids == (0,)
    # Ids from 0, of which one is a class and ignored.
    with pytest.raises(ValueError, match="both, the class 'ground'"):
        said(content, labels=labels[:1])
    with pytest.raises(ValueError, match="both, the class 'ground'"):
        said({"names": NAMES, "ignore_index": 0}, labels=labels[:1])
    # A list of files says it likewise, from both splits.
    folder = tmp_path / "lists"
    folder.mkdir()
    write_folder(folder, classes=4)
    (folder / "info.json").write_text(json.dumps(content))
    example = open_split(str(folder), "train")[0]
    stored = np.array(Image.open(folder / "labels_0.png"))
    expected = np.where(stored == 0, 255, stored.astype(int) - 1)
    np.testing.assert_array_equal(example.label, expected)


def test_what_a_person_says_stands_above_what_a_tool_says(said):
    tool = DatasetInfo(
        "tool",
        ("background", "cat", "dog"),
        COLORS,
        label_values={0: 0, 1: 1, 2: 2},
        ignored_ids=(9,),
    )
    assert said({}, tool) == tool
    renamed = said({"names": ["none", "Katze", "Hund"]}, tool)
    assert renamed.label_values == tool.label_values
    assert renamed.palette == COLORS and renamed.class_names[1] == "Katze"
    # The same names in another order, or some of them, are those classes.
    ordered = said({"names": ["dog", "cat", "background"]}, tool)
    assert ordered.label_values == {0: 2, 1: 1, 2: 0}
    assert ordered.palette == COLORS[::-1]
    some = said({"names": ["dog", "cat"], "ignored": [0]}, tool)
    assert some.label_values == {1: 1, 2: 0} and some.ignored_ids == (0,)
    assert some.palette == (COLORS[2], COLORS[1])
    with pytest.raises(ValueError, match="one name for each of the 3 classes"):
        said({"names": ["a", "b"]}, tool)
    coded = said({"label_colors": {"#000000": "cat"}}, tool)
    assert coded.label_values is None and coded.ignored_ids == ()
    streets = DATASETS["cityscapes"]
    assert said({"mean": [0, 0, 0]}, streets).label_values[7] == 0


def thing(dice, depth=0):
    """Return any JSON."""
    kind = dice.randrange(9 if depth < 3 else 6)
    plain = (
        None,
        True,
        dice.randrange(-3, 300),
        dice.random(),
        "road",
        "#0a0b0c",
    )
    if kind < 6:
        return plain[kind]
    if kind == 6:
        return {
            dice.choice(["0", "1", "255", "road", "#000000", "x"]): thing(
                dice, depth + 1
            )
            for _ in range(dice.randrange(4))
        }
    return [thing(dice, depth + 1) for _ in range(dice.randrange(4))]


def test_any_json_is_facts_or_a_value_error(said):
    dice, understood = random.Random(0), 0
    for _ in range(1000):
        content = {"names": ["road", "car"]} if dice.random() < 0.7 else {}
        for key in dice.sample([*FIELDS], dice.randrange(1, 4)):
            content[key] = thing(dice)
        try:
            assert isinstance(said(content), DatasetInfo)
            understood += 1
        except ValueError as error:
            assert "info.json" in str(error) and "\n" not in str(error)
    assert understood > 5


def test_damaged_text_raises_value_errors_only(tmp_path):
    path = tmp_path / "info.json"
    info = json.dumps({"names": NAMES, "palette": COLORS, "ignore_label": 9})
    whole = [info.encode(name) for name in ("utf-8", "utf-16", "utf-32")]
    read = 0
    for data in (cut for text in whole for cut in damaged(text, 100)):
        path.write_bytes(data)
        for reader in (
            read_json,
            read_lines,
            lambda p: folder_info(p.parent, None),
        ):
            try:
                reader(path)
                read += 1
            except ValueError as error:
                assert "info.json" in str(error)
    assert read
