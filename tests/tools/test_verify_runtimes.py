"""One file in several runtimes: what is equal, what fails, what is missing."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import verify_runtimes
from PIL import Image
from runtimes import arm
from runtimes import environments
from runtimes import runner
from runtimes.checks import check_files
from runtimes.checks import mediapipe_masks
from runtimes.comparison import Bound
from runtimes.comparison import compare
from runtimes.environments import NotInstalledError
from runtimes.environments import Python
from runtimes.environments import made_once
from runtimes.environments import own_python
from runtimes.environments import this_python
from runtimes.rows import REFERENCE
from runtimes.rows import RUNTIMES
from runtimes.rows import Runtime

from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.quiet import quiet_stderr

ROOT = pathlib.Path(__file__).parents[1]
HERE = Python((sys.executable,))
SIZE = (16, 32)
PICTURES = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)

# Runs the real runner, and then changes its last output, the boundaries.
LIAR = """
import runpy, sys, numpy
script, *arguments = sys.argv[1:]
runpy.run_path(script)["main"](*arguments)
with numpy.load(arguments[-1]) as saved:
    outputs = list(saved.values())
it = outputs[-1]
outputs[-1] = {change}
numpy.savez(arguments[-1], *outputs)
"""


def fake(*command, kernels=("xnnpack",), **facts):
    """Return a runtime of this Python that runs a snippet before the runner."""
    python = Python((sys.executable, *command))
    return Runtime("fake", "ai_edge_litert", lambda c: python, kernels, **facts)


def liar(change, **facts):
    return fake("-c", LIAR.format(change=change), **facts)


def missing(cache):
    raise NotInstalledError("there is no such phone")


def converted(integer):
    """Return a network of one layer: `boundary` and `logits` from an image."""
    rng = np.random.default_rng(1)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 5)).astype("float32") / 300)
    dtype = tf.float32 if integer else tf.uint8

    @tf.function(input_signature=[tf.TensorSpec((1, *SIZE, 3), dtype)])
    def network(image):
        scores = tf.nn.conv2d(tf.cast(image, tf.float32), kernel, 1, "SAME")
        edge = tf.sigmoid(scores[..., 4])
        return {"boundary": edge, "logits": scores[..., :4]}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], tf.Module()
    )
    if integer:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [picture[None].astype(np.float32)] for picture in PICTURES
        )
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    with quiet_stderr():
        return converter.convert()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in ("float", "integer"):
        path = folder / f"{name}.tflite"
        path.write_bytes(converted(name == "integer"))
    return folder


def verdicts(path, *runtimes):
    """(output, verdict) of each check."""
    checks = check_files({str(path): PICTURES}, None, runtimes)
    return [(check.output, check.verdict) for check in checks]


def test_litert_agrees_with_itself(files, tmp_path):
    checks = list(
        check_files(
            {
                str(files / f"{n}.tflite"): PICTURES
                for n in ("float", "integer")
            },
            tmp_path,
            [REFERENCE],
        )
    )
    assert [(c.file, c.kernels, c.output) for c in checks] == [
        (f"{name}.tflite", kernels, output)
        for name in ("float", "integer")
        for kernels in ("xnnpack", "builtin")
        for output in ("logits", "boundary")
    ]
    assert all(check.ran and not check.failed for check in checks)
    assert checks[0].version.startswith("2.")
    assert {c.against for c in checks} == {"LiteRT xnnpack"}
    again = [c for c in checks if c.kernels == "xnnpack"]
    assert {c.verdict for c in again} == {"equal"}
    assert not any(tmp_path.iterdir())


def test_integers_may_not_differ_by_one(files):
    one = "it; it[0, 0, 0] ^= 1"
    path = files / "integer.tflite"
    assert verdicts(path, liar(one)) == [
        ("logits", "equal"),
        ("boundary", "FAILED: difference 1, allowed 0"),
    ]
    # Where other kernels run in place of XNNPACK's, rounding is their own;
    # they are judged by LiteRT's builtin kernels.
    allowed = verdicts(path, liar(one, integer_kernels="builtin"))
    assert {verdict for _, verdict in allowed} <= {"close", "equal"}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("it + numpy.float32(1e-6)", "close"),
        ("it + numpy.float32(1e-3)", "FAILED: difference 0.001"),
        ("it * numpy.float32('nan')", "FAILED: difference nan"),
        ("it[:1]", "FAILED: expected float32 (2, 16, 32), received"),
        ("it.astype(float)", "FAILED: expected float32"),
    ],
)
def test_floats_may_round(files, change, verdict):
    found = verdicts(files / "float.tflite", liar(change))
    assert found[0] == ("logits", "equal")
    assert found[1][1].startswith(verdict)


def test_half_precision_is_allowed_on_arm_only(files, monkeypatch):
    monkeypatch.setattr(TfliteFile, "in_half", True)
    path, change = files / "float.tflite", "it + numpy.float32(0.01)"
    _, (_, verdict) = verdicts(path, liar(change))
    assert verdict.startswith("FAILED: difference 0.01")
    phone = "import platform; platform.machine = lambda: 'aarch64'"
    snippet = phone + LIAR.format(change=change)
    assert verdicts(path, fake("-c", snippet))[1] == ("boundary", "close")


def test_what_fails_and_what_is_missing_is_said(files):
    found = verdicts(
        files / "float.tflite",
        fake("-c", "raise SystemError('illegal instruction')"),
        fake("-c", "import os; os.kill(os.getpid(), 11)"),
        Runtime("phone", "ai_edge_litert", missing),
        fake(gives_masks=True),
    )
    assert [verdict for _, verdict in found] == [
        "FAILED: SystemError: illegal instruction",
        "FAILED: died with SIGSEGV",
        "not checked: there is no such phone",
        "not checked: it takes files that give logits only",
    ]


def test_a_file_that_litert_cannot_run_is_an_error(files, tmp_path):
    path = tmp_path / "half.tflite"
    path.write_bytes((files / "float.tflite").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"no .tflite|cannot run"):
        list(check_files({str(path): PICTURES}, tmp_path))


def test_classes_are_compared_per_pixel():
    expected = np.zeros((1, 10, 10), np.uint8)
    outputs = expected.copy()
    outputs[0, 0, :3] = 1
    found = compare(expected, outputs, "class_ids", Bound(0, 0.97))
    assert (found["equal"], found["agreement"]) == (0.97, 0.97)
    assert (found["difference"], found["verdict"]) == (None, "close")
    found = compare(expected, outputs, "class_ids", Bound(0, 0.98))
    assert found["verdict"] == "FAILED: agreement 0.9700, least 0.98"


def test_scores_are_compared_by_their_winner():
    expected = np.zeros((1, 2, 2, 2), np.uint8)
    expected[..., 0] = 100
    outputs = expected + np.uint8(5)
    found = compare(expected, outputs, "logits", Bound(0.05, 1))
    assert found == {
        "equal": 0,
        "difference": 5,
        "agreement": 1,
        "verdict": "close",
    }
    assert compare(expected, outputs, "logits", Bound(0.04, 1))["verdict"] == (
        "FAILED: difference 5, allowed 4"
    )
    outputs[0, 0, 0] = [100, 101]
    found = compare(expected, outputs, "logits", Bound(2, 1))
    assert found["verdict"] == "FAILED: agreement 0.7500, least 1"


def test_coarse_scores_are_enlarged_corner_on_corner():
    # One class falls from 3 to 0 in 7 equal steps, the other is 2.6: it wins
    # from the second pixel on; with half-pixel centres, from the fourth.
    row = np.stack([[3, 0], [2.6, 2.6]], -1)[None, None]  # (1, 1, 2, 2)
    (mask,) = mediapipe_masks(np.repeat(row, 2, 1), (3, 8))
    np.testing.assert_array_equal(mask, [[0] + [1] * 7] * 3)
    logits = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    np.testing.assert_array_equal(
        mediapipe_masks(logits, (4, 5)), logits.argmax(-1)
    )


def command(monkeypatch, *runtimes):
    monkeypatch.setattr(verify_runtimes, "RUNTIMES", runtimes)
    return verify_runtimes.main


def test_command_prints_and_writes_a_table(
    files, tmp_path, monkeypatch, capsys
):
    for index in range(3):
        picture = Image.fromarray(PICTURES[0][:9, :20])
        picture.save(tmp_path / f"{index}.png")
    phone = Runtime("phone", "ai_edge_litert", missing)
    main = command(monkeypatch, fake(), phone)
    arguments = ["--model", str(files / "integer.tflite"), "--count", "2"]
    arguments += ["--pictures", str(tmp_path)]
    table = tmp_path / "table.json"
    assert main([*arguments, "--json", str(table)]) == 0
    out, err = capsys.readouterr()
    assert "not checked: there is no such phone" in out
    assert out.count("100.0000%") >= 2
    assert len(err.splitlines()) == 3
    rows = json.loads(table.read_text())
    assert [row["verdict"] for row in rows[:2]] == ["equal", "equal"]
    assert main([*arguments, "--require", "phone"]) == 1
    assert "not checked: phone" in capsys.readouterr().err


def test_command_fails_with_a_runtime(files, monkeypatch, capsys):
    main = command(monkeypatch, liar("it ^ 1"))
    arguments = ["--model", str(files / "integer.tflite"), "--count", "1"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert "FAILED: difference 1" in out
    assert "error: Failed: fake integer.tflite boundary." in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "at least 1. Received: 0"),
        (["--pictures", "EMPTY"], "Expected pictures"),
        (["--pictures", "nowhere"], "nowhere"),
        (["--model", "nowhere.tflite"], "no file at nowhere.tflite"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    files, tmp_path, monkeypatch, capsys, arguments, message
):
    arguments = [str(tmp_path) if a == "EMPTY" else a for a in arguments]
    model = ["--model", str(files / "integer.tflite")]
    assert command(monkeypatch, fake())([*model, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err


def test_environments_are_made_once_and_whole(tmp_path):
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "runtime").touch()

    for _ in range(2):
        folder = made_once(tmp_path, "a", ("a==1",), fill)
    assert len(made) == 1 and (folder / "runtime").exists()
    assert made_once(tmp_path, "a", ("a==2",), fill) != folder

    def fail(folder):
        (folder / "half").touch()
        environments.run([sys.executable, "-c", "raise OSError('no network')"])

    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotInstalledError, match="OSError: no network"):
        made_once(tmp_path, "b", ("b",), fail)
    assert sorted(tmp_path.iterdir()) == before


def test_what_cannot_be_had_is_said(tmp_path, monkeypatch):
    with pytest.raises(NotInstalledError, match="no_such_runtime is not"):
        this_python(tmp_path, "no_such_runtime")
    with pytest.raises(NotInstalledError, match="needs Python 9.9"):
        own_python(tmp_path, ("a",), versions=("9.9",))
    with pytest.raises(NotInstalledError, match="no-such-command"):
        environments.run(["no-such-command"])
    monkeypatch.setattr(arm.shutil, "which", lambda name: None)
    with pytest.raises(NotInstalledError, match="apt-get and dpkg-deb"):
        arm.emulated_arm(tmp_path, ())
    monkeypatch.setattr(arm.platform, "machine", lambda: "aarch64")
    with pytest.raises(NotInstalledError, match="is ARM itself"):
        arm.emulated_arm(tmp_path, ())
    assert not any(tmp_path.iterdir())


def test_runner_needs_numpy_only():
    code = (
        "import sys; from importlib.util import spec_from_file_location as s,"
        " module_from_spec as m; spec = s('runner', sys.argv[1]);"
        " spec.loader.exec_module(m(spec));"
        " print([n for n in ('dla_keras', 'keras', 'PIL') if n in sys.modules])"
    )
    found = subprocess.check_output(
        [sys.executable, "-c", code, runner.__file__]
    )
    assert found.decode().strip() == "[]"


def test_every_runtime_has_a_name_of_its_own():
    names = [runtime.name for runtime in RUNTIMES]
    assert len(set(names)) == len(names) == 5
    assert REFERENCE is RUNTIMES[0]
