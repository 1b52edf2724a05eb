"""Runs files in every runtime and compares their outputs."""

import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

import numpy as np

from dla_keras.inference.tflite_facts import OUTPUTS
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.lite.measure.cost import last_words
from runtimes import runner
from runtimes.comparison import BOUNDS
from runtimes.comparison import compare
from runtimes.environments import NotInstalledError
from runtimes.rows import REFERENCE
from runtimes.rows import RUNTIMES


@dataclasses.dataclass(frozen=True)
class Check:
    """One file in one runtime.

    Args:
        runtime: Name of the runtime.
        version: Its version and processor. Defaults to `""`.
        kernels: Kernels that ran. Defaults to `""`.
        file: Name of the model's file. Defaults to `""`: all of them.
        output: Name of the output. Defaults to `""`: all of them.
        against: Name of the outputs it was compared with. Defaults to `""`.
        equal: Share of equal values. Defaults to `None`.
        difference: Largest difference, in steps for quantized scores, else in
            scores. Defaults to `None`.
        agreement: Share of pixels with the same class. Defaults to `None`.
        verdict: `"equal"` to the bit, `"close"`, `"FAILED: ..."` or `"not
            checked: ..."`.
    """

    runtime: str
    version: str = ""
    kernels: str = ""
    file: str = ""
    output: str = ""
    against: str = ""
    equal: float | None = None
    difference: float | None = None
    agreement: float | None = None
    verdict: str = ""

    @property
    def failed(self) -> bool:
        return self.verdict.startswith("FAILED")

    @property
    def ran(self) -> bool:
        return self.verdict in ("equal", "close")


class RunError(Exception):
    """A runtime did not run a file; the message says why."""


def check_files(pictures: dict, cache, runtimes=RUNTIMES) -> Iterator[Check]:
    """Check files in all runtimes.

    The outputs of LiteRT on this machine with the same kernels count as right;
    for its builtin kernels, those with XNNPACK.

    Args:
        pictures: Images, uint8 `(n, height, width, 3)`, by the path of a
            `.tflite` file of their size.
        cache: Folder for the environments that are made.
        runtimes: Rows of `RUNTIMES`. Defaults to all.

    Yields:
        A `Check` at a time, since emulation takes minutes.

    Raises:
        ValueError: If LiteRT itself cannot run a file.
    """
    files = [_expect(model, images) for model, images in pictures.items()]
    for runtime in runtimes:
        try:
            python = runtime.python(cache)
        except NotInstalledError as error:
            yield Check(runtime.name, verdict=f"not checked: {error}")
            continue
        for file in files:
            for kernels, wanted in _kernels(runtime, file).items():
                yield from _checks(python, runtime, kernels, wanted, file)


ARM = ("aarch64", "arm64")  # processors, as Python calls them


@dataclasses.dataclass(frozen=True)
class _File:
    path: str
    pictures: np.ndarray
    numbers: str  # "integer", "float", or "half": float, in half where it can
    names: list  # of the outputs
    expected: dict  # kernels -> outputs in that order


def _expect(model, pictures):
    file = TfliteFile(pathlib.Path(model).read_bytes())
    numbers = "float" if file.float_ops else "integer"
    if file.in_half:
        numbers = "half"
    python = REFERENCE.python(None)
    package, expected = REFERENCE.package, {}
    try:
        for kernels in REFERENCE.kernels:
            outputs, _ = _run(python, package, kernels, model, pictures)
            expected[kernels] = outputs
    except RunError as error:
        raise ValueError(f"LiteRT cannot run {model}: {error}") from error
    return _File(model, pictures, numbers, file.output_names, expected)


def _kernels(runtime, file):
    """Return kernels that run -> kernels to ask for."""
    kernels = {}
    for wanted in runtime.kernels:
        actual = wanted
        if file.numbers == "integer" and wanted == "xnnpack":
            actual = runtime.integer_kernels
        kernels.setdefault(actual, wanted)
    return kernels


def _checks(python, runtime, kernels, wanted, file):
    name = pathlib.Path(file.path).name
    check = Check(runtime.name, kernels=kernels, file=name)
    if runtime.gives_masks and file.names != ["logits"]:
        reason = "not checked: it takes files that give logits only"
        yield dataclasses.replace(check, verdict=reason)
        return
    try:
        outputs, version = _run(
            python, runtime.package, wanted, file.path, file.pictures
        )
    except RunError as error:
        yield dataclasses.replace(check, verdict=f"FAILED: {error}")
        return
    same = kernels if kernels in runner.KERNELS else "xnnpack"
    against = "xnnpack" if runtime is REFERENCE else same
    expected = file.expected[against]
    kinds = [OUTPUTS[name].kind for name in file.names]
    if runtime.gives_masks:
        size = file.pictures.shape[1:3]
        expected = [mediapipe_masks(expected[0], size)]
        kinds = ["class_ids"]
    numbers = file.numbers
    if numbers == "half" and not version.endswith(ARM):
        numbers = "float"
    bound = BOUNDS[numbers, kernels]
    for index, name in enumerate(file.names):
        yield dataclasses.replace(
            check,
            version=version,
            output=name,
            against=f"LiteRT {against}",
            **compare(expected[index], outputs[index], kinds[index], bound),
        )


def mediapipe_masks(logits, size):
    """Return MediaPipe Tasks' masks of logits, at the images' size.

    It enlarges coarse logits with corner on corner, where the network has
    half-pixel centres: its masks of such files are off by up to half a
    stride towards the picture's edges.

    Args:
        logits: `(n, h, w, classes)`, in any numbers.
        size: height and width of the masks.
    """
    scores = logits.astype(np.float32)
    for axis, side in enumerate(size, start=1):
        position = np.linspace(0, scores.shape[axis] - 1, side)
        before = position.astype(int)
        after = np.minimum(before + 1, scores.shape[axis] - 1)
        share = (position - before).reshape((-1,) + (1,) * (3 - axis))
        near, far = scores.take(before, axis), scores.take(after, axis)
        scores = near + share * (far - near)
    return scores.argmax(-1).astype(np.uint8)


def _run(python, package, kernels, model, pictures):
    """Return the outputs, and the runtime's version and processor."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "pictures.npy")
        target = pathlib.Path(folder, "outputs.npz")
        np.save(source, pictures)
        arguments = [package, kernels, os.path.abspath(model), source, target]
        try:
            done = subprocess.run(
                [*python.command, runner.__file__, *map(str, arguments)],
                env=os.environ | dict(python.variables),
                check=True,
                capture_output=True,
                text=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise RunError(last_words(error)) from error
        facts = json.loads(done.stdout.splitlines()[-1])
        with np.load(target) as saved:
            outputs = list(saved.values())  # in the order they were saved
        return outputs, "{version} {machine}".format(**facts)
