"""Ranges of a calibrated graph, to look at and to spoil."""

import dataclasses

from ai_edge_litert import schema_py_generated as schema


def ranges(data):
    """Tensor -> its range, a view into `data`."""
    tensors = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    found = {}
    for index in range(tensors.TensorsLength()):
        tensor = tensors.Tensors(index)
        about = tensor.Quantization()
        if about and about.MinLength():
            bounds = about.MinAsNumpy(), about.MaxAsNumpy()
            found[tensor.Name().decode()] = bounds
    return found


def with_range(graph, layer, factor):
    """The graph, with the ranges of a layer's tensors `factor` times wider."""
    data = bytearray(graph.data)
    for name in graph.tensors_of([layer]):
        for bound in ranges(data).get(name, ()):
            bound[0] *= factor
    return dataclasses.replace(graph, data=bytes(data))
