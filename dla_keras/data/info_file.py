"""Reads `info.json`, in which a person says what a folder's labels mean.

Its keys and their values are checked before an image is read; whether they fit
together, `DatasetInfo` says.
"""

import itertools
import pathlib
import re
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace

from dla_keras.choices import did_you_mean
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.datasets import distinct_palette
from dla_keras.data.folders.class_files import BACKGROUND
from dla_keras.data.labels import stored_counts
from dla_keras.files import read_json

NAME = "info.json"
_LOOKED_AT = 64  # labels, where all hold 0 and 255 alone

_NAMES = '["road", "car"], or {"0": "road", "1": "car"} by their values'
_COLOR = 'a color, "#rrggbb" or three numbers from 0 to 255'
_MEANT = "the class of each, by its name or id"


@dataclass(frozen=True)
class InfoFile:
    """What an `info.json` says; `None` where it says nothing.

    Args:
        path: Path of the file.
        class_names: One name per class id.
        palette: RGB colors by class: its name, or its id.
        label_values: Pairs of a value in the labels and its class, by name or
            id.
        label_colors: Pairs of a color in the labels and its class, likewise.
        ignored_ids: Values in the labels that are ignored.
        ignored_colors: Colors in the labels that are ignored.
        mean: Mean RGB of the images, for pixels scaled to 0..1.
        std: Standard deviation of the same.
    """

    path: pathlib.Path
    class_names: tuple[str, ...] | None = None
    palette: tuple | None = None
    label_values: tuple | None = None
    label_colors: tuple | None = None
    ignored_ids: tuple[int, ...] | None = None
    ignored_colors: tuple | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


# --- What keys hold: a function returns it, or says what is expected. ---


def _whole(low: int, high: int):
    """Return a function that checks a whole number; a text may hold it."""

    def read(value):
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value):
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


_value = _whole(-(2**31), 2**32 - 1)  # of a label, in any of its formats


def _color(value) -> tuple[int, int, int]:
    if isinstance(value, str):
        if found := re.fullmatch(r"#?([0-9a-fA-F]{6})", value.strip()):
            return tuple(bytes.fromhex(found[1]))
    elif isinstance(value, list) and len(value) == 3:
        if all(type(part) is int and 0 <= part <= 255 for part in value):
            return tuple(value)
    raise ValueError(_COLOR)


def _name(value) -> str:
    if not (isinstance(value, str) and value.strip() and value.isprintable()):
        raise ValueError(f"names on one line each, {_NAMES}")
    return value.strip()


def _classes(value):
    """Return the number of classes, or their names and the value of each.

    The values are `None` where a list gives the names.
    """
    if type(value) is int:
        return _whole(1, IGNORE_LABEL)(value)
    values = None
    if isinstance(value, dict):
        pairs = [*value.items()]
        if pairs and all(type(item) is int for _, item in pairs):
            pairs = [(number, name) for name, number in pairs]
        pairs = sorted(((_value(k), v) for k, v in pairs), key=lambda p: p[0])
        values, value = tuple(k for k, _ in pairs), [v for _, v in pairs]
        if len({*values}) < len(values):
            raise ValueError("values that differ")
    if not isinstance(value, list) or not value:
        raise ValueError(f"the names of the classes, {_NAMES}")
    names = tuple(map(_name, value))
    if len({*names}) < len(names):
        raise ValueError("names that differ")
    return names, values


def _table(read_key: Callable, several: str):
    """Return a function that reads pairs of a key in the labels and its class.

    Args:
        read_key: Function that reads a value or a color.
        several: Description of the keys, for messages.
    """
    expected = f"{several} and {_MEANT}"

    def keys(entry):
        try:
            return [read_key(entry)]
        except ValueError:
            if isinstance(entry, list) and entry:
                return [read_key(each) for each in entry]
            raise

    def pair(key, item):
        """Return pairs of `"7": "road"`, or of `"road": 7`."""
        try:
            known = read_key(key)
        except ValueError:
            return [(found, _name(key)) for found in keys(item)]
        if type(item) is not int and not isinstance(item, str):
            raise ValueError(expected)
        return [(known, item)]

    def read(value):
        if isinstance(value, list) and value:
            entries = [
                (k, i) for i, each in enumerate(value) for k in keys(each)
            ]
        elif isinstance(value, dict) and value:
            entries = [
                p for key, item in value.items() for p in pair(key, item)
            ]
        else:
            raise ValueError(expected)
        found = [key for key, _ in entries]
        if len({*found}) < len(found):
            raise ValueError(f"{several}, each of them once")
        return tuple(entries)

    return read


def _palette(value):
    """Return pairs of a class, by id or name, and its color."""
    if isinstance(value, list):
        return tuple((i, _color(color)) for i, color in enumerate(value))
    if isinstance(value, dict):
        return tuple((_name(k), _color(color)) for k, color in value.items())
    raise ValueError(f"for each class {_COLOR}")


def _ignored(value):
    """Return values and colors that are ignored."""
    ids, colors = [], []
    for item in value if isinstance(value, list) else [value]:
        if type(item) is int:
            ids.append(_value(item))
        else:
            colors.append(_color(item))
    return tuple(ids), tuple(colors)


def _ignore_label(value):
    byte = _whole(0, IGNORE_LABEL)
    items = value if isinstance(value, list) else [value]
    if not all(type(item) is int for item in items):
        byte("")  # a number in quotes is a class' name elsewhere
    return tuple(map(byte, items)), ()


def _three(low_allowed: bool):
    """Return a function that reads three numbers up to 1, for R, G and B."""

    def read(value):
        if isinstance(value, list) and len(value) == 3:
            if all(type(part) in (int, float) for part in value) and all(
                (0 <= part if low_allowed else 0 < part) and part <= 1
                for part in value
            ):
                return tuple(map(float, value))
        raise ValueError("three numbers from 0 to 1, for pixels scaled so")

    return read


_NAMED = ("class_names", "names", "classes")
_IGNORED = ("ignore_label", "ignore_index")
FIELDS = {
    **dict.fromkeys(_NAMED, _classes),
    **dict.fromkeys(("palette", "colors"), _palette),
    "label_values": _table(_value, "values in the labels"),
    "label_colors": _table(_color, "colors in the labels"),
    **dict.fromkeys(_IGNORED, _ignore_label),
    "ignored": _ignored,
    "mean": _three(True),
    "std": _three(False),
}


def read_info(path) -> InfoFile:
    """Return what an `info.json` says.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, has a key that is not known, or a value
            of another kind; the message names the file and the key.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "info.json")
    ...     _ = path.write_text('{"names": {"0": "road", "255": "car"}}')
    ...     found = read_info(path)
    >>> found.class_names, found.label_values
    (('road', 'car'), ((0, 0), (255, 1)))
    """
    path = pathlib.Path(path)
    found = read_json(path, FIELDS)
    names, by_name = _names(path, found)
    if by_name and "label_values" in found:
        raise ValueError(
            f"{path} says twice which class a value is: with the names, and "
            "with label_values. Leave one out."
        )
    if "palette" in found and "colors" in found:
        raise ValueError(f"{path} has palette and colors. Leave one out.")
    ignored = [found[k] for k in (*_IGNORED, "ignored") if k in found]
    return InfoFile(
        path,
        names,
        found.get("palette", found.get("colors")),
        by_name or found.get("label_values"),
        found.get("label_colors"),
        tuple(i for ids, _ in ignored for i in ids) if ignored else None,
        tuple(c for _, colors in ignored for c in colors) if ignored else None,
        found.get("mean"),
        found.get("std"),
    )


def _names(path, found):
    """Return the names of classes, and the class of each value by them."""
    said = [found[key] for key in _NAMED if key in found]
    counts = {one if isinstance(one, int) else len(one[0]) for one in said}
    named = {one for one in said if not isinstance(one, int)}
    if len(counts) > 1 or len(named) > 1:
        given = " and ".join(key for key in _NAMED if key in found)
        raise ValueError(f"{path} has {given}, which differ. Leave one out.")
    if not said:
        return None, None
    if not named:
        return tuple(f"class_{index}" for index in range(*counts)), None
    names, values = named.pop()
    # Values in a row from 0 are what labels hold without a word.
    if values is None or values == tuple(range(len(values))):
        return names, None
    return names, tuple((value, index) for index, value in enumerate(values))


def folder_info(
    folder, known: DatasetInfo | None, labels: Iterable | None = None
) -> DatasetInfo:
    """Return the facts of a folder: its `info.json`, then what is known.

    Args:
        folder: Path of the folder.
        known: Facts that hold where the file says nothing, or `None`.
        labels: Paths of the labels. They are looked at where 0 is ignored and
            would be a class: whether ids count from 1. Defaults to `None`:
            they do.

    Raises:
        ValueError: If the file is faulty, does not fit what is known, or the
            classes are unknown.
    """
    folder = pathlib.Path(folder)
    path = folder / NAME
    said = read_info(path) if path.exists() else InfoFile(path)
    if not said.class_names and known is None:
        raise ValueError(
            f"The classes of {folder} are unknown. Expected 'class_names' "
            f"(their names) or 'classes' (their number) in {path}."
        )
    if known and known.num_classes == 1 and not path.exists():
        _check_single(folder, known)
    try:
        info = _combined(said, known or _new(folder, said), labels)
        return info if info.num_classes > 1 else with_background(info, labels)
    except ValueError as error:
        text = str(error)
        raise ValueError(
            text if str(path) in text else f"{path}: {text}"
        ) from error


def _check_single(folder, info):
    """Raise `ValueError` if the one class of a folder is all there is."""
    if 0 in info.values or (0, 0, 0) in (info.label_colors or {}):
        raise ValueError(
            f"Expected two classes or more in {folder}. Received: "
            f"{info.class_names[0]!r} alone, where labels hold 0 or black. "
            "List what else was labelled among the classes of the tool, or in "
            f'{folder / NAME}: {{"names": [...]}}.'
        )


def with_background(
    info: DatasetInfo, labels: Iterable | None = None
) -> DatasetInfo:
    """Return facts of two classes, of which one is all that is not the other.

    One class alone leaves nothing to tell apart. Its pixels hold the one value
    that is neither 0 nor ignored, as 255 in masks of 0 and 255; those of 0
    are the background.

    Args:
        info: Facts about a dataset of one class.
        labels: Paths of the labels. Defaults to `None`: they hold 0 and 255.

    Raises:
        ValueError: If no such value is to be found, or 0 has a meaning.
    """
    (name,) = info.class_names
    values, colors = info.label_values, info.label_colors
    if not values and not colors:
        values = {_other_value(info, labels): 0}
    black = (0, 0, 0)
    taken = {*(values or ()), *(colors or ())}
    if {0, black} & {*taken, *info.ignored_ids, *info.ignored_colors}:
        raise ValueError(
            f"{name!r} is the only class, and the labels' 0 is no background. "
            'Name what is around it: {"names": ["background", "'
            f'{name}"]}}, and leave 0 out of what is ignored.'
        )
    spoken = ", ".join(map(str, [*(values or ()), *(colors or ())]))
    return replace(
        info,
        class_names=(BACKGROUND, name),
        palette=(black, info.palette[0]),
        label_values=values and {0: 0, **dict.fromkeys(values, 1)},
        label_colors=colors and {black: 0, **dict.fromkeys(colors, 1)},
        remarks=(
            f"{info.name} names one class: its labels are {BACKGROUND!r} "
            f"where they hold 0, {name!r} where {spoken}.",
        ),
    )


def _other_value(info, labels):
    """Return the value in labels that is neither 0 nor ignored."""
    held = {IGNORE_LABEL} if labels is None else set()
    for path in itertools.islice(labels or (), _LOOKED_AT):
        try:
            held |= {*stored_counts(path)} - {0, *info.ignored_ids}
        except (ValueError, OSError):
            continue  # the checks name it
        if held - {IGNORE_LABEL}:
            break  # 255 beside another value is ignored
    found = sorted(held - {IGNORE_LABEL} or held)
    if len(found) != 1:
        received = ", ".join(map(str, found)) or "nothing else, or colors"
        raise ValueError(
            f"Expected labels of 0 and one more value for the one class "
            f"{info.class_names[0]!r}. Received: {received}. Name every class, "
            "or say with label_values or label_colors which is it."
        )
    return found[0]


def _new(folder, said):
    names = said.class_names
    palette = distinct_palette(len(names), names)
    return DatasetInfo(folder.resolve().name, names, palette)


def _combined(said, known, labels):
    """Return what is known, with what a person said in its place."""
    names = said.class_names or known.class_names
    known = _renamed(known, names)
    ids = {name: index for index, name in enumerate(names)}
    facts = {key: getattr(said, key) for key in ("mean", "std")}
    facts = {key: value for key, value in facts.items() if value}
    if said.palette:
        facts["palette"] = _colors(said.palette, known, ids)
    if said.label_values or said.label_colors:  # what is said, and only that
        facts["label_values"] = _by_id(said.label_values, ids)
        facts["label_colors"] = _by_id(said.label_colors, ids)
        facts["ignored_ids"] = facts["ignored_colors"] = ()
    if said.ignored_ids is not None:
        facts["ignored_ids"] = said.ignored_ids
        facts["ignored_colors"] = said.ignored_colors
        plain = {**vars(known), **facts}
        if not plain["label_values"] and not plain["label_colors"]:
            if 0 in said.ignored_ids and _from_one(labels, len(names)):
                facts["label_values"] = {i + 1: i for i in range(len(names))}
    return replace(known, **facts)


def _renamed(known, names):
    """Return facts in which the classes have other names, or another order."""
    coded = known.label_values or known.label_colors
    own = dict(zip(known.class_names, known.palette, strict=True))
    fallback = known.palette
    if len(names) != known.num_classes:
        fallback = distinct_palette(len(names), names)
    palette = tuple(own.get(n, c) for n, c in zip(names, fallback, strict=True))
    facts = {"class_names": names, "palette": palette}
    if coded and {*names} <= {*known.class_names}:
        # Names tell which class is meant; of one left out, no value is known.
        new = {known.class_names.index(n): i for i, n in enumerate(names)}
        for field in ("label_values", "label_colors"):
            if table := getattr(known, field):
                facts[field] = {k: new[c] for k, c in table.items() if c in new}
    elif coded and len(names) != known.num_classes:
        raise ValueError(
            f"expected one name for each of the {known.num_classes} classes "
            f"of this folder ({', '.join(known.class_names)}), or some of "
            f"these. Received: {', '.join(names)}."
        )
    return replace(known, **facts)


def _class_id(spec, ids):
    if isinstance(spec, str) and spec not in ids:
        raise ValueError(
            f"expected a class, {', '.join(ids)}. Received: {spec!r}."
            f"{did_you_mean(spec, ids)}"
        )
    return ids.get(spec, spec)


def _by_id(pairs, ids):
    return pairs and {key: _class_id(spec, ids) for key, spec in pairs}


def _colors(pairs, known, ids):
    """Return the palette with the colors that a person gave."""
    if len(pairs) > known.num_classes or (
        len(pairs) < known.num_classes and type(pairs[0][0]) is int
    ):
        raise ValueError(
            f"expected one color per class, {known.num_classes}, as palette. "
            f"Received: {len(pairs)}."
        )
    colors = {_class_id(spec, ids): color for spec, color in pairs}
    return tuple(colors.get(i, color) for i, color in enumerate(known.palette))


def _from_one(labels, count):
    """Return whether a label holds the class that is last if 1 is first."""
    if labels is None:
        return True
    return any(count in stored_counts(path) for path in labels)
