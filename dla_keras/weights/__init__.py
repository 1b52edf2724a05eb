"""Weights in from other implementations."""

from dla_keras.weights.torch_conversion import load_torch_state
from dla_keras.weights.torch_conversion import torch_slots

__all__ = ["load_torch_state", "torch_slots"]
