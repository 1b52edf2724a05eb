"""Post-training int8: a calibrated graph, quantised whole or in part.

`conversion.py` makes the graph; `layer_errors.py` measures its layers.
"""

import dataclasses
import re
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize

from dla_keras.lite.ranges import share_ranges


@dataclasses.dataclass(frozen=True)
class CalibratedGraph:
    """A network in float that knows the ranges of its activations.

    Args:
        data: a `.tflite` file of the converter's, before quantisation.
    """

    data: bytes

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
            raise ValueError(
                "Expected names of layers, for instance 'base_layer' or "
                f"'dla_up_ida_0'. Received: {', '.join(unknown)}; "
                "`--layer-errors` lists the layers of a model."
            )
        return sorted(set().union(*found.values()))

    def _tensor_names(self):
        graph = schema.Model.GetRootAs(self.data, 0).Subgraphs(0)
        return [
            graph.Tensors(index).Name().decode()
            for index in range(graph.TensorsLength())
            if graph.Tensors(index).Quantization()
        ]

    def _quantize(self, **options):
        return bytes(mlir_quantize(self.data, **options))


def calibrate(
    converter, pictures: Sequence[np.ndarray], shared: bool = True
) -> CalibratedGraph:
    """Takes the ranges of a graph's activations on pictures.

    Args:
        converter: of the graph, whose one input is a float32 picture.
        pictures: uint8 `(h, w, 3)`, of the graph's size.
        shared: whether tensors that a concatenation or a resize ties get one
            range, see `share_ranges`. Defaults to `True`.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: float_batches(pictures)
    # Quantisation is a second step, so that ranges can be shared before it,
    # and layers kept in float without another pass over the pictures.
    converter._experimental_calibrate_only = True
    data = bytes(converter.convert())
    return CalibratedGraph(share_ranges(data) if shared else data)


def float_batches(pictures):
    """Pictures as the converter's tools take them: a list of one batch."""
    for picture in pictures:
        yield [picture[None].astype(np.float32)]


def _made_by(layer, names):
    """Which tensors come out of a layer, by their path of scopes.

    Operations that the converter joined have several paths. TensorFlow
    numbers scopes, so `level2` may be called `level2_1`.
    """
    scope = re.compile(rf"(^|[/;]){re.escape(layer)}(_\d+)?/")
    return {name for name in names if scope.search(name)}
