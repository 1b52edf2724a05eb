"""`dla_keras.load`: the same results from every kind of file and image."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from odd_pictures import exif
from PIL import Image

import dla_keras
from dla_keras.bsds.benchmark import evaluate_boundaries
from dla_keras.bsds.thinning import suppress_non_maxima
from dla_keras.commands.evaluate import parse_flags
from dla_keras.commands.flags import read_views
from dla_keras.data.boundaries import CERTAIN
from dla_keras.data.boundaries import label_edges
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import central_crop
from dla_keras.data.pictures import read_rgb
from dla_keras.inference import model_files
from dla_keras.inference.loaded_model import LoadedModel
from dla_keras.inference.loaded_model import rgb_image
from dla_keras.inference.model_files import describe_model
from dla_keras.inference.model_files import open_model
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.tasks.classification import file_finder

pytestmark = pytest.mark.usefixtures("small_networks")

IMAGE = np.random.default_rng(0).integers(0, 256, (50, 90, 3)).astype("uint8")


@pytest.fixture(scope="module")
def joint():
    """Return a model of classes and boundaries."""
    keras.utils.set_random_seed(0)
    model = dla_keras.DLASegmenter(
        "dla46_c",
        3,
        boundary_head=True,
        class_names=("a", "b", "c"),
        palette=((0, 0, 0), (1, 2, 3), (4, 5, 6)),
    )
    # Untrained logits are of 1000, and softmax is 0 or 1.
    for head in (model.fc, model.boundary_fc):
        head.kernel.assign(head.kernel / 1000)
    return model


def test_every_kind_of_file_gives_the_same(joint, tmp_path):
    joint.save(tmp_path / "m.keras")
    dla_keras.export_tflite(
        joint, tmp_path / "m.tflite", size=(64, 96), head="logits"
    )
    write_saved_model(joint, tmp_path / "saved", (64, 96))
    first = dla_keras.load(tmp_path / "m.keras")
    assert first.tasks == ("segmentation", "boundary")
    assert first.size is None and first.class_names == ("a", "b", "c")
    mask, boundary = first.mask(IMAGE), first.boundary(IMAGE)
    assert mask.shape == boundary.shape == (50, 90) and mask.dtype == np.uint8
    np.testing.assert_array_equal(first(IMAGE), mask)
    assert 0 < boundary.min() < boundary.max() < 1
    np.testing.assert_allclose(first.probabilities(IMAGE).sum(-1), 1, atol=1e-5)
    for name in ("m.tflite", "saved"):
        other = dla_keras.load(tmp_path / name)
        assert other.size == (64, 96)
        np.testing.assert_array_equal(other.mask(IMAGE), mask)
        assert other.tasks == first.tasks
        np.testing.assert_allclose(other.boundary(IMAGE), boundary, atol=1e-5)
        assert other.palette == joint.palette
        assert other.class_names == first.class_names
    batch = first([IMAGE, IMAGE[:32, :40]])
    assert [m.shape for m in batch] == [(50, 90), (32, 40)]
    np.testing.assert_array_equal(first(IMAGE[None])[0], mask)


def test_classifiers_see_the_middle_as_in_their_run(tmp_path):
    model = dla_keras.DLA46C(num_classes=3, class_names=("a", "b", "c"))
    model.fc.kernel.assign(model.fc.kernel / 1000)
    path = tmp_path / "model.keras"
    model.save(path)
    old = {"size": "64x64", "crop_pct": 0.5}  # as earlier versions said it
    for settings in ({}, {"size": "64x64", "crop_fraction": 1.0}, old):
        if settings:
            (tmp_path / "config.json").write_text(json.dumps(settings))
        size = (64, 64) if settings else (224, 224)
        fraction = [*settings.values()][-1] if settings else 0.875
        crop = central_crop(IMAGE, size, fraction)
        expected = model(crop[None].astype("float32"))[0]
        loaded = dla_keras.load(path)
        assert loaded.tasks == ("classification",)
        found = loaded(IMAGE)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="gives no masks: it is for class"):
        loaded.mask(IMAGE)


def test_files_come_before_runs_and_runs_before_what_is_usual(
    tmp_path, monkeypatch
):
    class Lite:
        """A file of a classifier of one class."""

        tasks = ("classification",)
        class_names = palette = num_classes = None
        input_shape = (1, 32, 64, 3)
        fit = PAD

        def __init__(self, path, threads):
            self.name = str(path)
            self.facts = json.loads(path.read_text())

        def run(self, image):
            return np.ones(1, np.float32)

    monkeypatch.setattr("dla_keras.inference.tflite_model.LiteModel", Lite)
    own, silent = tmp_path / "own.tflite", tmp_path / "silent.tflite"
    own.write_text(json.dumps({"input": {"crop_fraction": 0.5}}))
    silent.write_text("{}")
    run = tmp_path / "config.json"
    for key in ("crop_fraction", "crop_pct", None):
        run.write_text(json.dumps({key: 1.0, "size": "96x96"} if key else {}))
        for path, fraction in ((own, 0.5), (silent, 1.0 if key else 0.875)):
            loaded = dla_keras.load(path).file
            flags = ["--model", str(path)]
            views = read_views(parse_flags(flags))  # as `evaluate` does
            for opened in (loaded, file_finder(open_model(path), views)):
                assert opened.crop_fraction == fraction
            assert loaded.crop_size == (32, 64)
            views = read_views(parse_flags([*flags, "--size", "96x96"]))
            with pytest.raises(ValueError, match="--size 32x64, the only one"):
                file_finder(loaded, views)


def test_a_model_is_evaluated_from_memory_and_from_its_file(joint, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    Image.fromarray(IMAGE[..., 0] % 3).save(tmp_path / "label.png")
    for name, text in {
        "info.json": '{"class_names": ["a", "b", "c"]}',
        "val_images.txt": "image.png",
        "val_labels.txt": "label.png",
    }.items():
        (tmp_path / name).write_text(text)
    joint.save(tmp_path / "m.keras")
    scores = dla_keras.evaluate(joint, tmp_path)
    mask = dla_keras.load(tmp_path / "m.keras")(IMAGE)
    right = (mask == IMAGE[..., 0] % 3).mean()
    assert scores["pixel_accuracy"] == pytest.approx(right)
    again = dla_keras.evaluate(tmp_path / "m.keras", tmp_path)
    assert again["confusion"] == scores["confusion"]
    # Its boundaries are the edges of the same labels, not their ids as maps.
    edges = (np.asarray(label_edges(IMAGE[..., 0] % 3)) == CERTAIN,)
    found = dla_keras.load(tmp_path / "m.keras").boundary(IMAGE)
    found = np.clip(suppress_non_maxima(found), 0, 1)
    expected = evaluate_boundaries([("image", found, edges)])
    boundary = dla_keras.evaluate(joint, tmp_path, task="boundary")
    assert boundary["ods"]["recall"] == expected["ods"]["recall"]
    with pytest.raises(ValueError, match="`task` must be one of segmentation"):
        dla_keras.evaluate(joint, tmp_path, task="classification")
    # The same classes in another order: names decide, not numbers.
    turned = np.array([1, 2, 0], np.uint8)[IMAGE[..., 0] % 3]
    Image.fromarray(turned).save(tmp_path / "label.png")
    names = {"class_names": ["c", "a", "b"]}
    (tmp_path / "info.json").write_text(json.dumps(names))
    with pytest.warns(UserWarning, match="in another order: matched by name"):
        again = dla_keras.evaluate(joint, tmp_path)
    assert again["confusion"] == scores["confusion"]
    assert again["per_class_iou"] == dict(
        zip("abc", scores["per_class_iou"].values(), strict=True)
    )
    with pytest.warns(UserWarning, match="in another order"):
        edges = dla_keras.evaluate(joint, tmp_path, task="boundary")
    assert edges["ods"] == boundary["ods"]
    with pytest.warns(UserWarning, match="taken by number"):
        wrong = dla_keras.evaluate(joint, tmp_path, classes_by_number=True)
    assert wrong["confusion"] != scores["confusion"]
    (tmp_path / "info.json").write_text('{"class_names": ["a", "b", "d"]}')
    for task in joint.tasks:
        with pytest.raises(ValueError, match="Only the model has c; only the"):
            dla_keras.evaluate(joint, tmp_path, task=task)
    with pytest.raises(ValueError, match="Received: DLABackbone"):
        dla_keras.evaluate(dla_keras.DLABackbone("dla46_c"), tmp_path)


def test_images_of_all_kinds_become_rgb():
    grey = IMAGE[..., 0]
    three = np.repeat(grey[..., None], 3, axis=2)
    clear = np.dstack([IMAGE, np.zeros(IMAGE.shape[:2], np.uint8)])
    half = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 51, np.uint8)])
    for given, expected in [
        (IMAGE, IMAGE),
        (IMAGE // 2 + 0.3, IMAGE // 2),
        (IMAGE.astype("int64"), IMAGE),
        (keras.ops.convert_to_tensor(IMAGE), IMAGE),
        (Image.fromarray(IMAGE), IMAGE),
        (Image.fromarray(grey), three),
        (Image.fromarray(grey.astype("uint16") * 257), three),
        (grey, three),
        (grey[..., None], three),
        (np.dstack([IMAGE, np.full_like(grey, 255)]), IMAGE),
        (clear, np.full_like(IMAGE, 255)),
        (half, np.rint(0.2 * IMAGE + 0.8 * 255)),
        (np.zeros((2, 3)), np.zeros((2, 3, 3))),
    ]:
        found = rgb_image(given)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("image", [IMAGE.tolist(), [[1, 2], [3, 4]], [None]])
def test_nested_lists_are_told_what_to_pass(joint, image):
    model = LoadedModel(describe_model(joint, "m"))
    with pytest.raises(ValueError, match="pass np.asarray"):
        model(image)


def test_a_path_is_needed_and_a_runs_folder_named(tmp_path):
    for path in (None, "", 3):
        with pytest.raises(ValueError, match=f"Received: {path!r}"):
            dla_keras.load(path)
    (tmp_path / "model.keras").write_text("")
    with pytest.raises(ValueError, match="pass .*model.keras"):
        dla_keras.load(tmp_path)


def test_what_diverged_is_not_opened(joint, tmp_path):
    path, kept = tmp_path / "m.keras", joint.get_weights()
    name = "moving_variance"
    variance = next(v for v in joint.variables if v.path.endswith(name))
    for variable, value in ((joint.fc.bias, np.nan), (variance, -1.0)):
        variable.assign(np.full(variable.shape, value))
        joint.save(path)
        joint.save_weights(tmp_path / "m.weights.h5")
        joint.set_weights(kept)
        message = "not finite" if np.isnan(value) else "variance below 0"
        with pytest.raises(ValueError, match=f"m.keras is damaged.*{message}"):
            dla_keras.load(path)
        for weights in (path, tmp_path / "m.weights.h5"):
            with pytest.raises(
                ValueError, match="not finite|ce below 0|tive var"
            ):
                dla_keras.load_pretrained(joint, weights)
        for now, before in zip(joint.get_weights(), kept, strict=True):
            np.testing.assert_array_equal(now, before)


def test_one_class_is_no_model(joint, monkeypatch):
    alone = dataclasses.replace(describe_model(joint, "m"), num_classes=1)
    monkeypatch.setattr(model_files, "_open", lambda path, threads: alone)
    with pytest.raises(ValueError, match="or more. Received: m.tflite"):
        dla_keras.load("m.tflite")


def test_files_are_the_pixels_that_training_and_predict_see(tmp_path):
    clear = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 99, np.uint8)])
    clear[:, :5, 3] = 0
    for array in (IMAGE, clear, IMAGE[..., 0].astype("uint16") * 99):
        Image.fromarray(array).save(tmp_path / "a.png", exif=exif(6))
        with Image.open(tmp_path / "a.png") as image:
            found = rgb_image(image)
        np.testing.assert_array_equal(found, read_rgb(tmp_path / "a.png"))
        assert found.shape[:2] == array.shape[1::-1]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (0, 0)), "Expected an image .*shape"),
        ("street.jpg", "opened by PIL.Image.open"),
        (IMAGE / 255, "Multiply by 255"),
        (IMAGE.astype("float32") - 128, "undo a normalization"),
        (IMAGE.astype("uint16") * 257, "Divide 16 bits by 257"),
        (np.full((4, 4, 3), np.nan), "numbers from 0 to 255"),
        (np.ones((4, 4, 3), bool), "an image of bool"),
        (np.moveaxis(IMAGE, -1, 0), "np.moveaxis"),
        (IMAGE[..., :2], "1, 3 or 4 channels"),
        (IMAGE[None, None], "1, 3 or 4 channels"),
        (IMAGE[:0], "1, 3 or 4 channels"),
        (Image.fromarray(np.float32(IMAGE[..., 0]) / 255), "Multiply by 255"),
    ],
)
def test_wrong_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        rgb_image(image)
