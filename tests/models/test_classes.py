"""Classes are matched by name, and taken by number where nobody named them."""

import dataclasses

import numpy as np
import pytest

from dla_keras.data.classification import ClassificationInfo
from dla_keras.data.classification import LabelledPicture
from dla_keras.data.classification import LabelledSplit
from dla_keras.data.datasets import DATASETS
from dla_keras.data.segmentation import Example
from dla_keras.models.classes import KnownClasses
from dla_keras.models.classes import in_model_order
from dla_keras.models.classes import match_classes

MODEL = KnownClasses("net.keras", ("road", "sky", "traffic light"))


def known(*names, count=None):
    return KnownClasses("streets", names or None, count)


def test_the_same_names_are_the_same_classes():
    match = match_classes(MODEL, known("Road", "sky ", "traffic_light"))
    assert match.order is None and not match.remark
    match = match_classes(MODEL, known("sky", "traffic-light", "road"))
    assert match.order == (2, 0, 1)
    assert "streets has the classes of net.keras in another" in match.remark
    # Spelling is what tells these two apart.
    cars = KnownClasses("net.keras", ("car", "Car"))
    assert match_classes(cars, known("Car", "car")).order == (1, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (known("road", "sky", "car"), "net.*only the data car.*by-number"),
        (known("road", "sky"), "has traffic light; only the data none"),
        (known("road", "sky", "traffic light", "car"), "with 4: road, sky, "),
        (known("road", "sky", "sky"), "Only the model has traffic light"),
        (known(count=4), "of the 3 classes of net.keras. Received: streets "),
        (known(*map(str, range(4))), "with 4; pass the data set that"),
    ],
)
def test_other_classes_are_refused_with_both_lists(data, message):
    with pytest.raises(ValueError, match=message):
        match_classes(MODEL, data)


def test_numbers_count_where_there_are_no_names_or_one_insists():
    for names in (("0", "1", "2"), ("class_0", "class_1", "class_2")):
        match = match_classes(MODEL, known(*names))
        assert match.order is None
        assert "streets does not name its classes" in match.remark
    for names in ("012", "abc"):
        assert not match_classes(known(count=3), known(*names)).remark
    # Digits out of order are names.
    digits = match_classes(known("1", "0"), known("0", "1"), by_number=True)
    assert digits.order is None
    match = match_classes(MODEL, known("a", "b", "c"), by_number=True)
    assert match.order is None and "taken by number" in match.remark
    with pytest.raises(ValueError, match="with 2"):
        match_classes(MODEL, known("a", "b"), by_number=True)


def test_long_lists_are_cut():
    many = KnownClasses("net", tuple(f"thing {i}" for i in range(150)))
    with pytest.raises(ValueError, match="thing 39 and 110 more") as caught:
        match_classes(many, known("thing 1"))
    assert "by-number" not in str(caught.value)  # the numbers do not fit
    assert len(str(caught.value)) < 1200


def test_label_maps_are_permuted_with_names_and_colors():
    info = DATASETS["camvid"]
    order = np.random.default_rng(0).permutation(info.num_classes)
    names = tuple(info.class_names[i] for i in order)
    label = np.arange(13, dtype=np.uint8).reshape(1, 13) % 11
    label[0, 11:] = 255

    class Split(list):
        pass

    split = Split([Example(np.zeros((1, 13, 3), np.uint8), label, "x")])
    split.info = info
    said = []
    ours = in_model_order(split, KnownClasses("net", names), say=said.append)
    assert len(said) == 1 and len(ours) == 1
    assert ours.info.class_names == names
    assert ours[0].label.dtype == np.uint8 and ours[0].name == "x"
    for old, new in zip(label[0], ours[0].label[0], strict=True):
        if old == 255:
            assert new == 255
            continue
        assert names[new] == info.class_names[old]
        assert ours.info.palette[new] == info.palette[old]
    assert in_model_order(split, KnownClasses("edges")) is split  # no classes


def test_classes_of_pictures_are_permuted_beyond_a_byte():
    names = tuple(f"bird {i}" for i in range(300))
    picture = LabelledPicture(np.zeros((1, 1, 3), np.uint8), 0, "")
    split = LabelledSplit(
        ClassificationInfo("birds", names),
        300,
        lambda index: dataclasses.replace(picture, label=index),
    )
    backwards = KnownClasses("net", names[::-1])
    ours = in_model_order(split, backwards, say=lambda remark: None)
    assert [ours[i].label for i in range(300)] == list(range(299, -1, -1))
