"""The public signatures: one name, order and default for an argument."""

import inspect
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from paths import ROOT

import dla_keras
from dla_keras import layers
from dla_keras.data.augmentation import Augmentation
from dla_keras.data.augmentation import Mixing
from dla_keras.data.augmentation import RandomResizedCrop
from dla_keras.data.fitting import central_crop
from dla_keras.engine.optimizers import Schedule
from dla_keras.lite.compress.fine_tuning import FineTuning

# Argument -> why it has several defaults.
DEFAULTS = {
    "head_stride": "the paper's, by task",
    "input_shape": "a function of a model takes the model's own",
    "num_classes": "ImageNet's, where there are weights of it",
    "path": "`export_tflite` need not write",
    "threads": "a file is verified on one",
    "weights": "`load_pretrained` is for nothing else",
}
# Every layer, with arguments that are not at their defaults.
TREE = {
    "filters": 8,
    "strides": 2,
    "groups": 2,
    "base_width": 32,
    "dilation_rate": 2,
    "atrous": True,
    "drop_path_rate": 0.1,
}
LAYERS = {
    "BasicBlock": {**TREE, "groups": 1, "base_width": 64},
    "BilinearUpsampling": {"factor": 4},
    "Bottle2neck": {**TREE, "filters": 64},
    "Bottleneck": {**TREE, "filters": 64},
    "ConvBN": {
        "filters": 8,
        "kernel_size": 5,
        "strides": 2,
        "groups": 2,
        "dilation_rate": 1,  # only one of the two can be above 1
        "activation": None,
    },
    "DLAUp": {"upsampling": "learned", "node_type": "separable", "remat": True},
    "DilatedPooling": {"pool": "max", "pool_size": 3, "dilation_rate": 2},
    "IDAUp": {
        "filters": 8,
        "factors": (1, 2),
        "upsampling": "learned",
        "node_type": "separable",
        "remat": True,
    },
    "LearnedUpsampling": {"factor": 4},
    "Root": {"filters": 8, "residual": True},
    "SeparableConvBN": {"filters": 8, "kernel_size": 5},
    "Tree": {
        **TREE,
        "filters": 64,
        "depth": 2,
        "block": "bottleneck",
        "level_root": True,
        "residual_root": True,
        "remat": True,
    },
}


def signatures():
    """Return the arguments of what is public, by name."""
    public = {name: getattr(dla_keras, name) for name in dla_keras.__all__}
    public |= {name: getattr(layers, name) for name in layers.__all__}
    return {
        name: inspect.signature(value).parameters
        for name, value in public.items()
        if callable(value)
    }


def test_an_argument_has_one_default():
    seen = {}
    for name, arguments in signatures().items():
        for argument in arguments.values():
            values = seen.setdefault(argument.name, {})
            values.setdefault(repr(argument.default), []).append(name)
    different = {name: v for name, v in seen.items() if len(v) > 1}
    assert different.keys() <= DEFAULTS.keys(), different


def test_arguments_have_one_order():
    places = {}
    for name, arguments in signatures().items():
        # `DLA` and its siblings have the order of Keras Applications.
        if name in dla_keras.__all__ and "include_top" in arguments:
            if name != "DLAClassifier":
                continue
        for pair in itertools.combinations(arguments, 2):
            places.setdefault(pair, []).append(name)
    turned = {p: v for p, v in places.items() if p[::-1] in places}
    assert not turned


@pytest.mark.parametrize("name", layers.__all__)
def test_layers_keep_their_arguments(name):
    settings = LAYERS[name]
    made = getattr(layers, name)(**settings)
    assert settings.keys() == signatures()[name].keys() - {"kwargs"}
    config = made.get_config()
    for argument, value in settings.items():
        assert getattr(made, argument) == value
        assert config[argument] == value
    assert type(made).from_config(config).get_config() == config


def test_predictions_have_the_names_of_imagenet():
    known = {
        0: ("n01440764", "tench"),
        207: ("n02099601", "golden retriever"),
        281: ("n02123045", "tabby"),
        817: ("n04285008", "sports car"),
        999: ("n15075141", "toilet tissue"),
    }
    scores = np.zeros((2, 1000))
    scores[0, [207, 0, 999]] = 0.5, 0.3, 0.1
    scores[1, [281, 817]] = 0.9, 0.05
    first, second = dla_keras.decode_predictions(scores, top=3)
    assert first == [
        (*known[207], 0.5),
        (*known[0], 0.3),
        (*known[999], 0.1),
    ]
    assert second[:2] == [(*known[281], 0.9), (*known[817], 0.05)]
    names = dla_keras.decode_predictions(np.ones((1, 1000)), top=1000)[0]
    assert len({identity for identity, *_ in names}) == 1000
    for shape in ((1000,), (1, 10)):
        with pytest.raises(ValueError, match="`model.class_names`"):
            dla_keras.decode_predictions(np.zeros(shape))
    for top in (-1, 0, 1001, 2.5):
        with pytest.raises(ValueError, match="`top` is a whole number of at"):
            dla_keras.decode_predictions(scores, top=top)


def test_type_checkers_see_the_arguments(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "use.py").write_text(
        "import dla_keras\n"
        "dla_keras.DLA34(num_classes=3, weights=None).num_classes\n"
        "dla_keras.DLA34(num_clases=3)\n"
        'dla_keras.DLASegmenter("dla34", "three")\n'
    )
    flags = ("--ignore-missing-imports", "--follow-imports=silent")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(found) == 2, done.stdout + done.stderr
    assert (
        'use.py:3: error: Unexpected keyword argument "num_clases"'
        in (found[0])
    )
    assert "use.py:4" in found[1] and 'expected "int"' in found[1]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (
            "drop_path_rate",
            lambda v: dla_keras.DLABackbone("dla46_c", drop_path_rate=v),
        ),
        (
            "drop_path_rate",
            lambda v: dla_keras.DLASegmenter("dla46_c", 3, drop_path_rate=v),
        ),
        (
            "dropout_rate",
            lambda v: dla_keras.DLA46C(num_classes=3, dropout_rate=v),
        ),
        ("threads", lambda v: dla_keras.load("absent.tflite", threads=v)),
        ("jitter", lambda v: Augmentation((32, 32), jitter=v)),
        ("rotation", lambda v: Augmentation((32, 32), rotation=v)),
        ("scale", lambda v: Augmentation((32, 32), scale=(v, 2.0))),
        ("area", lambda v: RandomResizedCrop((32, 32), area=(v, 1.0))),
        ("cutmix", lambda v: Mixing(3, cutmix=v)),
        (
            "crop_fraction",
            lambda v: central_crop(np.zeros((9, 9, 3)), (8, 8), v),
        ),
        ("learning_rate", lambda v: Schedule(v, 10)),
        ("sparsity", lambda v: FineTuning(1, 1e-3, sparsity=v)),
    ],
)
def test_arguments_have_the_ranges_of_flags(name, make):
    for value in (float("nan"), float("inf"), -1, 1e30):
        with pytest.raises(ValueError, match=f"`{name}` is a .*Received: "):
            make(value)
