"""Draw boxes and the links between them as SVG, for `draw_aggregation.py`."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

MARGIN = 16  # pixels around the picture
RADIUS = 5  # of a link's corner, in pixels
LETTER = 6  # pixels, the width of one on average, and more
LANE = 7  # pixels between links that enter the same box

# kind: width, height, fill, line, meaning
KINDS = {
    "input": (46, 24, "#ffffff", "#777777", None),
    "level": (72, 34, "#e8eef6", "#5b83b5", "level of the backbone"),
    "conv": (40, 24, "#eeeeee", "#777777", "convolution"),
    "block": (38, 24, "#dce8f7", "#4a78b0", "block"),
    "project": (48, 20, "#fdebd3", "#c9822b", "1x1 projection"),
    "up": (48, 20, "#fff6c9", "#b59a1d", "upsampling"),
    "root": (32, 44, "#d3ecd6", "#3d8b4c", "root"),
    "node": (54, 28, "#d3ecd6", "#3d8b4c", "node: joins two, 3x3"),
    "head": (40, 24, "#eeeeee", "#777777", "head"),
}
# kind of link: line, dashes, meaning
LINKS = {
    "plain": ("#666666", "", "features"),
    "again": ("#3d8b4c", "", "an earlier root, once more"),
    "level": ("#8e4fb0", "5 3", "level root: input, pooled"),
    "shortcut": ("#c9822b", "5 3", "shortcut: input, pooled"),
}


@dataclass(frozen=True)
class Box:
    """A drawn layer, around its middle, in pixels."""

    key: str
    kind: str
    label: str
    x: float
    y: float

    @property
    def width(self):
        return KINDS[self.kind][0]

    @property
    def height(self):
        return KINDS[self.kind][1]

    def covers(self, y):
        return abs(y - self.y) <= self.height / 2


@dataclass(frozen=True)
class Span:
    """A layer that holds others: a bracket below them, or a band behind.

    A band's label stands inside at the top, or, with `beside`, at the right.
    """

    label: str
    left: float
    right: float
    top: float
    bottom: float
    beside: bool = False


def kind_of(source, target, pooled):
    if pooled:
        return "level" if target.kind == "root" else "shortcut"
    if source.kind == "project" and target.kind == "block":
        return "shortcut"
    return "again" if source.kind == target.kind == "root" else "plain"


def routes(links, boxes):
    """Yield each link's corners, so that none crosses a box or another's lane.

    A link leaves upwards, downwards or to the right, turns once and enters
    from the left; the farther its source, the higher it enters.
    """
    at = {box.key: box for box in boxes}
    ends = [
        (at[s], at[t], pooled)
        for s, t, pooled in sorted(links)
        if s in at and t in at
    ]
    lanes = {}
    for target in boxes:
        entering = [e for e in ends if e[1] == target and not straight(*e[:2])]
        entering.sort(key=lambda end: (end[0].x, not end[2]))
        first = 0 if target.kind == "node" else (len(entering) - 1) / 2
        for i, end in enumerate(entering):
            lanes[end] = target.y + (i - first) * LANE
    for end in ends:
        source, target, _ = end
        yield end, corners(end, lanes, port(end, ends, lanes))


def straight(source, target):
    return (
        source.x == target.x
        or target.kind in ("up", "project")
        and (target.y < source.y)
    )


def port(end, ends, lanes):
    """Return how far from its source's middle a link leaves."""
    source = end[0]
    if end not in lanes or source.covers(lanes[end]):
        return 0
    up = lanes[end] < source.y
    same = [
        lanes[other]
        for other in ends
        if other[0] == source
        and other in lanes
        and not source.covers(lanes[other])
        and (lanes[other] < source.y) == up
    ]
    same.sort(reverse=not up)  # the one that goes farthest leaves first
    return (same.index(lanes[end]) - (len(same) - 1) / 2) * LANE


def corners(end, lanes, offset):
    source, target, _ = end
    if source.x == target.x:
        side = 1 if target.y > source.y else -1
        return [
            (source.x, source.y + side * source.height / 2),
            (target.x, target.y - side * target.height / 2),
        ]
    right = source.x + source.width / 2
    if end not in lanes:  # enters from below
        bottom = target.y + target.height / 2
        return [(right, source.y), (target.x, source.y), (target.x, bottom)]
    lane, left = lanes[end], target.x - target.width / 2
    if source.covers(lane):
        return [(right, lane), (left, lane)]
    x = source.x + offset
    side = 1 if lane > source.y else -1
    start = source.y + side * source.height / 2
    return [(x, start), (x, lane), (left, lane)]


def picture(links, boxes, brackets=(), bands=()) -> str:
    """Return the SVG of a figure, with a legend.

    Args:
        links: Triples `(source, target, pooled)` of the boxes' keys; a link to
            a box that is not drawn is left out.
        boxes: The layers.
        brackets: Spans drawn below the boxes.
        bands: Spans drawn behind them.
    """
    ways = list(routes(links, boxes))
    left, right, top, bottom = _extent(boxes, ways, [*brackets, *bands])
    legend, bottom = _legend(
        {box.kind for box in boxes},
        {kind_of(*end) for end, _ in ways},
        left,
        bottom + 34,
    )
    x, y = left - MARGIN, top - MARGIN
    size = (right - x + MARGIN, bottom - y + MARGIN)
    frame = 'width="{:g}" height="{:g}"'.format(*size)
    view = "{:g} {:g} {:g} {:g}".format(x, y, *size)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" {frame}'
            ' font-family="Helvetica, Arial, sans-serif" font-size="11" '
            'text-anchor="middle" fill="none" stroke-width="1.3">',
            f'<rect x="{x:g}" y="{y:g}" {frame} fill="#ffffff"/>',
            *map(_arrowhead, LINKS),
            *map(_band, bands),
            *(_link(kind_of(*end), points) for end, points in ways),
            *map(_box, boxes),
            *map(_bracket, brackets),
            *legend,
            "</svg>\n",
        ]
    )


def _extent(boxes, ways, spans):
    """Return the left, right, top and bottom of all that is drawn."""
    corners = [point for _, points in ways for point in points]
    for box in boxes:
        corners.append((box.x - box.width / 2, box.y - box.height / 2))
        corners.append((box.x + box.width / 2, box.y + box.height / 2))
    for span in spans:
        text = 10 + LETTER * len(span.label) if span.beside else 0
        corners.append((span.left, span.top))
        corners.append((span.right + text, span.bottom))
    xs, ys = zip(*corners, strict=True)
    return min(xs), max(xs), min(ys), max(ys)


def _text(x, y, text, color="#222222", anchor=None):
    anchor = f' text-anchor="{anchor}"' if anchor else ""
    place = f'x="{x:g}" y="{y:g}" fill="{color}"{anchor}'
    return f"<text {place}>{escape(text)}</text>"


def _arrowhead(kind):
    return (
        f'<marker id="{kind}" viewBox="0 0 6 6" refX="5.5" refY="3" '
        'markerWidth="5" markerHeight="5" orient="auto">'
        f'<path d="M0 0.5L6 3L0 5.5Z" fill="{LINKS[kind][0]}"/></marker>'
    )


def _box(box):
    _, _, fill, line, _ = KINDS[box.kind]
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{box.width}" height="{box.height}" '
        f'rx="4" fill="{fill}" stroke="{line}"/>'
        + _text(box.x, box.y + 4, box.label)
    )


def _link(kind, points):
    color, dashes, _ = LINKS[kind]
    dashes = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{_rounded(points)}" stroke="{color}"{dashes} '
        f'marker-end="url(#{kind})"/>'
    )


def _rounded(points):
    """Return a path through `points` with a rounded corner."""
    if len(points) == 3:
        start, (x, y), end = points
        before, after = (
            (x + RADIUS * _sign(far[0] - x), y + RADIUS * _sign(far[1] - y))
            for far in (start, end)
        )
        points = [start, before, (x, y), after, end]
    pairs = [f"{x:g} {y:g}" for x, y in points]
    if len(pairs) == 5:
        return "M{}L{}Q{} {}L{}".format(*pairs)
    return "M{}L{}".format(*pairs)


def _sign(number):
    return (number > 0) - (number < 0)


def _bracket(span):
    y = span.bottom
    return (
        f'<path d="M{span.left:g} {y - 4:g}V{y:g}H{span.right:g}V{y - 4:g}" '
        'stroke="#999999"/>'
        + _text((span.left + span.right) / 2, y + 13, span.label, "#555555")
    )


def _band(span):
    width, height = span.right - span.left, span.bottom - span.top
    x, y = span.left + 8, span.top + 15
    if span.beside:
        x, y = span.right + 10, (span.top + span.bottom) / 2
    return (
        f'<rect x="{span.left:g}" y="{span.top:g}" width="{width:g}" '
        f'height="{height:g}" rx="6" fill="#f4f4f1"/>'
        + _text(x, y, span.label, "#555555", "start")
    )


def _legend(kinds, links, left, y):
    """Return the legend of colors: boxes in one line, links in the next."""
    swatch = '<rect y="-6" width="16" height="12" rx="3" {}/>'
    boxes = [
        (swatch.format(f'fill="{fill}" stroke="{line}"'), meaning)
        for kind, (_, _, fill, line, meaning) in KINDS.items()
        if kind in kinds and meaning
    ]
    lines = [
        (_link(kind, [(0, 0), (20, 0)]), meaning)
        for kind, (_, _, meaning) in LINKS.items()
        if kind in links and len(links) > 1
    ]
    parts = []
    for entries in filter(None, (boxes, lines)):
        x = left
        for symbol, meaning in entries:
            text = _text(26, 4, meaning, anchor="start")
            parts.append(
                f'<g transform="translate({x:g} {y:g})">{symbol}{text}</g>'
            )
            x += 26 + LETTER * len(meaning) + 16
        y += 22
    return parts, y - 14
