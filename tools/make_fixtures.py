"""Writes what the demos are compared with: models, pictures, masks.

python tools/make_fixtures.py FOLDER

Two sizes in two precisions, eight pictures for each, and what Python makes of
them: `ai_edge_litert` with XNNPACK, and Pillow for pictures that are resized.
Camera frames too, with every turn of the phone, and files that are at fault,
with what a demo must say of each.
"""

import itertools
import json
import pathlib
import re
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from facts_table import GOOD
from facts_table import ROOM
from facts_table import bad_facts
from facts_table import empty_file
from flatbuffers import Builder
from PIL import Image
from small_model import PRECISIONS
from small_model import draw_samples
from small_model import small_model_files

from dla_keras.data.fitting import central_crop
from dla_keras.data.fitting import read_fit
from dla_keras.data.pictures import read_rgb
from dla_keras.data.toy_streets import draw_picture
from dla_keras.inference.model_checks import NO_DIGEST
from dla_keras.inference.model_files import CROP_FRACTION
from dla_keras.inference.prediction_files import blend_mask
from dla_keras.inference.predictor import Predictor
from dla_keras.inference.predictor import fit_picture
from dla_keras.inference.tflite_model import LiteModel
from dla_keras.quiet import quiet_stderr

SIZES = ((96, 192), (64, 96))  # height and width, pixels
PICTURES = 8
# Of the picture beside the model's: as large, smaller (padded), larger
# (shrunk), and larger in one direction only.
SCALES = ((1, 1), (0.75, 0.5), (2, 2), (1.37, 0.7))
OPACITY = 0.6
BOXES_SIZE = SIZES[1]  # of detectors
DIGEST = rb'(?P<key>"digest": ?")[0-9a-f]{64}'

FRAME = (12, 20)  # height and width of camera frames, even as cameras' are
# How a camera may lay out a frame: bytes from row to row, from row to row of
# colors, and from color to color.
LAYOUTS = {
    "planar": (20, 10, 1),
    "semiplanar": (20, 20, 2),
    "padded": (32, 24, 2),
}
# Frames and networks, width and height: a phone's both ways, a network taller
# than a frame, equal ones, and one pixel too many.
CROPS = (
    ((480, 640), (384, 192)), ((640, 480), (384, 192)),
    ((480, 640), (192, 384)), ((384, 192), (384, 192)),
    ((1921, 1080), (96, 64)), ((641, 479), (224, 224)),
)  # fmt: skip


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
    predictor = Predictor(model, size, model.fit)
    palette = np.array(model.palette)
    entries = []
    for index, picture in enumerate(pictures_for(size)):
        stem = f"{name}-{index}"
        mask = predictor(picture)
        Image.fromarray(picture).save(folder / f"{stem}.png")
        fitted = fit_picture(picture, *size, model.fit)
        (folder / f"{stem}.input").write_bytes(np.ascontiguousarray(fitted))
        (folder / f"{stem}.mask").write_bytes(np.ascontiguousarray(mask))
        overlay = blend_mask(Image.fromarray(picture), mask, palette, OPACITY)
        (folder / f"{stem}.overlay").write_bytes(overlay.tobytes())
        shape = dict(zip(("height", "width"), picture.shape, strict=False))
        classes = len(np.unique(mask))
        entries.append({"stem": stem, "classes": classes, **shape})
    return entries


def edited(data, change) -> bytes:
    """Return a `.tflite` file after `change` to its object form.

    It carries no digest, which would be that of the file before.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    change(model, model.subgraphs[0])
    for entry in model.metadata:
        if entry.name == b"DLA_KERAS":
            buffer = model.buffers[entry.buffer]
            none = rb"\g<key>" + NO_DIGEST.encode()
            plain = re.sub(DIGEST, none, bytes(buffer.data))
            buffer.data = np.frombuffer(plain, np.uint8)
    builder = Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    labels = data[data.rindex(b"PK\3\4") :]
    return bytes(builder.Output()) + labels


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


# Rules of fitting, as a file's facts say them: picture, room -> size in it.
FITS = {
    "letterbox": {"fit": "letterbox", "max_side": 80},
    "stretch": {"fit": "stretch"},
}
FITTED = (
    ((3008, 4000), (800, 1024)), ((4000, 3008), (800, 1024)),
    ((600, 800), (800, 1024)), ((5, 160), (32, 96)), ((1, 4000), (32, 64)),
    ((481, 641), (192, 192)), ((360, 480), (384, 480)),
)  # fmt: skip


def with_fit(fit):
    """Let a file say another rule of fitting."""

    def change(content):
        facts = json.loads(content)
        return json.dumps(facts | {"input": facts["input"] | fit}).encode()

    return replace_facts(change)


def fitted_sizes() -> list:
    """Return rules, pictures and rooms with the sizes in them."""
    rules = [{"fit": "pad"}, {"fit": "letterbox"}, *FITS.values()]
    rules.append({"fit": "letterbox", "max_side": 1000})
    return [
        {**rule, "picture": picture, "room": room, "size": size}
        for rule, (picture, room) in itertools.product(rules, FITTED)
        for size in [read_fit(rule).content(*picture, room)]
    ]


def crop_to(frame, network) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a frame's middle part.

    It is the largest with the network's proportions: live frames are cropped,
    never squashed.

    Args:
        frame: Width and height.
        network: Width and height.
    """
    width, height = frame
    to_width, to_height = network
    if width * to_height > height * to_width:
        width = (2 * height * to_width + to_height) // (2 * to_height)
    else:
        height = (2 * width * to_height + to_width) // (2 * to_width)
    left, top = (frame[0] - width) // 2, (frame[1] - height) // 2
    return left, top, width, height


def write_frames(folder) -> None:
    """Camera frames in three layouts, and their colors for every turn."""
    height, width = FRAME
    random = np.random.default_rng(0)
    light = random.integers(0, 256, FRAME, dtype=np.uint8)
    colors = random.integers(
        0, 256, (2, height // 2, width // 2), dtype=np.uint8
    )
    for name, (row, color_row, step) in LAYOUTS.items():
        # The two planes of colors lie in one another, where they step by two.
        planes = np.full((3, height, max(row, color_row)), 99, np.uint8)
        planes[0, :, :width] = light
        for plane, color in zip(planes[1:], colors, strict=True):
            plane[: height // 2, : width // 2 * step : step] = color
        parts = [planes[0, :, :row], *planes[1:, : height // 2, :color_row]]
        content = b"".join(
            np.ascontiguousarray(part).tobytes() for part in parts
        )
        (folder / f"{name}.yuv").write_bytes(content)
    full = [plane.repeat(2, 0).repeat(2, 1) for plane in colors]
    channels = [Image.fromarray(plane) for plane in (light, *full)]
    rgb = np.asarray(Image.merge("YCbCr", channels).convert("RGB"))
    for degrees, mirrored in itertools.product((0, 90, 180, 270), (0, 1)):
        upright = np.rot90(rgb, -degrees // 90)
        upright = upright[:, ::-1] if mirrored else upright
        name = f"{degrees}-{mirrored}.rgb"
        (folder / name).write_bytes(upright.tobytes())
    facts = {"height": height, "width": width, "layouts": LAYOUTS}
    (folder / "frames.json").write_text(json.dumps(facts))
    crops = [(*f, *n, *crop_to(f, n)) for f, n in CROPS]
    (folder / "crops.json").write_text(json.dumps(crops))


INT8 = schema.TensorType.INT8
FLOAT32 = schema.TensorType.FLOAT32
# File -> how it is made of a good one, and what a demo must say of it.
FAULTS = {
    "int8-input": (
        lambda m, s: set_type(m, s, "inputs", INT8), r"takes int8 numbers"
    ),
    "int8-output": (
        lambda m, s: set_type(m, s, "outputs", INT8), r"gives int8 numbers"
    ),
    "float-input": (
        lambda m, s: set_type(m, s, "inputs", FLOAT32),
        r"takes float32 \(1, 64, 96, 3\)",
    ),
    "open-batch": (open_batch, r"size is left open.*dynamic batch"),
    "no-facts": (without_facts, r"says nothing about its classes"),
    "broken-facts": (
        replace_facts(lambda content: content[:-9]), r"facts.*are damaged"
    ),
    "later-format": (
        with_facts(format=2), r"format 2; this \w+ reads format 1"
    ),
    "boundary": (with_facts(task="boundary"), r"made for boundary"),
    "no-classes": (with_facts(classes=[]), r"classes should be"),
    "other-classes": (
        with_facts(outputs=[{"name": "logits", "kind": "logits"}]),
        r"facts and its network differ",
    ),
    "unknown-operation": (unknown_operation, r"refuses it"),
}  # fmt: skip
NO_MODELS = {"cut": r"cut short or damaged", "letter": r"no \.tflite file"}


def write_others(models, pictures) -> None:
    """Files that give other things than a mask, and their numbers."""
    import keras

    from dla_keras import DLAClassifier
    from dla_keras import DLASegmenter
    from dla_keras.lite.convert.pipeline import export_tflite

    keras.utils.set_random_seed(5)
    picture, _ = draw_picture("val", 1)
    Image.fromarray(picture).save(pictures / "others.png")
    names = [f"street {index}" for index in range(7)]
    networks = {
        "boundary": DLASegmenter("dla46_c", 3, boundary_head=True),
        "classifier": DLAClassifier("dla46_c", 7, class_names=names),
    }
    for name, network in networks.items():
        network(picture[None], training=True)
        with quiet_stderr():
            data = export_tflite(network, None, "float32", (64, 96)).data
        (models / f"{name}.tflite").write_bytes(data)
        model = LiteModel(data)
        if name == "classifier":
            fitted = central_crop(picture, (64, 96), CROP_FRACTION)
            numbers = model.run(fitted)
            (pictures / "others.input").write_bytes(fitted.tobytes())
        else:
            numbers = model.boundaries(fit_picture(picture, 64, 96, model.fit))
        content = np.asarray(numbers, "<f4").tobytes()
        (pictures / f"{name}.f32").write_bytes(content)


def write_boxes(models, pictures, fits) -> None:
    """Write detectors by every rule of fitting, and what they find.

    Args:
        models: Folder of the files.
        pictures: Folder that holds pictures for their size already.
        fits: Rule -> what a file's facts say of it.
    """
    from dla_keras.inference.model_files import describe_lite
    from dla_keras.lite.convert.pipeline import export_tflite

    drawn = [draw_picture("train", index)[0] for index in range(8)]
    network = random_detector(np.stack(drawn))
    found = {}
    made = {}
    for precision in PRECISIONS:
        with quiet_stderr():
            export = export_tflite(
                network, None, precision, BOXES_SIZE, calibration=drawn
            )
        made[precision] = export.data
    for precision, (rule, fit) in itertools.product(PRECISIONS, fits.items()):
        name = f"boxes-{precision}-{rule}"
        data = edited(made[precision], with_fit(fit))
        (models / f"{name}.tflite").write_bytes(data)
        opened = describe_lite(LiteModel(data))
        found[name] = {}
        for index in range(PICTURES):
            stem = "int8-{}x{}-{}".format(*BOXES_SIZE, index)
            image = read_rgb(pictures / f"{stem}.png")
            each = opened.boxes(image)
            rows = zip(each.classes, each.scores, *each.boxes.T, strict=True)
            found[name][stem] = [list(map(float, row)) for row in rows]
    (pictures / "boxes.json").write_text(json.dumps(found))


def random_detector(images):
    """Return a `DLADetector` whose boxes have all scores and some size.

    Args:
        images: uint8 `(n, h, w, 3)`, whose statistics batch norms take.
    """
    import keras

    from dla_keras import DLADetector

    keras.utils.set_random_seed(7)
    names = ["car", "person", "light"]
    model = DLADetector("dla46_c", 3, class_names=names, head_filters=32)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if "conv3" in layer.name:  # the end of a block, as in small_model
                layer.gamma.assign(0.1 * layer.gamma)
    maps = model(images, training=True)
    for name, mean, spread in (
        ("heat", -1, 2),
        ("size", 6, 2),
        ("offset", 0.5, 0.3),
    ):
        last = model.get_layer(f"{name}_fc")
        kernel, bias = last.get_weights()
        values = np.asarray(maps[name]).reshape(-1, len(bias))
        scale = spread / values.std(0)
        last.set_weights(
            [kernel * scale, (bias - values.mean(0)) * scale + mean]
        )
    return model


def write_facts(folder) -> None:
    """Write a file whose facts a test puts others into, and those."""
    (folder / "facts.tflite").write_bytes(empty_file(json.dumps(GOOD)))
    table = {"good": json.dumps(GOOD), "bad": bad_facts(), "room": ROOM}
    (folder / "facts.json").write_text(json.dumps(table))


def main(folder):
    folders = ("models", "others", "faults", "pictures", "frames")
    parts = [pathlib.Path(folder) / name for name in folders]
    models, other_models, faults, pictures, frames = parts
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    masks = {}
    for (precision, size), data in small_model_files(SIZES).items():
        name = f"{precision}-{size[0]}x{size[1]}"
        (models / f"{name}.tflite").write_bytes(data)
        masks[name] = write_masks(pictures, name, data)
    (pictures / "masks.json").write_text(json.dumps(masks, indent=2))
    fits = {}
    for rule, fit in FITS.items():
        name = f"int8-64x96-{rule}"
        other = edited(data, with_fit(fit))
        (other_models / f"{name}.tflite").write_bytes(other)
        fits[name] = write_masks(pictures, name, other)
    sizes = {"sizes": fitted_sizes(), "masks": fits}
    (pictures / "fits.json").write_text(json.dumps(sizes, indent=2))
    write_others(other_models, pictures)
    write_boxes(other_models, pictures, {"pad": {"fit": "pad"}, **FITS})
    draw_samples(models, range(2))
    for name, (change, _) in FAULTS.items():
        (faults / f"{name}.tflite").write_bytes(edited(data, change))
    other = edited(data, with_fit({"fit": "crop"}))
    (faults / "other-fit.tflite").write_bytes(other)
    (faults / "cut.tflite").write_bytes(data[: len(data) // 2])
    (faults / "letter.tflite").write_text("This is a letter.\n")
    (faults / "letter.png").write_text("This is a letter too.\n")
    said = {name: words for name, (_, words) in FAULTS.items()} | NO_MODELS
    (faults / "faults.json").write_text(json.dumps(said, indent=2))
    write_facts(faults)
    write_frames(frames)


if __name__ == "__main__":
    main(*sys.argv[1:])
