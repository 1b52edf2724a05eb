"""The table of what fills a street, and where each row finds room.

Between `plan.py`, which lays the street out, and `street_scenes.py`, which
draws the items back to front.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dla_keras.data.toy_streets import people
from dla_keras.data.toy_streets import posts
from dla_keras.data.toy_streets import vehicles
from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import pick
from dla_keras.data.toy_streets.plan import CROSSING
from dla_keras.data.toy_streets.plan import FAR
from dla_keras.data.toy_streets.plan import RAILS


@dataclass(frozen=True)
class Item:
    """A row of the table of things that fill a street.

    Args:
        draw: `draw(brush, rng)`.
        zone: part of the street; a key of `ZONES`.
        chance: share of streets that have any.
        most: highest number of them in one street.
        depth: nearest and farthest, metres.
        foot: half width and half length on the ground, metres.
        height: metres; how far the shadow reaches.
    """

    draw: Callable
    zone: str
    chance: float
    most: int
    depth: tuple[float, float]
    foot: tuple[float, float]
    height: float


# Rare classes come oftener and nearer than in a real street: a small network
# has to learn them from 600 pictures.
ITEMS = (
    Item(vehicles.tram, "rails", 0.85, 1, (14, 40), (1.3, 8.2), 3.4),
    Item(vehicles.bus, "lane", 0.3, 1, (10, 32), (1.3, 5.7), 3.0),
    Item(vehicles.bus, "crossing", 0.15, 1, (12, 26), (5.7, 1.3), 3.0),
    Item(vehicles.truck, "lane", 0.3, 1, (9, 30), (1.3, 3.9), 3.2),
    Item(vehicles.truck, "crossing", 0.15, 1, (11, 24), (3.9, 1.3), 3.2),
    Item(vehicles.car, "lane", 0.6, 3, (7, 45), (1.0, 2.4), 1.5),
    Item(vehicles.car, "crossing", 0.3, 2, (8, 24), (2.4, 1.0), 1.5),
    Item(vehicles.car, "parked", 0.7, 5, (5, 45), (1.0, 2.4), 1.5),
    Item(people.motorcyclist, "lane", 0.3, 2, (5, 16), (0.4, 1.1), 1.6),
    Item(people.motorcyclist, "crossing", 0.2, 1, (5, 13), (1.1, 0.4), 1.6),
    Item(people.motorcycle, "rack", 0.3, 2, (5, 14), (0.9, 0.6), 1.1),
    Item(people.cyclist, "lane", 0.3, 2, (5, 15), (0.4, 0.9), 1.7),
    Item(people.cyclist, "crossing", 0.25, 1, (5, 13), (0.9, 0.4), 1.7),
    Item(people.bicycle, "rack", 0.3, 3, (4, 12), (0.9, 0.5), 1.0),
    Item(people.person, "pavement", 0.75, 5, (4, 24), (0.3, 0.3), 1.7),
    Item(people.person, "across", 0.4, 4, (5, 20), (0.3, 0.3), 1.7),
    Item(posts.tree, "kerb", 0.45, 5, (7, 60), (0.8, 0.8), 5.0),
    Item(posts.bush, "kerb", 0.25, 3, (5, 30), (0.7, 0.7), 1.0),
    Item(posts.lamp_post, "kerb", 0.6, 4, (4, 35), (0.2, 0.2), 6.0),
    Item(posts.bollard, "kerb", 0.2, 6, (4, 16), (0.2, 0.2), 1.0),
    Item(posts.traffic_light, "kerb", 0.6, 3, (5, 18), (0.2, 0.2), 3.5),
    Item(posts.traffic_sign, "kerb", 0.75, 3, (4, 18), (0.3, 0.2), 2.6),
    Item(posts.bin_box, "kerb", 0.2, 2, (4, 18), (0.4, 0.4), 1.0),
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
    """On the street that closes this one; anywhere across where none does."""
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
    """Places for the rows of `ITEMS`: (item, x, z, heading), none overlapping.

    Rows are served from the top, so rare, large things find room.
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
    # Past the end there are no lots to collide with; behind it they begin.
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
