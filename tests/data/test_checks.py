"""What is wrong with labels is found before anything trains on them."""

import os

import numpy as np
import pytest
from list_folder import write_folder
from PIL import Image

from dla_keras.data import checks
from dla_keras.data import file_cache
from dla_keras.data.checks import check_classes
from dla_keras.data.checks import check_splits
from dla_keras.data.checks import find_strays
from dla_keras.data.checks import find_unlike
from dla_keras.data.checks import read_facts
from dla_keras.data.classification import open_classification_split
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.duplicates import NEAR
from dla_keras.data.duplicates import near_duplicates
from dla_keras.data.duplicates import picture_hashes
from dla_keras.data.segmentation import FileSplit
from dla_keras.data.segmentation import open_split

NAMES = ("ground", "square", "disc")
COLORS = ((0, 0, 0), (90, 0, 0), (0, 90, 0))


def info_of(names=NAMES, **facts):
    return DatasetInfo("mine", names, COLORS[: len(names)], **facts)


def make_split(folder, labels, info=None):
    """Write a split of tiny labels, each a list of ids, and open it."""
    folder.mkdir()
    pairs = []
    for index, ids in enumerate(labels):
        pair = folder / f"street_{index}.jpg", folder / f"street_{index}_L.png"
        Image.new("RGB", (len(ids), 1)).save(pair[0])
        Image.fromarray(np.array([ids], np.uint8)).save(pair[1])
        pairs.append(pair)
    return FileSplit(pairs, info or info_of(), str(folder), checked=False)


def kinds(findings):
    return [(row.kind, row.error) for row in findings]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dla_keras" / "checks"


def test_facts_are_counts_of_labels(tmp_path):
    split = make_split(tmp_path / "train", [[0, 1, 1, 255], [0, 0], [255]])
    facts = read_facts(split, "train")
    assert (facts.pictures, facts.seen) == (3, 3)
    assert facts.sizes == {(4, 1): 1, (2, 1): 1, (1, 1): 1}
    assert facts.pixels[[0, 1, 2, 255]].tolist() == [3, 2, 0, 2]
    assert facts.labels[[0, 1, 2, 255]].tolist() == [2, 1, 0, 2]
    np.testing.assert_allclose(facts.shares(3), [3 / 7, 2 / 7, 0, 2 / 7])
    assert [name[-14:] for name in facts.blank] == ["street_2_L.png"]


GOOD = [[0, 1, 2, 255]]
CASES = {
    "good": (GOOD, GOOD, {}, []),
    "0 and 255": ([[0, 255]], GOOD, {}, [("zero-255", True)]),
    "0 and 255, named": (
        [[0, 255]],
        [[0, 255]],
        {"names": NAMES[:2], "label_values": {0: 0, 255: 1}},
        [],
    ),
    "one class": ([[1, 1, 255]], GOOD, {}, [("single-class", True)]),
    "an absent class": ([[0, 1]], [[0, 1]], {}, [("absent-classes", True)]),
    "a class of val alone": ([[0, 1]], GOOD, {}, [("absent-classes", True)]),
    "no background": (
        [[1]] + [[2]],
        [[1, 2]],
        {"names": ("_Background_", *NAMES[1:])},
        [("absent-classes", False)],
    ),
    "background in val alone": (
        [[1]] + [[2]],
        GOOD,
        {"names": ("background", *NAMES[1:])},
        [("absent-classes", True)],
    ),
    "all ignored": ([[255]], GOOD, {}, [("nothing-counts", True)]),
    "nothing to score": (GOOD, [[255]], {}, [("nothing-counts", True)]),
    "few ignored": (
        [*GOOD, *GOOD, [255]],
        GOOD,
        {},
        [("ignored-labels", False)],
    ),
    "most ignored": (
        [*GOOD, [255], [255]],
        GOOD,
        {},
        [("ignored-labels", True)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_found_alone(case, tmp_path):
    train, val, facts, expected = CASES[case]
    splits = [
        make_split(tmp_path / name, labels, info_of(**facts))
        for name, labels in (("train", train), ("val", val))
    ]
    found = check_splits(*splits)
    assert kinds(found) == expected
    for row in found:
        allowed = check_splits(*splits, [row.kind])
        hopeless = row.kind == "nothing-counts"
        assert kinds(allowed) == [(row.kind, hopeless)]
        if row.error and not hopeless:
            assert f"--allow {row.kind}" in row.message


def test_a_message_names_the_cure(tmp_path):
    train = make_split(tmp_path / "t", [[0, 0, 0, 255]], info_of(NAMES[:2]))
    row, shared = check_splits(train, train)
    assert (shared.kind, shared.error) == ("shared-pictures", False)
    assert shared.message.startswith("1 of 1 pictures of val train, too")
    assert "25.0% of the pixels do not count" in row.message
    assert "no label holds 'square'" in row.message
    assert '"label_values": {"0": 0, "255": 1}' in row.message


def test_a_benchmarks_absent_classes_are_a_warning(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "info.json").unlink()
    for index in range(5):
        path = tmp_path / f"labels_{index}.png"
        Image.new("L", (64, 48), index % 3).save(path)
    splits = [open_split("camvid", s, str(tmp_path)) for s in ("train", "val")]
    (first, *_) = check_splits(*splits)
    assert (first.kind, first.error) == ("absent-classes", False)


def test_every_broken_pair_is_named(tmp_path):
    folder = write_folder(tmp_path)
    (tmp_path / "images_0.png").unlink()
    Image.new("L", (64, 47)).save(tmp_path / "labels_1.png")
    (tmp_path / "images_2.png").write_text("no picture")
    Image.new("L", (64, 48), 77).save(tmp_path / "labels_3.png")
    split = open_split(folder, "train", checked=False)
    facts = read_facts(split, "train")
    assert len(facts.faults) == 4
    for index, words in enumerate(
        ("does not exist", "(47, 64)", "is no picture", "77")
    ):
        assert f"s_{index}.png" in facts.faults[index]
        assert words in facts.faults[index]
    found = check_splits(split, split)
    assert kinds(found)[:2] == [("broken", True), ("broken", True)]
    assert "4 of 5 pairs of train cannot be used: " in found[0].message
    assert found[0].message.endswith("(and 3 more)")


NAMED = {
    "the same": (["a_1", "a_2", "a_3"], ["a_1", "a_2", "a_3"], 0),
    "with endings": (["a_1", "a_2", "a_10"], ["1_gt", "2_gt", "10_gt"], 0),
    "zeros before": (["img08", "img09", "img10"], ["m_8", "m_9", "m_10"], 0),
    "one further": (["a_1", "a_2", "a_3"], ["a_2", "a_3", "a_4"], 2),
    "in another order": (["b", "a", "c"], ["a_L", "b_L", "c_L"], 2),
    "names of their own": (["x1", "y2", "z3"], ["p", "q", "r"], 0),
    "two endings": (["a.jpg", "b.png"], ["a", "b"], 0),
}


@pytest.mark.parametrize("case", NAMED)
def test_labels_with_the_names_of_other_pictures(case, tmp_path):
    images, labels, expected = NAMED[case]
    pairs = [
        (tmp_path / f"{image}.jpg", tmp_path / f"{label}.png")
        for image, label in zip(images, labels, strict=True)
    ]
    split = FileSplit(pairs, info_of(), "here", checked=False)
    found = find_strays(split)
    assert len(found) == bool(expected)
    unlike = bool(expected) or case == "names of their own"
    assert [row.error for row in find_unlike(split)] == [False] * unlike
    if found:
        assert found[0].message.startswith(f"{expected} of {len(pairs)} labels")


def test_the_cache_knows_a_file_by_time_and_size(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(file_cache, "WORTH_KEEPING", 0.0)
    split = make_split(tmp_path / "train", [[0, 1], [0, 2], [0, 7]])
    looked = []
    look = checks._look
    spy = lambda split, index: (looked.append(index), look(split, index))[1]
    monkeypatch.setattr(checks, "_look", spy)
    first = read_facts(split, "train")
    assert sorted(looked) == [0, 1, 2]
    assert first.faults and "7" in first.faults[0]
    assert len([*cache.iterdir()]) == 1
    assert not [*(tmp_path / "train").glob("*.json")]

    # A fault is looked at again; so is a file of another time.
    label = split.pairs[1][1]
    Image.fromarray(np.array([[1, 1]], np.uint8)).save(label)
    os.utime(label, ns=(1, 1))
    looked.clear()
    second = read_facts(split, "train")
    assert sorted(looked) == [1, 2]
    assert second.pixels[:3].tolist() == [1, 3, 0]

    # Another meaning of the values is another entry; damage is no error.
    looked.clear()
    split.info = info_of(label_values={0: 1, 1: 0})
    read_facts(split, "train")
    assert sorted(looked) == [0, 1, 2]
    for damage in ("", "[1]", '{"a": 1}', "\0"):
        for file in cache.iterdir():
            file.write_text(damage)
        read_facts(split, "train")


def test_a_home_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(file_cache, "WORTH_KEEPING", 0.0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    split = make_split(tmp_path / "train", GOOD)
    assert read_facts(split, "train").pixels.sum() == 4


def test_a_class_without_a_picture(tmp_path):
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "a.png")
    (tmp_path / "val/dog/a.png").unlink()
    (tmp_path / "val/dog").rmdir()
    splits = [
        open_classification_split(str(tmp_path), name)
        for name in ("train", "val")
    ]
    (row,) = check_classes(*splits)
    assert (row.kind, row.error) == ("absent-classes", False)
    assert row.message.startswith("No picture of val is of 'dog'.")


def photograph(seed, size=(320, 320)):
    noise = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.BICUBIC)


def test_near_duplicates_survive_size_light_and_compression(tmp_path):
    train = [tmp_path / f"t{i}.png" for i in range(4)]
    for index, path in enumerate(train):
        photograph(index).save(path)
    smaller = photograph(2).resize((200, 150)).point(lambda v: 0.8 * v + 20)
    smaller.save(tmp_path / "v0.jpg", quality=60)
    photograph(3, (512, 512)).save(tmp_path / "v1.jpg")
    photograph(9).save(tmp_path / "v2.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "v3.png")
    whole = (tmp_path / "v1.jpg").read_bytes()
    (tmp_path / "v4.jpg").write_bytes(whole[: len(whole) // 2])
    val = [*sorted(tmp_path.glob("v*"))]
    hashes = [picture_hashes(train, "train"), picture_hashes(val, "val")]
    found = near_duplicates(*hashes)
    assert sorted(pair for _, *pair in found) == [[0, 2], [1, 3]]
    assert all(0 <= bits <= NEAR for bits, *_ in found)
    faults = [row for row in hashes[1] if isinstance(row, file_cache.Fault)]
    assert len(faults) == 1 and "v4.jpg" in faults[0]
    assert near_duplicates([], hashes[1]) == []
