"""How a street is seen: the camera, the light, and chance and colour at hand.

First step of a drawn scene: turns metres into pixels and surfaces into what
reaches the eye; `canvas.py` draws with both.
"""

import math
from dataclasses import dataclass

NEAR = 0.8  # metres; nothing is projected from nearer than this


def between(rng, low, high) -> float:
    """A number between `low` and `high` (many times faster than `uniform`)."""
    return low + (high - low) * rng.random()


def pick(rng, options):
    """One of `options`, each as likely."""
    return options[int(rng.random() * len(options))]


def jitter(rng, colour, amount=12):
    """A colour near `colour`."""
    return tuple(
        min(255, max(0, int(c + between(rng, -amount, amount)))) for c in colour
    )


def mix(first, second, share):
    """The colour `share` of the way from `first` to `second`."""
    # Written out: this runs for every stroke, and a loop takes twice as long.
    (r, g, b), (to_r, to_g, to_b) = first, second
    return (
        int(r + (to_r - r) * share),
        int(g + (to_g - g) * share),
        int(b + (to_b - b) * share),
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole over a flat ground; bending the ground bends the street.

    Args:
        size: (width, height) of the canvas, canvas pixels.
        focal: focal length, canvas pixels.
        height: metres above the ground.
        offset: metres right of the street's middle.
        centre: vanishing point of the street, canvas pixels.
        roll: tilt, radians; small.
        bend: sideways drift of the street, metres per square metre of depth.
    """

    size: tuple[int, int]
    focal: float
    height: float
    offset: float
    centre: tuple[float, float]
    roll: float
    bend: float

    def project(self, x, y, z) -> tuple[float, float]:
        """Canvas pixel of a point `x` right, `y` up and `z` ahead, metres."""
        if z < NEAR:
            z = NEAR
        scale, (u, v), (width, height) = self.focal / z, self.centre, self.size
        u += scale * (x + self.bend * z * z - self.offset)
        v += scale * (self.height - y)
        # A small roll is a shear along both axes.
        return (
            u - self.roll * (v - height / 2),
            v + self.roll * (u - width / 2),
        )

    def sees(self, spots, margin=0.0) -> bool:
        """Whether ground with corners (x, z) reaches between the side edges.

        Args:
            spots: (x, z) corners, metres.
            margin: canvas pixels beyond the edges that count as seen.
        """
        across = [self.project(x, 0.0, z)[0] for x, z in spots]
        return max(across) > -margin and min(across) < self.size[0] + margin


@dataclass(frozen=True)
class Light:
    """Where the light comes from and what the air does to it.

    Args:
        sun: unit vector (x, up, z) towards the sun.
        ambient: light that reaches a face turned away from the sun, 0 to 1.
        haze: colour of far things.
        reach: metres after which haze has taken 63 % of a colour.
        lit: share of windows with the light on.
    """

    sun: tuple[float, float, float]
    ambient: float
    haze: tuple[int, int, int]
    reach: float
    lit: float

    def shade(self, normal) -> float:
        """Brightness of a face with the unit `normal`, `ambient` to 1."""
        facing = sum(n * s for n, s in zip(normal, self.sun, strict=True))
        return self.ambient + (1 - self.ambient) * max(0.0, facing)

    def seen(self, colour, z):
        """`colour` as it looks through `z` metres of air."""
        return mix(colour, self.haze, 1 - math.exp(-z / self.reach))
