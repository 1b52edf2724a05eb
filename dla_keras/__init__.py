"""Deep Layer Aggregation in Keras: the public names."""

from dla_keras.quiet import import_backend

import_backend()

from dla_keras.applications import DLA
from dla_keras.applications import DLA34
from dla_keras.applications import DLA46C
from dla_keras.applications import DLA46XC
from dla_keras.applications import DLA60
from dla_keras.applications import DLA60X
from dla_keras.applications import DLA60XC
from dla_keras.applications import DLA102
from dla_keras.applications import DLA102X
from dla_keras.applications import DLA102X2
from dla_keras.applications import DLA169
from dla_keras.applications import DLA60Res2Net
from dla_keras.applications import DLA60Res2NeXt
from dla_keras.applications import list_variants
from dla_keras.models.backbone import DLABackbone
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.complexity import complexity
from dla_keras.models.flattening import flatten
from dla_keras.models.segmenter import DLASegmenter
from dla_keras.variants import PHONE_SEGMENTERS
from dla_keras.variants import VARIANTS
from dla_keras.version import __version__
from dla_keras.weights.presets import PRESETS
from dla_keras.weights.pretrained import load_pretrained
from dla_keras.weights.torch_files import load_torch_weights
from dla_keras.weights.torch_files import save_torch_weights

__all__ = [
    "DLA",
    "DLA102",
    "DLA102X",
    "DLA102X2",
    "DLA169",
    "DLA34",
    "DLA46C",
    "DLA46XC",
    "DLA60",
    "DLA60Res2NeXt",
    "DLA60Res2Net",
    "DLA60X",
    "DLA60XC",
    "DLABackbone",
    "DLABoundaryDetector",
    "DLAClassifier",
    "DLASegmenter",
    "PHONE_SEGMENTERS",
    "PRESETS",
    "VARIANTS",
    "__version__",
    "complexity",
    "flatten",
    "list_variants",
    "load_pretrained",
    "load_torch_weights",
    "save_torch_weights",
]
