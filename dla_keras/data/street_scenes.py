"""Draws whole street scenes with exact labels: the pictures of `toy_streets`.

`draw_street(rng)` plans a street (`street_plan.py`), paints it back to front
and spoils it as a camera would. `toy_streets.py` hands the result to TFDS.
"""

import math

import numpy as np
from PIL import Image
from PIL import ImageFilter

from dla_keras.data.street_canvas import CLASS_IDS
from dla_keras.data.street_canvas import SUPERSAMPLE
from dla_keras.data.street_canvas import Brush
from dla_keras.data.street_canvas import Canvas
from dla_keras.data.street_canvas import Light
from dla_keras.data.street_canvas import between
from dla_keras.data.street_canvas import jitter
from dla_keras.data.street_canvas import mix
from dla_keras.data.street_canvas import pick
from dla_keras.data.street_plan import CROSSING
from dla_keras.data.street_plan import FAR
from dla_keras.data.street_plan import RAILS
from dla_keras.data.street_plan import plan_camera
from dla_keras.data.street_plan import plan_items
from dla_keras.data.street_plan import plan_lots
from dla_keras.data.street_plan import plan_street
from dla_keras.data.street_vehicles import PAINTS

# (zenith, horizon, ambient light, share of lit windows, warmth) by weather
WEATHERS = (
    ((70, 124, 190), (196, 214, 226), 0.6, 0.0, 0.0),
    ((96, 146, 204), (222, 226, 222), 0.65, 0.0, 0.05),
    ((150, 158, 166), (196, 200, 202), 0.9, 0.1, 0.0),
    ((190, 194, 198), (214, 216, 216), 0.92, 0.05, 0.0),
    ((112, 118, 128), (158, 162, 166), 0.85, 0.2, -0.05),
    ((74, 82, 128), (230, 170, 120), 0.6, 0.35, 0.15),
)
TARS = ((96, 96, 98), (74, 75, 78), (122, 121, 118), (140, 136, 130),
        (108, 98, 92))  # fmt: skip
SLABS = ((150, 146, 140), (128, 126, 124), (168, 152, 136), (104, 102, 102),
         (150, 118, 104))  # fmt: skip
GRASS = ((96, 116, 60), (122, 124, 70), (142, 126, 86), (84, 96, 58),
         (110, 92, 70))  # fmt: skip
PAINT = (226, 226, 222)
# How rough a surface looks: contrast of the grain laid over each class.
GRAIN = {"vegetation": 0.1, "terrain": 0.09, "road": 0.035, "sidewalk": 0.04,
         "building": 0.025, "wall": 0.04}  # fmt: skip


def draw_street(rng, height: int = 192, width: int = 384):
    """Draws one street scene; the same generator state, the same pixels.

    Args:
        rng: a `numpy.random.Generator`; all chance comes from it.
        height: of the picture, pixels. Defaults to `192`.
        width: of the picture, pixels. Defaults to `384`.

    Returns:
        The RGB image `(H, W, 3)` and the label `(H, W)`, both uint8. Labels
        are Cityscapes' train ids, 255 where none applies.

    Example:

    >>> import numpy as np
    >>> image, label = draw_street(np.random.default_rng([1, 0]))
    >>> image.shape, label.shape
    ((192, 384, 3), (192, 384))
    """
    street = plan_street(rng)
    camera = plan_camera(
        rng, street, SUPERSAMPLE * height, SUPERSAMPLE * width
    )
    weather = pick(rng, WEATHERS)
    canvas = Canvas(camera, _light(rng, weather))
    _paint_sky(canvas, rng, weather)
    _paint_ground(canvas, rng, street)
    _paint_skyline(canvas, rng)
    _paint_things(canvas, rng, street)
    if rng.random() < 0.3:
        _paint_bonnet(canvas, rng)
    image, label = canvas.develop()
    return _expose(rng, image, label, weather), label


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
    """A gradient with clouds: smooth noise cut off at a random level."""
    width, height = canvas.camera.size
    zenith, horizon = (jitter(rng, colour, 10) for colour in weather[:2])
    label = CLASS_IDS["sky"]
    ends = np.array([(*zenith, label), (*horizon, label)], np.uint8)
    low = max(2, int(canvas.camera.centre[1] * 1.15))
    gradient = Image.fromarray(ends[:, None]).resize(
        (width, low), Image.Resampling.BILINEAR
    )
    canvas.paper.paste((*horizon, label), (0, 0, width, height))
    canvas.paper.paste(gradient)
    if rng.random() < 0.6:
        noise = rng.random((5, 7)) + 0.5 * rng.random((5, 7))
        cover = np.clip((noise - between(rng, 0.3, 1.0)) * 400, 0, 230)
        clouds = Image.fromarray(cover.astype(np.uint8)).resize(
            (width, low), Image.Resampling.BICUBIC
        )
        tone = int(between(rng, 150, 250))
        canvas.paper.paste((tone, tone, tone, label), (0, 0), clouds)


def _paint_skyline(canvas, rng):
    """Far roofs and trees, so that no street ends in an empty horizon."""
    x = -1.3 * FAR
    trees = rng.random() < 0.5
    while x < 1.3 * FAR:
        wide, tall = between(rng, 8, 26), between(rng, 4, 15)
        far = Brush(canvas, x, 0.98 * FAR)
        if trees if rng.random() < 0.75 else not trees:
            colour = jitter(rng, pick(rng, GRASS))
            middle, radii = (wide / 2, 0, 0), (wide * 0.7, tall * 0.8)
            far.disc(middle, radii, mix(colour, (60, 70, 60), 0.3),
                     "vegetation")  # fmt: skip
        else:
            colour = jitter(rng, pick(rng, SLABS), 25)
            box = ((0, -1, 0), (0, tall, 0), (wide, tall, 0), (wide, -1, 0))
            far.face(box, colour, "building")
        x += wide


def _paint_things(canvas, rng, street):
    """Shadows first, then lots and items from the farthest to the nearest."""
    stops = []
    for lot in plan_lots(rng, street):
        brush = Brush(canvas, lot.x, lot.z, lot.heading, lot.mirror)
        foot = [brush.turn(r, f) for r, f in
                ((0, 0), (0, lot.length), (6, lot.length), (6, 0))]
        foot = [(lot.x + x, lot.z + z) for x, z in foot]  # fmt: skip
        canvas.shadow(foot, 6.0, 1.0 - canvas.light.ambient)
        # What stands before a lot's far end stands before the lot.
        reach = lot.length if lot.heading == 0 else 0.0
        stops.append((lot.z + reach, lot.draw, brush, (lot.length,)))
    for item, x, z, heading in plan_items(rng, street, canvas.camera):
        brush = Brush(canvas, x, z, heading, 1 if x > 0 else -1)
        wide, long = item.foot
        foot = [(x - wide, z - long), (x - wide, z + long),
                (x + wide, z + long), (x + wide, z - long)]  # fmt: skip
        canvas.shadow(foot, item.height, 1.0 - canvas.light.ambient)
        canvas.shadow(foot, 0.0, 0.45)  # under it, whatever the sun
        stops.append((z, item.draw, brush, ()))
    canvas.cast_shadows(between(rng, 1.0, 3.0))
    for _, draw, brush, size in sorted(stops, key=lambda s: -s[0]):
        draw(brush, rng, *size)


def _strip(canvas, x0, x1, z0, z1, colour, label):
    """Paints a strip of ground in pieces short enough to bend with it."""
    pieces = max(1, math.ceil(5 * math.log(z1 / z0))) if z1 > 1.5 * z0 else 1
    depths = [z0 * (z1 / z0) ** (i / pieces) for i in range(pieces + 1)]
    project = canvas.camera.project
    for near, far in zip(depths, depths[1:], strict=False):
        corners = [project(x0, 0, near), project(x0, 0, far),
                   project(x1, 0, far), project(x1, 0, near)]  # fmt: skip
        canvas.polygon(corners, canvas.light.seen(colour, near), label)


def _paint_ground(canvas, rng, street):
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
            (side.garden + 0.4, "terrain" if side.garden else "sidewalk",
             grass if side.garden else slab),
        ):  # fmt: skip
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
    """Patches, rails, lane lines and a zebra crossing: colour only."""
    def road(x0, x1, z0, z1, colour):
        _strip(canvas, x0, x1, z0, z1, colour, "road")

    end, lane = street.end, street.lane
    paint = mix(PAINT, tar, between(rng, 0.0, 0.6))
    for _ in range(int(rng.random() * 4)):
        x, z = between(rng, -lane, lane), between(rng, 4, 20)
        patch = mix(tar, pick(rng, ((40, 40, 42), (160, 158, 154))), 0.25)
        road(x, min(lane, x + between(rng, 0.6, 2)), z, z * 1.3, patch)
    if rng.random() < 0.4:
        for middle in (-RAILS * lane, RAILS * lane):
            for x in (middle - 0.72, middle + 0.72):
                road(x, x + 0.09, 1.0, end, mix(tar, (50, 46, 44), 0.7))
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


def _paint_bonnet(canvas, rng):
    """The own car's bonnet: not a part of the street, so void."""
    width, height = canvas.camera.size
    middle = width * between(rng, 0.35, 0.65)
    wide, tall = width * between(rng, 0.4, 0.75), between(rng, 0.05, 0.16)
    colour = jitter(rng, pick(rng, PAINTS), 20)
    for share, sheen in ((1.0, 0.0), (0.8, 0.12), (0.5, 0.2)):
        points = [
            (middle + wide * math.cos(t), height * (1 - share * tall * math.sin(t)))
            for t in (math.pi * i / 24 for i in range(25))
        ]
        canvas.polygon(points, mix(colour, canvas.light.haze, sheen), "void")


def _expose(rng, image, label, weather):
    """What surfaces, lens and sensor add: grain, blur, exposure, tint, noise."""
    height, width = label.shape
    picture = image.astype(np.float32)
    grain = np.zeros(256, np.float32)
    rough = between(rng, 0.4, 1.4)
    for name, contrast in GRAIN.items():
        grain[CLASS_IDS[name]] = contrast * rough
    noise = rng.standard_normal((height, width), np.float32)
    coarse = rng.standard_normal((height // 6, width // 6), np.float32)
    coarse = np.asarray(Image.fromarray(coarse).resize((width, height)))
    picture *= (1 + grain[label] * (0.7 * noise + 0.6 * coarse))[..., None]
    if rng.random() < 0.5:
        soft = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
        blur = ImageFilter.GaussianBlur(between(rng, 0.3, 0.8))
        picture = np.asarray(soft.filter(blur)).astype(np.float32)
    warm = weather[4] + between(rng, -0.08, 0.08)
    tint = np.array([1 + warm, 1 + between(rng, -0.03, 0.03), 1 - warm])
    gain = between(rng, 0.6, 1.2) * tint.astype(np.float32)
    contrast = between(rng, 0.75, 1.2)
    picture = (picture * gain - 110) * contrast + 110 * between(rng, 0.8, 1.1)
    sigma = between(rng, 1.0, 7.0)
    picture += sigma * rng.standard_normal(picture.shape, np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)
