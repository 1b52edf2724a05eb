"""Packaging of dla_keras: a light core, and extras for each stage."""

import pathlib
import runpy

from setuptools import find_packages
from setuptools import setup

ROOT = pathlib.Path(__file__).parent
VERSION = runpy.run_path(str(ROOT / "dla_keras" / "version.py"))["__version__"]

TENSORFLOW = ["tensorflow>=2.20"]
EXTRAS = {
    "train": [
        *TENSORFLOW,
        "tensorflow-datasets>=4.9.8",
        "importlib_resources",  # tensorflow-datasets 4.9.10 forgets it
        "tensorboard",
        "pillow",
        "tqdm",
        "psutil",
        "scipy",
        "matplotlib",
    ],
    "export": [
        *TENSORFLOW,
        "ai-edge-litert>=2.1",
        "flatbuffers",
        "pillow",
        "tf_keras>=2.20",
        "tensorflow-model-optimization>=0.8",
    ],
    "weights": ["safetensors", "huggingface_hub", "h5py"],
    "docs": ["mkdocs>=1.6", "mkdocs-material", "mkdocstrings[python]"],
    # JAX, since the models' tests run on it too.
    "test": ["pytest", "pytest-xdist", "ruff", "jax"],
}
EXTRAS["all"] = sorted({name for extra in EXTRAS.values() for name in extra})

setup(
    name="dla-keras",
    version=VERSION,
    description="Deep Layer Aggregation for Keras, from training to phones",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["dla_keras", "dla_keras.*"]),
    package_data={
        "dla_keras.report": ["*.css"],
        "dla_keras.data": ["*.csv.gz"],
    },
    install_requires=["keras>=3.13", "numpy"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["dla-keras = dla_keras.commands.main:main"]
    },
)
