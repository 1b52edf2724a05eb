"""The version and the extras, where setup.py can read them without Keras."""

import re

__version__ = "0.1.0"

_TENSORFLOW = ["tensorflow>=2.20"]
# Extra -> what pip installs for it.
EXTRAS = {
    "train": [
        *_TENSORFLOW,
        "tensorflow-datasets>=4.9.8",
        "importlib_resources",  # tensorflow-datasets 4.9.10 forgets it
        "tensorboard",
        # Of version 5, whose warps are exact; before, to 1/32 of a pixel.
        "opencv-python-headless>=5.0",
        "pillow",
        "pyyaml",
        "tqdm",
        "psutil",
        "scipy",
        "matplotlib",
        "jinja2",
    ],
    "export": [
        *_TENSORFLOW,
        "ai-edge-litert>=2.1",
        "flatbuffers",
        "jinja2",
        "pillow",
        "tf_keras>=2.20",
        "tensorflow-model-optimization>=0.8",
    ],
    # One node with NVIDIA cards, in addition to `train`: CUDA by pip.
    "gpu": ["tensorflow[and-cuda]>=2.20"],
    # Services that a run logs to, in addition to `train`.
    "wandb": ["wandb"],
    "mlflow": ["mlflow"],
    "weights": ["safetensors", "huggingface_hub", "h5py"],
    # Scores of boxes, in addition to `train`.
    "detection": ["faster-coco-eval>=1.7"],
    # Pictures of iPhones.
    "heif": ["pillow-heif"],
    "docs": ["mkdocs>=1.6", "mkdocs-material", "mkdocstrings[python]"],
    # JAX, since the models' tests run on it too.
    "test": ["pytest", "pytest-xdist", "ruff", "jax", "mypy", "pycocotools"],
    "package": ["build", "twine", "pyroma", "check-wheel-contents"],
}


def missing_extra(package: str | None) -> str | None:
    """Return the line that installs a package, if it is of an extra.

    Args:
        package: Name that could not be imported.

    Example:

    >>> missing_extra("scipy.io")
    'scipy is not installed. Run: pip install "dla-keras[train]"'
    """
    name = (package or "").partition(".")[0]
    others = {
        "PIL": "pillow",
        "yaml": "pyyaml",
        "cv2": "opencv-python-headless",
    }
    wanted = others.get(name, name.replace("_", "-"))
    for extra, requirements in EXTRAS.items():
        found = {re.split(r"[<>=\[]", text)[0] for text in requirements}
        if wanted in {text.replace("_", "-") for text in found}:
            line = f'pip install "dla-keras[{extra}]"'
            return f"{name} is not installed. Run: {line}"
    return None
