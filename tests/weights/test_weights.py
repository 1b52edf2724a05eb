"""Weights in and out of files in PyTorch's names, and what is refused."""

import dataclasses
import functools
import pathlib
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import reference
import states

import dla_keras
from dla_keras import weights
from dla_keras.weights import pretrained
from dla_keras.weights import torch_files
from dla_keras.weights.loading import likely_variant
from dla_keras.weights.tf2cv_files import read_tf2cv_file

safetensors = pytest.importorskip("safetensors.numpy")

MODELS = {
    "backbone": lambda: dla_keras.DLABackbone("dla46x_c"),
    "classifier": lambda: dla_keras.DLA46XC(num_classes=7),
    "headless": lambda: dla_keras.DLA46C(include_top=False, pooling="avg"),
    "bilinear": lambda: dla_keras.DLASegmenter("dla46_c", 3),
    "centers": lambda: dla_keras.DLADetector("dla46_c", 3, head_filters=32),
    "learned": lambda: dla_keras.DLASegmenter(
        "dla46_c", 3, head_stride=2, upsampling="learned"
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_round_trip(kind, tmp_path):
    model, copy = MODELS[kind](), MODELS[kind]()
    state = states.random_state(model)
    weights.load_torch_state(model, state)
    states.assert_equal(weights.torch_state(model), state)
    path = tmp_path / "model.safetensors"
    weights.save_torch_weights(model, path)
    weights.load_torch_weights(copy, path)
    for value, expected in zip(
        states.values(copy), states.values(model), strict=True
    ):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    "variant",
    [
        variant
        if variant in ("dla46x_c", "dla60_res2next")
        else pytest.param(variant, marks=pytest.mark.slow)
        for variant in dla_keras.list_variants()
    ],
)
def test_names_and_shapes_are_timms(variant):
    state = weights.torch_state(dla_keras.DLA(variant))
    shapes = {name: list(array.shape) for name, array in state.items()}
    assert shapes == reference.SHAPES[f"timm/{variant}"]


@pytest.mark.parametrize("source", reference.SHAPES)
def test_a_variant_is_recognized(source):
    state = {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in reference.SHAPES[source].items()
    }
    variant = source.split("/")[1].split("up_")[0]
    assert likely_variant(state) == variant
    assert likely_variant({"conv1.weight": np.zeros((64, 3, 7, 7))}) is None


@pytest.mark.parametrize(
    ("official", "make"),
    [
        ("dla46_c", lambda: dla_keras.DLA46C()),
        (
            "dla34up_c19_d2",
            lambda: dla_keras.DLASegmenter(
                "dla34", 19, head_stride=2, upsampling="learned"
            ),
        ),
    ],
)
def test_the_authors_code_finds_every_name(tmp_path, official, make):
    model, path = make(), tmp_path / "x.safetensors"
    flag = {"unused_parts": True} if official == "dla46_c" else {}
    weights.save_torch_weights(model, path, **flag)
    state = safetensors.load_file(path)
    shapes = {name: list(array.shape) for name, array in state.items()}
    assert shapes == reference.SHAPES[f"official/{official}"]
    unused = state.keys() - weights.torch_state(model).keys()
    assert all(np.isfinite(state[name]).all() for name in unused)
    assert len(unused) == {"dla46_c": 5, "dla34up_c19_d2": 12}[official]
    weights.load_torch_weights(model, path)  # which leaves them out


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "model.", "backbone.", "net.module._orig_mod."],
)
def test_what_stands_before_the_names_is_removed(tmp_path, prefix):
    path = tmp_path / "x.safetensors"
    for suffix in ("", "base."):
        state = {
            f"{suffix}base_layer.0.weight": np.ones(2, np.float32),
            f"{suffix}level2.root.conv.weight": np.zeros(3, np.float32),
        }
        wrapped = {f"{prefix}{n}": array for n, array in state.items()}
        safetensors.save_file(wrapped, path)
        states.assert_equal(weights.read_torch_file(path), state)
    # One part was compiled; a stranger keeps its name.
    parts = {n.replace("base.", "base._orig_mod."): a for n, a in state.items()}
    stranger = {"criterion.weight": np.ones(3, np.float32)}
    safetensors.save_file({**parts, **stranger}, path)
    states.assert_equal(weights.read_torch_file(path), {**state, **stranger})
    two = {f"{name}.{n}": a for n, a in state.items() for name in ("a", "b")}
    safetensors.save_file(two, path)
    with pytest.raises(ValueError, match="with 2, under a.base., b.base."):
        weights.read_torch_file(path)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "int8"])
def test_numbers_that_are_no_weights_are_refused(tmp_path, dtype):
    state, path = states.official_state("dla46_c"), tmp_path / "x.safetensors"
    name = "level2.tree1.conv1.weight"
    state[name] = state[name].astype(dtype)
    safetensors.save_file(state, path)
    with states.refused(
        states.small(), f"numbers of {name}: expected floats, received {dtype}"
    ):
        weights.load_torch_weights(states.small(), path)


def test_headers_that_the_library_takes_are_looked_at(tmp_path):
    path, data = tmp_path / "x.safetensors", bytes(8)

    def write(header):
        header = header.encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + data)

    entry = '"a": {"dtype": "F32", "shape": [1], "data_offsets": [%d, %d]}'
    write("{" + entry % (0, 4) + ", " + entry % (4, 8) + "}")
    with pytest.raises(
        ValueError, match=f"{path.name} names an array twice: a"
    ):
        weights.read_torch_file(path)
    write('{"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}')
    with pytest.raises(ValueError, match="1 of another kind, a of F8_E4M3"):
        weights.read_torch_file(path)
    for header in ("[" * 9999, "{", "[1, 2]", '{"a": 3}'):
        write(header)
        with pytest.raises(ValueError, match="no whole .safetensors file"):
            weights.read_torch_file(path)


def damages(data, count):
    """Yield damaged copies of a file's bytes."""
    random = np.random.default_rng(0)
    for _ in range(count):
        damaged = bytearray(data)
        # Half of them in the first bytes, where files say what they hold.
        for end in random.choice([len(data), min(len(data), 2000)], 3):
            at = int(random.integers(end - 100))
            kind = random.integers(3)
            if kind == 0:
                damaged[at] ^= 1 << int(random.integers(8))
            elif kind == 1:
                del damaged[at : at + 4]
            else:
                damaged[at:at] = random.bytes(3)
        yield bytes(damaged)


def write_small_files(folder):
    """Write a file of each kind that needs no PyTorch, few bytes each."""
    state = {"fc.bias": np.ones(50, np.float16), "a": np.ones((9, 8), "f4")}
    safetensors.save_file(state, folder / "a.safetensors")
    with h5py.File(folder / "a.tf2.h5", "w") as file:
        for name, shape in (("init_block/conv1/conv/kernel:0", (7, 7, 3, 4)),):
            file[f"dla/features/{name}"] = np.ones(shape, "f4")
        file["dla/output1/bias:0"] = np.ones(5, "f4")
    with zipfile.ZipFile(folder / "a.tf2.h5.zip", "w") as archive:
        archive.write(folder / "a.tf2.h5", "a.tf2.h5")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.safetensors", weights.read_torch_file),
        ("a.tf2.h5", read_tf2cv_file),
        ("a.tf2.h5.zip", read_tf2cv_file),
    ],
)
def test_damaged_files_are_read_or_refused_by_name(tmp_path, name, read):
    write_small_files(tmp_path)
    path = tmp_path / name
    whole, refused = path.read_bytes(), 0
    assert read(path)
    for data in damages(whole, 100):
        path.write_bytes(data)
        try:
            read(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 40


def test_sizes_that_files_claim_are_not_believed(tmp_path):
    many = {"chunks": (1000, 1000), "dtype": "f4", "shape": (10**6, 10**6)}
    with h5py.File(tmp_path / "a.tf2.h5", "w") as file:
        file.create_dataset("init_block/conv1/conv/kernel:0", **many)
    with zipfile.ZipFile(tmp_path / "b.tf2.h5.zip", "w") as archive:
        archive.writestr("a.tf2.h5", b"")
        archive.filelist[0].file_size = 12 * 10**9  # as it is written
    with (tmp_path / "c.safetensors").open("wb") as file:
        file.truncate(12 << 30)  # which takes no room
    with pytest.raises(ValueError, match="at most 4 GB. .*c.safetensors with"):
        weights.read_torch_file(tmp_path / "c.safetensors")
    for name, size in (("a.tf2.h5", "4000.0"), ("b.tf2.h5.zip", "12.0")):
        with pytest.raises(ValueError, match=f"{name} .* holds {size} GB"):
            read_tf2cv_file(tmp_path / name)


class Tensor:
    """What a tensor of PyTorch shows, of numbers that NumPy lacks."""

    layout, device = "torch.strided", "cpu"

    def __init__(self, dtype, values=None):
        self.dtype, self.values = dtype, values

    def detach(self):
        return self

    def float(self):
        return Tensor("torch.float32", self.values)

    def numpy(self):
        if self.values is None:
            raise TypeError("NumPy has no such numbers.")
        return self.values


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {"net": {"state_dict": state}},
        lambda state: {"params": {}, "params_ema": state},
    ],
)
def test_wrappers_are_opened_and_strange_tensors_named(
    tmp_path, monkeypatch, wrap
):
    path = tmp_path / "x.pth"
    path.touch()
    half = np.float16([0.5, 2])
    content = wrap({"module.a": Tensor("torch.bfloat16", half)})
    monkeypatch.setitem(torch_files._READERS, ".pth", lambda path: content)
    found = weights.read_torch_file(path)
    assert found["a"].dtype == np.float32
    np.testing.assert_array_equal(found["a"], half)
    for dtype in ("torch.float8_e4m3fn", "torch.qint8"):
        content = wrap({"b": Tensor(dtype)})
        with pytest.raises(ValueError, match=f"x.pth with b of {dtype}"):
            weights.read_torch_file(path)


def test_linear_heads_are_read_and_counts_do_not_contradict():
    state = states.official_state("dla46_c")
    expected = state["fc.weight"]
    state["fc.weight"] = expected[:, :, 0, 0]
    model = dla_keras.DLA46C()
    weights.load_torch_state(model, state)
    np.testing.assert_array_equal(
        weights.torch_state(model)["fc.weight"], expected
    )
    state["fc.weight"] = expected[..., 0]
    with pytest.raises(ValueError, match="shape of fc.weight") as caught:
        weights.load_torch_state(model, state)
    assert "classes and the model" not in str(caught.value)
    state = states.official_state("dla46_c")
    name = "level2.tree1.bn1.running_var"
    state[name] = -state[name]
    with states.refused(
        model, "negative variance: level2.tree1.bn1", "training diverged"
    ):
        weights.load_torch_state(model, state)


def test_timm_loads_what_is_written(tmp_path):
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    image = reference.image(96, 128)
    for variant in ("dla34", "dla46x_c", "dla60_res2next"):
        model = dla_keras.DLA(
            variant,
            num_classes=9,
            classifier_activation=None,
            mean=(0, 0, 0),  # the picture is normalized already
            std=(1 / 255,) * 3,
        )
        weights.load_torch_state(model, states.random_state(model))
        path = tmp_path / f"{variant}.safetensors"
        weights.save_torch_weights(model, path)
        theirs = timm.create_model(variant, num_classes=9).eval()
        theirs.load_state_dict(load_file(path), strict=True)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(image.transpose(0, 3, 1, 2)))
        received = keras.ops.convert_to_numpy(model(image, training=False))
        error = np.abs(received - expected.numpy()).max()
        # float32 sums in another order; measured: 1e-6.
        assert error < 1e-4 * np.abs(expected.numpy()).max()


def test_a_classifiers_file_goes_into_every_backbone(tmp_path):
    state = states.official_state("dla46_c")  # with what the authors never use
    state = {f"module.{name}": array for name, array in state.items()}
    state["module.level2.tree1.bn1.num_batches_tracked"] = np.array(3)
    path = tmp_path / "dla46_c.safetensors"
    safetensors.save_file(state, path)
    expected = reference.state_dict("timm/dla46_c")
    head = {"fc.weight", "fc.bias"}

    classifier = dla_keras.DLA46C()
    weights.load_torch_weights(classifier, path)
    states.assert_equal(weights.torch_state(classifier), expected)

    segmenter = dla_keras.DLASegmenter("dla46_c", 3)
    rest = weights.torch_state(segmenter)
    weights.load_torch_weights(segmenter, path)
    loaded = {f"base.{n}": a for n, a in expected.items() if n not in head}
    states.assert_equal(weights.torch_state(segmenter), {**rest, **loaded})

    for model in (
        dla_keras.DLA46C(include_top=False),
        dla_keras.DLABackbone("dla46_c"),
        dla_keras.DLABackbone("dla46_c", levels=("P2", "P3")),
    ):
        weights.load_torch_weights(model, path)
        received = weights.torch_state(model)
        assert len(received) > 100
        states.assert_equal(
            received, {name: expected[name] for name in received}
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_read_as_float32(tmp_path, dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    array = np.array([0.5, -1.25, 3.0])  # exact in every one of them
    path = tmp_path / "a.safetensors"
    safetensors.save_file({"a": array.astype(dtype)}, path)
    received = weights.read_torch_file(path)["a"]
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, array)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "arch": "dla46_c", "state_dict": state},
        lambda state: {"model": state, "optimizer": {}},
        lambda state: {"state_dict": {}, "state_dict_ema": state},
        lambda state: {"model": {f"module.{n}": a for n, a in state.items()}},
        lambda state: {"net": {"model_state_dict": state}, "epoch": 3},
    ],
)
def test_pickled_files(tmp_path, wrap):
    torch = pytest.importorskip("torch")
    state = reference.state_dict("timm/dla46_c")
    tensors = {n: torch.from_numpy(a) for n, a in state.items()}
    path = tmp_path / "model_best.pth.tar"
    torch.save(wrap(tensors), path)
    model = dla_keras.DLA46C()
    weights.load_torch_weights(model, path)
    states.assert_equal(weights.torch_state(model), state)


class Code:
    """A pickle that calls something when it is read."""

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("was_here"),)


def test_pickled_code_does_not_run(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "extra": Code()}, "code.pth")
    with states.refused(states.small(), "can call anything", "as .safetensors"):
        weights.load_torch_weights(states.small(), "code.pth")
    assert not pathlib.Path("was_here").exists()


@pytest.mark.parametrize("old_format", [True, False])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.999])
def test_truncated_pickles_are_refused(tmp_path, kept, old_format):
    torch = pytest.importorskip("torch")
    path = tmp_path / "dla46_c.pth"
    state = {"fc.bias": torch.zeros(10_000)}
    torch.save(state, path, _use_new_zipfile_serialization=not old_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole) if kept < 1 else kept)])
    with pytest.raises(ValueError, match="no whole .pth file"):
        weights.read_torch_file(path)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras itself needs it there"
)
def test_pytorch_is_asked_for_only_where_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # cannot be imported
    path = tmp_path / "dla46_c.safetensors"
    safetensors.save_file(states.official_state("dla46_c"), path)
    model = dla_keras.DLA46C()
    weights.load_torch_weights(model, path)
    path = path.rename(tmp_path / "dla46_c.pth")
    with states.refused(model, "pip install torch", error=ImportError):
        weights.load_torch_weights(model, path)


def test_wrong_files_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    load = functools.partial(weights.load_torch_weights, states.small(), path)

    with states.refused(
        states.small(), "There is no file", error=FileNotFoundError
    ):
        load()
    safetensors.save_file(states.official_state("dla46_c"), path)
    whole = path.read_bytes()
    for kept in (0, 5, 1000, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with states.refused(
            states.small(), f"({kept} bytes)", "download it again"
        ):
            load()

    safetensors.save_file(states.official_state("dla46x_c"), path)
    with states.refused(
        states.small(),
        "looks like dla46x_c and the model is dla46_c",
        "shape of level2.tree1.bn1.bias: expected (32,), received (64,); ",
        "; and 127 more.",
    ):
        load()
    safetensors.save_file(states.official_state("dla46_c", classes=21), path)
    with states.refused(
        states.small(),
        "The file has 21 classes and the model 1000: build it with "
        "num_classes=21",
        "`model.with_head(num_classes=1000)`",
        "shape of fc.bias: expected (1000,), received (21,)",
    ):
        load()
    state = states.official_state("dla46_c")
    del state["level3.tree1.root.bn.bias"]
    state["level9.weight"] = np.zeros(1, np.float32)
    state["level5.root.bn.weight"] = np.full(256, np.nan, np.float32)
    safetensors.save_file(state, path)
    with states.refused(
        states.small(),
        "missing: level3.tree1.root.bn.bias",
        "unexpected: level9.weight",
        "not finite: level5.root.bn.weight",
    ):
        load()


def test_a_segmenters_classes_and_upsampling_are_checked():
    state = states.random_state(MODELS["learned"]())
    other = dla_keras.DLASegmenter(
        "dla46_c", 5, head_stride=2, upsampling="learned"
    )
    with states.refused(other, "The file has 3 classes", "with num_classes=3"):
        weights.load_torch_state(other, state)
    bilinear = dla_keras.DLASegmenter("dla46_c", 3, head_stride=2)
    with states.refused(
        bilinear, "`upsampling`", "unexpected: dla_up.ida_0.up_1"
    ):
        weights.load_torch_state(bilinear, state)


def test_wrong_arguments_are_refused(tmp_path):
    with states.refused(states.small(), "ends in .safetensors, .pth"):
        weights.load_torch_weights(states.small(), tmp_path / "weights.zip")
    with states.refused(states.small(), "written as .safetensors"):
        weights.save_torch_weights(states.small(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="Received: Sequential"):
        weights.torch_state(keras.Sequential())


def test_centernet_files_are_for_blue_first(tmp_path, monkeypatch):
    """Its names, x before y, blue first: here the same, turned once."""
    build = functools.partial(
        dla_keras.DLADetector, "dla46_c", 80, head_filters=32
    )
    state = states.random_state(build())
    path = tmp_path / "ctdet_coco_dlav0_1x.safetensors"
    unused = {
        "base.level3.project.0.weight": np.ones((64, 64, 1, 1), "float32")
    }
    unused["base.fc.bias"] = np.zeros(1000, "float32")
    safetensors.save_file(state | unused, path)
    row = weights.PRESETS["coco"]
    monkeypatch.setitem(
        weights.PRESETS, "coco", dataclasses.replace(row, variant="dla46_c")
    )
    read = lambda name: torch_files.read_torch_file(path)
    monkeypatch.setattr(pretrained, "fetch_preset", read)
    model = build()
    with pytest.raises(ValueError, match="'coco' were trained with mean="):
        weights.load_pretrained(model, "coco")
    model = build(mean=row.mean, std=row.std)
    weights.load_pretrained(model, "coco")
    first = "base.base_layer.0.weight"
    kernel = model.backbone.base_layer.conv.kernel
    np.testing.assert_array_equal(
        kernel, state[first][:, ::-1].transpose(2, 3, 1, 0)
    )
    rows = keras.ops.convert_to_numpy(model.size_fc.kernel)[0, 0].T
    np.testing.assert_array_equal(rows, state["wh.2.weight"][::-1, :, 0, 0])
    rows = keras.ops.convert_to_numpy(model.heat_fc.kernel)[0, 0].T
    np.testing.assert_array_equal(rows, state["hm.2.weight"][:, :, 0, 0])
    # And out again, as its own code loads it.
    out = tmp_path / "out.safetensors"
    weights.save_torch_weights(model, out)
    written = safetensors.load_file(out)
    for name, array in state.items():
        np.testing.assert_array_equal(written[name], array)
