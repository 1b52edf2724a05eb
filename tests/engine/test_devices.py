"""Devices: what trains is said, and a card that is not used is, loudly."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from dla_keras.engine import strategies
from dla_keras.engine.strategies import describe_devices
from dla_keras.engine.strategies import make_strategy
from dla_keras.engine.strategies import nvidia_cards

LINE = 'Run: pip install "dla-keras[train,gpu]"'


@pytest.fixture
def cards(monkeypatch):
    """Return a function that puts cards into this machine."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *names: monkeypatch.setattr(
        strategies, "nvidia_cards", lambda: list(names)
    )


def test_a_card_that_tensorflow_does_not_see_is_loud(
    cards, capsys, monkeypatch
):
    cards("NVIDIA H100", "NVIDIA H100", "NVIDIA L4")
    make_strategy("one_device")
    error = capsys.readouterr().err
    assert error.startswith("warning: 2 NVIDIA H100, 1 NVIDIA L4 is there")
    assert error.endswith(f"{LINE}\n") and error.count("\n") == 1
    with pytest.raises(ValueError, match="2 NVIDIA H100") as refused:
        make_strategy("one_device", "gpu")
    assert LINE in str(refused.value)
    make_strategy("one_device", "cpu")  # is what was wanted
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    make_strategy("one_device")
    assert not capsys.readouterr().err
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES=-1 hides all"):
        make_strategy("one_device", "gpu")


def test_no_card_is_no_warning_and_no_gpu(cards, capsys):
    cards()
    make_strategy("one_device")
    assert not capsys.readouterr().err
    with pytest.raises(ValueError, match="no card is there.*--device cpu"):
        make_strategy("one_device", "gpu")


def test_the_device_is_described(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    strategy = make_strategy("one_device", "cpu")
    assert describe_devices(strategy) == "CPU, 2 cores"
    config = tf.config
    monkeypatch.setattr(config, "get_visible_devices", lambda kind: [0, 1])
    monkeypatch.setattr(
        config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": "NVIDIA H100"},
    )
    assert describe_devices(strategy) == "1 NVIDIA H100"
    several = SimpleNamespace(num_replicas_in_sync=2, cluster_resolver=None)
    assert describe_devices(several) == "2 NVIDIA H100"
    monkeypatch.setattr(strategies, "place", lambda strategy: (1, 2))
    several.num_replicas_in_sync = 4
    assert describe_devices(several) == "2 machines, each 2 NVIDIA H100"


def test_cards_are_found_by_the_driver_and_without_it(monkeypatch):
    said = (
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n"
        "GPU 1: NVIDIA L4 (UUID: GPU-2)\n"
    )
    run = lambda *_, **__: SimpleNamespace(stdout=said)
    monkeypatch.setattr("subprocess.run", run)
    assert nvidia_cards() == ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]

    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr("subprocess.run", missing)
    texts = {
        "/sys/bus/pci/devices/a/vendor": "0x10de",
        "/sys/bus/pci/devices/a/class": "0x030200",
        "/sys/bus/pci/devices/b/vendor": "0x10de",
        "/sys/bus/pci/devices/b/class": "0x040300",  # its sound
        "/sys/bus/pci/devices/c/vendor": "0x8086",
        "/sys/bus/pci/devices/c/class": "0x030000",
    }
    monkeypatch.setattr(strategies, "_read", lambda path: texts[str(path)])
    glob = lambda folder, pattern: (
        [folder / name for name in "abc"] if "pci" in str(folder) else []
    )
    monkeypatch.setattr("pathlib.Path.glob", glob)
    assert nvidia_cards() == ["NVIDIA card"]
