"""The report page: right figures, nothing from outside, nothing unescaped."""

import base64
import csv
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from dla_keras.data.classification import ClassificationInfo
from dla_keras.data.classification import LabelledPicture
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.segmentation import Example
from dla_keras.report.charts import line_chart
from dla_keras.report.charts import matrix_chart
from dla_keras.report.charts import nice_ticks
from dla_keras.report.charts import thinned
from dla_keras.report.galleries import classification_galleries
from dla_keras.report.galleries import extremes
from dla_keras.report.galleries import segmentation_galleries
from dla_keras.report.html_report import report_page
from dla_keras.report.html_report import write_report
from dla_keras.report.sections import Run
from dla_keras.tasks.segmentation import evaluate

EVIL = '<script>alert("1")</script>'
PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
VOID_TAGS = ("meta", "img", "br")


class Split(list):
    info = DatasetInfo("made", ("road", EVIL, "sky"), PALETTE)


def make_split(count=8):
    """Pictures whose class is the brightest colour, the more so the later."""
    random = np.random.default_rng(0)
    split = Split()
    for index in range(count):
        label = random.integers(0, 3, (20, 30)).astype(np.uint8)
        image = np.uint8(255 * (label[..., None] == np.arange(3)))
        wrong = random.random((20, 30)) > (index + 1) / count
        image[wrong] = (200, 0, 0)
        split.append(Example(image, label, f"{index}{EVIL}.png"))
    split[0].label[:] = 255  # nothing to score
    return split


def guess(image):
    return image.argmax(-1).astype(np.uint8)


@pytest.fixture
def run_dir(tmp_path):
    """A run's folder as training leaves it."""
    config = {
        "dataset": f"/data/{EVIL}",
        "variant": "dla34",
        "command": ["python", "train_seg.py", "--dataset", EVIL],
        "versions": {"keras": "3.15"},
        "hardware": {"gpus": [EVIL], "cpu": "a CPU", "cores": 2},
        "starts": [{"time": "2026-11-23T10:00:00+00:00", "step": 0}],
        "git": "abc",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    history = [
        {
            "step": step,
            "loss": 1 / step,
            "learning_rate": 0.1 / step,
            "val_miou": step / 40,
            "val_pixel_accuracy": step / 30,
            "seconds": 4.0 * step,
        }
        for step in (10, 20)
    ]
    with (tmp_path / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, history[0])
        writer.writeheader()
        writer.writerows(history)
    rows = "".join(f"{step},{1 / step!r}\n" for step in range(1, 21))
    (tmp_path / "steps.csv").write_text("step,loss\n" + rows)
    return tmp_path


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order, and keeps what they hold."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def pictures(self):
        for tag, attrs in self.tags:
            if tag == "img":
                kind, _, data = attrs["src"].partition(";base64,")
                assert kind in ("data:image/png", "data:image/jpeg")
                yield Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_page_of_a_run(run_dir):
    split = make_split()
    scores = evaluate(guess, split)
    scores["baselines"] = {"class by row": {"miou": 0.1, "pixel_accuracy": 0.2}}
    galleries = segmentation_galleries(guess, split, scores["per_picture"], 2)
    write_report(run_dir / "report.html", scores, run_dir, galleries)
    page = (run_dir / "report.html").read_text()
    reader = Reader(page)
    text = "\n".join(reader.text)
    for heading in (
        *("Result", "Curves", "Classes", "Confusion", "Run"),
        *("Worst pictures", "Best pictures"),
    ):
        assert f"<h2>{heading}</h2>" in page
    assert f"{scores['miou']:.3f}" in text and "class by row" in text
    assert "20 steps" in text and "trained in 1 min 20 s" in text
    assert "4000 ms a step" in text and "keras 3.15" in text
    # It opens offline, and nothing in it runs.
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "iframe", "object"}
    assert "default-src 'none'" in page and "http" not in page.replace(
        "http-equiv", ""
    )
    assert not re.search(r"url\(|@import", page)
    # What files and folders are called arrives as text.
    assert EVIL in text and EVIL not in page
    # Two worst and two best, each with truth and prediction.
    pictures = list(reader.pictures())
    assert len(pictures) == 12
    assert {picture.size for picture in pictures} == {(30, 20)}
    best = galleries[1].pictures[0]
    assert best.name == f"7{EVIL}.png" and "mIoU 1.000" in best.caption
    found = np.array(pictures[8].convert("RGB"))
    np.testing.assert_array_equal(
        found, np.array(PALETTE)[guess(split[7].image)]
    )


def test_a_page_of_scores_alone(tmp_path):
    scores = evaluate(guess, make_split(2))
    write_report(tmp_path / "new" / "report.html", scores, tmp_path)
    page = (tmp_path / "new" / "report.html").read_text()
    Reader(page)
    assert "<h2>Result</h2>" in page
    assert "<h2>Curves</h2>" not in page and "<h2>Run</h2>" not in page


def test_a_page_of_a_classifier():
    names = ("cat", "dog")
    pictures = [
        LabelledPicture(
            np.full((40, 50, 3), 9 * i, np.uint8), i % 2, f"{i}.png"
        )
        for i in range(4)
    ]
    split = type("Split", (list,), {"info": ClassificationInfo("x", names)})
    rows = [{"prediction": 0, "probability": p} for p in (0.9, 0.2, 0.99, 0.4)]
    scores = {
        "top1": 0.5,
        "top5": 1.0,
        "confusion": [[2, 0], [2, 0]],
        "class_names": names,
        "pictures": 4,
    }
    galleries = classification_galleries(split(pictures), rows, count=1)
    assert [g.pictures[0].name for g in galleries] == ["1.png", "2.png"]
    assert galleries[0].pictures[0].caption == "dog: 20.0%; found: cat"
    page = report_page(Run(scores, {}, [], []), galleries)
    reader = Reader(page)
    assert len(list(reader.pictures())) == 2
    text = " ".join(reader.text)
    assert "top-1" in text and "0.500" in text and "share found" in text
    assert "dog cat 100.0%" in text  # most confused
    assert [a["style"] for t, a in reader.tags if t == "s"] == [
        "width:85.0%",
        "width:0.0%",
    ]


def test_many_classes_have_no_matrix():
    names = [f"c{index}" for index in range(1000)]
    confusion = np.eye(1000, dtype=int)
    confusion[3, 5] = 3
    scores = {
        "top1": 0.9,
        "confusion": confusion.tolist(),
        "class_names": names,
        "pictures": 1003,
    }
    page = report_page(Run(scores, {}, [], []))
    assert "<rect" not in page and len(page) < 300_000
    assert "<td>c3</td><td>c5</td><td>75.0%</td>" in page


def test_per_picture_scores_are_those_of_each_alone():
    split = make_split()
    rows = evaluate(guess, split)["per_picture"]
    assert [row["name"] for row in rows] == [e.name for e in split]
    assert rows[0]["miou"] is None and rows[0]["pixel_accuracy"] is None
    for example, row in list(zip(split, rows, strict=True))[1:]:
        alone = evaluate(guess, type("One", (Split,), {})([example]))
        assert row["miou"] == alone["miou"]
        assert row["pixel_accuracy"] == alone["pixel_accuracy"]
    assert json.loads(json.dumps(rows)) == rows


def test_extremes_never_overlap():
    assert extremes([0.3, None, 0.1, 0.2], 2) == ([2, 3], [0])
    assert extremes([None, 0.3], 3) == ([1], [])
    assert extremes([0.3, 0.1, 0.2], 3) == ([1, 2], [0])
    assert extremes([], 3) == ([], [])
    with pytest.raises(ValueError, match="1 rows for 8 pictures"):
        segmentation_galleries(guess, make_split(), [{}])


def test_lines_are_where_their_numbers_are():
    ticks = nice_ticks(0.013, 0.93)
    assert ticks == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(3, 3)[0] <= 3 < nice_ticks(3, 3)[-1]
    assert nice_ticks(0, 0) and nice_ticks(-5e-6, 1e-6)[0] <= -5e-6
    chart = line_chart(
        {"a": ([0, 50, 100, 100], [0, 0.5, 1, float("nan")])}, "step", "y"
    )
    points = re.search(r'points="([^"]+)"', chart)[1].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in points)
    # Halfway is halfway, up is up; coordinates have a tenth of a unit.
    assert abs((x0 + x2) / 2 - x1) <= 0.1 and abs((y0 + y2) / 2 - y1) <= 0.1
    width, height = map(int, re.search(r'0 0 (\d+) (\d+)"', chart).groups())
    assert 0 < x0 < x1 < x2 < width and height > y0 > y1 > y2 > 0
    grid = [float(y) for y in re.findall(r'y1="([^"]+)"', chart)]
    assert max(grid) == y0 and min(grid) == y2  # the ticks are 0 and 1
    assert line_chart({"a": ([1], [float("nan")])}, "x", "y") == ""


def test_thinning_keeps_the_mean():
    ys = np.random.default_rng(0).normal(size=3000)
    xs, thin = thinned(np.arange(3000), ys, 300)
    assert len(xs) == len(thin) == 300
    assert thin.mean() == pytest.approx(ys.mean())  # 10 of each
    assert thin[0] == pytest.approx(ys[:10].mean()) and xs[0] == 4.5
    assert len(thinned(range(7), range(7), 3)[0]) == 3
    np.testing.assert_array_equal(thinned([1, 2], [3, 4])[1], [3, 4])


def test_cells_are_as_strong_as_their_shares():
    chart = matrix_chart([[0.25, 0.75], [0, 1]], ("a", "b"))
    found = [float(o) for o in re.findall(r'fill-opacity="([^"]+)"', chart)]
    assert found == [0.28, 0.76, 0.04, 1.0]
    assert "a, found as b: 75.0%" in chart
