"""How far an exported file agrees with the Keras model that it came from."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.inference.model_files import describe_lite
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import model_logits
from dla_keras.inference.predictor import model_predictor
from dla_keras.lite.options import SAME_PROBABILITY
from dla_keras.tasks import TASKS
from dla_keras.tasks.classification import top_class


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


def predictor_at(
    model, size: tuple[int, int] | None, fit: Fit = PAD
) -> Predictor:
    """Return a model's predictor of masks at one size, or at each picture's."""
    return dataclasses.replace(model_predictor(model, fit), size=size)


def model_outputs(
    model,
    size: tuple[int, int] | None,
    network: Callable | None = None,
    fit: Fit = PAD,
) -> dict[str, Callable]:
    """Return functions from a picture to what a model says of it.

    Args:
        model: Model of any task.
        size: Height and width that pictures are brought to; `None` for their
            own. A classifier takes pictures as they are.
        network: Function that computes the outputs in the model's place.
            Defaults to `None`.
        fit: Rule by which pictures are brought to that size. Defaults to
            `PAD`.

    Returns:
        `"classes"` and `"boundaries"`, where it gives them -> a function from
        uint8 `(h, w, 3)` to a mask, a boundary map or the likeliest class,
        `(1,)`.
    """
    network, found = network or model, {}
    if "classification" in model.tasks:
        logits = model_logits(model)
        found["classes"] = lambda image: top_class(logits(image[None])[0])
    if "segmentation" in model.tasks:
        found["classes"] = predictor_at(network, size, fit)
    if "boundary" in model.tasks:
        predict = boundary_predictor(network, fit)
        found["boundaries"] = dataclasses.replace(predict, size=size)
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
    return {
        kind: compare_outputs(expected[kind], map(output, pictures))
        for kind, output in outputs.items()
    }
