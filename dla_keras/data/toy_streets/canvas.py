"""A camera, a canvas that takes color and class in one stroke, and brushes.

Things (`traffic.py`, `roadside.py`) are drawn with brushes, in
metres; the camera maps metres to pixels of the canvas.
"""

import math
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property

import numpy as np
from PIL import Image
from PIL import ImageChops
from PIL import ImageDraw
from PIL import ImageFilter

from dla_keras.data.datasets import CITYSCAPES_CLASSES

NEAR = 0.8  # metres; nothing is projected from nearer than this


def between(rng, low, high) -> float:
    """Draw a number between `low` and `high`, much faster than `uniform`."""
    return low + (high - low) * rng.random()


def pick(rng, options):
    """Draw one of `options`, all equally likely."""
    return options[int(rng.random() * len(options))]


def jitter(rng, color, amount=12):
    """Draw a color near `color`."""
    return tuple(
        min(255, max(0, int(c + between(rng, -amount, amount)))) for c in color
    )


def mix(first, second, share):
    """Return the color `share` of the way from `first` to `second`."""
    # Written out: it runs for every stroke, and a loop takes twice as long.
    (r, g, b), (to_r, to_g, to_b) = first, second
    return (
        int(r + (to_r - r) * share),
        int(g + (to_g - g) * share),
        int(b + (to_b - b) * share),
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over flat ground; bending the ground bends the street.

    Args:
        size: (width, height) of the canvas, canvas pixels.
        focal: Focal length, canvas pixels.
        height: Metres above the ground.
        offset: Metres right of the street's middle.
        center: Vanishing point of the street, canvas pixels.
        roll: Tilt, radians; small.
        bend: Sideways drift of the street, metres per square metre of depth.
    """

    size: tuple[int, int]
    focal: float
    height: float
    offset: float
    center: tuple[float, float]
    roll: float
    bend: float

    def project(self, x, y, z) -> tuple[float, float]:
        """Return the canvas pixel of a point `x` right, `y` up, `z` ahead."""
        if z < NEAR:
            z = NEAR
        scale, (u, v), (width, height) = self.focal / z, self.center, self.size
        u += scale * (x + self.bend * z * z - self.offset)
        v += scale * (self.height - y)
        # A small roll is a shear along both axes.
        return (
            u - self.roll * (v - height / 2),
            v + self.roll * (u - width / 2),
        )

    def sees(self, spots, margin=0.0) -> bool:
        """Return whether any ground between corners is within the side edges.

        Args:
            spots: (x, z) corners, metres.
            margin: Canvas pixels beyond the edges that count as seen.
        """
        across = [self.project(x, 0.0, z)[0] for x, z in spots]
        return max(across) > -margin and min(across) < self.size[0] + margin


@dataclass(frozen=True)
class Light:
    """The direction of the light, and the haze.

    Args:
        sun: Unit vector (x, up, z) towards the sun.
        ambient: Light that reaches a face turned away from the sun, 0 to 1.
        haze: Color of far things.
        reach: Metres after which haze has taken 63 % of a color.
        lit: Share of windows with the light on.
    """

    sun: tuple[float, float, float]
    ambient: float
    haze: tuple[int, int, int]
    reach: float
    lit: float

    def shade(self, normal) -> float:
        """Return the brightness of a face by its unit `normal`."""
        facing = sum(n * s for n, s in zip(normal, self.sun, strict=True))
        return self.ambient + (1 - self.ambient) * max(0.0, facing)

    def seen(self, color, z):
        """Return `color` as it looks through `z` metres of air."""
        return mix(color, self.haze, 1 - math.exp(-z / self.reach))


SUPERSAMPLE = 2  # canvas pixels per picture pixel, along each axis
HEXAGON = np.array(
    [(math.cos(t), math.sin(t)) for t in np.arange(6) * math.pi / 3]
)
CLASS_IDS = {name: index for index, name in enumerate(CITYSCAPES_CLASSES)}
CLASS_IDS["void"] = 255


class Canvas:
    """Paper on which color and class are drawn in one stroke.

    The paper is an RGBA image whose fourth channel is the class id. Each stroke
    writes all four channels unblended, so color and class always agree. A
    second ink leaves the number of the thing that is drawn.

    Attributes:
        number: Number of the thing that is drawn; 0 for what is none.
    """

    def __init__(self, camera: Camera, light: Light):
        self.camera = camera
        self.light = light
        self.paper = Image.new("RGBA", camera.size)
        self._pen = ImageDraw.Draw(self.paper)
        self.number = 0
        self._numbers = Image.new("I", camera.size)
        self._number_pen = ImageDraw.Draw(self._numbers)
        # Shadows are soft, so half the canvas' resolution is enough for them.
        self._shadows = Image.new("L", tuple(s // 2 for s in camera.size), 255)
        self._shadow_pen = ImageDraw.Draw(self._shadows)

    def polygon(self, points, color, label):
        """Fill a polygon of canvas pixels."""
        self._pen.polygon(points, fill=(*color, CLASS_IDS[label]))
        self._number_pen.polygon(points, fill=self.number)

    def line(self, points, width, color, label):
        """Draw an open line; `width` is in canvas pixels."""
        # A line under 2 canvas pixels could fall between the label's pixels.
        width = max(SUPERSAMPLE, round(width))
        self._pen.line(points, fill=(*color, CLASS_IDS[label]), width=width)
        self._number_pen.line(points, fill=self.number, width=width)

    def behind(self, point, fallback):
        """Return the color at `point`, to paint what is seen through things."""
        u, v = int(point[0]), int(point[1])
        inside = 0 <= u < self.paper.width and 0 <= v < self.paper.height
        return self.paper.getpixel((u, v))[:3] if inside else fallback

    def shadow(self, corners, height, darkness):
        """Mark the shadow of a prism on the ground, for `cast_shadows`.

        Args:
            corners: (x, z) of the prism's foot, in order around it, metres.
            height: Height of the prism, metres.
            darkness: Share of the light that is taken away, 0 to 1.
        """
        sun_x, sun_up, sun_z = self.light.sun
        move_x, move_z = (-s * height / sun_up for s in (sun_x, sun_z))
        foot = [self._shadow_at(x, z) for x, z in corners]
        tip = [self._shadow_at(x + move_x, z + move_z) for x, z in corners]
        fill = int(255 * (1 - darkness))
        for i in range(len(foot)):
            swept = (foot[i - 1], foot[i], tip[i], tip[i - 1])
            self._shadow_pen.polygon(swept, fill=fill)
        self._shadow_pen.polygon(foot, fill=fill)
        self._shadow_pen.polygon(tip, fill=fill)

    def _shadow_at(self, x, z):
        u, v = self.camera.project(x, 0, z)
        return u / 2, v / 2

    def cast_shadows(self, softness):
        """Darken the paper where shadows were marked; classes stay."""
        width, height = self.paper.size
        # The sky, which fills half the paper, holds no shadows.
        top = int(self.camera.center[1] - abs(self.camera.roll) * width)
        top = min(max(0, top), height - 2) // 2
        soft = self._shadows.crop((0, top, width // 2, height // 2))
        soft = soft.filter(ImageFilter.BoxBlur(softness))
        ground = self.paper.crop((0, 2 * top, width, height))
        grey = soft.resize(ground.size, Image.Resampling.BILINEAR)
        keep = Image.new("L", grey.size, 255)
        shade = Image.merge("RGBA", (grey, grey, grey, keep))
        self.paper.paste(ImageChops.multiply(ground, shade), (0, 2 * top))

    def develop(self):
        """Return the finished image, its label, and the numbers of things.

        Returns:
            Image `(H, W, 3)` and label `(H, W)`, both uint8, and int32
            `(H, W)`.
        """
        image = np.asarray(self.paper.convert("RGB").reduce(SUPERSAMPLE))
        label = np.asarray(self.paper)[::SUPERSAMPLE, ::SUPERSAMPLE, 3]
        numbers = np.asarray(self._numbers)[::SUPERSAMPLE, ::SUPERSAMPLE]
        return image, label.copy(), numbers.copy()


@dataclass(frozen=True)
class Brush:
    """Draws on a canvas in the metres of a thing: right, up, forward.

    Args:
        canvas: Canvas to draw on.
        x: Place of the thing, metres right of the street's middle.
        z: Place of the thing, metres ahead of the camera.
        heading: Radians; 0 faces away from the camera. Defaults to `0`.
        mirror: -1 swaps left and right. Defaults to `1`.
    """

    canvas: Canvas
    x: float
    z: float
    heading: float = 0.0
    mirror: int = 1

    @cached_property
    def scale(self) -> float:
        """Return the canvas pixels per metre where the thing stands."""
        return self.canvas.camera.focal / max(self.z, NEAR)

    @cached_property
    def _spin(self):
        return math.sin(self.heading), math.cos(self.heading)

    @cached_property
    def _veil(self):
        """Return the share of a color that haze takes at this depth."""
        return 1 - math.exp(-self.z / self.canvas.light.reach)

    def turn(self, right, forward) -> tuple[float, float]:
        """Return the thing's (right, forward) in the street's (x, z)."""
        sin, cos = self._spin
        right *= self.mirror
        return right * cos + forward * sin, forward * cos - right * sin

    def moved(self, right=0.0, forward=0.0) -> "Brush":
        """Return a brush for a part, or a neighbor, of the thing."""
        x, z = self.turn(right, forward)
        return replace(self, x=self.x + x, z=self.z + z)

    def at(self, right, up, forward=0.0) -> tuple[float, float]:
        """Return the canvas pixel of a point of the thing."""
        sin, cos = self._spin
        right *= self.mirror
        return self.canvas.camera.project(
            self.x + right * cos + forward * sin,
            up,
            self.z + forward * cos - right * sin,
        )

    def face(self, points, color, label, normal=None):
        """Fill a polygon of (right, up, forward) points.

        Args:
            points: Three corners or more.
            color: RGB before light and haze.
            label: Class name.
            normal: Outward (right, up, forward) unit vector. It decides how
                the face is lit, and that it is left out where it looks away
                from the camera.
        """
        shade = 1.0 if normal is None else self._shade(normal, points[0])
        if shade > 0:
            spots = [self.at(*point) for point in points]
            # Half of a near facade is out of sight: cheaper not to draw it.
            across = [spot[0] for spot in spots]
            if max(across) > 0 and min(across) < self.canvas.paper.width:
                self.canvas.polygon(spots, self._tint(color, shade), label)

    def limb(self, start, end, widths, color, label):
        """Draw a rod; `widths` are its metres across at start and end."""
        (u0, v0), (u1, v1) = self.at(*start), self.at(*end)
        length = math.hypot(u1 - u0, v1 - v0) or 1.0
        across = (v0 - v1) / length, (u1 - u0) / length
        points = []
        for u, v, width, signs in (
            (u0, v0, widths[0], (-1, 1)),
            (u1, v1, widths[1], (1, -1)),
        ):
            # Half of at least two canvas pixels: see `Canvas.line`.
            half = max(width * self.scale, SUPERSAMPLE) / 2
            for sign in signs:
                points.append(
                    (u + sign * half * across[0], v + sign * half * across[1])
                )
        self.canvas.polygon(points, self._tint(color), label)

    def disc(self, middle, radii, color, label, corners=10):
        """Fill an ellipse that faces the camera; `radii` are (right, up)."""
        u, v = self.at(*middle)
        across, up = (r * self.scale for r in radii)
        turns = (2 * math.pi * i / corners for i in range(corners))
        points = [
            (u + across * math.cos(t), v + up * math.sin(t)) for t in turns
        ]
        self.canvas.polygon(points, self._tint(color), label)

    def clumps(self, middle, radii, spots, color, label):
        """Fill many small hexagons within an ellipse, as foliage.

        Args:
            middle: (right, up, forward) of the ellipse's middle.
            radii: (right, up) radii of the ellipse, metres.
            spots: `(N, 4)` array of right and up in units of `radii`, size in
                the same units, and brightness.
            color: RGB at brightness 1.
            label: Class name.
        """
        u, v = self.at(*middle)
        reach = np.array([radii[0], -radii[1]]) * self.scale
        places = (u, v) + spots[:, :2] * reach  # (N, 2)
        edges = HEXAGON * spots[:, 2, None, None] * reach  # (N, 6, 2)
        corners = (places[:, None] + edges).reshape(-1, 12).tolist()
        shades = np.clip(spots[:, 3:] * self._tint(color), 0, 255)  # (N, 3)
        for points, shade in zip(
            corners, shades.astype(int).tolist(), strict=True
        ):
            self.canvas.polygon(points, shade, label)

    def _tint(self, color, shade=1.0):
        if shade != 1.0:
            color = tuple(c * shade for c in color)
        return mix(color, self.canvas.light.haze, self._veil)

    def _shade(self, normal, point):
        """Return the brightness of a face, 0 if its back is turned."""
        right, up, forward = normal
        normal_x, normal_z = self.turn(right, forward)
        away_x, away_z = self.turn(point[0], point[2])
        camera = self.canvas.camera
        z = self.z + away_z
        x = self.x + away_x + camera.bend * z * z - camera.offset
        if x * normal_x + (point[1] - camera.height) * up + z * normal_z >= 0:
            return 0.0
        return self.canvas.light.shade((normal_x, up, normal_z))
