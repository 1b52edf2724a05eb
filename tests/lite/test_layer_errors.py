"""int8 with a bound on what it may lose."""

import csv
import dataclasses

import pytest
from boxes import CALIBRATION
from boxes import COLORS
from boxes import PICTURES
from boxes import SIZE
from boxes import draw
from boxes import fitted
from calibrated import with_range
from running import command

from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.segmentation import Example
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.lite.convert.pipeline import Exporter
from dla_keras.lite.measure.comparison import KerasMasks
from dla_keras.lite.measure.layer_errors import loss_of
from dla_keras.lite.measure.layer_errors import rank_layers
from dla_keras.lite.measure.layer_errors import within_loss
from dla_keras.lite.measure.layer_errors import write_layer_errors

pytestmark = pytest.mark.usefixtures("small_networks")

BROKEN = "dla_up_ida_2_node_3"


class Boxes(list):
    info = DatasetInfo("boxes", tuple("abcde"), tuple(map(tuple, COLORS)))


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def masks(model):
    drawn = [draw(seed) for seed in range(100, 104)]
    examples = [Example(*each, str(i)) for i, each in enumerate(drawn)]
    return KerasMasks(model, SIZE, Boxes(examples))


@pytest.fixture(scope="module")
def exporter(model):
    """Of a model with one layer that int8 is bad at."""
    exporter = Exporter(model, SIZE, "mask", CALIBRATION, PICTURES)
    broken = with_range(exporter.int8_graph, BROKEN, 256.0)
    exporter.__dict__["int8_graph"] = broken  # where it is cached
    return exporter


def test_the_layer_that_loses_is_the_one_in_float(exporter, masks):
    errors = rank_layers(exporter)
    assert errors[0].layer == BROKEN
    lost = loss_of(LiteModel(exporter.int8_graph.quantize()), masks)
    assert lost > 10
    kept = within_loss(exporter, errors, masks, lost / 2).keep_float
    assert kept[0] == BROKEN

    def loss_with(layers):
        return loss_of(LiteModel(exporter.int8_graph.quantize(layers)), masks)

    # Enough, and not one more than that.
    assert loss_with(kept) <= lost / 2 < loss_with(kept[:-1])


def test_a_wide_bound_keeps_all_in_int8(exporter, masks):
    errors = rank_layers(exporter)[:1]
    assert within_loss(exporter, errors, masks, 100.0).keep_float == ()


def test_layers_are_written_as_a_table(exporter, tmp_path):
    errors = rank_layers(exporter)[:3]
    write_layer_errors(tmp_path / "layers.csv", errors)
    with open(tmp_path / "layers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [e.layer for e in errors]
    names = [field.name for field in dataclasses.fields(errors[0])]
    assert list(rows[0]) == names


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer-errors"], "need --precision int8"),
        (
            ["--precision", "float16", "--max-loss", "1"],
            "need --precision int8",
        ),
        (
            "--precision int8 --max-loss 1 --keep-float fc".split(),
            "leave --keep-float out",
        ),
        (["--eval-pictures", "3"], "needs --precision all or --max-loss"),
    ],
)
def test_flags_that_do_not_belong_together(flags, message, capsys):
    main = command("export_tflite")
    with pytest.raises(SystemExit):
        main(["--model", "x.keras", "--output", "x.tflite", *flags])
    assert message in capsys.readouterr().err
