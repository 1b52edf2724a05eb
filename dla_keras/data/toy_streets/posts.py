"""What stands on the kerb: lamps, signals, signs, bollards, bins.

Each function draws one thing with `draw(brush, rng)`, in metres, at the origin
of its brush; `items.py` says which, where and how many.
"""

import math

import numpy as np

from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import jitter
from dla_keras.data.toy_streets.canvas import mix
from dla_keras.data.toy_streets.canvas import pick
from dla_keras.data.toy_streets.people import CLOTHES
from dla_keras.data.toy_streets.people import DARK
from dla_keras.data.toy_streets.people import GREY

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


METAL = ((70, 74, 76), (120, 122, 122), (158, 160, 160), (48, 64, 56))
BLUE, RED, WHITE = (30, 78, 160), (190, 34, 38), (230, 230, 228)
YELLOW = (226, 184, 40)
# (corners, turn in degrees) of sign plates; 12 corners pass for a circle
PLATES = ((12, 0), (12, 0), (3, 90), (3, -90), (4, 45), (4, 0), (8, 22.5))
# (rim, inside); grey is the back of a plate
PLATE_COLOURS = (
    (RED, WHITE),
    (RED, WHITE),
    (WHITE, BLUE),
    (BLUE, BLUE),
    (WHITE, YELLOW),
    (RED, RED),
    (GREY, GREY),
)


def _post(brush, rng, height, width=0.13):
    metal = jitter(rng, pick(rng, METAL))
    ends = (0, -0.02, 0), (0, height, 0)
    brush.limb(*ends, (width * 1.2, width), metal, "pole")
    return metal


def lamp_post(brush, rng):
    """A street lamp, on a bow over the road or upright."""
    height = between(rng, 4.0, 8.0)
    metal = _post(brush, rng, height, between(rng, 0.14, 0.24))
    if rng.random() < 0.6:
        reach = between(rng, 0.8, 2.0) * -1
        bow = (0, height, 0), (reach, height + 0.35, 0)
        brush.limb(*bow, (0.11, 0.1), metal, "pole")
        lamp = (reach, height + 0.32, 0), (reach - 0.6, height + 0.36, 0)
        brush.limb(*lamp, (0.18, 0.14), mix(metal, WHITE, 0.4), "pole")
    else:
        lamp = (0, height, 0), (0, height + 0.5, 0)
        brush.limb(*lamp, (0.22, 0.42), mix(metal, WHITE, 0.5), "pole")


def bollard(brush, rng):
    """A knee-high post at the kerb."""
    height = between(rng, 0.8, 1.1)
    _post(brush, rng, height, between(rng, 0.12, 0.2))


def traffic_light(brush, rng):
    """A signal on a post, sometimes a second one on an arm over the road."""
    height = between(rng, 2.5, 3.3)
    arm = rng.random() < 0.4
    metal = _post(brush, rng, height + (2.3 if arm else 0.9), 0.16)
    _signal(brush, rng, 0.0, height)
    if arm:
        reach, up = between(rng, -4.5, -2.5), height + 2.2
        beam = (0, up, 0), (reach, up + 0.1, 0)
        brush.limb(*beam, (0.14, 0.1), metal, "pole")
        _signal(brush, rng, reach, up - 0.75)


def _signal(brush, rng, right, up):
    """Three lamps in a box; seen from behind, only the box."""
    half, tall = 0.21, 1.08
    shell = pick(rng, (DARK, (50, 56, 50), (66, 66, 62), (150, 130, 40)))
    box = [
        (right + a * half, up + b * tall, 0)
        for a, b in ((-1, 0), (-1, 1), (1, 1), (1, 0))
    ]
    brush.face(box, shell, "traffic light")
    if rng.random() < 0.25:
        return
    colours = ((236, 44, 36), (244, 176, 40), (60, 214, 130))
    on = int(rng.random() * 3)
    for i, colour in enumerate(colours):
        middle = (right, up + 0.88 - 0.34 * i, 0)
        colour = colour if i == on else mix(colour, DARK, 0.8)
        brush.disc(middle, (0.14, 0.14), colour, "traffic light", corners=8)


def traffic_sign(brush, rng):
    """One or two signs on a post, or a board with directions."""
    if rng.random() < 0.25:
        return _board(brush, rng)
    size, up = between(rng, 0.34, 0.5), between(rng, 2.0, 2.7)
    double = rng.random() < 0.35
    _post(brush, rng, up + size + (0.5 if double else 0), 0.1)
    _plate(brush, rng, up, size)
    if double:
        _plate(brush, rng, up + 2.1 * size, size)


def _plate(brush, rng, up, size):
    """A plate of a random shape with a rim and a mark."""
    corners, turn = pick(rng, PLATES)
    rim, inside = pick(rng, PLATE_COLOURS)
    for share, colour in ((1.0, rim), (0.74, jitter(rng, inside))):
        turns = (math.radians(turn + 360 * i / corners) for i in range(corners))
        points = [
            (share * size * math.cos(t), up + share * size * math.sin(t), 0)
            for t in turns
        ]
        brush.face(points, colour, "traffic sign")
    if inside != GREY:
        mark = (-0.4 * size, up, 0), (0.4 * size, up, 0)
        ink = WHITE if inside in (RED, BLUE) else DARK
        brush.limb(*mark, (size * 0.3, size * 0.2), ink, "traffic sign")


def _board(brush, rng):
    """A board with lines of text on two posts."""
    half, tall, up = between(rng, 0.7, 1.5), between(rng, 0.7, 1.3), 2.0
    for right in (-half * 0.7, half * 0.7):
        _post(brush.moved(right), rng, up + tall * 0.5, 0.1)
    back = jitter(rng, pick(rng, (BLUE, (40, 110, 70), WHITE, YELLOW, GREY)))
    ink = DARK if sum(back) > 400 else WHITE
    ends = (-half, up, 0), (-half, up + tall, 0), (half, up + tall, 0)
    brush.face((*ends, (half, up, 0)), back, "traffic sign")
    for i in range(3):
        line = up + tall * (0.22 + 0.28 * i)
        end = between(rng, -0.2, 0.85) * half
        text = (-0.85 * half, line, 0), (end, line, 0)
        brush.limb(*text, (tall * 0.1, tall * 0.1), ink, "traffic sign")


def bin_box(brush, rng):
    """A litter bin or switch box: none of the 19 classes, so void."""
    half, tall = between(rng, 0.25, 0.5), between(rng, 0.8, 1.3)
    colour = jitter(rng, pick(rng, CLOTHES))
    corners = ((-half, 0, 0), (-half, tall, 0), (half, tall, 0), (half, 0, 0))
    brush.face(corners, colour, "void")
    lid = (-half, tall, 0), (half, tall, 0)
    brush.limb(*lid, (0.12, 0.12), mix(colour, DARK, 0.4), "void")
