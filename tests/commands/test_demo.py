"""The demo: which commands it runs, and that a failure ends it."""

import contextlib
import json
import pathlib
from unittest import mock

from dla_keras.commands import demo
from dla_keras.commands import evaluate
from dla_keras.commands import export_tflite
from dla_keras.commands import predict
from dla_keras.commands.train import TrainSeg

FILES = ["model.keras", "float32.tflite", "int8.tflite"]


def test_every_stage_has_flags_that_its_command_takes(tmp_path):
    parse = {
        TrainSeg: TrainSeg.parse_flags,
        export_tflite: export_tflite.parse_flags,
        evaluate: evaluate.parse_flags,
        predict: predict.parse_flags,
    }
    train, float32, int8, score, seen = [
        parse[command](arguments)
        for command, arguments in demo.stages(tmp_path, 7)
    ]
    assert (train.steps, train.epochs, train.overwrite) == (7, None, True)
    assert (train.dataset, train.variant) == ("toy_streets", "dla46_c")
    assert [float32.precision, int8.precision] == ["float32", "int8"]
    assert score.model == [f"{tmp_path}/{name}" for name in FILES]
    assert float32.model == int8.model == score.model[0]
    assert [float32.output, int8.output] == score.model[1:]
    assert float32.min_agreement == int8.min_agreement == 0
    assert seen.model == "streets" and pathlib.Path(seen.input).is_file()


def test_the_files_of_a_whole_demo_are_verified(tmp_path):
    exports = list(demo.stages(tmp_path, demo.STEPS))[1:3]
    for _, arguments in exports:
        assert export_tflite.parse_flags(arguments).min_agreement is None


def run(tmp_path, codes):
    """Return the demo's exit code and how often each command ran."""
    commands = (TrainSeg, export_tflite, evaluate, predict)
    mains = [mock.patch.object(c, "main", side_effect=codes) for c in commands]
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(main) for main in mains]
        code = demo.main(["--run-dir", str(tmp_path)])
    return code, [call.call_count for call in calls]


def test_it_ends_with_the_next_command(tmp_path, capsys):
    assert run(tmp_path, (0, 0)) == (0, [1, 2, 1, 1])
    out = capsys.readouterr().out
    assert f"{tmp_path}/table.md" in out and "dla-keras check" in out


def test_another_run_is_not_lost(tmp_path, capsys):
    config = {"dataset": "toy_streets", "variant": "dla34", "size": "192x384"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run(tmp_path, (0, 0)) == (2, [0, 0, 0, 0])
    assert f"{tmp_path} holds another run" in capsys.readouterr().err
    config["variant"] = "dla46_c"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run(tmp_path, (0, 0)) == (0, [1, 2, 1, 1])


def test_a_failure_ends_it(tmp_path, capsys):
    assert run(tmp_path, (2,)) == (2, [1, 0, 0, 0])
    assert "Next" not in capsys.readouterr().out
