"""Aggregation as Keras layers, for any network."""

from dla_keras.layers.aggregation import DLAUp
from dla_keras.layers.aggregation import IDAUp
from dla_keras.layers.aggregation import Root
from dla_keras.layers.aggregation import Tree
from dla_keras.layers.blocks import BasicBlock
from dla_keras.layers.blocks import Bottleneck
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.upsampling import BilinearUpsampling
from dla_keras.layers.upsampling import LearnedUpsampling

__all__ = [
    "BasicBlock",
    "BilinearUpsampling",
    "Bottleneck",
    "ConvBN",
    "DLAUp",
    "IDAUp",
    "LearnedUpsampling",
    "Root",
    "Tree",
]
