"""The report page: right figures, nothing from outside, nothing unescaped."""

import base64
import csv
import html.parser
import importlib
import io
import json
import pathlib
import re
import shlex

import jinja2
import numpy as np
import pytest
from pictures import EVIL
from pictures import PALETTE
from pictures import guess
from pictures import make_split
from PIL import Image

from dla_keras.commands.main import COMMANDS
from dla_keras.report.galleries import segmentation_galleries
from dla_keras.report.page import Run
from dla_keras.report.page import render
from dla_keras.report.page import report_page
from dla_keras.report.page import write_report
from dla_keras.tasks import boundary
from dla_keras.tasks import classification
from dla_keras.tasks import segmentation
from dla_keras.tasks.segmentation import evaluate

VOID_TAGS = ("meta", "img", "br")
CLASSIFIER = {
    "top1": 0.5,
    "top5": 1.0,
    "confusion": [[2, 0], [2, 0]],
    "class_names": ("cat", "dog"),
    "pictures": 4,
}
POINT = {"precision": 0.6, "recall": 0.4, "f": 0.48, "threshold": 0.25}
DETECTOR = {
    "ods_f": 0.48,
    "ois_f": 0.5,
    "ap": 0.3,
    "ods": POINT,
    "ois": {"precision": 0.62, "recall": 0.42, "f": 0.5},
    "thresholds": [POINT],
    "pictures": 2,
}


@pytest.fixture
def run_dir(tmp_path):
    """Return a run's folder as training leaves it."""
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
    rows = "".join(f"{step},{1 / step!r},0.5\n" for step in range(1, 21))
    (tmp_path / "steps.csv").write_text("step,loss,learning_rate\n" + rows)
    (tmp_path / "model.keras").touch()
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

    def styles(self, tag):
        return [attrs["style"] for name, attrs in self.tags if name == tag]


def write(run_dir):
    """Return the page of a run on a made split, its scores and galleries."""
    split = make_split()
    scores = evaluate(guess, split)
    scores["baselines"] = {"class by row": {"miou": 0.1, "pixel_accuracy": 0.2}}
    galleries = segmentation_galleries(guess, split, scores["per_picture"], 2)
    write_report(
        run_dir / "report.html", segmentation, scores, run_dir, galleries
    )
    return (run_dir / "report.html").read_text(), scores


def test_the_page_of_a_run(run_dir):
    page, scores = write(run_dir)
    reader = Reader(page)
    text = "\n".join(reader.text)
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [
        *("Result", "Curves", "Classes", "Confusion"),
        *("Worst pictures", "Best pictures", "Run", "Next"),
    ]
    assert f"{scores['miou']:.3f}" in text and "class by row" in text
    assert "Segmentation, 20 steps" in text
    assert "trained in 1 min 20 s" in text
    assert "4000 ms a step" in text and "keras 3.15" in text
    # Two worst and two best, each with truth, prediction and errors.
    pictures = list(reader.pictures())
    assert len(pictures) == 16
    assert {picture.size for picture in pictures} == {(30, 20)}


def test_nothing_is_fetched_and_nothing_runs(run_dir):
    page, _ = write(run_dir)
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {
        *("script", "link", "iframe", "object", "embed", "base", "form")
    }
    policy = next(a["content"] for t, a in reader.tags if "http-equiv" in a)
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    )
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r"@import|url\((?!#)", page)
    for _, attrs in reader.tags:
        assert not any(name.startswith("on") for name in attrs)
        assert attrs.get("href", "#").startswith("#")
        assert attrs.get("src", "data:").startswith("data:")


def test_names_arrive_as_text(run_dir):
    """Of files, folders, classes and devices."""
    page, _ = write(run_dir)
    text = "\n".join(Reader(page).text)
    assert EVIL in text and "<script" not in page
    assert f"7{EVIL}.png" in text  # a file
    odd = render(EVIL, EVIL, [(EVIL, [("bars", [(EVIL, 1, "1", None, EVIL)])])])
    # Heading, title, subtitle, section, bar and note.
    assert "".join(Reader(odd).text).count(EVIL) == 6
    with pytest.raises(jinja2.UndefinedError):
        render("", "", [("x", [("unknown", 1)])])


def test_a_file_name_may_be_no_text(tmp_path):
    scores = evaluate(guess, make_split(2))
    scores["model"] = "bad\udcff.keras"
    write_report(tmp_path / "report.html", segmentation, scores, tmp_path)
    Reader((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_rate_is_drawn_at_every_step(run_dir):
    page, _ = write(run_dir)
    assert "learning rate 0.5 at 7" in page
    (run_dir / "steps.csv").write_text("step,loss\n1,0.5\n")  # an older run's
    assert "learning rate 0.005 at 20" in write(run_dir)[0]


def test_damaged_tables_are_left_out_and_told(run_dir):
    """`evaluate` comes here after its work, which must not be lost."""
    with (run_dir / "history.csv").open("a") as file:
        file.write("30\n\0\0\0")
    (run_dir / "steps.csv").write_text("epoch\n1\n")
    (run_dir / "config.json").write_text("[")
    with pytest.warns(UserWarning, match="the report leaves it out") as said:
        page, _ = write(run_dir)
    paths = [pathlib.Path(str(each.message).split()[0]) for each in said]
    names = [path.name for path in paths]
    assert names == ["config.json", "history.csv", "steps.csv"]
    assert "20 steps" in page and "learning rate 0.005 at 20" in page


def test_bars_have_the_colors_of_their_classes(run_dir):
    page, scores = write(run_dir)
    styles = Reader(page).styles("s")
    ious = scores["per_class_iou"]
    order = sorted(range(3), key=lambda i: -list(ious.values())[i])
    for style, index in zip(styles, order, strict=True):
        width, color = style.split(";")
        iou = list(ious.values())[index]
        assert width == f"width:{85 * iou:.1f}%"
        assert color == "background:rgb({},{},{})".format(*PALETTE[index])
    shares = np.sum(scores["confusion"], 1) / np.sum(scores["confusion"])
    assert all(f"<small>{share:.1%}</small>" in page for share in shares)


def test_precision_recall_and_f1_stand_by_class(run_dir):
    page, scores = write(run_dir)
    text = " ".join(Reader(page).text)
    for name in scores["class_names"]:
        cells = (
            scores[f"per_class_{key}"][name]
            for key in ("precision", "recall", "f1")
        )
        assert " ".join((name, *(f"{cell:.3f}" for cell in cells))) in text


@pytest.mark.parametrize(
    "model, names",
    [
        ("my runs/a.keras", ["predict", "export-tflite", "evaluate"]),
        ("my runs/a.tflite", ["predict", "benchmark"]),
        ("maps/", []),  # recorded predictions
    ],
)
def test_the_page_ends_with_commands_that_exist(model, names):
    page = report_page(Run(classification, CLASSIFIER, {}, [], [], model=model))
    text = Reader(page).text
    commands = [shlex.split(t) for t in text if t.startswith("dla-keras ")]
    assert [command[1] for command in commands] == names
    assert ("<h2>Next</h2>" in page) == bool(names)
    for _, name, *flags in commands:
        module = f"dla_keras.commands.{COMMANDS[name][0]}"
        assert importlib.import_module(module).parse_flags(flags)
        assert model in flags


def test_a_run_says_where_its_model_is(run_dir):
    page, _ = write(run_dir)
    assert f"--model {run_dir / 'model.keras'}" in page


def test_a_page_of_scores_alone(tmp_path):
    scores = evaluate(guess, make_split(2))
    write_report(
        tmp_path / "new" / "report.html", segmentation, scores, tmp_path
    )
    page = (tmp_path / "new" / "report.html").read_text()
    Reader(page)
    assert "<h1>new</h1>" in page and "<h2>Result</h2>" in page
    assert "<h2>Curves</h2>" not in page and "<h2>Run</h2>" not in page


def test_a_page_of_a_classifier():
    reader = Reader(report_page(Run(classification, CLASSIFIER, {}, [], [])))
    text = " ".join(reader.text)
    assert "top-1" in text and "0.500" in text and "are found" in text
    assert "dog cat 100.0%" in text  # most confused
    assert reader.styles("s") == ["width:85.0%", "width:0.0%"]


def test_a_page_of_a_detector():
    page = report_page(Run(boundary, DETECTOR, {"dataset": "bsds500"}, [], []))
    text = " ".join(Reader(page).text)
    assert "<h1>bsds500</h1>" in page and "Boundary detection" in text
    assert "ODS 0.600 0.400 0.480" in text and "equal F" in text
    assert "recall" in text and "precision" in text


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
    page = report_page(Run(classification, scores, {}, [], []))
    assert "<svg" not in page and len(page) < 300_000
    assert "<td>c3</td><td>c5</td><td>75.0%</td>" in page
