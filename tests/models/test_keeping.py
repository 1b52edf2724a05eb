"""Every way that Keras and TensorFlow keep a model keeps all of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_variant import TINY_VARIANT

import dla_keras
from dla_keras.variants import VARIANTS
from dla_keras.variants import Variant

RES2NET = Variant((1, 1, 1, 1), (8, 8, 16, 32, 32, 64), "bottle2neck", 1, 28)

MODELS = {
    "segmenter": lambda: dla_keras.DLASegmenter("dla_tiny", 3),
    "joint, learned": lambda: dla_keras.DLASegmenter(
        "dla_tiny", 3, upsampling="learned", boundary_head=True
    ),
    "separable": lambda: dla_keras.DLASegmenter(
        "dla_tiny", 3, node="separable"
    ),
    "boundaries": lambda: dla_keras.DLABoundaryDetector("dla_tiny"),
    "classifier": lambda: dla_keras.DLAClassifier("dla_tiny2net", 3),
}


@pytest.fixture(autouse=True)
def tiny_variants(monkeypatch):
    for name, row in {**TINY_VARIANT, "dla_tiny2net": RES2NET}.items():
        monkeypatch.setitem(VARIANTS, name, row)


def saved_whole(model, fresh, path):
    model.save(path / "m.keras")
    return keras.models.load_model(path / "m.keras")


def weights_file(model, fresh, path):
    model.save_weights(path / "m.weights.h5")
    fresh.load_weights(path / "m.weights.h5")
    return fresh


def checkpoint(model, fresh, path):
    kept = tf.train.Checkpoint(model=model).save(str(path / "c"))
    names = [name for name, _ in tf.train.list_variables(kept)]
    found = [name for name in names if name.startswith("model/")]
    assert len(found) == len(model.variables)
    tf.train.Checkpoint(model=fresh).restore(kept).assert_consumed()
    return fresh


def saved_model(model, fresh, path):
    tf.saved_model.save(model, str(path / "s"))
    loaded = tf.saved_model.load(str(path / "s"))
    serve = loaded.signatures["serving_default"]
    serve.model = loaded  # which must outlive its signature
    return serve


def backup(model, fresh, path):
    """Return a model that takes up what `fit` left when it was interrupted."""
    callback = keras.callbacks.BackupAndRestore(path, delete_checkpoint=False)
    for each in (model, fresh):
        each.compile(keras.optimizers.SGD(0.0), loss=lambda y, p: 0.0 * p)
    callback.set_model(model)
    callback._save_model()
    again = keras.callbacks.BackupAndRestore(path)
    again.set_model(fresh)
    again.on_train_begin()
    return fresh


WAYS = (saved_whole, weights_file, checkpoint, saved_model, backup)


@pytest.mark.parametrize("kind", MODELS)
def test_every_way_keeps_every_variable(kind, tmp_path):
    random = np.random.default_rng(0)
    model = MODELS[kind]()
    for variable in model.variables:
        if np.issubdtype(variable.dtype, np.floating):
            variable.assign(random.uniform(0.1, 0.3, variable.shape))
    image = random.uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    expected = keras.tree.flatten(model(image))
    for way in WAYS:
        folder = tmp_path / way.__name__
        folder.mkdir()
        kept = way(model, MODELS[kind](), folder)
        ours = kept(tf.constant(image))
        ours = keras.tree.flatten(ours)
        for got, wanted in zip(ours, expected, strict=True):
            # Another graph of the same operations. Measured: 0 to 3e-6.
            np.testing.assert_allclose(
                got, wanted, rtol=1e-4, atol=1e-4, err_msg=way.__name__
            )
