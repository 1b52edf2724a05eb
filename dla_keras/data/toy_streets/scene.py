"""Draws whole street scenes with exact labels: the pictures of `toy_streets`.

`draw_street(rng)` takes a random plan, paints it from back to front and adds
the faults of a camera.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from PIL import ImageFilter

from dla_keras.data.toy_streets.canvas import CLASS_IDS
from dla_keras.data.toy_streets.canvas import SUPERSAMPLE
from dla_keras.data.toy_streets.canvas import Brush
from dla_keras.data.toy_streets.canvas import Canvas
from dla_keras.data.toy_streets.canvas import Light
from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import jitter
from dla_keras.data.toy_streets.canvas import mix
from dla_keras.data.toy_streets.canvas import pick
from dla_keras.data.toy_streets.plan import CROSSING
from dla_keras.data.toy_streets.plan import FAR
from dla_keras.data.toy_streets.plan import RAILS
from dla_keras.data.toy_streets.plan import plan_camera
from dla_keras.data.toy_streets.plan import plan_items
from dla_keras.data.toy_streets.plan import plan_lots
from dla_keras.data.toy_streets.plan import plan_street
from dla_keras.data.toy_streets.traffic import PAINTS

# Metres by which things reach beyond their foot. Crowns reach farther, but with
# wider spans things that never meet would hide each other in circles.
OVERHANG = 0.3


@dataclass(frozen=True, eq=False)
class Stand:
    """Something that stands on the ground.

    Args:
        foot: (x, z) corners of the ground it takes, metres.
        draw: Function `draw(brush, rng, *size)`.
        brush: Brush at the thing's origin.
        size: Further arguments of `draw`.
    """

    foot: tuple[tuple[float, float], ...]
    draw: Callable
    brush: Brush
    size: tuple[float, ...] = ()

    @cached_property
    def depth(self) -> tuple[float, float]:
        """Return the nearest and farthest metre."""
        depths = [z for _, z in self.foot]
        return min(depths), max(depths)

    @cached_property
    def aside(self) -> float:
        """Return the metres from the line of sight to the nearest edge."""
        offset = self.brush.canvas.camera.offset
        across = [x - offset for x, _ in self.foot]
        return max(0.0, min(across), -max(across))

    @cached_property
    def span(self) -> tuple[float, float]:
        """Return the leftmost and rightmost canvas pixel, with overhang."""
        project = self.brush.canvas.camera.project
        across = [
            project(x + reach, 0.0, z)[0]
            for x, z in self.foot
            for reach in (-OVERHANG, OVERHANG)
        ]
        return min(across), max(across)

    def is_behind(self, other: "Stand") -> bool:
        """Return whether `other` may hide a part of this."""
        if self.span[1] < other.span[0] or other.span[1] < self.span[0]:
            return False
        if self.depth[0] >= other.depth[1]:
            return True
        if other.depth[0] >= self.depth[1]:
            return False
        # Side by side: a tram hides people on its far side, though most of the
        # tram may be farther away than they are.
        return self.aside > other.aside


def back_to_front(stands: list[Stand]) -> list[Stand]:
    """Order stands so that each is painted after all that it may hide."""
    rest = sorted(stands, key=lambda stand: -stand.depth[1])
    order = []
    while rest:
        free = (
            stand
            for stand in rest
            if not any(o.is_behind(stand) for o in rest if o is not stand)
        )
        # Boxes that hide each other in a circle: the farthest goes first.
        chosen = next(free, rest[0])
        rest.remove(chosen)
        order.append(chosen)
    return order


# (zenith, horizon, ambient light, share of lit windows, warmth) by weather
WEATHERS = (
    ((70, 124, 190), (196, 214, 226), 0.6, 0.0, 0.0),
    ((96, 146, 204), (222, 226, 222), 0.65, 0.0, 0.05),
    ((150, 158, 166), (196, 200, 202), 0.9, 0.1, 0.0),
    ((190, 194, 198), (214, 216, 216), 0.92, 0.05, 0.0),
    ((112, 118, 128), (158, 162, 166), 0.85, 0.2, -0.05),
    ((74, 82, 128), (230, 170, 120), 0.6, 0.35, 0.15),
)
# Far shifts of one noise field stand for three independent fields.
SHIFTS = (7, 71, 131)
SKY_GRID = (24, 36)  # rows and columns of the sky before it is enlarged
# Contrast of the grain laid over each class: how rough its surface looks.
GRAIN = {
    "vegetation": 0.1,
    "terrain": 0.09,
    "road": 0.035,
    "sidewalk": 0.04,
    "building": 0.025,
    "wall": 0.04,
}


def draw_street(rng, height: int = 192, width: int = 384):
    """Draw one street scene; the same generator state gives the same pixels.

    Args:
        rng: Random generator of NumPy, the only source of randomness.
        height: Height of the image, pixels. Defaults to `192`.
        width: Width of the image, pixels. Defaults to `384`.

    Returns:
        The RGB image `(H, W, 3)` and the label `(H, W)`, both uint8. Labels
        are Cityscapes' train ids, 255 where none applies.

    Example:

    >>> import numpy as np
    >>> image, label = draw_street(np.random.default_rng([1, 0]))
    >>> image.shape, label.shape
    ((192, 384, 3), (192, 384))
    """
    return draw_scene(rng, height, width)[:2]


def draw_scene(rng, height: int = 192, width: int = 384):
    """Draw one street scene with the numbers of its things.

    Args:
        rng: Random generator of NumPy, the only source of randomness.
        height: Height of the image, pixels. Defaults to `192`.
        width: Width of the image, pixels. Defaults to `384`.

    Returns:
        Image and label of `draw_street`, and an int32 map `(H, W)`: the number
        of what stands there, 0 for nothing. A bicycle has that of its rider.
    """
    street = plan_street(rng)
    camera = plan_camera(rng, street, SUPERSAMPLE * height, SUPERSAMPLE * width)
    weather = pick(rng, WEATHERS)
    canvas = Canvas(camera, _light(rng, weather))
    _paint_sky(canvas, rng, weather)
    paint_ground(canvas, rng, street)
    _paint_skyline(canvas, rng)
    _paint_things(canvas, rng, street)
    if rng.random() < 0.3:
        _paint_bonnet(canvas, rng)
    image, label, numbers = canvas.develop()
    return _expose(rng, image, label, weather), label, numbers


def _light(rng, weather):
    _, horizon, ambient, lit, _ = weather
    turn = between(rng, 0, 2 * math.pi)
    rise = between(rng, 0.35, 1.2)
    sun = (
        math.cos(rise) * math.sin(turn),
        math.sin(rise),
        math.cos(rise) * math.cos(turn),
    )
    reach = between(rng, 60, 120) if rng.random() < 0.25 else 400.0
    return Light(sun, ambient, horizon, reach, lit)


def _paint_sky(canvas, rng, weather):
    """Paint a gradient with clouds: smooth noise cut off at a random level."""
    width, height = canvas.camera.size
    zenith, horizon = (
        np.array(jitter(rng, color, 10), np.float32) for color in weather[:2]
    )
    down = np.linspace(0, 1, SKY_GRID[0], dtype=np.float32)[:, None, None]
    sky = np.broadcast_to(zenith + down * (horizon - zenith), (*SKY_GRID, 3))
    if rng.random() < 0.6:
        noise = rng.random((5, 7), np.float32) + rng.random((5, 7), np.float32)
        noise = Image.fromarray(noise).resize(
            SKY_GRID[::-1], Image.Resampling.BICUBIC
        )
        cover = np.asarray(noise)[..., None] - between(rng, 0.6, 1.3)
        tone = between(rng, 150, 250)
        sky = sky + np.clip(2 * cover, 0, 0.9) * (tone - sky)
    low = max(2, int(canvas.camera.center[1] * 1.15))
    sky = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    sky = sky.resize((width, low), Image.Resampling.BILINEAR)
    sky.putalpha(CLASS_IDS["sky"])
    canvas.polygon(
        [(0, 0), (0, height), (width, height), (width, 0)],
        tuple(int(c) for c in horizon),
        "sky",
    )
    canvas.paper.paste(sky)


def _paint_skyline(canvas, rng):
    """Paint far roofs and trees, so that no horizon is empty."""
    x = -1.3 * FAR
    trees = rng.random() < 0.5
    while x < 1.3 * FAR:
        wide, tall = between(rng, 8, 26), between(rng, 4, 15)
        far = Brush(canvas, x, 0.98 * FAR)
        if trees if rng.random() < 0.75 else not trees:
            color = jitter(rng, pick(rng, GRASS))
            middle, radii = (wide / 2, 0, 0), (wide * 0.7, tall * 0.8)
            far.disc(middle, radii, mix(color, (60, 70, 60), 0.3), "vegetation")
        else:
            color = jitter(rng, pick(rng, SLABS), 25)
            box = ((0, -1, 0), (0, tall, 0), (wide, tall, 0), (wide, -1, 0))
            far.face(box, color, "building")
        x += wide


def _paint_things(canvas, rng, street):
    """Paint shadows, then lots and items from the farthest to the nearest."""
    stands = _stand_lots(canvas, rng, street) + _stand_items(
        canvas, rng, street
    )
    canvas.cast_shadows(between(rng, 1.0, 3.0))
    for number, stand in enumerate(back_to_front(stands), start=1):
        canvas.number = number
        stand.draw(stand.brush, rng, *stand.size)
    canvas.number = 0


def _stand_lots(canvas, rng, street):
    """Return the lots in sight, and mark their shadows."""
    stands = []
    for lot in plan_lots(rng, street):
        brush = Brush(canvas, lot.x, lot.z, lot.heading, lot.mirror)
        corners = ((0, 0), (0, lot.length), (6, lot.length), (6, 0))
        turned = [brush.turn(*corner) for corner in corners]
        foot = tuple((lot.x + x, lot.z + z) for x, z in turned)
        if canvas.camera.sees(foot, margin=60):
            canvas.shadow(foot, 6.0, 1.0 - canvas.light.ambient)
            stands.append(Stand(foot, lot.draw, brush, (lot.length,)))
    return stands


def _stand_items(canvas, rng, street):
    """Return the items, and mark their shadows."""
    stands = []
    for item, x, z, heading in plan_items(rng, street, canvas.camera):
        wide, long = item.foot
        foot = (
            (x - wide, z - long),
            (x - wide, z + long),
            (x + wide, z + long),
            (x + wide, z - long),
        )
        canvas.shadow(foot, item.height, 1.0 - canvas.light.ambient)
        canvas.shadow(foot, 0.0, 0.45)  # under it, whatever the sun
        brush = Brush(canvas, x, z, heading, 1 if x > 0 else -1)
        stands.append(Stand(foot, item.draw, brush))
    return stands


def _paint_bonnet(canvas, rng):
    """Paint the own car's hood: not a part of the street, so void."""
    width, height = canvas.camera.size
    middle = width * between(rng, 0.35, 0.65)
    wide, tall = width * between(rng, 0.4, 0.75), between(rng, 0.05, 0.16)
    color = jitter(rng, pick(rng, PAINTS), 20)
    for share, sheen in ((1.0, 0.0), (0.8, 0.12), (0.5, 0.2)):
        points = [
            (
                middle + wide * math.cos(t),
                height * (1 - share * tall * math.sin(t)),
            )
            for t in (math.pi * i / 24 for i in range(25))
        ]
        canvas.polygon(points, mix(color, canvas.light.haze, sheen), "void")


def _expose(rng, image, label, weather):
    """Add the faults of surface, lens and sensor: grain, blur, tint, noise."""
    height, width = label.shape
    picture = image.astype(np.float32)
    grain = np.zeros(256, np.float32)
    wear = between(rng, 0.4, 1.4)
    for name, contrast in GRAIN.items():
        grain[CLASS_IDS[name]] = contrast * wear
    noise = rng.standard_normal((height, width), np.float32)
    coarse = rng.standard_normal((height // 6, width // 6), np.float32)
    coarse = np.asarray(Image.fromarray(coarse).resize((width, height)))
    rough = np.take(grain, label) * (0.7 * noise + 0.6 * coarse)
    picture *= (1 + rough)[..., None]
    if rng.random() < 0.5:
        soft = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        blur = ImageFilter.BoxBlur(between(rng, 0.2, 0.6))
        picture = np.asarray(soft.filter(blur)).astype(np.float32)
    warm = weather[4] + between(rng, -0.08, 0.08)
    tints = 1 + warm, 1 + between(rng, -0.03, 0.03), 1 - warm
    gain, contrast = between(rng, 0.75, 1.3), between(rng, 0.75, 1.2)
    lift = 110 * (between(rng, 0.9, 1.15) - contrast)
    noise *= between(rng, 1.0, 7.0)
    for channel, (tint, shift) in enumerate(zip(tints, SHIFTS, strict=True)):
        plane = picture[..., channel]
        plane *= gain * tint * contrast
        plane += np.roll(noise, shift, (0, 1)) + lift
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


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


def _strip(canvas, x0, x1, z0, z1, color, label):
    """Paint a strip of ground in pieces short enough to bend with it."""
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
        canvas.polygon(corners, canvas.light.seen(color, near), label)


def paint_ground(canvas, rng, street):
    """Paint open land, each side's strips, the carriageway, its markings."""
    tar, slab, grass = (
        jitter(rng, pick(rng, row), 14) for row in (TARS, SLABS, GRASS)
    )
    wide = 3 * FAR
    paved = rng.random() < 0.3
    label, color = ("sidewalk", slab) if paved else ("terrain", grass)
    _strip(canvas, -wide, wide, 1.0, FAR, color, label)
    end = street.end
    for side in street.sides:
        edge = side.kerb
        for width, label, color in (
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
                _strip(canvas, x0, x1, 1.0, end, color, label)
            edge += width
        _slab_joints(canvas, rng, side, end, mix(slab, (50, 50, 50), 0.25))
    half = street.lane + street.parking
    if end < FAR:
        _strip(canvas, -wide, wide, end, end + CROSSING + 3, slab, "sidewalk")
        _strip(canvas, -wide, wide, end + 0.3, end + CROSSING, tar, "road")
    _strip(canvas, -half, half, 1.0, min(end + 1, FAR), tar, "road")
    _markings(canvas, rng, street, tar)


def _slab_joints(canvas, rng, side, end, color):
    """Paint joints between paving slabs, on some pavements."""
    if rng.random() < 0.5:
        return
    inner = side.sign * (side.kerb + side.verge + 0.2)
    outer = side.sign * (side.kerb + side.verge + side.path)
    step = between(rng, 0.6, 1.4)
    for i in range(int(min(end, 14.0) / step) - 2):
        z = 2.0 + i * step
        _strip(canvas, inner, outer, z, z + 0.05, color, "sidewalk")
    middle = (inner + outer) / 2
    _strip(canvas, middle, middle + 0.05, 1.0, end, color, "sidewalk")


def _markings(canvas, rng, street, tar):
    """Paint patches, rails and lines; all of them are road."""

    def road(x0, x1, z0, z1, color):
        _strip(canvas, x0, x1, z0, z1, color, "road")

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
    """Paint lane lines, edge lines and a zebra crossing."""
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
