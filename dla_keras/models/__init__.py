"""The networks: a backbone, and classifier, segmenter, boundary detector on it.

All of them are imported here: whoever imports one can load a file of any.
"""

# Before any module of this room, as in `layers/`.
import keras  # noqa: F401

from dla_keras.models.backbone import DLABackbone
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.segmenter import DLASegmenter

__all__ = [
    "DLABackbone",
    "DLABoundaryDetector",
    "DLAClassifier",
    "DLASegmenter",
]
