"""How far an exported file agrees with the Keras model it came from."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import model_predictor
from dla_keras.lite.convert.outputs import has_boundaries
from dla_keras.models.segmenter import DLASegmenter

# Probabilities of a boundary that are as good as equal.
SAME_PROBABILITY = 0.05


class VerificationError(ValueError):
    """An exported file gives something else than its model."""

    exit_code = 1


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Share of pixels with the same class, or nearly the same probability.

    Args:
        mean: over all pictures' pixels.
        minimum: of the worst picture.
        pictures: how many were compared.
    """

    mean: float
    minimum: float
    pictures: int

    def __str__(self):
        return (
            f"mean {self.mean:.4f}, minimum {self.minimum:.4f} over "
            f"{self.pictures} pictures"
        )

    def require(self, minimum: float) -> None:
        """Raises `VerificationError` if the mean is below `minimum`."""
        if not self.mean >= minimum:
            raise VerificationError(
                "Verification failed: agreement with the Keras model is "
                f"{self}; expected a mean of at least {minimum}. Nothing was "
                "written."
            )


def compare(
    reference: Predictor, candidate: Predictor, pictures: Iterable[np.ndarray]
) -> Agreement:
    """Compares two predictors' outputs on the pictures' own pixels.

    Args:
        reference: makes the masks, or probabilities, that count as right.
        candidate: is judged.
        pictures: uint8 `(h, w, 3)`, of any size that the predictors take.

    Raises:
        ValueError: without pictures.
    """
    pictures = list(pictures)
    return compare_outputs(map(reference, pictures), map(candidate, pictures))


def compare_outputs(
    expected: Iterable[np.ndarray], found: Iterable[np.ndarray]
) -> Agreement:
    """Compares masks or probabilities, a picture at a time.

    Args:
        expected: those that count as right.
        found: as many, of the same sizes.

    Raises:
        ValueError: without any.
    """
    # Padding is outside the masks, so it cannot dilute the count.
    equal, total, worst, count = 0, 0, 1.0, 0
    for right, other in zip(expected, found, strict=True):
        same = _same(right, other)
        equal, total = equal + int(same.sum()), total + same.size
        worst, count = min(worst, float(same.mean())), count + 1
    if not count:
        raise ValueError("Verification needs at least one picture.")
    return Agreement(equal / total, worst, count)


def _same(expected, found):
    if expected.dtype == np.uint8:
        return expected == found
    return np.abs(expected - found) <= SAME_PROBABILITY


def predictor_at(model, size: tuple[int, int] | None) -> Predictor:
    """The Keras model's predictor, at one size or at each picture's own."""
    return dataclasses.replace(model_predictor(model), size=size)


def expected_outputs(
    model, size: tuple[int, int], pictures: Sequence[np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """What the Keras model gives for pictures that are brought to a size.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        size: height and width in pixels.
        pictures: uint8 `(h, w, 3)`.

    Returns:
        `"classes"` and `"boundaries"`, where it gives them -> one for each
        picture, of its own size.
    """
    predictors = {}
    if isinstance(model, DLASegmenter):
        predictors["classes"] = predictor_at(model, size)
    if has_boundaries(model):
        found = dataclasses.replace(boundary_predictor(model), size=size)
        predictors["boundaries"] = found
    return {
        kind: list(map(predictor, pictures))
        for kind, predictor in predictors.items()
    }


def agreement_with(
    expected: dict[str, list[np.ndarray]],
    lite_model,
    pictures: Sequence[np.ndarray],
) -> dict[str, Agreement]:
    """Compares a `.tflite` file with what the Keras model gave.

    Args:
        expected: of `expected_outputs`, at the file's size.
        lite_model: a `LiteModel`.
        pictures: the same.

    Returns:
        What is compared, `"classes"` and `"boundaries"` -> how it agrees.
    """
    size = tuple(lite_model.input_shape[1:3])
    candidates = {}
    if lite_model.gives_classes:
        candidates["classes"] = Predictor(lite_model, size)
    if lite_model.gives_boundaries:
        candidates["boundaries"] = Predictor(lite_model.boundaries, size)
    return {
        kind: compare_outputs(expected[kind], map(candidate, pictures))
        for kind, candidate in candidates.items()
    }


def agreement(
    model, lite_model, pictures: Sequence[np.ndarray]
) -> dict[str, Agreement]:
    """Compares a `.tflite` file with its Keras model.

    Both see each picture at the file's size.

    Args:
        model: the `DLASegmenter` or `DLABoundaryDetector`.
        lite_model: a `LiteModel`.
        pictures: uint8 `(h, w, 3)`.

    Returns: as `agreement_with`.
    """
    size = tuple(lite_model.input_shape[1:3])
    expected = expected_outputs(model, size, pictures)
    return agreement_with(expected, lite_model, pictures)
