"""Where training runs: one device, several, or several machines.

`TF_CONFIG` describes machines; `docs/clusters.md` shows how to set it.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from dla_keras.choices import choose


def _one_device(devices):
    return tf.distribute.OneDeviceStrategy(devices[0])


def _mirrored(devices):
    return tf.distribute.MirroredStrategy(devices)


def _multi_worker(devices):
    if machines() < 2:
        raise ValueError(
            "The strategy 'multi_worker' needs the environment variable "
            "TF_CONFIG with two or more workers; docs/clusters.md shows how. "
            f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


# Name -> function that makes the strategy from this process' devices.
STRATEGIES = {
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
}


def machines() -> int:
    """Return the number of workers in `TF_CONFIG`; `0` without it.

    Raises:
        ValueError: If `TF_CONFIG` is no JSON.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(text).get("cluster", {})
    except json.JSONDecodeError as error:
        raise ValueError(
            f"TF_CONFIG is not valid JSON ({error}): {text!r}."
        ) from error
    return sum(len(cluster.get(job, ())) for job in ("chief", "worker"))


def make_strategy(
    name: str = "auto", device: str = "auto"
) -> tf.distribute.Strategy:
    """Return the strategy called `name`.

    With several machines, call it before any other TensorFlow operation runs.

    Args:
        name: Name of a row of `STRATEGIES`, or `"auto"`: `"multi_worker"` if
            `TF_CONFIG` names several machines, `"mirrored"` if there are
            several GPUs (without any GPU: several logical CPUs), else
            `"one_device"`. Defaults to `"auto"`.
        device: `"gpu"`, `"cpu"`, or `"auto"`: GPUs if TensorFlow sees any; a
            card that it does not see is told. Defaults to `"auto"`.

    Raises:
        ValueError: If the name is unknown, `"multi_worker"` has no machines,
            or `"gpu"` no GPU.
    """
    choose("name", name, {"auto": None, **STRATEGIES})
    _choose_device(device)
    if name == "multi_worker" or (name == "auto" and machines() > 1):
        return _multi_worker(())  # before TensorFlow looks for devices
    kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if name == "auto":
        name = "mirrored" if len(devices) > 1 else "one_device"
    return STRATEGIES[name](devices)


def _choose_device(device):
    """Hide the GPUs, or see to it that they are seen."""
    seen = tf.config.list_physical_devices("GPU")
    if device == "cpu" and seen:
        tf.config.set_visible_devices([], "GPU")
    if device == "cpu" or seen:
        return
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden in ("", "-1"):
        cure = f"CUDA_VISIBLE_DEVICES={hidden} hides all; unset it."
    else:
        cure = 'Run: pip install "dla-keras[train,gpu]"'
    cards = nvidia_cards()
    if device == "gpu":
        there = f"{_counted(cards)} is there" if cards else "no card is there"
        raise ValueError(
            f"--device gpu needs a GPU that TensorFlow sees. Received: none, "
            f"and {there}. {cure if cards else 'Pass --device cpu.'}"
        )
    if cards and hidden not in ("", "-1"):
        print(
            f"warning: {_counted(cards)} is there, and TensorFlow does not "
            f"see it: training is on the CPU. {cure}",
            file=sys.stderr,
        )


def nvidia_cards() -> list[str]:
    """Return the names of this machine's NVIDIA cards, whoever sees them.

    The driver knows the names; without it the PCI bus has the cards.
    """
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20
        )
        names = re.findall(r"^GPU \d+: (.*?)(?: \(|$)", listed.stdout, re.M)
    except (OSError, subprocess.TimeoutExpired):
        names = []
    nodes = [*pathlib.Path("/dev").glob("nvidia[0-9]*")]
    if names or nodes:
        return names or ["NVIDIA card"] * len(nodes)
    return [
        "NVIDIA card"
        for card in pathlib.Path("/sys/bus/pci/devices").glob("*")
        if _read(card / "vendor") == "0x10de"
        and _read(card / "class").startswith("0x03")  # displays
    ]


def _read(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _counted(names):
    counts = collections.Counter(names)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def describe_devices(strategy) -> str:
    """Return what trains, for people.

    Example:

    >>> describe_devices(make_strategy("one_device", "cpu"))
    'CPU, ... cores'
    """
    processes = place(strategy)[1]
    replicas = strategy.num_replicas_in_sync // processes
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.get_visible_devices("GPU")
    ]
    here = _counted(names[:replicas]) or f"CPU, {os.cpu_count()} cores"
    return here if processes == 1 else f"{processes} machines, each {here}"


def is_shared(strategy) -> bool:
    """Return whether other processes take part."""
    return strategy.cluster_resolver is not None


def is_chief(strategy) -> bool:
    """Return whether this process writes files and prints."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type == "chief":
        return True
    return resolver.task_id == 0 and not resolver.cluster_spec().as_dict().get(
        "chief"
    )


def make_agreement(strategy):
    """Return a function that sums numbers over all processes.

    A signal or a clock is local, but what follows from it must happen in all
    processes or in none. Every process must call it at the same steps.

    Returns:
        A function of any number of wishes, as numbers. For each it returns the
        sum over all processes.

    Example:

    >>> agree = make_agreement(make_strategy("one_device"))
    >>> agree(0, 15)
    [0, 15]
    """
    if not is_shared(strategy):
        return lambda *wishes: list(wishes)
    total = make_sum(strategy)
    return lambda *wishes: total(wishes).tolist()


def make_sum(strategy):
    """Return a function that adds up vectors of all processes, in float64.

    Every process must call it at the same steps, with as many numbers.
    """
    if not is_shared(strategy):
        return lambda numbers: np.asarray(numbers, np.float64)
    # Every replica of a process brings its process' numbers.
    mine = strategy.num_replicas_in_sync // machines()

    def replica(numbers):
        context = tf.distribute.get_replica_context()
        here = tf.identity(numbers)  # on this replica's device
        return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

    @tf.function
    def total(numbers):
        sums = strategy.run(replica, args=(numbers,))
        return strategy.experimental_local_results(sums)[0] / mine

    return lambda numbers: total(tf.constant(numbers, tf.float64)).numpy()


def make_exchange(strategy):
    """Return a function that tells every process what each of them has.

    Returns:
        A function of anything that JSON knows. It returns a list of that of
        all processes, in their order. Every process must call it at the same
        steps.

    Example:

    >>> exchange = make_exchange(make_strategy("one_device"))
    >>> exchange({"a": 0.1})
    [{'a': 0.1}]
    """
    if not is_shared(strategy):
        return lambda content: [content]
    total = make_sum(strategy)
    number, processes = place(strategy)

    def exchange(content):
        data = np.frombuffer(json.dumps(content).encode(), np.uint8)
        sizes = np.zeros(processes)
        sizes[number] = data.size
        sizes = total(sizes).astype(int)
        stops = np.cumsum(sizes)
        # A power of two: few sizes to be compiled for.
        whole = np.zeros(1 << int(stops[-1]).bit_length())
        whole[stops[number] - data.size : stops[number]] = data
        whole = total(whole).astype(np.uint8)
        return [
            json.loads(whole[stop - size : stop].tobytes())
            for stop, size in zip(stops, sizes, strict=True)
        ]

    return exchange


def place(strategy) -> tuple[int, int]:
    """Return the number of this process, the chief's being 0, and of all."""
    if not is_shared(strategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", ()))
    number = resolver.task_id
    if resolver.task_type == "worker":
        number += chiefs
    return number, machines()


def own_devices(strategy) -> tuple[str | None, ...]:
    """Return the devices of this process' replicas, `None` for a single one."""
    replicas = strategy.num_replicas_in_sync // place(strategy)[1]
    if replicas == 1:
        return (None,)
    return tuple(strategy.extended.worker_devices)


def distribute(strategy, make_dataset) -> tf.data.Dataset:
    """Return the dataset that gives the replicas one global batch at a time.

    Args:
        strategy: Strategy that trains.
        make_dataset: Function `(replicas, (pipeline, pipelines))` that returns
            a `tf.data.Dataset` of the batches for each of this process'
            replicas in turn.
    """
    return strategy.distribute_datasets_from_function(
        lambda context: make_dataset(
            context.num_replicas_in_sync,
            (context.input_pipeline_id, context.num_input_pipelines),
        )
    )


def batch_norms(model) -> list[keras.layers.BatchNormalization]:
    """Return all batch normalizations of a model, in order."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def join_replicas(strategy, model) -> None:
    """Make a model's layers act as one network on several replicas.

    Batch norms take their statistics over all replicas, and each replica draws
    its own dropout masks; Keras would draw the same on all of them.
    """
    if strategy.num_replicas_in_sync == 1:
        return  # nothing to wait for
    for layer in batch_norms(model):
        layer.synchronized = True
    for layer in model._flatten_layers():
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.next = _next_of_replica(generator)


def _next_of_replica(generator):
    draw = generator.next

    def next_seed(ordered=True):
        seed = draw(ordered)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        # The second number counts draws; the first may differ.
        return seed + tf.cast([replica, 0], seed.dtype)

    return next_seed
