"""How far an exported file agrees with the Keras model it came from."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from dla_keras.inference import Predictor
from dla_keras.inference import model_predictor


class VerificationError(ValueError):
    """An exported file gives other masks than its model."""

    exit_code = 1


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Share of pixels with the same class.

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
    """Compares two predictors' masks on the pictures' own pixels.

    Args:
        reference: makes the masks that count as right.
        candidate: is judged.
        pictures: uint8 `(h, w, 3)`, of any size that the predictors take.

    Raises:
        ValueError: without pictures.
    """
    # Padding is outside the masks, so it cannot dilute the count.
    equal, total, worst, count = 0, 0, 1.0, 0
    for picture in pictures:
        same = reference(picture) == candidate(picture)
        equal, total = equal + int(same.sum()), total + same.size
        worst, count = min(worst, float(same.mean())), count + 1
    if not count:
        raise ValueError("Verification needs at least one picture.")
    return Agreement(equal / total, worst, count)


def predictor_at(model, size: tuple[int, int] | None) -> Predictor:
    """The Keras model's predictor, at one size or at each picture's own."""
    return dataclasses.replace(model_predictor(model), size=size)


def agreement(model, lite_model, pictures: Iterable[np.ndarray]) -> Agreement:
    """Compares a `.tflite` file with its Keras model.

    Both see each picture at the file's size.

    Args:
        model: the `DLASegmenter`.
        lite_model: a `LiteModel`.
        pictures: uint8 `(h, w, 3)`.
    """
    size = tuple(lite_model.input_shape[1:3])
    candidate = Predictor(lite_model, size)
    return compare(predictor_at(model, size), candidate, pictures)
