"""Draws what grows, stands and is built beside the road.

Things on the kerb are drawn by `draw(brush, rng)`, in metres, at the origin of
their brush. Lots (houses, walls, fences, hedges, gardens) are drawn by
`draw(brush, rng, length)`: a lot runs `length` metres forward from its brush
and lies to the right of it, away from the road.
"""

import math

import numpy as np

from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import jitter
from dla_keras.data.toy_streets.canvas import mix
from dla_keras.data.toy_streets.canvas import pick
from dla_keras.data.toy_streets.traffic import CLOTHES
from dla_keras.data.toy_streets.traffic import DARK
from dla_keras.data.toy_streets.traffic import GREY

LEAVES = (
    (62, 92, 42),
    (46, 74, 40),
    (92, 112, 50),
    (112, 122, 82),
    (150, 116, 44),
    (124, 84, 54),
)


def leaves(brush, rng, middle, radii, color):
    """Draw a clump of foliage around `middle`, lit from above."""
    count = int(min(80, 10 + 0.45 * radii[0] * brush.scale))
    turn, out, size, tone = rng.random((4, count))
    turn, out = 2 * np.pi * turn, 0.86 * np.sqrt(out)
    side, rise = out * np.cos(turn), out * np.sin(turn)
    size = (1.3 + 1.3 * size) * (1.25 - 0.5 * out) / math.sqrt(count)
    light = 0.82 + 0.22 * rise + 0.4 * (tone - 0.5)
    spots = np.stack([side, rise, size, light], axis=1)
    order = rise.argsort()  # top leaves lie over the dark lower ones
    brush.clumps(middle, radii, spots[order], color, "vegetation")


def tree(brush, rng):
    """Draw a tree: round, tall as a poplar, or pointed as a fir."""
    color = jitter(rng, pick(rng, LEAVES), 16)
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
            leaves(brush, rng, middle, (wide * share * 0.7, 1.5), color)
    else:
        leaves(brush, rng, (0, trunk + tall * 0.9, 0), (wide, tall), color)


def bush(brush, rng):
    """Draw a shrub."""
    color = jitter(rng, pick(rng, LEAVES), 16)
    wide, tall = between(rng, 0.5, 1.4), between(rng, 0.4, 1.0)
    leaves(brush, rng, (0, tall * 0.85, 0), (wide, tall), color)


METAL = ((70, 74, 76), (120, 122, 122), (158, 160, 160), (48, 64, 56))
BLUE, RED, WHITE = (30, 78, 160), (190, 34, 38), (230, 230, 228)
YELLOW = (226, 184, 40)
# (corners, turn in degrees) of sign plates; 12 corners pass for a circle
PLATES = ((12, 0), (12, 0), (3, 90), (3, -90), (4, 45), (4, 0), (8, 22.5))
# (rim, inside); grey is the back of a plate
PLATE_COLORS = (
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
    """Draw a street lamp, on a bow over the road or upright."""
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
    """Draw a knee-high post at the kerb."""
    height = between(rng, 0.8, 1.1)
    _post(brush, rng, height, between(rng, 0.12, 0.2))


def traffic_light(brush, rng):
    """Draw a signal on a post, sometimes a second one on an arm."""
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
    """Draw three lamps in a box; from behind, only the box."""
    half, tall = 0.21, 1.08
    shell = pick(rng, (DARK, (50, 56, 50), (66, 66, 62), (150, 130, 40)))
    box = [
        (right + a * half, up + b * tall, 0)
        for a, b in ((-1, 0), (-1, 1), (1, 1), (1, 0))
    ]
    brush.face(box, shell, "traffic light")
    if rng.random() < 0.25:
        return
    colors = ((236, 44, 36), (244, 176, 40), (60, 214, 130))
    on = int(rng.random() * 3)
    for i, color in enumerate(colors):
        middle = (right, up + 0.88 - 0.34 * i, 0)
        color = color if i == on else mix(color, DARK, 0.8)
        brush.disc(middle, (0.14, 0.14), color, "traffic light", corners=8)


def traffic_sign(brush, rng):
    """Draw one or two signs on a post, or a board with directions."""
    if rng.random() < 0.25:
        return _board(brush, rng)
    size, up = between(rng, 0.34, 0.5), between(rng, 2.0, 2.7)
    double = rng.random() < 0.35
    _post(brush, rng, up + size + (0.5 if double else 0), 0.1)
    _plate(brush, rng, up, size)
    if double:
        _plate(brush, rng, up + 2.1 * size, size)


def _plate(brush, rng, up, size):
    """Draw a plate of a random shape with a rim and a mark."""
    corners, turn = pick(rng, PLATES)
    rim, inside = pick(rng, PLATE_COLORS)
    for share, color in ((1.0, rim), (0.74, jitter(rng, inside))):
        turns = (math.radians(turn + 360 * i / corners) for i in range(corners))
        points = [
            (share * size * math.cos(t), up + share * size * math.sin(t), 0)
            for t in turns
        ]
        brush.face(points, color, "traffic sign")
    if inside != GREY:
        mark = (-0.4 * size, up, 0), (0.4 * size, up, 0)
        ink = WHITE if inside in (RED, BLUE) else DARK
        brush.limb(*mark, (size * 0.3, size * 0.2), ink, "traffic sign")


def _board(brush, rng):
    """Draw a board with lines of text on two posts."""
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
    """Draw a litter bin or switch box: none of the 19 classes, so void."""
    half, tall = between(rng, 0.25, 0.5), between(rng, 0.8, 1.3)
    color = jitter(rng, pick(rng, CLOTHES))
    corners = ((-half, 0, 0), (-half, tall, 0), (half, tall, 0), (half, 0, 0))
    brush.face(corners, color, "void")
    lid = (-half, tall, 0), (half, tall, 0)
    brush.limb(*lid, (0.12, 0.12), mix(color, DARK, 0.4), "void")


FRONTS = (
    (128, 128, 126),  # concrete, as grey as a road
    (96, 98, 102),
    (176, 180, 184),  # as pale as an overcast sky
    (150, 172, 192),  # glass that mirrors a blue one
    (206, 196, 172),
    (222, 214, 200),
    (160, 92, 70),
    (128, 66, 54),
    (190, 150, 96),
    (136, 150, 122),
    (112, 88, 72),
)
ROOFS = ((120, 62, 48), (80, 74, 72), (62, 66, 74), (140, 90, 64))
PANES = ((52, 62, 74), (36, 42, 50), (104, 124, 144), (140, 156, 170))
LIT = (244, 214, 140)
STONES = (
    (150, 146, 138),
    (118, 116, 112),
    (150, 98, 76),
    (186, 178, 160),
    (92, 88, 82),
)
RAILINGS = ((60, 66, 60), (128, 100, 70), (40, 42, 44), (200, 198, 190))
STREETWARD = (-1, 0, 0)


def _upright(start, end, low, high, right=0.0):
    """Return the corners of a rectangle that stands along the street."""
    return (
        (right, low, start),
        (right, high, start),
        (right, high, end),
        (right, low, end),
    )


def _ends(brush, length, outline, color, label):
    """Draw both ends of a lot, of (right, up) corners; at most one shows."""
    for forward, normal in ((0, (0, 0, -1)), (length, (0, 0, 1))):
        points = [(right, up, forward) for right, up in outline]
        brush.face(points, color, label, normal)


def house(brush, rng, length):
    """Draw a house: gables, facade, windows, ground floor, perhaps a roof."""
    storeys = 1 + int(rng.random() ** 1.6 * 6)
    storey = between(rng, 2.8, 3.6)
    ground = between(rng, 3.0, 4.2)
    height = ground + storey * (storeys - 1) + between(rng, 0.3, 0.9)
    color = jitter(rng, pick(rng, FRONTS), 20)
    deep = between(rng, 7, 12)
    plaster = mix(color, (90, 86, 82), 0.15)
    _ends(
        brush,
        length,
        ((0, 0), (0, height), (deep, height), (deep, 0)),
        plaster,
        "building",
    )
    if rng.random() < 0.45:
        _roof(brush, rng, length, height, deep)
    facade = _upright(0, length, 0, height)
    brush.face(facade, color, "building", STREETWARD)
    _courses(brush, rng, length, height, color)
    if brush.scale > 9:  # nearer than about 60 m
        _windows(brush, rng, length, ground, storey, storeys - 1, color)
    _ground_floor(brush, rng, length, ground, color)


def _roof(brush, rng, length, height, deep):
    tiles = jitter(rng, pick(rng, ROOFS))
    rise = between(rng, 1.5, 3.5)
    ridge = (deep / 2, height + rise)
    slope = math.hypot(ridge[0], rise)
    normal = (-rise / slope, ridge[0] / slope, 0)
    gable = ((0, height), ridge, (deep, height))
    _ends(brush, length, gable, mix(tiles, (150, 140, 130), 0.5), "building")
    pitch = (
        (-0.3, height, 0),
        (*ridge, 0),
        (*ridge, length),
        (-0.3, height, length),
    )
    brush.face(pitch, tiles, "building", normal)


def _courses(brush, rng, length, height, color):
    """Draw rows of bricks or joints of panels, and the cornice."""
    style = rng.random()
    line = mix(color, (40, 38, 36), between(rng, 0.08, 0.25))
    step = 0.5 if style < 0.3 else 1.5
    if style < 0.55 and brush.scale * step > 10:
        for i in range(1, int(height / step)):
            course = _upright(0, length, i * step, i * step + 0.07)
            brush.face(course, line, "building", STREETWARD)
    cornice = _upright(0, length, height - 0.35, height)
    brush.face(cornice, mix(color, line, 0.9), "building", STREETWARD)


def _windows(brush, rng, length, ground, storey, rows, color):
    """Draw a grid of windows, all alike but for those that are lit."""
    bay = between(rng, 1.8, 3.4)
    columns = max(1, int(length / bay))
    bay = length / columns
    wide, tall = bay * between(rng, 0.38, 0.8), storey * between(rng, 0.42, 0.7)
    pane = jitter(rng, pick(rng, PANES))
    frame = pick(rng, (mix(color, (240, 240, 236), 0.6), mix(color, pane, 0.5)))
    lit_share = brush.canvas.light.lit
    balcony = rng.random() < 0.2
    for row in range(rows):
        low = ground + row * storey + 0.5
        for column in range(columns):
            start = column * bay + (bay - wide) / 2
            end = start + wide
            glass = LIT if rng.random() < lit_share else pane
            around = _upright(
                start - 0.1, end + 0.1, low - 0.1, low + tall + 0.1
            )
            brush.face(around, frame, "building", STREETWARD)
            hole = _upright(start, end, low, low + tall)
            brush.face(hole, glass, "building", STREETWARD)
            if balcony:
                rail = _upright(
                    start - 0.3, end + 0.3, low - 0.4, low + 0.5, -0.6
                )
                brush.face(rail, frame, "building", STREETWARD)


def _ground_floor(brush, rng, length, ground, color):
    """Draw a door, and shop windows under a sign or an awning, or a plinth."""
    door_at = between(rng, 0.1, 0.75) * length
    pane = jitter(rng, pick(rng, PANES))
    if rng.random() < 0.5:
        base = jitter(rng, pick(rng, FRONTS))
        floor = _upright(0, length, 0, ground - 0.2)
        brush.face(floor, base, "building", STREETWARD)
        bays = max(1, int(length / between(rng, 2.2, 4.0)))
        glass = LIT if rng.random() < brush.canvas.light.lit + 0.1 else pane
        for i in range(bays):
            start, end = (i + 0.08) * length / bays, (i + 0.92) * length / bays
            shop = _upright(start, end, 0.4, ground - 1.0)
            brush.face(shop, glass, "building", STREETWARD)
        name = jitter(rng, pick(rng, ((150, 40, 40), (40, 70, 120), color)))
        if rng.random() < 0.5:
            slope = [
                (right, ground - 0.4 + 0.6 * right, forward)
                for right, forward in (
                    (0, 0),
                    (0, length),
                    (-1.2, length),
                    (-1.2, 0),
                )
            ]
            brush.face(slope, name, "building")
        else:
            sign = _upright(0.2, length - 0.2, ground - 0.85, ground - 0.3)
            brush.face(sign, name, "building", STREETWARD)
    else:
        plinth = _upright(0, length, 0, 0.6)
        base = mix(color, (70, 68, 66), 0.5)
        brush.face(plinth, base, "building", STREETWARD)
        for start in (door_at - 3.0, door_at + 2.2):
            if 0.2 < start < length - 1.6:
                hole = _upright(start, start + 1.3, 1.1, ground - 0.8)
                brush.face(hole, pane, "building", STREETWARD)
    door = _upright(door_at, door_at + 1.1, 0, 2.3)
    leaf = jitter(rng, pick(rng, ((70, 50, 38), (50, 60, 64), (120, 40, 36))))
    brush.face(door, leaf, "building", STREETWARD)


def _garden(brush, rng, length):
    """Draw what stands behind a wall or fence: trees, and often a house."""
    if rng.random() < 0.5:
        house(brush.moved(right=between(rng, 4, 8)), rng, length * 0.8)
    for forward in (0.7, 0.25):
        if rng.random() < 0.5:
            away = between(rng, 1.5, 3.5)
            tree(brush.moved(away, forward * length), rng)


def wall(brush, rng, length):
    """Draw a garden wall of stone, brick or concrete, with a coping."""
    _garden(brush, rng, length)
    stone = jitter(rng, pick(rng, STONES), 16)
    height = between(rng, 1.4, 3.4)
    _ends(
        brush,
        length,
        ((0, 0), (0, height), (0.4, height), (0.4, 0)),
        stone,
        "wall",
    )
    brush.face(_upright(0, length, 0, height), stone, "wall", STREETWARD)
    joint = mix(stone, (40, 40, 40), between(rng, 0.1, 0.3))
    step = between(rng, 0.3, 0.9)
    for i in range(1, int(height / step)):
        course = _upright(0, length, i * step, i * step + 0.05)
        brush.face(course, joint, "wall", STREETWARD)
    if rng.random() < 0.5:
        bay = between(rng, 1.5, 4.0)
        for i in range(int(length / bay)):
            post = _upright(i * bay, i * bay + 0.3, 0, height + 0.1)
            brush.face(post, joint, "wall", STREETWARD)
    coping = _upright(0, length, height - 0.08, height + 0.12)
    brush.face(coping, mix(stone, (230, 228, 220), 0.35), "wall", STREETWARD)


def fence(brush, rng, length):
    """Draw a fence: boards, or bars and mesh that show what is behind."""
    _garden(brush, rng, length)
    height = between(rng, 1.0, 2.2)
    color = jitter(rng, pick(rng, RAILINGS))
    boards = rng.random() < 0.35
    bay = between(rng, 1.8, 2.8)
    gap = 0.25 if boards else between(rng, 0.14, 0.3)
    for i in range(int(length / bay) - 1, -1, -1):
        start, end = i * bay, (i + 1) * bay
        middle = brush.at(0, height / 2, (start + end) / 2)
        behind = brush.canvas.behind(middle, color)
        fill = mix(color, (30, 28, 26), 0.25) if boards else behind
        panel = [brush.at(*p) for p in _upright(start, end, 0.05, height)]
        brush.canvas.polygon(panel, mix(fill, color, 0.2), "fence")
        # Where bars are finer than a pixel, they would only make the bay gray.
        for j in range(int(bay / gap) if brush.scale * gap > 5 else 0):
            bar = start + j * gap
            width = gap * (0.85 if boards else 0.3)
            brush.face(_upright(bar, bar + width, 0.05, height), color, "fence")
        for low in (0.2, height - 0.15):
            rail = _upright(start, end, low, low + 0.1)
            brush.face(rail, color, "fence")
        post = _upright(start, start + 0.14, 0, height + 0.08)
        brush.face(post, mix(color, (30, 30, 30), 0.2), "fence")


def hedge(brush, rng, length):
    """Draw a clipped hedge or a thicket."""
    _garden(brush, rng, length)
    color = jitter(rng, pick(rng, LEAVES), 14)
    height = between(rng, 1.0, 3.0)
    dark = mix(color, (20, 26, 16), 0.35)
    side = _upright(0, length, 0, height * 0.9)
    brush.face(side, dark, "vegetation")
    clumps = max(3, int(length / max(1.0, height * 0.8)))
    for i in range(clumps - 1, -1, -1):
        spot = brush.moved(forward=(i + 0.5) * length / clumps)
        radii = (max(0.8, height * 0.5), height * 0.52)
        leaves(spot, rng, (0, height * 0.5, 0), radii, color)


def lawn(brush, rng, length):
    """Draw an open lot with up to two trees."""
    for forward in (0.8, 0.3):
        if rng.random() < 0.6:
            away = between(rng, 1, 6)
            tree(brush.moved(away, forward * length), rng)
