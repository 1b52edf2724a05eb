"""The same network in legacy Keras: its numbers, weights and refusals."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import dla_keras
from dla_keras.lite.compress.legacy import from_legacy
from dla_keras.lite.compress.legacy import to_legacy
from dla_keras.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("small_networks")

# Legacy Keras' batch norm is one operation, Keras 3's several: roundings of
# float32 (6e-8) in another order, over some sixty layers. Measured: 4e-6.
TOLERANCE = 2e-5


def picture(batch=2, height=32, width=64):
    pixels = np.random.default_rng(0).uniform(0, 255, (batch, height, width, 3))
    return pixels.astype(np.float32)


def numbers(outputs):
    return [
        np.asarray(keras.ops.cast(x, "float32"))
        for x in keras.tree.flatten(outputs)
    ]


def assert_same(model, legacy, training=False):
    ours = numbers(model(picture(), training=training))
    theirs = numbers(legacy(picture(), training=training))
    for one, two in zip(ours, theirs, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(two, one, rtol=0, atol=TOLERANCE * scale)


def segmenter(variant="dla46_c", **options):
    return dla_keras.DLASegmenter(variant, 3, head_stride=8, **options)


MODELS = {
    "bilinear": segmenter,
    "learned, two heads": lambda: segmenter(
        upsampling="learned", boundary_head=True
    ),
    "separable": lambda: segmenter(node="separable"),
    "boundaries": lambda: dla_keras.DLABoundaryDetector("dla46_c"),
    "classifier": lambda: dla_keras.DLA46C(),
    "dilated": lambda: dla_keras.DLABackbone("dla46_c", output_stride=8),
    "drop path": lambda: segmenter(drop_path_rate=0.1),
}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_the_same(name):
    model = MODELS[name]()
    legacy = to_legacy(model)
    assert_same(model, legacy)
    outputs = legacy(picture())
    # A network of two heads tells them apart by name.
    assert isinstance(outputs, dict) == isinstance(model.output, dict)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_counterpart(variant):
    model = dla_keras.DLABackbone(variant, levels=("P2",))
    assert_same(model, to_legacy(model))


def backbone():
    return dla_keras.DLABackbone("dla46_c", levels=("P2",))


def arrays(legacy):
    return {
        name: [variable.numpy() for variable in variables]
        for name, variables in legacy.weights.items()
    }


def test_training_moves_the_same_statistics():
    model, copy = backbone(), backbone()
    legacy = to_legacy(model)
    start = model.get_weights()
    assert_same(model, legacy, training=True)
    from_legacy(arrays(legacy), copy)
    moved = 0
    for one, two, old in zip(model.weights, copy.weights, start, strict=True):
        scale = np.abs(one.numpy()).max() + 1e-6
        error = np.abs(one.numpy() - two.numpy()).max() / scale
        # Legacy Keras' running variance is that of n - 1 values, as
        # PyTorch's; n is 256 pixels here at least.
        variance = one.path.endswith("moving_variance")
        assert error < (1 / 256 if variance else TOLERANCE), one.path
        moved += np.any(one.numpy() != old)
    assert moved == 2 * 9  # mean and variance of each batch norm


def test_gradients_are_the_same():
    model = backbone()
    legacy = to_legacy(model)
    with tf.GradientTape(persistent=True) as tape:
        ours = tf.reduce_sum(model(picture())["P2"] ** 2)
        theirs = tf.reduce_sum(legacy(picture())["P2"] ** 2)
    for path in ("base_layer.conv", "level2.tree1.conv2.conv"):
        layer = functools.reduce(getattr, path.split("."), model)
        one = tape.gradient(ours, layer.kernel.value)
        two = tape.gradient(theirs, legacy.weights[layer.name][0])
        scale = np.abs(one).max()
        assert scale > 0
        # Sums over thousands of pixels.
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4 * scale)


def test_weights_come_back_by_name():
    model, other = backbone(), backbone()
    random = np.random.default_rng(1)
    for variable in other.weights:
        noise = random.uniform(0.5, 1.0, variable.shape)
        variable.assign(noise.astype(np.float32))
    legacy = to_legacy(other)
    weights = arrays(legacy)
    # In another order of layers too.
    from_legacy(dict(reversed(weights.items())), model)
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_what_is_frozen_stays_so():
    legacy = to_legacy(segmenter(upsampling="learned"))
    trainable = {id(v) for v in legacy.network.trainable_variables}
    is_trained = lambda name: any(
        id(v) in trainable for v in legacy.weights[name]
    )
    assert is_trained("fc") and is_trained("dla_up_ida_0_up_1_phase_0")
    assert not is_trained("up_phase_0")
    assert "normalize" not in {
        v.name.split("/")[0] for v in legacy.network.trainable_variables
    }


def test_a_half_precision_model_becomes_a_float32_one():
    half = segmenter(dtype="mixed_bfloat16")
    full = segmenter()
    full.set_weights(half.get_weights())
    legacy = to_legacy(half)
    assert_same(full, legacy)
    assert legacy(picture()).dtype == tf.float32


def test_pictures_of_every_size_and_kind():
    model = segmenter(input_shape=(32, 32, 3))
    legacy = to_legacy(model, input_shape=(None, None, 3))
    images = picture(1, 64, 32).astype(np.uint8)
    assert legacy(images).shape == (1, 64, 32, 3)


@keras.saving.register_keras_serializable(package="tests")
class Softplus(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.softplus(inputs)


class ReLU(Softplus):
    """Not Keras' own."""


def of(layer, uses=1):
    x = image = keras.Input((None, None, 3))
    for _ in range(uses):
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (of(Softplus(name="odd")), "odd is a Softplus.*export_tflite.py"),
        (of(ReLU(name="like")), "like is a ReLU"),
        (of(keras.layers.ReLU(name="twice"), 2), "two uses of twice"),
    ],
)
def test_what_cannot_be_rebuilt_is_named(model, message):
    with pytest.raises(ValueError, match=message):
        to_legacy(model)


def test_weights_of_another_network_are_refused():
    small = of(keras.layers.Conv2D(4, 1, name="first"))
    large = of(keras.layers.Conv2D(4, 1, name="second"))
    with pytest.raises(ValueError, match="one of the two has, first, second"):
        from_legacy(arrays(to_legacy(small)), large)
