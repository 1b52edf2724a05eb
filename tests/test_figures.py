"""The figures in docs/ show the code as it is."""

import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture
def draw(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import draw_aggregation

    return draw_aggregation


@pytest.mark.parametrize("name", ["tree.svg", "dla34.svg", "dla_up.svg"])
def test_figure_is_what_the_script_draws(draw, name):
    committed = (DOCS / "figures" / name).read_text()
    assert draw.FIGURES[name]() == committed, (
        f"{name} is out of date: run python docs/draw_aggregation.py, look at "
        "it, and commit it."
    )


def test_every_figure_is_on_the_page(draw):
    page = (DOCS / "aggregation.md").read_text()
    shown = re.findall(r"\(figures/(.*?)\)", page)
    assert sorted(shown) == sorted(draw.FIGURES)


def test_links_of_a_tree_are_the_papers(draw):
    """Figure 2(f) with four blocks, by hand."""
    import keras

    from dla_keras.layers import Tree

    x = keras.Input((16, 16, 8), name="image")
    tree = Tree(8, depth=2, level_root=True, name="t")
    model = keras.Model(x, tree(x))
    boxes, _, _ = draw.place_tree(tree, "t", 0)
    links = draw.data_flow(model, draw.drawn(model, boxes))
    names = {
        (source.removeprefix("t_"), target.removeprefix("t_"))
        for source, target, _ in links
    }
    assert names == {
        ("image", "tree1_tree1"),
        ("tree1_tree1", "tree1_tree2"),
        ("tree1_tree1", "tree1_root"),
        ("tree1_tree2", "tree1_root"),
        ("tree1_root", "tree2_tree1"),
        ("tree2_tree1", "tree2_tree2"),
        ("tree2_tree1", "tree2_root"),
        ("tree2_tree2", "tree2_root"),
        ("tree1_root", "tree2_root"),
        ("image", "tree2_root"),
    }
