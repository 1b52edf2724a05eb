"""The one road from a model in memory to the bytes of a verified file.

Five stages, in this order for every file of this package: `graph` (a function
of constants), `quantize` (a `.tflite` file in one precision), `edit` (what
the converter leaves to be done), `describe` (what the file says of itself)
and `verify` (against the model, on held-out pictures).
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dla_keras.choices import check_number
from dla_keras.choices import choose
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import fit_of
from dla_keras.data.pipeline import free_memory
from dla_keras.files import atomic_path
from dla_keras.files import check_target
from dla_keras.inference.model_checks import sealed
from dla_keras.inference.model_files import CROP_FRACTION
from dla_keras.inference.predictor import size_for
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.graph import BEHIND
from dla_keras.lite.convert.graph import check_head
from dla_keras.lite.convert.graph import check_model
from dla_keras.lite.convert.graph import check_size
from dla_keras.lite.convert.graph import decoding_graph
from dla_keras.lite.convert.graph import frozen_graph
from dla_keras.lite.convert.graph import heads_of
from dla_keras.lite.convert.graph import operations_of
from dla_keras.lite.convert.quantization import CalibratedGraph
from dla_keras.lite.convert.quantization import calibrate
from dla_keras.lite.convert.quantization import convert_graph
from dla_keras.lite.convert.quantization import convert_rounded_graph
from dla_keras.lite.file.edits import add_zeros
from dla_keras.lite.file.edits import pack_stem
from dla_keras.lite.file.edits import scores_of_mask
from dla_keras.lite.file.facts import collect_facts
from dla_keras.lite.file.facts import describe
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.agreement import SCORED
from dla_keras.lite.measure.agreement import Agreement
from dla_keras.lite.measure.agreement import VerificationError
from dla_keras.lite.measure.agreement import check_reference
from dla_keras.lite.measure.agreement import compare
from dla_keras.lite.measure.agreement import lite_outputs
from dla_keras.lite.measure.agreement import model_outputs
from dla_keras.lite.measure.agreement import model_scores
from dla_keras.lite.measure.agreement import with_scores
from dla_keras.lite.options import PRECISIONS
from dla_keras.models.network import check_values
from dla_keras.provenance import read_beside
from dla_keras.quiet import quiet_stderr
from dla_keras.tasks import TASKS

# Memory of an export: TensorFlow and pictures, copies of a weight, bytes of a
# pixel, and of a class's score in it.
BASE_BYTES, WEIGHT_COPIES, PIXEL_BYTES, CLASS_BYTES = 0.9e9, 32, 1000, 16

HALF = 0.98  # least agreement of a model that computes in half precision

# Processor -> edits for it; the files run everywhere, with the same outputs.
EDITS = {"arm": (add_zeros,), "x86": (add_zeros, pack_stem)}


@dataclasses.dataclass(frozen=True)
class VerifiedFile:
    """Bytes of a file, and how far they agree with the Keras model.

    Args:
        data: Bytes of a `.tflite` file that says what it is.
        agreement: `"classes"` and `"boundaries"` -> their agreement; empty
            where there were no pictures to compare on.
        minimum: Agreement that each must reach.
        max_noise: Largest noise of scores. Defaults to any.
    """

    data: bytes
    agreement: dict[str, Agreement]
    minimum: float
    max_noise: float = math.inf

    @property
    def refused(self) -> bool:
        bounds = self.minimum, self.max_noise
        return any(found.fault(*bounds) for found in self.agreement.values())

    def require(self) -> None:
        """Raise `VerificationError` for a file to be refused."""
        for found in self.agreement.values():
            found.require(self.minimum, self.max_noise)


@dataclasses.dataclass(frozen=True)
class Exporter:
    """Makes verified files of one model at one size.

    The files take one uint8 RGB picture `(1, height, width, 3)`, and hold
    builtin operations without variables only.

    Args:
        model: `DLASegmenter`, `DLABoundaryDetector`, `DLAClassifier` or
            `DLADetector`.
        size: Height and width in pixels, multiples of 32.
        head: `"mask"`, uint8 class ids `(1, height, width)`, `"logits"`,
            `(1, height, width, num_classes)`, or `"coarse_logits"`, those
            before the last upsampling. Logits are float32, and uint8 with a
            scale and a zero point in an int8 file. Where the model finds
            boundaries, the file gives `boundary` too, or nothing else: their
            probability `(1, height, width)`, float32, or uint8 of which 256
            would be 1. A classifier's file gives `probabilities`, `(1,
            num_classes)`, in the same numbers. Of a detector, `"boxes"`: the
            outputs of `tflite_facts.BOXES`, float32 in every file; or
            `"heads"`, its maps. Defaults to `None`: the first of these.
        calibration: Training pictures, uint8 `(h, w, 3)`, on which integer
            activations' ranges are taken. Defaults to `()`.
        held_out: Pictures to compare outputs on; without any, a file is not
            compared. Defaults to `()`.
        path: Path of the model's `.keras` file, for what lies beside it.
            Defaults to `None`.
        threads: Threads of the verification. Defaults to `1`.
        min_agreement: Least share of pixels (of pictures, for a classifier)
            that keep their class. With 0, a file is made whatever it gives,
            except for what is no number. Defaults to `None`: each precision's
            own.
        tuned_for: `"arm"`, for phones, or `"x86"`, whose wider registers the
            first convolution fills better over blocks of pixels. Defaults to
            `"arm"`.
        keep_float: Names of layers that int8 leaves in float. Defaults to
            `()`.
        network: Function that is converted in the model's place, for int8:
            from float32 pictures `(1, height, width, 3)` to the model's
            outputs, with roundings that tell its ranges. Defaults to `None`.
        about: Settings that the file says it was made with. Defaults to
            `None`: the processor, and what was kept in float.
        created: ISO date that the file says. Defaults to `None`: the model's.
        rule: Rule by which pictures of any size are brought to the file's; the
            file says it. Defaults to `None`: that of the model's working size.

    Raises:
        ValueError: If an argument is wrong.
    """

    model: object
    size: tuple[int, int]
    head: str | None = None
    calibration: Sequence[np.ndarray] = ()
    held_out: Sequence[np.ndarray] = ()
    path: str | None = None
    threads: int = 1
    min_agreement: float | None = None
    tuned_for: str = "arm"
    keep_float: tuple[str, ...] = ()
    network: Callable | None = None
    about: dict | None = None
    created: str | None = None
    rule: Fit | None = None

    def __post_init__(self):
        check_model(self.model)
        if self.rule is None:
            rule = fit_of(self.model.working_size)
            object.__setattr__(self, "rule", rule)
        check_size(self.size)
        check_head(self.model, self.head)
        if self.head is None:
            head = next(iter(heads_of(self.model)), None)
            object.__setattr__(self, "head", head)
        check_values(self.model)  # argmax of not-a-number is a class, too
        choose("tuned_for", self.tuned_for, EDITS)
        check_number("threads", self.threads)
        if self.min_agreement is not None:
            check_number("min_agreement", self.min_agreement)
        if self.network is not None and self.head == "coarse_logits":
            raise ValueError(
                "A `network` that knows its ranges gives mask or logits. "
                f"Received: head={self.head!r}."
            )

    def make(self, precision: str) -> VerifiedFile:
        """Take the model through all stages.

        Args:
            precision: Name of a row of `PRECISIONS`.

        Raises:
            ValueError: If the settings do not fit the precision.
        """
        self.check_reference()
        return self.finish(self.convert(precision), precision)

    def check_reference(self) -> None:
        """Raise `VerificationError` if any file would agree with the model."""
        if len(self.held_out):
            _ = self._expected  # computed once, and looked at then

    def convert(self, precision: str) -> TfliteFile:
        """Take the model through the first three stages; see `make`."""
        return self.edit(self.quantize(precision))

    def finish(self, file: TfliteFile, precision: str) -> VerifiedFile:
        """Take a file that `convert` gave through the last two stages."""
        self.describe(file, precision)
        data = sealed(file.pack())
        kind, minimum = PRECISIONS[precision], self.min_agreement
        if minimum is None:
            row = TASKS[self.model.tasks[0]]
            minimum = row.MIN_AGREEMENT.get(precision, kind.min_agreement)
        if self._halves(precision):
            self._check_half(minimum)
        return VerifiedFile(data, self.verify(data), minimum, kind.max_noise)

    def graph(self, dtype):
        """Return the model as a function of constants."""
        with quiet_stderr():
            return frozen_graph(
                self.model, self.size, self.head, dtype, self.network
            )

    def quantize(self, precision: str) -> bytes:
        """Return what the converter makes of the graph."""
        self._check_precision(precision)
        # The converter turns a float input into a quantized one, so that
        # pixels enter an int8 file as they are; elsewhere the cast is an
        # operation.
        if precision != "int8":
            pictures = self._calibration_pictures()
            return convert_graph(
                self.graph(tf.uint8),
                precision,
                pictures,
                self._halves(precision),
            )
        outputs = tf.float32 if self.head in BEHIND else tf.uint8
        if self.network is not None:
            return convert_rounded_graph(self.graph(tf.float32), outputs)
        return self.int8_graph.quantize(self.keep_float, outputs)

    @functools.cached_property
    def int8_graph(self) -> CalibratedGraph:
        """Return what int8 files are made from, whole or in part."""
        self._check_precision("int8")
        return calibrate(
            self.graph(tf.float32),
            self._calibration_pictures(),
            operations_of(self.model),
        )

    def edit(self, data: bytes) -> TfliteFile:
        """Parse a converted file and change what is to be changed."""
        file = TfliteFile(data)
        decoding = decoding_graph(self.model, self.size, self.head)
        if decoding is not None:
            file.append(TfliteFile(convert_graph(decoding, "float32")))
        for change in EDITS[self.tuned_for]:
            change(file)
        file.refuse_foreign_ops()
        return file

    def describe(self, file: TfliteFile, precision: str) -> None:
        """Let a file say what it is."""
        about = self.about
        if about is None:
            about = {"tuned_for": self.tuned_for}
            if precision == "int8":
                about["kept_in_float"] = list(self.keep_float)
        facts = collect_facts(
            self.model,
            file,
            precision,
            self.path,
            self.created,
            about,
            # Unknown is not the default: who reads the file may know the run.
            read_beside(self.path).get("crop_fraction"),
            self.rule,
        )
        describe(file, facts)

    def verify(self, source) -> dict[str, Agreement]:
        """Compare a file, or its bytes, with the model."""
        if not len(self.held_out):
            return {}
        lite_model = LiteModel(source, self.threads)
        return self._compared(
            lite_outputs(lite_model),
            _file_scores(lite_model, source, self.threads),
        )

    def _compared(self, outputs, scores, count=None):
        """Compare functions of a picture with the model, on some of them."""
        expected = {kind: each[:count] for kind, each in self._expected.items()}
        held_out = self._held_out[:count]
        found = compare(expected, outputs, held_out)
        # Each pixel has scores: few pictures tell.
        dense = "classification" not in self.model.tasks
        pictures = held_out[: SCORED if dense else None]
        return with_scores(
            found,
            self._scores,
            scores,
            [self.fit(picture) for picture in pictures] if dense else pictures,
        )

    def _halves(self, precision):
        """Return whether phones may compute the file in half precision.

        Not where boxes are decoded inside: places need more digits.
        """
        return precision == "float16" and self.head not in BEHIND

    def _check_half(self, minimum):
        """Raise `VerificationError` if half precision is too little.

        A number above 65504 is none there, and no x86 processor computes the
        file so: the model does, on few pictures.
        """
        if not len(self.held_out):
            return
        config = {**self.model.get_config(), "dtype": "float16"}
        with quiet_stderr(), np.errstate(over="ignore"):
            half = type(self.model).from_config(config)
            half.set_weights(self.model.get_weights())
            scores = model_scores(half)
            outputs = model_outputs(half, self.size, scores, self.rule)
            found = self._compared(outputs, scores, SCORED)
        for kind, agreement in found.items():
            fault = agreement.fault(min(minimum, HALF))
            if fault:
                raise VerificationError(
                    "Phones compute float16 files in half precision, and the "
                    f"{kind} of this model are then others: {agreement}; "
                    f"{fault}. Pass --precision float32 or int8. Nothing was "
                    "written."
                )

    @functools.cached_property
    def crop_fraction(self) -> float:
        """Return the share of a picture that a classifier's run tested on."""
        return read_beside(self.path).get("crop_fraction", CROP_FRACTION)

    def fit(self, picture: np.ndarray) -> np.ndarray:
        """Bring a picture to the file's size, as the task has it."""
        row = TASKS[self.model.tasks[0]]
        return row.fit(picture, self.size, self.crop_fraction, self.rule)

    @functools.cached_property
    def _held_out(self):
        # A classifier's crops; others give outputs of the picture's own size.
        if "classification" in self.model.tasks:
            return [self.fit(picture) for picture in self.held_out]
        return self.held_out

    @functools.cached_property
    def _scores(self):
        return model_scores(self.model, self.network)

    @functools.cached_property
    def _expected(self):
        outputs = model_outputs(self.model, self.size, self._scores, self.rule)
        expected = {
            kind: list(map(output, self._held_out))
            for kind, output in outputs.items()
        }
        if self.min_agreement != 0:
            check_reference(expected, self.model.class_names)
        return expected

    def _calibration_pictures(self):
        """Fit the pictures, with both ends of the pixels' range in them.

        Both must occur, or the input's scale is not exactly 1 and its zero
        point not 0, and pixels are rounded on their way in. Two pixels of one
        picture see to that.
        """
        pictures = [self.fit(picture) for picture in self.calibration]
        if pictures:
            pictures[0] = pictures[0].copy()  # the caller's own, if it fitted
            pictures[0][0, :2] = [[0], [255]]
        return pictures

    def _check_precision(self, precision):
        row = choose("precision", precision, PRECISIONS)
        if self.network is not None and precision != "int8":
            raise ValueError(
                "A `network` that knows its ranges is for int8. Received: "
                f"precision={precision!r}."
            )
        if self.keep_float and (precision != "int8" or self.network):
            raise ValueError(
                "`keep_float` is for int8 after training. Received: "
                f"precision={precision!r}, keep_float={self.keep_float}"
                f"{' and a network' if self.network else ''}."
            )
        if row.calibrated and not (self.network or len(self.calibration)):
            raise ValueError(
                f"{precision} needs `calibration`: about 100 pictures of the "
                "training split. Received: none."
            )


def _file_scores(lite_model, source, threads):
    """Return functions from a picture of a file's size to its scores."""
    found = {}
    if "boundary" in lite_model.tasks:
        found["boundaries"] = lite_model.boundaries
    if lite_model.gives_maps:
        found["boxes"] = lite_model.maps
    if lite_model.gives_mask:
        if isinstance(source, (str, pathlib.Path)):
            source = pathlib.Path(source).read_bytes()
        data = scores_of_mask(source)
        lite_model = data and LiteModel(data, threads)
    if lite_model and {"segmentation", "classification"} & {*lite_model.tasks}:
        found["classes"] = lite_model.run
    return found


def export_tflite(
    model,
    path=None,
    precision: str = "float32",
    size: tuple[int, int] | None = None,
    calibration: Sequence[np.ndarray] = (),
    held_out: Sequence[np.ndarray] = (),
    head: str | None = None,
    min_agreement: float | None = None,
    threads: int = 1,
    tuned_for: str = "arm",
    keep_float: Sequence[str] = (),
) -> VerifiedFile:
    """Export a model as a `.tflite` file and compare the two.

    Args:
        model: `DLASegmenter`, `DLABoundaryDetector`, `DLAClassifier` or
            `DLADetector`.
        path: Path to write the file to. Defaults to `None`: not written.
        precision: `"float32"`, `"float16"` (weights), `"dynamic"` (int8
            weights), `"int8"` (weights and activations) or `"int16x8"` (int8
            weights, 16-bit activations). Defaults to `"float32"`.
        size: Height and width of the file's picture, multiples of 32.
            Defaults to `None`: the model's own, or what holds all pictures
            that are passed, at the model's working size.
        calibration: Training pictures, uint8 `(h, w, 3)`, about 100, for
            `"int8"` and `"int16x8"`. Defaults to `()`.
        held_out: Pictures to compare the file with the model on. Defaults to
            `()`: it is not compared.
        head: See `Exporter`. Defaults to `None`.
        min_agreement: See `Exporter`. Defaults to `None`.
        threads: See `Exporter`. Defaults to `1`.
        tuned_for: See `Exporter`. Defaults to `"arm"`.
        keep_float: See `Exporter`. Defaults to `()`.

    Returns:
        The file's bytes and their agreement with the model.

    Raises:
        ValueError: If an argument is wrong.
        VerificationError: If the file agrees too little; nothing is written.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", num_classes=3)
    >>> pictures = np.random.default_rng(0).integers(
    ...     0, 256, (2, 32, 64, 3)
    ... ).astype("uint8")
    >>> made = export_tflite(
    ...     model, size=(32, 64), held_out=pictures, min_agreement=0
    ... )  # nobody trained it: it may say one class everywhere
    >>> made.agreement["classes"].mean > 0.99
    True
    """
    check_model(model)
    if path is not None and pathlib.Path(path).suffix != ".tflite":
        raise ValueError(
            "A file that phones open is called .tflite, and nothing else is "
            f"overwritten by one. Received: {path}."
        )
    if path is not None:
        check_target(path, "path", ".tflite file")
    _check_pictures("calibration", calibration)
    _check_pictures("held_out", held_out)
    if isinstance(keep_float, str):
        raise ValueError(
            "`keep_float` is a list of layers' names. Received: "
            f"{keep_float!r}."
        )
    if size is None:
        size = _size_of(model, [*calibration, *held_out])
    exporter = Exporter(
        model,
        size,
        head,
        calibration,
        held_out,
        threads=threads,
        min_agreement=min_agreement,
        tuned_for=tuned_for,
        keep_float=tuple(keep_float),
    )
    with quiet_stderr():
        made = exporter.make(precision)
    made.require()
    if path is not None:
        with atomic_path(pathlib.Path(path)) as temporary:
            temporary.write_bytes(made.data)
    return made


def export_memory(model, size: tuple[int, int]) -> int:
    """Return the bytes that making files of a size takes at most, about.

    Measured: see `docs/edge.md`.

    Args:
        model: Model of any task.
        size: Height and width of the files.
    """
    pixels = size[0] * size[1]
    scores = model.num_classes if "segmentation" in model.tasks else 1
    return int(
        BASE_BYTES
        + WEIGHT_COPIES * 4 * model.count_params()
        + pixels * (PIXEL_BYTES + CLASS_BYTES * scores)
    )


def require_memory(model, size: tuple[int, int]) -> None:
    """Print what making files takes; raise `ValueError` if it is not there.

    Args:
        model: Model of any task.
        size: Height and width of the files.
    """
    needed, free = export_memory(model, size), free_memory()
    name = "x".join(map(str, size))
    said = f"about {needed / 1e9:.1f} GB of memory"
    if needed > free:
        raise ValueError(
            f"Files of {name} take {said}, and {free / 1e9:.1f} GB are free. "
            "Pass a smaller --size, or --max-side (for instance 1024), which "
            "shrinks pictures before the network."
        )
    print(f"Files of {name} take {said}.")


def _check_pictures(argument, pictures):
    for picture in pictures:
        shape = np.shape(picture)
        fits = getattr(picture, "dtype", None) == np.uint8 and len(shape) == 3
        if not fits or shape[2] != 3 or not all(shape):
            kind = getattr(picture, "dtype", type(picture).__name__)
            raise ValueError(
                f"`{argument}` holds images, uint8 (height, width, 3), 0 to "
                f"255. Received: {kind} {shape}."
            )


def _size_of(model, pictures):
    height, width = model.image_shape[:2]
    if height and width:
        return height, width
    if not pictures:
        raise ValueError(
            "This model takes pictures of any size, and a file takes one: "
            "pass `size`, height and width. Received: None."
        )
    return size_for(pictures, fit_of(model.working_size))
