"""Looks at all labels of a dataset, before anything trains on them.

A label may be readable and still wrong: colors that nobody named, a class that
was never drawn, a list in another order. Each is a `Finding` here, which
training stops at and `dla-keras check` shows beside the figures.
"""

import os
import pathlib
import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

import numpy as np
from PIL import Image

from dla_keras.choices import spread
from dla_keras.data.datasets import ALLOWED
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.file_cache import THREADS
from dla_keras.data.file_cache import Fault
from dla_keras.data.file_cache import file_stamp
from dla_keras.data.file_cache import remembered
from dla_keras.data.folders.class_files import is_void
from dla_keras.data.folders.drawing import DrawnLabel
from dla_keras.data.pictures import open_header
from dla_keras.data.pictures import open_picture
from dla_keras.data.pictures import picture_size
from dla_keras.data.segmentation import compare_sizes

NAMED = 6  # classes in a message
HEADERS = 5000  # pictures of class folders, before training
SAMPLE = 60  # labels of a split that is no files: drawn, or packed by TFDS
# Names of what nobody draws, and labelling tools list all the same.
BACKGROUND = "background void unlabeled unlabelled unknown ignore other".split()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a dataset, or may be.

    Args:
        kind: Word for it; a key of `ALLOWED` if it can be meant.
        message: Line that says what it is, and the cure.
        error: Whether training must not begin.
    """

    kind: str
    message: str
    error: bool


@dataclass(frozen=True)
class SplitFacts:
    """What the labels of a split hold.

    Args:
        name: `"train"` or `"val"`.
        pictures: Number of pictures.
        seen: Number of those that were looked at.
        sizes: Width and height -> number of pictures.
        pixels: Number of pixels by class id and `IGNORE_LABEL`, `(256,)`.
        labels: Number of labels that hold it, `(256,)`.
        blank: Names of labels in which nothing counts.
        faults: Message of each pair that cannot be used.
        zero_255: Names of labels that hold 0 and 255 alone.
        white: Pixels of 255 in those, and all of theirs.
        other: Name of a label that holds another class than 0.
        palettes: Class ids of each color that palettes show numbers in, with
            the name of a label for each.
    """

    name: str
    pictures: int
    seen: int
    sizes: Counter
    pixels: np.ndarray
    labels: np.ndarray
    blank: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    zero_255: tuple[str, ...] = ()
    white: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    other: str = ""
    palettes: dict[tuple, dict[int, str]] = field(default_factory=dict)

    def shares(self, num_classes: int) -> np.ndarray:
        """Return the share of each class, and last of ignored pixels."""
        counts = np.append(self.pixels[:num_classes], self.pixels[-1])
        return counts / max(self.pixels.sum(), 1)


def read_facts(split, name: str) -> SplitFacts:
    """Return what a split's labels hold; no picture is decoded.

    Args:
        split: Sequence of `Example`. Of one with `pairs`, every file is looked
            at; of others, `SAMPLE` labels.
        name: `"train"` or `"val"`.
    """
    if pairs := getattr(split, "pairs", None):
        info = split.info
        key = (
            "labels with palettes",
            name,
            info.class_names,
            label_coding(info),
        )
        names = [f"{image} {label}" for image, label in pairs]
        stamps = [file_stamp(pair) for pair in pairs]
        rows = remembered(key, names, stamps, lambda i: _look(split, i))
        names = [str(label) for _, label in pairs]
    else:
        chosen = spread(range(len(split)), SAMPLE)
        names = [str(index) for index in chosen]
        rows = [_counted(split[index].label) for index in chosen]
    return _facts(name, len(split), names, rows)


def _facts(name, pictures, names, rows):
    sizes, blank, faults, binary, palettes = Counter(), [], [], [], {}
    other = ""
    pixels, labels = np.zeros((2, 256), np.int64)
    white = np.zeros(2, np.int64)
    for label, row in zip(names, rows, strict=True):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        height, width, counts, *colors = row
        sizes[width, height] += 1
        ids = [int(index) for index in counts]
        pixels[ids] += np.array([*counts.values()], np.int64)
        labels[ids] += 1
        if ids == [IGNORE_LABEL]:
            blank.append(label)
        if ids == [0, IGNORE_LABEL]:
            binary.append(label)
            white += counts[str(IGNORE_LABEL)], height * width
        elif {*ids} - {0, IGNORE_LABEL}:
            other = other or label
        for class_id, color in colors[0].items() if colors else ():
            owners = palettes.setdefault(tuple(color), {})
            owners.setdefault(int(class_id), label)
    found = SplitFacts(name, pictures, len(rows), sizes, pixels, labels)
    return replace(
        found,
        blank=(*blank,),
        faults=(*faults,),
        zero_255=(*binary,),
        white=white,
        other=other,
        palettes=palettes,
    )


def _look(split, index):
    """Return height, width and pixels by id of a label of its image's size."""
    image, label = split.pairs[index]
    size, ids = picture_size(image), split.label(index)
    if size != ids.shape == size[::-1]:
        # Or an EXIF tag turns one of them that stands behind its pixels.
        size = open_picture(image).size[::-1]
    compare_sizes(size, ids.shape, image, label)
    row = _counted(ids)
    return [*row, _palette(label, split.info, row[-1])]


def _counted(label):
    # Pillow counts bytes in place; NumPy would make integers of them first.
    counts = Image.fromarray(label).histogram()
    return [*label.shape, {str(i): n for i, n in enumerate(counts) if n}]


def _palette(label, info, counts):
    """Return the color of each class id that a label's palette shows."""
    if isinstance(label, DrawnLabel) or info.label_colors:
        return {}
    with open_header(label) as image:
        flat = image.getpalette("RGB") if image.mode == "P" else None
    numbers = {class_id: number for number, class_id in info.values.items()}
    if not flat or len(numbers) < len(info.values):
        return {}  # several numbers may be a class, each of a color
    colors = {i: flat[3 * n : 3 * n + 3] for i, n in numbers.items()}
    told = [*colors.values()]  # what is filled up, or black throughout, is not
    return {
        i: colors[int(i)]
        for i in counts
        if int(i) in colors and told.count(colors[int(i)]) == 1
    }


def broken_pictures(split, name: str) -> list[Finding]:
    """Return a finding if headers show pictures that cannot be read.

    Args:
        split: Split of one class a picture; of many, `HEADERS` are looked at.
        name: `"train"` or `"val"`.
    """

    def fault(path):
        try:
            picture_size(path)
        except (ValueError, OSError) as error:
            return str(error)

    paths = spread([path for path, _ in getattr(split, "files", ())], HEADERS)
    with ThreadPoolExecutor(THREADS) as threads:
        faults = [text for text in threads.map(fault, paths) if text]
    if not faults:
        return []
    more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
    message = (
        f"{len(faults)} of {len(paths)} pictures of {name} cannot be used: "
        f"{faults[0]}{more}"
    )
    return [Finding("broken", message, True)]


def picture_sizes(paths: Sequence) -> list:
    """Return width and height of pictures by their headers, `None` if broken.

    Args:
        paths: Paths of the pictures.
    """

    def size(path):
        try:
            return picture_size(path)[::-1]
        except (ValueError, OSError):
            return None

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(size, paths))


def label_coding(info) -> dict:
    """Return what the values of a dataset's labels mean, for JSON."""
    names = "label_values label_colors ignored_ids ignored_colors".split()
    coding = {name: getattr(info, name, None) for name in names}
    return {
        name: {str(k): v for k, v in value.items()}
        if hasattr(value, "items")
        else list(value)
        for name, value in coding.items()
        if value
    }


# --- What is found ---


def find_faults(train: SplitFacts, val: SplitFacts, info) -> list[Finding]:
    """Return what is wrong with the labels of a dataset.

    Args:
        train: Facts of the training split.
        val: Facts of the validation split.
        info: Facts about the dataset.
    """
    found = [*_broken(train), *_broken(val), *_blank(train), *_blank(val)]
    found += _void(info)
    if not train.pixels[:IGNORE_LABEL].any():
        return found
    found += _mostly_ignored(train, info)
    # The first explains those after it.
    return found + (
        _zero_255(train, info)
        or _mixed_255(train, val, info)
        or _palettes(train, val)
        or _single(train, info)
        or _absent(train, val, info)
    )


def _broken(split):
    if not split.faults:
        return []
    count, first = len(split.faults), split.faults[0]
    others = f" (and {count - 1} more)" if count > 1 else ""
    message = (
        f"{count} of {split.pictures} pairs of {split.name} cannot be used: "
        f"{first}{others}"
    )
    return [Finding("broken", message, True)]


def _blank(split):
    usable = split.seen - len(split.faults)
    if not split.blank:
        return []
    if len(split.blank) == usable:
        message = (
            f"Every pixel of {split.name} is ignored: there is nothing to "
            "learn or to score. Say what the labels' values mean, with "
            "label_values in info.json, or label the pictures."
        )
        return [Finding("nothing-counts", message, True)]
    message = (
        f"{len(split.blank)} of {usable} labels of {split.name} are ignored "
        f"throughout, for instance {split.blank[0]}."
    )
    many = 2 * len(split.blank) > usable
    if many:
        message += _cure("Take them out", "ignored-labels")
    return [Finding("ignored-labels", message, many)]


def _zero_255(train, info):
    """Return masks of 0 and 255 in which 255 was an object, not ignored."""
    told = info.label_values or info.label_colors or info.ignored_ids
    if told or np.flatnonzero(train.pixels).tolist() != [0, IGNORE_LABEL]:
        return []
    absent = ", ".join(map(repr, info.class_names[1:]))
    share = train.shares(info.num_classes)[-1]
    message = (
        "The labels of train hold 0 and 255 alone, and 255 is ignored: "
        f"{share:.1%} of the pixels do not count, and no label holds "
        f"{absent or 'anything else'}. If 255 is a class, say so in "
        'info.json: "label_values": {"0": 0, "255": 1}.'
    )
    message += _cure("", "zero-255")
    return [Finding("zero-255", message, True)]


def _mixed_255(train, val, info):
    """Return labels of 0 and 255 among others that hold ids."""
    told = IGNORE_LABEL in info.values or info.label_colors
    told = told or info.ignored_ids or info.ignored_colors
    binary, other = [*train.zero_255, *val.zero_255], train.other or val.other
    if told or not binary or not other:
        return []
    pixels, labels = train.pixels + val.pixels, train.labels + val.labels
    if labels[IGNORE_LABEL] > len(binary):
        # Where 255 is ignored beside 1, as edges are, it is no less there.
        white, all_white = train.white + val.white
        share = (pixels[-1] - white) / (pixels.sum() - all_white)
        if pixels[2:IGNORE_LABEL].any() or white <= 2 * share * all_white:
            return []
    message = (
        f"{len(binary)} labels hold 0 and 255 alone, for instance "
        f"{binary[0]}, and 255 is ignored there; others hold ids, for "
        f"instance {other}. Save all with the same values, or if 255 is a "
        'class, say so in info.json: "label_values": {"0": 0, "1": 1, '
        '"255": 1}.'
    )
    message += _cure("", "zero-255")
    return [Finding("zero-255", message, True)]


def _mostly_ignored(train, info):
    """Return a warning if 255 covers most of the labels, and nobody said so."""
    share = train.shares(info.num_classes)[-1]
    told = info.ignored_ids or info.ignored_colors or info.label_colors
    if told or info.name in DATASETS or train.blank or share <= 0.5:
        return []
    message = (
        f"255 is ignored, and {share:.1%} of train is 255. If it is a class, "
        "say so in info.json, with names and label_values."
    )
    return [Finding("mostly-ignored", message, False)]


def _palettes(train, val):
    """Return labels in whose palettes a color has several numbers."""
    for split in (train, val):
        for color, owners in split.palettes.items():
            both = {**val.palettes.get(color, {}), **owners}
            if len({*both.values()}) > 1:
                shown = "#" + bytes(color).hex()
                places = [f"{i} in {label}" for i, label in both.items()]
                message = (
                    f"The palettes of labels differ: {shown} is "
                    f"{' and '.join(places[:2])}. Labels are read by their "
                    "numbers; if the colors are right, say which class each "
                    "is with label_colors in info.json."
                )
                message += _cure("", "other-palettes")
                return [Finding("other-palettes", message, True)]
    return []


def _void(info):
    """Return a warning about classes that are called as what is ignored."""
    names = [repr(name) for name in info.class_names if is_void(name)]
    if not names or info.name in DATASETS:
        return []
    message = (
        f"{', '.join(names)} is a class that trains and counts, since "
        "info.json names it. If it is none, leave it out of the names, and "
        "say its value with ignore_label."
    )
    return [Finding("void-class", message, False)]


def _single(train, info):
    (present,) = np.flatnonzero(train.pixels[:IGNORE_LABEL]).tolist()[:1]
    alone = train.pixels[present] == train.pixels[:IGNORE_LABEL].sum()
    if not alone:
        return []
    message = (
        f"The class {info.class_names[present]!r} holds every pixel of train "
        "that counts: a network would learn to say nothing else."
    )
    message += _cure("Label the other classes, too", "single-class")
    return [Finding("single-class", message, True)]


def _absent(train, val, info):
    if train.seen < train.pictures:
        return []  # of a sample it says nothing
    known = info.name in DATASETS
    known = known and info.class_names == DATASETS[info.name].class_names
    absent = [
        (name, int(val.labels[index]))
        for index, name in enumerate(info.class_names)
        if not train.labels[index]
    ]
    if not absent:
        return []
    # A benchmark's classes are not its user's choice; the background of a tool
    # is nobody's.
    meant = [
        not held and (known or re.sub("[_ ]", "", name.lower()) in BACKGROUND)
        for name, held in absent
    ]
    names = _some(
        f"{name!r}" + (f" ({held} of val do)" if held else "")
        for name, held in absent
    )
    message = f"No label of train holds {names}."
    message += _cure("Take it out of the class names", "absent-classes")
    return [Finding("absent-classes", message, not all(meant))]


def _some(names):
    """Return the first names of several, and how many more there are."""
    names = [*names]
    shown, rest = names[:NAMED], len(names[NAMED:])
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _cure(cure, kind):
    """Return the end of a message: the cure, and how to say it is meant."""
    begin = f"{cure}, or if" if cure else "If"
    return f" {begin} it is meant: --allow {kind}."


def find_strays(split) -> list[Finding]:
    """Return a finding if labels bear the names of other pictures.

    Args:
        split: Sequence of `Example`; one without `pairs` has no names.
    """
    pairs, images, labels = _names(split)
    owners = {*images}
    # Labels that are called quite otherwise say nothing about their pictures.
    if 2 * sum(label in owners for label in labels) < len(labels):
        return []
    stray = [
        pair
        for pair, image, label in zip(pairs, images, labels, strict=True)
        if image != label and label in owners
    ]
    if not stray:
        return []
    image, label = stray[0]
    message = (
        f"{len(stray)} of {len(pairs)} labels bear the name of another "
        f"picture, for instance {label} for {image}."
    )
    message += _cure("Sort the lists alike", "other-names")
    return [Finding("other-names", message, True)]


def find_unlike(split) -> list[Finding]:
    """Return a warning if the names of pairs do not show that they belong.

    Args:
        split: Sequence of `Example`; one without `pairs` has no names.
    """
    pairs, images, labels = _names(split)
    unlike = [
        pair
        for pair, image, label in zip(pairs, images, labels, strict=True)
        if image != label
    ]
    if not unlike:
        return []
    image, label = unlike[0]
    message = (
        f"{len(unlike)} of {len(pairs)} labels are not called as their "
        f"pictures, for instance {label} for {image}: look whether they "
        "belong together."
    )
    return [Finding("unlike-names", message, False)]


def _names(split):
    """Return the pairs of two files, and what tells images and labels apart.

    A drawn label belongs to the image that its annotations name.
    """
    pairs = getattr(split, "pairs", None) or ()
    pairs = [pair for pair in pairs if not isinstance(pair[1], DrawnLabel)]
    images = _keys([_stem(image) for image, _ in pairs])
    labels = _keys([_stem(label) for _, label in pairs])
    return pairs, images, labels


def _stem(path):
    stem = pathlib.PurePath(str(path)).stem
    return re.sub(r"\.(jpe?g|png)$", "", stem)


def _keys(stems: Sequence[str]) -> list[str]:
    """Return stems without what all have in common, zeros before numbers too.

    >>> _keys(["img_08_L", "img_09_L", "img_10_L"])
    ['8', '9', '10']
    """
    head = len(os.path.commonprefix(stems))
    ends = [stem[head:][::-1] for stem in stems]
    tail = len(os.path.commonprefix(ends))
    middles = [end[tail:][::-1] for end in ends]
    return [re.sub(r"0+(?=\d)", "", middle) for middle in middles]


def find_in_labels(train, val) -> list[Finding]:
    """Return what is wrong with the label maps of two splits.

    Args:
        train: Training split.
        val: Validation split.
    """
    facts = read_facts(train, "train"), read_facts(val, "val")
    found = find_faults(*facts, train.info)
    return found + find_strays(train) + find_strays(val)


def check_splits(
    train, val, allow: Iterable[str] = (), find: Callable = find_in_labels
) -> list[Finding]:
    """Return what is wrong with two splits of files, errors first.

    Args:
        train: Training split. One that is no files, as TFDS', has no findings.
        val: Validation split.
        allow: Keys of `ALLOWED` that are meant, and no errors. Defaults to
            none.
        find: Function of both splits that returns what is wrong with their
            annotations. Defaults to that for label maps.
    """
    if not getattr(train, "pairs", None):
        return []
    return ordered(find(train, val) + find_shared(train, val), allow)


def find_shared(train, val) -> list[Finding]:
    """Return a warning if pictures of `val` train, too.

    Args:
        train: Training split of files.
        val: Validation split of files.
    """
    known = {str(image) for image, _ in train.pairs}
    shared = [image for image, _ in val.pairs if str(image) in known]
    if not shared:
        return []
    message = (
        f"{len(shared)} of {len(val)} pictures of val train, too, for "
        f"instance {shared[0]}: the scores will be too good."
    )
    return [Finding("shared-pictures", message, False)]


def check_classes(train, val, allow: Iterable[str] = ()) -> list[Finding]:
    """Return what is wrong with two splits of one class a picture.

    Args:
        train: Training split. Without `files` there is no finding.
        val: Validation split.
        allow: Keys of `ALLOWED` that are meant. Defaults to none.
    """
    counts = [
        Counter(label for _, label in getattr(split, "files", ()))
        for split in (train, val)
    ]
    found = []
    if len(train.info.class_names) < 2:
        message = (
            f"Expected two classes or more. Received: {train.info.name} with "
            f"{', '.join(train.info.class_names)} alone; add a folder of what "
            "is none of it."
        )
        found.append(Finding("one-class", message, True))
    for name, count in zip(("train", "val"), counts, strict=True):
        if count:
            names = train.info.class_names
            found += find_absent("picture", name, names, count)
    return ordered(found, allow)


def find_absent(thing: str, name: str, class_names, counts) -> list[Finding]:
    """Return a finding if a split holds nothing of some classes.

    Args:
        thing: Word for what is of a class.
        name: `"train"` or `"val"`, where it is a warning.
        class_names: Names of the classes.
        counts: Class id -> number of things.
    """
    absent = [repr(n) for i, n in enumerate(class_names) if not counts[i]]
    if not absent:
        return []
    message = f"No {thing} of {name} is of {_some(absent)}."
    message += _cure("Take the class out", "absent-classes")
    return [Finding("absent-classes", message, name == "train")]


def ordered(found: Iterable[Finding], allow: Iterable[str]) -> list[Finding]:
    """Return findings with the errors first, and no error that is allowed."""
    meant = {*allow} & {*ALLOWED}
    told = [
        replace(row, error=row.error and row.kind not in meant) for row in found
    ]
    return sorted(told, key=lambda row: not row.error)
