"""The export commands: what they write, refuse and say."""

import csv
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from boxes import INT8_AGREEMENT
from boxes import PICTURES
from boxes import SIZE
from boxes import draw
from boxes import fitted
from boxes import write_run
from files import nothing_agrees
from running import command

from dla_keras.inference.model_files import open_model
from dla_keras.inference.tflite_facts import read_facts
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.agreement import predictor_at

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def run_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, model)
    return folder


def export(name, model=None):
    """Return a command's `main`; with `model`, it reads none from disk."""
    if model is None:
        return command(name)
    load = lambda path: model
    return command(name, {"inference.model_files.load_model": load})


@pytest.mark.parametrize(
    ("precision", "minimum"), [("float32", 0.999), ("int8", INT8_AGREEMENT)]
)
def test_command_writes_a_verified_file(
    model, run_folder, capfd, precision, minimum
):
    output = run_folder / "new" / f"{precision}.tflite"
    in_memory = model if precision == "int8" else None
    code = export("export_tflite", in_memory)(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + ["--precision", precision, "--min-agreement", str(minimum)]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "agreement" in out and "uint8 (1, 64, 96)" in out
    assert err == ""  # not a word from TensorFlow or XNNPACK
    assert len(out.splitlines()) <= 10
    assert [p.name for p in output.parent.glob(f"*{precision}*")] == [
        output.name
    ]
    # What the file gives is what the model gives, for pictures as they come.
    picture = draw(100)[0][:50, :90]
    mask = open_model(output).masks(picture)
    assert mask.shape == (50, 90)
    expected = predictor_at(model, SIZE)(picture)
    assert (mask == expected).mean() > minimum - 0.05


def test_layers_in_float_are_listed_and_the_file_says_so(
    model, run_folder, tmp_path, capfd
):
    output = tmp_path / "int8.tflite"
    flags = "--precision int8 --layer-errors --keep-float fc --tuned-for x86"
    code = export("export_tflite", model)(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + ["--min-agreement", str(INT8_AGREEMENT), *flags.split()]
    )
    out, err = capfd.readouterr()
    assert code == 0 and err == "", err
    with open(f"{output}.layers.csv", newline="") as file:
        layers = [row["layer"] for row in csv.DictReader(file)]
    assert layers[0] in out and "base_layer" in layers
    data = output.read_bytes()
    assert read_facts(data)["export"] == {
        "tuned_for": "x86",
        "kept_in_float": ["fc"],
    }
    found = TfliteFile(data)
    assert found.float_ops > 0 and found.op_counts["SPACE_TO_DEPTH"] == 1


@pytest.mark.parametrize("name", ["export_tflite", "export_saved_model"])
def test_below_the_threshold_nothing_is_written(
    model, run_folder, capfd, monkeypatch, name
):
    nothing_agrees(monkeypatch)
    suffix = ".tflite" if name == "export_tflite" else ""
    output = run_folder / "refused" / f"file{suffix}"
    code = export(name, model)(
        ["--model", str(run_folder / "model.keras"), "--output", str(output)]
        + ["--min-agreement", "0.25"]
    )
    err = capfd.readouterr().err
    assert code == 1
    assert "Verification failed" in err and "at least 0.25" in err
    assert "Traceback" not in err
    assert not list(output.parent.glob("*")) and not list(
        output.parent.glob(".*")
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--size", "64x100"], "multiples of 32"),
        (["--model", "nowhere.keras"], "nowhere"),
        (["--dataset", "no_such", "--data-dir", "nowhere"], "no_such"),
        (["--output", "RUN"], "--output is a file. Received: the folder"),
        (["--output", "RUN/config.json/x.tflite"], "config.json is a file"),
        (["--output", "RUN/model.keras"], "overwrites no other kind"),
        (["--output", "RUN/config.json", "--precision", "all"], "a folder"),
        (["--model", "RUN/config.json"], "another kind of file, or cut off"),
        (["--model", "RUN/data"], "exported already"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    run_folder, capfd, tmp_path, changes, message
):
    changes = [text.replace("RUN", str(run_folder)) for text in changes]
    code = export("export_tflite")(
        ["--model", str(run_folder / "model.keras")]
        + ["--dataset", "boxes", "--data-dir", str(run_folder / "data")]
        + ["--output", str(tmp_path / "out" / "x.tflite"), *changes]
    )
    out, err = capfd.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_without_config_the_dataset_must_be_passed(run_folder, tmp_path, capfd):
    lonely = tmp_path / "model.keras"
    lonely.write_bytes((run_folder / "model.keras").read_bytes())
    arguments = ["--model", str(lonely), "--output", str(tmp_path / "x.tflite")]
    assert export("export_tflite")(arguments) == 2
    assert "Pass --dataset" in capfd.readouterr().err


def test_saved_model_gives_mask_and_logits(model, run_folder, capfd):
    output = run_folder / "saved_model"
    arguments = ["--model", str(run_folder / "model.keras")]
    code = export("export_saved_model", model)(
        arguments + ["--output", str(output)]
    )
    out, err = capfd.readouterr()
    assert code == 0, err
    assert err == "" and "agreement" in out
    loaded = tf.saved_model.load(str(output))
    batch = np.stack(PICTURES[:2])
    expected = model(batch, training=False).numpy()
    for name, dtype in (("serving_default", "uint8"), ("serving_float", "f4")):
        found = loaded.signatures[name](image=tf.constant(batch.astype(dtype)))
        assert set(found) == {"mask", "logits"}
        np.testing.assert_allclose(found["logits"], expected, atol=1e-3)
        assert found["mask"].dtype == tf.uint8
        np.testing.assert_array_equal(
            found["mask"], found["logits"].numpy().argmax(-1)
        )
    other = tf.zeros((1, 32, 64, 3), tf.uint8)
    mask = loaded.signatures["serving_default"](image=other)["mask"]
    assert mask.shape == (1, 32, 64)
    assert not list(run_folder.glob(".saved_model*"))


def test_a_saved_model_goes_to_a_folder(run_folder, capfd):
    file = run_folder / "config.json"
    before = file.read_text()
    arguments = ["--model", str(run_folder / "model.keras")]
    for output in (file, file / "x"):
        code = export("export_saved_model")(
            arguments + ["--output", str(output)]
        )
        err = capfd.readouterr().err
        assert code == 2
        assert err.startswith("error: --output") and err.count("\n") == 1
    assert file.read_text() == before


def test_flags_of_all_precisions_are_theirs_only(capsys):
    for flags in (["--compare", "x.tflite"], ["--eval-pictures", "3"]):
        with pytest.raises(SystemExit):
            export("export_tflite")(["--model", "m", "--output", "o", *flags])
        assert "needs --precision all" in capsys.readouterr().err


def test_a_full_disk_is_named_and_left_clean(
    model, run_folder, monkeypatch, capfd
):
    output = run_folder / "full" / "x"

    def fill_up(saved_module, folder, signatures):
        pathlib.Path(folder, "saved_model.pb").write_text("half")
        # As TensorFlow says it.
        raise tf.errors.UnknownError(None, None, "x; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fill_up)
    arguments = ["--model", str(run_folder / "model.keras")]
    code = export("export_saved_model", model)(
        arguments + ["--output", str(output)]
    )
    err = capfd.readouterr().err
    assert code == 2
    assert err.endswith(f"No space left on device: '{output}'\n")
    assert err.count("\n") == 1
    assert not any(output.parent.iterdir())


def saved(folder, function, sides=(None, None)):
    spec = tf.TensorSpec((None, *sides, 3), tf.float32, name="image")
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[spec])
    tf.saved_model.save(module, str(folder))
    return folder


def test_saved_models_of_others_are_told(tmp_path):
    for name, function in (
        ("tensor", lambda image: image * 2),
        ("logits", lambda image: {"logits": image}),
        ("flat", lambda image: {"mask": image}),
    ):
        folder = saved(tmp_path / name, function)
        with pytest.raises(ValueError, match=f"gives `mask` .*{name}, whose"):
            open_model(folder)
    ours = saved(tmp_path / "ours", lambda image: {"mask": image[..., 0]})
    assert open_model(ours).masks(PICTURES[0][:50, :90]).shape == (50, 90)
    graph = ours / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:500])
    with pytest.raises(ValueError, match="saved_model.pb is no SavedModel"):
        open_model(ours)
