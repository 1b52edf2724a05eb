"""Trees, bushes and foliage of a street, drawn as clumps of leaves.

Each function draws one plant with `draw(brush, rng)`, as `people.py`
does for everything else; `items.py` says which, where and how many.
"""

import math

import numpy as np

from dla_keras.data.streets.camera import between
from dla_keras.data.streets.camera import jitter
from dla_keras.data.streets.camera import pick

LEAVES = (
    (62, 92, 42),
    (46, 74, 40),
    (92, 112, 50),
    (112, 122, 82),
    (150, 116, 44),
    (124, 84, 54),
)


def leaves(brush, rng, middle, radii, colour):
    """A clump of foliage round `middle`, lit from above."""
    count = int(min(80, 10 + 0.45 * radii[0] * brush.scale))
    turn, out, size, tone = rng.random((4, count))
    turn, out = 2 * np.pi * turn, 0.86 * np.sqrt(out)
    side, rise = out * np.cos(turn), out * np.sin(turn)
    size = (1.3 + 1.3 * size) * (1.25 - 0.5 * out) / math.sqrt(count)
    light = 0.82 + 0.22 * rise + 0.4 * (tone - 0.5)
    spots = np.stack([side, rise, size, light], axis=1)
    order = rise.argsort()  # top leaves lie over the dark lower ones
    brush.clumps(middle, radii, spots[order], colour, "vegetation")


def tree(brush, rng):
    """A tree: round, tall as a poplar, or pointed as a fir."""
    colour = jitter(rng, pick(rng, LEAVES), 16)
    bark = jitter(rng, pick(rng, ((74, 62, 50), (98, 90, 80), (56, 50, 44))))
    trunk, wide = between(rng, 1.8, 3.2), between(rng, 1.4, 3.2)
    tall = wide * between(rng, 0.7, 1.1)
    shape = rng.random()
    if shape < 0.18:
        wide, tall, trunk = wide * 0.5, tall * 1.8, trunk * 0.6
    thick = between(rng, 0.22, 0.5)
    ends = (0, -0.05, 0), (0, trunk + tall, 0)
    brush.limb(*ends, (thick, thick * 0.5), bark, "vegetation")
    if shape > 0.85:
        for share in (0.9, 0.6, 0.35):
            middle = (0, 1.0 + (1 - share) * 7, 0)
            leaves(brush, rng, middle, (wide * share * 0.7, 1.5), colour)
    else:
        leaves(brush, rng, (0, trunk + tall * 0.9, 0), (wide, tall), colour)


def bush(brush, rng):
    """A shrub."""
    colour = jitter(rng, pick(rng, LEAVES), 16)
    wide, tall = between(rng, 0.5, 1.4), between(rng, 0.4, 1.0)
    leaves(brush, rng, (0, tall * 0.85, 0), (wide, tall), colour)
