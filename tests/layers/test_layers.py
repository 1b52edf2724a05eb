"""The layers one by one: invariances, round trips, and their arithmetic."""

import keras
import numpy as np
import pytest

from dla_keras import layers
from dla_keras.layers.upsampling import bilinear_kernel


def random_picture(height, width, channels):
    shape = (1, height, width, channels)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def transposed_convolution(inputs, kernel, factor):
    """Depthwise, stride `factor`, padding `factor / 2`, by its definition."""
    _, height, width, channels = inputs.shape
    size = 2 * factor
    spread = np.zeros(
        ((height + 1) * factor, (width + 1) * factor, channels), np.float64
    )
    for row in range(height):
        for column in range(width):
            y, x = row * factor, column * factor
            spread[y : y + size, x : x + size] += (
                inputs[0, row, column] * kernel
            )
    edge = factor // 2
    return spread[edge:-edge, edge:-edge][None]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_learned_upsampling_is_a_transposed_convolution(factor):
    inputs = random_picture(5, 7, 3)
    layer = layers.LearnedUpsampling(factor)
    layer(inputs)
    kernel = np.random.default_rng(1).normal(size=(2 * factor, 2 * factor, 3))
    for index, phase in enumerate(layer.phase):
        phase.kernel.assign(layer.phase_of(kernel, index)[..., None])
    expected = transposed_convolution(inputs, kernel, factor)
    # float32 against float64
    np.testing.assert_allclose(
        numpy_of(layer(inputs)), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_learned_upsampling_starts_bilinear(factor):
    inputs = random_picture(6, 8, 3)
    learned = numpy_of(layers.LearnedUpsampling(factor)(inputs))
    fixed = numpy_of(layers.BilinearUpsampling(factor)(inputs))
    inner = slice(factor, -factor)  # the border sees zeros, or repeats
    np.testing.assert_allclose(
        learned[:, inner, inner], fixed[:, inner, inner], atol=1e-5
    )
    assert not np.allclose(learned, fixed)


def test_bilinear_kernel_spreads_each_pixel_evenly():
    for factor in (2, 4, 8):
        kernel = bilinear_kernel(factor)
        # Each phase's four taps sum to one: a flat picture stays flat.
        phases = kernel.reshape(2, factor, 2, factor).sum((0, 2))
        np.testing.assert_allclose(phases, 1.0)


def test_strided_equals_dense_then_subsampled():
    inputs = random_picture(16, 24, 4)
    strided = layers.ConvBN(8, strides=2)
    dense = layers.ConvBN(8)
    strided(inputs), dense(inputs)
    dense.set_weights(strided.get_weights())
    np.testing.assert_allclose(
        numpy_of(strided(inputs)),
        numpy_of(dense(inputs))[:, ::2, ::2],
        atol=1e-5,  # float32 sums in another order
    )


@pytest.mark.parametrize("shape", [(16, 24), (15, 23)])
@pytest.mark.parametrize("strides", [1, 2])
def test_convbn_shape_is_as_it_says(shape, strides):
    inputs = random_picture(*shape, 4)
    layer = layers.ConvBN(8, strides=strides)
    expected = layer.compute_output_shape(inputs.shape)
    assert tuple(layer(inputs).shape) == expected


def test_tree_holds_two_to_the_depth_blocks():
    inputs = random_picture(8, 8, 16)
    for depth in (1, 2, 3):
        tree = layers.Tree(16, depth=depth)
        tree(inputs)
        blocks = [
            layer
            for layer in tree._flatten_layers()
            if isinstance(layer, layers.BasicBlock)
        ]
        assert len(blocks) == 2**depth


def test_tree_joins_its_children_at_the_last_root():
    inputs, child = random_picture(8, 8, 16), random_picture(8, 8, 5)
    tree = layers.Tree(16, depth=2)
    tree(inputs, (child,))
    # Two blocks, the first subtree's output, and the child.
    assert tree.tree2.root.conv.conv.kernel.shape[2] == 3 * 16 + 5
    assert tree.tree1.root.conv.conv.kernel.shape[2] == 2 * 16


def test_ida_projects_only_where_channels_differ():
    fine, coarse = random_picture(8, 8, 16), random_picture(4, 4, 16)
    ida = layers.IDAUp(16, (1, 2))
    ida([fine, coarse])
    assert ida.proj[1] is None
    ida = layers.IDAUp(16, (1, 2))
    ida([fine, random_picture(4, 4, 32)])
    assert ida.proj[1] is not None


LAYERS = [
    (layers.ConvBN(8, 5, 2, dilation_rate=1, activation=None), (8, 8, 4)),
    (layers.SeparableConvBN(8), (8, 8, 4)),
    (layers.BasicBlock(8, dilation_rate=2), (8, 8, 8)),
    (layers.Bottleneck(64, groups=32, base_width=4), (8, 8, 64)),
    (layers.Tree(64, 2, "bottleneck", 2, True, True, 32, 4), (16, 16, 8)),
    (layers.LearnedUpsampling(4), (4, 4, 3)),
    (layers.BilinearUpsampling(4), (4, 4, 3)),
]


@pytest.mark.parametrize(
    ("layer", "shape"), LAYERS, ids=lambda v: getattr(v, "name", "")
)
def test_config_round_trip(layer, shape, tmp_path):
    inputs = random_picture(*shape)
    symbolic = keras.Input(shape)
    model = keras.Model(symbolic, layer(symbolic))
    outputs = numpy_of(model(inputs))
    assert outputs.shape[1:] == model.output_shape[1:]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs, numpy_of(loaded(inputs)))
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize(
    "layer",
    [
        layers.Root(8, residual=True),
        layers.IDAUp(8, (1, 2), "learned"),
        layers.IDAUp(8, (1, 2), node_type="separable"),
    ],
    ids=lambda v: v.name,
)
def test_config_round_trip_of_joining_layers(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    coarse = 1 if isinstance(layer, layers.Root) else 2
    inputs = [
        random_picture(8, 8, 8),
        random_picture(8 // coarse, 8 // coarse, 6),
    ]
    layer(inputs), copy(inputs)
    copy.set_weights(layer.get_weights())
    results = zip(
        keras.tree.flatten(layer(inputs)),
        keras.tree.flatten(copy(inputs)),
        strict=True,
    )
    for ours, theirs in results:
        np.testing.assert_array_equal(numpy_of(ours), numpy_of(theirs))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ConvBN(8, 2), "must be odd"),
        (lambda: layers.ConvBN(8, activation="gelu"), "'relu' or None"),
        (lambda: layers.BasicBlock(8, groups=2), "Use Bottleneck"),
        (lambda: layers.Tree(8, depth=0), "at least 1 deep"),
        (lambda: layers.Tree(8, block="dense"), "`block` must be one of"),
        (lambda: layers.IDAUp(8, (2, 2)), "`factors` needs"),
        (lambda: layers.IDAUp(8, (1, 2), node_type="fast"), "`node_type` must"),
        (lambda: layers.LearnedUpsampling(3), "must be even"),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
