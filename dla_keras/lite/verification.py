"""How far an exported file agrees with the Keras model it came from."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.inference import Predictor
from dla_keras.inference import boundary_predictor
from dla_keras.inference import model_predictor

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
    # Padding is outside the masks, so it cannot dilute the count.
    equal, total, worst, count = 0, 0, 1.0, 0
    for picture in pictures:
        same = _same(reference(picture), candidate(picture))
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


def agreement(
    model, lite_model, pictures: Sequence[np.ndarray]
) -> dict[str, Agreement]:
    """Compares a `.tflite` file with its Keras model.

    Both see each picture at the file's size.

    Args:
        model: the `DLASegmenter` or `DLABoundaryDetector`.
        lite_model: a `LiteModel`.
        pictures: uint8 `(h, w, 3)`.

    Returns:
        What is compared, `"classes"` and `"boundaries"` -> how it agrees.
    """
    size = tuple(lite_model.input_shape[1:3])
    found = {}
    if lite_model.gives_classes:
        candidate = Predictor(lite_model, size)
        found["classes"] = compare(
            predictor_at(model, size), candidate, pictures
        )
    if lite_model.gives_boundaries:
        reference = dataclasses.replace(boundary_predictor(model), size=size)
        candidate = Predictor(lite_model.boundaries, size)
        found["boundaries"] = compare(reference, candidate, pictures)
    return found
