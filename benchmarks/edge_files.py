"""List what `edge_peers.py` measures, and make its files beforehand.

`edge_peers.py` starts this in each environment. An environment need not hold
this package, so every import stands where it is needed.
"""

import argparse
import pathlib
import sys
from dataclasses import dataclass

import numpy as np

CLASSES, SIDE, HEAD_STRIDE = 19, 512, 4
CALIBRATION_PICTURES = 4


@dataclass(frozen=True)
class Contender:
    """One network on one runtime, which is measured.

    Args:
        run: A name of `RUNS` in `edge_runtimes.py`.
        source: The file of the folder, or the memory layout, that it opens.
        environment: A name of `PREPARATIONS`, where its file is prepared.
        export: Upsampling, precision and head of a file of ours; or
            `"product"`, precision, and rows, depth and columns of matrices.
            Defaults to `()`.
    """

    run: str
    source: str
    environment: str
    export: tuple = ()

    @property
    def precision(self) -> str:
        return self.export[1] if self.export else "float32"

    @property
    def is_product(self) -> bool:
        return self.export[:1] == ("product",)


def ours(*export):
    source = f"{'-'.join(map(str, export))}.tflite"
    return Contender("lite", source, "dla_keras", export)


CONTENDERS = {
    "float32": ours("bilinear", "float32", "logits"),
    "float32 to mask": ours("bilinear", "float32", "mask"),
    "float32 network alone": ours("bilinear", "float32", "coarse_logits"),
    "float32, learned": ours("learned", "float32", "logits"),
    "int8": ours("bilinear", "int8", "logits"),
    "int8 to mask": ours("bilinear", "int8", "mask"),
    "int8 network alone": ours("bilinear", "int8", "coarse_logits"),
    "int8, learned": ours("learned", "int8", "logits"),
    "PyTorch": Contender("torch", "contiguous_format", "torch"),
    "PyTorch channels_last": Contender("torch", "channels_last", "torch"),
    "ONNX Runtime": Contender("onnx", "authors.onnx", "torch"),
    "litert-torch": Contender("lite", "authors.tflite", "litert_torch"),
} | {
    f"{rows}x{depth} times {depth}x{columns}, {precision}": ours(
        "product", precision, rows, depth, columns
    )
    for precision in ("float32", "int8")
    for rows, depth, columns in ((4096, 512, 512), (1024, 1024, 1024))
}


def our_model(upsampling):
    """Return the network; its weights are the same with either upsampling."""
    import keras

    import dla_keras
    from dla_keras.weights import load_torch_state
    from dla_keras.weights import torch_slots
    from dla_keras.weights import torch_state

    keras.utils.set_random_seed(0)
    make = lambda name: dla_keras.DLASegmenter(
        "dla34",
        CLASSES,
        head_stride=HEAD_STRIDE,
        upsampling=name,
        input_shape=(SIDE, SIDE, 3),
    )
    model = learned = make("learned")
    if upsampling != "learned":
        model, state = make(upsampling), torch_state(learned)
        load_torch_state(
            model, {name: state[name] for name in torch_slots(model)}
        )
    return model


def prepare_ours(args) -> None:
    """Write our files; for the others the weights, an image and its mask."""
    from dla_keras.data.toy_streets.scene import draw_street
    from dla_keras.lite.convert.pipeline import export_tflite
    from dla_keras.weights import torch_state

    rng = np.random.default_rng(0)
    pictures = [
        draw_street(rng, SIDE, SIDE)[0] for _ in range(CALIBRATION_PICTURES)
    ]
    model = our_model("learned")
    np.savez(args.folder / "weights.npz", **torch_state(model))
    np.save(args.folder / "picture.npy", pictures[0])
    logits = model(pictures[0][None].astype("float32"), training=False)
    np.save(args.folder / "mask.npy", np.argmax(logits, -1))
    for contender in CONTENDERS.values():
        path = args.folder / contender.source
        if not contender.export or path.exists():
            continue
        kind, precision, *rest = contender.export
        if contender.is_product:
            data = product_file(precision, *rest)
        else:
            calibration = pictures if precision == "int8" else ()
            (head,) = rest
            data = export_tflite(
                our_model(kind),
                None,
                precision,
                (SIDE, SIDE),
                calibration,
                head=head,
                tuned_for=args.tuned_for,
            ).data
        path.write_bytes(data)


def product_file(precision, rows, depth, columns) -> bytes:
    """Return a `.tflite` file that multiplies by a constant matrix."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    values = lambda *shape: rng.standard_normal(shape).astype("float32")
    matrix = tf.constant(values(depth, columns))

    @tf.function(input_signature=[tf.TensorSpec((rows, depth))])
    def product(x):
        return x @ matrix

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [product.get_concrete_function()], tf.Module()
    )
    if precision == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[values(rows, depth)]]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return converter.convert()


def normalised(folder):
    """Return the image as the authors' network takes it, but channels last."""
    picture = np.load(folder / "picture.npy")[None] / 255
    picture = (picture - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return picture.astype("float32")


def authors_network(args):
    """Return the authors' network with our weights, and the image for it."""
    sys.path.insert(0, args.authors)
    import dla_up
    import torch

    network = dla_up.dla34up(CLASSES, down_ratio=HEAD_STRIDE).eval()
    network.softmax = torch.nn.Identity()  # ours gives logits
    state = np.load(args.folder / "weights.npz")
    missing, unexpected = network.load_state_dict(
        {name: torch.tensor(state[name]) for name in state}, strict=False
    )
    # What their forward pass never uses.
    unused = ("num_batches_tracked", ".project.", "base.fc.")
    missing = [n for n in missing if not any(part in n for part in unused)]
    if missing or unexpected:
        raise ValueError(
            "Expected the authors' network to take our weights. Missing: "
            f"{missing}, unexpected: {unexpected}. Is {args.authors} a clone "
            "of github.com/ucbdrive/dla?"
        )

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, image):
            return self.network(image)[0]  # [1] has not been upsampled

    image = torch.tensor(normalised(args.folder)).permute(0, 3, 1, 2)
    return Logits().eval(), image


def prepare_onnx(args) -> None:
    import torch

    path = args.folder / CONTENDERS["ONNX Runtime"].source
    if not path.exists():
        network, image = authors_network(args)
        torch.onnx.export(network, (image.contiguous(),), path, dynamo=True)


def prepare_litert_torch(args) -> None:
    import litert_torch

    path = args.folder / CONTENDERS["litert-torch"].source
    if not path.exists():
        network, image = authors_network(args)
        # Without it the file begins and ends with a transposition.
        network = litert_torch.to_channel_last_io(network, [0], [0])
        image = image.permute(0, 2, 3, 1).contiguous()
        litert_torch.convert(network.eval(), (image,)).export(str(path))


# environment -> what makes its files there
PREPARATIONS = {
    "dla_keras": prepare_ours,
    "torch": prepare_onnx,
    "litert_torch": prepare_litert_torch,
}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--folder", required=True, type=pathlib.Path, help="for the files")
    add("--environment", required=True, choices=PREPARATIONS)
    add("--authors", help="folder of the authors' code")
    add("--tuned-for", help="as `convert` takes it")
    args = parser.parse_args(argv)
    PREPARATIONS[args.environment](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
