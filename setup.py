"""Packaging of dla_keras: a light core, and extras for each stage."""

import pathlib
import re
import runpy

from setuptools import find_packages
from setuptools import setup

ROOT = pathlib.Path(__file__).parent
FACTS = runpy.run_path(str(ROOT / "dla_keras" / "version.py"))
VERSION = FACTS["__version__"]
# Where the project is to be published; CITATION.cff and .github/ name it too.
REPOSITORY = "https://github.com/dla-keras/dla_keras"

EXTRAS = dict(FACTS["EXTRAS"])
# CUDA's libraries are 3 GB that most machines have no use for, and a service
# is somebody's choice.
ASKED_FOR = {"gpu", "mlflow", "wandb"}
EXTRAS["all"] = sorted(
    {name for key in EXTRAS.keys() - ASKED_FOR for name in EXTRAS[key]}
)


CLASSIFIERS = [
    "Development Status :: 4 - Beta",
    "Environment :: Console",
    "Environment :: GPU :: NVIDIA CUDA",
    "Intended Audience :: Developers",
    "Intended Audience :: Science/Research",
    "Operating System :: POSIX :: Linux",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3 :: Only",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Programming Language :: Python :: 3.13",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
    "Topic :: Scientific/Engineering :: Image Recognition",
    "Typing :: Typed",
]


def long_description() -> str:
    """Return the README, its links absolute, as a page elsewhere needs them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    elsewhere = "(?!https?://|#|mailto:)"
    for link, kind in (
        (r'(!\[[^\]]*\]\(|\bsrc=")', "raw"),
        (r'(\]\(|\bhref=")', "blob"),
    ):
        absolute = rf"\1{REPOSITORY}/{kind}/v{VERSION}/"
        text = re.sub(link + elsewhere, absolute, text)
    return text


setup(
    name="dla-keras",
    version=VERSION,
    description="Deep Layer Aggregation for Keras, from training to phones",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The dla_keras authors",
    author_email="The dla_keras authors <dla-keras@users.noreply.github.com>",
    url=REPOSITORY,
    project_urls={
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
        "Paper": "https://arxiv.org/abs/1707.06484",
    },
    keywords="keras tensorflow deep-layer-aggregation dla semantic-"
    "segmentation boundary-detection image-classification tflite litert "
    "quantization",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=CLASSIFIERS,
    python_requires=">=3.11",
    packages=find_packages(include=["dla_keras", "dla_keras.*"]),
    package_data={
        "dla_keras": ["py.typed"],
        "dla_keras.report": ["*.html"],
        "dla_keras.data": ["*.csv.gz"],
        "dla_keras.weights": ["*.txt.gz", "*.npz", "streets.*", "CARDS.md"],
    },
    install_requires=["keras>=3.13", "numpy"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["dla-keras = dla_keras.commands.main:main"]
    },
)
