"""How far an exported file agrees with the Keras model that it came from."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import model_predictor

# Probabilities of a boundary that are as good as equal.
SAME_PROBABILITY = 0.05


class VerificationError(ValueError):
    """Tells that an exported file gives something else than its model."""

    exit_code = 1


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Share of pixels with the same class, or nearly the same probability.

    A classifier's picture counts as one pixel.

    Args:
        mean: Share of all pictures' pixels.
        minimum: Share of the worst picture's.
        pictures: Number of pictures that were compared.
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
        """Raise `VerificationError` if the mean is below `minimum`."""
        if not self.mean >= minimum:
            raise VerificationError(
                "Verification failed: agreement with the Keras model is "
                f"{self}; expected a mean of at least {minimum}. Nothing was "
                "written."
            )


def compare_outputs(
    expected: Iterable[np.ndarray], found: Iterable[np.ndarray]
) -> Agreement:
    """Compare classes or probabilities, a picture at a time.

    Args:
        expected: Outputs that count as right: uint8 masks, integer classes,
            or float32 probabilities of boundaries.
        found: Outputs to judge, as many and of the same sizes.

    Raises:
        ValueError: If there are none.
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
    if np.issubdtype(expected.dtype, np.integer):
        return expected == found
    return np.abs(expected - found) <= SAME_PROBABILITY


def predictor_at(model, size: tuple[int, int] | None) -> Predictor:
    """Return a model's predictor of masks at one size, or at each picture's."""
    return dataclasses.replace(model_predictor(model), size=size)


def expected_outputs(
    model,
    size: tuple[int, int],
    pictures: Sequence[np.ndarray],
    network: Callable | None = None,
) -> dict[str, list[np.ndarray]]:
    """Compute what a model gives for pictures that are brought to a size.

    Args:
        model: Model of any task.
        size: Height and width in pixels.
        pictures: uint8 `(h, w, 3)`; of the size for a classifier.
        network: Function that computes the outputs in the model's place.
            Defaults to `None`.

    Returns:
        `"classes"` and `"boundaries"`, where it gives them -> one for each
        picture, of its own size; a classifier's class is `(1,)`.
    """
    network, predictors = network or model, {}
    if "classification" in model.tasks:
        predictors["classes"] = lambda picture: top_class(
            network(picture[None], training=False)[0]
        )
    if "segmentation" in model.tasks:
        predictors["classes"] = predictor_at(network, size)
    if "boundary" in model.tasks:
        found = dataclasses.replace(boundary_predictor(network), size=size)
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
    """Compare a `.tflite` file with what the Keras model gave.

    Args:
        expected: What `expected_outputs` gave, at the file's size.
        lite_model: `LiteModel` of the file.
        pictures: The pictures that those are of.

    Returns:
        What is compared, `"classes"` and `"boundaries"` -> how it agrees.
    """
    size = tuple(lite_model.input_shape[1:3])
    candidates = {}
    if "classification" in lite_model.tasks:
        candidates["classes"] = lambda picture: top_class(
            lite_model.run(picture)
        )
    if "segmentation" in lite_model.tasks:
        candidates["classes"] = Predictor(lite_model, size)
    if "boundary" in lite_model.tasks:
        candidates["boundaries"] = Predictor(lite_model.boundaries, size)
    return {
        kind: compare_outputs(expected[kind], map(candidate, pictures))
        for kind, candidate in candidates.items()
    }


def top_class(scores) -> np.ndarray:
    """Return the most likely class of one picture, `(1,)`.

    Args:
        scores: Probabilities or logits, `(num_classes,)`.
    """
    return np.argmax(np.asarray(scores), keepdims=True)
