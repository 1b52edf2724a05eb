"""The networks: a backbone, and four models on it, for four tasks.

All of them are imported here: whoever imports one can load a file of any.
"""

# Before any module of this room, as in `layers/`.
import keras  # noqa: F401

from dla_keras.models.backbone import DLABackbone
from dla_keras.models.boundary_detector import DLABoundaryDetector
from dla_keras.models.classifier import DLAClassifier
from dla_keras.models.detector import DLADetector
from dla_keras.models.segmenter import DLASegmenter

__all__ = [
    "DLABackbone",
    "DLABoundaryDetector",
    "DLAClassifier",
    "DLADetector",
    "DLASegmenter",
]
