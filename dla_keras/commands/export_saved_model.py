"""Export a model as a SavedModel and verify it.

    dla-keras export-saved-model --model runs/x/model.keras \\
        --output runs/x/saved_model

The signatures `serving_default` (uint8) and `serving_float` (float32) take RGB
pictures, 0 to 255, `(N, H, W, 3)`, normalize them themselves and give `mask`
`(N, H, W)` and `logits` `(N, H, W, num_classes)`, `boundary` `(N, H, W)`,
a classifier's `probabilities` `(N, num_classes)`, or a detector's boxes and the
maps that they come from. Sides are multiples of 32,
or fixed with `--size`. The outputs are compared with the Keras model's on
pictures of the val split; below `--min-agreement` nothing is written and the
exit code is 1.
"""

import sys

from dla_keras.choices import parse_size
from dla_keras.commands.flags import crop_size
from dla_keras.commands.flags import export_parser
from dla_keras.commands.flags import model_fit
from dla_keras.commands.flags import print_table
from dla_keras.commands.flags import read_pictures
from dla_keras.commands.shared import number_of
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import size_text
from dla_keras.files import check_folder
from dla_keras.files import new_folder
from dla_keras.lite.options import PRECISIONS
from dla_keras.quiet import quiet_stderr

# What TensorFlow writes, and what is said of the model.
CONTENT = (
    *("saved_model.pb", "fingerprint.pb", "variables", "assets"),
    "assets.extra",
)


def parse_flags(argv):
    """Return the parsed flags."""
    parser = export_parser("export-saved-model", __doc__)
    parser.add_argument("--output", required=True, help="a folder")
    parser.add_argument(
        "--size",
        type=size_text,
        metavar="HxW",
        help="fixes the pictures' size; default: any multiple of 32",
    )
    parser.add_argument(
        "--min-agreement",
        type=number_of("min_agreement"),
        default=0.999,
        help="share of pixels with the same class; 0: any whose scores are "
        "finite",
    )
    return parser.parse_args(argv)


def export(args) -> None:
    """Write the SavedModel if it agrees with the model."""
    from dla_keras.data.fitting import central_crop
    from dla_keras.inference.model_files import load_model
    from dla_keras.inference.model_files import open_model
    from dla_keras.lite.convert.graph import write_saved_model

    check_folder(args.output, "--output")
    size = parse_size(args.size) if args.size else None
    with quiet_stderr():
        model = load_model(args.model)
        fit = model_fit(args, model)
        size = size or fit.size  # any picture would be stretched to it
        held_out = read_pictures(
            model, args, "val", args.verification_pictures, fit.resize
        )
        if "classification" in model.tasks:
            crop = size or parse_size(crop_size(args.model))
            held_out = [central_crop(picture, crop) for picture in held_out]
        compare_with = reference(model, held_out, size, fit, args.min_agreement)
        with new_folder(args.output, "saved_model.pb", CONTENT) as folder:
            write_saved_model(model, folder, size, fit)
            found = compare_with(open_model(folder))
            for each in found.values():
                each.require(
                    args.min_agreement, PRECISIONS["float32"].max_noise
                )
    print_table({"folder": args.output, **report(model, size, found)})


def reference(model, pictures, size, fit, minimum: float):
    """Return a function from a `ModelFile` to how it agrees with a model."""
    from dla_keras.inference.predictor import Predictor
    from dla_keras.lite.measure import agreement

    scores = agreement.model_scores(model, probabilities=True)
    outputs = agreement.model_outputs(model, size, scores, fit)
    expected = {kind: list(map(outputs[kind], pictures)) for kind in outputs}
    if minimum:
        agreement.check_reference(expected, model.class_names)
    few = pictures
    if "classification" not in model.tasks:
        few = pictures[: agreement.SCORED]
        scores = {k: Predictor(run, size, fit) for k, run in scores.items()}

    def compare(opened):
        outputs = agreement.opened_outputs(opened)
        found = agreement.compare(expected, outputs, pictures)
        others = agreement.opened_scores(opened)
        return agreement.with_scores(found, scores, others, few)

    return compare


def report(model, size, found) -> dict:
    """Return what the SavedModel takes and gives, and how it agrees."""
    from dla_keras.inference.tflite_facts import BOXES
    from dla_keras.inference.tflite_facts import MAPS

    pixels = f"(N, {', '.join(map(str, size or ('H', 'W')))}"
    rows = {"input": f"uint8 or float32 {pixels}, 3)"}
    if "classification" in model.tasks:
        rows["probabilities"] = f"float32 (N, {model.num_classes})"
    if "segmentation" in model.tasks:
        rows["mask"] = f"uint8 {pixels})"
        rows["logits"] = f"float32 {pixels}, {model.num_classes})"
    if "boundary" in model.tasks:
        rows["boundary"] = f"float32 {pixels})"
    if "detection" in model.tasks:
        rows["boxes"] = f"float32 {', '.join(BOXES)}"
        rows["maps"] = f"float32 {', '.join(MAPS)}"
    for kind, agreement in found.items():
        rows[f"agreement of {kind}"] = agreement
    return rows


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args = parse_flags(argv)
    return run_command(lambda: export(args))


if __name__ == "__main__":
    sys.exit(main())
