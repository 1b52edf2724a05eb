"""Where training runs: one device, several, or several machines.

`TF_CONFIG` describes machines; `docs/clusters.md` shows how to set it.
"""

import json
import os

import keras
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


def make_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """Return the strategy called `name`.

    With several machines, call it before any other TensorFlow operation runs.

    Args:
        name: Name of a row of `STRATEGIES`, or `"auto"`: `"multi_worker"` if
            `TF_CONFIG` names several machines, `"mirrored"` if there are
            several GPUs (without any GPU: several logical CPUs), else
            `"one_device"`. Defaults to `"auto"`.

    Raises:
        ValueError: If the name is unknown, or `"multi_worker"` has no
            machines.
    """
    choose("name", name, {"auto": None, **STRATEGIES})
    if name == "multi_worker" or (name == "auto" and machines() > 1):
        return _multi_worker(())  # before TensorFlow looks for devices
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if name == "auto":
        name = "mirrored" if len(devices) > 1 else "one_device"
    return STRATEGIES[name](devices)


def is_shared(strategy) -> bool:
    """Return whether other processes take part."""
    return strategy.cluster_resolver is not None


def is_chief(strategy) -> bool:
    """Return whether this process writes files, validates and prints."""
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
    # Every replica of a process brings its process' wish.
    mine = strategy.num_replicas_in_sync // machines()

    def replica(wishes):
        context = tf.distribute.get_replica_context()
        here = tf.identity(wishes)  # on this replica's device
        return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

    @tf.function
    def total(wishes):
        sums = strategy.run(replica, args=(wishes,))
        return strategy.experimental_local_results(sums)[0] / mine

    return lambda *wishes: (
        total(tf.constant(wishes, tf.float64)).numpy().tolist()
    )


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
