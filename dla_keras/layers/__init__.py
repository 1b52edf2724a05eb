"""Aggregation as Keras layers, for any network."""

# Before any module of this room: with Keras come the models (see `quiet.py`),
# and they are made of these modules.
import keras  # noqa: F401

from dla_keras.layers.blocks import BasicBlock
from dla_keras.layers.blocks import Bottle2neck
from dla_keras.layers.blocks import Bottleneck
from dla_keras.layers.convolution import ConvBN
from dla_keras.layers.convolution import SeparableConvBN
from dla_keras.layers.hierarchical import Root
from dla_keras.layers.hierarchical import Tree
from dla_keras.layers.iterative import DLAUp
from dla_keras.layers.iterative import IDAUp
from dla_keras.layers.pooling import DilatedPooling
from dla_keras.layers.upsampling import BilinearUpsampling
from dla_keras.layers.upsampling import LearnedUpsampling

__all__ = [
    "BasicBlock",
    "BilinearUpsampling",
    "Bottle2neck",
    "Bottleneck",
    "ConvBN",
    "DLAUp",
    "DilatedPooling",
    "IDAUp",
    "LearnedUpsampling",
    "Root",
    "SeparableConvBN",
    "Tree",
]
