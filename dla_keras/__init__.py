"""Deep Layer Aggregation in Keras: the public names."""

from dla_keras.quiet import import_backend

import_backend()

from dla_keras.models.backbone import DLABackbone
from dla_keras.models.classifier import DLA
from dla_keras.models.classifier import DLA34
from dla_keras.models.classifier import DLA46C
from dla_keras.models.classifier import DLA46XC
from dla_keras.models.classifier import DLA60
from dla_keras.models.classifier import DLA60X
from dla_keras.models.classifier import DLA60XC
from dla_keras.models.classifier import DLA102
from dla_keras.models.classifier import DLA102X
from dla_keras.models.classifier import DLA102X2
from dla_keras.models.classifier import DLA169
from dla_keras.models.segmenter import DLASegmenter
from dla_keras.variants import VARIANTS
from dla_keras.version import __version__

__all__ = [
    "DLA",
    "DLA34",
    "DLA46C",
    "DLA46XC",
    "DLA60",
    "DLA60X",
    "DLA60XC",
    "DLA102",
    "DLA102X",
    "DLA102X2",
    "DLA169",
    "DLABackbone",
    "DLASegmenter",
    "VARIANTS",
    "__version__",
]
