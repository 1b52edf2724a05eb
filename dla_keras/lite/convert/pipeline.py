"""From a model in memory to the bytes of a file that was held against it.

Between `conversion.py` and the commands: nothing is written here.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.conversion import calibrated_graph
from dla_keras.lite.convert.conversion import convert
from dla_keras.lite.convert.conversion import finish
from dla_keras.lite.convert.precisions import PRECISIONS
from dla_keras.lite.convert.quantization import CalibratedGraph
from dla_keras.lite.file.facts import collect_facts
from dla_keras.lite.file.metadata import describe
from dla_keras.lite.measure.verification import Agreement
from dla_keras.lite.measure.verification import agreement_with
from dla_keras.lite.measure.verification import expected_outputs


@dataclasses.dataclass(frozen=True)
class VerifiedFile:
    """A file's bytes, and how far they agree with the Keras model.

    Args:
        data: of a `.tflite` file that says what it is.
        agreement: `"classes"` and `"boundaries"` -> of them.
        minimum: that each must reach.
    """

    data: bytes
    agreement: dict[str, Agreement]
    minimum: float

    @property
    def refused(self) -> bool:
        return not all(f.mean >= self.minimum for f in self.agreement.values())

    def require(self) -> None:
        """Raises `VerificationError` for a file to be refused."""
        for found in self.agreement.values():
            found.require(self.minimum)


@dataclasses.dataclass(frozen=True)
class Exporter:
    """Makes verified files of one model at one size.

    Args:
        model: a `DLASegmenter` or a `DLABoundaryDetector`.
        path: its `.keras` file.
        size: height and width in pixels.
        head: what classes leave as, see `convert`.
        calibration: pictures of the training split, for integer activations.
        held_out: pictures to compare masks on.
        threads: for the verification.
        min_agreement: `None` for each precision's own.
        tuned_for: the processor, see `convert`. Defaults to `"arm"`.
        keep_float: layers that int8 leaves in float. Defaults to `()`.
    """

    model: object
    path: str
    size: tuple[int, int]
    head: str
    calibration: Sequence[np.ndarray]
    held_out: Sequence[np.ndarray]
    threads: int
    min_agreement: float | None
    tuned_for: str = "arm"
    keep_float: tuple[str, ...] = ()

    @functools.cached_property
    def int8_graph(self) -> CalibratedGraph:
        """What int8 files are quantised from, whole or in part."""
        return calibrated_graph(
            self.model, self.size, self.head, self.calibration
        )

    def make(self, precision: str) -> VerifiedFile:
        """Converts, describes and verifies.

        Args:
            precision: a row of `PRECISIONS`.
        """
        export = {"tuned_for": self.tuned_for}
        if precision == "int8":
            data = self.int8_graph.quantize(self.keep_float)
            data = finish(data, self.tuned_for)
            export["kept_in_float"] = list(self.keep_float)
        else:
            data = convert(
                self.model,
                self.size,
                precision,
                self.head,
                self.calibration,
                tuned_for=self.tuned_for,
            )
        facts = collect_facts(
            self.model, data, precision, self.path, export=export
        )
        data = describe(data, facts)
        minimum = self.min_agreement
        if minimum is None:
            minimum = PRECISIONS[precision].min_agreement
        return VerifiedFile(data, self.verify(data), minimum)

    def verify(self, source) -> dict[str, Agreement]:
        """How a file, or its bytes, agrees with the model."""
        lite_model = LiteModel(source, num_threads=self.threads)
        return agreement_with(self._expected, lite_model, self.held_out)

    @functools.cached_property
    def _expected(self):
        return expected_outputs(self.model, self.size, self.held_out)
