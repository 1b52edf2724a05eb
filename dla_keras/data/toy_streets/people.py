"""People on foot, on bicycles and on motorcycles, and what they ride.

Each function draws one thing with `draw(brush, rng)`, in metres, at the origin
of its brush; `plan.py` decides which, where and how many.
"""

import math

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
