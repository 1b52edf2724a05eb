"""Post-training int8: a calibrated graph, quantised whole or in part.

`conversion.py` makes the graph; `layer_errors.py` measures its layers.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize

from dla_keras.lite.convert.ranges import share_ranges
from dla_keras.quiet import quiet_stderr


@dataclasses.dataclass(frozen=True)
class CalibratedGraph:
    """A network in float that knows the ranges of its activations.

    Args:
        data: a `.tflite` file of the converter's, before quantisation.
        layers: names of what becomes an operation each.
    """

    data: bytes
    layers: tuple[str, ...]

    def quantize(self, keep_float: Iterable[str] = ()) -> bytes:
        """The network in int8, uint8 in and out.

        Args:
            keep_float: names of layers that stay in float; of a layer that is
                made of others, these stay too. Defaults to `()`.

        Raises:
            ValueError: for a name that no layer has.
        """
        return self._quantize(
            denylisted_nodes=self.tensors_of(keep_float),
            input_data_type=tf.uint8,
            output_data_type=tf.uint8,
        )

    def instrument(self) -> bytes:
        """The network in int8 with every operation in float beside it."""
        return self._quantize(enable_numeric_verify=True)

    def tensors_of(self, layers: Iterable[str]) -> list[str]:
        """The outputs of some layers, and of those that they are made of.

        Args:
            layers: names of layers.

        Raises:
            ValueError: for a name that no layer has.
        """
        names = self._tensor_names()
        found = {layer: _made_by(layer, names) for layer in layers}
        unknown = [layer for layer, tensors in found.items() if not tensors]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.layers, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(
                "Expected names of layers, for instance 'base_layer' or "
                f"'dla_up_ida_0'. Received: {', '.join(unknown)}.{hint}"
            )
        return sorted(set().union(*found.values()))

    def layer_of(self, tensor: str) -> str:
        """The innermost layer that a tensor comes out of.

        Args:
            tensor: its path of scopes; of operations that the converter
                joined, several, of which the first operation's is the last.
        """
        scopes = tensor.split(";")[-1].split("/")[:-1]
        for scope in reversed(scopes):
            known = [layer for layer in self.layers if _is_scope(layer, scope)]
            if known:
                return max(known, key=len)
        return tensor

    def _tensor_names(self):
        graph = schema.Model.GetRootAs(self.data, 0).Subgraphs(0)
        return [
            graph.Tensors(index).Name().decode()
            for index in range(graph.TensorsLength())
            if graph.Tensors(index).Quantization()
        ]

    def _quantize(self, **options):
        with quiet_stderr():
            return bytes(mlir_quantize(self.data, **options))


def calibrate(
    converter,
    pictures: Sequence[np.ndarray],
    layers: Iterable[str],
    shared: bool = True,
) -> CalibratedGraph:
    """Takes the ranges of a graph's activations on pictures.

    Args:
        converter: of the graph, whose one input is a float32 picture.
        pictures: uint8 `(h, w, 3)`, of the graph's size.
        layers: names of what becomes an operation each.
        shared: whether tensors that a concatenation or a resize ties get one
            range, see `share_ranges`. Defaults to `True`.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: float_batches(pictures)
    # Quantisation is a second step, so that ranges can be shared before it,
    # and layers kept in float without another pass over the pictures.
    converter._experimental_calibrate_only = True
    data = bytes(converter.convert())
    data = share_ranges(data) if shared else data
    return CalibratedGraph(data, tuple(layers))


def float_batches(pictures):
    """Pictures as the converter's tools take them: a list of one batch."""
    for picture in pictures:
        yield [picture[None].astype(np.float32)]


def _made_by(layer, names):
    """Which tensors come out of a layer."""
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
    # TensorFlow numbers scopes: `level2` may be called `level2_1`.
    return re.fullmatch(rf"{re.escape(layer)}(_\d+)?", scope) is not None
