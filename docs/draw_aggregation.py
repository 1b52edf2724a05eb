"""Draw the figures of aggregation.md from the graphs of built models.

    python docs/draw_aggregation.py

The graph of leaf layers says which layer feeds which, and the layers'
attributes which layer holds which; only positions and colors are chosen here.
"""

import pathlib
from dataclasses import replace

import keras
from drawing import KINDS
from drawing import Box
from drawing import Span
from drawing import picture

import dla_keras
from dla_keras.files import atomic_path
from dla_keras.layers import Tree
from dla_keras.models.flattening import leaf_calls

FOLDER = pathlib.Path(__file__).parent / "figures"
GAP = 14  # pixels between neighbors
ROW = 48  # pixels from one height of roots to the next
STEP_X, STEP_Y = 140, 114  # pixels from node to node of DLA-Up


# === The graph ===


def data_flow(model, drawn):
    """Return which drawn layers feed which.

    Args:
        model: A functional model.
        drawn: The drawn layers by key; a layer without a box lets its inputs
            through.

    Returns:
        A set of `(source, target, pooled)`; the model's input is `"image"`.
    """
    owner = {}
    for key, layer in drawn.items():
        for leaf in layer._flatten_layers():
            owner[id(leaf)] = key
    links, sources = set(), {}
    for call in leaf_calls(model):
        feeds = set()
        for tensor in call.inputs:
            feeds |= sources.get(id(tensor), {("image", False)})
        key = owner.get(id(call.layer))
        if key is not None:
            links |= {(s, key, pooled) for s, pooled in feeds if s != key}
            feeds = {(key, False)}
        elif isinstance(call.layer, keras.layers.MaxPooling2D):
            feeds = {(source, True) for source, _ in feeds}
        sources.update((id(tensor), feeds) for tensor in call.outputs)
    return links


# === Where things lie ===


def place_tree(tree, name, left, height=1):
    """Place blocks in a row, and roots above: higher for each finished tree.

    Args:
        tree: A built `Tree`.
        name: Name of the attribute that holds it.
        left: Left end in pixels.
        height: how many trees end here.

    Returns:
        Boxes, spans from the inside to the outside, and the right end.
    """
    if tree.root is None:
        boxes, spans, middle = place_tree(tree.tree1, "tree1", left)
        more, others, right = place_tree(
            tree.tree2, "tree2", middle, height + 1
        )
        boxes, spans = boxes + more, spans + others
    else:
        boxes, spans, right = [], [], left
        for part, kind, y in (
            (tree.tree1, "block", 0),
            (tree.tree2, "block", 0),
            (tree.root, "root", -height * ROW),
        ):
            label = part.name.rsplit("_", 1)[1]
            x = right + KINDS[kind][0] / 2
            boxes.append(Box(part.name, kind, label, x, y))
            right += KINDS[kind][0] + GAP
        if tree.project is not None:
            label = tree.project.name
            below = Box(label, "project", "project", boxes[0].x, ROW - 8)
            boxes.append(below)
    y = ROW + 14 + 21 * (tree.depth - 1)
    return boxes, [*spans, Span(name, left, right - GAP, y, y)], right


def tree_figure():
    x = keras.Input((32, 32, 64), name="image")
    tree = Tree(128, depth=3, strides=2, level_root=True, name="tree")
    model = keras.Model(x, tree(x))
    boxes, spans, _ = place_tree(
        tree, "Tree(depth=3, strides=2, level_root=True)", 64
    )
    boxes.append(Box("image", "input", "input", 23, 0))
    return picture(data_flow(model, drawn(model, boxes)), boxes, spans)


def backbone_figure(variant="dla34"):
    backbone = dla_keras.DLABackbone(variant, input_shape=(64, 64, 3))
    boxes, brackets, bands = [Box("image", "input", "image", 23, 0)], [], []
    left = 46 + GAP
    for name in ("base_layer", "level0", "level1"):
        label = name.replace("_layer", "")
        x = left + KINDS["conv"][0] / 2
        boxes.append(Box(name, "conv", label, x, 0))
        left += KINDS["conv"][0] + GAP
    for name in ("level2", "level3", "level4", "level5"):
        tree = getattr(backbone, name)
        more, spans, right = place_tree(tree, name, left)
        boxes, brackets = boxes + more, brackets + spans
        size = backbone.output[f"P{name[-1]}"].shape
        label = f"P{name[-1]}, stride {64 // size[1]}, {size[-1]} ch."
        edges = left - GAP / 2 + 2, right - GAP / 2 - 2
        bands.append(Span(label, *edges, -2.8 * ROW, 0))
        left = right
    lowest = max(span.bottom for span in brackets)
    bands = [replace(band, bottom=lowest + 22) for band in bands]
    links = data_flow(backbone, drawn(backbone, boxes))
    return picture(links, boxes, brackets, bands)


def dla_up_figure(variant="dla34", head_stride=4):
    model = dla_keras.DLASegmenter(
        variant, 19, head_stride, input_shape=(64, 64, 3)
    )
    steps = model.dla_up.ida
    boxes, bands = [], []
    for i in range(len(steps) + 1):  # level5 at the bottom
        boxes.append(
            Box(f"level{5 - i}", "level", f"level{5 - i}", 0, -i * STEP_Y)
        )
    for i, ida in enumerate(steps):
        y = -(i + 1) * STEP_Y
        more, right = place_ida(ida, y)
        boxes += more
        stride = 2 ** (5 - i - 1)
        label = f"ida_{i}: stride {stride}, {ida.filters} ch."
        bands.append(Span(label, 45, right, y - 21, y + 84, beside=True))
    x = right + 34
    for name in ("fc", "up"):
        boxes.append(Box(name, "head", name, x, y))
        x += KINDS["head"][0] + 2 * GAP
    return picture(data_flow(model, drawn(model, boxes)), boxes, bands=bands)


def place_ida(ida, y):
    """Place nodes in a row, and below each what brings a coarser input up."""
    boxes = []
    for i in range(1, len(ida.node)):
        x = i * STEP_X
        below = x - STEP_X / 2
        parts = (
            (ida.node[i], "node", x, y),
            (ida.up[i], "up", below, y + 42),
            (ida.proj[i], "project", below, y + 70),
        )
        for part, kind, *place in parts:
            if part is not None:
                label = "_".join(part.name.split("_")[-2:])
                boxes.append(Box(part.name, kind, label, *place))
    return boxes, x + KINDS["node"][0] / 2 + 8


def drawn(model, boxes):
    """Return the layers that have a box, by name."""
    layers = model._flatten_layers(include_self=False)
    named = {layer.name: layer for layer in layers}
    return {box.key: named[box.key] for box in boxes if box.key in named}


FIGURES = {
    "tree.svg": tree_figure,
    "dla34.svg": backbone_figure,
    "dla_up.svg": dla_up_figure,
}


def main():
    for name, figure in FIGURES.items():
        with atomic_path(FOLDER / name) as path:
            path.write_text(figure())


if __name__ == "__main__":
    main()
