"""Writes a trained model's arrays as a small file that ships.

    python benchmarks/release_weights.py runs/tiny/model.keras \\
        dla_keras/weights/dla46_c_tiny_imagenet.npz

Kernels become float16; vectors stay float32, since variances may be tiny. What
that changes shows in `evaluate`: the packed weights are scored as a preset.
"""

import argparse

import numpy as np

from dla_keras.files import atomic_path
from dla_keras.inference.model_files import load_model
from dla_keras.weights import torch_state


def main():
    """Write the file that the flags name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .keras file")
    parser.add_argument("output", help="a .npz file; replaced if it is there")
    args = parser.parse_args()
    arrays = {
        name: array.astype(np.float16 if array.ndim > 1 else np.float32)
        for name, array in torch_state(load_model(args.model)).items()
    }
    with atomic_path(args.output) as path:
        np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
