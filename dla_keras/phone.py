"""Segmenters for phones: rows of arguments for `DLASegmenter`.

Each costs about half of the one before; the README shows what they score.
"""

# DLA-34-Up, the paper's, takes 23.5 GMACs for a picture of 512x512.
PHONE_SEGMENTERS = {
    "tiny": {"variant": "dla46_c", "node": "separable"},  # 3.7 GMACs
    "small": {"variant": "dla46_c", "node": "conv"},  # 7.6
    "base": {"variant": "dla34", "node": "separable"},  # 17.2
}
