"""Class names as the identity of classes: whose class is which.

Models, files, data sets and weights all number their classes; what a number
means, its name says. `match_classes` is the one place that compares two lists.
"""

import dataclasses
import re
from collections.abc import Callable
from collections.abc import Sequence
from numbers import Integral

import numpy as np

_IGNORED = 255  # of label maps; see `dla_keras.data.datasets.IGNORE_LABEL`
_SHOWN = 40  # names in a message
# Names that were made from numbers, where nobody had given any.
_NUMBERED = re.compile(r"(?:class[_ ]?)?(\d+)")


def class_keys(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without what is a matter of spelling.

    Example:

    >>> class_keys(("Traffic_Light", "sky"))
    ('traffic light', 'sky')
    """
    keys = tuple(
        re.sub(r"[\s_-]+", " ", str(name)).strip().casefold() for name in names
    )
    return keys if len(set(keys)) == len(keys) else tuple(names)


def checked_names(
    names: Sequence[str] | None, count: int, once: bool = True
) -> tuple[str, ...] | None:
    """Return names of classes, if they can be shown, written and told apart.

    Args:
        names: One name per class, or `None`.
        count: Number of the classes.
        once: Whether two classes of one name are refused. Defaults to `True`.

    Raises:
        ValueError: If they are no names, or not one for each class.

    Example:

    >>> checked_names(["road", "sky"], 2)
    ('road', 'sky')
    """
    if names is None:
        return None
    _check_count("class_names", names, count)
    found = tuple(names)
    shown = all(isinstance(n, str) and n.isprintable() and n for n in found)
    if not shown or (once and len({*found}) < count):
        raise ValueError(
            "`class_names` holds texts of one line, each of them once. "
            f"Received: {found!r:.200}."
        )
    return found


def checked_palette(palette, count: int) -> tuple | None:
    """Return the colors of classes, if each is three numbers of a byte.

    Args:
        palette: One RGB color per class, or `None`.
        count: Number of the classes.

    Raises:
        ValueError: If they are no colors, or not one for each class.
    """
    if palette is None:
        return None
    _check_count("palette", palette, count)
    colors = [[*color] for color in palette if np.ndim(color) == 1]
    if (
        any(
            len(color) != 3 or not all(map(_is_byte, color)) for color in colors
        )
        or len(colors) < count
    ):
        raise ValueError(
            "`palette` holds a color for each class: three whole numbers from "
            f"0 to 255. Received: {palette!r:.200}."
        )
    return tuple(tuple(map(int, color)) for color in colors)


def _check_count(argument, values, count):
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise ValueError(f"`{argument}` is a list. Received: {values!r:.100}.")
    if len(values) != count:
        raise ValueError(
            f"`{argument}` needs one entry for each of the {count} classes. "
            f"Received: {len(values)}."
        )


def _is_byte(value):
    return (
        isinstance(value, Integral)
        and not isinstance(value, bool)
        and 0 <= value <= 255
    )


@dataclasses.dataclass(frozen=True)
class KnownClasses:
    """The classes that a model, a file or a data set tells apart.

    Args:
        owner: Name of the model or data set, for messages.
        names: One name per class id; `None` where nobody gave any. Defaults
            to `None`.
        count: Number of the classes; `None` where it is not known. Defaults
            to the number of names.
    """

    owner: str
    names: tuple[str, ...] | None = None
    count: int | None = None

    def __post_init__(self):
        # Names made from numbers say no more than the numbers.
        numbers = [_NUMBERED.fullmatch(str(name)) for name in self.names or ()]
        if self.count is None and self.names:
            object.__setattr__(self, "count", len(self.names))
        if all(n and int(n[1]) == i for i, n in enumerate(numbers)):
            object.__setattr__(self, "names", None)

    @property
    def keys(self) -> tuple[str, ...] | None:
        """Return the names as they are compared."""
        return self.names and class_keys(self.names)

    def __str__(self):
        if self.names is None:
            return f"{self.count} classes without names"
        return _listed(self.names)


def _listed(names):
    rest = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f"{shown} and {rest} more" if rest > 0 else shown


@dataclasses.dataclass(frozen=True)
class ClassMatch:
    """The way from the classes of data to those of a model.

    Args:
        order: Class id in the data of each of the model's classes, in order;
            `None` where the ids are the same.
        remark: One line for people; empty where there is nothing to say.
    """

    order: tuple[int, ...] | None = None
    remark: str = ""


def match_classes(
    model: KnownClasses, data: KnownClasses, by_number: bool = False
) -> ClassMatch:
    """Return which class of the data is which of the model's.

    Args:
        model: Classes of the model.
        data: Classes of the data.
        by_number: Whether class 0 is class 0, and so on, whatever the names
            are. Defaults to `False`: classes of the same name are the same.

    Raises:
        ValueError: If the names differ, or the numbers of classes where there
            are no names to compare.

    Example:

    >>> model = KnownClasses("a model", ("road", "sky", "car"))
    >>> data = KnownClasses("streets", ("sky", "Car", "road"))
    >>> match_classes(model, data).order
    (2, 0, 1)
    """
    ours, theirs = model.keys, data.keys
    if ours and theirs and not by_number:
        return _match_names(model, data)
    if None not in (model.count, data.count) and model.count != data.count:
        raise ValueError(
            f"Expected data of the {model.count} classes of {model.owner}. "
            f"Received: {data.owner} with {data.count}; pass the data set that "
            "it was trained on."
        )
    if ours is None or ours == theirs:
        return ClassMatch()
    what = "has other names of its" if theirs else "does not name its"
    remark = f"{data.owner} {what} classes: they are taken by number."
    return ClassMatch(remark=remark)


def _match_names(model, data):
    ours, theirs = model.keys, data.keys
    if ours == theirs:
        return ClassMatch()
    if len(set(theirs)) == len(theirs) and sorted(ours) == sorted(theirs):
        return ClassMatch(
            tuple(map(theirs.index, ours)),
            f"{data.owner} has the classes of {model.owner} in another order: "
            "matched by name.",
        )
    pairs = (model, theirs), (data, ours)
    alone = [
        _listed([n for n, k in zip(a.names, a.keys, strict=True) if k not in b])
        for a, b in pairs
    ]
    insist = (
        " If these are other words for the same classes, insist with "
        "classes_by_number (--classes-by-number)."
        if len(ours) == len(theirs)
        else ""
    )
    raise ValueError(
        f"Expected the {len(ours)} classes of {model.owner}: {model}. "
        f"Received: {data.owner} with {len(theirs)}: {data}. Only the model "
        f"has {alone[0]}; only the data {alone[1]}. Pass "
        f"the data set that it was trained on.{insist}"
    )


class OrderedSplit(Sequence):
    """A split whose labels hold a model's class ids.

    Args:
        split: Sequence of examples that can be `renumbered`, and with facts as
            its `info`.
        order: Class id in the split of each of the model's classes.
    """

    def __init__(self, split, order: tuple[int, ...]):
        self._split = split
        self._table = np.arange(max(len(order), _IGNORED + 1))
        self._table[list(order)] = range(len(order))
        permuted = {
            field: tuple(getattr(split.info, field)[i] for i in order)
            for field in ("class_names", "palette")
            if hasattr(split.info, field)
        }
        self.info = dataclasses.replace(split.info, **permuted)

    def __len__(self):
        return len(self._split)

    def __getitem__(self, index):
        return self._split[index].renumbered(self._table)


def in_model_order(
    split,
    model: KnownClasses,
    by_number: bool = False,
    say: Callable[[str], object] = print,
):
    """Return a split with the labels of a model's classes.

    Args:
        split: Split of a data set, with facts as its `info`.
        model: Classes of the model; of a boundary detector, which knows none,
            the split comes back as it is.
        by_number: See `match_classes`. Defaults to `False`.
        say: Function that takes a remark, if there is one. Defaults to
            `print`.

    Raises:
        ValueError: If the classes are others.
    """
    names = getattr(split.info, "class_names", None)
    if names is None or model.names is model.count is None:
        return split
    data = KnownClasses(split.info.name, tuple(names))
    match = match_classes(model, data, by_number)
    if match.remark:
        say(match.remark)
    return split if match.order is None else OrderedSplit(split, match.order)
