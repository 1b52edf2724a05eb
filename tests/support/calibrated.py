"""Ranges of a calibrated graph, to look at and to spoil."""

import copy
import dataclasses

import numpy as np


def ranges(file):
    """Return tensor -> its lowest and highest value, arrays of one number."""
    return {
        tensor.name.decode(): (tensor.quantization.min, tensor.quantization.max)
        for tensor in file.tensors
        if tensor.quantization and tensor.quantization.min is not None
    }


def with_range(graph, layer, factor):
    """Return a graph whose ranges of a layer are `factor` times wider."""
    file = copy.deepcopy(graph.file)
    for name in graph.tensors_of([layer]):
        for bound in ranges(file).get(name, ()):
            bound[:] = np.float32(factor) * bound
    return dataclasses.replace(graph, file=file)
