"""From a graph to a `.tflite` file whose numbers are kept in one precision.

Second stage of an export: a graph of `graph.py` goes through TensorFlow's
converter, which no other module touches; int8 goes in two steps, so that
ranges can be shared and layers kept in float between them.
"""

import dataclasses
import functools
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from dla_keras.choices import did_you_mean
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.options import PRECISIONS
from dla_keras.quiet import quiet_stderr


def convert_graph(
    graph,
    precision: str,
    pictures: Sequence[np.ndarray] = (),
    half: bool = False,
) -> bytes:
    """Convert a graph that takes uint8 pictures, in any precision but int8.

    Args:
        graph: Graph from `frozen_graph`.
        precision: Name of a row of `PRECISIONS`.
        pictures: uint8 `(h, w, 3)`, of the graph's size, to take ranges on.
            Defaults to `()`.
        half: Whether processors that can may also compute in half precision.
            Defaults to `False`.
    """
    row, converter = PRECISIONS[precision], _converter(graph)
    if half:
        target = converter.target_spec
        target._experimental_supported_accumulation_type = tf.float16
    if row.optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [
        getattr(tf, name) for name in row.types
    ]
    if row.ops:
        converter.target_spec.supported_ops = [
            getattr(tf.lite.OpsSet, name) for name in row.ops
        ]
    if row.calibrated:
        converter.representative_dataset = lambda: (
            [picture[None]] for picture in pictures
        )
    with quiet_stderr():
        return converter.convert()


def convert_rounded_graph(graph, outputs: tf.DType = tf.uint8) -> bytes:
    """Convert a graph that knows the ranges of its activations to int8.

    Args:
        graph: Graph from `frozen_graph` of a network trained in 8 bits; takes
            float32 pictures.
        outputs: Type of the outputs, uint8 or float32. Defaults to uint8.
    """
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = outputs
    with quiet_stderr():
        return converter.convert()


def _converter(graph):
    # Given something to track, it takes the way that is not deprecated; a
    # graph of constants has nothing.
    return tf.lite.TFLiteConverter.from_concrete_functions([graph], tf.Module())


@dataclasses.dataclass(frozen=True)
class CalibratedGraph:
    """A network in float that knows the ranges of its activations.

    Args:
        file: File of the converter's, before quantization.
        layers: Names of what becomes an operation each.
    """

    file: TfliteFile
    layers: tuple[str, ...]

    @functools.cached_property
    def data(self) -> bytes:
        return self.file.pack()

    def quantize(
        self,
        keep_float: Iterable[str] = (),
        outputs: tf.DType = tf.uint8,
    ) -> bytes:
        """Return the network in int8, uint8 in.

        Args:
            keep_float: Names of layers that stay in float; of a layer that is
                made of others, these stay too. Defaults to `()`.
            outputs: Type of the outputs, uint8 or float32. Defaults to uint8.

        Raises:
            ValueError: If no layer has one of the names.
        """
        return self._quantize(
            denylisted_nodes=self.tensors_of(keep_float),
            input_data_type=tf.uint8,
            output_data_type=outputs,
        )

    def instrument(self) -> bytes:
        """Return the int8 network with every operation in float beside it."""
        return self._quantize(enable_numeric_verify=True)

    def tensors_of(self, layers: Iterable[str]) -> list[str]:
        """Return the outputs of some layers and of those they are made of.

        Args:
            layers: Names of layers.

        Raises:
            ValueError: If no layer has one of the names.
        """
        names = self._tensor_names()
        found = {layer: _made_by(layer, names) for layer in layers}
        unknown = [layer for layer, tensors in found.items() if not tensors]
        if unknown:
            hint = did_you_mean(unknown[0], self.layers)
            raise ValueError(
                "Expected names of layers, for instance 'base_layer' or "
                f"'dla_up_ida_0'. Received: {', '.join(unknown)}.{hint}"
            )
        return sorted(set().union(*found.values()))

    def layer_of(self, tensor: str) -> str:
        """Return the innermost layer that a tensor comes out of.

        Args:
            tensor: Path of scopes; of operations that the converter
                joined, several, of which the first operation's is the last.
        """
        scopes = tensor.split(";")[-1].split("/")[:-1]
        for scope in reversed(scopes):
            known = [layer for layer in self.layers if _is_scope(layer, scope)]
            if known:
                return max(known, key=len)
        return tensor

    def _tensor_names(self):
        return [
            tensor.name.decode()
            for tensor in self.file.tensors
            if tensor.quantization
        ]

    def _quantize(self, **options):
        # Not ai-edge-quantizer (0.10): alike on a weak model, but files take
        # int8 pixels in steps of 0.95 and requantize 20 times inside.
        with quiet_stderr():
            return bytes(mlir_quantize(self.data, **options))


def calibrate(
    graph,
    pictures: Sequence[np.ndarray],
    layers: Iterable[str],
    shared: bool = True,
) -> CalibratedGraph:
    """Take the ranges of a graph's activations on pictures.

    Args:
        graph: Graph from `frozen_graph`; takes a float32 picture.
        pictures: uint8 `(h, w, 3)`, of the graph's size.
        layers: Names of what becomes an operation each.
        shared: Whether tensors that a concatenation or a resize ties get one
            range, see `share_ranges`. Defaults to `True`.
    """
    converter = _converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: float_batches(pictures)
    # Quantization is a second step, so that ranges can be shared before it,
    # and layers kept in float without another pass over the pictures.
    converter._experimental_calibrate_only = True
    with quiet_stderr():
        file = TfliteFile(converter.convert())
    if shared:
        share_ranges(file)
    return CalibratedGraph(file, tuple(layers))


def float_batches(pictures):
    """Yield pictures as the converter's tools take them: lists of a batch."""
    for picture in pictures:
        yield [picture[None].astype(np.float32)]


def _made_by(layer, names):
    """Return the tensors that come out of a layer."""
    return {
        name
        for name in names
        if any(
            _is_scope(layer, scope)
            for path in name.split(";")
            for scope in path.split("/")[:-1]
        )
    }


def _is_scope(layer, scope):
    # TensorFlow numbers scopes, `level2_1`; and of a flattened network there
    # are the leaves' only, which are called as what they are part of.
    return scope == layer or scope.startswith(f"{layer}_")


# Operations whose 8-bit inputs and output must stand for the same numbers.
# Where they do not, the quantizer puts a requantization in between, which
# takes time, rounds once more, and does so differently from one runtime to
# the next.
SAME_SCALE = frozenset(
    {
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "MAX_POOL_2D",
        "PAD",
        "RESIZE_BILINEAR",
    }
)
# A tensor may get steps up to this many times coarser than its own range
# asks for. Beyond, a requantization loses less.
MAX_COARSENING = 4.0


def share_ranges(
    file: TfliteFile, max_coarsening: float = MAX_COARSENING
) -> None:
    """Give one range to the tensors that a concatenation or a resize ties.

    Args:
        file: File in float whose activations have ranges; some are widened.
        max_coarsening: A tensor is left out where its steps would become
            more than this many times coarser. Defaults to `4.0`.
    """
    known = {
        index: tensor.quantization
        for index, tensor in enumerate(file.tensors)
        if tensor.quantization
        and tensor.quantization.min is not None
        and len(tensor.quantization.min) == 1
    }
    own = {i: (float(q.min[0]), float(q.max[0])) for i, q in known.items()}
    ties = [
        [int(end) for end in (*op.inputs, *op.outputs) if int(end) in own]
        for op in file.operators
        if file.name_of(op) in SAME_SCALE
    ]
    for index, ends in share(own, ties, max_coarsening).items():
        lowest, highest = np.float32(ends)
        known[index].min, known[index].max = lowest[None], highest[None]


def share(
    ranges: dict, ties: Iterable, max_coarsening: float = MAX_COARSENING
) -> dict:
    """Return one range for tensors that are tied, the most alike first.

    Args:
        ranges: Tensor -> lowest and highest value.
        ties: Groups of tensors.
        max_coarsening: Limit of `share_ranges`. Defaults to `4.0`.

    Example:

    >>> share({"a": (0, 4), "b": (0, 3), "c": (0, 90)}, ["ab", "bc"])
    {'a': (0, 4), 'b': (0, 4), 'c': (0, 90)}
    """
    groups = {tensor: frozenset((tensor,)) for tensor in ranges}
    for tied in sorted(ties, key=lambda tied: _coarsening(tied, ranges)):
        group = frozenset().union(*(groups[tensor] for tensor in tied))
        if _coarsening(group, ranges) <= max_coarsening:
            groups |= dict.fromkeys(group, group)
    return {tensor: _union(groups[tensor], ranges) for tensor in ranges}


def _union(group, ranges):
    lowest, highest = zip(*(ranges[index] for index in group), strict=True)
    return min(lowest), max(highest)


def _coarsening(group, ranges):
    """Return how much coarser the steps of a group's narrowest tensor become.

    Zero always has a step of its own, so a range reaches it at least.
    """
    spans = [
        max(highest, 0.0) - min(lowest, 0.0)
        for lowest, highest in (
            *(ranges[index] for index in group),
            _union(group, ranges),
        )
    ]
    narrowest = min(spans)
    return spans[-1] / narrowest if narrowest else float("inf")
