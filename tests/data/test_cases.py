"""Data sets as people have them: each is read right, or refused with the cure.

Beside a checkout with `shared/cases`; the kinds that they stand for have tests
of their own in this folder.
"""

import subprocess
import sys

import numpy as np
import pytest
from paths import SHARED

from dla_keras.data.checks import check_splits
from dla_keras.data.segmentation import open_split

SCRIPT = SHARED.parent / "cases" / "make_cases.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.exists(), reason="shared/cases is not beside this checkout"
)

# The same scenes as `plain`, written in another way: the same ids.
SAME = (
    *("back_slashes", "lists_with_bom", "grey_as_rgb", "rgb_masks"),
    *("ids_from_1", "names_by_number", "names_key", "mapillary"),
)
OWN = ("ground", "square", "disc")
DRAWN = ("background", *OWN)
# Names of the classes, from the files where these have some.
NAMES = {
    "images_masks": ("class_0", "class_1", "class_2"),
    "cvat": DRAWN,
    "voc": DRAWN,
    "roboflow": DRAWN,
    "supervisely": DRAWN,
    "exif_90": OWN,
    "exif_180": OWN,
    "transparent": OWN,
    "one_class_0_255": ("background", "square"),
}
REFUSED = {
    "binary_0_255": '"label_values": {"0": 0, "255": 1}',
    "all_ignored": "Every pixel of train is ignored",
    "jpeg_masks": "JPEG blurs ids",
    "ignore_300": "a whole number from 0 to 255 as 'ignore_label'",
    "ignore_is_a_class": "Received: both, the class 'ground'",
    "unknown_key": "Received: both, the class 'ground'",
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, SCRIPT, folder], check=True)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def splits(folder):
    return [open_split(str(folder), name, None) for name in ("train", "val")]


def messages(folder):
    """Return what stops a training: of opening, or of the check."""
    try:
        found = check_splits(*splits(folder))
    except ValueError as error:
        return [str(error)]
    return [row.message for row in found if row.error]


@pytest.mark.parametrize("name", SAME)
def test_the_same_scenes_are_the_same_labels(cases, name):
    assert not messages(cases / name)
    for ours, theirs in zip(
        splits(cases / name), splits(cases / "plain"), strict=True
    ):
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one.label, other.label)


@pytest.mark.parametrize("name", NAMES)
def test_folders_alone_are_enough(cases, name):
    assert not messages(cases / name)
    train, val = splits(cases / name)
    assert train.info.class_names == NAMES[name]
    assert (len(train), len(val)) == (6, 2)
    for example in [*train, *val]:
        assert example.image.shape[:2] == example.label.shape


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_with_its_cure(cases, name):
    said = messages(cases / name)
    assert any(REFUSED[name] in line for line in said), said


def test_every_case_is_looked_at(cases):
    known = {"plain", *SAME, *NAMES, *REFUSED}
    assert known == {path.name for path in cases.iterdir() if path.is_dir()}
