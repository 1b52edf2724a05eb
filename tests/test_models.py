"""Models against the reference's numbers, and the promises of their API."""

import keras
import numpy as np
import pytest
import reference

import dla_keras
from dla_keras.weights import load_torch_state

# float32 sums in another order; measured: 5e-7. A wrong padding, epsilon or
# order of concatenation shows as 1e-2 and more.
TOLERANCE = 1e-4

PARAMETERS = {
    "dla34": 15_742_104,
    "dla46_c": 1_301_400,
    "dla46x_c": 1_068_440,
    "dla60x_c": 1_319_832,
    "dla60": 22_036_632,
    "dla60x": 17_352_344,
    "dla102": 33_268_888,
    "dla102x": 26_309_272,
    "dla102x2": 41_282_200,
    "dla169": 53_389_720,
}


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_count(variant):
    name = variant.upper().replace("_", "")
    model = getattr(dla_keras, name)()
    assert trainable_parameters(model) == PARAMETERS[variant]
    assert model.name == variant


@pytest.mark.parametrize(
    "source", ["timm/dla34", "official/dla34", "timm/dla60x", "timm/dla102"]
)
def test_classifier_equals_the_reference(source):
    variant = source.split("/")[1]
    model = dla_keras.DLA(variant, classifier_activation=None)
    load_torch_state(model, reference.state_dict(source))
    logits = model(reference.image(224, 224), training=False)
    logits = keras.ops.convert_to_numpy(logits)
    assert reference.relative_error(logits, f"{source}/logits") < TOLERANCE


def test_backbone_levels_equal_the_reference():
    model = dla_keras.DLABackbone("dla34")
    state = reference.state_dict("timm/dla34")
    state = {n: a for n, a in state.items() if not n.startswith("fc.")}
    load_torch_state(model, state)
    outputs = model(reference.image(224, 224), training=False)
    for level in (2, 5):
        mean = keras.ops.convert_to_numpy(outputs[f"P{level}"]).mean((1, 2))
        name = f"timm/dla34/level{level}_mean"
        assert reference.relative_error(mean, name) < TOLERANCE


@pytest.mark.parametrize("stride", [2, 4])
def test_segmenter_equals_the_reference(stride):
    source = f"official/dla34up_c19_d{stride}"
    model = dla_keras.DLASegmenter(
        "dla34",
        19,
        head_stride=stride,
        upsampling="learned",
        mean=(0, 0, 0),  # the golden input is normalised already
        std=(1 / 255,) * 3,
    )
    load_torch_state(model, reference.state_dict(source))
    both = keras.Model(model.input, [model.fc.output, model.output])
    logits, full = both(reference.image(128, 160), training=False)
    logits = keras.ops.convert_to_numpy(logits).transpose(0, 3, 1, 2)
    if stride == 2:
        logits = logits[:, :, ::2, ::2]
    log_softmax = keras.ops.convert_to_numpy(keras.ops.log_softmax(full))
    log_softmax = log_softmax[:, ::8, ::8].transpose(0, 3, 1, 2)
    for received, name in (
        (logits, "logits"),
        (log_softmax, "log_softmax_stride8"),
    ):
        error = reference.relative_error(received, f"{source}/{name}")
        assert error < TOLERANCE


def test_foreign_weights_are_refused_and_the_model_left_alone():
    model = dla_keras.DLABackbone("dla46_c")
    before = [v.numpy() for v in model.variables]
    slots = reference.state_dict("timm/dla34")
    with pytest.raises(ValueError) as error:
        load_torch_state(model, slots)
    message = str(error.value)
    assert "missing: level2.tree1.conv3.weight" in message
    assert "unexpected: fc.weight" in message
    assert "shape of level3.root.conv.weight" in message or (
        "shape of level3.tree1.root.conv.weight" in message
    )
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_pyramid_halves_from_level_to_level():
    backbone = dla_keras.DLABackbone("dla46_c")
    features = backbone(np.zeros((1, 64, 96, 3)))
    assert list(features) == ["P0", "P1", "P2", "P3", "P4", "P5"]
    for level, channels in enumerate((16, 32, 64, 64, 128, 256)):
        expected = (1, 64 >> level, 96 >> level, channels)
        assert tuple(features[f"P{level}"].shape) == expected


@pytest.mark.parametrize("upsampling", ["bilinear", "learned"])
@pytest.mark.parametrize("head_stride", [2, 4, 8, 16])
def test_segmenter_is_full_size_and_every_weight_learns(
    head_stride, upsampling
):
    import tensorflow as tf

    model = dla_keras.DLASegmenter(
        "dla46_c", 3, head_stride=head_stride, upsampling=upsampling
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3))
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(logits[..., 0] ** 2 - logits[..., 1])
    assert logits.shape == (2, 64, 96, 3)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    idle = [
        v.path
        for v, g in zip(variables, gradients, strict=True)
        if g is None or not np.any(g)
    ]
    assert not idle


@pytest.mark.parametrize("upsampling", ["bilinear", "learned"])
def test_saved_segmenter_is_the_same(tmp_path, upsampling):
    model = dla_keras.DLASegmenter(
        "dla46_c",
        2,
        head_stride=8,
        upsampling=upsampling,
        mean=(0.4, 0.5, 0.6),
        class_names=("road", "sky"),
        palette=((1, 2, 3), (4, 5, 6)),
    )
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 3))
    model(images, training=True)  # moves the batch norm's statistics
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(
        model(images, training=False), loaded(images, training=False)
    )


def test_precision_survives_the_config():
    model = dla_keras.DLASegmenter("dla46_c", 2, dtype="mixed_bfloat16")
    copy = dla_keras.DLASegmenter.from_config(model.get_config())
    for half in (model, copy):
        assert half.base.level5.root.conv.conv.compute_dtype == "bfloat16"
        assert half.fc.compute_dtype == "bfloat16"
        assert half.output.dtype == "float32"  # logits


def test_saved_classifier_is_the_same(tmp_path):
    model = dla_keras.DLA46C(classes=7)
    images = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(images), loaded(images))


def test_classifier_without_top():
    images = np.zeros((2, 64, 64, 3))
    features = dla_keras.DLA46C(include_top=False)(images)
    assert features.shape == (2, 2, 2, 256)
    for pooling in ("avg", "max"):
        model = dla_keras.DLA46C(include_top=False, pooling=pooling)
        assert model(images).shape == (2, 256)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dla_keras.DLA("dla43"), r"Did you mean 'dla34'"),
        (lambda: dla_keras.DLASegmenter("resnet", 2), "Unknown variant"),
        (lambda: dla_keras.DLASegmenter("dla34", 2, 3), "`head_stride`"),
        (
            lambda: dla_keras.DLASegmenter("dla34", 2, upsampling="cubic"),
            "`upsampling` must be one of",
        ),
        (
            lambda: dla_keras.DLASegmenter("dla34", 2, class_names=("a",)),
            "`class_names` needs one entry",
        ),
        (lambda: dla_keras.DLABackbone("dla34", (64, 64, 1)), "RGB"),
        (lambda: dla_keras.DLABackbone("dla34", (60, 64, 3)), "64 x 64"),
        (lambda: dla_keras.DLA34(pooling="sum"), "`pooling` must be"),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_picture_of_odd_size_is_explained():
    model = dla_keras.DLASegmenter("dla46_c", 2)
    with pytest.raises(ValueError, match="Pad to 384 x 480"):
        model(np.zeros((1, 360, 480, 3)))


def test_dynamic_sizes_are_traced():
    import tensorflow as tf

    model = dla_keras.DLASegmenter("dla46_c", 2)
    spec = tf.TensorSpec((None, None, None, 3))
    serve = tf.function(
        lambda x: model(x, training=False), input_signature=[spec]
    )
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3))
    images = images.astype(np.float32)
    # The same operation with the size known early or late.
    np.testing.assert_allclose(
        serve(images), model(images, training=False), rtol=1e-5, atol=1e-5
    )
