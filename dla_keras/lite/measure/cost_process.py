"""Loads and runs one `.tflite` file: time, memory, what XNNPACK takes.

python cost_process.py PACKAGE MODEL THREADS WARM_UP RUNS SECONDS

A script of its own that needs numpy and the runtime only: in a process that
holds Keras too, nobody could tell whose memory it is. Prints JSON; see
`cost.py`, which starts it.
"""

import importlib
import json
import os
import pathlib
import sys
import time

import numpy as np


def memory(field):
    """Return bytes that Linux counts for this process; `None` elsewhere.

    `VmRSS` is what it holds, `VmHWM` the most that it held. The usual
    `ru_maxrss` is not it: that one begins with the parent's.
    """
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(
        line.split(":", 1) for line in status.read_text().splitlines()
    )
    return 1024 * int(fields[field].split()[0])


def forget_peak():
    """Let `VmHWM` begin anew at what is held now."""
    peak = pathlib.Path("/proc/self/clear_refs")
    # Some containers do not let it be written.
    if os.access(peak, os.W_OK):
        peak.write_text("5")


def count_nodes(operations, outputs):
    """Count the nodes of a file, and those that a delegate takes.

    Args:
        operations: Operations of the interpreter: first the file's own, then
            the delegate's, each of which stands for some of these.
        outputs: Indices of the tensors that the file gives.
    """
    own = [op for op in operations if op["op_name"] != "DELEGATE"]
    # Where both make a tensor, the delegate's node is the one that runs.
    makers = {
        int(tensor): op
        for op in sorted(operations, key=lambda op: op["op_name"] == "DELEGATE")
        for tensor in op["outputs"]
    }
    left, waiting, seen = set(), [int(i) for i in outputs], set()
    while waiting:
        tensor = waiting.pop()
        op = makers.get(tensor)
        if op is None or tensor in seen:
            continue
        seen.add(tensor)
        waiting += [int(i) for i in op["inputs"]]
        if op["op_name"] != "DELEGATE":
            left.add(op["index"])
    return len(own), len(own) - len(left)


def milliseconds(action):
    """Return how long an action takes, and what it returns."""
    start = time.perf_counter()
    result = action()
    return 1000 * (time.perf_counter() - start), result


def time_runs(run, warm_up, runs, seconds):
    """Call a function that times itself again and again.

    Args:
        run: Function that returns its times.
        warm_up: Calls that do not count.
        runs: Calls that count, at most.
        seconds: Time after which no other call begins.

    Returns:
        The first call's times, and a list of those that count.
    """
    begin, called = time.perf_counter(), []
    while len(called) < warm_up + runs and (
        not called or time.perf_counter() - begin < seconds
    ):
        called.append(run())
    # Of a file that slow, a run of the warm-up is as good as any.
    return called[0], called[warm_up:] or called[-1:]


def main(package, model, threads, warm_up, runs, seconds):
    module = importlib.import_module(f"{package}.interpreter")
    forget_peak()
    before = memory("VmRSS")

    def load():
        interpreter = module.Interpreter(
            model_path=model, num_threads=int(threads)
        )
        interpreter.allocate_tensors()
        return interpreter

    load_time, interpreter = milliseconds(load)
    (picture,) = interpreter.get_input_details()
    outputs = [o["index"] for o in interpreter.get_output_details()]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, picture["shape"], np.uint8)

    def run():
        interpreter.set_tensor(picture["index"], noise)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    first, times = time_runs(
        lambda: milliseconds(run)[0], int(warm_up), int(runs), float(seconds)
    )
    peak = memory("VmHWM")
    nodes, delegated = count_nodes(interpreter._get_ops_details(), outputs)
    facts = {
        "load_ms": load_time,
        "first_ms": first,
        "median_ms": float(np.median(times)),
        "p90_ms": float(np.percentile(times, 90)),
        "minimum_ms": min(times),
        "runs": len(times),
        "peak_bytes": None if before is None else peak - before,
        "nodes": nodes,
        "delegated": delegated,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
