"""Lets a `.tflite` file say what it is: facts, TFLite Metadata and labels.

TFLite Metadata is what MediaPipe Tasks and other libraries open a file by.
Its schema ships with no runtime, so the tables that we write are named here:
https://github.com/google-ai-edge/mediapipe, metadata_schema.fbs, 1.5.0.
"""

import io
import json
import zipfile

from flatbuffers import Builder

from dla_keras.lite.file.buffers import add_buffers
from dla_keras.lite.file.buffers import write_bytes
from dla_keras.lite.file.buffers import write_vector
from dla_keras.lite.file.facts import BUFFER

METADATA = "TFLITE_METADATA"
LABELS = "labels.txt"

# Fields by their place in the schema, from the first up to the last we use.
FIELDS = {
    "AssociatedFile": ("name", "description", "type"),
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
FEATURES, IMAGE = 1, 2  # kinds of content
RGB = 1
NORMALIZATION = 1  # kind of process unit

SOFTMAX = 2  # what MediaPipe makes confidences of logits by

# kind of output -> (what it is, kind of its labels: names of the values or of
# the last axis)
OUTPUTS = {
    "class_ids": ("the class of each pixel", 3),
    "logits": ("a score per pixel and class", 2),
    "boundary": ("the probability of an edge per pixel", None),
}


def describe(data: bytes, facts: dict) -> bytes:
    """Puts the facts, TFLite Metadata and `labels.txt` into a file.

    Weights and operations stay as they are, byte for byte.

    Args:
        data: a `.tflite` file that says nothing of itself yet.
        facts: what `collect_facts` gave.

    Returns:
        The new file's bytes. `labels.txt` can be unzipped from them.

    Raises:
        ValueError: for bytes that are no whole `.tflite` file, one that is
            described already, or an unknown kind of output.
    """
    unknown = {output["kind"] for output in facts["outputs"]} - OUTPUTS.keys()
    if unknown:
        raise ValueError(
            f"An output's kind must be one of {', '.join(OUTPUTS)}. Received: "
            f"{', '.join(sorted(unknown))}."
        )
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    described = add_buffers(
        data, {BUFFER: text.encode(), METADATA: _tflite_metadata(facts)}
    )
    return _with_labels(described, facts) if facts["classes"] else described


def _tflite_metadata(facts):
    outputs = [_output(facts, output) for output in facts["outputs"]]
    kinds = {output["kind"] for output in facts["outputs"]}
    activation = SOFTMAX if "logits" in kinds else 0
    # Its name is fixed, and its content a flatbuffer of its own.
    options = _file("ImageSegmenterOptions", b"V001", activation=activation)
    segmenter = _table(
        "CustomMetadata", name="SEGMENTER_METADATA", data=options
    )
    subgraph = _table(
        "SubGraphMetadata",
        inputs=[_image(facts)],
        outputs=outputs,
        custom=[segmenter],
    )
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
    # The model normalises, so pixels go in as they are.
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
    description, label_type = OUTPUTS[output["kind"]]
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
        content=_table(
            "Content", type=FEATURES, properties=_table("FeatureProperties")
        ),
        files=labels,
    )


def _with_labels(data, facts):
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        names = [entry["name"] for entry in facts["classes"]]
        # A `ZipInfo` is dated 1980: the same facts make the same bytes.
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(names) + "\n")
    return stream.getvalue()


def _table(kind, /, **values):
    """A table as its fields' places and values."""
    return {FIELDS[kind].index(field): v for field, v in values.items()}


def _file(kind, identifier, /, **values):
    builder = Builder()
    root = _write(builder, _table(kind, **values))
    builder.Finish(root, identifier)
    return bytes(builder.Output())


def _write(builder, value):
    """Writes a string, bytes, a table, or a list of floats or tables."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        return write_bytes(builder, value)
    if isinstance(value, dict):
        return _write_table(builder, value)
    if value and isinstance(value[0], float):
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return builder.EndVector()
    return write_vector(builder, [_write(builder, table) for table in value])


def _write_table(builder, table):
    # What a table refers to must be written before it.
    ready = {
        field: value if isinstance(value, int) else _write(builder, value)
        for field, value in table.items()
    }
    builder.StartObject(max(table, default=-1) + 1)
    for field, value in table.items():
        if isinstance(value, int):
            builder.PrependUint8Slot(field, ready[field], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, ready[field], 0)
    return builder.EndObject()
