"""Runs one `.tflite` file in one runtime: pictures in, outputs out.

python runner.py LIBRARY KERNELS MODEL PICTURES.npy OUTPUTS.npz

A script of its own that needs numpy and the runtime only, since it also runs
in other environments and on other processors. Prints what ran as JSON.
"""

import importlib
import importlib.metadata
import json
import platform
import sys

import numpy as np

# package -> (module with its `Interpreter`, its distribution)
INTERPRETERS = {
    "ai_edge_litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
    "tflite_runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
}
KERNELS = {"xnnpack": "AUTO", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}


def run_interpreter(package, kernels, model, pictures):
    """Return each output of the file for all pictures, as it gives them."""
    module = importlib.import_module(INTERPRETERS[package][0])
    interpreter = module.Interpreter(
        model_path=model,
        num_threads=1,
        experimental_op_resolver_type=getattr(
            module.OpResolverType, KERNELS[kernels]
        ),
    )
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    indices = [o["index"] for o in interpreter.get_output_details()]
    outputs = []
    for picture in pictures:
        interpreter.set_tensor(image, picture[None])
        interpreter.invoke()
        outputs.append([interpreter.get_tensor(i)[0] for i in indices])
    return [np.stack(values) for values in zip(*outputs, strict=True)]


def run_mediapipe(model, pictures):
    """Return the category mask that MediaPipe Tasks gives for each image."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python import vision

    options = vision.ImageSegmenterOptions(
        BaseOptions(model_asset_path=model),
        output_category_mask=True,
        output_confidence_masks=False,
    )
    masks = []
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        for picture in pictures:
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, picture)
            mask = segmenter.segment(image).category_mask.numpy_view()
            masks.append(mask.reshape(picture.shape[:2]).copy())
    return [np.stack(masks)]


def main(package, kernels, model, pictures, outputs):
    images = np.load(pictures)
    if package == "mediapipe":
        distribution, result = package, run_mediapipe(model, images)
    else:
        distribution = INTERPRETERS[package][1]
        result = run_interpreter(package, kernels, model, images)
    np.savez(outputs, *result)
    version = importlib.metadata.version(distribution)
    print(json.dumps({"version": version, "machine": platform.machine()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
