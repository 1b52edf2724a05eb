"""A model's working size: Keras, SavedModel, `.tflite` and trainings agree."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from boxes import SIZE
from boxes import draw
from boxes import fitted
from PIL import Image

import dla_keras
from dla_keras.commands.check import training_flags
from dla_keras.commands.check import working_size_flags
from dla_keras.commands.export_tflite import choose_head
from dla_keras.commands.flags import read_fit
from dla_keras.commands.train import working_fit
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.data.fitting import fit_of
from dla_keras.data.fitting import resize_label
from dla_keras.inference.model_files import open_model
from dla_keras.inference.predictor import model_predictor
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.views import Views
from dla_keras.lite.convert import pipeline
from dla_keras.lite.convert.graph import write_saved_model
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.convert.pipeline import require_memory
from dla_keras.tasks import segmentation

pytestmark = pytest.mark.usefixtures("small_networks")

SIDE = SIZE[1]


def large(seed, turned=False):
    """Return a picture of boxes at four times its size, and its label."""
    image, label = draw(seed)
    if turned:
        image, label = image.swapaxes(0, 1), label.swapaxes(0, 1)
    image, label = (x.repeat(4, 0).repeat(4, 1) for x in (image, label))
    return np.ascontiguousarray(image), label


@pytest.fixture(scope="module")
def model():
    made = fitted()
    made.working_size = SIDE
    return made


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Hold the model as a file of every kind."""
    folder = tmp_path_factory.mktemp("files")
    model.save(folder / "model.keras")
    write_saved_model(model, folder / "saved")
    pictures = [large(seed)[0] for seed in (100, 101)]
    made = export_tflite(
        model, folder / "a.tflite", head="logits", held_out=pictures
    )
    assert made.agreement["classes"].mean > 0.999
    return folder


@pytest.mark.parametrize("name", ["model.keras", "saved", "a.tflite"])
def test_every_file_works_at_the_working_size(model, folder, name):
    loaded = dla_keras.load(folder / name)
    for seed, turned in ((100, False), (101, True)):
        picture, label = large(seed, turned)
        mask = loaded.mask(picture)
        # By hand: shrink, the network, and the nearest pixels back.
        size = SIZE[::-1] if turned else SIZE
        if turned and name == "a.tflite":  # of 64 x 96: shrunk until it fits
            size = (SIZE[0], 43)
        small = Image.fromarray(picture).resize(size[::-1], Image.BILINEAR)
        expected = model_predictor(model)(np.asarray(small))
        expected = resize_label(expected, *label.shape)
        assert mask.shape == label.shape
        # float32 in another order moves few pixels between two classes; a file
        # pads a turned picture to its own width.
        least = 0.9 if size[1] == 43 else 0.999
        assert (mask == expected).mean() >= least
        # Without its working size the network sees boxes of no size it knows.
        if name == "model.keras" and not turned:
            own = model_predictor(model)(picture)
            assert (mask != own).mean() > 0.02
    probabilities = loaded.probabilities(picture)
    assert probabilities.shape == (*label.shape, 5)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-4)


def test_files_say_their_rule(model, folder):
    data = (folder / "a.tflite").read_bytes()
    said = read_facts(data)["input"]
    assert (said["fit"], said["max_side"]) == ("letterbox", SIDE)
    assert (said["height"], said["width"]) == SIZE  # not of the pictures
    opened = open_model(folder / "model.keras")
    assert opened.model.working_size == SIDE and opened.fit == fit_of(SIDE)
    assert opened.at(PAD).fit == opened.at(PAD).masks.fit == PAD
    with pytest.raises(ValueError, match="models that take any size: .*tflite"):
        open_model(folder / "a.tflite").at(PAD)
    stretched = Exporter(model, SIZE, rule=Fit("stretch"))
    file = stretched.convert("float32")
    stretched.describe(file, "float32")
    said = read_facts(file.pack())["input"]
    assert said["fit"] == "stretch" and "max_side" not in said


def test_views_are_those_of_the_working_size(folder):
    opened = open_model(folder / "model.keras")
    picture, _ = large(100)
    plain = segmentation.file_finder(opened, Views())(picture)
    # Each twice: a view that the working size undid would change nothing.
    tiled = segmentation.file_finder(opened, Views(tile=(64, 64), overlap=32))(
        picture
    )
    assert tiled.shape == plain.shape and 0.7 < (tiled == plain).mean() < 1
    scaled = segmentation.file_finder(opened, Views(scales=(0.5,)))(picture)
    assert scaled.shape == plain.shape and (scaled != plain).mean() > 0.01


@pytest.mark.parametrize("size", [(64, 96), [64, 96]])
def test_a_height_and_a_width_are_a_working_size_too(size, tmp_path):
    model = dla_keras.DLASegmenter("dla46_c", 3, working_size=size)
    assert model.get_config()["working_size"] == (64, 96)
    assert fit_of(model.working_size).content(10, 900) == (64, 96)
    head = model.with_head(num_classes=2)
    assert head.working_size == (64, 96)
    for wrong in (31, (64, 100), "64x96", 64.0, (64,)):
        with pytest.raises(ValueError, match="`working_size` is the longest"):
            dla_keras.DLASegmenter("dla46_c", 3, working_size=wrong)


def flags(**changed):
    names = ("max_side", "resize", "dataset", "size", "head")
    found = dict.fromkeys(names) | {"reader": "any"} | changed
    return SimpleNamespace(**found)


def test_flags_name_a_rule():
    assert read_fit(flags()) is None
    assert read_fit(flags(max_side=0)) == PAD
    assert read_fit(flags(max_side=640)) == fit_of(640)
    assert read_fit(flags(resize="64x96")) == fit_of((64, 96))
    with pytest.raises(ValueError, match="two working sizes"):
        read_fit(flags(resize="64x96", max_side=640))
    with pytest.raises(ValueError, match="at least 32 pixels.*Received: 31"):
        read_fit(flags(max_side=31))
    with pytest.raises(ValueError, match="multiples of 32. Received: 64x90"):
        read_fit(flags(resize="64x90"))


class Headers(list):
    """A split of files whose headers are read."""

    def __init__(self, folder, *sizes):
        self.pairs = []
        for index, size in enumerate(sizes):
            path = folder / f"{size}-{index}.png"
            Image.new("1", size).save(path)
            self.pairs.append((path, None))


def test_large_photographs_of_a_folder_get_a_working_size(tmp_path, capsys):
    splits = Headers(tmp_path, (640, 480), (2100, 90)), Headers(tmp_path)
    args = flags(dataset="mine", size="192x256")
    assert working_fit("segmentation", args, splits) == fit_of(512)
    assert args.max_side == 512
    (line,) = capsys.readouterr().out.splitlines()
    assert "up to 2100 pixels" in line and "--max-side 0 trains" in line
    # Nothing is chosen over a flag, for a known set, or where none is needed.
    for changed in (
        {"dataset": "mine", "max_side": 0},
        {"dataset": "camvid"},
        {"dataset": "cityscapes"},
        {"dataset": "toy_streets"},
    ):
        args = flags(size="192x256", **changed)
        assert working_fit("segmentation", args, splits) == PAD
        assert not args.max_side
    args = flags(dataset="bsds500", size="192x256")
    assert working_fit("boundary", args, splits) == PAD
    small = Headers(tmp_path, (2048, 90)), Headers(tmp_path)
    args = flags(dataset="mine", size="192x256")
    assert working_fit("segmentation", args, small) == PAD
    assert working_fit("classification", SimpleNamespace(), small) == PAD
    assert capsys.readouterr().out == ""


def test_check_passes_the_working_size_on():
    sizes = (Counter({(4000, 3008): 7}), Counter({(3008, 4000): 1}))
    dataset = SimpleNamespace(sizes=sizes, pictures=(7, 1), classes=())
    for asked, said in (
        ({"max_side": 0}, "--max-side 0"),
        ({"max_side": 640}, "--max-side 640"),
        ({"resize": "64x96"}, "--resize 64x96"),
    ):
        words = working_size_flags(flags(**asked))
        assert " ".join(words) == said
        found = training_flags("segmentation", dataset, None, words)
        both = found.count("--max-side") + found.count("--resize")
        assert both == 1
        assert said in " ".join(found)
    assert working_size_flags(flags()) == []
    found = training_flags("segmentation", dataset, None)
    assert "--max-side" in found


def test_mediapipe_gets_a_file_that_it_can_read_or_none(model):
    mediapipe = lambda **more: flags(reader="mediapipe", **more)
    assert choose_head(flags(), model) is None  # the model's own default
    assert choose_head(mediapipe(), model) == "logits"
    assert choose_head(mediapipe(head="logits"), model) == "logits"
    for head in ("mask", "coarse_logits"):
        with pytest.raises(ValueError, match=f"Received: --head {head}"):
            choose_head(mediapipe(head=head), model)
    joint = SimpleNamespace(tasks=("segmentation", "boundary"))
    with pytest.raises(ValueError, match="nothing that reads boundaries"):
        choose_head(mediapipe(), joint)


def test_what_does_not_fit_into_memory_is_refused(model, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "free_memory", lambda: int(8e9))
    require_memory(model, SIZE)
    said = capsys.readouterr().out
    assert said.startswith("Files of 64x96 take ")
    with pytest.raises(ValueError, match="3008x4000 take .*smaller --size, or"):
        require_memory(model, (3008, 4000))
