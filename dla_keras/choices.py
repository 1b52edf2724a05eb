"""Reading what a person chose: a row of a table, a size, a number in range."""

import difflib
import re
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from numbers import Real


def choose(argument: str, name: str, table: Mapping):
    """Return the entry of a table that is called `name`.

    Args:
        argument: Name of the argument, for the message.
        name: Key of `table`.
        table: Names and what they stand for.

    Raises:
        ValueError: If `table` does not hold the name; the message proposes
            near matches.

    Example:

    >>> choose("node", "fast", {"conv": 1, "separable": 2})
    Traceback (most recent call last):
    ValueError: `node` must be one of conv, separable. Received: 'fast'.
    """
    if isinstance(name, Hashable) and name in table:
        return table[name]
    raise ValueError(
        f"`{argument}` must be one of {', '.join(table)}. "
        f"Received: {name!r}.{did_you_mean(name, table)}"
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return the height and width, in pixels, that a text names.

    Raises:
        ValueError: If it is not two numbers with an "x" between, or a side is
            longer than any picture.

    Example:

    >>> parse_size("384x480")
    (384, 480)
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(
            "Expected HEIGHTxWIDTH in pixels, for instance 384x480. "
            f"Received: {text!r}."
        )
    return check_number("side", int(height)), check_number("side", int(width))


EPOCHS, STEPS, MINUTES = "epochs", "steps", "min"


def parse_interval(value: int | str) -> tuple[float, str]:
    """Return a number and its unit: epochs, steps or minutes.

    Args:
        value: Number of epochs, or a number with a unit, as a text.

    Raises:
        ValueError: If it is neither, or out of range.

    Example:

    >>> parse_interval(5), parse_interval("500steps"), parse_interval("1.5min")
    ((5, 'epochs'), (500, 'steps'), (1.5, 'min'))
    """
    found = re.fullmatch(r"([0-9.]+) *([a-z]*)", str(value).strip().lower())
    unit = found and _UNITS.get(found[2])
    if unit is None:
        raise ValueError(
            "Expected a number of epochs, steps or minutes, for instance 5, "
            f"500steps or 10min. Received: {value}."
        )
    row = NUMBERS["minutes" if unit == MINUTES else "validate_every"]
    try:
        number = row.type(found[1])
    except ValueError:
        number = None
    if number not in row:
        raise ValueError(f"Expected {row.expected}. Received: {value}.")
    return number, unit


_UNITS = {
    **dict.fromkeys(("", "e", "epoch", EPOCHS), EPOCHS),
    **dict.fromkeys(("step", STEPS), STEPS),
    **dict.fromkeys(("m", MINUTES, "minute", "minutes"), MINUTES),
}


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a hint at the words that may be meant, or nothing.

    Args:
        word: Word that is not one of `words`.
        words: Words to choose from.

    Example:

    >>> did_you_mean("--optimiser", ["--optimizer", "--steps"])
    ' Did you mean --optimizer?'
    """
    near = difflib.get_close_matches(str(word), words, n=2, cutoff=0.7)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def spread(items: Sequence, count: int | None) -> list:
    """Return so many of a sequence, evenly spread; all of them for `None`.

    Args:
        items: Sequence, for instance the examples of a split.
        count: Number to return, at most.

    Raises:
        ValueError: If the count is below 1.

    Example:

    >>> spread(range(6), 3)
    [0, 2, 4]
    """
    if count is None:
        return list(items)
    if count < 1:
        raise ValueError(f"Expected at least one picture. Received: {count}.")
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


@dataclass(frozen=True)
class Number:
    """A number that a person may choose: its type, its range, its meaning.

    Args:
        type: `int` or `float`.
        low: Smallest value.
        high: Largest value.
        meaning: Meaning of the number, for people.
        open: Ends that do not belong to the range: `"("`, `")"` or both, as
            in `"()"`. Defaults to neither.
    """

    type: type
    low: float
    high: float
    meaning: str
    open: str = ""

    def __contains__(self, value) -> bool:
        """Return whether a value is of the range; not-a-number never is."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        if self.type is int and not isinstance(value, Integral):
            return False
        above = self.low < value if "(" in self.open else self.low <= value
        return above and (
            value < self.high if ")" in self.open else value <= self.high
        )

    @property
    def expected(self) -> str:
        """Return the range in words."""
        kind = "a whole number" if self.type is int else "a number"
        low = "above" if "(" in self.open else "of at least"
        high = "below" if ")" in self.open else "at most"
        return f"{kind} {low} {self.low:g} and {high} {self.high:,g}"


_MANY = 10**9
SAME_PROBABILITY = 0.05  # a difference as good as none
# Flag or argument -> what it may be. Both argparse and the Python API ask here.
NUMBERS = {
    # training
    "epochs": Number(int, 1, 10**6, "length of the training"),
    "steps": Number(int, 1, _MANY, "length in steps"),
    "batch_size": Number(int, 1, 10**6, "images a step"),
    "learning_rate": Number(float, 0, 1000, "rate at the start", "("),
    "weight_decay": Number(float, 0, 100, "factor of the L2 penalty"),
    "milestones": Number(float, 0, 1, "share of the run", "()"),
    "warmup_epochs": Number(float, 0, 10**6, "epochs of a rising rate"),
    "backbone_rate": Number(float, 0, 1000, "factor of the rate"),
    "clip_norm": Number(float, 0, _MANY, "largest norm", "("),
    "ema": Number(float, 0, 1, "momentum of the average", ")"),
    "recalibrate_bn": Number(int, 0, 10**6, "batches"),
    "seed": Number(int, 0, 2**31 - 1, "beginning of all random numbers"),
    "accumulate": Number(int, 1, 10**4, "parts of a batch"),
    "steps_per_execution": Number(int, 1, 10**6, "steps"),
    "validate_every": Number(int, 0, _MANY, "epochs or steps"),
    "minutes": Number(float, 0, 10**6, "minutes", "("),
    "val_pictures": Number(int, 1, _MANY, "pictures of a validation"),
    "patience": Number(int, 1, 10**6, "validations"),
    "checkpoint_steps": Number(int, 0, _MANY, "steps between checkpoints"),
    "checkpoint_minutes": Number(float, 0, 10**6, "minutes between them"),
    "keep": Number(int, 1, 10**6, "checkpoints"),
    # crops and losses
    "side": Number(int, 1, 2**15, "side of a picture, in pixels"),
    "max_side": Number(int, 0, 2**15, "longest side, in pixels; 0: any"),
    "scale": Number(float, 0.01, 100, "zoom"),
    "rotation": Number(float, 0, 180, "degrees"),
    "jitter": Number(float, 0, 1, "change of colors"),
    "saturation": Number(float, 0, 1, "change of the saturation"),
    "tint": Number(float, 0, 1, "change of a color channel"),
    "sharpness": Number(float, 0, 1, "change of the sharpness"),
    "class_sampling": Number(float, 0, 10, "power of the frequency"),
    "class_weighting": Number(float, 0, 10, "power of the frequency"),
    "boundary_weight": Number(float, 0, 10**6, "weight of the boundaries"),
    "teacher_weight": Number(float, 0, 10**6, "weight of a teacher", "("),
    "positive_weight": Number(float, 0, 10**6, "weight of a boundary", "("),
    "crop_fraction": Number(float, 0, 1, "share of a picture's side", "("),
    "area": Number(float, 0, 1, "share of a picture", "("),
    "aspect": Number(float, 0.01, 100, "width over height"),
    "mixup": Number(float, 0, 1000, "alpha of a Beta distribution"),
    "cutmix": Number(float, 0, 1000, "alpha of a Beta distribution"),
    "label_smoothing": Number(float, 0, 1, "share of the label", ")"),
    "dropout": Number(float, 0, 1, "share of the features", ")"),
    "drop_path": Number(float, 0, 1, "rate of dropped blocks", ")"),
    # models
    "object_classes": Number(int, 1, 10**6, "classes of objects"),
    "head_filters": Number(int, 1, 10**4, "channels of a head"),
    "num_classes": Number(
        int, 2, 10**6, "classes; of one thing it and its background"
    ),
    "top": Number(int, 1, 1000, "classes of ImageNet"),
    # scores and files
    "thresholds": Number(int, 1, 10**4, "thresholds of boundaries"),
    "processes": Number(int, 1, 10**4, "processes"),
    "threads": Number(int, 1, 1024, "threads of a runtime"),
    "overlap": Number(int, 0, 2**15, "pixels"),
    "calibration_pictures": Number(int, 1, _MANY, "pictures"),
    "verification_pictures": Number(int, 1, _MANY, "pictures"),
    "eval_pictures": Number(int, 1, _MANY, "pictures"),
    "min_agreement": Number(float, 0, 1, "share of agreement"),
    "max_loss": Number(float, 0, 100, "points of mIoU"),
    "sparsity": Number(float, 0, 1, "share of zeros", ")"),
    "clusters": Number(int, 2, 255, "different numbers in a kernel"),
    "runs": Number(int, 1, 10**6, "runs that are timed"),
    "warm_up": Number(int, 0, 10**6, "runs before them"),
    "seconds": Number(float, 0, 10**6, "seconds of one file", "("),
}


def check_number(name: str, value, argument: str | None = None):
    """Return a number that is of its row's range.

    Args:
        name: Row of `NUMBERS`.
        value: Number to check.
        argument: Name of the argument, for the message. Defaults to `None`:
            that of the row.

    Raises:
        ValueError: If it is not of the range, or no number.

    Example:

    >>> check_number("jitter", 0.4)
    0.4
    >>> check_number("threads", 0)
    Traceback (most recent call last):
    ValueError: `threads` is a whole number of at least 1 and at most 1,024
    (threads of a runtime). Received: 0.
    """
    row = NUMBERS[name]
    if value in row:
        return value
    raise ValueError(
        f"`{argument or name}` is {row.expected} ({row.meaning}). "
        f"Received: {value}."
    )


def check_range(name: str, values) -> tuple[float, float]:
    """Return a smallest and a largest number, each of its row's range.

    Args:
        name: Row of `NUMBERS`.
        values: The two numbers.

    Raises:
        ValueError: If one is not of the range, or the larger one is first.

    Example:

    >>> check_range("scale", (2, 1))
    Traceback (most recent call last):
    ValueError: `scale` is the smallest and then the largest value.
    Received: 2 1.
    """
    low, high = (check_number(name, value) for value in values)
    if low > high:
        raise ValueError(
            f"`{name}` is the smallest and then the largest value. "
            f"Received: {low} {high}."
        )
    return low, high
