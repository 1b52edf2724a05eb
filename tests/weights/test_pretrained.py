"""What `weights=` takes: own files, tf2cv's, and presets from a publisher."""

import functools
import hashlib
import http.server
import json
import math
import threading
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest
import reference
import states

import dla_keras
from dla_keras import weights
from dla_keras.weights import pretrained

safetensors = pytest.importorskip("safetensors.numpy")


def test_own_files(tmp_path):
    model = dla_keras.DLA46C(num_classes=7)
    state = states.random_state(model)
    weights.load_torch_state(model, state)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")

    segmenter = dla_keras.DLASegmenter("dla46_c", 3)
    weights.load_pretrained(segmenter, str(tmp_path / "model.keras"))
    base = weights.torch_state(segmenter.backbone)
    states.assert_equal(base, {name: state[name] for name in base})
    for variable in model.variables:
        variable.assign(variable * 0)
    weights.load_pretrained(model, tmp_path / "model.weights.h5")
    states.assert_equal(weights.torch_state(model), state)

    with states.refused(states.small(), "The file has 7 classes"):
        weights.load_pretrained(states.small(), tmp_path / "model.keras")
    with states.refused(states.small(), "fits the very same model only"):
        weights.load_pretrained(states.small(), tmp_path / "model.weights.h5")
    for name in ("model.keras", "model.weights.h5"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-1000])
        with states.refused(states.small(), str(path)):
            weights.load_pretrained(states.small(), path)
        with states.refused(states.small(), "no file", error=FileNotFoundError):
            weights.load_pretrained(states.small(), tmp_path / f"no_{name}")


@pytest.mark.parametrize("values", [np.int64(1), True, 1j, ["a"], np.nan])
def test_own_files_of_other_numbers_are_refused(tmp_path, values):
    model, path = states.small(), tmp_path / "model.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        name = "layers/dense/vars/1"
        shape = file[name].shape
        del file[name]
        file[name] = values if values == ["a"] else np.full(shape, values)
    said = "fc/bias is not finite" if values is np.nan else f"{name} holds"
    with states.refused(model, str(path), said):
        weights.load_pretrained(model, path)
    other = "not finite: fc.bias" if values is np.nan else said
    with states.refused(model, str(path), other):
        weights.take_weights(model, path)


# === tf2cv ===


def write_tf2cv(path):
    """Write the golden network's file; its weights follow from their paths."""
    golden = np.load(reference.GOLDEN / "weights_tf2cv.npz")
    with h5py.File(path, "w") as file:
        for name, shape in zip(golden["paths"], golden["shapes"], strict=True):
            shape = json.loads(str(shape))
            random = np.random.default_rng(zlib.crc32(name.encode()))
            if name.endswith("moving_variance:0"):
                value = random.uniform(0.5, 1.5, shape)
            elif name.endswith("gamma:0"):
                value = random.uniform(0.5, 1, shape)
            elif name.endswith("kernel:0"):
                scale = math.sqrt(1 / np.prod(shape[:-1]))
                value = random.normal(0, scale, shape)
            else:
                value = random.normal(0, 0.1, shape)
            file[str(name)] = value.astype(np.float32)
    return golden["logits"]


def test_tf2cvs_weights_give_tf2cvs_numbers(tmp_path):
    path = tmp_path / "dla46xc-1229-a858beca.tf2.h5"
    expected = write_tf2cv(path)
    model = dla_keras.DLA46XC(
        classifier_activation=None, mean=(0, 0, 0), std=(1 / 255,) * 3
    )
    weights.load_pretrained(model, path)
    logits = model(reference.image(224, 224), training=False)
    error = np.abs(keras.ops.convert_to_numpy(logits) - expected).max()
    # float32 sums in another order; measured: 3e-7.
    assert error < 1e-4 * np.abs(expected).max()

    with states.refused(states.small(), "looks like dla46x_c"):
        weights.load_pretrained(states.small(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with states.refused(states.small(), "no whole weight file of tf2cv"):
        weights.load_pretrained(states.small(), path)


# === Presets ===


def test_presets_are_whole():
    rows = dict(weights.PRESETS)
    row = rows.pop("coco")  # a detector
    assert (row.variant, row.classes, len(row.sha384)) == ("dla34", 80, 96)
    assert pretrained.find_preset("coco", "dla34") == "coco"
    for name, row in rows.items():
        assert name.startswith(row.variant)
        if name.endswith("_tiny_imagenet"):
            continue
        assert 18 < row.top1_error < 36 and 4 < row.top5_error < 14
        assert row.sha1 is None or row.sha1[:8] in row.source
    assert weights.PRESETS["dla34_imagenet_osmr"].source.endswith(
        "/v0.0.486/dla34-0705-ade65c16.tf2.h5.zip"
    )
    for variant in dla_keras.list_variants():
        assert pretrained.find_preset("imagenet", variant) in weights.PRESETS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagnet", "Did you mean imagenet"),
        ("dla60_imagenet", "for dla60, not dla60_res2net"),
        ("imagenet_osmr", "has no weights for dla60_res2net"),
    ],
)
def test_unknown_presets_are_explained(name, message):
    with pytest.raises(ValueError, match=message) as error:
        pretrained.find_preset(name, "dla60_res2net")
    assert "Presets for dla60_res2net: dla60_res2net_imagenet." in str(error)
    assert "--weights none" in str(error)


def test_the_backbone_that_ships():
    """It needs no network, and is a trained one."""
    model = dla_keras.DLA46C(weights="tiny_imagenet", num_classes=200)
    states.assert_equal(
        weights.torch_state(model),
        pretrained.fetch_preset("dla46_c_tiny_imagenet"),
    )
    moved = [
        np.std(v.numpy()) for v in model.weights if "moving_mean" in v.path
    ]
    assert min(moved) > 0  # zero before the first step
    with states.refused(states.small(), "200 classes and the model"):
        weights.load_pretrained(states.small(), "dla46_c_tiny_imagenet")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Serve files on this machine (path -> content), with an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            content = files.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            if content:
                digest = hashlib.sha256(content).hexdigest()
                self.send_header("ETag", f'"{digest}"')
                self.send_header("X-Repo-Commit", self.path.split("/")[-2])
            self.end_headers()
            return content

        def do_GET(self):
            self.wfile.write(self.do_HEAD() or b"")

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    # What HF_ENDPOINT, HF_HUB_CACHE and KERAS_HOME say when a process starts.
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    get_file = functools.partial(keras.utils.get_file, cache_dir=tmp_path)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    yield files, address
    server.shutdown()
    server.server_close()


def hub_path(name):
    row = weights.PRESETS[name]
    return f"/{row.source}/resolve/{row.revision}/model.safetensors"


def test_a_preset_from_the_hub(site, tmp_path, monkeypatch):
    files, _ = site
    state = reference.state_dict("timm/dla46_c")
    files[hub_path("dla46_c_imagenet")] = safetensors.save(state)
    model = dla_keras.DLA46C(weights="imagenet")
    states.assert_equal(weights.torch_state(model), state)

    other = dla_keras.DLA46C(num_classes=10)
    with states.refused(
        other, "dla46_c_imagenet", "1000 classes and the model 10"
    ):
        weights.load_pretrained(other, "imagenet")

    # Offline, the cache does.
    files.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    pretrained.fetch_preset("dla46_c_imagenet")
    # A changed file in the cache is noticed, and deleted.
    (blob,) = (tmp_path / "hub").glob("*/blobs/*")
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with states.refused(states.small(), "came damaged"):
        weights.load_pretrained(states.small(), "imagenet")
    with states.refused(
        states.small(),
        "'dla46_c_imagenet' is neither cached nor to be had",
        "Wanted: https://huggingface.co/timm/dla46_c.in1k/resolve/293e663a",
        "pass its path",
        "begin with those that ship (--weights tiny_imagenet) or random",
        "(--weights none)",
        error=FileNotFoundError,
    ):
        weights.load_pretrained(states.small(), "imagenet")


def test_a_preset_from_a_release(site, tmp_path, monkeypatch):
    files, address = site
    write_tf2cv(tmp_path / "net.tf2.h5")
    content = (tmp_path / "net.tf2.h5").read_bytes()
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.write(tmp_path / "net.tf2.h5", "net.tf2.h5")
    row = pretrained.Preset(
        "dla46x_c",
        f"{address}/net.tf2.h5.zip",
        "MIT",
        32.9,
        12.29,
        sha1=hashlib.sha1(content).hexdigest(),
    )
    name = "dla46x_c_imagenet_osmr"
    monkeypatch.setitem(weights.PRESETS, name, row)
    with pytest.raises(FileNotFoundError, match="Wanted: http://127"):
        pretrained.fetch_preset(name)
    files["/net.tf2.h5.zip"] = (tmp_path / "net.zip").read_bytes()[:-99]
    with pytest.raises(ValueError, match="no whole weight file"):
        pretrained.fetch_preset(name)
    files["/net.tf2.h5.zip"] = (tmp_path / "net.zip").read_bytes()
    model = dla_keras.DLA46XC(weights="imagenet_osmr")
    files.clear()  # from here on, the cache does
    states.assert_equal(
        weights.torch_state(model), pretrained.fetch_preset(name)
    )
    monkeypatch.setitem(
        weights.PRESETS,
        name,
        pretrained.Preset("dla46x_c", row.source, "MIT", 1, 1, sha1="0" * 40),
    )
    with pytest.raises(ValueError, match="SHA-1 is not 0000"):
        pretrained.fetch_preset(name)
