"""Learned upsampling without paddings, for export.

`LearnedUpsampling` pads its input four ways and convolves with 2x2 taps. The
same taps in a corner of 3x3 need no padding of their own: four copies of the
input less, and TFLite's int8 quantiser, which leaves some of those copies in
float, has none to leave.
"""

import keras
import numpy as np
from keras import layers

from dla_keras.layers.upsampling import LearnedUpsampling
from dla_keras.models.flattening import flatten


def without_paddings(model: keras.Model) -> keras.Model:
    """The same function, its learned upsamplings over 3x3 pixels.

    Args:
        model: a functional model.

    Returns:
        A model with weights of its own where they changed; `model` itself
        without learned upsampling.

    Example:

    >>> model = dla_keras.DLASegmenter("dla46_c", 3, upsampling="learned")
    >>> kinds = [type(layer) for layer in without_paddings(model).layers]
    >>> kinds.count(keras.layers.ZeroPadding2D)  # of strided convolutions
    5
    """
    upsamplings = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, LearnedUpsampling)
    ]
    if not upsamplings:
        return model
    replaced = {}
    for upsampling in upsamplings:
        for pad in upsampling.pad:
            replaced[pad.name] = layers.Identity(name=pad.name)
        for index, phase in enumerate(upsampling.phase):
            replaced[phase.name] = _over_three(phase, index, upsampling.factor)
    return keras.models.clone_model(
        flatten(model),
        clone_function=lambda layer: replaced.get(layer.name, layer),
    )


def _over_three(phase, index, factor):
    """A phase's 2x2 taps in the corner of 3x3 that they see."""
    taps = np.asarray(phase.get_weights()[0])  # (2, 2, C, 1)
    row, column = divmod(index, factor)
    below, right = row >= factor // 2, column >= factor // 2
    kernel = np.zeros((3, 3, *taps.shape[2:]), taps.dtype)
    kernel[below : below + 2, right : right + 2] = taps
    layer = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, name=phase.name, dtype=phase.dtype
    )
    layer.build((None, None, None, taps.shape[2]))
    layer.set_weights([kernel])
    return layer
