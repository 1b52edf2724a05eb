"""Python's doors: images, arguments and files that are none."""

import pathlib

import numpy as np
from attack import Attack
from attack_changes import cut
from attack_changes import folder
from PIL import Image

AREA = "the Python API"

GIVEN = "mask.tflite logits.tflite class.tflite edge.tflite seg photos run crun"
IMAGE = np.random.default_rng(0).integers(0, 255, (48, 50, 3), np.uint8)


def door(wrong, call, *names, changes=()):
    """Return a call of Python that must raise an error with these words."""
    return Attack(wrong, call, names, changes, given=GIVEN)


def same(wrong, call):
    """Return a call of Python that checks its own result."""
    return Attack(wrong, call, (), given=GIVEN)


def public():
    import dla_keras

    return dla_keras


def dla(name, *args, **options):
    """Return a call of a public name."""

    def call():
        return getattr(public(), name)(*args, **options)

    return call


def seen(image, file="mask.tflite", method="__call__"):
    """Return a call of a model with an image."""

    def call():
        import dla_keras

        model = dla_keras.load(file)
        return getattr(model, method)(image)

    return call


def equal(image, other=IMAGE):
    """Return a call that checks that two images have one mask."""

    def call():
        import dla_keras

        model = dla_keras.load("mask.tflite")
        found, expected = model(image), model(other)
        if not np.array_equal(found, expected):
            raise AssertionError("another mask")

    return call


def tiny(**options):
    import dla_keras

    return dla_keras.DLASegmenter("dla_tiny", 3, **options)


def of_model(use, **options):
    """Return a call of a function of a small network."""
    return lambda: use(tiny(**options))


def segmenter(wrong, name, **options):
    options = {"variant": "dla_tiny", "num_classes": 3, **options}
    return door(wrong, dla("DLASegmenter", **options), name)


def classifier(wrong, name, **options):
    return door(wrong, dla("DLA", "dla_tiny", **options), name)


def export(wrong, name, **options):
    def call():
        import dla_keras

        options.setdefault("size", (64, 64))
        dla_keras.export_tflite(tiny(), **options)

    return door(wrong, call, name)


def evaluation(wrong, *names, **options):
    options = {"model": "mask.tflite", "dataset": "seg", **options}
    return door(wrong, dla("evaluate", **options), *names)


def nan_model():
    model = tiny()
    model.set_weights([w * np.nan for w in model.get_weights()])
    return model


# fmt: off
ATTACKS = [
    # --- load ---
    door("load a number", dla("load", 5), "5"),
    door("load nothing", dla("load", None), "None"),
    door("load no letters", dla("load", ""), "path"),
    door("load bytes", dla("load", b"mask.tflite"), "mask.tflite"),
    door("load a list", dla("load", ["mask.tflite"]), "mask.tflite"),
    door("load what is not there", dla("load", "no/such.keras"), "no/such.keras"),
    door("load a name with a zero", dla("load", "mask\0.tflite"), "mask"),
    door("load a folder of pictures", dla("load", pathlib.Path("photos")), "photos"),
    door("load a damaged model", dla("load", "run/model.keras"), "run/model.keras", changes=cut("run/model.keras", 0.4)),
    door("load an empty folder", dla("load", "x.keras"), "x.keras", changes=folder("x.keras")),
    *(
        door(
            f"load with {threads!r} threads",
            dla("load", "mask.tflite", threads),
            "threads",
        )
        for threads in (0, -1, True, "2", 1.5, None, np.nan, 10**9)
    ),
    # --- Images ---
    *(
        door(f"an image that is {wrong}", seen(image), *names)
        for wrong, image, names in (
            ("nothing", None, ("image",)),
            ("a path", "photos/p6.png", ("image",)),
            ("a number", 7, ("image",)),
            ("a dictionary", {"image": IMAGE}, ("image",)),
            ("numbers in lists", IMAGE.tolist(), ("nested lists",)),
            ("of five axes", IMAGE[None, None], ("shape",)),
            ("of one axis", IMAGE.ravel(), ("shape",)),
            ("of two channels", IMAGE[..., :2], ("channels",)),
            ("of channels first", np.moveaxis(IMAGE, -1, 0), ("channels",)),
            ("of nothing", IMAGE[:0], ("shape",)),
            ("of truth", IMAGE > 99, ("bool",)),
            ("of complex numbers", IMAGE * 1j, ("complex",)),
            ("of objects", IMAGE.astype(object), ("object",)),
            ("of words", IMAGE.astype("U3"), ("U3",)),
            ("not finite", IMAGE * np.nan, ("nan",)),
            ("without bound", np.where(IMAGE > 9, np.inf, IMAGE), ("inf",)),
            ("below zero", IMAGE - 128.0, ("0 to 255",)),
            ("of 16 bits", IMAGE.astype("u2") * 257, ("257",)),
            ("from 0 to 1", IMAGE / 255, ("255",)),
            ("normalized", (IMAGE / 255 - 0.5) / 0.2, ("0 to 255",)),
            ("a batch with a path", [IMAGE, "photos/p6.png"], ("image",)),
            (
                "a batch with a faulty one",
                [IMAGE, IMAGE[..., :2]],
                ("channels",),
            ),
        )
    ),
    same("an image in Fortran's order", equal(np.asfortranarray(IMAGE))),
    same("an image of others' bytes", equal(IMAGE.astype(">u2"))),
    same("an image that is read backwards", equal(IMAGE[::-1, ::-1][::-1, ::-1])),
    same("an image of doubles", equal(IMAGE.astype(float))),
    same("an image of Pillow in a palette", equal(Image.fromarray(IMAGE[..., 0]).convert("P"), np.stack([IMAGE[..., 0]] * 3, -1))),
    same("an image of Pillow with alpha", equal(Image.fromarray(np.dstack([IMAGE, IMAGE[..., :1] * 0 + 255])))),
    door("boundaries of a segmenter", seen(IMAGE, method="boundary"), "boundaries", "mask.tflite"),
    door("probabilities of a mask", seen(IMAGE, method="probabilities"), "logits"),
    door("a mask of a classifier", seen(IMAGE, "class.tflite", "mask"), "class.tflite"),
    # --- Networks ---
    *(
        segmenter(f"{count!r} classes", "num_classes", num_classes=count)
        for count in (0, 1, -3, True, 2.5, "3", None, np.nan, 10**9)
    ),
    segmenter("a variant of nobody", "dla34", variant="dla_35"),
    segmenter("a variant that is a number", "variant", variant=34),
    segmenter("a variant that is a list", "variant", variant=["dla34"]),
    segmenter("a stride of 3", "head_stride", head_stride=3),
    segmenter("a stride in words", "head_stride", head_stride="4"),
    segmenter("a node of nobody", "node", node="Conv"),
    segmenter("an upsampling of nobody", "upsampling", upsampling=None),
    segmenter("names for two of three", "class_names", class_names=("a", "b")),
    segmenter("names that are one text", "class_names", class_names="abc"),
    segmenter("names of numbers", "class_names", class_names=(1, 2, 3)),
    segmenter("a name twice", "class_names", class_names=("a", "b", "a")),
    segmenter("a name of two lines", "class_names", class_names=("a", "b\nc", "d")),
    segmenter("colors for two of three", "palette", palette=((0, 0, 0),) * 2),
    segmenter("a color of four numbers", "palette", palette=((0, 0, 0, 0),) * 3),
    segmenter("a color beyond a byte", "palette", palette=((0, 0, 256),) * 3),
    segmenter("a color of halves", "palette", palette=((0.5, 0, 0),) * 3),
    segmenter("colors in words", "palette", palette=("red", "blue", "sky")),
    segmenter("a working size of 9", "working_size", working_size=9),
    segmenter("a working size of one side", "working_size", working_size=(64,)),
    segmenter("a working size in words", "working_size", working_size="64x64"),
    segmenter("a working size of truth", "working_size", working_size=True),
    segmenter("a mean of two", "mean", mean=(0.5, 0.5)),
    segmenter("a mean that is not finite", "mean", mean=(0.5, np.nan, 0.5)),
    segmenter("no deviation", "std", std=(0.2, 0.0, 0.2)),
    segmenter("a deviation below zero", "std", std=(0.2, -0.2, 0.2)),
    segmenter("pictures of one channel", "(64, 64, 1)", input_shape=(64, 64, 1)),
    segmenter("pictures of two axes", "(64, 64)", input_shape=(64, 64)),
    segmenter("pictures of no multiple", "(50, 64, 3)", input_shape=(50, 64, 3)),
    segmenter("pictures below zero", "(-64, 64, 3)", input_shape=(-64, 64, 3)),
    segmenter("numbers of no format", "float7", dtype="float7"),
    segmenter("dropped blocks above one", "drop_path_rate", drop_path_rate=1.5),
    classifier("dropped features of all", "dropout", dropout_rate=1),
    classifier("a stride of 7", "output_stride", output_stride=7),
    classifier("pooling of nobody", "pooling", include_top=False, pooling="sum"),
    classifier("an activation of nobody", "sofmax", classifier_activation="sofmax"),
    classifier("two numbers of classes", "classes", num_classes=3, classes=4),
    classifier("weights of nobody", "imagenett", weights="imagenett"),
    door("a detector of a stride of 32", dla("DLABoundaryDetector", "dla_tiny", head_stride=32), "head_stride"),
    door("a head of no classes", of_model(lambda m: m.with_head(num_classes=0)), "num_classes"),
    door("a head of two names for three", of_model(lambda m: m.with_head(num_classes=3, class_names=("a", "b"))), "class_names"),
    # --- What comes out ---
    *(
        door(
            f"the best {top!r} of ImageNet",
            dla("decode_predictions", np.eye(1000)[:1], top),
            "top",
        )
        for top in (0, 1001, True, 2.5, "5", None)
    ),
    door("scores of 999 classes", dla("decode_predictions", np.eye(999)), "999"),
    door("scores of no batch", dla("decode_predictions", np.ones(1000)), "1000"),
    door("scores that are not finite", dla("decode_predictions", np.full((1, 1000), np.nan)), "probabilities"),
    door("scores in words", dla("decode_predictions", [["cat"] * 1000]), "probabilities"),
    door("weights to a pickle", of_model(lambda m: public().save_torch_weights(m, "x.pth")), ".safetensors"),
    door("weights over a picture", of_model(lambda m: public().save_torch_weights(m, "photos/p6.png")), "p6.png"),
    door("weights of a number", lambda: public().save_torch_weights(7, "x.safetensors"), "model"),
    door("weights into a path", lambda: public().load_pretrained("run/model.keras", "imagenet"), "model"),
    door("the cost of a path", dla("complexity", "run/model.keras", (64, 64)), "model"),
    door("the cost at no size", of_model(lambda m: public().complexity(m, (0, 64))), "input_shape"),
    door("a path made flat", dla("flatten", "run/model.keras"), "model"),
    export("a file that is called .txt", ".txt", path="x.txt"),
    export("a file of a size in words", "size", size="64x64"),
    export("a file of one side", "size", size=(64,)),
    export("a file of no multiple", "32", size=(50, 64)),
    export("a file of a size below zero", "size", size=(-64, 64)),
    export("a file of halves of pixels", "size", size=(64.5, 64)),
    export("a file of no precision", "precision", precision="int4"),
    export("a file of no head", "head", head="masks"),
    export("an int8 file of no pictures", "calibration", precision="int8"),
    export("an int8 file of floats", "calibration", precision="int8", calibration=[IMAGE / 255.0]),
    export("an int8 file of one channel", "calibration", precision="int8", calibration=[IMAGE[..., 0]]),
    export("an int8 file of a path", "calibration", precision="int8", calibration=["photos/p6.png"]),
    export("pictures to compare that are floats", "held_out", held_out=[IMAGE / 255.0]),
    export("an agreement of 99", "min_agreement", held_out=[IMAGE], min_agreement=99),
    export("an agreement that is none", "min_agreement", held_out=[IMAGE], min_agreement=np.nan),
    export("no threads", "threads", threads=0),
    export("a layer of nobody in float", "nobody", precision="int8", calibration=[IMAGE], keep_float=["nobody"]),
    export("a layer that is a text", "keep_float", precision="int8", calibration=[IMAGE], keep_float="fc"),
    export("a processor of nobody", "tuned_for", tuned_for="mips"),
    door("a file of a path", lambda: public().export_tflite("run/model.keras", size=(64, 64)), "Expected"),
    door("a file of what is not finite", lambda: public().export_tflite(nan_model(), "x.tflite", size=(64, 64), held_out=[IMAGE]), "finite"),
    evaluation("scores of a number", "int", model=5),
    evaluation("scores of what is not there", "no.tflite", model="no.tflite"),
    evaluation("scores on what is not there", "no/where", dataset="no/where"),
    evaluation("scores on a number", "5", dataset=5),
    evaluation("scores on nothing", "dataset", dataset=None),
    evaluation("scores of a split of nobody", "holdout", split="holdout"),
    evaluation("scores of a task of nobody", "task", task="depth"),
    evaluation("scores of a classifier's pictures", "seg", model="crun/model.keras", dataset="seg"),
    evaluation("scores of no threads", "threads", threads=0),
    evaluation("scores in a folder that is a file", "mask.tflite", dataset="camvid", data_dir="mask.tflite"),
]
