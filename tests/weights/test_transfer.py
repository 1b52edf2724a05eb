"""What fits of other weights is taken, exactly, and the rest left alone."""

import functools
import re
from unittest import mock

import keras
import numpy as np
import pytest
import states
from tiny_variant import TINY_VARIANT

import dla_keras
from dla_keras import weights
from dla_keras.variants import VARIANTS
from dla_keras.weights.transfer import take_weights

pytest.importorskip("safetensors")


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """Give models `dla_tiny` to be of."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        yield


def segmenter(names, **options):
    return dla_keras.DLASegmenter(
        "dla_tiny", len(names), class_names=tuple(names), **options
    )


MODELS = {
    "joint": lambda: segmenter("abc", boundary_head=True),
    "segmenter": lambda: segmenter("cd"),
    "finer": lambda: segmenter("abcd", head_stride=2, upsampling="learned"),
    "detector": lambda: dla_keras.DLABoundaryDetector(
        "dla_tiny", head_stride=4
    ),
    "classifier": lambda: dla_keras.DLAClassifier(
        "dla_tiny", 3, class_names=("x", "b", "c")
    ),
    "backbone": lambda: dla_keras.DLABackbone("dla_tiny"),
    "first levels": lambda: dla_keras.DLABackbone("dla_tiny", levels=("P3",)),
}


@pytest.fixture(scope="module")
def models():
    """Return a model of each kind, with weights of its own."""
    found = {}
    for seed, (name, make) in enumerate(MODELS.items()):
        keras.utils.set_random_seed(seed)
        found[name] = make()
    return found


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    """Return the path of a model in a kind of file."""
    folder = tmp_path_factory.mktemp("weights")

    @functools.cache
    def path(name, suffix):
        file = folder / f"{name}{suffix}"
        if suffix == ".keras":
            models[name].save(file)
        elif suffix == ".weights.h5":
            models[name].save_weights(file)
        else:
            weights.save_torch_weights(models[name], file)
        return file

    return path


# Target, source -> arrays that are taken: 130 are of the backbone, 50 of
# DLA-Up at stride 4, two of a head.
TAKEN = {
    ("segmenter", "joint"): (182, 182),
    ("joint", "segmenter"): (182, 184),
    ("joint", "detector"): (182, 184),
    ("detector", "joint"): (182, 182),
    ("detector", "classifier"): (130, 182),
    ("finer", "segmenter"): (180, 233),
    ("segmenter", "finer"): (180, 182),
    ("classifier", "joint"): (130, 132),
    ("backbone", "detector"): (130, 130),
    ("segmenter", "backbone"): (130, 182),
    ("segmenter", "first levels"): (75, 182),
    ("first levels", "finer"): (75, 75),
}


CASES = [(*pair, ".keras") for pair in TAKEN]
CASES += [
    (target, source, suffix)
    for target, source in TAKEN
    for suffix in (".weights.h5", ".safetensors")
    if source in ("joint", "classifier")
]


@pytest.mark.parametrize(("target", "source", "suffix"), CASES)
def test_what_fits_is_taken(models, files, target, source, suffix):
    theirs = weights.torch_state(models[source])
    keras.utils.set_random_seed(99)
    model = MODELS[target]()
    before = weights.torch_state(model)
    said = take_weights(model, files(source, suffix))
    after = weights.torch_state(model)
    own = lambda name: name.removeprefix("base.")
    theirs = {own(name): array for name, array in theirs.items()}
    taken = 0
    for name, array in after.items():
        if re.match(r"(boundary_)?(fc|up)\.", name):
            continue
        same = theirs.get(own(name), np.zeros(0)).shape == array.shape
        taken += same
        expected = theirs[own(name)] if same else before[name]
        np.testing.assert_array_equal(array, expected, name)
    count, total = TAKEN[target, source]
    heads = count - taken
    if suffix != ".keras" and (target, source) == ("segmenter", "joint"):
        count, heads = count - 2, 0  # nobody named these classes
    assert heads in (0, 2)
    assert f": {count} of {total} arrays taken (backbone" in said


def test_a_heads_rows_go_with_their_classes(models, files):
    source = models["joint"]
    model = segmenter(("C", "new", "a"))
    start = weights.torch_state(model)
    said = take_weights(model, files("joint", ".keras"))
    assert "2 of 3 classes by name: C, a" in said
    theirs, ours = weights.torch_state(source), weights.torch_state(model)
    for name in ("fc.0.weight", "fc.0.bias"):
        np.testing.assert_array_equal(ours[name][0], theirs[name][2])
        np.testing.assert_array_equal(ours[name][1], start[name][1])
        np.testing.assert_array_equal(ours[name][2], theirs[name][0])
    # A classifier's head has rows, too; a detector's is a boundary head.
    classifier = dla_keras.DLAClassifier(
        "dla_tiny", 1 + 1, class_names=("b", "z")
    )
    take_weights(classifier, files("classifier", ".keras"))
    np.testing.assert_array_equal(
        classifier.fc.kernel[:, 0], models["classifier"].fc.kernel[:, 1]
    )
    joint = MODELS["joint"]()
    take_weights(joint, files("detector", ".keras"))
    np.testing.assert_array_equal(
        joint.boundary_fc.kernel, models["detector"].fc.kernel
    )


def test_classes_by_number_insist(models, files):
    model = segmenter("xyz")
    said = take_weights(model, files("joint", ".keras"))
    assert "head 0 of 2; 0 of 3 classes by name" in said
    said = take_weights(model, files("joint", ".keras"), by_number=True)
    assert "classes by number" in said
    np.testing.assert_array_equal(model.fc.kernel, models["joint"].fc.kernel)
    with states.refused(segmenter("ab"), "of 3, for a model of 2"):
        take_weights(segmenter("ab"), files("joint", ".keras"), by_number=True)


def test_what_fits_nothing_is_refused(models, files, tmp_path):
    model = models["segmenter"]
    other = tmp_path / "other.keras"
    dla_keras.DLABackbone("dla46_c").save(other)
    with states.refused(model, "look like dla46_c: pass --variant dla46_c"):
        take_weights(model, other)
    state = weights.torch_state(model)
    state["base.level2.tree1.bn1.running_var"][0] = -1
    path = tmp_path / "x.safetensors"
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(state, path)
    with states.refused(model, "negative variance: level2.tree1.bn1"):
        take_weights(model, path)
    safetensors.save_file({"conv.weight": np.zeros((1, 3, 3, 3))}, path)
    with states.refused(model, "nothing fits"):
        take_weights(model, path)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(other)
    with states.refused(model, "model of dla_keras", "with a Sequential"):
        take_weights(model, other)
    for weights_of_nothing in (None, "", 3):
        for take in (take_weights, dla_keras.load_pretrained):
            with states.refused(model, f"Received: {weights_of_nothing!r}"):
                take(model, weights_of_nothing)
    head = {"fc.0.weight": (2, 16, 1, 1), "fc.0.bias": (7,)}
    head = {n: np.ones(s, np.float32) for n, s in head.items()}
    safetensors.save_file(head, path)
    assert "head 1 of 2" in take_weights(MODELS["segmenter"](), path)
    safetensors.save_file({n: np.zeros((), np.float32) for n in head}, path)
    with states.refused(model, "nothing fits"):
        take_weights(model, path)
    with states.refused(model, "unexpected: fc.0.bias"):
        dla_keras.load_pretrained(model, path)
    with states.refused(model, "Pass the .keras file"):
        take_weights(model, tmp_path / "x.tflite")


def test_a_runs_folder_is_its_model(models, tmp_path):
    run = tmp_path / "run"
    (run / "qat").mkdir(parents=True)
    with states.refused(
        models["segmenter"], "a run's folder", error=FileNotFoundError
    ):
        take_weights(models["segmenter"], run)
    models["joint"].save(run / "best.keras")
    assert "best.keras: 182 of" in take_weights(MODELS["segmenter"](), run)
    models["segmenter"].save(run / "model.keras")
    assert "model.keras: 182 of" in take_weights(MODELS["segmenter"](), run)
