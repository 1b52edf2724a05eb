"""Finds a folder's images, their labels and their splits, by names alone.

`layouts.py` stands above it and knows what the tools' own files say.
"""

import collections
import hashlib
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import PurePosixPath

from dla_keras.data.pictures import SUFFIXES
from dla_keras.data.pictures import is_results
from dla_keras.files import atomic_path
from dla_keras.files import read_lines

SHARE = 0.2  # of the images that validate where no split is given

# What a folder is called that holds images, labels, or what is neither.
_KINDS = {
    word: kind
    for kind, words in {
        "images": "image images img imgs jpegimages picture pictures pics "
        "photo photos frames rgb input inputs leftimg8bit original originals",
        "labels": "mask masks label labels annotation annotations annot "
        "annots gt gts gtfine gtcoarse groundtruth ground_truth ground-truth "
        "segmentation segmentations segmentationclass segmentationclasspng "
        "seg segs segmap segmaps semantic target targets masks_machine "
        "labelids",
        "left out": "segmentationobject segmentationobjectpng "
        "segmentationclassnpy segmentationobjectnpy "
        "segmentationclassvisualization segmentationobjectvisualization "
        "masks_human masks_instance masks_instances instances panoptic "
        "visualization visualizations vis viz overlay overlays preview "
        "previews thumbnails predictions unlabelled unlabeled",
    }.items()
    for word in words.split()
}
_SPLIT = "(training|train|validation|valid|val|testing|test)"
_SPLIT_FIRST = re.compile(_SPLIT + r"\d*[-_ ]*(.*)")
_SPLIT_LAST = re.compile(r"(.*?)[-_ ]*" + _SPLIT + r"\d*")
SPLITS = {
    **{"training": "train", "train": "train", "testing": "test"},
    **{"validation": "val", "valid": "val", "val": "val", "test": "test"},
}

# What the name of a label ends or begins with, where its image's does not.
_LABEL_ENDS = re.compile(
    r"[-_. ](gtFine_labelIds|gtCoarse_labelIds|labelIds|labelTrainIds|"
    r"train_id|masks?|labels?|gt|L|seg|segmentation|annotation|groundtruth|"
    r"ground_truth|semantic)$",
    re.IGNORECASE,
)
_IMAGE_ENDS = re.compile(
    r"[-_. ](leftImg8bit|images?|img|sat|rgb)$", re.IGNORECASE
)
_BEGINS = re.compile(r"^(masks?|labels?|gt|images?|img)[-_. ]", re.IGNORECASE)
# Whole names, where each image has a folder of its own.
_LABEL_NAMES = re.compile(
    r"masks?|labels?|gt|seg|segmentation|annotation|ground_?truth",
    re.IGNORECASE,
)
_IMAGE_NAMES = re.compile(
    r"images?|img|photo|picture|rgb|original|input", re.IGNORECASE
)
# Other views of a label, which lie beside it.
_VIEWS = re.compile(
    r"_(colou?r|colormask|instanceIds|instanceTrainIds|instances?|vis|viz|"
    r"overlay|panoptic|polygons)$",
    re.IGNORECASE,
)


def list_files(folder) -> list[PurePosixPath]:
    """Return the files below a folder, in the order of their names.

    Hidden files, what macOS adds to archives, and folders in it of runs and of
    results are left out.

    Args:
        folder: Path of the folder; links are followed.

    Raises:
        ValueError: If a name is no text.
    """
    folder, seen, found = pathlib.Path(folder), set(), []
    for place, folders, names in os.walk(folder, followlinks=True):
        if pathlib.Path(place) != folder and is_results(place):
            folders.clear()
            continue
        real = os.path.realpath(place)
        folders[:] = [
            name
            for name in folders
            if name[0] != "." and name != "__MACOSX" and real not in seen
        ]
        seen.add(real)
        inner = pathlib.Path(place).relative_to(folder)
        found += [PurePosixPath(inner, n) for n in names if n[0] != "."]
    for path in found:
        if re.search(r"[\n\ud800-\udfff]", str(path)):
            raise ValueError(
                f"Expected names of one line, in UTF-8, in {folder}. Received: "
                f"{os.fsencode(path)!r}; rename it."
            )
    return sorted(found)


@dataclass(frozen=True)
class Picture:
    """A picture file of a folder, and what its path says.

    Args:
        path: Path below the folder.
        kind: `"images"`, `"labels"`, `"left out"`, or `None`.
        split: `"train"`, `"val"`, `"test"`, or `None`.
        place: The other parts of its folder, for instance a city.
        stem: Its name without suffixes.
    """

    path: PurePosixPath
    kind: str | None
    split: str | None
    place: tuple[str, ...]
    stem: str

    @property
    def says(self) -> bool:
        """Return whether its folder says what it is."""
        return bool(self.kind or self.split)


def describe(path: PurePosixPath) -> Picture:
    """Return what the path of a picture says.

    Args:
        path: Path below the dataset's folder.

    Example:

    >>> found = describe(PurePosixPath("valid/masks/ulm/ulm_7.jpg.png"))
    >>> found.kind, found.split, found.place, found.stem
    ('labels', 'val', ('ulm',), 'ulm_7')
    >>> found = describe(PurePosixPath("trainannot/seq_1.png"))
    >>> found.kind, found.split, found.place, found.stem
    ('labels', 'train', (), 'seq_1')
    """
    kind, split, place = None, None, []
    for part in path.parts[:-1]:
        part_kind, part_split = _part(part)
        kind, split = part_kind or kind, part_split or split
        if not (part_kind or part_split):
            place.append(part)
    stem = path.name
    while PurePosixPath(stem).suffix.lower() in SUFFIXES:
        stem = PurePosixPath(stem).stem
    return Picture(
        path, kind, split, tuple(map(composed, place)), composed(stem)
    )


def _part(part):
    """Return the kind and the split that one folder's name says."""
    word = part.lower()
    for match, order in ((_SPLIT_FIRST, (1, 2)), (_SPLIT_LAST, (2, 1))):
        found = match.fullmatch(word)
        if found and (found[order[1]] or "images") in _KINDS:
            rest = found[order[1]]
            return _KINDS.get(rest), SPLITS[found[order[0]]]
    return _KINDS.get(word), None


def is_images_and_labels(names: Iterable[str]) -> bool:
    """Return whether folders of these names hold images and their labels.

    Args:
        names: Names of folders that lie side by side.
    """
    kinds = [_part(name)[0] for name in names]
    return "labels" in kinds and None not in kinds


@dataclass(frozen=True)
class Pairs:
    """Images with their labels, and those that are alone.

    Args:
        found: An image and its label each, in the order of the images.
        images: Images without a label.
        labels: Labels without an image.
        rest: Pictures in other folders, and files beside the images that are
            no pictures by their names.
    """

    found: tuple[tuple[Picture, Picture], ...]
    images: tuple[Picture, ...]
    labels: tuple[Picture, ...]
    rest: tuple[Picture, ...]


def pair_by_name(
    files: Iterable[PurePosixPath], pattern: str | None = None
) -> Pairs:
    """Return the images of a folder, each with the label of its name.

    The strictest match comes first: the same split, place and stem; then
    without split, without place, and at last without the ends that labels
    have (`_mask`, `_L`, ...).

    Args:
        files: Files of the folder, as `list_files` gives them.
        pattern: Regular expression of the labels' paths; what else looks
            like a label is left out. Defaults to `None`: what the names of
            folders say.

    Raises:
        ValueError: If an image has several labels.
    """
    images, labels, rest = _sort_out(files, pattern)
    _check_once(images, "images")
    _check_once(labels, "labels")
    matched = {}
    for stem in (lambda picture: picture.stem, bare_stem):
        for key in (
            lambda p, stem=stem: (p.split, p.place, stem(p)),
            lambda p, stem=stem: (p.place, stem(p)),
            lambda p, stem=stem: (p.split, stem(p)),
            stem,
        ):
            _match(images, labels, key, matched)
    taken = set(matched.values())
    return Pairs(
        tuple((image, matched[image]) for image in images if image in matched),
        tuple(image for image in images if image not in matched),
        tuple(label for label in labels if label not in taken),
        tuple(rest),
    )


def _sort_out(files, pattern):
    """Return the images, the labels, and files that are neither."""
    pictures, rest = [], []
    for path in files:
        found = describe(path)
        if path.suffix.lower() in SUFFIXES:
            pictures.append(found)
        elif found.kind == "images":  # by its place, but of another suffix
            rest.append(found)
    is_label = lambda picture: picture.kind == "labels"
    if pattern:
        matches = re.compile(pattern).fullmatch
        is_label = lambda picture: matches(str(picture.path))
    labels = [picture for picture in pictures if is_label(picture)]
    others = [
        picture
        for picture in pictures
        if picture.kind in ("images", None) and not is_label(picture)
    ]
    if not labels:
        labels = _beside_images(others)
        beside = {*labels}
        others = [picture for picture in others if picture not in beside]
    images = [p for p in others if p.kind == "images"] or others
    chosen = {*images}
    rest += [picture for picture in others if picture not in chosen]
    plain = {p.path.parent for p in labels if not _VIEWS.search(p.stem)}
    labels = [
        p
        for p in labels
        if p.path.parent not in plain or not _VIEWS.search(p.stem)
    ]
    return images, labels, rest


def _beside_images(pictures):
    """Return the labels that lie beside their images.

    They are called mask.png by image.jpg, x_mask.png by x.jpg, or, if all
    are, x.png by x.jpg.
    """
    alone = {p.path.parent for p in pictures if _IMAGE_NAMES.fullmatch(p.stem)}
    labels = [
        p
        for p in pictures
        if p.path.parent in alone and _LABEL_NAMES.fullmatch(p.stem)
    ]
    if labels:
        return labels
    stems = {(p.path.parent, _IMAGE_ENDS.sub("", p.stem)) for p in pictures}
    labels = [
        p
        for p in pictures
        if _LABEL_ENDS.search(p.stem)
        and (p.path.parent, _LABEL_ENDS.sub("", p.stem)) in stems
    ]
    if labels:
        return labels
    png = [p for p in pictures if p.path.suffix.lower() == ".png"]
    other = [p for p in pictures if p.path.suffix.lower() != ".png"]
    places = [{(p.path.parent, p.stem) for p in side} for side in (png, other)]
    return png if places[0] == places[1] else []


def bare_stem(picture: Picture) -> str:
    """Return the stem without what tells labels and images apart.

    Args:
        picture: Picture from `describe`.
    """
    for whole in (_LABEL_NAMES, _IMAGE_NAMES):
        if whole.fullmatch(picture.stem):
            return ""
    ends = _LABEL_ENDS if picture.kind == "labels" else _IMAGE_ENDS
    bare = _LABEL_ENDS.sub("", ends.sub("", picture.stem))
    return _BEGINS.sub("", bare) or picture.stem


def _check_once(pictures, kind):
    """Raise `ValueError` if two files of a folder differ in suffix only."""
    seen = {}
    for picture in pictures:
        key = (picture.path.parent, picture.stem)
        if key in seen:
            raise ValueError(
                f"Expected {kind} whose names differ in more than the suffix. "
                f"Received: {seen[key]} and {picture.path}; remove one."
            )
        seen[key] = picture.path


def _match(images, labels, key: Callable, matched):
    """Add pairs whose keys agree, where no other file has the same key."""
    counts = [collections.Counter(map(key, side)) for side in (images, labels)]
    single = {
        key(label): label for label in labels if counts[1][key(label)] == 1
    }
    taken = set(matched.values())
    for image in images:
        label = single.get(key(image))
        if (
            image not in matched
            and label is not None
            and label not in taken
            and counts[0][key(image)] == 1
        ):
            matched[image] = label
            taken.add(label)


def check_alone(pairs: Pairs, folder) -> None:
    """Raise `ValueError` if an image or a label is alone; name some.

    Args:
        pairs: Pairs from `pair_by_name`.
        folder: Folder of the dataset, for the message.
    """
    if not (pairs.images or pairs.labels):
        return
    said = [
        f"{len(alone)} {kind} without {other} ({some_of(alone)})"
        for kind, other, alone in (
            ("images", "a label", pairs.images),
            ("labels", "an image", pairs.labels),
        )
        if alone
    ]
    raise ValueError(
        f"Every image in {folder} needs a label of its name. Received: "
        f"{len(pairs.found)} pairs, {' and '.join(said)}. Rename what belongs "
        "together, and move the rest into a folder called unlabelled."
    )


def some_of(pictures: Sequence) -> str:
    """Return the paths of the first pictures, for a message."""
    names = [str(getattr(p, "path", p)) for p in pictures[:3]]
    return ", ".join(names) + (", ..." if len(pictures) > 3 else "")


def draw_share(names: Iterable[str]) -> frozenset[str]:
    """Return the names that validate: a fifth, always the same.

    Names are ranked by their hashes. So the order in which a file system
    lists them does not matter, and an image that is added later moves few of
    the others.

    Args:
        names: Names, for instance paths below a dataset's folder.

    Raises:
        ValueError: If there are less than two.

    Example:

    >>> sorted(draw_share(f"{i}.jpg" for i in range(10)))
    ['0.jpg', '5.jpg']
    """
    names = list(names)
    if len(names) < 2:
        raise ValueError(
            "Expected at least two images: one to train on, one to validate. "
            f"Received: {len(names)}{' ' if names else ''}{''.join(names)}."
        )
    key = lambda name: composed(name).encode()
    rank = lambda name: hashlib.sha256(key(name)).digest()
    return frozenset(
        sorted(names, key=rank)[: max(1, round(SHARE * len(names)))]
    )


def composed(name: str) -> str:
    """Return a name with each accent in its letter: macOS gives them alone.

    Args:
        name: Name of a file.
    """
    return unicodedata.normalize("NFC", name)


def write_drawn(folder, splits: Mapping) -> None:
    """Write the names of the images of a drawn share: train.txt and val.txt.

    Copied into the dataset's folder, they are the lists of its splits.

    Args:
        folder: Folder to write to, for instance of a run.
        splits: Splits by name; of those that were not drawn nothing is
            written.
    """
    for name, split in splits.items():
        if names := getattr(split, "drawn", ()):
            with atomic_path(pathlib.Path(folder) / f"{name}.txt") as path:
                path.write_text("".join(f"{n}\n" for n in names), "utf-8")


def trained_on(split, folder) -> list[str]:
    """Return the images of a drawn split that a run has trained on.

    There are some if images came into the dataset's folder, or left it, after
    the training.

    Args:
        split: Split to score on.
        folder: Folder of the run, with what `write_drawn` wrote.
    """
    path = pathlib.Path(folder) / "train.txt"
    if not (getattr(split, "drawn", ()) and path.is_file()):
        return []
    trained = {name for _, name in read_lines(path)}
    return [name for name in split.drawn if name in trained]


def find_lists(files: Iterable[PurePosixPath]) -> dict[str, PurePosixPath]:
    """Return the lists that name each split's images: train.txt and val.txt.

    Args:
        files: Files of the folder, as `list_files` gives them.

    Returns:
        Path of a list by split; `"default"` is CVAT's name for all images.
    """
    found = {}
    for path in files:
        stem = path.stem.lower()
        place = "/".join(path.parts[:-1]).lower()
        if path.suffix.lower() == ".txt" and (
            place in ("", "splits", "imagesets", "imagesets/segmentation")
        ):
            split = SPLITS.get(stem, stem if stem == "default" else None)
            if split:
                found.setdefault(split, path)
    return found


def pick_listed(pairs: Pairs, path) -> list[tuple[Picture, Picture]]:
    """Return the pairs whose images a list names, in its order.

    Args:
        pairs: Pairs from `pair_by_name`.
        path: Path of the list, with a name, a stem or a path a line.

    Raises:
        ValueError: If a line names no image that has a label.
    """
    by_name = {}  # None where a name is not enough
    for pair in pairs.found:
        image = pair[0]
        inner = "/".join((*image.place, image.stem))
        names = (str(image.path), image.path.name, inner, image.stem)
        for name in {*map(composed, names)}:
            by_name[name] = None if name in by_name else pair
    picked = []
    for number, line in read_lines(path):
        name = composed(line).replace("\\", "/").removeprefix("./")
        first = name.split()[0]  # SegNet's lists name the label behind
        names = [part for p in (name, first) for part in (p, p.split("/")[-1])]
        known = [by_name[text] for text in names if by_name.get(text)]
        if not known:
            raise ValueError(
                f"{path}, line {number}: expected an image of the folder that "
                f"has a label. Received: {line!r}; mend or remove the line."
            )
        picked.append(known[0])
    if not picked:
        raise ValueError(
            f"{path}: expected an image a line. Received: an empty file; list "
            "the images, or remove it."
        )
    return picked


def split_by_name(pairs: Pairs, folder, files: Iterable[PurePosixPath]):
    """Return the pairs by split, as lists or folders say, and remarks.

    Args:
        pairs: Pairs from `pair_by_name`.
        folder: Path of the folder.
        files: Its files.

    Returns:
        A dictionary from the split to its pairs, and a list of sentences.

    Raises:
        ValueError: If an image or a label is alone, or a list names no image.
    """
    lists, said = find_lists(files), []
    if pairs.rest:
        said.append(
            f"{len(pairs.rest)} files that are neither images nor labels by "
            f"their names are left out: {some_of(pairs.rest)}."
        )
    if lists and not any(image.split for image, _ in pairs.found):
        splits, notes = _split_by_lists(pairs, folder, lists)
        return splits, said + notes
    splits = {}
    for image, label in pairs.found:
        splits.setdefault(image.split or "train", []).append((image, label))
    labelled = {image.split for image, _ in pairs.found}
    for split in ("val", "test", None):
        bare = [image for image in pairs.images if image.split == split]
        if bare and split not in labelled:
            said.append(
                f"{len(bare)} images of {f'{split}/' if split else 'no split'} "
                f"have no labels, and are left out: {some_of(bare)}."
            )
            pairs = replace(
                pairs,
                images=tuple(p for p in pairs.images if p.split != split),
            )
    check_alone(pairs, folder)
    return splits, said


def _split_by_lists(pairs, folder, lists):
    """Return the pairs by split as lists say, and remarks."""
    splits, said = {}, []
    for split, path in lists.items():
        try:
            picked = pick_listed(pairs, folder / path)
        except ValueError as error:
            if split != "test":  # whose labels often are not public
                raise
            said.append(f"Left out: {error}")
        else:
            splits["train" if split == "default" else split] = picked
    if "train" not in splits:
        check_alone(pairs, folder)  # since the rest is meant, too
        listed = {image for row in splits.values() for image, _ in row}
        splits["train"] = [p for p in pairs.found if p[0] not in listed]
        names = " and ".join(path.name for path in lists.values())
        said.append(
            f"There is no train.txt: the {len(splits['train'])} images "
            f"that {names} does not list train."
        )
    left = len(pairs.found) - sum(map(len, splits.values()))
    if left > 0:
        said.append(f"{left} images are in no list, and are left out.")
    return splits, said
