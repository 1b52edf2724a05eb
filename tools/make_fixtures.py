"""Writes what the demos are compared with: models, pictures, masks.

python tools/make_fixtures.py FOLDER

Two sizes in two precisions, eight pictures for each, and what Python makes of
them: `ai_edge_litert` with XNNPACK, and Pillow for pictures that are resized.
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from PIL import Image
from small_model import draw_samples
from small_model import small_model_files

from dla_keras.data.toy_streets import draw_picture
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.tflite_model import LiteModel

SIZES = ((96, 192), (64, 96))  # height and width, pixels
PICTURES = 8
# Of the picture beside the model's: as large, smaller (padded), larger
# (shrunk), and larger in one direction only.
SCALES = ((1, 1), (0.75, 0.5), (2, 2), (1.37, 0.7))


def pictures_for(size):
    """Eight pictures, four kinds of sizes."""
    for index in range(PICTURES):
        image, _ = draw_picture("val", index)
        scale = SCALES[index % len(SCALES)]
        height, width = (round(s * f) for s, f in zip(size, scale, strict=True))
        resized = Image.fromarray(image).resize((width, height))
        yield np.asarray(resized)


def write_masks(folder, name, data):
    """Pictures, what goes into the network, and masks, raw, and a list."""
    model = LiteModel(data)
    size = model.input_shape[1:3]
    predictor = Predictor(model, size)
    entries = []
    for index, picture in enumerate(pictures_for(size)):
        stem = f"{name}-{index}"
        mask = predictor(picture)
        Image.fromarray(picture).save(folder / f"{stem}.png")
        (folder / f"{stem}.input").write_bytes(fit_picture(picture, *size))
        (folder / f"{stem}.mask").write_bytes(np.ascontiguousarray(mask))
        entries.append({"stem": stem, "classes": len(np.unique(mask))})
    return entries


def edited(data, change) -> bytes:
    """Return a `.tflite` file after `change` to its object form."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    change(model, model.subgraphs[0])
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def set_type(model, subgraph, ends, kind):
    for index in getattr(subgraph, ends):
        subgraph.tensors[index].type = kind


def open_batch(model, subgraph):
    tensor = subgraph.tensors[subgraph.inputs[0]]
    tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)


def replace_facts(change):
    def replace(model, subgraph):
        (entry,) = [m for m in model.metadata if m.name == b"DLA_KERAS"]
        buffer = model.buffers[entry.buffer]
        content = change(bytes(buffer.data))
        buffer.data = np.frombuffer(content, np.uint8)

    return replace


def without_facts(model, subgraph):
    model.metadata = [m for m in model.metadata if m.name != b"DLA_KERAS"]


def unknown_operation(model, subgraph):
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"Foreign"


def with_facts(**facts):
    return replace_facts(
        lambda content: json.dumps(json.loads(content) | facts).encode()
    )


INT8 = schema.TensorType.INT8
FLOAT32 = schema.TensorType.FLOAT32
FAULTS = {
    "int8-input": lambda m, s: set_type(m, s, "inputs", INT8),
    "int8-output": lambda m, s: set_type(m, s, "outputs", INT8),
    "float-input": lambda m, s: set_type(m, s, "inputs", FLOAT32),
    "open-batch": open_batch,
    "no-facts": without_facts,
    "broken-facts": replace_facts(lambda content: content[:-9]),
    "later-format": with_facts(format=2),
    "boundary": with_facts(task="boundary"),
    "no-classes": with_facts(classes=[]),
    "other-classes": with_facts(outputs=[{"name": "logits", "kind": "logits"}]),
    "unknown-operation": unknown_operation,
}


def main(folder):
    models, faults, pictures = (
        pathlib.Path(folder) / part for part in ("models", "faults", "pictures")
    )
    for part in (models, faults, pictures):
        part.mkdir(parents=True, exist_ok=True)
    masks = {}
    for (precision, size), data in small_model_files(SIZES).items():
        name = f"{precision}-{size[0]}x{size[1]}"
        (models / f"{name}.tflite").write_bytes(data)
        masks[name] = write_masks(pictures, name, data)
    (pictures / "masks.json").write_text(json.dumps(masks, indent=2))
    draw_samples(models, 2)
    for name, change in FAULTS.items():
        (faults / f"{name}.tflite").write_bytes(edited(data, change))
    (faults / "cut.tflite").write_bytes(data[: len(data) // 2])
    (faults / "letter.tflite").write_text("This is a letter.\n")
    (faults / "letter.png").write_text("This is a letter too.\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
