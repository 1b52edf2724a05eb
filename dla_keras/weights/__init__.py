"""Weights in from other implementations, and out to them."""

from dla_keras.weights.loading import load_torch_state
from dla_keras.weights.pretrained import PRESETS
from dla_keras.weights.pretrained import Preset
from dla_keras.weights.pretrained import load_pretrained
from dla_keras.weights.torch_conversion import torch_slots
from dla_keras.weights.torch_conversion import torch_state
from dla_keras.weights.torch_files import load_torch_weights
from dla_keras.weights.torch_files import read_torch_file
from dla_keras.weights.torch_files import save_torch_weights
from dla_keras.weights.transfer import take_weights

__all__ = [
    "PRESETS",
    "Preset",
    "load_pretrained",
    "load_torch_state",
    "load_torch_weights",
    "read_torch_file",
    "save_torch_weights",
    "take_weights",
    "torch_slots",
    "torch_state",
]
