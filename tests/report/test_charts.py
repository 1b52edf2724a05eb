"""Charts: figures where they belong, in the page's colors, always the same."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from dla_keras.report import charts

STRANGE = ("<b>&\"'", "$", "中", "a\x00b", "c" * 99)


def scores(*points):
    rows = [{"precision": p, "recall": r, "f": p * r} for p, r in points]
    return {"thresholds": rows, "ods": {**rows[0], "f": 0.5}}


def curve(svg):
    """Corners of each drawn line, by its style's color."""
    found = {}
    for path in ElementTree.fromstring(svg).iter("path"):
        color = re.search(r"stroke: var\(--(\w+)\)", path.get("style", ""))
        if color and "clip-path" in path.attrib:
            numbers = np.array(re.findall(r"-?[\d.]+", path.get("d")), float)
            found.setdefault(color[1], []).append(numbers.reshape(-1, 2))
    return found


def test_lines_are_where_their_numbers_are():
    ys = [0, 0.5, 1, float("nan")]
    svg = charts.line_chart({"a": ([0, 50, 100, 100], ys)}, "step", "y")
    lines = curve(svg)
    (line,) = lines["strong"]
    (x0, y0), (x1, y1), (x2, y2) = line
    # Halfway is halfway, up is up.
    assert (x0 + x2) / 2 == pytest.approx(x1, abs=0.02)
    assert (y0 + y2) / 2 == pytest.approx(y1, abs=0.02)
    assert 0 < x0 < x1 < x2 < 380 and 240 > y0 > y1 > y2 > 0
    # The grid's lines of 0 and 100 steps stand where those points are.
    upright = [g[0, 0] for g in lines["rule"] if g[0, 0] == g[1, 0]]
    assert {x0, x2} <= set(upright)
    assert "a 0.5 at 50" in svg and 'aria-label="y"' in svg
    assert charts.line_chart({"a": ([1], [float("nan")])}, "x", "y") == ""


def test_each_line_has_its_color():
    lines = {name: ([0, 1], [0, value]) for value, name in enumerate("abc")}
    found = curve(charts.line_chart(lines, "x", "y"))
    assert {*charts.LINES} <= found.keys()


def test_thinning_keeps_the_mean():
    ys = np.random.default_rng(0).normal(size=3000)
    xs, thin = charts._thinned(np.arange(3000), ys)
    assert len(xs) == len(thin) == 300
    assert thin.mean() == pytest.approx(ys.mean())  # 10 of each
    assert thin[0] == pytest.approx(ys[:10].mean()) and xs[0] == 4.5
    assert charts._thinned([1, 2], [3, 4]) == ([1, 2], [3, 4])


def test_cells_are_as_strong_as_their_shares():
    shares = charts.row_shares([[1, 3], [0, 4]])
    svg = charts.confusion_chart(shares, ("a", "b"))
    cells = re.findall(r"fill: var\(--strong\)(?:; opacity: ([\d.]+))?", svg)
    assert cells == ["0.28", "0.76", ""]  # 1 is opaque; 0 is not drawn
    assert "<title>a, found as b: 75.0%</title>" in svg
    numbers = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    assert [n for n in numbers if n.isdecimal()] == ["25", "75", "100"]


@pytest.mark.parametrize(
    "svg",
    [
        charts.line_chart({"a": ([1, 2], [3, 4])}, "x", "some label"),
        charts.confusion_chart(np.eye(5), STRANGE),
        charts.precision_recall_chart({STRANGE[0]: scores((0.5, 0.5))}),
    ],
    ids=("lines", "confusion", "precision"),
)
def test_svg_follows_the_page(svg):
    root = ElementTree.fromstring(svg)
    # Colors are variables, fonts the page's, and nothing is fetched.
    assert not re.search(r"#[0-9a-f]{6}|font-family|http|@import", svg)
    assert set(re.findall(r"var\(--([\w-]+)\)", svg)) <= charts.THEME.keys()
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'#([\w-]+)[")]', svg)) == set(ids)
    label = root.get("aria-label").replace(" ", "-")
    assert all(name.startswith(label) for name in ids)


def test_the_same_figures_give_the_same_svg():
    draw = lambda: charts.precision_recall_chart({"x": scores((0.5, 0.5))})
    assert draw() == draw()


def test_strange_names_arrive_as_text():
    svg = charts.confusion_chart(np.full((5, 5), 0.2), STRANGE)
    words = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    for name in ("<b>&\"'", "$", "中", "a b", "c" * 23 + "…"):
        assert words.count(name) == 2


def test_one_drawing_makes_page_and_file(tmp_path):
    results = {"good": scores((0.9, 0.8), (0.5, 0.9)), "bad": scores((0.1, 1))}
    svg = charts.precision_recall_chart(results)
    assert "[F = 0.500] good" in svg and "[F = 0.500] bad" in svg
    assert len(curve(svg)["level"]) == 9  # lines of equal F
    text = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    assert {"recall", "precision", "0.1", "0.9"} <= {*text}
    charts.precision_recall_figure(results, tmp_path / "pr.png")
    pixels = np.asarray(Image.open(tmp_path / "pr.png").convert("RGB"))
    colors = {tuple(c) for c in pixels.reshape(-1, 3)}
    for name in ("strong", "second"):
        rgb = bytes.fromhex(charts.THEME[name][1:])
        assert tuple(rgb) in colors
    with pytest.raises(ValueError, match="no detector"):
        charts.precision_recall_figure({}, tmp_path / "pr.png")


@pytest.mark.parametrize("count", [2, 10, 300])
def test_the_matrix_as_a_file(tmp_path, count):
    names = [f"class {index}" for index in range(count)]
    path = tmp_path / "confusion.png"
    charts.confusion_figure(np.eye(count), names, path)
    with Image.open(path) as image:
        assert 700 < image.width < 2000
