"""The painter's order: what stands behind what, seen from the camera.

`street_scenes.py` collects `Stand`s from the plan and paints them in the order
of `back_to_front`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dla_keras.data.streets.canvas import Brush

# Metres by which things outgrow their foot. Crowns do by more, but wider spans
# would relate things that never meet, in circles.
OVERHANG = 0.3


@dataclass(frozen=True, eq=False)
class Stand:
    """Something that stands on the ground.

    Args:
        foot: (x, z) corners of the ground it takes, metres.
        draw: `draw(brush, rng, *size)`.
        brush: at the thing's origin.
        size: what `draw` needs beyond brush and generator.
    """

    foot: tuple[tuple[float, float], ...]
    draw: Callable
    brush: Brush
    size: tuple[float, ...] = ()

    @cached_property
    def depth(self) -> tuple[float, float]:
        """Nearest and farthest metre."""
        depths = [z for _, z in self.foot]
        return min(depths), max(depths)

    @cached_property
    def aside(self) -> float:
        """Metres between the camera's line of sight and the nearest edge."""
        offset = self.brush.canvas.camera.offset
        across = [x - offset for x, _ in self.foot]
        return max(0.0, min(across), -max(across))

    @cached_property
    def span(self) -> tuple[float, float]:
        """Leftmost and rightmost canvas pixel, overhang included."""
        project = self.brush.canvas.camera.project
        across = [
            project(x + reach, 0.0, z)[0]
            for x, z in self.foot
            for reach in (-OVERHANG, OVERHANG)
        ]
        return min(across), max(across)

    def is_behind(self, other: "Stand") -> bool:
        """Whether `other` may hide a part of this."""
        if self.span[1] < other.span[0] or other.span[1] < self.span[0]:
            return False
        if self.depth[0] >= other.depth[1]:
            return True
        if other.depth[0] >= self.depth[1]:
            return False
        # Side by side: a tram hides who waits on its far side, though most of
        # the tram may be farther away.
        return self.aside > other.aside


def back_to_front(stands: list[Stand]) -> list[Stand]:
    """Orders stands so that each is painted after all that it may hide."""
    rest = sorted(stands, key=lambda stand: -stand.depth[1])
    order = []
    while rest:
        free = (
            stand
            for stand in rest
            if not any(o.is_behind(stand) for o in rest if o is not stand)
        )
        # Boxes that bend round each other have no order; the farthest goes.
        chosen = next(free, rest[0])
        rest.remove(chosen)
        order.append(chosen)
    return order
