"""The command that compresses a trained network, end to end and astray."""

import json
import resource
import signal
from dataclasses import replace
from unittest import mock

import keras
import numpy as np
import pytest
from boxes import draw
from boxes import write_run
from files import nothing_agrees
from running import command
from tiny_variant import TINY_VARIANT

import dla_keras
from dla_keras.choices import NUMBERS
from dla_keras.inference.model_files import load_segmenter
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.compress.fake_quantization import measure_ranges
from dla_keras.lite.compress.fine_tuning import rounded_network
from dla_keras.lite.compress.kernels import kernel_facts
from dla_keras.lite.compress.kernels import model_kernels
from dla_keras.lite.compress.legacy import to_legacy
from dla_keras.variants import VARIANTS
from dla_keras.weights.transfer import take_weights

APPLY_METHOD = "lite.compress.fine_tuning.apply_method"
FEW = "--steps 3 --batch-size 2 --crop 32x64 --calibration-pictures 2"


@pytest.fixture(scope="module", autouse=True)
def tiny_variant():
    """Give commands `dla_tiny` to train."""
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        yield


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(0)
    model = dla_keras.DLASegmenter(
        "dla_tiny", 5, head_stride=8, boundary_head=True, class_names=[*"abcde"]
    )
    write_run(folder, model)
    config = json.loads((folder / "config.json").read_text())
    config |= {"steps": 40, "class_weighting": 0.5, "jitter": 0.2}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def arguments(run_folder, output, more=""):
    return [
        *("--model", str(run_folder / "model.keras")),
        *("--output", str(output), *FEW.split(), *more.split()),
    ]


def read(path):
    return json.loads(path.read_text())


def test_methods_leave_folders_and_a_table(run_folder, tmp_path, capfd):
    output = tmp_path / "small"
    # A network that nobody trained is sure of nothing.
    more = "--method prune qat --sparsity 0.75 --min-agreement 0.5"
    assert command("quantize")(arguments(run_folder, output, more)) == 0
    shown = capfd.readouterr()
    assert "qat 1/1" in shown.err  # the progress bar
    assert "WARNING" not in shown.err and "Traceback" not in shown.err
    names = sorted(path.name for path in output.iterdir())
    assert names == ["prune", "qat", "table.md"]
    table = (output / "table.md").read_text()
    assert table.strip() in shown.out
    first = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
    assert first == ["float32", "int8, not fine-tuned", "prune", "qat"]

    pruned = read(output / "prune/metrics.json")
    assert pruned["least_zeros"] >= 0.75 and pruned["numbers"] > 256
    size = (output / "prune/model.keras").stat().st_size
    assert pruned["bytes"] == size > 1.2 * pruned["gzipped_bytes"]
    found = kernel_facts(
        model_kernels(load_segmenter(output / "prune/model.keras"))
    )
    assert found.least_zeros == pruned["least_zeros"]

    # What is in the folder is what was scored, and what was trained.
    folder = output / "qat"
    results, data = read(folder / "metrics.json"), read_file(folder)
    assert results["bytes"] == len(data) < 0.5 * pruned["bytes"]
    assert results["agreement"].keys() == {"classes", "boundaries"}
    facts = read_facts(data)
    assert facts["precision"] == "int8"
    assert facts["metrics"]["miou"] == results["miou"]
    assert facts["export"]["method"] == results["method"]
    assert facts["export"]["steps"] >= 1
    model = load_segmenter(folder / "model.keras")
    network = rounded_network(model, "qat", read(folder / "ranges.json"))
    picture = draw(100)[0]
    mask = network(picture[None])["classes"].numpy()[0].argmax(-1)
    assert np.mean(LiteModel(data)(picture) == mask) > 0.5
    config = read(folder / "config.json")
    assert config["dataset"] == "folder" and config["class_weighting"] == 0.5
    fine_tuning = config["fine_tuning"]
    assert (fine_tuning["method"], fine_tuning["steps"]) == ("qat", 3)

    # Such a folder is a run's: other commands read it as they do that, and
    # training begins with it.
    for method in ("prune", "qat"):
        said = take_weights(
            load_segmenter(folder / "model.keras"), output / method
        )
        assert "154 of 154 arrays taken" in said
    evaluate = command("evaluate")
    assert evaluate(["--model", str(folder / "int8.tflite")]) == 0
    again = read(folder / "int8.tflite.evaluation/metrics.json")
    assert again["miou"] == results["miou"]


def read_file(folder):
    return (folder / "int8.tflite").read_bytes()


def leftovers(folder):
    """Files that a command has left in a folder, hidden ones too."""
    return [p for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--crop 30x64", "multiples of 32"),
        ("--crop 32", "HEIGHTxWIDTH"),
        ("--size 64x100", "multiples of 32"),
        ("--dataset no_such", "no_such"),
        ("--sparsity 1.5", "--sparsity: expected a number of at least 0 and"),
        ("--clusters 1", "--clusters: expected a whole number of at least 2"),
        ("--learning-rate 0", "--learning-rate: expected a number"),
        (
            "--method prune --learning-rate 1e30",
            "Pass a smaller --learning-rate",
        ),
        ("--verification-pictures 0", "a whole number of at least 1"),
        ("--model nowhere.keras", "nowhere.keras"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    run_folder, tmp_path, capfd, more, message
):
    output = tmp_path / "out"
    # The range's end diverges after many steps only.
    rate = {"learning_rate": replace(NUMBERS["learning_rate"], high=2e30)}
    try:
        with mock.patch.dict(NUMBERS, rate):
            code = command("quantize")(arguments(run_folder, output, more))
    except SystemExit as ended:  # of a flag that is out of its range
        code = ended.code
    assert code == 2
    lines = capfd.readouterr().err.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert message in error
    assert not leftovers(tmp_path)


def stranger():
    image = keras.Input((32, 32, 3))
    return keras.Model(image, keras.layers.Conv2D(5, 1)(image))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (stranger, "Expected a DLASegmenter, "),
        (
            lambda: dla_keras.DLAClassifier("dla_tiny", 5),
            "Expected a model for segmentation or detection. Received: a DLAC",
        ),
    ],
)
def test_another_kind_of_model_is_refused(
    run_folder, tmp_path, capfd, make, said
):
    make().save(tmp_path / "model.keras")
    (tmp_path / "config.json").write_text(
        (run_folder / "config.json").read_text()
    )
    assert command("quantize")(arguments(tmp_path, tmp_path / "out")) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_pictures_to_train_on_is_an_error(run_folder, tmp_path, capfd):
    for name in ("train_images.txt", "train_labels.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "info.json").write_text('{"class_names": ["a", "b"]}')
    more = f"--data-dir {tmp_path}"
    assert (
        command("quantize")(arguments(run_folder, tmp_path / "out", more)) == 2
    )
    assert "at least one picture" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def untrained(model, method, plan, around, finished):
    """In place of `apply_method`: the ranges alone."""
    legacy = to_legacy(model, input_shape=(None, None, 3))
    return measure_ranges(legacy, around.calibration)


def test_below_the_agreement_nothing_is_written(
    run_folder, tmp_path, capfd, monkeypatch
):
    nothing_agrees(monkeypatch)
    more = "--min-agreement 0.25"
    main = command(
        "quantize", {"lite.compress.fine_tuning.apply_method": untrained}
    )
    assert main(arguments(run_folder, tmp_path / "out", more)) == 1
    assert "Verification failed" in capfd.readouterr().err
    assert not leftovers(tmp_path)


def test_a_full_disk_leaves_nothing(run_folder, tmp_path, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_disk(*_):
        # The kernel refuses to write on, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        main = command(
            "quantize", {"lite.compress.fine_tuning.apply_method": full_disk}
        )
        code = main(arguments(run_folder, tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert code == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "File too large" in error
    assert not leftovers(tmp_path)


def test_folders_of_others_are_left_alone(run_folder, tmp_path, capfd):
    (tmp_path / "qat").mkdir()
    (tmp_path / "qat/thesis.txt").write_text("words")
    assert command("quantize")(arguments(run_folder, tmp_path)) == 2
    assert "metrics.json" in capfd.readouterr().err
    assert [p.name for p in leftovers(tmp_path)] == ["thesis.txt"]
