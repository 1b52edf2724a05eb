"""How far an exported file agrees with the Keras model that it came from."""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.inference.model_files import describe_lite
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.predictor import softmax
from dla_keras.tasks import TASKS

SCORED = 4  # pictures whose scores are compared, where each pixel has some


class VerificationError(ValueError):
    """Tells that an exported file gives something else than its model."""

    exit_code = 1


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Share of pixels with the same class, or nearly the same probability.

    A classifier's picture counts as one pixel, and so does a box.

    Args:
        mean: Share of all pictures' pixels.
        minimum: Share of the worst picture's.
        pictures: Number of pictures that were compared.
        noise: Root mean square of what the scores differ by, over the
            standard deviation of the Keras model's; scores that are the same
            everywhere are 1 or more away. Not a number where a score is none.
            Defaults to `None`: no scores were compared.
        largest: Largest difference, over the range of the Keras model's
            scores. Defaults to `None`.
    """

    mean: float
    minimum: float
    pictures: int
    noise: float | None = None
    largest: float | None = None

    def __str__(self):
        said = (
            f"mean {self.mean:.4f}, minimum {self.minimum:.4f} over "
            f"{self.pictures} pictures"
        )
        if self.noise is None:
            return said
        return (
            f"{said}; scores differ by {self.noise:.2g} of their deviation, "
            f"at most by {self.largest:.2g} of their range"
        )

    def fault(self, minimum: float, max_noise: float = math.inf) -> str | None:
        """Return why a file that agrees so is refused, or `None`.

        Args:
            minimum: Least mean; 0 lets any file pass whose scores are numbers.
            max_noise: Largest noise. Defaults to any.
        """
        noise = 0.0 if self.noise is None else self.noise
        if math.isnan(noise):
            return "its scores are not finite"
        if not self.mean >= minimum:
            return f"expected a mean of at least {minimum}"
        if minimum and noise > max_noise:
            return f"expected scores within {max_noise} of their deviation"
        return None

    def require(self, minimum: float, max_noise: float = math.inf) -> None:
        """Raise `VerificationError` for a file that is refused; see `fault`."""
        fault = self.fault(minimum, max_noise)
        if fault:
            raise VerificationError(
                "Verification failed: agreement with the Keras model is "
                f"{self}; {fault}. Nothing was written."
            )


def compare_outputs(
    expected: Iterable, found: Iterable, same: Callable
) -> Agreement:
    """Compare what two say of pictures, a picture at a time.

    Args:
        expected: Outputs that count as right.
        found: Outputs to judge, as many and of the same sizes.
        same: Function of both that returns which parts are the same: `same`
            of a task's row.

    Raises:
        ValueError: If there are none.
    """
    # Padding is outside the masks, so it cannot dilute the count.
    equal, total, worst, count = 0, 0, 1.0, 0
    for right, other in zip(expected, found, strict=True):
        parts = same(right, other)
        equal, total = equal + parts.sum(), total + parts.size
        # A picture in which both find nothing.
        worst = min(worst, float(parts.mean())) if parts.size else worst
        count += 1
    if not count:
        raise ValueError("Verification needs at least one picture.")
    return Agreement(float(equal / total) if total else 1.0, worst, count)


def predictor_at(
    model, size: tuple[int, int] | None, fit: Fit = PAD
) -> Predictor:
    """Return a model's predictor of masks at one size, or at each picture's."""
    return dataclasses.replace(model_predictor(model, fit), size=size)


def model_scores(
    model, network: Callable | None = None, probabilities: bool = False
) -> dict[str, Callable]:
    """Return functions from a picture to the scores that a model gives it.

    Args:
        model: Model of any task.
        network: Function that computes the outputs in the model's place.
            Defaults to `None`.
        probabilities: Whether a segmenter's scores are probabilities, too, as
            a classifier's are. Defaults to `False`: logits.

    Returns:
        `"classes"`, `"boundaries"` and `"boxes"`, where it gives them -> a
        function from uint8 `(h, w, 3)`, of a size that the network takes, to
        float32 `(h, w, num_classes)`, `(h, w, 1)`, a detector's maps, or a
        classifier's `(num_classes,)`.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
    def compute(images):
        outputs = (network or model)(images, training=False)
        return {
            TASKS[task].KIND: TASKS[task].file_scores(
                model, outputs, probabilities
            )
            for task in model.tasks
        }

    return {
        kind: lambda image, kind=kind: compute(image[None])[kind][0].numpy()
        for kind in (TASKS[task].KIND for task in model.tasks)
    }


def model_outputs(
    model,
    size: tuple[int, int] | None,
    scores: dict[str, Callable] | None = None,
    fit: Fit = PAD,
) -> dict[str, Callable]:
    """Return functions from a picture to what a model says of it.

    Args:
        model: Model of any task.
        size: Height and width that pictures are brought to; `None` for their
            own. A classifier takes pictures as they are.
        scores: Functions that `model_scores` gave. Defaults to `None`.
        fit: Rule by which pictures are brought to that size. Defaults to
            `PAD`.

    Returns:
        `"classes"`, `"boundaries"` and `"boxes"`, where it gives them -> a
        function from uint8 `(h, w, 3)` to a mask or the likeliest class,
        `(1,)`, to a boundary map, or to a `Found`.
    """
    scores, found = scores or model_scores(model), {}
    for row in (TASKS[task] for task in model.tasks):
        run = scores[row.KIND]
        found[row.KIND] = row.file_finding(model, run, size, fit)
    return found


def lite_outputs(lite_model) -> dict[str, Callable]:
    """Return the same functions around a `LiteModel`; see `model_outputs`."""
    return opened_outputs(describe_lite(lite_model))


def opened_outputs(opened) -> dict[str, Callable]:
    """Return the same functions around a `ModelFile`; see `model_outputs`."""
    found = {}
    for task in opened.tasks:
        found |= TASKS[task].compared(opened)
    return found


def opened_scores(opened) -> dict[str, Callable]:
    """Return functions from a picture to the scores of a `ModelFile`.

    They are probabilities, see `model_scores`; none of classes where the file
    gives nothing but masks.
    """
    found = {"classes": opened.probabilities, "boundaries": opened.boundaries}
    if opened.logits is not None:
        found["classes"] = lambda crop: softmax(opened.logits(crop[None])[0])
    return {kind: scores for kind, scores in found.items() if scores}


def compare(
    expected: dict[str, Iterable[np.ndarray]],
    outputs: dict[str, Callable],
    pictures: Sequence[np.ndarray],
) -> dict[str, Agreement]:
    """Compare what functions say of pictures with what is expected.

    Args:
        expected: Kind of output -> one output for each picture.
        outputs: Kind of output -> function from a picture to it.
        pictures: uint8 `(h, w, 3)`.

    Returns:
        Kind of output -> how it agrees.
    """
    found = {}
    for kind, output in outputs.items():
        row = _row_of(kind)
        found[kind] = compare_outputs(
            expected[kind], map(output, pictures), row.same
        )
    return found


def _row_of(kind):
    # Of two rows with one kind, what they compare it by is one function.
    return next(row for row in TASKS.values() if row.KIND == kind)


def check_reference(
    expected: dict[str, Sequence[np.ndarray]],
    class_names: Sequence[str] | None = None,
) -> None:
    """Raise `VerificationError` where agreement would prove nothing.

    Whoever always says the same agrees with a model that does.

    Args:
        expected: Kind of output -> what the model says of each picture.
        class_names: Names of the classes, for the message. Defaults to `None`.
    """
    for kind, outputs in expected.items():
        row = _row_of(kind)
        same = row.sameness(outputs, class_names)
        if same is None:
            continue
        raise VerificationError(
            f"Verification failed: the Keras model {same} on "
            f"{len(outputs)} pictures, and so would an empty file. Train it "
            "longer, or pass more pictures (--verification-pictures); "
            "--min-agreement 0 (`min_agreement=0`) writes the file all the "
            "same. Nothing was written."
        )


def with_scores(
    found: dict[str, Agreement],
    expected: dict[str, Callable],
    others: dict[str, Callable],
    pictures: Sequence[np.ndarray],
) -> dict[str, Agreement]:
    """Return agreements that also say how far scores differ.

    Args:
        found: Kind of output -> how it agrees.
        expected: Kind of output -> function from a picture to scores.
        others: The same of a file, for the kinds that it gives scores of.
        pictures: Pictures that both take.

    Raises:
        VerificationError: If the Keras model gives scores that are not finite.
    """
    return {
        kind: dataclasses.replace(
            agreement,
            **compare_scores(
                map(expected[kind], pictures), map(others[kind], pictures)
            ),
        )
        if kind in others
        else agreement
        for kind, agreement in found.items()
    }


def compare_scores(
    expected: Iterable[np.ndarray], found: Iterable[np.ndarray]
) -> dict[str, float]:
    """Compare scores, a picture at a time; see `Agreement`.

    Each class counts by what it varies around its own mean, so that a head
    whose bias alone is right gives no better than 1.

    Args:
        expected: Scores that count as right, classes on the last axis.
        found: Scores to judge, as many and of the same shapes.

    Returns:
        `noise` and `largest`.

    Example:

    >>> scores = [np.array([[0.0, 4.0], [2.0, 0.0]])]
    >>> compare_scores(scores, [np.array([[1.0, 2.0], [1.0, 2.0]])])
    {'noise': 1.0, 'largest': 0.5}
    """
    count, total, squares, errors = 0, 0.0, 0.0, 0.0
    low, high, largest, shift = math.inf, -math.inf, 0.0, None
    for right, other in zip(expected, found, strict=True):
        right, other = (
            each.reshape(-1, each.shape[-1]) for each in (right, other)
        )
        if not np.isfinite(right).all():
            raise VerificationError(
                "Verification failed: the Keras model's scores are not finite. "
                "Its weights are damaged, or its training diverged; take an "
                "earlier file of its run. Nothing was written."
            )
        if not np.isfinite(other).all():
            return {"noise": math.nan, "largest": math.nan}
        shift = right.mean(0) if shift is None else shift  # against roundings
        centered, error = right - shift, other - right
        count += len(right)
        total += centered.sum(0, dtype=np.float64)
        squares += np.square(centered).sum(0, dtype=np.float64)
        errors += np.square(error).sum(dtype=np.float64)
        low, high = min(low, right.min()), max(high, right.max())
        largest = max(largest, np.abs(error).max())
    variation = float(np.sum(squares - np.square(total) / count))
    return {
        "noise": math.sqrt(_share(errors, variation)),
        "largest": float(_share(largest, high - low)),
    }


def _share(part, whole):
    if whole > 0:
        return part / whole
    return math.inf if part else 0.0
