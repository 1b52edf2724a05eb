"""Deep Layer Aggregation in Keras: the public names.

They are imported when first used, so that a command can read its flags before
Keras and TensorFlow, which take seconds.
"""

import importlib
from typing import TYPE_CHECKING

from dla_keras.quiet import import_quietly
from dla_keras.version import __version__
from dla_keras.version import missing_extra

if TYPE_CHECKING:
    from dla_keras.applications import DLA as DLA
    from dla_keras.applications import DLA34 as DLA34
    from dla_keras.applications import DLA46C as DLA46C
    from dla_keras.applications import DLA46XC as DLA46XC
    from dla_keras.applications import DLA60 as DLA60
    from dla_keras.applications import DLA60X as DLA60X
    from dla_keras.applications import DLA60XC as DLA60XC
    from dla_keras.applications import DLA102 as DLA102
    from dla_keras.applications import DLA102X as DLA102X
    from dla_keras.applications import DLA102X2 as DLA102X2
    from dla_keras.applications import DLA169 as DLA169
    from dla_keras.applications import DLA60Res2Net as DLA60Res2Net
    from dla_keras.applications import DLA60Res2NeXt as DLA60Res2NeXt
    from dla_keras.applications import decode_predictions as decode_predictions
    from dla_keras.applications import list_variants as list_variants
    from dla_keras.inference.loaded_model import load as load
    from dla_keras.lite.convert.pipeline import export_tflite as export_tflite
    from dla_keras.models.backbone import DLABackbone as DLABackbone
    from dla_keras.models.boundary_detector import (
        DLABoundaryDetector as DLABoundaryDetector,
    )
    from dla_keras.models.classifier import DLAClassifier as DLAClassifier
    from dla_keras.models.complexity import complexity as complexity
    from dla_keras.models.detector import DLADetector as DLADetector
    from dla_keras.models.flattening import flatten as flatten
    from dla_keras.models.segmenter import DLASegmenter as DLASegmenter
    from dla_keras.tasks.evaluation import evaluate as evaluate
    from dla_keras.variants import PHONE_DETECTORS as PHONE_DETECTORS
    from dla_keras.variants import PHONE_SEGMENTERS as PHONE_SEGMENTERS
    from dla_keras.variants import SHIPPED_MODELS as SHIPPED_MODELS
    from dla_keras.variants import VARIANTS as VARIANTS
    from dla_keras.weights.pretrained import PRESETS as PRESETS
    from dla_keras.weights.pretrained import load_pretrained as load_pretrained
    from dla_keras.weights.torch_files import (
        load_torch_weights as load_torch_weights,
    )
    from dla_keras.weights.torch_files import (
        save_torch_weights as save_torch_weights,
    )

# Public name -> the module that holds it; the block above tells the same to
# type checkers, which do not run `__getattr__`.
_HOMES = {
    "DLA": "applications",
    "DLA102": "applications",
    "DLA102X": "applications",
    "DLA102X2": "applications",
    "DLA169": "applications",
    "DLA34": "applications",
    "DLA46C": "applications",
    "DLA46XC": "applications",
    "DLA60": "applications",
    "DLA60Res2NeXt": "applications",
    "DLA60Res2Net": "applications",
    "DLA60X": "applications",
    "DLA60XC": "applications",
    "DLABackbone": "models.backbone",
    "DLABoundaryDetector": "models.boundary_detector",
    "DLAClassifier": "models.classifier",
    "DLADetector": "models.detector",
    "DLASegmenter": "models.segmenter",
    "PHONE_DETECTORS": "variants",
    "PHONE_SEGMENTERS": "variants",
    "PRESETS": "weights.pretrained",
    "SHIPPED_MODELS": "variants",
    "VARIANTS": "variants",
    "complexity": "models.complexity",
    "decode_predictions": "applications",
    "evaluate": "tasks.evaluation",
    "export_tflite": "lite.convert.pipeline",
    "flatten": "models.flattening",
    "list_variants": "applications",
    "load": "inference.loaded_model",
    "load_pretrained": "weights.pretrained",
    "load_torch_weights": "weights.torch_files",
    "save_torch_weights": "weights.torch_files",
}
# Rooms and flat modules that `import dla_keras` gives without a line of their
# own.
_ROOMS = (
    "applications",
    "layers",
    "models",
    "variants",
    "weights",
)

__all__ = [*_HOMES, "__version__"]


def _import(module):
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ImportError as error:
        cure = missing_extra(error.name)
        if cure is None:
            raise
        raise ImportError(cure, name=error.name) from error


def __getattr__(name):
    if name in _HOMES:
        home = _import(_HOMES[name])
        value = globals()[name] = getattr(home, name)
        return value
    if name in _ROOMS:
        return _import(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_ROOMS})


import_quietly()
