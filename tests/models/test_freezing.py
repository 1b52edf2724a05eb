"""What is frozen stays frozen: a training step moves the same arrays."""

import keras
import numpy as np
import pytest

import dla_keras
from dla_keras import layers

pytestmark = pytest.mark.usefixtures("small_networks")


def moved(model):
    """Return the names of the arrays that a training step moves."""
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    random = np.random.default_rng(0)
    images = [
        random.random([side or 32 for side in (2, *x.shape[1:])])
        for x in model.inputs
    ]
    images = images if len(images) > 1 else images[0]
    targets = keras.tree.map_structure(
        lambda y: np.ones(y.shape), model(images)
    )
    before = values(model)
    model.train_on_batch(images, targets)
    after = values(model)
    return {n for n in before if not np.array_equal(before[n], after[n])}


def values(model):
    found = {v.path: keras.ops.convert_to_numpy(v.value) for v in model.weights}
    assert len(found) == len(model.weights)
    return found


def around(layer, *shapes, pick=lambda outputs: outputs):
    """Return a model of one's own: a layer, pooling and a dense layer."""
    inputs = [keras.Input(shape) for shape in shapes]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    x = keras.layers.GlobalAveragePooling2D()(pick(layer(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2, name="own")(x))


def own(kind):
    """Return a model around a layer with parts, and that layer."""
    if kind == "backbone":
        layer = dla_keras.DLABackbone("dla46_c", levels=("P2",))
        return around(layer, (32, 32, 3), pick=lambda x: x["P2"]), layer
    if kind == "tree":
        layer = layers.Tree(8, depth=2, strides=2, name="tree", remat=True)
        return around(layer, (8, 8, 4)), layer
    layer = layers.DLAUp("learned", name="dla_up")
    return around(layer, (8, 8, 4), (4, 4, 6), (2, 2, 8)), layer


def classifier(**options):
    options = {"num_classes": 3, "classifier_activation": None, **options}
    return (dla_keras.DLA46C(**options),) * 2


def segmenter(**options):
    return (dla_keras.DLASegmenter("dla46_c", 3, **options),) * 2


def detector():
    return (dla_keras.DLABoundaryDetector("dla46_c", upsampling="learned"),) * 2


# What to make; which parts to freeze, and to let train after that; how many
# arrays a step then moves.
CASES = {
    "own, backbone": (lambda: own("backbone"), lambda x: [x], lambda x: [], 2),
    "own, level": (
        lambda: own("backbone"),
        lambda x: [x],
        lambda x: [x.level2.root],
        7,
    ),
    "own, tree": (lambda: own("tree"), lambda x: [x], lambda x: [], 2),
    "own, half a tree": (
        lambda: own("tree"),
        lambda x: [x],
        lambda x: [x.tree2],
        27,
    ),
    "own, a block's convolution": (
        lambda: own("tree"),
        lambda x: [x.tree1.tree2.conv1.conv, x.tree1.project],
        lambda x: [],
        51,
    ),
    "own, DLA-Up": (lambda: own("up"), lambda x: [x], lambda x: [], 2),
    "own, one aggregation": (
        lambda: own("up"),
        lambda x: [x.ida[1], x.ida[0].up[1]],
        lambda x: [],
        12,
    ),
    "classifier, backbone": (
        classifier,
        lambda x: [x.backbone],
        lambda x: [],
        2,
    ),
    "classifier, all but a block": (
        classifier,
        lambda x: [x.backbone],
        lambda x: [x.backbone.level5.tree2],
        12,
    ),
    "segmenter, backbone": (
        lambda: segmenter(boundary_head=True),
        lambda x: [x.backbone],
        lambda x: [],
        49,
    ),
    "segmenter, the last upsampling trains": (
        lambda: segmenter(upsampling="learned"),
        lambda x: [x.backbone, x.dla_up],
        lambda x: [x.up],
        18,
    ),
    "detector, backbone": (detector, lambda x: [x.backbone], lambda x: [], 127),
}


@pytest.mark.parametrize("case", CASES)
def test_freezing_survives(case, tmp_path):
    make, freeze, unfreeze, count = CASES[case]
    model, layer = make()
    for part in freeze(layer):
        part.trainable = False
    for part in unfreeze(layer):
        part.trainable = True
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(loaded)
    trained = [{v.path for v in m.trainable_weights} for m in (model, clone)]
    assert trained[0] == trained[1]
    names = moved(model)
    assert len(names) == count, names
    assert moved(loaded) == names


def test_another_head_keeps_what_is_frozen():
    model = dla_keras.DLA46C(num_classes=3, classifier_activation=None)
    model.backbone.trainable = False
    model.backbone.level5.trainable = True
    model.fc.trainable = False  # goes with the head
    changed = model.with_head(num_classes=2, dropout_rate=0.1)
    assert layers.composite.trainable_parts(changed.backbone) == {
        "level5": True
    }
    assert changed.fc.trainable and not changed.backbone.trainable
    model.backbone.level5.trainable = model.trainable = False
    assert not model.with_head(num_classes=2).trainable_weights

    model = dla_keras.DLASegmenter("dla46_c", 3, upsampling="learned")
    model.backbone.trainable = False
    changed = model.with_head(num_classes=2, boundary_head=True)
    trained = {v.path.split("/")[0] for v in changed.trainable_weights}
    assert trained == {"dla_up", "fc", "boundary_fc"}


def test_models_are_made_frozen():
    for make in (
        lambda **options: dla_keras.DLABackbone("dla46_c", **options),
        lambda **options: dla_keras.DLABoundaryDetector("dla46_c", **options),
        lambda **options: layers.ConvBN(3, **options),
    ):
        layer = make(trainable=False)
        layer(np.zeros((1, 32, 32, 3), "float32"))
        assert not any(v.trainable for v in layer.weights)
        layer.trainable = True
        assert layer.trainable_weights


def test_files_of_models_that_train_are_as_before():
    for model in (
        dla_keras.DLABoundaryDetector("dla46_c"),
        dla_keras.DLASegmenter("dla46_c", 3, upsampling="learned"),
    ):
        assert "trainable_parts" not in model.get_config()
        assert model.backbone.name == "base"  # as in old checkpoints
        assert not any(v.trainable for v in model.up.weights)
