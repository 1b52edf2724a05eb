"""Draws what moves: people on foot and on two wheels, and vehicles.

Each function draws one thing with `draw(brush, rng)`, in metres, at the origin
of its brush; `plan.py` decides which, where and how many. A vehicle is a row of
`VEHICLES`: side outlines, drawn out to their width, so that it can be seen from
any side.
"""

import math
from dataclasses import dataclass

from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import jitter
from dla_keras.data.toy_streets.canvas import mix
from dla_keras.data.toy_streets.canvas import pick

SKIN = ((236, 200, 176), (205, 158, 124), (141, 95, 66), (88, 58, 42))
HAIR = ((30, 24, 22), (84, 58, 38), (170, 130, 80), (150, 150, 150))
# Cars, clothes and houses have hues in common, so that no class can be told by
# its color.
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
GREY, DARK = (128, 130, 130), (34, 34, 36)


def person(brush, rng):
    """Draw someone who stands or walks; one in six is a child."""
    child = rng.random() < 0.16
    size = between(rng, 0.58, 0.75) if child else between(rng, 0.9, 1.08)
    figure(brush, rng, size, stride=between(rng, -0.34, 0.34))


def figure(brush, rng, size, stride):
    """Draw a person of `size` times 1.75 m, feet two `stride`s apart."""
    top, legs, skin = (pick(rng, row) for row in (CLOTHES, CLOTHES, SKIN))
    top, legs = jitter(rng, top, 25), jitter(rng, legs, 20)
    # A torso is wider than deep, so a walker seen from the side is slimmer.
    chest = 0.3 + 0.17 * abs(math.cos(brush.heading))

    def limb(start, end, widths, color):
        start, end = (tuple(size * c for c in p) for p in (start, end))
        brush.limb(start, end, tuple(size * w for w in widths), color, "person")

    lift = between(rng, 0.0, 0.1)
    for side, step, shade in ((0.1, stride, 0.8), (-0.1, -stride, 1.0)):
        color = tuple(int(c * shade) for c in legs)
        knee, foot = (side, 0.48, step * 0.7), (side, lift * (step < 0), step)
        limb((side, 0.92, 0), knee, (0.2, 0.15), color)
        limb(knee, foot, (0.15, 0.11), color)
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
    """Draw a head with hair, or with a helmet of the color `helmet`."""
    right, up, forward = middle
    hair = helmet or jitter(rng, pick(rng, HAIR))
    neck = (right, up - 0.17 * size, forward)
    brush.limb(neck, middle, (0.12 * size, 0.12 * size), skin, label)
    brush.disc(middle, (0.105 * size, 0.135 * size), skin, label)
    # From behind, only the hair shows.
    cover = 0.02 if math.cos(brush.heading) > 0.3 else 0.07
    crown = (right, up + cover * size, forward)
    brush.disc(crown, (0.115 * size, 0.1 * size), hair, label)


def _wheel(brush, forward, radius, thick, label):
    """Draw a spoked wheel; the color behind it shows through, grayed."""
    turns = [2 * math.pi * i / 14 for i in range(14)]
    rim = [
        (0, radius + radius * math.sin(t), forward + radius * math.cos(t))
        for t in turns
    ]
    behind = brush.canvas.behind(brush.at(0, radius, forward), GREY)
    points = [brush.at(*point) for point in rim]
    brush.canvas.polygon(points, mix(behind, GREY, 0.25), label)
    color = brush.canvas.light.seen(DARK, brush.z)
    width = thick * brush.scale
    brush.canvas.line([*points, points[0]], width, color, label)
    # From behind, the rim is a line; this gives it the tire's width.
    ends = (0, 0, forward), (0, 2 * radius, forward)
    brush.limb(*ends, (thick, thick), DARK, label)


def bicycle(brush, rng):
    """Draw a parked bicycle."""
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
    """Draw a parked motorcycle or scooter."""
    paint = jitter(rng, pick(rng, CLOTHES), 30)
    for forward in (-0.62, 0.68):
        _wheel(brush, forward, 0.3, 0.15, "motorcycle")
    parts = (
        ((0, 0.35, -0.35), (0, 0.4, 0.3), 0.4, GREY),
        ((0, 0.78, -0.85), (0, 0.8, -0.05), 0.2, DARK),
        ((0, 0.62, -0.8), (0, 0.64, 0.0), 0.22, paint),
        ((0, 0.72, -0.05), (0, 0.84, 0.4), 0.34, paint),
        ((0, 0.35, 0.68), (0, 1.1, 0.42), 0.12, GREY),
        ((-0.36, 1.08, 0.38), (0.36, 1.08, 0.38), 0.07, DARK),
    )
    for start, end, width, color in parts:
        brush.limb(start, end, (width, width), color, "motorcycle")
    scooter = rng.random() < 0.4
    shield = 0.3 if scooter else 0.85
    ends = (0, shield, 0.45), (0, 1.07, 0.5)
    brush.limb(*ends, (0.4, 0.36), paint, "motorcycle")
    away = math.cos(brush.heading) > 0
    lamp = (0, 0.75, -0.86) if away else (0, 0.96, 0.55)
    color = (200, 40, 36) if away else (250, 244, 220)
    brush.disc(lamp, (0.09, 0.08), color, "motorcycle", corners=6)


def _rider(brush, rng, seat, lean, grip, pedal):
    """Draw a rider: height of the seat, of the hands and of the feet."""
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
    """Draw a bicycle and its rider."""
    bicycle(brush, rng)
    middle, skin = _rider(brush, rng, 1.0, between(rng, 0.1, 0.4), 1.05, 0.2)
    helmet = jitter(rng, pick(rng, CLOTHES)) if rng.random() < 0.5 else None
    head(brush, rng, middle, 1.0, skin, "rider", helmet)


def motorcyclist(brush, rng):
    """Draw a motorcycle and its rider, who always wears a helmet."""
    motorcycle(brush, rng)
    middle, _ = _rider(brush, rng, 0.88, between(rng, 0.1, 0.3), 1.1, 0.32)
    helmet = jitter(rng, pick(rng, CLOTHES))
    head(brush, rng, middle, 1.25, mix(helmet, DARK, 0.7), "rider", helmet)


PAINTS = (
    (226, 228, 228),
    (172, 176, 180),
    (112, 116, 120),
    (60, 64, 70),
    (28, 30, 34),
    (40, 66, 120),
    (150, 34, 34),
    (190, 172, 140),
    (62, 86, 66),
    (206, 168, 48),
    (120, 150, 172),
)
GLASS, TYRE, STEEL = (44, 54, 62), (26, 26, 28), (86, 88, 90)


@dataclass(frozen=True)
class Body:
    """One outline of a vehicle.

    Args:
        outline: Corners (forward, up, material of the edge to the next one),
            metres, from the rear's foot over the roof to the front's foot.
        width: Width, metres.
        panes: Side windows, each a polygon of (forward, up).
        belt: Height above which the body narrows, metres. Defaults to `9`.
        coat: Color of the material "paint": "paint", "load" or "steel".
    """

    outline: tuple
    width: float
    panes: tuple = ()
    belt: float = 9.0
    coat: str = "paint"

    def half(self, up) -> float:
        """Return half of the width at a height: cabins lean inwards."""
        return self.width / 2 - 0.32 * max(0.0, up - self.belt)


@dataclass(frozen=True)
class Vehicle:
    """A kind of vehicle: its class, bodies, and wheels (forward, radius)."""

    label: str
    bodies: tuple[Body, ...]
    wheels: tuple[tuple[float, float], ...]

    @property
    def ends(self) -> tuple[float, float]:
        """Return the rearmost and foremost metre."""
        forward = [p[0] for body in self.bodies for p in body.outline]
        return min(forward), max(forward)


def _panes(starts, length, low, high):
    """Return a row of equal rectangular side windows."""
    return tuple(
        ((s, low), (s, high), (s + length, high), (s + length, low))
        for s in starts
    )


P, G = "paint", "glass"
HATCHBACK = Body(
    ((-1.9, 0.3, P), (-1.98, 0.92, G), (-1.6, 1.44, P), (0.2, 1.46, G),
     (1.0, 0.98, P), (1.85, 0.8, P), (1.95, 0.3, P)), 1.74,
    (((-1.62, 0.96), (-1.4, 1.35), (-0.5, 1.38), (-0.5, 0.96)),
     ((-0.4, 0.96), (-0.4, 1.38), (0.15, 1.38), (0.75, 0.96))), 0.95,
)  # fmt: skip
SALOON = Body(
    ((-2.2, 0.3, P), (-2.28, 0.95, P), (-1.65, 1.02, G), (-1.05, 1.42, P),
     (0.25, 1.43, G), (1.05, 0.98, P), (2.1, 0.8, P), (2.22, 0.3, P)), 1.8,
    (((-1.4, 1.0), (-0.98, 1.34), (-0.45, 1.36), (-0.45, 1.0)),
     ((-0.36, 1.0), (-0.36, 1.36), (0.2, 1.36), (0.8, 1.0))), 0.98,
)  # fmt: skip
OFF_ROADER = Body(
    ((-2.1, 0.42, P), (-2.15, 1.08, G), (-1.95, 1.72, P), (0.3, 1.74, G),
     (0.95, 1.14, P), (1.95, 1.0, P), (2.1, 0.42, P)), 1.9,
    (((-1.9, 1.14), (-1.8, 1.62), (-0.8, 1.64), (-0.8, 1.14)),
     ((-0.7, 1.14), (-0.7, 1.64), (0.25, 1.64), (0.72, 1.14))), 1.12,
)  # fmt: skip
VAN = Body(
    ((-2.4, 0.4, P), (-2.42, 1.15, G), (-2.38, 1.75, P), (-2.36, 2.05, P),
     (1.15, 2.08, G), (1.85, 1.2, P), (2.4, 1.0, P), (2.45, 0.4, P)), 1.95,
    (((0.35, 1.2), (0.35, 1.75), (1.05, 1.75), (1.5, 1.2)),), 1.3,
)  # fmt: skip
MINIBUS = Body(
    VAN.outline, 1.95,
    (*VAN.panes, *_panes((-2.1, -0.9), 1.1, 1.2, 1.75)), 1.3,
)  # fmt: skip
CHASSIS = Body(
    ((-3.7, 0.5, P), (-3.7, 0.95, P), (3.0, 0.95, P), (3.0, 0.5, P)), 2.1,
    coat="steel",
)  # fmt: skip
BOX = Body(
    ((-3.9, 0.95, P), (-3.9, 3.3, P), (1.5, 3.3, P), (1.5, 0.95, P)), 2.45,
    coat="load",
)  # fmt: skip
TIPPER = Body(
    ((-3.9, 0.95, P), (-4.0, 2.0, P), (1.4, 2.0, P), (1.4, 0.95, P)), 2.4,
    coat="load",
)  # fmt: skip
CAB = Body(
    ((1.65, 0.5, P), (1.65, 2.65, P), (3.1, 2.7, G), (3.4, 1.6, P),
     (3.45, 0.5, P)), 2.35,
    (((2.1, 1.6), (2.1, 2.35), (3.0, 2.35), (3.2, 1.6)),),
)  # fmt: skip
BUS = Body(
    ((-5.5, 0.35, P), (-5.55, 1.5, G), (-5.5, 2.6, P), (-5.5, 3.05, P),
     (5.3, 3.05, P), (5.42, 2.7, G), (5.55, 1.1, P), (5.55, 0.35, P)), 2.5,
    (*_panes((-5.2, -3.5, -1.8, -0.1, 1.6), 1.55, 1.45, 2.6),
     *_panes((3.4, 4.3), 0.8, 0.55, 2.6)),
)  # fmt: skip
TRAM = Body(
    ((-7.9, 0.3, P), (-8.1, 1.35, G), (-7.8, 2.75, P), (-7.4, 3.4, P),
     (7.4, 3.4, P), (7.8, 2.75, G), (8.1, 1.35, P), (7.9, 0.3, P)), 2.4,
    (*_panes((-7.2, -4.6, -0.8, 1.6, 5.0), 2.1, 1.4, 2.6),
     *_panes((-2.4, 3.9), 1.0, 0.45, 2.6)),
)  # fmt: skip

SMALL, LARGE = 0.33, 0.5
VEHICLES = {
    "hatchback": Vehicle("car", (HATCHBACK,), ((-1.25, SMALL), (1.3, SMALL))),
    "saloon": Vehicle("car", (SALOON,), ((-1.35, SMALL), (1.4, SMALL))),
    "off-roader": Vehicle("car", (OFF_ROADER,), ((-1.3, 0.4), (1.35, 0.4))),
    "van": Vehicle("car", (VAN,), ((-1.55, 0.36), (1.6, 0.36))),
    "minibus": Vehicle("car", (MINIBUS,), ((-1.55, 0.36), (1.6, 0.36))),
    "box truck": Vehicle(
        "truck", (CHASSIS, BOX, CAB), ((-2.6, LARGE), (2.5, LARGE))
    ),
    "tipper": Vehicle(
        "truck",
        (CHASSIS, TIPPER, CAB),
        ((-2.9, LARGE), (-1.7, LARGE), (2.5, LARGE)),
    ),
    "bus": Vehicle("bus", (BUS,), ((-3.2, LARGE), (3.0, LARGE))),
    "tram": Vehicle("train", (TRAM,), ((-5.0, 0.35), (5.0, 0.35))),
}


def vehicle(brush, rng, kind):
    """Draw the row `kind` of `VEHICLES`."""
    row = VEHICLES[kind]
    paint = jitter(rng, pick(rng, PAINTS), 18)
    load = jitter(rng, pick(rng, PAINTS), 18)
    coats = {"paint": paint, "load": load, "steel": STEEL}
    stripe = jitter(rng, pick(rng, PAINTS)) if rng.random() < 0.5 else None
    facing_away = math.cos(brush.heading) > 0
    _tyre_backs(brush, row)
    bodies = sorted(row.bodies, key=lambda b: b.outline[0][0])
    # The part at the far end is painted first.
    for body in bodies[::-1] if facing_away else bodies:
        striped = stripe if row.label in ("bus", "train") else None
        _body(brush, body, coats[body.coat], row.label, striped)
    for side in (-1, 1):
        _wheels(brush, row, side)
    _lamps(brush, row, facing_away)


def _body(brush, body, paint, label, stripe):
    """Draw one outline: the edges that face the camera, then the side."""
    edges = list(zip(body.outline, body.outline[1:], strict=False))
    if math.cos(brush.heading) > 0:
        edges.reverse()
    for (z0, y0, made_of), (z1, y1, _) in edges:
        length = math.hypot(z1 - z0, y1 - y0)
        normal = (0, (z1 - z0) / length, (y0 - y1) / length)
        near, far = body.half(y0), body.half(y1)
        points = (
            (-near, y0, z0),
            (near, y0, z0),
            (far, y1, z1),
            (-far, y1, z1),
        )
        brush.face(points, paint, label, normal)
        if made_of == "glass":
            points = [
                (0.88 * x, y + 0.08 * ((y0 + y1) / 2 - y), z)
                for x, y, z in points
            ]
            brush.face(points, mix(GLASS, paint, 0.08), label, normal)
    for side in (-1, 1):
        normal = (side, 0, 0)
        whole = [(side * body.half(y), y, z) for z, y, _ in body.outline]
        brush.face(whole, paint, label, normal)
        if stripe:
            (rear, *_), (front, *_) = body.outline[0], body.outline[-1]
            band = ((rear, 0.75), (rear, 1.2), (front, 1.2), (front, 0.75))
            across = side * body.half(1.0)
            points = [(across, y, z) for z, y in band]
            brush.face(points, stripe, label, normal)
        for pane in body.panes:
            points = [(side * body.half(y), y, z) for z, y in pane]
            brush.face(points, GLASS, label, normal)


def _tyre_backs(brush, row):
    """Draw the tires as seen from ahead or behind, under the bodywork."""
    half = row.bodies[0].width / 2 - 0.04
    for forward, radius in row.wheels:
        for side in (-1, 1):
            inner, outer = side * (half - 0.24), side * half
            brush.face(
                (
                    (inner, 0, forward),
                    (inner, radius, forward),
                    (outer, radius, forward),
                    (outer, 0, forward),
                ),
                TYRE,
                row.label,
            )


def _wheels(brush, row, side):
    """Draw the wheels of one side, if that side faces the camera."""
    across = side * (row.bodies[0].width / 2 + 0.02)
    turns = [2 * math.pi * i / 12 for i in range(12)]
    for forward, radius in row.wheels:
        for share, color in ((1.12, (18, 18, 20)), (1.0, TYRE), (0.6, STEEL)):
            points = [
                (
                    across,
                    max(0.0, radius + share * radius * math.sin(t)),
                    forward + share * radius * math.cos(t),
                )
                for t in turns
            ]
            brush.face(points, color, row.label, (side, 0, 0))


def _lamps(brush, row, facing_away):
    """Draw lamps and number plate of the end that faces the camera."""
    rear, front = row.ends
    forward = rear - 0.03 if facing_away else front + 0.03
    normal = (0, 0, -1) if facing_away else (0, 0, 1)
    half = row.bodies[-1].width / 2
    low = 0.62 if row.label == "car" else 0.8
    color = (178, 30, 28) if facing_away else (240, 238, 220)
    tall = 0.26 if facing_away else 0.16
    inner = 0.68 * half if row.label == "car" else 0.82 * half
    for side in (-1, 1):
        lamp = (
            (side * inner, low),
            (side * inner, low + tall),
            (side * half * 0.96, low + tall),
            (side * half * 0.96, low),
        )
        points = [(x, y, forward) for x, y in lamp]
        brush.face(points, color, row.label, normal)
    plate = ((-0.26, 0.45), (-0.26, 0.58), (0.26, 0.58), (0.26, 0.45))
    points = [(x, y, forward) for x, y in plate]
    brush.face(points, (214, 214, 200), row.label, normal)


def car(brush, rng):
    """Draw a car of any shape."""
    shapes = ("hatchback", "saloon", "off-roader", "van", "minibus")
    vehicle(brush, rng, pick(rng, shapes))


def truck(brush, rng):
    """Draw a truck with a box or an open tipper."""
    vehicle(brush, rng, pick(rng, ("box truck", "box truck", "tipper")))


def bus(brush, rng):
    """Draw a city bus."""
    vehicle(brush, rng, "bus")


def tram(brush, rng):
    """Draw a tram, Cityscapes' "train", with its pantograph."""
    for start, end in (
        ((0, 3.4, 1.2), (0, 4.1, 0.2)),
        ((0, 4.1, 0.2), (0, 4.8, 1.2)),
        ((-0.9, 4.8, 1.2), (0.9, 4.8, 1.2)),
    ):
        brush.limb(start, end, (0.12, 0.12), STEEL, "train")
    vehicle(brush, rng, "tram")
