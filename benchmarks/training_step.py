"""Time a training step of DLA-34-Up, and of the authors' network in PyTorch.

    python benchmarks/training_step.py --authors DLA_REPOSITORY \
        --torch-python VENV_WITH_PYTORCH/bin/python

A step is forward, backward and SGD with momentum, on images of the same size,
in float32 on the same number of threads. `--authors` is a clone of the
authors' code (github.com/ucbdrive/dla). Each network is measured in a process
of its own, in turns, so that a machine that slows down slows all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CLASSES = 11


def keras_steps(args, upsampling):
    """Return a function that takes one step of `train-seg`."""
    import keras
    import numpy as np
    import tensorflow as tf

    import dla_keras
    from dla_keras.engine.optimizers import make_optimizer
    from dla_keras.engine.steps import make_train_steps
    from dla_keras.tasks.losses import cross_entropy_sums

    keras.utils.set_random_seed(0)
    model = dla_keras.DLASegmenter("dla34", CLASSES, upsampling=upsampling)
    optimizer = make_optimizer("sgd", 0.02, 1e-4, model)
    train_steps = make_train_steps(
        tf.distribute.get_strategy(), model, optimizer, cross_entropy_sums
    )
    shape = (args.batch_size, *args.size)
    images = np.random.uniform(0, 255, (*shape, 3)).astype("float32")
    labels = np.random.randint(0, CLASSES, shape).astype("uint8")
    batch = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    batches = iter(batch)
    return lambda: train_steps(batches, tf.constant(1)).numpy()


def torch_steps(args, memory_format):
    """Return a function that takes one step of the authors' `segment.py`."""
    sys.path.insert(0, args.authors)
    import dla_up
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    layout = getattr(torch, memory_format)
    model = dla_up.dla34up(CLASSES, down_ratio=4)
    model = model.to(memory_format=layout).train()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        0.02,
        momentum=0.9,
        weight_decay=1e-4,
    )
    shape = (args.batch_size, *args.size)
    images = torch.randn(shape[0], 3, *shape[1:])
    images = images.contiguous(memory_format=layout)
    labels = torch.randint(0, CLASSES, shape)
    criterion = torch.nn.NLLLoss(ignore_index=255)

    def step():
        loss = criterion(model(images)[0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# name -> what makes the step, with what
NETWORKS = {
    "dla_keras": (keras_steps, "bilinear"),
    "dla_keras, learned upsampling": (keras_steps, "learned"),
    "authors, PyTorch": (torch_steps, "contiguous_format"),
    "authors, PyTorch channels_last": (torch_steps, "channels_last"),
}
REFERENCE = "authors, PyTorch channels_last"


def measure(args) -> list[float]:
    """Return the seconds of each step of one network, after the first ones."""
    make, how = NETWORKS[args.network]
    step, seconds = make(args, how), []
    for _ in range(args.warm_up + args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds[args.warm_up :]


def measure_apart(args, name) -> list[float]:
    """Run `measure` in a process of its own, in the network's environment."""
    torch = NETWORKS[name][0] is torch_steps
    threads = str(args.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "PYTHONPATH": os.path.dirname(os.path.dirname(__file__)) or ".",
    }
    command = [
        args.torch_python if torch else sys.executable,
        os.path.abspath(__file__),
        *sys.argv[1:],
        "--network",
        name,
    ]
    answer = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(answer.stdout.splitlines()[-1])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--authors", required=True, help="folder of the authors' code")
    add("--torch-python", default=sys.executable, help="one with PyTorch")
    add("--size", type=int, nargs=2, default=(192, 256))
    add("--batch-size", type=int, default=4)
    add("--threads", type=int, default=2)
    add("--warm-up", type=int, default=3, help="steps not counted")
    add("--steps", type=int, default=8, help="steps of a round")
    add("--rounds", type=int, default=3)
    add("--network", choices=NETWORKS, help="only this one, as JSON")
    args = parser.parse_args(argv)
    if args.network:
        print(json.dumps(measure(args)))
        return 0
    # Not before: PyTorch's environment need not hold this package.
    from dla_keras.tables import text_table

    seconds = {name: [] for name in NETWORKS}
    for _ in range(args.rounds):
        for name in NETWORKS:
            seconds[name] += measure_apart(args, name)
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    rows = [
        (name, f"{median:.3f}", f"{median / medians[REFERENCE]:.2f}")
        for name, median in medians.items()
    ]
    size = "x".join(map(str, args.size))
    print(f"{args.batch_size} pictures of {size}, {args.threads} threads")
    print(text_table(("a training step", "seconds", "ratio"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
