"""Kernels with few numbers or many zeros, and networks in 8 bits."""

import dataclasses
import os

import keras
import numpy as np
import processes
import pytest
import tensorflow as tf
from boxes import CALIBRATION
from boxes import PICTURES
from boxes import SIZE
from boxes import fitted
from files import convert
from tiny_network import pictures
from tiny_network import tiny

import dla_keras
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.compress.fake_quantization import measure_ranges
from dla_keras.lite.compress.fake_quantization import round_kernel
from dla_keras.lite.compress.fine_tuning import FineTuning
from dla_keras.lite.compress.fine_tuning import Surroundings
from dla_keras.lite.compress.fine_tuning import apply_method
from dla_keras.lite.compress.fine_tuning import fine_tune
from dla_keras.lite.compress.fine_tuning import rounded_network
from dla_keras.lite.compress.fine_tuning import set_stage
from dla_keras.lite.compress.kernels import MIN_WEIGHTS
from dla_keras.lite.compress.kernels import cluster
from dla_keras.lite.compress.kernels import file_kernels
from dla_keras.lite.compress.kernels import kernel_facts
from dla_keras.lite.compress.kernels import model_kernels
from dla_keras.lite.compress.legacy import to_legacy
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.options import METHODS
from dla_keras.lite.options import Stage
from dla_keras.tasks.losses import cross_entropy_sums

pytestmark = pytest.mark.usefixtures("small_networks")

SPARSITY, CLUSTERS = 0.6, 16


def ranges_of(model, calibration):
    return measure_ranges(
        to_legacy(model, input_shape=(None, None, 3)), calibration
    )


# === Kernels ===


def gaussian(zeros=0.0, shape=(3, 3, 32, 32)):
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.05, shape).astype(np.float32)
    kernel[random.uniform(size=shape) < zeros] = 0
    return kernel


def test_clusters_stand_near_their_weights():
    kernel = gaussian()
    numbers, places = cluster(kernel, 16)
    tied = numbers[places]
    assert len(numbers) == 16 and places.shape == kernel.shape
    # The best 16 levels of a normal distribution err by 0.0095 of its
    # variance (Max, 1960); evenly spaced ones over these weights by 0.02.
    assert np.mean((tied - kernel) ** 2) < 0.011 * kernel.var()
    # Each number is the mean of its weights, and each weight at its nearest.
    for index, number in enumerate(numbers):
        assert kernel[places == index].mean() == pytest.approx(number, abs=1e-3)
    nearest = np.abs(kernel[..., None] - numbers).argmin(-1)
    assert np.mean(nearest == places) > 0.999  # but for ties


def test_zeros_are_a_cluster_of_their_own():
    kernel = gaussian(zeros=0.7)
    numbers, places = cluster(kernel, 8)
    tied = numbers[places]
    assert len(numbers) == 8
    np.testing.assert_array_equal(tied == 0, kernel == 0)


def test_few_numbers_are_kept_exactly():
    kernel = np.array([[0.5, -1.0], [0.0, 0.5]], np.float32)
    numbers, places = cluster(kernel, 8)
    np.testing.assert_array_equal(numbers[places], kernel)
    again, _ = cluster(numbers[places], 2**8)
    np.testing.assert_array_equal(again, numbers)


def test_kernels_are_rounded_evenly_about_zero():
    kernel = gaussian(zeros=0.5)
    apart = round_kernel(tf.constant(kernel)).numpy()
    step = np.abs(kernel).max((0, 1, 2)) / 127
    np.testing.assert_allclose(apart / step, np.round(kernel / step), atol=1e-3)
    together = round_kernel(tf.constant(kernel), channels_apart=False).numpy()
    step = np.abs(kernel).max() / 127
    np.testing.assert_allclose(
        together / step, np.round(kernel / step), atol=1e-3
    )
    for rounded in apart, together:
        assert np.all(rounded[kernel == 0] == 0)
    # A depthwise kernel's channels are on its third axis.
    deep = gaussian(shape=(3, 3, 8, 1))
    rounded = round_kernel(tf.constant(deep), depthwise=True).numpy()
    step = np.abs(deep).max((0, 1))[None, None] / 127
    np.testing.assert_allclose(rounded / step, np.round(deep / step), atol=1e-3)
    nothing = round_kernel(tf.zeros((1, 1, 4, 4)))
    assert not np.any(nothing.numpy())


# === A network of one of each ===


def around():
    images, labels = pictures()
    data = tf.data.Dataset.from_tensors((images.astype(np.float32), labels))
    return Surroundings(data.repeat, cross_entropy_sums, images)


def large_kernels(model):
    return [k for k in model_kernels(model) if k.size >= MIN_WEIGHTS]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_keeps_its_promise(method):
    keras.utils.set_random_seed(0)
    model = tiny()
    images, labels = pictures()

    def loss(network):
        sums = cross_entropy_sums(labels, network(images.astype(np.float32)))
        return float(sums[0] / sums[1])

    before = loss(model)
    plan = FineTuning(40, 3e-3, sparsity=SPARSITY, clusters=CLUSTERS)
    ranges = apply_method(model, method, plan, around())
    assert (ranges is None) == ("qat" not in method)
    network = rounded_network(model, method, ranges) if ranges else model
    assert loss(network) < 0.9 * before
    large = large_kernels(model)
    assert len(large) == 2
    for kernel in large:
        zeros = np.mean(kernel == 0)
        if "prune" in method:
            assert SPARSITY <= zeros < SPARSITY + 0.01
        else:
            assert zeros < 0.01
        many = len(np.unique(kernel)) > 1000
        assert many == ("cluster" not in method)
        assert many or len(np.unique(kernel)) <= CLUSTERS
    # What is small is not touched.
    first = model.get_layer("first_conv").kernel.numpy()
    assert np.mean(first == 0) < 0.01 and len(np.unique(first)) > 400


def test_what_methods_begin_with_is_trained_once(monkeypatch):
    trained = []

    def train(staged, plan, around, label):
        trained.append(label)
        fine_tune(staged, plan, around, label)

    monkeypatch.setattr("dla_keras.lite.compress.fine_tuning.fine_tune", train)
    plan, finished = FineTuning(2, 1e-3, clusters=CLUSTERS), {}
    renewed = []
    with_renewal = dataclasses.replace(around(), renew=renewed.append)
    start, left = tiny().get_weights(), {}
    for method in ("prune", "prune_cluster_qat", "prune_qat"):
        model = tiny()
        model.set_weights(start)
        apply_method(model, method, plan, with_renewal, finished)
        left[method] = model.get_weights()
    assert trained == [
        "prune 1/1",
        "prune_cluster_qat 2/3",
        "prune_cluster_qat 3/3",
        "prune_qat 2/2",
    ]
    # Batch norms of 8-bit networks are part of the weights.
    assert len(renewed) == 2
    # And what is taken over is what would be trained: alone it is the same.
    model = tiny()
    model.set_weights(start)
    apply_method(model, "prune_qat", plan, around())
    for ours, alone in zip(left["prune_qat"], model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, alone, atol=1e-5)


def test_the_loss_that_is_told_is_the_mean_over_valid_pixels():
    staged = set_stage(tiny(), METHODS["prune"][0])
    images, labels = pictures()
    outputs = staged.legacy(images.astype(np.float32), training=True)
    total, weight = cross_entropy_sums(labels, outputs)
    (told,) = fine_tune(staged, FineTuning(1, 1e-6, sparsity=0.0), around())
    assert told == pytest.approx(float(total / weight), rel=1e-5)


def test_pruning_takes_the_smallest_step_by_step():
    plan = FineTuning(100, 1e-3, sparsity=0.8)
    shares = [plan.sparsity_at(step) for step in range(100)]
    told = [share for share in shares if share is not None]
    assert told == sorted(told) and told[-1] == 0.8 and told[0] == 0
    assert 10 < len(told) <= 22
    assert not any(shares[61:])  # then the others make up for it
    model = tiny()
    start = model.get_layer("deep_conv").kernel.numpy()
    staged = set_stage(model, Stage("sparse"))
    for sparsity in (0.3, 0.8):
        staged.prune(sparsity)
    staged.copy_to(model)
    kernel = model.get_layer("deep_conv").kernel.numpy()
    kept = np.abs(start[kernel != 0])
    assert kept.min() >= np.abs(start[kernel == 0]).max()
    np.testing.assert_array_equal(start[kernel != 0], kernel[kernel != 0])


def test_ranges_hold_zero_and_what_is_joined_shares_them():
    model = tiny()
    ranges = ranges_of(model, pictures()[0])
    # One tensor for each operation of TFLite's: ReLUs and batch norms are
    # part of the one before.
    assert set(ranges) == {
        "normalize", "first_relu", "down_relu", "deep_relu", "add_relu",
        "up", "join", "fc",
    }  # fmt: skip
    for low, high in ranges.values():
        assert low <= 0 <= high
    assert ranges["first_relu"] == ranges["join"] == ranges["up"]
    assert ranges["up"] == ranges["add_relu"] != ranges["down_relu"]
    low, high = ranges["normalize"]
    assert low == -2 and 0 < high <= 255 / 64 - 2


def test_an_output_keeps_what_few_pictures_have():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(1, 1, name="inner")(image)
    model = keras.Model(image, keras.layers.Conv2D(1, 1, name="size")(x))
    model.set_weights(
        [np.full(w.shape, i % 2 == 0) for i, w in enumerate(model.weights)]
    )
    model.get_layer("size").bias.assign([-9.0])
    shades = [np.full((4, 4, 3), shade, np.uint8) for shade in (1, 2, 30)]
    # Three channels of each, added up: 3, 6 and 90.
    assert ranges_of(model, shades) == {"inner": (0, 33), "size": (-6, 81)}


def test_no_layer_is_rounded_by_surprise():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 1, name="conv")(image)
    model = keras.Model(image, keras.layers.LeakyReLU(name="leak")(x))
    with pytest.raises(ValueError, match="leak is a LeakyReLU.*methods prune"):
        ranges_of(model, pictures()[0])
    with pytest.raises(ValueError, match="training split.*Received: none"):
        ranges_of(tiny(), [])


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"clusters": 1},
        {"clusters": 256},
    ],
)
def test_what_cannot_be_is_refused(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=f"`{name}` is a .* Received: {value}"):
        FineTuning(**{"steps": 1, "learning_rate": 1e-3, **values})


def test_a_loss_that_is_not_finite_ends_the_training():
    model = tiny()
    model.get_layer("fc").bias.assign([np.nan] * 4)
    plan = FineTuning(5, 1e-3)
    with pytest.raises(
        ValueError, match="loss is nan after 0 of 5 .* prune 1/1"
    ):
        apply_method(model, "prune", plan, around())


def test_importing_it_changes_nothing_for_other_processes():
    rounded_network(tiny(), "qat", ranges_of(tiny(), pictures()[0]))
    assert "TF_USE_LEGACY_KERAS" not in os.environ


# === Files ===


@pytest.fixture(scope="module")
def sparse_and_tied():
    """Return a model after PCQAT, its network in 8 bits, and its file."""
    model = fitted()
    staged = set_stage(model, Stage("sparse"))
    staged.prune(SPARSITY)
    staged.copy_to(model)
    set_stage(model, Stage("tied"), CLUSTERS).copy_to(model)
    ranges = ranges_of(model, CALIBRATION)
    network = rounded_network(model, "prune_cluster_qat", ranges)
    data = convert(model, SIZE, "int8", "logits", network=network)
    return model, network, data


def test_file_is_in_8_bits_throughout(sparse_and_tied):
    facts = TfliteFile(sparse_and_tied[2])
    (image,) = facts.inputs
    assert (image.dtype, image.scale, image.zero_point) == ("uint8", 1, 0)
    assert facts.float_ops == 0
    # Into int8 and out of it; nothing is rounded anew in between.
    assert facts.op_counts["QUANTIZE"] == 2
    assert facts.op_counts["MUL"] == 0


def test_zeros_and_numbers_are_in_the_file(sparse_and_tied):
    kernels = file_kernels(sparse_and_tied[2])
    large = [kernel for kernel in kernels if kernel.size >= MIN_WEIGHTS]
    assert len(large) == len(large_kernels(sparse_and_tied[0])) > 25
    for kernel in large:
        assert kernel.dtype == np.int8
        assert SPARSITY <= np.mean(kernel == 0)
        assert len(np.unique(kernel)) <= CLUSTERS
    facts = kernel_facts(kernels)
    assert facts.least_zeros >= SPARSITY and facts.numbers <= CLUSTERS
    with pytest.raises(ValueError, match="4096 weights or more"):
        kernel_facts(kernels[:1])


def test_file_gives_what_the_network_gives(sparse_and_tied):
    _, network, data = sparse_and_tied
    lite_model = LiteModel(data)
    step = TfliteFile(data).outputs[0].scale
    for picture in PICTURES[:3]:
        expected = network(picture[None]).numpy()[0]
        found = lite_model.run(picture)
        # Where sums fall between two steps, runtimes round as they like; a
        # network of random weights passes this on through sixty layers.
        assert np.abs(found - expected).mean() < 4 * step
        assert np.mean(found.argmax(-1) == expected.argmax(-1)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"upsampling": "learned", "boundary_head": True},
        {"node": "separable"},
        {"variant": "dla46x_c"},  # grouped
        {"variant": "dla60_res2net", "head_stride": 16},
        {"variant": "dla60_res2next", "head_stride": 16},
        {"variant": "dla102x2", "head_stride": 16},
    ],
)
def test_every_kind_of_network_converts_throughout(options):
    model = dla_keras.DLASegmenter(
        num_classes=5, **{"variant": "dla46_c", **options}
    )
    ranges = ranges_of(model, CALIBRATION[:2])
    network = rounded_network(model, "qat", ranges)
    data = convert(model, (32, 64), "int8", network=network)
    facts = TfliteFile(data)
    # Pixels come in; nothing else is quantized anew.
    assert facts.float_ops == 0 and facts.op_counts["QUANTIZE"] == 1
    assert (facts.inputs[0].scale, facts.inputs[0].zero_point) == (1, 0)


# === Replicas ===


def test_two_replicas_train_as_one(tmp_path):
    # The method with all stages. A tensor may be rounded otherwise after
    # another order of sums. Measured: 1.2e-3 of the way. With a mean per
    # replica instead of one over all: 0.5; with batch norms apart: 0.24.
    allowed = {"prune_cluster_qat": 0.02}
    paths = {replicas: tmp_path / f"{replicas}.npz" for replicas in (1, 2)}
    started = [
        processes.start("legacy_replicas", path, replicas, *allowed)
        for replicas, path in paths.items()
    ]
    for process in started:
        process.finish()
    one, two = (np.load(path) for path in paths.values())
    for method, most in allowed.items():
        names = [
            name
            for name in one.files
            if name.startswith(f"{method}/") and "moving" not in name
        ]
        ours, theirs = (
            np.concatenate([found[name].ravel() for name in names])
            for found in (one, two)
        )
        way = np.linalg.norm(ours)
        assert way > 0 and np.linalg.norm(ours - theirs) < most * way
