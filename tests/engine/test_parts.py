"""The engine's parts, against references written out in NumPy."""

import functools
import types
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_run import Tiny

import dla_keras
from dla_keras.engine import optimizers
from dla_keras.engine.averages import Snapshot
from dla_keras.engine.averages import WeightAverage
from dla_keras.engine.optimizers import SCHEDULES
from dla_keras.engine.optimizers import Schedule
from dla_keras.engine.optimizers import make_optimizer
from dla_keras.engine.steps import make_train_steps
from dla_keras.engine.strategies import make_strategy
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.segmentation import make_loss
from dla_keras.tasks.segmentation import make_teacher

# === Optimizers ===


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("poly", [(1 - s / 40) ** 0.9 for s in range(40)]),
        ("cosine", [(1 + np.cos(np.pi * s / 40)) / 2 for s in range(40)]),
        ("step", [0.1 ** ((s >= 10) + (s >= 30)) for s in range(40)]),
        ("constant", [1.0] * 40),
    ],
)
def test_schedules(name, expected):
    schedule = Schedule(0.2, 40, name, milestones=(0.25, 0.75), warmup=4)
    warm = np.minimum((np.arange(40) + 1) / 4, 1)
    received = [float(schedule(tf.constant(s))) for s in range(40)]
    # Float32 holds 7 digits.
    np.testing.assert_allclose(received, 0.2 * warm * expected, atol=1e-7)
    assert name in SCHEDULES


def quadratic(slow_rate):
    """Two weights, one of them in the slow part."""
    slow = keras.layers.Dense(1, use_bias=False)
    fast = keras.layers.Dense(1, use_bias=False)
    inputs = keras.Input((1,))
    model = keras.Model(inputs, fast(slow(inputs)))
    for layer in (slow, fast):
        layer.kernel.assign([[1.0]])
    make = lambda name, rate: make_optimizer(
        name, rate, 0.5, model, slow=slow, slow_rate=slow_rate
    )
    return model, make


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimizers_step_as_pytorch_under_a_schedule(name):
    """A drop of the rate acts at once, on each part's own rate."""
    model, make = quadratic(slow_rate=0.25)
    optimizer = make(name, Schedule(0.1, 20, "step", (0.5,)))
    gradients = np.random.default_rng(0).normal(0.3, 0.5, (20, 2))
    weights, slot = np.ones(2), np.zeros(2)
    square = np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([tf.constant([[g]], tf.float32) for g in gradient])
        rate = (0.1 if step <= 10 else 0.01) * np.array([0.25, 1.0])
        if name == "sgd":
            slot = 0.9 * slot + gradient + 0.5 * weights
            weights = weights - rate * slot
        else:
            weights = weights * (1 - 0.5 * rate)
            slot = 0.9 * slot + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            mean = slot / (1 - 0.9**step)
            root = np.sqrt(square / (1 - 0.999**step))
            weights = weights - rate * mean / root
    received = [v.numpy().item() for v in model.trainable_variables]
    # Float32, and Adam's epsilon at another place. Measured: 1e-7, 7e-6.
    np.testing.assert_allclose(received, weights, atol=2e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_what_steps_as_one_steps_as_it_would_apart(name, monkeypatch):
    """To the bit: the slots of variables of all shapes, and two rates."""
    results = []
    for pack in (2**18, 0):
        monkeypatch.setattr(optimizers, "PACK", pack)
        keras.utils.set_random_seed(0)
        model = Tiny()
        slow = model.layers[1]
        optimizer = make_optimizer(name, 0.1, 0.01, model, slow, 0.5)
        average = WeightAverage(model, 0.9)
        random = np.random.default_rng(0)
        for step in range(3):
            optimizer.apply(
                [
                    tf.constant(random.normal(size=v.shape), tf.float32)
                    for v in model.trainable_variables
                ]
            )
            average.update(tf.constant(step + 1))
        arrays = average.arrays()
        assert len(arrays) == len(average.sources)
        results.append(
            [
                *(v.numpy() for v in model.trainable_variables),
                *(arrays[id(v)] for v in average.sources),
            ]
        )
        counts = len(optimizer.packs), len(model.trainable_variables)
        assert counts[0] < counts[1] if pack else counts[0] == counts[1]
    for one, apart in zip(*results, strict=True):
        np.testing.assert_array_equal(one, apart)


# === Averages and snapshots ===


def test_a_weight_average_takes_in_statistics_too():
    model = Tiny()
    average = WeightAverage(model, 0.9)
    assert len(average.sources) == len(model.variables) - 1  # less the seed
    expected = [v.numpy() for v in average.sources]
    for step in (1, 2, 30, 200):
        for v in average.sources:
            v.assign(v + 0.1 * step)
        average.update(tf.constant(step))
        keep = min(0.9, (1 + step) / (10 + step))
        expected = [
            keep * e + (1 - keep) * v.numpy()
            for e, v in zip(expected, average.sources, strict=True)
        ]
    arrays = average.arrays()
    for e, v in zip(expected, average.sources, strict=True):
        np.testing.assert_allclose(arrays[id(v)], e, rtol=1e-5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        WeightAverage(model, 1.0)


def test_a_snapshot_has_the_statistics_of_its_batches():
    keras.utils.set_random_seed(0)
    model = Tiny("mixed_bfloat16")
    draw = np.random.default_rng(0)
    pictures = draw.uniform(0, 255, (12, 16, 32, 3)).astype(np.float32)
    batches = [(pictures[i : i + 4], None) for i in (0, 4, 8)]
    before = [v.numpy() for v in model.variables]
    snapshot = Snapshot(model, batches=batches)
    snapshot.take()
    assert snapshot.model.fc.compute_dtype == "float32"
    for v, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value)  # as it was
    # The first batch norm's are those of all pictures in one batch.
    rescale, conv, norm = snapshot.model.backbone.layers[:3]
    x = np.asarray(conv(rescale(pictures)), np.float64)
    axes = (0, 1, 2)
    np.testing.assert_allclose(norm.moving_mean, x.mean(axes), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, x.var(axes), rtol=1e-4)
    again = [v.numpy() for v in snapshot.model.variables]
    snapshot.take()
    for v, value in zip(snapshot.model.variables[:4], again, strict=False):
        np.testing.assert_array_equal(v.numpy(), value)
    assert norm.momentum == 0.9


# === The step ===


def test_xla_takes_the_same_step():
    """Also, what XLA cannot do is said before anything is compiled."""
    results = []
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 16, 32, 3))
    labels = np.zeros((4, 16, 32), np.uint8)
    data = tf.data.Dataset.from_tensors((pictures.astype("float32"), labels))
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        strategy = make_strategy("one_device")
        model = Tiny(dropout_rate=0.0)
        optimizer = make_optimizer("sgd", 0.1, 0.0, model)
        steps = make_train_steps(
            strategy, model, optimizer, cross_entropy_sums, jit=jit
        )
        losses = steps(iter(data.repeat()), tf.constant(3))
        results.append([losses, *(v.numpy() for v in model.variables)])
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-3, atol=1e-5)
    several = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match="--jit with 2 replicas"):
        make_train_steps(several, model, optimizer, None, jit=True)


def test_a_batch_without_a_valid_pixel_changes_nothing_but_by_decay():
    strategy = make_strategy("one_device")
    model = Tiny(dropout_rate=0.0)
    optimizer = make_optimizer("sgd", 0.1, 0.0, model)
    steps = make_train_steps(strategy, model, optimizer, cross_entropy_sums)
    before = [v.numpy() for v in model.trainable_variables]
    data = tf.data.Dataset.from_tensors(
        (np.ones((4, 16, 32, 3), "f"), np.full((4, 16, 32), 255, np.uint8))
    )
    assert steps(iter(data), tf.constant(1)).numpy().tolist() == [0.0]
    for v, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value)


def test_a_teacher_answers_in_the_datas_classes(tmp_path):
    names = ("sky", "car", "road")
    make = functools.partial(dla_keras.DLASegmenter, "dla46_c", 3)
    make(class_names=names).save(tmp_path / "teacher.keras")
    args = SimpleNamespace(
        teacher=str(tmp_path / "teacher.keras"), classes_by_number=False
    )
    of = lambda *names: SimpleNamespace(
        name="data", class_names=names, num_classes=len(names)
    )
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    whole = make_teacher(args, of(*names))(images).numpy()
    other = make_teacher(args, of("road", "sky", "car"))(images)
    assert np.ptp(whole) > 0
    np.testing.assert_array_equal(other, whole[..., [2, 0, 1]])
    with pytest.raises(ValueError, match="only the data tree"):
        make_teacher(args, of("sky", "car", "tree"))
    args.teacher = None
    assert make_teacher(args, of(*names)) is None


def test_a_step_hears_its_teacher():
    """With labels that are all ignored, nothing is learned from anybody."""
    labels = np.full((2, 32, 32), 255, np.uint8)
    labels[0] = 1
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)) * 50 + 120
    taught = lambda images: tf.one_hot(tf.ones((2, 32, 32), tf.int32), 3) * 50
    keras.utils.set_random_seed(0)
    model = dla_keras.DLASegmenter("dla46_c", 3)
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build(model.trainable_variables)
    first = []
    for weight in (0.0, 1.0):
        loss = make_loss(None, teacher_weight=weight)
        step = make_train_steps(
            tf.distribute.get_strategy(),
            model,
            optimizer,
            loss,
            teacher=taught if weight else None,
        )
        first.append(float(step(iter([(images, labels)]), 1)[0]))
    # A teacher that is sure of the label says what the label does.
    assert first[1] == pytest.approx(2 * first[0], rel=1e-5)
