"""What is whole: pictures, labels, runs and model files, made once."""

import json
import os
import pathlib
import shlex
import shutil
from unittest import mock

import numpy as np
from PIL import Image
from tiny_variant import TINY_VARIANT

SIZE = 64
NAMES = ("road", "car", "sky")
COLORS = ((128, 64, 128), (0, 0, 142), (70, 130, 180))

# The flags of the runs, but for their folder; `half` is `run`, killed.
NET = "--variant dla_tiny --size 64x64 --batch-size 2 --weights none"
STEPS = "--steps 40 --optimizer adamw --learning-rate 4e-3 --seed 3"
OFTEN = "--checkpoint-steps 38 --validate-every 0 --deterministic"
SEG = f"train-seg --dataset seg {NET} {STEPS} {OFTEN}"
CLS = f"train-cls --dataset classes {NET} {STEPS} {OFTEN}"
EDGE = f"train-boundary --dataset edges {NET} {STEPS} {OFTEN}"
EXPORT = "export-tflite --model run/model.keras --dataset seg"
PREDICT = "predict --input photos --output"


def scene(seed):
    """Return a picture and its label: boxes in the brightness of a class."""
    random = np.random.default_rng(seed)
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[:20] = 2
    top, left = random.integers(22, 40, 2)
    label[top : top + 20, left - 20 : left] = 1
    noise = random.integers(0, 40, (SIZE, SIZE, 3))
    return (label[..., None] * 90 + noise).astype(np.uint8), label


def save(pixels, *parts):
    path = pathlib.Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_pictures():
    """Write folders of data: two of label maps, classes, boundaries."""
    for seed in range(8):
        image, label = scene(seed)
        split = "train" if seed < 6 else "val"
        save(image, "seg", split, "images", f"s{seed}.png")
        save(label, "seg", split, "masks", f"s{seed}.png")
        save(image, "lists", f"image_{seed}.png")
        save(label, "lists", f"label_{seed}.png")
        for place, limit in (("cat", 120), ("dog", 255)):
            tinted = np.minimum(image, limit)
            save(tinted, "classes", split, place, f"{place}{seed}.png")
        edges = np.zeros_like(label)
        edges[:, :-1] |= np.uint8(255) * (label[:, 1:] != label[:, :-1])
        edges[:-1] |= np.uint8(255) * (label[1:] != label[:-1])
        save(image, "edges", f"image_{seed}.png")
        save(edges, "edges", f"label_{seed}.png")
        if split == "val":
            save(image, "photos", f"p{seed}.png")
            save(edges, "truth", f"s{seed}.png")
            save(np.roll(edges, 1, 0), "maps", f"s{seed}.png")
    for folder in ("lists", "edges"):
        for split, seeds in (("train", range(6)), ("val", range(6, 8))):
            for kind in ("image", "label"):
                lines = "".join(f"{kind}_{seed}.png\n" for seed in seeds)
                path = pathlib.Path(folder, f"{split}_{kind}s.txt")
                path.write_text(lines)
    for folder in ("seg", "lists"):
        facts = {"class_names": NAMES, "palette": COLORS}
        pathlib.Path(folder, "info.json").write_text(json.dumps(facts))


def write_half():
    """Write the run as if it had been killed after its checkpoint."""
    shutil.copytree("run", "half")
    kept = ("config.json", "steps.csv", "history.csv")
    for path in pathlib.Path("half").iterdir():
        if path.is_dir() and path.name != "checkpoints":
            shutil.rmtree(path)
        elif path.is_file() and not path.name.startswith((*kept, "events")):
            path.unlink()
    for path in pathlib.Path("half/checkpoints").iterdir():
        if path.name != "step-00000038.npz":
            path.unlink()


def write_weights():
    """Write the network's weights as others keep them."""
    from dla_keras import save_torch_weights
    from dla_keras.inference.model_files import load_model

    model = load_model("run/model.keras")
    save_torch_weights(model, "w.safetensors")
    model.save_weights("w.weights.h5")


def write_models():
    for run, name in (("crun", "class"), ("erun", "edge")):
        dataset = {"crun": "classes", "erun": "edges"}[run]
        words = f"export-tflite --model {run}/model.keras --dataset {dataset}"
        call(f"{words} --output {name}.tflite --min-agreement 0")
    call(f"{EXPORT} --output mask.tflite")
    call(f"{EXPORT} --output logits.tflite --head logits")
    call(f"{EXPORT} --output int8.tflite --precision int8 --min-agreement 0.5")
    call("export-saved-model --model run/model.keras --output saved")
    for name in ("run/model.keras", "mask.tflite", "saved"):
        words = f"{PREDICT} expected/{pathlib.Path(name).stem}"
        call(f"{words} --model {name}")


def call(words):
    from dla_keras.commands.main import main as command

    assert command(shlex.split(words)) == 0, words


def write_tfds():
    """Write a dataset of TFDS, which needs no code of its own to be read."""
    import tensorflow_datasets as tfds

    image = tfds.features.Image(shape=(None, None, 3))
    features = tfds.features.FeaturesDict(
        {
            "image": image,
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
    )
    rows = [
        (seed, {"image": scene(seed)[0], "label": seed % 2})
        for seed in range(4)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="little_pets",
        version="1.0.0",
        data_dir=os.path.abspath("tfds"),
        split_datasets={"train": rows, "test": rows[:2]},
        features=features,
        disable_shuffling=True,
    )


def main(arguments) -> int:
    """Make everything in a folder; for `processes.start`."""
    from dla_keras.variants import VARIANTS

    (folder,) = arguments
    os.makedirs(folder)
    os.chdir(folder)
    with mock.patch.dict(VARIANTS, TINY_VARIANT):
        write_pictures()
        call(f"{SEG} --run-dir run")
        call(f"{CLS} --run-dir crun")
        call(f"{EDGE} --run-dir erun")
        write_half()
        write_models()
        write_weights()
        write_tfds()
    return 0
