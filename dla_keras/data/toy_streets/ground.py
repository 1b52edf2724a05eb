"""The floor of a scene: land, pavements, carriageway and its markings.

`street_scenes.py` paints it over the sky, before anything that stands on it.
"""

import math

from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import jitter
from dla_keras.data.toy_streets.canvas import mix
from dla_keras.data.toy_streets.canvas import pick
from dla_keras.data.toy_streets.plan import CROSSING
from dla_keras.data.toy_streets.plan import FAR
from dla_keras.data.toy_streets.plan import RAILS

TARS = (
    (96, 96, 98),
    (74, 75, 78),
    (122, 121, 118),
    (140, 136, 130),
    (108, 98, 92),
)
SLABS = (
    (150, 146, 140),
    (128, 126, 124),
    (168, 152, 136),
    (104, 102, 102),
    (150, 118, 104),
)
GRASS = (
    (96, 116, 60),
    (122, 124, 70),
    (142, 126, 86),
    (84, 96, 58),
    (110, 92, 70),
)
PAINT = (226, 226, 222)


def _strip(canvas, x0, x1, z0, z1, colour, label):
    """Paints a strip of ground in pieces short enough to bend with it."""
    pieces = max(1, math.ceil(3 * math.log(z1 / z0))) if z1 > 1.5 * z0 else 1
    depths = [z0 * (z1 / z0) ** (i / pieces) for i in range(pieces + 1)]
    project = canvas.camera.project
    for near, far in zip(depths, depths[1:], strict=False):
        corners = [
            project(x0, 0, near),
            project(x0, 0, far),
            project(x1, 0, far),
            project(x1, 0, near),
        ]
        canvas.polygon(corners, canvas.light.seen(colour, near), label)


def paint_ground(canvas, rng, street):
    """Open land, then each side's strips, the carriageway, its markings."""
    tar, slab, grass = (
        jitter(rng, pick(rng, row), 14) for row in (TARS, SLABS, GRASS)
    )
    wide = 3 * FAR
    paved = rng.random() < 0.3
    label, colour = ("sidewalk", slab) if paved else ("terrain", grass)
    _strip(canvas, -wide, wide, 1.0, FAR, colour, label)
    end = street.end
    for side in street.sides:
        edge = side.kerb
        for width, label, colour in (
            (0.18, "sidewalk", mix(slab, PAINT, 0.35)),
            (side.verge, "terrain", grass),
            (side.path, "sidewalk", slab),
            (
                side.garden + 0.4,
                "terrain" if side.garden else "sidewalk",
                grass if side.garden else slab,
            ),
        ):
            x0, x1 = side.sign * edge, side.sign * (edge + width)
            if width:
                _strip(canvas, x0, x1, 1.0, end, colour, label)
            edge += width
        _slab_joints(canvas, rng, side, end, mix(slab, (50, 50, 50), 0.25))
    half = street.lane + street.parking
    if end < FAR:
        _strip(canvas, -wide, wide, end, end + CROSSING + 3, slab, "sidewalk")
        _strip(canvas, -wide, wide, end + 0.3, end + CROSSING, tar, "road")
    _strip(canvas, -half, half, 1.0, min(end + 1, FAR), tar, "road")
    _markings(canvas, rng, street, tar)


def _slab_joints(canvas, rng, side, end, colour):
    """Joints between paving slabs, on some pavements."""
    if rng.random() < 0.5:
        return
    inner = side.sign * (side.kerb + side.verge + 0.2)
    outer = side.sign * (side.kerb + side.verge + side.path)
    step = between(rng, 0.6, 1.4)
    for i in range(int(min(end, 14.0) / step) - 2):
        z = 2.0 + i * step
        _strip(canvas, inner, outer, z, z + 0.05, colour, "sidewalk")
    middle = (inner + outer) / 2
    _strip(canvas, middle, middle + 0.05, 1.0, end, colour, "sidewalk")


def _markings(canvas, rng, street, tar):
    """Patches and rails, then painted lines: colour only, all are road."""

    def road(x0, x1, z0, z1, colour):
        _strip(canvas, x0, x1, z0, z1, colour, "road")

    end, lane = street.end, street.lane
    for _ in range(int(rng.random() * 4)):
        x, z = between(rng, -lane, lane), between(rng, 4, 20)
        patch = mix(tar, pick(rng, ((40, 40, 42), (160, 158, 154))), 0.25)
        road(x, min(lane, x + between(rng, 0.6, 2)), z, z * 1.3, patch)
    if street.rails:
        for middle in (-RAILS * lane, RAILS * lane):
            for x in (middle - 0.72, middle + 0.72):
                road(x, x + 0.09, 1.0, end, mix(tar, (50, 46, 44), 0.7))
    _lines(rng, street, road, mix(PAINT, tar, between(rng, 0.0, 0.6)))


def _lines(rng, street, road, paint):
    """Lane lines, edge lines and a zebra crossing."""
    end, lane = street.end, street.lane
    if rng.random() < 0.75:
        dash, gap = between(rng, 1.5, 4), between(rng, 1.5, 5)
        z = between(rng, 1.0, 3.0)
        while z + dash < min(end, 80):
            road(-0.07, 0.07, z, z + dash, paint)
            z += dash + gap
    if rng.random() < 0.5:
        for x in (-lane, lane - 0.12):
            road(x, x + 0.12, 1.0, end - 0.5, paint)
    if rng.random() < 0.45:
        z = between(rng, 5, 18)
        if z + 3 < end:
            stripe = between(rng, 0.4, 0.6)
            for i in range(int(2 * lane / (2 * stripe))):
                x = -lane + 2 * i * stripe + 0.1
                road(x, x + stripe, z, z + 3, paint)
