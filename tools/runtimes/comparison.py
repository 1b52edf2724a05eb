"""Differences of two runtimes' outputs, and their bounds."""

import dataclasses

import numpy as np

from dla_keras.choices import SAME_PROBABILITY


@dataclasses.dataclass(frozen=True)
class Bound:
    """Bounds of the difference between outputs.

    Args:
        difference: Largest difference, as a share of the expected scores'
            range.
        agreement: Least share of pixels with the same class.
    """

    difference: float
    agreement: float


# (numbers of the file, kernels) -> bound.
BOUNDS = {
    # Sums run in another order on another processor: 6e-8 each, in some
    # hundred layers. Scores that close are one pixel in a thousand.
    ("float", "xnnpack"): Bound(1e-4, 0.999),
    ("float", "builtin"): Bound(1e-4, 0.999),
    # What may be computed in half precision is where a processor can: on an
    # emulated Cortex-A76, 20 of CamVid's images by `streets`, masks of 192x256
    # agreed at 0.987, the worst at 0.969, and mIoU was the same (+0.005).
    ("half", "xnnpack"): Bound(0.1, 0.96),
    ("half", "builtin"): Bound(1e-4, 0.999),
    # XNNPACK's integers are the same everywhere, to the bit.
    ("integer", "xnnpack"): Bound(0.0, 1.0),
    # The builtin kernels round in their own way on each processor: by 1 or 2
    # steps in each layer, and later layers add to it.
    ("integer", "builtin"): Bound(0.25, 0.9),
    # And in MediaPipe, as long as no QUANTIZE is inside (`edits.py`).
    ("integer", "mediapipe"): Bound(0.0, 1.0),
}


def compare(expected, outputs, kind: str, bound: Bound) -> dict:
    """Judge a runtime's outputs.

    Args:
        expected: uint8 or float32; class ids `(n, height, width)`, logits
            `(n, height, width, classes)` or boundaries `(n, height, width)`.
        outputs: Array of the same type and shape.
        kind: `"class_ids"`, `"logits"` or `"boundary"`.
        bound: Bounds that they must keep.

    Returns:
        `equal` (share of equal values), `difference` (the largest, `None` for
        class ids), `agreement` (share of pixels with the same class, or nearly
        the same probability) and `verdict`.

    Example:

    >>> mask = np.zeros((1, 2, 2), "uint8")
    >>> compare(mask, mask, "class_ids", Bound(0.0, 1.0))["verdict"]
    'equal'
    """
    if expected.shape != outputs.shape or expected.dtype != outputs.dtype:
        return {
            "verdict": f"FAILED: expected {expected.dtype} {expected.shape}, "
            f"received {outputs.dtype} {outputs.shape}"
        }
    equal = float((expected == outputs).mean())
    if kind == "class_ids":
        difference, allowed, agreement = None, None, equal
    else:
        one = 256.0 if expected.dtype == np.uint8 else 1.0  # a probability
        expected, outputs = expected.astype(float), outputs.astype(float)
        distance = np.abs(expected - outputs)
        difference = float(distance.max())
        if kind == "logits":
            same = expected.argmax(-1) == outputs.argmax(-1)
            allowed = bound.difference * float(np.ptp(expected))
        else:
            same = distance <= SAME_PROBABILITY * one
            allowed = bound.difference * one
        agreement = float(same.mean())
    return {
        "equal": equal,
        "difference": difference,
        "agreement": agreement,
        "verdict": _verdict(equal, difference, allowed, agreement, bound),
    }


def _verdict(equal, difference, allowed, agreement, bound):
    if equal == 1.0:
        return "equal"
    # Written so that a NaN fails.
    if difference is not None and not difference <= allowed:
        return f"FAILED: difference {difference:.3g}, allowed {allowed:.3g}"
    if not agreement >= bound.agreement:
        return f"FAILED: agreement {agreement:.4f}, least {bound.agreement}"
    return "close"
