"""Time a training step of this package's networks, and of PyTorch's.

    python benchmarks/training_step.py --authors DLA_REPOSITORY \
        --torch-python VENV_WITH_PYTORCH/bin/python --compute bfloat16
    python benchmarks/training_step.py --model dla34 --size 224 224 \
        --batch-size 256 --device gpu --torch-python VENV/bin/python

A step is forward, backward and SGD with momentum, on images of the same size
that lie in memory, on the same device and threads. `dla34up` stands beside
the authors' code (`--authors`, a clone of github.com/ucbdrive/dla), `dla34`
beside timm's. With `--compute bfloat16` both are in mixed precision, PyTorch by
autocast. Each network is measured in a process of its own, in turns, so that a
machine that slows down slows all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CLASSES = {"dla34up": 11, "dla34": 1000}
COLUMNS = (
    "a training step", "compute", "seconds", "ratio", "pictures a second",
    "command", "machine", "date",
)  # fmt: skip


def keras_steps(args, upsampling):
    """Return a function that takes one step of `train-seg` or `train-cls`."""
    import keras
    import numpy as np
    import tensorflow as tf

    import dla_keras
    from dla_keras.engine.optimizers import make_optimizer
    from dla_keras.engine.steps import make_train_steps
    from dla_keras.tasks import losses
    from dla_keras.tasks.recipes import COMPUTE

    if args.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    keras.utils.set_random_seed(0)
    shape, classes = (args.batch_size, *args.size), CLASSES[args.model]
    dtype = COMPUTE[args.compute]
    if args.model == "dla34":
        model = dla_keras.DLAClassifier("dla34", classes, dtype=dtype)
        loss, label_shape = losses.class_cross_entropy_sums, shape[:1]
    else:
        model = dla_keras.DLASegmenter(
            "dla34", classes, upsampling=upsampling, dtype=dtype
        )
        loss, label_shape = losses.cross_entropy_sums, shape
    optimizer = make_optimizer("sgd", 0.02, 1e-4, model)
    train_steps = make_train_steps(
        tf.distribute.get_strategy(), model, optimizer, loss
    )
    images = np.random.uniform(0, 255, (*shape, 3)).astype("float32")
    labels = np.random.randint(0, min(classes, 200), label_shape)
    batch = tf.data.Dataset.from_tensors((images, labels.astype("uint8")))
    batches = iter(batch.cache().repeat())
    return lambda: train_steps(batches, tf.constant(1)).numpy()


def authors_steps(args, memory_format):
    """Return a function that takes one step of the authors' `segment.py`."""
    sys.path.insert(0, args.authors)
    import dla_up
    import torch

    torch.manual_seed(0)
    model = dla_up.dla34up(CLASSES[args.model], down_ratio=4)
    loss = torch.nn.NLLLoss(ignore_index=255)
    labels = (args.batch_size, *args.size)
    return _torch_steps(
        args, model, memory_format, lambda x, y: loss(x[0], y), labels
    )


def timm_steps(args, compiled):
    """Return a function that takes one step of timm's network."""
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("dla34", num_classes=CLASSES[args.model])
    loss, labels = torch.nn.CrossEntropyLoss(), (args.batch_size,)
    return _torch_steps(
        args, model, "channels_last", loss, labels, compiled == "compiled"
    )


def _torch_steps(args, model, layout, criterion, labels, compiled=False):
    import torch

    torch.set_num_threads(args.threads)
    device = "cuda" if args.device == "gpu" else "cpu"
    layout = getattr(torch, layout)
    model = model.to(device, memory_format=layout).train()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        0.02,
        momentum=0.9,
        weight_decay=1e-4,
    )
    images = torch.randn(args.batch_size, 3, *args.size)
    images = images.to(device).contiguous(memory_format=layout)
    labels = torch.randint(0, CLASSES[args.model], labels).to(device)
    run = torch.compile(model) if compiled else model
    mixed = torch.autocast(
        device, torch.bfloat16, enabled=args.compute == "bfloat16"
    )

    def step():
        with mixed:
            loss = criterion(run(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# Model -> name of each network -> what makes its step, and with what.
NETWORKS = {
    "dla34up": {
        "dla_keras": (keras_steps, "bilinear"),
        "dla_keras, learned upsampling": (keras_steps, "learned"),
        "authors, PyTorch": (authors_steps, "contiguous_format"),
        "authors, PyTorch channels_last": (authors_steps, "channels_last"),
    },
    "dla34": {
        "dla_keras": (keras_steps, None),
        "timm, PyTorch channels_last": (timm_steps, "as it is"),
        "timm, PyTorch channels_last, compiled": (timm_steps, "compiled"),
    },
}


def measure(args) -> list[float]:
    """Return the seconds of each step of one network, after the first ones."""
    make, how = NETWORKS[args.model][args.network]
    step, seconds = make(args, how), []
    for _ in range(args.warm_up + args.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds[args.warm_up :]


def measure_apart(args, name) -> list[float]:
    """Run `measure` in a process of its own, in the network's environment."""
    ours = NETWORKS[args.model][name][0] is keras_steps
    threads = str(args.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "PYTHONPATH": os.path.dirname(os.path.dirname(__file__)) or ".",
    }
    command = [
        sys.executable if ours else args.torch_python,
        os.path.abspath(__file__),
        *sys.argv[1:],
        "--network",
        name,
    ]
    answer = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(answer.stdout.splitlines()[-1])


def table(args) -> list[dict]:
    """Return a row for each network; ratios are to PyTorch's best."""
    from dla_keras import provenance

    seconds = {name: [] for name in NETWORKS[args.model]}
    for _ in range(args.rounds):
        for name in seconds:
            seconds[name] += measure_apart(args, name)
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    peers = [m for name, m in medians.items() if "dla_keras" not in name]
    return [
        {
            "a training step": name,
            "compute": args.compute,
            "seconds": f"{median:.3f}",
            "ratio": f"{median / min(peers):.2f}",
            "pictures a second": f"{args.batch_size / median:.1f}",
            "command": f"python benchmarks/training_step.py {args.said}",
            "machine": provenance.machine(),
            "date": provenance.local_time()[:10],
        }
        for name, median in medians.items()
    ]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", choices=NETWORKS, default="dla34up")
    add("--authors", help="folder of the authors' code, for dla34up")
    add("--torch-python", default=sys.executable, help="one with PyTorch")
    add("--compute", choices=("float32", "bfloat16"), default="float32")
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--size", type=int, nargs=2, default=(192, 256))
    add("--batch-size", type=int, default=4)
    add("--threads", type=int, default=2)
    add("--warm-up", type=int, default=3, help="steps not counted")
    add("--steps", type=int, default=8, help="steps of a round")
    add("--rounds", type=int, default=3)
    add("--csv", help="file to append the rows to")
    add("--network", help="only this one, as JSON")
    args = parser.parse_args(argv)
    if args.model == "dla34up" and not args.authors:
        parser.error("--model dla34up needs --authors, a clone of their code")
    if args.network:
        print(json.dumps(measure(args)))
        return 0
    # Not before: PyTorch's environment need not hold this package.
    from dla_keras.files import append_csv
    from dla_keras.files import check_csv
    from dla_keras.tables import text_table

    places = {args.authors: "DLA_REPOSITORY", args.torch_python: "VENV_PYTHON"}
    args.said = " ".join(places.get(word, word) for word in sys.argv[1:])
    if args.csv:
        check_csv(args.csv, COLUMNS)
    rows = table(args)
    size = "x".join(map(str, args.size))
    print(f"{args.batch_size} pictures of {size}, {args.threads} threads")
    shown = COLUMNS[:5]
    print(text_table(shown, [[row[c] for c in shown] for row in rows]))
    if args.csv:
        append_csv(args.csv, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
