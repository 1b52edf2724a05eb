"""Boxes from the data to the report; COCO's figures as pycocotools' own."""

import csv
import io
import json
import pathlib
from contextlib import redirect_stdout
from dataclasses import replace
from unittest import mock

import keras
import numpy as np
import pytest
from PIL import Image
from running import command
from tiny_variant import TINY_VARIANT

import dla_keras
from dla_keras.data.boxes import BoxExample
from dla_keras.data.datasets import DatasetInfo
from dla_keras.inference.prediction_files import Found
from dla_keras.inference.predictor import BoxPredictor
from dla_keras.inference.predictor import box_predictor
from dla_keras.lite.measure.agreement import compare_outputs
from dla_keras.tasks import detection
from dla_keras.tasks.scores import COCO_FIGURES
from dla_keras.tasks.scores import box_scores
from dla_keras.tasks.scores import count_matches
from dla_keras.variants import VARIANTS

pytest.importorskip("faster_coco_eval")


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """Give commands `dla_tiny` to train."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        yield


def random_records(seed):
    """Return made-up pictures: crowds, ties, empty ones, near misses."""
    random = np.random.default_rng(seed)
    records = []
    for index in range(40):
        count = 0 if index % 7 == 0 else int(random.integers(1, 12))
        corners = random.uniform(0, 400, (count, 2))
        sides = random.choice([14, 50, 160], (count, 1)) * random.uniform(
            0.7, 1.4, (count, 2)
        )
        boxes = np.concatenate([corners, corners + sides], 1)
        classes = random.integers(0, 3, count)
        crowd = random.random(count) < 0.15
        ids = np.where(crowd, -2 - classes, classes)
        truth = np.concatenate([ids[:, None], boxes], 1)
        seen = random.random(count) < 0.8
        near = boxes[seen] + random.normal(0, 4, (seen.sum(), 4))
        strange = random.uniform(0, 400, (3, 2))
        strange = np.concatenate([strange, strange + 40], 1)
        found = np.concatenate([near, strange])
        kinds = np.append(classes[seen], random.integers(0, 3, 3))
        scores = np.round(random.random(len(found)), 1)  # many are equal
        rows = np.concatenate([kinds[:, None], scores[:, None], found], 1)
        records.append({"truth": truth.tolist(), "found": rows.tolist()})
    return records


def pycocotools_figures(records):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    side = lambda b: [b[1], b[0], b[3] - b[1], b[2] - b[0]]
    truth, found = [], []
    for number, record in enumerate(records, start=1):
        for kind, *box in record["truth"]:
            crowd = kind < 0
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": number,
                    "category_id": int(-2 - kind if crowd else kind),
                    "bbox": side(box),
                    "area": side(box)[2] * side(box)[3],
                    "iscrowd": int(crowd),
                }
            )
        found += [
            {
                "image_id": number,
                "category_id": int(kind),
                "bbox": side(box),
                "score": score,
            }
            for kind, score, *box in record["found"]
        ]
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(len(records))],
            "annotations": truth,
            "categories": [{"id": i} for i in range(3)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_the_figures_are_cocos():
    pytest.importorskip("pycocotools")
    for seed in (0, 1):
        records = random_records(seed)
        scores = box_scores(records, ["a", "b", "c"])
        received = [scores[name] for name in COCO_FIGURES]
        expected = pycocotools_figures(records)
        np.testing.assert_allclose(received, expected, atol=1e-6)
        assert 0.1 < scores["ap"] < scores["ap50"]
        by_class = scores["per_class_ap"].values()
        assert np.mean([*by_class]) == pytest.approx(scores["ap"])
        best = scores["best"]
        assert best["f"] == max(row["f"] for row in scores["thresholds"])
        recalls = [row["recall"] for row in scores["thresholds"]]
        assert recalls == sorted(recalls, reverse=True)


def test_nothing_found_is_no_fault():
    scores = box_scores([{"truth": [[0, 1, 1, 9, 9]], "found": []}], ["a", "b"])
    assert scores["ap"] == 0 and scores["best"]["f"] == 0
    assert scores["per_class_ap"] == {"a": 0.0, "b": None}
    nothing = box_scores([{"truth": [], "found": []}], ["a"])
    assert nothing["ap"] is None


def test_matches_of_one_picture_are_counted_once():
    truth = [[0, 0, 0, 10, 10], [1, 0, 0, 10, 10], [-2, 20, 20, 40, 40]]
    found = [
        [0, 0.9, 0, 0, 10, 9],
        [0, 0.8, 0, 0, 10, 10],  # the same again
        [0, 0.7, 21, 21, 40, 40],  # ignored
        [1, 0.1, 0, 0, 10, 10],  # too unsure
    ]
    counts = count_matches(truth, found, 0.5)
    assert counts == {"hits": 1, "missed": 1, "wrong": 1}
    assert count_matches([], [], 0.5) == {"hits": 0, "missed": 0, "wrong": 0}


# --- A set that is quickly learned: squares on grey ---

COLORS = ((220, 40, 40), (40, 80, 220))


def squares(folder, count=8):
    """Write pictures with red and blue squares, and their COCO json."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    table = {"images": [], "annotations": [], "categories": []}
    for index, name in enumerate(("red", "blue")):
        table["categories"].append({"id": index + 1, "name": name})
    for number in range(count):
        image = np.full((64, 96, 3), 128, np.uint8)
        for kind in (0, 1):
            side = int(random.integers(14, 24))
            top = int(random.integers(0, 64 - side))
            left = int(random.integers(48 * kind, 48 * kind + 48 - side))
            image[top : top + side, left : left + side] = COLORS[kind]
            table["annotations"].append(
                {
                    "id": len(table["annotations"]),
                    "image_id": number,
                    "category_id": kind + 1,
                    "bbox": [left, top, side, side],
                }
            )
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        entry = {"id": number, "file_name": f"{number}.png"}
        table["images"].append({**entry, "height": 64, "width": 96})
    (folder / "instances.json").write_text(json.dumps(table))
    return str(folder)


TINY = (
    "--variant dla_tiny --head-filters 16 --size 64x64 --batch-size 4 "
    "--scale 0.9 1.1 --jitter 0 --optimizer adamw --learning-rate 4e-3"
)


def test_train_evaluate_and_predict(tmp_path, capsys):
    folder, run = squares(tmp_path / "squares"), tmp_path / "run"
    words = [*TINY.split(), "--dataset", folder, "--steps", "60"]
    words += ["--validate-every", "0", "--run-dir", str(run)]
    assert command("train.TrainDet")(words) == 0
    assert "| trained" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["ap50"] > 0.3
    page = (run / "report.html").read_text()
    assert "Detection" in page and "Share of the objects, and AP." in page
    assert "Precision and recall" in page and "best F" in page
    for name in ("predictions.png", "precision_recall.png"):
        assert (run / name).exists()
    history = (run / "history.csv").read_text().splitlines()
    rows = list(csv.DictReader(history))
    assert float(rows[-1]["val_ap"]) == pytest.approx(metrics["ap"])

    model = str(run / "model.keras")
    assert command("evaluate")(["--model", model, "--flip"]) == 0
    said = capsys.readouterr().out
    assert "| AP50 |" in said.replace("  ", " ") and "best F" in said
    out = tmp_path / "out"
    words = ["--model", model, "--input", f"{folder}/images"]
    assert command("predict")([*words, "--output", str(out)]) == 0
    found = json.loads((out / "detections.json").read_text())
    assert {row["image_id"] for row in found} <= {f"{i}.png" for i in range(8)}
    sure = max(found, key=lambda row: row["score"])
    left, top, width, height = sure["bbox"]
    assert 0 <= left <= left + width <= 96 and 0 <= top <= top + height <= 64
    assert (out / "overlays" / "0.jpg").exists()
    # What is there is left alone, and made anew on request.
    assert command("predict")([*words, "--output", str(out)]) == 0
    again = ["--output", str(out), "--overwrite"]
    assert command("predict")([*words, *again]) == 0
    assert json.loads((out / "detections.json").read_text()) == found

    loaded = dla_keras.load(model)
    image = np.asarray(Image.open(f"{folder}/images/0.png"))
    boxes = loaded(image)
    assert boxes.size == (64, 96) and boxes.scores[0] == boxes.scores.max()
    assert loaded.class_names[boxes.classes[0]] in ("red", "blue")
    scores = dla_keras.evaluate(loaded, folder)
    assert scores["ap"] == pytest.approx(metrics["ap"], abs=1e-6)
    with pytest.raises(ValueError, match="--scales and --tile are for tasks"):
        views = mock.Mock(tile=None, scales=(0.5, 1.0))
        detection.file_finder(loaded.file, views)


def test_a_run_that_stops_goes_on_to_the_bit(tmp_path):
    folder = squares(tmp_path / "squares")
    words = [*TINY.split(), "--dataset", folder, "--deterministic"]
    words += ["--validate-every", "0", "--steps", "4"]
    words += ["--checkpoint-steps", "2"]
    weights = []
    for name in ("whole", "parts"):
        run = ["--run-dir", str(tmp_path / name)]
        assert command("train.TrainDet")([*words, *run]) == 0
        if name == "parts":
            (tmp_path / "parts" / "metrics.json").unlink()
            (last,) = tmp_path.glob("parts/checkpoints/*4.npz")
            last.unlink()
            assert command("train.TrainDet")([*words, *run]) == 0
        model = keras.models.load_model(tmp_path / name / "model.keras")
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_boxes_come_back_in_the_pictures_pixels():
    """Maps that a stand-in draws: a center at a known place."""

    class Maps:
        head_stride = 4

        def __call__(self, images, training=False):
            import tensorflow as tf

            shape = tf.shape(images)[1:3] // 4
            row, column = shape[0] // 2, shape[1] // 4
            heat = tf.scatter_nd(
                [[0, row, column, 1]], [15.0], [1, *tf.unstack(shape), 2]
            )
            ones = tf.ones([1, *tf.unstack(shape), 1])
            size = tf.concat([4 * ones, 6 * ones], -1)
            offset = tf.concat([0.5 * ones, 0.25 * ones], -1)
            return {"heat": heat - 10, "size": size, "offset": offset}

    find = box_predictor(Maps())
    found = find(np.zeros((64, 96, 3), np.uint8))
    # Row 8, column 6 of cells of 4 pixels; 16 x 24 pixels about 34, 25.
    np.testing.assert_allclose(found.boxes[0], [26, 13, 42, 37])
    assert found.classes[0] == 1 and found.scores[0] > 0.99
    assert len(found.above(0.5).scores) == 1


def test_boxes_beside_the_picture_are_none():
    """An image of 40 rows lies in 64; of four boxes two have an area in it."""
    boxes = [[0, 0, 9, 9], [45, 0, 60, 9], [30, 5, 50, 9], [20, 9, 10, 12]]
    rows = np.float32(boxes), np.arange(4), np.float32([0.9, 0.8, 0.7, 0.6])
    find = BoxPredictor(lambda image, flip: rows)
    found = find(np.zeros((40, 64, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 9, 9], [30, 5, 40, 9]]
    assert found.classes.tolist() == [0, 2]
    assert found.scores.tolist() == rows[2][[0, 2]].tolist()


def test_renumbered_boxes_keep_what_is_ignored():
    info = DatasetInfo("x", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    label = np.float32([[0, 1, 2, 3, 4], [-3, 1, 2, 3, 4]])
    example = BoxExample(np.zeros((8, 8, 3), np.uint8), label, "x")
    split = type("Split", (list,), {"info": info})([example])
    from dla_keras.models.classes import OrderedSplit

    turned = OrderedSplit(split, (1, 0))
    assert turned[0].label[:, 0].tolist() == [1, -2]
    assert turned.info.class_names == ("b", "a")


def test_faults_of_boxes_are_told_with_the_command_that_shows_them(
    tmp_path, capsys
):
    folder = pathlib.Path(squares(tmp_path / "squares"))
    table = json.loads((folder / "instances.json").read_text())
    table["annotations"][0]["bbox"] = [40, 40, -8, -8]
    table["annotations"][1]["bbox"] = [400, 40, 8, 8]
    (folder / "instances.json").write_text(json.dumps(table))
    words = [*TINY.split(), "--dataset", str(folder), "--steps", "2"]
    words += ["--run-dir", str(tmp_path / "run")]
    assert command("train.TrainDet")(words) == 2
    said = capsys.readouterr().err
    assert "in reverse" in said
    shown = f"1 more: dla-keras check --task detection --dataset {folder}"
    assert shown in said
    assert not (tmp_path / "run" / "model.keras").exists()


def test_the_mirror_image_has_its_centers_elsewhere():
    """A stand-in that sees a mirrored image as the mirror of what it saw."""

    class Maps:
        head_stride = 4

        def __call__(self, images, training=False):
            import tensorflow as tf

            light = tf.cast(images[..., :1], tf.float32) + 1e-3
            rows, columns = (tf.range(tf.shape(images)[i]) % 4 for i in (1, 2))
            place = lambda local: (tf.cast(local, tf.float32) + 0.5) / 4
            pool = lambda x: tf.nn.avg_pool2d(x, 4, 4, "VALID")
            heat = pool(light)
            down = pool(light * place(rows)[:, None, None]) / heat
            right = pool(light * place(columns)[:, None]) / heat
            size = tf.concat(
                [2 * tf.ones_like(heat), 3 * tf.ones_like(heat)], -1
            )
            offset = tf.concat([down, right], -1)
            return {"heat": heat / 10 - 2, "size": size, "offset": offset}

    image = np.zeros((64, 96, 3), np.uint8)
    image[21, 43] = 255  # alone in its cell, left and below of its middle
    find = box_predictor(Maps())
    plain, both = find(image), replace(find, flip=True)(image)
    np.testing.assert_allclose(
        plain.boxes[0], [17.5, 37.5, 25.5, 49.5], atol=0.05
    )
    np.testing.assert_allclose(both.boxes[0], plain.boxes[0], atol=1e-3)
    assert both.scores[0] == pytest.approx(plain.scores[0], abs=1e-5)


def found(*rows):
    """Return what rows of class, score and a place of a box stand for."""
    kinds, scores, places = np.transpose(rows) if rows else ([], [], [])
    low = np.float32([places, places]).T
    boxes = np.concatenate([low, low + 20], axis=1)
    return Found(
        boxes, np.int32(kinds), np.asarray(scores, np.float32), (99, 99)
    )


def test_boxes_are_the_same_by_class_place_and_score():
    one = found((0, 0.9, 10), (1, 0.5, 40))
    assert detection.same(one, one).tolist() == [True] * 4
    cases = {
        "class": (1, 0.9, 10),
        "score": (0, 0.84, 10),
        "place": (0, 0.9, 11.2),  # an overlap of 0.79
    }
    for name, row in cases.items():
        other = found(row, (1, 0.5, 40))
        parts = detection.same(one, other)
        assert sorted(parts.tolist()) == [False] * 2 + [True] * 2, name
    # An overlap of 0.9 and more, and a score within 0.05.
    near = found((0, 0.86, 10.4), (1, 0.54, 40))
    assert detection.same(one, near).all()


def test_a_box_is_taken_once_and_a_duplicate_is_wrong():
    one, twice = found((0, 0.9, 10)), found((0, 0.9, 10), (0, 0.88, 10.2))
    assert detection.same(one, twice).tolist() == [True, True, False]
    assert detection.same(twice, one).tolist() == [True, False, True]


def test_an_unsure_box_may_be_a_partner_but_is_not_counted():
    sure, unsure = found((0, 0.11, 10)), found((0, 0.09, 10), (2, 0.05, 50))
    assert detection.same(sure, unsure).tolist() == [True]
    assert detection.same(unsure, unsure).tolist() == []
    assert detection.sameness([unsure], None) == (
        "finds no box of a score of 0.1 or more"
    )
    assert detection.sameness([unsure, sure], None) is None


def test_pictures_without_boxes_agree_and_numbers_that_are_none_do_not():
    none, one = found(), found((0, 0.9, 10))
    compare = lambda a, b: compare_outputs(a, b, detection.same)
    assert compare([none, one], [none, one]).mean == 1
    assert compare([none], [none]).mean == 1
    assert compare([none, one], [one, none]).mean == 0
    broken = found((0, np.nan, 10))
    assert compare([one], [broken]).fault(0) is not None
