"""What a `.tflite` file knows of itself: JSON in its buffer `DLA_KERAS`.

Whoever opens the file (`LiteModel`, the web page, the phone) reads classes,
colours, sizes and origin from here, and types none of them again.
"""

import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import zipfile

from dla_keras.data.datasets import distinct_palette
from dla_keras.inference.predictor import PAD_COLOR
from dla_keras.lite.file.buffers import read_buffers
from dla_keras.lite.file.inspection import inspect
from dla_keras.version import __version__

BUFFER = "DLA_KERAS"
FORMAT = 1
# output -> what it is: class ids, scores of classes, probability of an edge
KINDS = {"mask": "class_ids", "logits": "logits", "boundary": "boundary"}
REQUIRED = {"classes", "input", "outputs", "task"}

# Of a run's config.json: what the training was, without the machine's paths.
TRAINING = (
    "recipe", "dataset", "steps", "epochs", "batch_size", "size", "optimizer",
    "learning_rate", "weight_decay", "schedule", "seed", "weights", "git",
    "versions",
)  # fmt: skip
METRICS = ("miou", "pixel_accuracy", "per_class_iou", "ods", "ois", "ap")


def collect_facts(
    model,
    data: bytes,
    precision: str,
    path=None,
    created: str | None = None,
    export: dict | None = None,
) -> dict:
    """Gathers the facts of a file that was just converted.

    The same model gives the same facts on any day: the date is that of the
    `.keras` file, unless `SOURCE_DATE_EPOCH` or `created` says another.

    Args:
        model: the model that was converted.
        data: what it was converted to.
        precision: of the file, for instance `"int8"`.
        path: the model's `.keras` file; its run's `config.json` and
            `metrics.json` may lie beside it. Defaults to `None`.
        created: ISO date. Defaults to `None`.
        export: how the file was made, for instance what was kept in float.
            Defaults to `None`.

    Returns:
        What JSON can hold.

    Raises:
        ValueError: for `data` that `convert` did not make, or a broken
            `config.json` or `metrics.json`.
    """
    size = inspect(data).inputs[0].shape[1:3]
    outputs = _outputs(data)
    scores_classes = any(output["kind"] != "boundary" for output in outputs)
    return {
        "format": FORMAT,
        "task": "segmentation" if scores_classes else "boundary",
        "name": _readable_name(model.variant),
        "variant": model.variant,
        "classes": _classes(model) if scores_classes else [],
        "input": {
            "height": size[0],
            "width": size[1],
            "channels": "RGB",
            "range": [0, 255],
            "pad_color": list(PAD_COLOR),
        },
        "outputs": outputs,
        "precision": precision,
        "export": export or {},
        "training": _read_beside(path, "config.json", TRAINING),
        "metrics": _read_beside(path, "metrics.json", METRICS),
        "sha256": path and _sha256(path),
        "made_with": {
            "dla_keras": __version__,
            "tensorflow": importlib.metadata.version("tensorflow"),
            "keras": importlib.metadata.version("keras"),
        },
        "created": created or _date(path),
    }


def read_facts(data: bytes) -> dict | None:
    """The facts inside a `.tflite` file.

    Args:
        data: the file's bytes.

    Returns:
        What `collect_facts` gave, or `None` for a file without facts.

    Raises:
        ValueError: for bytes that are no whole `.tflite` file, or facts that
            this version cannot read.
    """
    content = read_buffers(data).get(BUFFER)
    if content is None:
        return None
    try:
        facts = json.loads(bytes(content))
    except ValueError as error:
        raise ValueError(
            f"The file's buffer {BUFFER} is no JSON: {error}. Export the "
            "model again."
        ) from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"Expected facts in format {FORMAT}. Received: {found!r}. Update "
            "dla_keras, or export the model again with this version."
        )
    missing = sorted(REQUIRED - facts.keys())
    if missing:
        raise ValueError(
            f"The file's facts lack {', '.join(missing)}. Export the model "
            "again."
        )
    return facts


def output_names(data: bytes) -> list[str]:
    """Names of a file's outputs, in their order.

    Args:
        data: the file's bytes.

    Raises:
        ValueError: for a file without a signature, or other names than ours.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    names = {}
    if model.SignatureDefsLength():
        signature = model.SignatureDefs(0)
        for index in range(signature.OutputsLength()):
            entry = signature.Outputs(index)
            names[entry.TensorIndex()] = entry.Name().decode()
    found = [names.get(i) for i in model.Subgraphs(0).OutputsAsNumpy()]
    if not set(found) <= KINDS.keys():
        raise ValueError(
            f"Expected outputs called {', '.join(KINDS)}, as export_tflite.py "
            f"writes. Received: {', '.join(map(str, found))}."
        )
    return found


def _readable_name(variant):
    """`"dla46_c"` -> `"DLA-46-C-Up"`, as the paper writes it."""
    number = variant.removeprefix("dla").replace("_c", "-C").replace("_", "-")
    return f"DLA-{number}-Up"


def _classes(model):
    count = model.num_classes
    # Ids stand for the names that nobody gave.
    names = model.class_names or map(str, range(count))
    palette = model.palette or distinct_palette(count, model.class_names or ())
    return [
        {"name": name, "color": list(map(int, color))}
        for name, color in zip(names, palette, strict=True)
    ]


def _outputs(data):
    named = zip(output_names(data), inspect(data).outputs, strict=True)
    return [_output(name, tensor) for name, tensor in named]


def _output(name, tensor):
    facts = {
        "name": name,
        "kind": KINDS[name],
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
    }
    if tensor.scale is not None:
        facts |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return facts


def _read_beside(path, name, keys):
    """What a file beside the model holds under `keys`; `{}` without one."""
    file = path and pathlib.Path(path).resolve().parent / name
    if not file or not file.exists():
        return {}
    try:
        content = json.loads(file.read_text())
        return {key: content[key] for key in keys if key in content}
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file} is no JSON of a training run: {error}. Remove it, or "
            "export a model from another folder."
        ) from error


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _date(path):
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        day = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        return day.date().isoformat()
    if path is None:
        return None
    with zipfile.ZipFile(path) as archive:
        saved = json.loads(archive.read("metadata.json"))["date_saved"]
    return saved.partition("@")[0]
