"""Boundary networks: labels, loss, splits, training, files with boundaries."""

import json
from unittest import mock

import exports
import keras
import numpy as np
import pytest
import tensorflow as tf
from files import convert
from list_folder import write_folder
from PIL import Image
from running import command
from scipy.io import savemat
from tiny_variant import TINY_VARIANT

from dla_keras import DLABoundaryDetector
from dla_keras import DLASegmenter
from dla_keras.commands.train import TrainSeg
from dla_keras.data.boundaries import CERTAIN
from dla_keras.data.boundaries import GroundTruth
from dla_keras.data.boundaries import combined_label
from dla_keras.data.boundaries import label_edges
from dla_keras.data.boundaries import open_boundary_split
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import IGNORE_LABEL
from dla_keras.data.segmentation import open_split
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import boundary_predictor
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.tasks import boundary
from dla_keras.tasks import segmentation
from dla_keras.tasks.boundary import read_boundaries
from dla_keras.tasks.boundary import soft_boundaries
from dla_keras.tasks.losses import boundary_cross_entropy_sums
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.losses import joint_sums
from dla_keras.tasks.recipes import BALANCED
from dla_keras.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("small_networks")

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (2, 32, 64, 3), np.uint8)


def save_truth(path, maps):
    """Write a ground truth file in BSDS500's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = np.empty((1, len(maps)), object)
    for index, each in enumerate(maps):
        truth[0, index] = {"Boundaries": each, "Segmentation": each + 1}
    savemat(path, {"groundTruth": truth})


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """Give commands `dla_tiny` to train."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        yield


@pytest.fixture(scope="module")
def bsds(tmp_path_factory):
    """Write a folder like BSDS500's: bright boxes on dark, two annotators."""
    folder = tmp_path_factory.mktemp("bsds")
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            picture = np.zeros((48, 64, 3), np.uint8)
            top, left = RANDOM.integers(4, 20, 2)
            picture[top : top + 20, left : left + 30] = 200
            edges = np.asarray(label_edges(picture[..., 0] // 200)) == CERTAIN
            name = folder / "images" / split / f"{number}.jpg"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(name, quality=95)
            path = folder / "groundTruth" / split / f"{number}.mat"
            save_truth(path, [np.uint8(edges), np.uint8(edges)])
    return folder


# --- Labels and loss ---


def test_rules_count_the_annotators():
    drawn = [np.array([[1, 1, 0]]) == 1] + [np.array([[1, 0, 0]]) == 1] * 3
    label = lambda rule: combined_label(drawn, rule).tolist()
    assert label("any") == [[254, 254, 0]]
    # One of four is not more than a quarter.
    assert label("consensus") == [[254, IGNORE_LABEL, 0]]
    assert label("soft") == [[254, 64, 0]]
    with pytest.raises(ValueError, match="any, consensus, soft"):
        combined_label(drawn, "most")


def test_edges_lie_between_classes_only():
    labels = np.array([[3, 3, 3, 3], [3, 5, 5, 255], [3, 5, 5, 5]])
    edges = np.asarray(label_edges(labels))
    assert edges.tolist() == [
        [0, 254, 254, 0],  # what is below is another class, or ignored
        [254, 0, 0, 255],
        [254, 0, 0, 0],
    ]
    # Pictures of a batch do not touch each other.
    both = np.asarray(label_edges(np.stack([labels, labels[::-1]])))
    np.testing.assert_array_equal(both[0], edges)


def test_loss_is_the_authors_weighted_cross_entropy():
    """Their NLLLoss with weights (1, 10), which averages by weight."""
    labels = RANDOM.choice([0, 254, 255], (2, 8, 8), p=[0.7, 0.2, 0.1])
    logits = RANDOM.normal(size=(2, 8, 8, 1))
    loss, weight = boundary_cross_entropy_sums(labels, logits, 10.0)
    p = 1 / (1 + np.exp(-logits[..., 0]))
    weights = np.select([labels == 254, labels == 0], [10.0, 1.0], 0.0)
    costs = -np.log(np.where(labels == 254, p, 1 - p))
    expected = (weights * costs).sum() / weights.sum()
    # float32 logarithms and sums over 128 pixels.
    assert float(loss / weight) == pytest.approx(expected, rel=1e-5)


def test_balanced_loss_is_heds():
    """In each image both kinds weigh alike; one without boundaries, nothing."""
    labels = RANDOM.choice([0, 254, 255], (3, 8, 8), p=[0.7, 0.2, 0.1])
    labels[2] = 0
    logits = RANDOM.normal(size=(3, 8, 8, 1))
    expected = np.zeros(2)
    for label, logit in zip(labels, logits[..., 0], strict=True):
        drawn, rest = (label == 254).sum(), (label == 0).sum()
        weight = np.select([label == 254, label == 0], [rest, drawn], 0) / (
            drawn + rest
        )
        p = 1 / (1 + np.exp(-logit))
        costs = -np.log(np.where(label == 254, p, 1 - p))
        expected += (weight * costs).sum(), weight.sum()
        assert weight[label == 254].sum() == pytest.approx(
            weight[label == 0].sum()
        )
    sums = boundary_cross_entropy_sums(labels, logits, BALANCED)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    # An image adds the same wherever its batch is: on any replica.
    apart = [
        boundary_cross_entropy_sums(
            labels[i : i + 1], logits[i : i + 1], BALANCED
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(np.sum(apart, axis=0), sums, rtol=1e-5)


def test_loss_of_a_share_lies_between():
    logits = np.zeros((1, 1, 1, 1)) + 0.3
    sums = [
        boundary_cross_entropy_sums(np.array([[[label]]]), logits, 10.0)
        for label in (0, 127, 254)
    ]
    # Half of the annotators: half of either one's cost and weight.
    np.testing.assert_allclose(sums[1], np.mean(sums, axis=0), rtol=1e-6)
    far = boundary_cross_entropy_sums(np.array([[[0]]]), logits + 1e4)
    assert np.isfinite(far[0])


def test_joint_loss_weighs_two_means():
    labels = RANDOM.integers(0, 3, (2, 8, 8))
    labels[0, :4] = 255  # images weigh as their classes do
    outputs = {
        "classes": RANDOM.normal(size=(2, 8, 8, 3)),
        "boundary": RANDOM.normal(size=(2, 8, 8, 1)),
    }
    of = lambda i: (
        labels[i : i + 1],
        {k: v[i : i + 1] for k, v in outputs.items()},
    )
    total = 0
    for index, pixels in enumerate((32, 64)):
        label, output = of(index)
        loss, weight = joint_sums(label, output, boundary_weight=0.5)
        classes, count = cross_entropy_sums(label, output["classes"])
        edges, among = boundary_cross_entropy_sums(
            label_edges(label), output["boundary"]
        )
        assert float(weight) == float(count) == pixels
        # 0.5 : 1 of two means, however large their weights.
        assert float(loss / weight) == pytest.approx(
            float(classes / count) + 0.5 * float(edges / among), rel=1e-6
        )
        total += float(loss)
    # Pictures apart add up to both together, as on several replicas.
    whole, _ = joint_sums(labels, outputs, boundary_weight=0.5)
    assert float(whole) == pytest.approx(total, rel=1e-5)
    nothing = joint_sums(np.full((1, 8, 8), 255), of(0)[1])
    assert [float(value) for value in nothing] == [0, 0]


# --- Splits ---


def test_bsds_folder_is_read_as_it_lies(bsds):
    split = open_boundary_split("bsds500", "train", bsds, rule="any")
    assert len(split) == 4 and split.info.name == "bsds500"
    example = split[0]
    assert example.image.shape == (48, 64, 3)
    assert len(example.annotations) == 2
    np.testing.assert_array_equal(
        example.label == CERTAIN, example.annotations[0]
    )


def test_list_files_hold_grey_pictures(bsds, tmp_path):
    edges = np.zeros((48, 64), np.uint8)
    edges[10] = 1  # class ids, as the authors' lists have them
    Image.fromarray(edges).save(tmp_path / "ids.png")
    Image.fromarray(128 * edges).save(tmp_path / "share.png")
    picture = bsds / "images" / "train" / "0.jpg"
    lists = {"images": [picture] * 2, "labels": ["ids.png", "share.png"]}
    for kind, lines in lists.items():
        text = "\n".join(map(str, lines))
        (tmp_path / f"train_{kind}.txt").write_text(text)
    split = open_boundary_split(str(tmp_path), "train", rule="soft")
    values = [set(np.unique(example.label)) for example in split]
    assert values == [{0, 254}, {0, 127}]  # 254 * 128 / 255


def test_a_folder_of_masks_gives_the_edges_of_its_classes(tmp_path):
    exports.images_masks(tmp_path)
    val = open_boundary_split(str(tmp_path), "val")
    labels = open_split(str(tmp_path), "val")
    expected = np.asarray(label_edges(labels[0].label)) == CERTAIN
    assert len(val) == 2 and expected.any()
    assert np.array_equal(val[0].annotations[0], expected)
    assert val.drawn == labels.drawn != ()


def test_faults_of_a_split_are_explained(bsds, tmp_path):
    with pytest.raises(FileNotFoundError, match="BSR_bsds500.tgz"):
        open_boundary_split("bsds500", "train", tmp_path)
    with pytest.raises(ValueError, match="`rule` must be one of any"):
        open_boundary_split("bsds500", "train", bsds, rule="all")
    save_truth(tmp_path / "groundTruth/train/0.mat", [np.zeros((5, 5), "u1")])
    image = tmp_path / "images" / "train" / "0.jpg"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(image)
    with pytest.raises(ValueError, match="of their picture's size"):
        open_boundary_split("bsds500", "train", tmp_path)[0]
    Image.new("RGB", (64, 48)).save(image.with_name("1.jpg"))
    with pytest.raises(FileNotFoundError, match="1.mat"):
        open_boundary_split("bsds500", "train", tmp_path)


# --- Models ---


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    model = DLABoundaryDetector("dla46_c")
    # A random network's logits go into the hundreds, where one rounding of
    # float32 (6e-8) moves a probability by 1e-5; a trained one's do not.
    model.fc.kernel.assign(model.fc.kernel / 100)
    return model


@pytest.fixture(scope="module")
def joint():
    keras.utils.set_random_seed(1)
    return DLASegmenter("dla46_c", 3, boundary_head=True)


def test_detector_is_full_size_and_saved_whole(detector, tmp_path):
    detector.save(tmp_path / "m.keras")
    same = keras.models.load_model(tmp_path / "m.keras")
    logits = detector(PICTURES, training=False)
    assert logits.shape == (2, 32, 64, 1)
    np.testing.assert_array_equal(same(PICTURES, training=False), logits)
    opened = open_model(tmp_path / "m.keras").boundaries
    expected = tf.sigmoid(logits)[0]
    # The same network on one picture: roundings, which the large logits of
    # random weights show.
    np.testing.assert_allclose(opened(PICTURES[0]), expected, atol=1e-3)
    assert open_model(tmp_path / "m.keras").tasks == ("boundary",)


def test_heads_share_the_features(joint):
    """One pass gives what a segmenter alone with its weights would."""
    alone = DLASegmenter("dla46_c", 3)
    values = {v.path.partition("/")[2]: v for v in joint.variables}
    for variable in alone.variables:
        variable.assign(values[variable.path.partition("/")[2]])
    outputs = joint(PICTURES, training=False)
    np.testing.assert_allclose(
        outputs["classes"], alone(PICTURES, training=False), atol=1e-5
    )
    assert joint.count_params() - alone.count_params() == 64 + 1


def test_every_weight_learns(joint):
    # Large enough that batch norm has pixels to average at stride 32.
    pictures = RANDOM.uniform(0, 255, (2, 128, 128, 3)).astype("float32")
    labels = RANDOM.integers(0, 3, pictures.shape[:3])
    with tf.GradientTape() as tape:
        outputs = joint(pictures, training=True)
        loss, _ = joint_sums(labels, outputs)
    variables = [v.value for v in joint.trainable_variables]
    gradients = tape.gradient(loss, variables)
    assert all(g is not None and np.abs(g).max() > 0 for g in gradients)


def test_maps_are_averaged_and_thinned(detector):
    example = type("Example", (), {"image": PICTURES[0]})
    predict = boundary_predictor(detector)
    plain = soft_boundaries(predict, nms=False)(example)
    np.testing.assert_allclose(plain, predict(PICTURES[0])[..., 0])
    both = soft_boundaries(predict, flip=True, nms=False)
    mirrored = type("Example", (), {"image": PICTURES[0][:, ::-1]})
    # A mean of two views does not know which one came first.
    np.testing.assert_allclose(
        both(example), both(mirrored)[:, ::-1], atol=1e-6
    )
    ridges = soft_boundaries(predict)(example)
    assert (ridges == 0).mean() > (plain == 0).mean()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_one_file_gives_classes_and_boundaries(joint, precision, tmp_path):
    data = convert(joint, (32, 64), precision, "mask", PICTURES)
    path = tmp_path / "joint.tflite"
    path.write_bytes(data)
    lite = LiteModel(path)
    assert lite.gives_mask and "boundary" in lite.tasks
    exporter = Exporter(joint, (32, 64), held_out=PICTURES)
    found = exporter.verify(data)
    # Random weights: classes are near ties, and int8 decides some anew.
    least = {"float32": (0.999, 1.0), "int8": (0.5, 0.9)}[precision]
    assert found["classes"].mean >= least[0]
    assert found["boundaries"].mean >= least[1]
    expected = boundary_predictor(joint)(PICTURES[0])
    error = np.abs(open_model(path).boundaries(PICTURES[0]) - expected)
    # Roundings of 60 layers; 8 bits of each, which random weights amplify.
    assert error.mean() < {"float32": 1e-5, "int8": 0.05}[precision]


def test_a_detectors_file_gives_boundaries_alone(detector, tmp_path):
    path = tmp_path / "detector.tflite"
    path.write_bytes(convert(detector, (32, 64)))
    expected = boundary_predictor(detector)(PICTURES[0])
    np.testing.assert_allclose(
        open_model(path).boundaries(PICTURES[0]), expected, atol=1e-4
    )
    opened = open_model(path)
    assert opened.tasks == ("boundary",) and opened.masks is None


# --- Commands ---


TINY = "--variant dla_tiny --size 32x64 --batch-size 2 --steps 4".split()


def test_train_and_evaluate_a_detector(bsds, tmp_path, capfd):
    run = tmp_path / "run"
    train = command("train.TrainBoundary")
    arguments = ["--data-dir", str(bsds), "--run-dir", str(run), *TINY]
    recipe = "--recipe bsds500_small --weights none --thresholds 3"
    recipe += " --recalibrate-bn 1"
    assert train([*arguments, *recipe.split()]) == 0
    assert "ODS" in capfd.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    for name in ("ods", "ois"):  # by the official formula, OIS may be lower
        assert metrics[f"{name}_f"] == metrics[name]["f"]
    assert metrics["pictures"] == len(metrics["per_picture"]) == 2
    page = (run / "report.html").read_text()
    assert "ODS F" in page and "Worst pictures" in page
    with Image.open(run / "precision_recall.png") as picture:
        assert picture.width > 100

    # What evaluate.py finds of the model is what training wrote.
    evaluate = command("evaluate")
    task = "--task boundary --thresholds 3 --processes 1".split()
    model = ["--model", str(run / "model.keras")]
    scores = tmp_path / "scores.json"
    assert evaluate([*task, *model, "--json", str(scores)]) == 0
    again = json.loads(scores.read_text())
    assert again["ods"] == metrics["ods"] and again["ap"] == metrics["ap"]


def test_predict_writes_boundaries(bsds, detector, tmp_path, capfd):
    model, out = tmp_path / "m.keras", tmp_path / "out"
    detector.save(model)
    pictures = bsds / "images" / "val"
    predict = command("predict")
    arguments = ["--model", str(model), "--input", str(pictures)]
    arguments += ["--output", str(out), "--task", "boundary", "--no-nms"]
    assert predict(arguments) == 0
    for name in ("0", "1"):
        found = np.asarray(Image.open(out / "boundaries" / f"{name}.png"))
        picture = np.asarray(Image.open(pictures / f"{name}.jpg"))
        expected = boundary_predictor(detector)(picture)[..., 0]
        # A byte's half step.
        assert np.abs(found / 255 - expected).max() < 0.51 / 255
        with Image.open(out / "overlays" / f"{name}.jpg") as overlay:
            assert overlay.size == (64, 48)
    capfd.readouterr()
    assert predict([*arguments[:-1], "--nms"]) == 2
    assert "other flags" in capfd.readouterr().err


def test_evaluate_any_detectors_maps(bsds, tmp_path, capfd, monkeypatch):
    truth = bsds / "groundTruth" / "val"
    maps = tmp_path / "maps"
    maps.mkdir()
    for number, example in enumerate(GroundTruth(truth)):
        np.save(maps / f"{number}.npy", 0.8 * example.annotations[0])
    scores = tmp_path / "scores.json"
    arguments = "--task boundary --thresholds 5 --processes 1".split()
    arguments += ["--predictions", str(maps), "--json", str(scores)]
    evaluate = command("evaluate")
    assert evaluate([*arguments, "--ground-truth", str(truth)]) == 0
    found = json.loads(scores.read_text())
    # What thinning takes off the drawn lines is not found again.
    assert found["ods"]["precision"] == 1.0 and found["ods"]["recall"] > 0.95
    assert len(found["thresholds"]) == 5
    assert {"threshold", "recall", "precision", "f"} == set(found["ods"])
    written = tmp_path / "maps.evaluation"
    assert {path.name for path in written.iterdir()} == {
        "metrics.json",
        "precision_recall.png",
        "predictions.png",
        "report.html",
    }
    capfd.readouterr()
    monkeypatch.chdir(truth.parent)  # whose parent's name is not said
    arguments += ["--ground-truth", "val"]
    assert evaluate(arguments) == 0
    capfd.readouterr()
    kept = (maps / "0.npy").read_bytes()
    for flag, place in (
        ("--json", maps / "0.npy"),
        ("--table", scores),
        ("--output-dir", maps),
        ("--output-dir", scores),
    ):
        assert evaluate([*arguments, flag, str(place)]) == 2
        error = capfd.readouterr().err
        assert flag in error and str(place) in error
    assert (maps / "0.npy").read_bytes() == kept
    arguments = arguments[:-2]
    assert evaluate(arguments) == 2
    assert "--ground-truth FOLDER" in capfd.readouterr().err
    for number, example in enumerate(GroundTruth(truth)):
        np.save(maps / f"{number}.npy", 1 - 0.8 * example.annotations[0])
    with pytest.raises(ValueError, match="0.2. on the drawn .* inverted"):
        read_boundaries(maps, GroundTruth(truth))
    (maps / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="1.npy and 1.png; move one"):
        read_boundaries(maps, GroundTruth(truth))
    (maps / "1.png").unlink()
    (maps / "1.npy").unlink()
    with pytest.raises(FileNotFoundError, match="for 1 of 2, the first: 1"):
        read_boundaries(maps, GroundTruth(truth))
    with pytest.raises(FileNotFoundError, match="Expected annotations"):
        GroundTruth(tmp_path)
    for name in ("a.png", "a.npy"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="Received: a.npy and a.png; move"):
        GroundTruth(tmp_path)


def test_a_joint_model_gives_both(joint, tmp_path, capsys):
    folder, model = write_folder(tmp_path), tmp_path / "joint.keras"
    joint.save(model)
    evaluate = command("evaluate")
    arguments = ["--model", str(model), "--dataset", folder]
    fast = "--thresholds 3 --processes 1".split()
    assert evaluate([*arguments, *fast]) == 0
    output = capsys.readouterr().out
    assert "mIoU" in output and "ODS" in output
    written = tmp_path / "joint.keras.evaluation"
    scores = json.loads((written / "metrics.json").read_text())
    edges = json.loads((written / "boundary" / "metrics.json").read_text())
    assert np.sum(scores["confusion"]) == 5 * 48 * 64
    assert edges["pictures"] == 5 and 0 < edges["ods_f"] < 1
    # Truth is the edges of the labels: all of it, as the labels are noise.
    truth = segmentation.open_split(folder, "val")
    beside = boundary.open_split(folder, "val", beside=truth)
    expected = np.asarray(label_edges(truth[0].label)) == CERTAIN
    np.testing.assert_array_equal(beside[0].annotations[0], expected)

    predict = command("predict")
    out = tmp_path / "out"
    paths = ["--input", str(tmp_path / "images_0.png"), "--output", str(out)]
    assert predict(["--model", str(model), *paths, "--no-nms"]) == 0
    assert "1 masks, 1 boundaries" in capsys.readouterr().out
    names = {p.relative_to(out).as_posix() for p in out.rglob("*.*g")}
    assert names == {
        "boundaries/images_0.png",
        "masks/images_0.png",
        "overlays/images_0.jpg",
    }
    picture = np.asarray(Image.open(tmp_path / "images_0.png"))
    mask = np.asarray(Image.open(out / "masks/images_0.png"))
    np.testing.assert_array_equal(mask, model_predictor(joint)(picture))
    # One of them on request.
    one = ["--model", str(model), *paths[:2], "--output", str(tmp_path / "one")]
    assert predict([*one, "--task", "boundary"]) == 0
    assert not (tmp_path / "one" / "masks").exists()


def test_segmentation_learns_boundaries_on_request():
    for text, wanted in (("", False), ("--boundary-weight 2", True)):
        words = f"--variant dla46_c {text}".split()
        args = TrainSeg.parse_flags(words)
        model = segmentation.make_model(args, DATASETS["toy_streets"])
        assert ("boundary" in model.tasks) == wanted
    labels = RANDOM.integers(0, 3, (1, 32, 64))
    loss = segmentation.loss_sums(args, None)
    outputs = model(PICTURES[:1], training=False)
    expected = joint_sums(labels, outputs, boundary_weight=2.0)
    assert float(loss(labels, outputs)[0]) == float(expected[0])
