"""Plans a street: its cross-section, the camera on it, the lots along it.

`items.py` fills the plan, `ground.py` paints its floor, and `street_scenes.py`
everything that stands on it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dla_keras.data.toy_streets import lots
from dla_keras.data.toy_streets.canvas import Camera
from dla_keras.data.toy_streets.canvas import between
from dla_keras.data.toy_streets.canvas import pick

FAR = 160.0  # metres; the ground ends here, a little under the horizon
CROSSING = 9.0  # metres; width of a street that closes another
RAILS = 0.55  # where the rails lie, as a share of the lane's half width

# How many of ten lots are of which kind, by the side's character.
LOTS = {
    "town": ((lots.house, 8), (lots.wall, 1), (lots.fence, 1)),
    "suburb": (
        (lots.house, 3),
        (lots.wall, 3),
        (lots.fence, 3),
        (lots.hedge, 1),
    ),
    "park": ((lots.fence, 4), (lots.wall, 3), (lots.hedge, 2), (lots.lawn, 1)),
    "open": ((lots.lawn, 10),),
}


@dataclass(frozen=True)
class Side:
    """One side of a street, from its kerb outwards, metres.

    Args:
        sign: -1 left, 1 right.
        kerb: distance of the kerb from the street's middle.
        verge: width of the grass at the kerb, 0 for none.
        path: width of the pavement.
        garden: width of the grass before the lots, 0 for none.
        character: key of `LOTS`.
    """

    sign: int
    kerb: float
    verge: float
    path: float
    garden: float
    character: str

    @property
    def front(self) -> float:
        """Distance of the lots from the street's middle."""
        return self.kerb + self.verge + self.path + self.garden


@dataclass(frozen=True)
class Street:
    """The plan of a street.

    Args:
        sides: left and right.
        lane: half the width of the carriageway without parking, metres.
        parking: width of the parking strips, metres.
        end: depth where a crossing street closes it; `FAR` if none does.
        rails: whether trams run on it.
    """

    sides: tuple[Side, Side]
    lane: float
    parking: float
    end: float
    rails: bool


def plan_street(rng) -> Street:
    """A random plan."""
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
    """A random camera, mostly on the carriageway; sizes in canvas pixels."""
    reach = street.lane + street.parking
    if rng.random() < 0.25:  # on a pavement
        side = pick(rng, street.sides)
        offset = side.sign * (side.kerb + side.verge + 0.5 * side.path)
    else:
        offset = between(rng, -reach, reach)
    # From the left one looks right, or little of the street would be seen.
    look = 0.5 + between(rng, -0.35, 0.35) + 0.2 * offset / reach
    return Camera(
        size=(width, height),
        focal=width * between(rng, 0.6, 1.05),
        height=between(rng, 1.2, 2.6),
        offset=offset,
        centre=(width * look, height * between(rng, 0.22, 0.62)),
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
    """Lots along both sides, and across the end where a street closes it."""
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
            # A passage between two lots, where the next one's gable shows.
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
    """One of (option, weight) rows."""
    return pick(rng, [option for option, weight in rows for _ in range(weight)])
