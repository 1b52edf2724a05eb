"""Measure what gradient checkpointing (`remat=True`) saves and costs.

    python benchmarks/remat.py

It takes one training step (forward, backward) of each network with and without,
each in a process of its own. Memory is the process's peak above what it held
before the step; on a GPU it is TensorFlow's own count of the device's memory.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import tensorflow as tf

from dla_keras.tables import text_table

MODELS = {
    "DLA-34, 32 x 224x224": (
        lambda remat: dla_keras.DLA34(remat=remat),
        (32, 224, 224, 3),
    ),
    "DLA-102, 16 x 224x224": (
        lambda remat: dla_keras.DLA102(remat=remat),
        (16, 224, 224, 3),
    ),
    "DLA-34-Up, 4 x 256x512": (
        lambda remat: dla_keras.DLASegmenter("dla34", 19, remat=remat),
        (4, 256, 512, 3),
    ),
}


def peak_bytes() -> int:
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(name, remat, repeats) -> tuple[float, float]:
    """Return the megabytes and the seconds of a training step."""
    make, shape = MODELS[name]
    model, images = make(remat), tf.random.uniform(shape, 0, 255)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images, training=True) ** 2)
        weights = [w.value for w in model.trainable_variables]
        # Summed, so that no gradient is dropped as unused.
        return loss, tf.linalg.global_norm(tape.gradient(loss, weights))

    step.get_concrete_function()
    before, seconds = peak_bytes(), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        step()[1].numpy()
        seconds.append(time.perf_counter() - start)
    memory = (peak_bytes() - before) / 2**20
    return memory, statistics.median(seconds[1:])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    rows = []
    for name in MODELS:
        results = []
        for remat in (False, True):
            # A new process: a peak never comes down again.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                results.append(pool.apply(measure, (name, remat, args.repeats)))
        (kept, fast), (less, slow) = results
        rows.append(
            (
                name,
                f"{kept:.0f}",
                f"{less:.0f}",
                f"{less / kept:.2f}",
                f"{slow / fast:.2f}",
            )
        )
    header = ("a training step", "MB", "MB with remat", "ratio", "time ratio")
    print(text_table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
