"""Plans a street: its cross-section, the camera, what stands where.

`scene.py` paints the plan.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dla_keras.data.toy_streets import roadside
from dla_keras.data.toy_streets import traffic
from dla_keras.data.toy_streets.canvas import Camera
from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import pick

FAR = 160.0  # metres; the ground ends here, a little under the horizon
CROSSING = 9.0  # metres; width of a street that closes another
RAILS = 0.55  # where the rails lie, as a share of the lane's half width

# How many of ten lots are of which kind, by the side's character.
LOTS = {
    "town": ((roadside.house, 8), (roadside.wall, 1), (roadside.fence, 1)),
    "suburb": (
        (roadside.house, 3),
        (roadside.wall, 3),
        (roadside.fence, 3),
        (roadside.hedge, 1),
    ),
    "park": (
        (roadside.fence, 4),
        (roadside.wall, 3),
        (roadside.hedge, 2),
        (roadside.lawn, 1),
    ),
    "open": ((roadside.lawn, 10),),
}


@dataclass(frozen=True)
class Side:
    """One side of a street, from its kerb outwards, metres.

    Args:
        sign: -1 left, 1 right.
        kerb: Distance of the kerb from the street's middle.
        verge: Width of the grass at the kerb, 0 for none.
        path: Width of the pavement.
        garden: Width of the grass before the lots, 0 for none.
        character: Key of `LOTS`.
    """

    sign: int
    kerb: float
    verge: float
    path: float
    garden: float
    character: str

    @property
    def front(self) -> float:
        """Return the distance of the lots from the street's middle."""
        return self.kerb + self.verge + self.path + self.garden


@dataclass(frozen=True)
class Street:
    """The plan of a street.

    Args:
        sides: Left and right side.
        lane: Half the width of the carriageway without parking, metres.
        parking: Width of the parking strips, metres.
        end: Depth where a crossing street closes it; `FAR` if none does.
        rails: Whether trams run on it.
    """

    sides: tuple[Side, Side]
    lane: float
    parking: float
    end: float
    rails: bool


def plan_street(rng) -> Street:
    """Draw a random plan of a street."""
    lane = between(rng, 2.8, 4.2) * pick(rng, (1, 1, 1, 2))
    parking = pick(rng, (0.0, 2.2))
    characters = ("town", "town", "suburb", "suburb", "park", "open")
    sides = []
    for sign in (-1, 1):
        sides.append(
            Side(
                sign=sign,
                kerb=lane + parking,
                verge=between(rng, 0.8, 3.0) if rng.random() < 0.4 else 0.0,
                path=between(rng, 1.5, 4.5),
                garden=between(rng, 0.8, 3.5) if rng.random() < 0.35 else 0.0,
                character=pick(rng, characters),
            )
        )
    end = between(rng, 14, 45) if rng.random() < 0.4 else FAR
    return Street(tuple(sides), lane, parking, end, rng.random() < 0.55)


def plan_camera(rng, street, height, width) -> Camera:
    """Draw a random camera, mostly on the carriageway.

    `height` and `width` are those of the canvas, in canvas pixels.
    """
    reach = street.lane + street.parking
    if rng.random() < 0.25:  # on a pavement
        side = pick(rng, street.sides)
        offset = side.sign * (side.kerb + side.verge + 0.5 * side.path)
    else:
        offset = between(rng, -reach, reach)
    # From the left the camera looks right, to see enough of the street.
    look = 0.5 + between(rng, -0.35, 0.35) + 0.2 * offset / reach
    return Camera(
        size=(width, height),
        focal=width * between(rng, 0.6, 1.05),
        height=between(rng, 1.2, 2.6),
        offset=offset,
        center=(width * look, height * between(rng, 0.22, 0.62)),
        roll=between(rng, -0.04, 0.04),
        bend=between(rng, -0.004, 0.004) * (rng.random() < 0.6),
    )


@dataclass(frozen=True)
class Lot:
    """A lot: `draw(brush, rng, length)` at a corner, along a heading."""

    draw: Callable
    x: float
    z: float
    heading: float
    mirror: int
    length: float


def plan_lots(rng, street) -> list[Lot]:
    """Plan lots along both sides, and along a street that closes this one."""
    plan = []
    for side in street.sides:
        z = between(rng, -6, 1)
        stop = min(street.end, 75.0)
        while z < stop - 4:
            length = min(between(rng, 7, 16), stop - z)
            start = max(z, 1.0)
            draw = _weighted(rng, LOTS[side.character])
            x = side.sign * (side.front + between(rng, 0, 0.3))
            rest = z + length - start
            if rest > 1.5:
                plan.append(Lot(draw, x, start, 0.0, side.sign, rest))
            # A gap between two lots, where the next one's gable shows.
            z += length + (between(rng, 2, 7) if rng.random() < 0.2 else 0)
    if street.end < FAR:
        character = pick(rng, ("town", "suburb", "park"))
        depth, x = street.end + CROSSING + 2.5, -1.1 * street.end - 15
        while x < 1.1 * street.end + 15:
            length = between(rng, 8, 18)
            draw = _weighted(rng, LOTS[character])
            plan.append(Lot(draw, x, depth, math.pi / 2, -1, length))
            x += length
    return plan


def _weighted(rng, rows):
    """Draw the option of one of several (option, weight) rows."""
    return pick(rng, [option for option, weight in rows for _ in range(weight)])


@dataclass(frozen=True)
class Item:
    """A row of the table of things that fill a street.

    Args:
        draw: Function `draw(brush, rng)`.
        zone: Part of the street; a key of `ZONES`.
        chance: Share of streets that have any.
        most: Highest number of them in one street.
        depth: Nearest and farthest depth, metres.
        foot: Half width and half length on the ground, metres.
        height: Height, metres, which decides the length of the shadow.
    """

    draw: Callable
    zone: str
    chance: float
    most: int
    depth: tuple[float, float]
    foot: tuple[float, float]
    height: float


# Rare classes are more frequent and nearer than in a real street, since a small
# network has to learn them from 600 images.
ITEMS = (
    Item(traffic.tram, "rails", 0.85, 1, (14, 40), (1.3, 8.2), 3.4),
    Item(traffic.bus, "lane", 0.3, 1, (10, 32), (1.3, 5.7), 3.0),
    Item(traffic.bus, "crossing", 0.15, 1, (12, 26), (5.7, 1.3), 3.0),
    Item(traffic.truck, "lane", 0.3, 1, (9, 30), (1.3, 3.9), 3.2),
    Item(traffic.truck, "crossing", 0.15, 1, (11, 24), (3.9, 1.3), 3.2),
    Item(traffic.car, "lane", 0.6, 3, (7, 45), (1.0, 2.4), 1.5),
    Item(traffic.car, "crossing", 0.3, 2, (8, 24), (2.4, 1.0), 1.5),
    Item(traffic.car, "parked", 0.7, 5, (5, 45), (1.0, 2.4), 1.5),
    Item(traffic.motorcyclist, "lane", 0.3, 2, (5, 16), (0.4, 1.1), 1.6),
    Item(traffic.motorcyclist, "crossing", 0.2, 1, (5, 13), (1.1, 0.4), 1.6),
    Item(traffic.motorcycle, "rack", 0.3, 2, (5, 14), (0.9, 0.6), 1.1),
    Item(traffic.cyclist, "lane", 0.3, 2, (5, 15), (0.4, 0.9), 1.7),
    Item(traffic.cyclist, "crossing", 0.25, 1, (5, 13), (0.9, 0.4), 1.7),
    Item(traffic.bicycle, "rack", 0.3, 3, (4, 12), (0.9, 0.5), 1.0),
    Item(traffic.person, "pavement", 0.75, 5, (4, 24), (0.3, 0.3), 1.7),
    Item(traffic.person, "across", 0.4, 4, (5, 20), (0.3, 0.3), 1.7),
    Item(roadside.tree, "kerb", 0.45, 5, (7, 60), (0.8, 0.8), 5.0),
    Item(roadside.bush, "kerb", 0.25, 3, (5, 30), (0.7, 0.7), 1.0),
    Item(roadside.lamp_post, "kerb", 0.6, 4, (4, 35), (0.2, 0.2), 6.0),
    Item(roadside.bollard, "kerb", 0.2, 6, (4, 16), (0.2, 0.2), 1.0),
    Item(roadside.traffic_light, "kerb", 0.6, 3, (5, 18), (0.2, 0.2), 3.5),
    Item(roadside.traffic_sign, "kerb", 0.75, 3, (4, 18), (0.3, 0.2), 2.6),
    Item(roadside.bin_box, "kerb", 0.2, 2, (4, 18), (0.4, 0.4), 1.0),
)


def _lane(rng, street, z):
    right = rng.random() < 0.55  # traffic keeps right
    x = street.lane / 2 + between(rng, -0.4, 0.4)
    return (x, z, 0.0) if right else (-x, z, math.pi)


def _rails(rng, street, z):
    right = rng.random() < 0.5
    x = street.lane * RAILS
    return (x, z, 0.0) if right else (-x, z, math.pi)


def _parked(rng, street, z):
    sign = pick(rng, (-1, 1))
    x = sign * (street.lane + street.parking - 1.1)
    return x, z, (0.0 if sign > 0 else math.pi) + between(rng, -0.05, 0.05)


def _across(rng, street, z):
    half = street.lane + street.parking
    return between(rng, -half, half), z, _sideways(rng)


def _crossing(rng, street, z):
    """Return a place on the street that closes this one, or else across."""
    if street.end == FAR:
        return _across(rng, street, z)
    x = between(rng, -0.6, 0.6) * street.end
    return x, street.end + between(rng, 2.5, CROSSING - 2.5), _sideways(rng)


def _sideways(rng):
    return pick(rng, (-1, 1)) * math.pi / 2 + between(rng, -0.45, 0.45)


def _kerb(rng, street, z):
    side = pick(rng, street.sides)
    strip = max(0.8, side.verge)
    x = side.sign * (side.kerb + 0.3 + (strip - 0.5) * rng.random())
    return x, z, between(rng, -0.5, 0.5)


def _rack(rng, street, z):
    x, z, _ = _kerb(rng, street, z)
    return x, z, _sideways(rng)


def _pavement(rng, street, z):
    side = pick(rng, street.sides)
    inner = side.kerb + side.verge + 0.3
    x = side.sign * (inner + (side.path - 0.5) * rng.random())
    return x, z, between(rng, -1, 1) * math.pi


# zone -> (x, z, heading) of a place in it at about a depth
ZONES = {
    "lane": _lane,
    "rails": _rails,
    "parked": _parked,
    "across": _across,
    "crossing": _crossing,
    "kerb": _kerb,
    "rack": _rack,
    "pavement": _pavement,
}


def plan_items(rng, street, camera) -> list[tuple[Item, float, float, float]]:
    """Return places for the rows of `ITEMS`, none of which overlap.

    A place is (item, x, z, heading). The first rows are placed first, so that
    rare, large things find room.
    """
    placed = []
    for item in ITEMS:
        if rng.random() >= item.chance:
            continue
        if item.zone == "rails" and not street.rails:
            continue
        for _ in range(1 + int(rng.random() * item.most)):
            for _ in range(5):
                near, far = (math.log(d) for d in item.depth)
                depth = math.exp(between(rng, near, far))
                x, z, heading = ZONES[item.zone](rng, street, depth)
                if _is_free(item, x, z, street, camera, placed):
                    placed.append((item, x, z, heading))
                    break
    return placed


def _is_free(item, x, z, street, camera, placed):
    wide, long = item.foot
    inside = abs(x) + wide < min(s.front for s in street.sides)
    # Beyond the street's end there are no lots at its sides to collide with.
    if z < street.end and not inside:
        return False
    if z + long > street.end and item.zone != "crossing":
        return False
    if z - long < 3.0 or not camera.sees([(x, z)]):
        return False
    return all(
        abs(x - x2) > wide + other.foot[0] + 0.1
        or abs(z - z2) > long + other.foot[1] + 0.1
        for other, x2, z2, _ in placed
    )
