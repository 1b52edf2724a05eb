"""Models taken apart into the leaf layers that they are made of."""

import threading

import keras
import numpy as np
import pytest

import dla_keras
from dla_keras import layers
from dla_keras.layers.composite import Composite
from dla_keras.layers.composite import open_composites
from dla_keras.models.flattening import flatten
from dla_keras.models.flattening import leaf_calls

pytestmark = pytest.mark.usefixtures("small_networks")


def picture(height=32, width=64, batch=2):
    pixels = np.random.default_rng(0).uniform(0, 255, (batch, height, width, 3))
    return pixels.astype(np.float32)


def segmenter(upsampling="bilinear", **options):
    return dla_keras.DLASegmenter(
        "dla46_c", 3, upsampling=upsampling, **options
    )


MODELS = {
    "classifier": lambda: dla_keras.DLA46C(),
    "without top": lambda: dla_keras.DLA46C(include_top=False),
    "backbone": lambda: dla_keras.DLABackbone("dla46_c"),
    "res2net": lambda: dla_keras.DLABackbone(
        "dla60_res2next", levels=("P2", "P3")
    ),
    "dilated": lambda: dla_keras.DLABackbone("dla46_c", output_stride=8),
    "bilinear": segmenter,
    "learned": lambda: segmenter("learned"),
    "separable": lambda: segmenter(node="separable"),
    "half precision": lambda: segmenter(dtype="mixed_bfloat16"),
}


def numbers(outputs):
    return [
        keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
        for x in keras.tree.flatten(outputs)
    ]


@pytest.mark.parametrize("name", MODELS)
def test_flat_model_is_the_same(name):
    model = MODELS[name]()
    flat = flatten(model)
    inner = [
        layer
        for layer in flat.operations
        if isinstance(layer, Composite | keras.Model)
        or not isinstance(layer, keras.layers.Layer)
    ]
    assert not inner
    names = [layer.name for layer in flat.layers]
    assert len(set(names)) == len(names)
    # The same layers in the same order do the same sums: no tolerance.
    for training in (False, True, False):  # True moves the batch norms
        for whole, parts in zip(
            numbers(model(picture(), training=training)),
            numbers(flat(picture(), training=training)),
            strict=True,
        ):
            np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("upsampling", ["bilinear", "learned"])
def test_weights_are_shared(upsampling):
    model = segmenter(upsampling)
    flat = flatten(model)
    order = lambda weights: sorted(map(id, weights))
    assert order(flat.weights) == order(model.weights)
    assert order(flat.trainable_weights) == order(model.trainable_weights)
    before = numbers(model(picture()))
    flat.get_layer("level2_tree1_conv1_conv").kernel.assign_add(
        keras.ops.ones(model.backbone.level2.tree1.conv1.conv.kernel.shape)
    )
    after = numbers(model(picture()))
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(after, numbers(flat(picture())))


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes TensorFlow's tape"
)
def test_gradients_and_statistics_are_the_same():
    import tensorflow as tf

    model = segmenter("learned")
    flat = flatten(model)
    start = model.get_weights()
    results = []
    for version in (model, flat):
        model.set_weights(start)
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = version(picture(), training=True)
            loss = tf.reduce_mean(logits[..., 0] ** 2 - logits[..., 1])
        gradients = tape.gradient(loss, [v.value for v in variables])
        results.append((gradients, model.get_weights()))
    (ours, our_weights), (theirs, their_weights) = results
    for one, two in zip(our_weights, their_weights, strict=True):
        np.testing.assert_array_equal(one, two)  # the moving statistics
    for one, two in zip(ours, theirs, strict=True):
        assert np.any(one)
        # A tape sums a layer's several gradients in the order it met them.
        scale = np.abs(one).max()
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-5 * scale)


def test_original_works_and_saves_as_before(tmp_path):
    model = segmenter()
    flatten(model), flatten(model)
    assert model.get_layer("dla_up") is model.dla_up
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        numbers(model(picture())), numbers(loaded(picture()))
    )


def test_models_within_models_and_layers_used_twice():
    tree = layers.Tree(8, name="twice")
    inner = keras.Sequential(
        [keras.Input((None, None, 8)), tree, layers.ConvBN(8, name="last")]
    )
    x = keras.Input((None, None, 3))
    y = inner(inner(layers.ConvBN(8, name="first")(x)))
    outer = keras.Model(x, segmenter()(keras.layers.Conv2D(3, 1)(y)))
    flat = flatten(outer)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    np.testing.assert_array_equal(
        numbers(outer(picture())), numbers(flat(picture()))
    )
    twice = [call.layer.name for call in leaf_calls(outer, (64, 96, 3))]
    assert twice.count("twice_root_conv_conv") == 2


def test_forced_training_reaches_the_leaves():
    backbone = dla_keras.DLABackbone("dla46_c")
    x = keras.Input((32, 64, 3))
    model = keras.Model(x, backbone(x, training=True)["P5"])
    start = model.get_weights()
    whole = numbers(model(picture()))
    model.set_weights(start)
    np.testing.assert_array_equal(whole, numbers(flatten(model)(picture())))


def test_other_threads_see_whole_layers():
    layer, x = layers.ConvBN(4), keras.Input((8, 8, 3))
    layer.build(x.shape)
    made = {}

    def call(key):
        made[key] = len(keras.Model(x, layer(x)).layers)

    with open_composites():
        call("here")
        thread = threading.Thread(target=call, args=("there",))
        thread.start()
        thread.join()
    call("after")
    assert made == {"here": 4, "there": 2, "after": 2}


def test_scope_closes_after_an_error():
    layer = layers.ConvBN(4)
    with pytest.raises(ZeroDivisionError), open_composites():
        raise ZeroDivisionError
    outputs = layer(keras.Input((8, 8, 3)))
    assert outputs._keras_history.operation is layer


def test_layer_that_was_never_called_opens_too():
    x = keras.Input((8, 8, 3))
    tree = layers.Tree(4)
    with open_composites():
        flat = keras.Model(x, tree(x))
    assert tree.project is not None
    np.testing.assert_array_equal(
        numbers(tree(picture(8, 8))), numbers(flat(picture(8, 8)))
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: flatten(keras.layers.ReLU()),
            "is a Model in memory. Received: <ReLU",
        ),
        (
            lambda: flatten(keras.Sequential([keras.layers.ReLU()])),
            "Expected a functional model",
        ),
        (lambda: flatten(two_inputs(), (8, 8, 3)), "of one input"),
    ],
)
def test_what_cannot_be_done_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def two_inputs():
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    return keras.Model(inputs, layers.Root(4)(inputs))


def test_two_inputs_are_flattened():
    model = two_inputs()
    pictures = [picture(8, 8), picture(8, 8)[::-1]]
    np.testing.assert_array_equal(
        numbers(model(pictures)), numbers(flatten(model)(pictures))
    )
