"""Measure one contender of `edge_peers.py`, which starts this script.

It runs in each environment, like `edge_files.py`.
"""

import argparse
import importlib.metadata
import json
import pathlib
import sys
import time

import numpy as np
from edge_files import CONTENDERS
from edge_files import authors_network
from edge_files import normalised


def run_torch(args, contender):
    import torch

    torch.set_num_threads(args.threads)
    layout = getattr(torch, contender.source)
    network, image = authors_network(args)
    network = network.to(memory_format=layout)
    image = image.contiguous(memory_format=layout)

    @torch.inference_mode()
    def infer():
        return network(image)

    return infer, lambda: infer().permute(0, 2, 3, 1).numpy()


def run_onnx(args, contender):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(
        args.folder / contender.source,
        options,
        providers=["CPUExecutionProvider"],
    )
    # Bound, so that no output is copied: none is on the other runtimes.
    bound = session.io_binding()
    image = normalised(args.folder).transpose(0, 3, 1, 2)
    bound.bind_cpu_input(
        session.get_inputs()[0].name, np.ascontiguousarray(image)
    )
    bound.bind_output(session.get_outputs()[0].name)
    infer = lambda: session.run_with_iobinding(bound)
    return infer, lambda: bound.copy_outputs_to_cpu()[0].transpose(0, 2, 3, 1)


def run_lite(args, contender):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        str(args.folder / contender.source), num_threads=args.threads
    )
    interpreter.allocate_tensors()
    (entry,), (output,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    if len(entry["shape"]) == 2:  # a matrix
        numbers = np.random.default_rng(0).standard_normal(entry["shape"])
        image = (30 * numbers).astype(entry["dtype"])
    elif entry["dtype"] == np.uint8:
        image = np.load(args.folder / "picture.npy")[None]
    else:
        image = normalised(args.folder)

    def infer():
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()

    return infer, lambda: interpreter.get_tensor(output["index"])


# name -> what makes a function that infers, and one that gives its output;
# the package that runs it
RUNS = {
    "torch": (run_torch, "torch"),
    "onnx": (run_onnx, "onnxruntime"),
    "lite": (run_lite, "ai-edge-litert"),
}


def measure(args) -> dict:
    """Return the milliseconds of each inference, and what was found."""
    contender = CONTENDERS[args.contender]
    run, package = RUNS[contender.run]
    infer, output = run(args, contender)
    milliseconds = []
    for _ in range(args.warm_up + args.runs):
        start = time.perf_counter()
        infer()
        milliseconds.append(1000 * (time.perf_counter() - start))
    found, mask = output(), np.load(args.folder / "mask.npy")
    if found.ndim == 4:
        found = found.argmax(-1)
    same = found.shape == mask.shape
    return {
        "milliseconds": milliseconds[args.warm_up :],
        "same": float(np.mean(found == mask)) if same else None,
        "runtime": f"{package} {importlib.metadata.version(package)}",
    }


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--folder", required=True, type=pathlib.Path, help="of the files")
    add("--contender", required=True, choices=CONTENDERS)
    add("--authors", help="folder of the authors' code")
    add("--threads", type=int, default=2)
    add("--warm-up", type=int, default=3, help="inferences not counted")
    add("--runs", type=int, default=10, help="inferences that are timed")
    print(json.dumps(measure(parser.parse_args(argv))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
