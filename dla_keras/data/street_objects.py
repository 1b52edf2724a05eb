"""Things that stand or move on a street: people, poles, signs, plants, cycles.

Each function draws one thing with `draw(brush, rng)`, in metres, at the origin
of its brush; `street_scenes.py` says which, where and how many.
"""

import math

from dla_keras.data.street_canvas import between
from dla_keras.data.street_canvas import jitter
from dla_keras.data.street_canvas import mix
from dla_keras.data.street_canvas import pick

SKIN = ((236, 200, 176), (205, 158, 124), (141, 95, 66), (88, 58, 42))
HAIR = ((30, 24, 22), (84, 58, 38), (170, 130, 80), (150, 150, 150))
# Cars, clothes and houses all draw from hues of the whole street, so that no
# class can be told by its colour.
CLOTHES = (
    (35, 38, 46),
    (90, 95, 100),
    (190, 190, 186),
    (226, 226, 222),
    (46, 62, 110),
    (128, 42, 40),
    (190, 60, 50),
    (70, 98, 70),
    (196, 160, 60),
    (150, 112, 84),
    (110, 150, 190),
)
LEAVES = (
    (62, 92, 42),
    (46, 74, 40),
    (92, 112, 50),
    (112, 122, 82),
    (150, 116, 44),
    (124, 84, 54),
)
METAL = ((70, 74, 76), (120, 122, 122), (158, 160, 160), (48, 64, 56))
BLUE, RED, WHITE = (30, 78, 160), (190, 34, 38), (230, 230, 228)
YELLOW, GREY, DARK = (226, 184, 40), (128, 130, 130), (34, 34, 36)


def person(brush, rng):
    """Someone standing or walking; one in six is a child."""
    size = between(rng, 0.58, 0.75) if rng.random() < 0.16 else between(
        rng, 0.9, 1.08
    )
    figure(brush, rng, size, stride=between(rng, -0.34, 0.34))


def figure(brush, rng, size, stride):
    """A person of `size` times 1.75 m whose feet are two `stride`s apart."""
    top, legs, skin = (pick(rng, row) for row in (CLOTHES, CLOTHES, SKIN))
    top, legs = jitter(rng, top, 25), jitter(rng, legs, 20)
    # A torso is wider than deep, so a walker seen from the side is slimmer.
    chest = 0.3 + 0.17 * abs(math.cos(brush.heading))

    def limb(start, end, widths, colour):
        start, end = (tuple(size * c for c in p) for p in (start, end))
        brush.limb(
            start, end, tuple(size * w for w in widths), colour, "person"
        )

    lift = between(rng, 0.0, 0.1)
    for side, step, shade in ((0.1, stride, 0.8), (-0.1, -stride, 1.0)):
        colour = tuple(int(c * shade) for c in legs)
        knee, foot = (side, 0.48, step * 0.7), (side, lift * (step < 0), step)
        limb((side, 0.92, 0), knee, (0.2, 0.15), colour)
        limb(knee, foot, (0.15, 0.11), colour)
        limb(foot, (side, foot[1] + 0.06, step + 0.16), (0.1, 0.1), DARK)
    arm = mix(top, DARK, 0.15)
    far, near = 0.25, -0.25
    limb((far, 1.42, 0), (far + 0.04, 0.88, -stride), (0.13, 0.1), arm)
    hem = pick(rng, (0.85, 0.85, 0.8, 0.5))
    limb((0, hem, 0), (0, 1.18, 0), (chest + 0.02, chest), top)
    limb((0, 1.18, 0), (0, 1.5, 0), (chest, chest * 0.86), top)
    limb((near, 1.42, 0), (near - 0.04, 0.88, stride), (0.13, 0.1), arm)
    if rng.random() < 0.35:
        bag = jitter(rng, pick(rng, CLOTHES))
        limb((0.24, 0.75, -0.1), (0.24, 1.1, -0.1), (0.26, 0.22), bag)
    head(brush, rng, (0, 1.62 * size, 0.03), size, skin, "person")


def head(brush, rng, middle, size, skin, label, helmet=None):
    """A head with hair, a hat or a `helmet` colour."""
    right, up, forward = middle
    hair = helmet or jitter(rng, pick(rng, HAIR))
    neck = (right, up - 0.17 * size, forward)
    brush.limb(neck, middle, (0.12 * size, 0.12 * size), skin, label)
    brush.disc(middle, (0.105 * size, 0.135 * size), skin, label)
    # Of a walker who faces away only the hair shows.
    cover = 0.02 if math.cos(brush.heading) > 0.3 else 0.07
    crown = (right, up + cover * size, forward)
    brush.disc(crown, (0.115 * size, 0.1 * size), hair, label)


def _wheel(brush, forward, radius, thick, label):
    """A spoked wheel: what is behind shows through, greyed, in its class."""
    turns = [2 * math.pi * i / 14 for i in range(14)]
    rim = [
        (0, radius + radius * math.sin(t), forward + radius * math.cos(t))
        for t in turns
    ]
    behind = brush.canvas.behind(brush.at(0, radius, forward), GREY)
    points = [brush.at(*point) for point in rim]
    brush.canvas.polygon(points, mix(behind, GREY, 0.25), label)
    colour = brush.canvas.light.seen(DARK, brush.z)
    width = thick * brush.scale
    brush.canvas.line([*points, points[0]], width, colour, label)
    # Seen from behind the rim is a line; this gives it the tyre's width.
    ends = (0, 0, forward), (0, 2 * radius, forward)
    brush.limb(*ends, (thick, thick), DARK, label)


def bicycle(brush, rng):
    """A parked bicycle."""
    frame = jitter(rng, pick(rng, CLOTHES), 30)
    for forward in (-0.52, 0.54):
        _wheel(brush, forward, 0.34, 0.06, "bicycle")
    bars = (
        ((0, 0.34, -0.52), (0, 0.36, -0.05)),
        ((0, 0.34, -0.52), (0, 0.8, -0.2)),
        ((0, 0.36, -0.05), (0, 0.95, -0.24)),
        ((0, 0.36, -0.05), (0, 0.8, 0.4)),
        ((0, 0.78, -0.2), (0, 0.82, 0.4)),
        ((0, 0.34, 0.54), (0, 1.0, 0.36)),
    )
    for start, end in bars:
        brush.limb(start, end, (0.07, 0.07), frame, "bicycle")
    handles = (-0.28, 1.0, 0.36), (0.28, 1.0, 0.36)
    brush.limb(*handles, (0.06, 0.06), DARK, "bicycle")
    saddle = (0, 0.96, -0.38), (0, 0.96, -0.1)
    brush.limb(*saddle, (0.12, 0.1), DARK, "bicycle")
    if rng.random() < 0.35:
        basket = (0, 0.7, 0.55), (0, 0.95, 0.55)
        brush.limb(*basket, (0.3, 0.36), (120, 92, 60), "bicycle")


def motorcycle(brush, rng):
    """A parked motorcycle or scooter."""
    paint = jitter(rng, pick(rng, CLOTHES), 30)
    for forward in (-0.62, 0.68):
        ends = (0, 0.3, forward - 0.01), (0, 0.3, forward + 0.01)
        brush.limb(*ends, (0.2, 0.2), DARK, "motorcycle")
        _wheel(brush, forward, 0.3, 0.15, "motorcycle")
        brush.limb(
            (0, 0.05, forward), (0, 0.55, forward), (0.16, 0.16), DARK,
            "motorcycle",
        )  # fmt: skip
    parts = (
        ((0, 0.35, -0.35), (0, 0.4, 0.3), 0.4, GREY),
        ((0, 0.78, -0.85), (0, 0.8, -0.05), 0.2, DARK),
        ((0, 0.62, -0.8), (0, 0.64, 0.0), 0.22, paint),
        ((0, 0.72, -0.05), (0, 0.84, 0.4), 0.34, paint),
        ((0, 0.35, 0.68), (0, 1.1, 0.42), 0.12, GREY),
        ((-0.36, 1.08, 0.38), (0.36, 1.08, 0.38), 0.07, DARK),
    )
    for start, end, width, colour in parts:
        brush.limb(start, end, (width, width), colour, "motorcycle")
    scooter = rng.random() < 0.4
    bulge = ((0, 0.3, 0.4), (0, 1.05, 0.5)) if scooter else (
        (0, 0.85, 0.5), (0, 1.08, 0.5)
    )  # fmt: skip
    brush.limb(*bulge, (0.4, 0.36), paint, "motorcycle")
    away = math.cos(brush.heading) > 0
    lamp = (0, 0.75, -0.86) if away else (0, 0.96, 0.55)
    colour = (200, 40, 36) if away else (250, 244, 220)
    brush.disc(lamp, (0.09, 0.08), colour, "motorcycle", corners=6)


def _rider(brush, rng, seat, lean, grip, pedal):
    """Someone sitting at height `seat`, hands at `grip`, feet at `pedal`."""
    top, legs, skin = (pick(rng, row) for row in (CLOTHES, CLOTHES, SKIN))
    top, legs = jitter(rng, top, 25), jitter(rng, legs, 20)
    chest = 0.3 + 0.15 * abs(math.cos(brush.heading))
    hip, back = (0, seat, -0.28), (0, seat + 0.56, lean - 0.28)
    for side, turn in ((0.12, 0.14), (-0.12, -0.1)):
        knee = (side * 1.4, seat - 0.22 + turn / 2, 0.14)
        foot = (side, pedal + turn / 2, turn - 0.02)
        brush.limb((side, seat, -0.26), knee, (0.2, 0.16), legs, "rider")
        brush.limb(knee, foot, (0.15, 0.12), legs, "rider")
        toe = (side, foot[1] - 0.02, foot[2] + 0.14)
        brush.limb(foot, toe, (0.1, 0.09), DARK, "rider")
    brush.limb(hip, back, (chest, chest * 0.95), top, "rider")
    for side in (0.22, -0.22):
        shoulder = (side * 0.9, back[1] - 0.05, back[2])
        hand = (side * 1.1, grip, 0.34)
        brush.limb(shoulder, hand, (0.14, 0.1), mix(top, DARK, 0.12), "rider")
    return (0, back[1] + 0.18, back[2] + 0.06), skin


def cyclist(brush, rng):
    """A bicycle and who rides it."""
    bicycle(brush, rng)
    middle, skin = _rider(brush, rng, 1.0, between(rng, 0.1, 0.4), 1.05, 0.2)
    helmet = jitter(rng, pick(rng, CLOTHES)) if rng.random() < 0.5 else None
    head(brush, rng, middle, 1.0, skin, "rider", helmet)


def motorcyclist(brush, rng):
    """A motorcycle and who rides it, always with a helmet."""
    motorcycle(brush, rng)
    middle, _ = _rider(brush, rng, 0.88, between(rng, 0.1, 0.3), 1.1, 0.32)
    helmet = jitter(rng, pick(rng, CLOTHES))
    head(brush, rng, middle, 1.25, mix(helmet, DARK, 0.7), "rider", helmet)


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
    corners, turn = pick(rng, ((12, 0), (12, 0), (3, 90), (3, -90), (4, 45),
                               (4, 0), (8, 22.5)))  # fmt: skip
    rim, inside = pick(rng, ((RED, WHITE), (RED, WHITE), (WHITE, BLUE),
                             (BLUE, BLUE), (WHITE, YELLOW), (RED, RED),
                             (GREY, GREY)))  # fmt: skip
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


def leaves(brush, rng, middle, radii, colour):
    """A clump of foliage round `middle`, lit from above."""
    across = radii[0] * brush.scale
    count = int(min(64, 10 + across * 0.9))
    spread = rng.random((count, 4))
    order = spread[:, 1].argsort()  # top leaves lie over the dark lower ones
    for turn, out, size, tone in spread[order].tolist():
        angle, out = 2 * math.pi * turn, math.sqrt(out) * 0.86
        side, rise = out * math.cos(angle), out * math.sin(angle)
        place = (
            middle[0] + radii[0] * side, middle[1] + radii[1] * rise, 0
        )  # fmt: skip
        light = 0.82 + 0.22 * rise + 0.4 * (tone - 0.5)
        shade = tuple(min(255, int(c * light)) for c in colour)
        blob = (0.16 + 0.2 * size) * (1.25 - 0.5 * out)
        brush.disc(
            place, (radii[0] * blob, radii[1] * blob), shade, "vegetation", 7
        )


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
