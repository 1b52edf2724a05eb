"""Lets a `.tflite` file say what it is: facts, TFLite Metadata and labels.

The facts are JSON in the buffer `DLA_KERAS`, which our own readers take
(`inference/tflite_facts.py`). TFLite Metadata is what MediaPipe Tasks and
other libraries open a file by. Of all runtimes only MediaPipe's wheel holds
its schema, so the tables that we write are named here:
https://github.com/google-ai-edge/mediapipe, metadata_schema.fbs, 1.5.0.
"""

import datetime
import hashlib
import importlib.metadata
import json
import os
import zipfile

from flatbuffers import Builder

from dla_keras.data.datasets import distinct_palette
from dla_keras.data.fitting import PAD
from dla_keras.data.fitting import Fit
from dla_keras.inference.model_checks import NO_DIGEST
from dla_keras.inference.predictor import PAD_COLOR
from dla_keras.inference.tflite_facts import BUFFER
from dla_keras.inference.tflite_facts import FORMAT
from dla_keras.inference.tflite_facts import OUTPUTS
from dla_keras.inference.tflite_facts import check_facts
from dla_keras.lite.file.tflite_file import ALIGNMENT
from dla_keras.lite.file.tflite_file import TfliteFile
from dla_keras.provenance import read_beside
from dla_keras.version import __version__

METADATA = "TFLITE_METADATA"
LABELS = "labels.txt"

# Of a run's config.json: what the training was, without the machine's paths.
TRAINING = (
    "recipe", "dataset", "steps", "epochs", "batch_size", "size", "optimizer",
    "learning_rate", "weight_decay", "schedule", "seed", "weights", "git",
    "versions",
)  # fmt: skip
METRICS = (
    "miou", "pixel_accuracy", "per_class_iou", "ods", "ois", "ap", "ap50",
    "best", "top1", "top5",
)  # fmt: skip


def collect_facts(
    model,
    file: TfliteFile,
    precision: str,
    path=None,
    created: str | None = None,
    export: dict | None = None,
    crop_fraction: float | None = None,
    fit: Fit = PAD,
) -> dict:
    """Gather the facts of a file that was just converted.

    The same model gives the same facts on any day: the date is that of the
    `.keras` file, unless `SOURCE_DATE_EPOCH` or `created` says another.

    Args:
        model: Model that was converted.
        file: File that the model was converted to.
        precision: Precision of the file, for instance `"int8"`.
        path: Path of the model's `.keras` file; its run's `config.json` and
            `metrics.json` may lie beside it. Defaults to `None`.
        created: ISO date. Defaults to `None`.
        export: Settings of the export, for instance what was kept in float.
            Defaults to `None`.
        crop_fraction: Share of a picture's shorter side that a classifier
            sees, see `central_crop`. Defaults to `None`: not known.
        fit: Rule by which pictures of any size are brought to the file's.
            Defaults to `PAD`.

    Returns:
        What JSON can hold.

    Raises:
        ValueError: If the pipeline did not make the file, `config.json` or
            `metrics.json` is broken, or a class's name is no line of text.
    """
    height, width = file.inputs[0].shape[1:3]
    outputs = _outputs(file)
    (task, *_) = model.tasks
    pixels = {
        "height": height,
        "width": width,
        "channels": "RGB",
        "range": [0, 255],
    }
    if task != "classification":
        pixels |= {"pad_color": list(PAD_COLOR), **fit.facts}
    elif crop_fraction is not None:  # a crop covers the whole picture
        pixels["crop_fraction"] = crop_fraction
    facts = {
        "format": FORMAT,
        "task": task,
        "name": _readable_name(model.variant, task),
        "variant": model.variant,
        "classes": [] if task == "boundary" else _classes(model, task),
        "input": pixels,
        "outputs": outputs,
        "precision": precision,
        "export": export or {},
        "training": _chosen(read_beside(path), TRAINING),
        "metrics": _chosen(read_beside(path, "metrics.json"), METRICS),
        "sha256": path and _sha256(path),
        "made_with": {
            "dla_keras": __version__,
            "tensorflow": importlib.metadata.version("tensorflow"),
            "keras": importlib.metadata.version("keras"),
        },
        "created": created or _date(path),
        "digest": NO_DIGEST,  # until the file is `sealed`
    }
    check_facts(facts)
    return facts


def describe(file: TfliteFile, facts: dict) -> None:
    """Put the facts, TFLite Metadata and `labels.txt` into a file.

    Args:
        file: File that says nothing of itself yet.
        facts: Facts from `collect_facts`.

    Raises:
        ValueError: If the file is described already.
    """
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    file.add_named_buffer(BUFFER, text.encode())
    file.add_named_buffer(METADATA, _tflite_metadata(facts))
    if facts["classes"]:
        names = [entry["name"] for entry in facts["classes"]]
        file.labels = "\n".join(names) + "\n"


def _chosen(content, keys):
    return {key: content[key] for key in keys if key in content}


def _readable_name(variant, task):
    """Return a name as the paper writes it: `"DLA-46-C-Up"`."""
    number = variant.removeprefix("dla").replace("_c", "-C").replace("_", "-")
    return f"DLA-{number}" + "-Up" * (task != "classification")


def _classes(model, task):
    count = model.num_classes
    # Ids stand for the names that nobody gave.
    names = model.class_names or map(str, range(count))
    if task == "classification":
        return [{"name": name} for name in names]
    palette = model.palette or distinct_palette(count, model.class_names or ())
    return [
        {"name": name, "color": list(map(int, color))}
        for name, color in zip(names, palette, strict=True)
    ]


def _outputs(file):
    if not set(file.output_names) <= OUTPUTS.keys():
        raise ValueError(
            f"Expected outputs called {', '.join(OUTPUTS)}, as this package "
            f"writes. Received: {', '.join(map(str, file.output_names))}."
        )
    named = zip(file.output_names, file.outputs, strict=True)
    return [_output_facts(name, tensor) for name, tensor in named]


def _output_facts(name, tensor):
    facts = {
        "name": name,
        "kind": OUTPUTS[name].kind,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
    }
    if tensor.scale is not None:
        facts |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return facts


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


# TFLite Metadata: fields by their place in the schema, from the first up to
# the last we use.
FIELDS = {
    "AssociatedFile": ("name", "description", "type"),
    "BoundingBoxProperties": ("index", "type", "coordinate_type"),
    "Content": ("type", "properties"),
    "CustomMetadata": ("name", "data"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space",),
    "ImageSegmenterOptions": ("activation",),
    "ModelMetadata": (
        "name", "description", "version", "subgraphs", "author", "license",
        "files", "min_parser_version",
    ),
    "NormalizationOptions": ("mean", "std"),
    "ProcessUnit": ("type", "options"),
    "ScoreThresholdingOptions": ("global_score_threshold",),
    "Stats": ("max", "min"),
    "SubGraphMetadata": (
        "name", "description", "inputs", "outputs", "files", "input_units",
        "output_units", "input_groups", "output_groups", "custom",
    ),
    "TensorMetadata": (
        "name", "description", "dimensions", "content", "units", "stats",
        "files",
    ),
}  # fmt: skip
FEATURES, IMAGE, BOX = 1, 2, 3  # kinds of content
RGB = 1
NORMALIZATION, THRESHOLD = 1, 3  # kinds of process unit
# A box is by its sides, whose places are those of left, top, right and bottom.
SIDES, PLACES = 1, (1, 0, 3, 2)


def _tflite_metadata(facts):
    outputs = [_output(facts, output) for output in facts["outputs"]]
    parts = {"inputs": [_image(facts)], "outputs": outputs}
    activations = [
        OUTPUTS[each["name"]].activation for each in facts["outputs"]
    ]
    activations = [each for each in activations if each is not None]
    if activations:
        activation = max(activations)
        # Its name is fixed, and its content a flatbuffer of its own.
        options = _file("ImageSegmenterOptions", b"V001", activation=activation)
        segmenter = "SEGMENTER_METADATA"
        parts["custom"] = [
            _table("CustomMetadata", name=segmenter, data=options)
        ]
    subgraph = _table("SubGraphMetadata", **parts)
    return _file(
        "ModelMetadata",
        b"M001",
        name=facts["name"],
        description=f"{facts['task'].capitalize()}, {facts['precision']}: "
        "Deep Layer Aggregation (CVPR 2018) by dla_keras. Takes RGB pixels, "
        "0 to 255, and normalises them itself.",
        version=str(facts["format"]),
        subgraphs=[subgraph],
        min_parser_version="1.5.0",
    )


def _image(facts):
    # The model normalizes, so pixels go in as they are.
    identity = _table("NormalizationOptions", mean=[0.0], std=[1.0])
    low, high = map(float, facts["input"]["range"])
    return _table(
        "TensorMetadata",
        name="image",
        description="RGB picture, {height}x{width}".format(**facts["input"]),
        content=_table(
            "Content",
            type=IMAGE,
            properties=_table("ImageProperties", color_space=RGB),
        ),
        units=[_table("ProcessUnit", type=NORMALIZATION, options=identity)],
        stats=_table("Stats", max=[high], min=[low]),
    )


def _output(facts, output):
    meaning = OUTPUTS[output["name"]]
    description, label_type = meaning.description, meaning.labels
    if len(output["shape"]) == 4:  # of a mask there is no other than 1
        stride = facts["input"]["height"] // output["shape"][1]
        if stride > 1:
            description += f", one for {stride}x{stride} pixels"
    labels = []
    if facts["classes"] and label_type:
        text = "class names in the order of their ids"
        labels = [
            _table(
                "AssociatedFile", name=LABELS, description=text, type=label_type
            )
        ]
    return _table(
        "TensorMetadata",
        name=output["name"],
        description=description,
        content=_content(meaning.kind),
        units=_thresholds(facts, meaning.kind),
        files=labels,
    )


def _content(kind):
    if kind != "boxes":
        features = _table("FeatureProperties")
        return _table("Content", type=FEATURES, properties=features)
    box = _table("BoundingBoxProperties", index=list(PLACES), type=SIDES)
    return _table("Content", type=BOX, properties=box)


def _thresholds(facts, kind):
    """Return below which score nothing is shown, where a run found the best."""
    best = facts["metrics"].get("best")
    if kind != "box_scores" or not best:
        return []
    least = _table(
        "ScoreThresholdingOptions", global_score_threshold=best["threshold"]
    )
    return [_table("ProcessUnit", type=THRESHOLD, options=least)]


def _table(kind, /, **values):
    """Return a table as its fields' places and values."""
    return {FIELDS[kind].index(field): v for field, v in values.items()}


def _file(kind, identifier, /, **values):
    builder = Builder()
    root = _write(builder, _table(kind, **values))
    builder.Finish(root, identifier)
    return bytes(builder.Output())


def _write(builder, value):
    """Write a string, bytes, a table, or a list of numbers or tables."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        builder.Prep(ALIGNMENT, len(value))
        return builder.CreateByteVector(value)
    if isinstance(value, dict):
        return _write_table(builder, value)
    if value and isinstance(value[0], (int, float)):
        whole = isinstance(value[0], int)
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            (builder.PrependUint32 if whole else builder.PrependFloat32)(number)
        return builder.EndVector()
    offsets = [_write(builder, table) for table in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _write_table(builder, table):
    # What a table refers to must be written before it.
    ready = {
        field: value
        if isinstance(value, (int, float))
        else _write(builder, value)
        for field, value in table.items()
    }
    builder.StartObject(max(table, default=-1) + 1)
    for field, value in table.items():
        if isinstance(value, int):
            builder.PrependUint8Slot(field, value, 0)
        elif isinstance(value, float):
            builder.PrependFloat32Slot(field, value, 0.0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, ready[field], 0)
    return builder.EndObject()
