"""Table of the runtimes that a file must run in."""

import dataclasses
import functools
from collections.abc import Callable

from runtimes.arm import emulated_arm
from runtimes.environments import Python
from runtimes.environments import own_python
from runtimes.environments import this_python
from runtimes.runner import KERNELS


@dataclasses.dataclass(frozen=True)
class Runtime:
    """One way to run a file.

    Args:
        name: Name of the runtime.
        package: Name of its package in `runner.py`.
        python: Function of the cache folder that returns a Python with it.
        kernels: Kernels to run with. Defaults to both.
        integer_kernels: Kernels that integer files really run with when
            XNNPACK is requested; in `BOUNDS`. Defaults to `"xnnpack"`.
        gives_masks: Whether it makes masks of logits itself. Defaults to
            `False`.
    """

    name: str
    package: str
    python: Callable[[str], Python]
    kernels: tuple[str, ...] = tuple(KERNELS)
    integer_kernels: str = "xnnpack"
    gives_masks: bool = False


REFERENCE = Runtime(
    "ai-edge-litert",
    "ai_edge_litert",
    functools.partial(this_python, module="ai_edge_litert"),
)
RUNTIMES = (
    REFERENCE,
    Runtime(
        "tf.lite",
        "tensorflow",
        functools.partial(this_python, module="tensorflow"),
    ),
    Runtime(
        "tflite-runtime",
        "tflite_runtime",
        functools.partial(
            own_python,
            requirements=("tflite-runtime==2.14.0", "numpy<2"),
            versions=("3.11", "3.10", "3.9"),
        ),
        # Its XNNPACK delegate leaves integer operations alone.
        integer_kernels="builtin",
    ),
    Runtime(
        "arm64",
        "ai_edge_litert",
        functools.partial(
            emulated_arm, requirements=("ai-edge-litert==2.3.0", "numpy")
        ),
    ),
    Runtime(
        "mediapipe",
        "mediapipe",
        functools.partial(own_python, requirements=("mediapipe==1.2.2",)),
        kernels=("xnnpack",),
        integer_kernels="mediapipe",
        gives_masks=True,
    ),
)
