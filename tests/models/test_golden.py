"""The same weights give the numbers of timm and of the authors' code."""

import keras
import numpy as np
import pytest
import reference

import dla_keras
from dla_keras.weights import load_torch_state

# float32 sums in another order; measured: 1e-6 at most. A wrong padding,
# epsilon or order of concatenation shows as 1e-2 and more.
TOLERANCE = 1e-4
# The golden inputs are normalized already.
AS_IT_IS = {"mean": (0, 0, 0), "std": (1 / 255,) * 3}

# Function -> trainable weights, as the references count them.
PARAMETERS = {
    "DLA34": 15_742_104,
    "DLA46C": 1_301_400,
    "DLA46XC": 1_068_440,
    "DLA60XC": 1_319_832,
    "DLA60": 22_036_632,
    "DLA60X": 17_352_344,
    "DLA102": 33_268_888,
    "DLA102X": 26_309_272,
    "DLA102X2": 41_282_200,
    "DLA169": 53_389_720,
    "DLA60Res2Net": 20_848_072,
    "DLA60Res2NeXt": 17_032_984,
}
SEGMENTERS = sorted(name for name in reference.SHAPES if "up_c" in name)


def predict(model, inputs):
    outputs = model(inputs, training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def check(received, name):
    error = reference.relative_error(received, name)
    print(f"{name}: {error:.1e}")
    assert error < TOLERANCE


@pytest.mark.parametrize("name", PARAMETERS)
def test_classifier_equals_the_references(name):
    make = getattr(dla_keras, name)
    model = make(classifier_activation=None, **AS_IT_IS)
    variant = model.variant
    counts = [int(np.prod(w.shape)) for w in model.trainable_weights]
    assert sum(counts) == PARAMETERS[name]
    backbone = dla_keras.DLABackbone(variant)
    image = reference.image(224, 224)
    for source in (f"timm/{variant}", f"official/{variant}"):
        if source not in reference.SHAPES:
            continue  # the authors have no Res2Net
        state = reference.state_dict(source)
        load_torch_state(model, state)
        check(predict(model, image), f"{source}/logits")
    # timm's, loaded where the classifier's weights are not expected.
    load_torch_state(backbone, reference.state_dict(f"timm/{variant}"))
    for level, features in enumerate(predict(backbone, image).values()):
        check(features.mean((1, 2)), f"timm/{variant}/level{level}_mean")


def test_every_variant_is_checked():
    assert len(PARAMETERS) == len(dla_keras.list_variants())
    assert len(SEGMENTERS) == 5


@pytest.mark.parametrize("source", SEGMENTERS)
def test_segmenter_equals_the_authors(source):
    name, classes, stride = source.split("/")[1].split("_")
    model = dla_keras.DLASegmenter(
        name.removesuffix("up"),
        int(classes[1:]),
        head_stride=int(stride[1:]),
        upsampling="learned",
        **AS_IT_IS,
    )
    load_torch_state(model, reference.state_dict(source))
    both = keras.Model(model.input, [model.fc.output, model.output])
    logits, full = predict(both, reference.image(128, 160))
    check(logits[:, ::2, ::2].transpose(0, 3, 1, 2), f"{source}/logits")
    # In NumPy, and in double precision: not what is tested here.
    full = full[:, ::8, ::8].transpose(0, 3, 1, 2).astype(np.float64)
    log_sum = np.log(np.exp(full).sum(1, keepdims=True))
    check(full - log_sum, f"{source}/log_softmax_stride8")
