"""Time the ways to upsample in a .tflite file: fixed, learned, or dense.

    python benchmarks/upsampling_edge.py

It times DLA-34-Up as a whole, 512x512 pixels to the logits of 19 classes, in
float32 and int8, with each way to upsample: the fixed bilinear resize; the
learned depthwise transposed convolution, per phase; and the latter as Keras
has it, a transposed convolution that joins all channels with all. Weights are
the same, and the dense kernels hold zeros off the diagonal, so that the last
two give the same numbers. All are timed in turns in one process. `same class`
is the share of pixels on which a file agrees with Keras and learned
upsampling.
"""

import argparse
import platform
import statistics
import sys
import time
from unittest import mock

import dla_keras  # isort: skip  (first: it quietens TensorFlow)
import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from dla_keras import provenance
from dla_keras.commands.shared import run_command
from dla_keras.data.toy_streets.scene import draw_street
from dla_keras.layers import upsampling
from dla_keras.lite.convert.pipeline import export_tflite
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.options import TARGETS
from dla_keras.quiet import quiet_stderr
from dla_keras.tables import text_table
from dla_keras.weights import load_torch_state
from dla_keras.weights import torch_state

CLASSES, HEAD_STRIDE = 19, 4
CALIBRATION_PICTURES = 4
PRECISIONS = ("float32", "int8")
FIXED, LEARNED, DENSE = "bilinear", "learned", "dense"
UPSAMPLINGS = (FIXED, LEARNED, DENSE)


class DenseUpsampling(keras.layers.Layer):
    """A transposed convolution of all channels, which starts as bilinear.

    Args:
        factor: Output pixels per input pixel and side.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        channels = input_shape[-1]
        self.convolution = keras.layers.Conv2DTranspose(
            channels,
            2 * self.factor,
            strides=self.factor,
            padding="same",
            use_bias=False,
            dtype=self.dtype_policy,
        )
        self.convolution.build(input_shape)
        kernel = upsampling.bilinear_kernel(self.factor)
        self.convolution.kernel.assign(
            kernel[..., None, None] * np.eye(channels)
        )

    def call(self, inputs):
        return self.convolution(inputs)

    def compute_output_shape(self, input_shape):
        return upsampling.enlarged(input_shape, self.factor)


def make_models(args) -> dict:
    """Return a network for each upsampling; all else in them is the same."""
    keras.utils.set_random_seed(0)
    models = {}
    # The library does not offer the dense one.
    with mock.patch.dict(upsampling.UPSAMPLINGS, {DENSE: DenseUpsampling}):
        for name in UPSAMPLINGS:
            models[name] = dla_keras.DLASegmenter(
                args.variant,
                CLASSES,
                head_stride=HEAD_STRIDE,
                upsampling=name,
                input_shape=(args.side, args.side, 3),
            )
    state = torch_state(models[FIXED])
    for model in models.values():
        own = torch_state(model)
        load_torch_state(model, {n: state.get(n, own[n]) for n in own})
    return models


def make_files(args, models, pictures) -> dict:
    """Return the bytes of a file for each precision and upsampling."""
    return {
        (precision, name): export_tflite(
            model,
            None,
            precision,
            (args.side, args.side),
            pictures if precision == "int8" else (),
            head="logits",
            tuned_for=args.tuned_for,
        ).data
        for precision in PRECISIONS
        for name, model in models.items()
    }


class Runner:
    """A file, one image, and how long each run took.

    Args:
        data: Bytes of the file.
        picture: An image, uint8 `(h, w, 3)`.
        threads: Number of threads of the interpreter.
    """

    def __init__(self, data, picture, threads):
        with quiet_stderr():
            self.interpreter = Interpreter(
                model_content=data, num_threads=threads
            )
            self.interpreter.allocate_tensors()
        (entry,) = self.interpreter.get_input_details()
        self.interpreter.set_tensor(entry["index"], picture[None])
        self.milliseconds = []

    def run(self):
        start = time.perf_counter()
        self.interpreter.invoke()
        self.milliseconds.append(1000 * (time.perf_counter() - start))

    def mask(self):
        (output,) = self.interpreter.get_output_details()
        return self.interpreter.get_tensor(output["index"])[0].argmax(-1)


def compare(args) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        draw_street(rng, args.side, args.side)[0]
        for _ in range(CALIBRATION_PICTURES)
    ]
    models = make_models(args)
    image = pictures[0][None].astype("float32")
    truth = np.argmax(models[LEARNED](image, training=False)[0], -1)
    files = make_files(args, models, pictures)
    runners = {
        key: Runner(data, pictures[0], args.threads)
        for key, data in files.items()
    }
    for _ in range(args.warm_up + args.runs):
        for runner in runners.values():
            runner.run()
    times = {k: r.milliseconds[args.warm_up :] for k, r in runners.items()}
    medians = {key: statistics.median(each) for key, each in times.items()}
    rows = [
        (
            f"{precision}, {name}",
            f"{len(files[precision, name]) / 1e6:.1f}",
            str(len(TfliteFile(files[precision, name]).ops)),
            f"{median:.1f}",
            f"{min(times[precision, name]):.1f}",
            f"{median / medians[precision, FIXED]:.2f}",
            f"{(runners[precision, name].mask() == truth).mean():.4f}",
        )
        for (precision, name), median in medians.items()
    ]
    title = f"{args.side}x{args.side}, {args.threads} threads"
    header = ("MB", "operations", "ms", "least", "ratio", "same class")
    print(f"{provenance.machine()}, {provenance.local_time()}")
    print(text_table((title, *header), rows))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    x86 = platform.machine() in ("x86_64", "AMD64")
    add("--variant", default="dla34")
    add("--side", type=int, default=512, help="of the picture, pixels")
    add("--tuned-for", choices=TARGETS, default="x86" if x86 else "arm")
    add("--threads", type=int, default=2)
    add("--warm-up", type=int, default=3, help="rounds not counted")
    add("--runs", type=int, default=30, help="rounds that are timed")
    args = parser.parse_args(argv)
    return run_command(lambda: compare(args))


if __name__ == "__main__":
    sys.exit(main())
