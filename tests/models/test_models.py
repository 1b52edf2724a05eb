"""The promises of the models' API, on whichever backend Keras runs."""

import inspect

import keras
import numpy as np
import pytest

import dla_keras
from dla_keras.layers.composite import Composite


def random_pictures(count=1, height=64, width=96):
    pictures = np.random.default_rng(0).uniform(
        0, 255, (count, height, width, 3)
    )
    return pictures.astype(np.float32)


def predict(model, inputs):
    outputs = model(inputs, training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def randomize_statistics(model):
    """Set running statistics to those of a network that has seen data."""
    random = np.random.default_rng(0)
    for variable in model.non_trainable_variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(random.normal(0, 0.1, variable.shape))
        elif variable.path.endswith("moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))


def idle_weights(model, images, targets):
    """Paths of trainable weights that one step of training leaves alone."""
    loss = lambda y_true, y_pred: keras.ops.mean(
        keras.ops.square(keras.ops.cast(y_pred, "float32") - y_true)
    )
    # One step: a graph would take longer to make than to save.
    eager = keras.backend.backend() != "jax"
    model.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=eager)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    before = [array.copy() for array in before]
    assert np.isfinite(model.train_on_batch(images, targets))
    return [
        weight.path
        for weight, array in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(keras.ops.convert_to_numpy(weight), array)
    ]


def test_each_named_function_makes_its_variant(monkeypatch):
    made = {}
    names = {v.replace("_", ""): v for v in dla_keras.list_variants()}
    functions = [f for f in dla_keras.__all__ if f.lower() in names]
    assert len(functions) == len(names) == 12
    for name in functions:
        function = getattr(dla_keras, name)
        stand_in = lambda variant, function=name, **_: made.update(
            {function: variant}
        )
        monkeypatch.setattr("dla_keras.applications.DLAClassifier", stand_in)
        function()
    assert made == {name: names[name.lower()] for name in functions}


def test_named_functions_show_their_arguments():
    arguments = list(inspect.signature(dla_keras.DLA34).parameters)
    assert arguments[:2] == ["include_top", "weights"]
    assert "variant:" not in dla_keras.DLA34.__doc__
    with pytest.raises(TypeError, match="clases"):
        dla_keras.DLA34(clases=10)


def test_pyramid_halves_from_level_to_level():
    backbone = dla_keras.DLABackbone("dla46_c")
    features = backbone(np.zeros((1, 64, 96, 3)))
    assert list(features) == ["P0", "P1", "P2", "P3", "P4", "P5"]
    for level, channels in enumerate((16, 32, 64, 64, 128, 256)):
        expected = (1, 64 >> level, 96 >> level, channels)
        assert tuple(features[f"P{level}"].shape) == expected


@pytest.mark.parametrize("levels", [("P0",), ("P1", "P3"), ("P5",)])
def test_levels_are_those_of_the_whole(levels):
    whole = dla_keras.DLABackbone("dla46_c")
    part = dla_keras.DLABackbone("dla46_c", levels=levels)
    weights = {w.path.split("/", 1)[1]: w for w in whole.weights}
    for weight in part.weights:
        weight.assign(weights[weight.path.split("/", 1)[1]])
    assert (len(part.weights) == len(whole.weights)) == (levels == ("P5",))
    images = random_pictures() / 255
    expected, received = predict(whole, images), predict(part, images)
    assert tuple(received) == levels
    for name in levels:
        np.testing.assert_array_equal(received[name], expected[name])


@pytest.mark.parametrize("variant", ["dla34", "dla46x_c", "dla60_res2net"])
@pytest.mark.parametrize("output_stride", [16, 8])
def test_dilated_equals_strided_where_both_look(variant, output_stride):
    strided = dla_keras.DLABackbone(variant)
    randomize_statistics(strided)
    dense = dla_keras.DLABackbone(variant, output_stride=output_stride)
    dense.set_weights(strided.get_weights())
    images = random_pictures(height=96, width=128) / 255
    expected, received = predict(strided, images), predict(dense, images)
    for level, name in enumerate(expected):
        step = max(1, 2**level // output_stride)
        height = 96 * step // 2**level
        assert received[name].shape[1] == height
        error = np.abs(received[name][:, ::step, ::step] - expected[name])
        # float32 in another order; measured 2e-6. A pixel's shift in one
        # pooling or convolution gives 1e-1.
        assert error.max() < 1e-4 * np.abs(expected[name]).max()


@pytest.mark.parametrize(
    ("head_stride", "upsampling", "node"),
    [
        (2, "learned", "conv"),
        (4, "bilinear", "separable"),
        (8, "learned", "conv"),
        (16, "bilinear", "conv"),
    ],
)
def test_segmenter_is_full_size_and_every_weight_learns(
    head_stride, upsampling, node
):
    model = dla_keras.DLASegmenter(
        "dla46_c",
        3,
        head_stride=head_stride,
        upsampling=upsampling,
        node=node,
    )
    images = random_pictures(2)
    targets = np.random.default_rng(1).normal(size=(2, 64, 96, 3))
    assert model.compute_output_shape(images.shape) == targets.shape
    assert tuple(model(images).shape) == targets.shape
    # The last levels of the backbone reach only what the head reads.
    assert not idle_weights(model, images, targets.astype(np.float32))


def test_segmenters_for_phones_cost_less_and_less():
    costs = [
        dla_keras.complexity(
            dla_keras.DLASegmenter(**arguments, num_classes=19),
            (512, 512, 3),
        ).macs
        for arguments in dla_keras.PHONE_SEGMENTERS.values()
    ]
    assert [round(cost / 1e9, 1) for cost in costs] == [3.7, 7.6, 17.2]


# One for every kind of block; the others differ in the table's figures only.
@pytest.mark.parametrize(
    "variant", ["dla34", "dla46_c", "dla46x_c", "dla60_res2next"]
)
def test_every_weight_of_a_classifier_learns(variant):
    model = dla_keras.DLA(variant, num_classes=3, classifier_activation=None)
    images = random_pictures(2, 64, 64)
    targets = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    assert not idle_weights(model, images, targets)


# Every argument of the constructors, none at its default.
SETTINGS = {
    dla_keras.DLABackbone: {
        "variant": "dla46_c",
        "levels": ("P2", "P5"),
        "output_stride": 16,
        "drop_path_rate": 0.1,
        "remat": True,
        "input_shape": (64, 96, 3),
    },
    dla_keras.DLAClassifier: {
        "variant": "dla46_c",
        "num_classes": 2,
        "include_top": True,
        "pooling": "max",
        "classifier_activation": None,
        "output_stride": 8,
        "dropout_rate": 0.2,
        "drop_path_rate": 0.1,
        "remat": True,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.1, 0.2, 0.3),
        "class_names": ("cat", "dog"),
        "input_shape": (64, 96, 3),
    },
    dla_keras.DLASegmenter: {
        "variant": "dla46_c",
        "num_classes": 2,
        "head_stride": 8,
        "upsampling": "learned",
        "node": "separable",
        "boundary_head": True,
        "drop_path_rate": 0.1,
        "remat": True,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.1, 0.2, 0.3),
        "class_names": ("road", "sky"),
        "palette": ((1, 2, 3), (4, 5, 6)),
        "working_size": 640,
        "input_shape": (64, 96, 3),
    },
    dla_keras.DLABoundaryDetector: {
        "variant": "dla46_c",
        "head_stride": 8,
        "upsampling": "learned",
        "node": "separable",
        "drop_path_rate": 0.1,
        "remat": True,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.1, 0.2, 0.3),
        "working_size": (64, 96),
        "input_shape": (64, 96, 3),
    },
}


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_saved_model_is_the_same(kind, tmp_path):
    settings = SETTINGS[kind]
    every = {"name", "trainable", "dtype"}
    arguments = set(inspect.signature(kind).parameters) - every
    assert set(settings) == arguments
    model = kind(**settings)
    config = model.get_config()
    assert {name: config[name] for name in settings} == settings
    randomize_statistics(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is kind and loaded.get_config() == config
    images = random_pictures()
    keras.tree.map_structure(
        np.testing.assert_array_equal,
        predict(model, images),
        predict(loaded, images),
    )


@pytest.mark.parametrize(
    ("make", "tasks", "names", "palette"),
    [
        (
            lambda: dla_keras.DLASegmenter(
                "dla46_c", 2, class_names=["a", "b"]
            ),
            ("segmentation",),
            ("a", "b"),
            None,
        ),
        (
            lambda: dla_keras.DLASegmenter(
                "dla46_c", 2, boundary_head=True, palette=((1, 2, 3),) * 2
            ),
            ("segmentation", "boundary"),
            None,
            ((1, 2, 3),) * 2,
        ),
        (
            lambda: dla_keras.DLABoundaryDetector("dla46_c"),
            ("boundary",),
            None,
            None,
        ),
        (lambda: dla_keras.DLA46C(), ("classification",), None, None),
        (lambda: dla_keras.DLA46C(include_top=False), (), None, None),
    ],
)
def test_models_say_what_they_are(make, tasks, names, palette):
    model = make()
    assert (model.tasks, model.class_names, model.palette) == (
        tasks,
        names,
        palette,
    )


def test_classes_of_keras_applications_and_of_earlier_files():
    model = dla_keras.DLA46C(classes=3)
    assert model.num_classes == 3
    config = model.get_config()
    config["classes"] = config.pop("num_classes")
    assert dla_keras.DLAClassifier.from_config(config).num_classes == 3
    assert "classes" in config  # the caller's stays as it was


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_precision_reaches_every_layer(policy):
    model = dla_keras.DLASegmenter("dla46_c", 2, dtype=policy)
    for half in (model, dla_keras.DLASegmenter.from_config(model.get_config())):
        for layer in half._flatten_layers():
            if isinstance(layer, (Composite, keras.layers.Conv2D)):
                assert layer.compute_dtype == policy.removeprefix("mixed_")
        assert {w.dtype for w in half.weights} == {"float32"}
        assert half.output.dtype == "float32"  # logits
    full = dla_keras.DLASegmenter("dla46_c", 2)
    full.set_weights(model.get_weights())
    expected = predict(full, random_pictures())
    error = np.abs(predict(model, random_pictures()) - expected).max()
    # bfloat16 has 8 bits of mantissa, float16 has 11.
    assert 0 < error < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
def test_remat_trains_alike(kind):
    def trained(remat):
        keras.utils.set_random_seed(0)
        settings = {"drop_path_rate": 0.3, "remat": remat}
        if kind == "segmenter":
            model = dla_keras.DLASegmenter("dla46_c", 3, **settings)
        else:
            model = dla_keras.DLA46C(
                num_classes=3, classifier_activation=None, **settings
            )
        images = random_pictures(4, 64, 64)
        assert not idle_weights(model, images, predict(model, images) * 0 + 1)
        return [keras.ops.convert_to_numpy(w) for w in model.weights]

    # Weights and running statistics after a step: the same operations, which
    # a compiler may fuse in another way; measured: 2e-5 on JAX, 0 elsewhere.
    # Statistics that move twice are 0.9 off.
    for kept, recomputed in zip(trained(False), trained(True), strict=True):
        error = np.abs(kept - recomputed).max()
        assert error <= 1e-3 * np.abs(kept).max()


def test_remat_leaves_frozen_weights_alone():
    # Read in half precision, they must not come back rounded.
    model = dla_keras.DLA46C(num_classes=3, remat=True, dtype="mixed_bfloat16")
    model.backbone.trainable = False
    before = model.backbone.level3.get_weights()
    model(random_pictures(2, 64, 64), training=True)
    for array, weight in zip(
        before, model.backbone.level3.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(array, weight)


def test_drop_path_and_dropout_act_in_training_only():
    model = dla_keras.DLA46C(
        num_classes=3, drop_path_rate=0.9, dropout_rate=0.5
    )
    plain = dla_keras.DLA46C(num_classes=3)
    plain.set_weights(model.get_weights())
    images = random_pictures(2)
    np.testing.assert_array_equal(
        predict(model, images), predict(plain, images)
    )
    twice = [
        keras.ops.convert_to_numpy(model.backbone(images, training=True)["P5"])
        for _ in range(2)
    ]
    assert not np.allclose(*twice)


def test_classifier_without_top():
    images = random_pictures(2, 64, 64)
    features = dla_keras.DLA46C(include_top=False)(images)
    assert tuple(features.shape) == (2, 2, 2, 256)
    for pooling in ("avg", "max"):
        model = dla_keras.DLA46C(include_top=False, pooling=pooling)
        assert tuple(model(images).shape) == (2, 256)


def test_another_head_keeps_the_backbone():
    model = dla_keras.DLA46C()
    randomize_statistics(model)
    changed = model.with_head(num_classes=5, dropout_rate=0.1)
    images = random_pictures()
    np.testing.assert_array_equal(
        predict(model.backbone, images)["P5"],
        predict(changed.backbone, images)["P5"],
    )
    assert predict(changed, images).shape == (1, 5)
    assert changed.dropout_rate == 0.1
    with pytest.raises(ValueError, match="variant"):
        model.with_head(variant="dla34")
    with pytest.raises(ValueError, match="Did you mean num_classes?"):
        model.with_head(num_clases=5)
    with pytest.raises(ValueError, match="at least 2"):
        model.with_head(num_classes=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dla_keras.DLA("dla43"), r"Did you mean dla34"),
        (lambda: dla_keras.DLA34(pooling="sum"), "`pooling` must be"),
        (lambda: dla_keras.DLA34(num_classes=1), "of at least 2 .* background"),
        (lambda: dla_keras.DLASegmenter("dla34", 1), "of one thing it and its"),
        (lambda: dla_keras.DLASegmenter("dla34", 2.0), "`num_classes` is a"),
        (
            lambda: dla_keras.DLA34(classes=5, num_classes=7),
            "classes=5 and num_classes=7; leave one out",
        ),
        (lambda: dla_keras.DLA34(output_stride=4), "8, 16 or 32"),
        (lambda: dla_keras.DLA34(input_shape=(40, 40, 3)), "64 x 64"),
        (
            lambda: dla_keras.DLAClassifier("dla34", 3, class_names=("a",)),
            "`class_names` needs one entry",
        ),
        (lambda: dla_keras.DLABackbone("dla34", levels=("P6",)), "P0 to P5"),
        (lambda: dla_keras.DLABackbone("dla34", levels=()), "P0 to P5"),
        (
            lambda: dla_keras.DLABackbone("dla34", input_shape=(64, 64, 1)),
            "RGB",
        ),
        (
            lambda: dla_keras.DLABackbone("dla34", input_shape=(60, 64, 3)),
            "64 x 64",
        ),
        (
            lambda: dla_keras.DLASegmenter("resnet", 2),
            "`variant` must be one of",
        ),
        (lambda: dla_keras.DLASegmenter("dla34", 2, 3), "`head_stride`"),
        (
            lambda: dla_keras.DLASegmenter("dla34", 2, upsampling="cubic"),
            "`upsampling` must be one of",
        ),
        (
            lambda: dla_keras.DLASegmenter("dla34", 2, class_names=("a",)),
            "`class_names` needs one entry",
        ),
        *(
            (
                lambda f=f: dla_keras.DLASegmenter("dla34", 2, **f),
                f"`{next(iter(f))}`",
            )
            for f in (
                {"class_names": "ab"},
                {"class_names": ("a", "a")},
                {"class_names": ("a", "b\nc")},
                {"palette": ((0, 0, 256), (0, 0, 0))},
                {"palette": ("red", "blue")},
                {"palette": ((0, 0, 0, 0), (1, 1, 1, 1))},
                {"std": (0.2, 0.0, 0.2)},
                {"mean": (0.2, np.nan, 0.2)},
                {"working_size": True},
            )
        ),
        (
            lambda: dla_keras.DLA34(input_shape=(64.0, 64, 3)),
            "whole number of pixels",
        ),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_channels_first_is_explained():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="set_image_data_format"):
            dla_keras.DLA46C()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_picture_of_odd_size_is_explained():
    model = dla_keras.DLASegmenter("dla46_c", 2)
    with pytest.raises(ValueError, match="Pad to 384 x 480"):
        model(np.zeros((1, 360, 480, 3)))
    # At a smaller output stride fewer sizes are refused.
    model = dla_keras.DLA46C(output_stride=8)
    assert model(np.zeros((1, 40, 56, 3))).shape == (1, 1000)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow traces unknown sizes",
)
def test_dynamic_sizes_are_traced():
    import tensorflow as tf

    model = dla_keras.DLASegmenter("dla46_c", 2)
    spec = tf.TensorSpec((None, None, None, 3))
    serve = tf.function(
        lambda x: model(x, training=False), input_signature=[spec]
    )
    images = random_pictures()
    # The same operation with the size known early or late.
    np.testing.assert_allclose(
        serve(images), model(images, training=False), rtol=1e-5, atol=1e-5
    )
