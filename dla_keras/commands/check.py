"""Look at a folder of pictures and labels before anything trains on it.

    dla-keras check my_folder/       # label maps, boxes, or class folders
    dla-keras check --dataset camvid --data-dir camvid/
    dla-keras check my_folder/ --allow absent-classes

Needs neither TensorFlow nor a GPU. Prints the share of each class, what looks
wrong with its cure, and the command to type next; writes a page with the same,
labels over their pictures, and every file that cannot be used. Of a folder
with outlines, --task detection looks at the boxes. The exit code is 0 if
training would begin. Every training looks at the labels in the same way, and
takes the same --allow.
"""

import contextlib
import math
import operator
import pathlib
import shlex
import shutil
import sys
from collections import Counter

from dla_keras.commands.flags import WORKING_SIZE
from dla_keras.commands.flags import read_fit
from dla_keras.commands.shared import BAD_INPUT
from dla_keras.commands.shared import make_parser
from dla_keras.commands.shared import run_command
from dla_keras.commands.shared import say_wait
from dla_keras.commands.train import CHECKED
from dla_keras.commands.train import add_allow

OVERLAYS = {"train": 8, "val": 4}
SIZES = 2000  # pictures of class folders whose sizes are read
CLASSES = 60  # rows of the terminal's table
FAULTS = 10  # places that the terminal names; the page names more
RARE = 0.01  # share of a class that weights help to learn
# Task -> its command, pictures a step without a card, epochs of a small set.
PROPOSED = {
    "segmentation": ("train-seg", 4, 200),
    "detection": ("train-det", 8, 60),
    "classification": ("train-cls", 16, 200),
}
AREAS = {"segmentation": 192 * 256, "detection": 256 * 320}  # without a card


def parse_flags(argv=None):
    """Return the flags of the command line."""
    parser = make_parser("check", __doc__)
    add = parser.add_argument
    add("folder", nargs="?", metavar="FOLDER", help="folder of the data")
    add("--dataset", help="name of a dataset, or its folder")
    add("--data-dir", help="folder of the data, or TFDS' data folder")
    add(
        "--task",
        choices=CHECKED,
        help="what the pictures are for; default: what the folder looks like",
    )
    add_allow(parser)
    for name, settings in WORKING_SIZE.items():
        add(name, **settings)
    add("--output", help="path of the page; default: check-NAME.html")
    args = parser.parse_args(argv)
    if args.folder and args.dataset:
        parser.error(
            f"FOLDER and --dataset are two places. Received: {args.folder} and "
            f"--dataset {args.dataset}; leave one out (the folder of a dataset "
            "with a name is --data-dir)."
        )
    args.dataset = args.dataset or args.folder
    if not args.dataset:
        parser.error("pass a folder, or --dataset NAME")
    if args.output and pathlib.Path(args.output).suffix != ".html":
        parser.error(f"--output is an .html file. Received: {args.output}")
    return args


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    args, findings = parse_flags(argv), []
    code = run_command(lambda: findings.extend(check(args)))
    return code or (BAD_INPUT if any(row.error for row in findings) else 0)


def check(args) -> list:
    """Print the table, write the page, and return the findings.

    Args:
        args: Parsed flags.
    """
    from dla_keras.files import atomic_path
    from dla_keras.files import check_target
    from dla_keras.report.dataset_page import dataset_page

    if args.output:
        check_target(args.output, "--output", "page of `check`")
    task, train, val = open_splits(args)
    say_wait((train, val))
    look = {
        "segmentation": look_at_labels,
        "detection": look_at_boxes,
        "classification": look_at_classes,
    }
    dataset, gallery = look[task](args, train, val)
    commands = next_commands(args, task, dataset)
    page = dataset_page(dataset, gallery, commands)
    path = pathlib.Path(args.output or f"check-{dataset.name}.html")
    check_target(path, "--output", "page of `check`")
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    print_summary(dataset, commands, path)
    return dataset.findings


def open_splits(args):
    """Return the task, and both splits with their files not yet looked at.

    Args:
        args: Parsed flags; without a task, label maps are tried first.
    """
    from dla_keras.data.boxes import open_boxes
    from dla_keras.data.classification import is_class_folder
    from dla_keras.data.classification import open_classification_split
    from dla_keras.data.folders.layouts import NoLayoutError
    from dla_keras.data.segmentation import open_split

    def labels(dataset, split, data_dir):
        opened = open_split(dataset, split, data_dir, checked=False)
        if not args.task and has_boxes_alone(opened):
            raise NoLayoutError(f"{dataset} has boxes and no outlines.")
        return opened

    openers = labels, open_boxes, open_classification_split
    ways = dict(zip(CHECKED, openers, strict=True))
    if args.task:
        ways = {args.task: ways[args.task]}
    else:  # of a name TFDS would be asked for them
        if not pathlib.Path(args.dataset).is_dir():
            del ways["detection"]
        if not is_class_folder(args.data_dir or args.dataset):
            del ways["classification"]
    errors = []
    for task, way in ways.items():
        try:
            splits = ("train", "val")
            return task, *(way(args.dataset, s, args.data_dir) for s in splits)
        except (ValueError, OSError) as wrong:
            errors.append(wrong)
    # A folder that is of one of the kinds has more to say.
    known = [e for e in errors if not isinstance(e, NoLayoutError)]
    raise (known or errors)[0]


def has_boxes_alone(split) -> bool:
    """Return whether the first object of a split of labels has no outline.

    Args:
        split: Split of label maps, which may be drawn from annotations.
    """
    from dla_keras.data.folders.drawing import BoxAloneError
    from dla_keras.data.folders.drawing import DrawnLabel

    for index, (_, label) in enumerate(getattr(split, "pairs", ())):
        if not isinstance(label, DrawnLabel):
            return False
        try:
            if split.label(index).any():
                return False
        except BoxAloneError:
            return True
        except (ValueError, OSError):
            return False
    return False


def look_at_labels(args, train, val):
    """Return what label maps hold, and a gallery of them.

    Args:
        args: Parsed flags.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.data import checks
    from dla_keras.report.galleries import label_gallery

    splits = {"train": train, "val": val}
    facts = [checks.read_facts(split, name) for name, split in splits.items()]
    found = checks.find_faults(*facts, train.info)
    for split in splits.values():
        found += checks.find_strays(split) or checks.find_unlike(split)
    faults = [text for each in facts for text in each.faults]
    rows = label_rows(train.info, facts)
    dataset = dataset_of(args, splits, facts, rows, found, faults)
    return dataset, label_gallery("Labels", readable_of(splits), train.info)


def dataset_of(args, splits, facts, rows, found, faults, notes=(), **more):
    """Return the figures of splits of files, near duplicates among them.

    Args:
        args: Parsed flags.
        splits: Both splits by name.
        facts: Facts of each.
        rows: Rows of the table of classes.
        found: Findings so far.
        faults: Files that cannot be used, as text.
        notes: Lines about the splits. Defaults to none.
        **more: Further fields of `Dataset`.
    """
    from dla_keras.data import checks
    from dla_keras.data.duplicates import compare_pictures
    from dla_keras.report.dataset_page import Dataset

    train = splits["train"]
    pairs = [getattr(split, "pairs", ()) for split in splits.values()]
    images = ([image for image, _ in each] for each in pairs)
    twins = compare_pictures(*images, faults)
    said = getattr(train, "said", ())
    return Dataset(
        train.info.name,
        tuple(map(len, splits.values())),
        tuple(each.sizes for each in facts),
        rows,
        checks.ordered([*found, *twins.findings], args.allow),
        [*faults, *twins.unread],
        twins.pairs,
        [*said, *notes, *twins.notes, *sampled(facts)],
        **more,
    )


def sampled(facts) -> list[str]:
    """Return lines on splits of which some labels were not looked at."""
    return [
        f"{each.seen} of {each.pictures} labels of {each.name} were looked at."
        for each in facts
        if each.seen < each.pictures
    ]


def label_rows(info, facts) -> list:
    """Return the table's rows of the classes, and of ignored pixels.

    Args:
        info: Facts about the dataset.
        facts: `SplitFacts` of both splits.
    """
    from dla_keras.data.datasets import IGNORE_LABEL
    from dla_keras.report.dataset_page import ClassRow

    shares = [each.shares(info.num_classes).tolist() for each in facts]
    names = (*info.class_names, "ignored")
    colors = (*info.palette, None)
    rows = []
    for index, name in enumerate(names):
        label = index if index < info.num_classes else IGNORE_LABEL
        counts = tuple(int(each.labels[label]) for each in facts)
        share = tuple(each[index] for each in shares)
        rows.append(ClassRow(name, share, counts, colors[index]))
    return rows


def look_at_boxes(args, train, val):
    """Return what boxes there are, and a gallery of them.

    Args:
        args: Parsed flags.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.data import boxes
    from dla_keras.report.galleries import box_gallery

    splits = {"train": train, "val": val}
    facts = [boxes.read_box_facts(each, name) for name, each in splits.items()]
    faults = [
        place for f in facts for each in f.faults.values() for place in each
    ]
    blank = [
        f"Without a box: {len(each.blank)} of {each.seen} pictures of "
        f"{each.name}, for instance {each.blank[0]}."
        for each in facts
        if each.blank
    ]
    dataset = dataset_of(
        args,
        splits,
        facts,
        box_rows(train.info, facts),
        boxes.find_box_faults(*facts, train.info),
        faults,
        blank,
        unit="boxes",
        sides=tuple(each.sides for each in facts),
    )
    return dataset, box_gallery("Boxes", readable_of(splits), train.info)


def box_rows(info, facts) -> list:
    """Return the table's rows of the classes, and of ignored boxes.

    Args:
        info: Facts about the dataset.
        facts: `BoxFacts` of both splits.
    """
    from dla_keras.data.boxes import ignored
    from dla_keras.report.dataset_page import ClassRow

    classes = range(info.num_classes)
    groups = [(n, [i], info.palette[i]) for i, n in enumerate(info.class_names)]
    groups.append(("ignored", [ignored(i) for i in classes], None))
    rows = []
    for name, ids, color in groups:
        counts = tuple(sum(f.counts[i] for i in ids) for f in facts)
        totals = (max(f.counts.total(), 1) for f in facts)
        shares = tuple(map(operator.truediv, counts, totals))
        if color or any(counts):
            rows.append(ClassRow(name, shares, counts, color))
    return rows


def look_at_classes(args, train, val):
    """Return what class folders hold, and a gallery of them.

    Args:
        args: Parsed flags.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.choices import spread
    from dla_keras.data import checks
    from dla_keras.data.duplicates import compare_pictures
    from dla_keras.report.dataset_page import ClassRow
    from dla_keras.report.dataset_page import Dataset
    from dla_keras.report.galleries import class_gallery

    splits, names = (train, val), train.info.class_names
    files = [getattr(split, "files", ()) for split in splits]
    counts = [Counter(label for _, label in each) for each in files]
    rows = [
        ClassRow(
            name,
            tuple(c[i] / max(c.total(), 1) for c in counts),
            tuple(c[i] for c in counts),
        )
        for i, name in enumerate(names)
    ]
    paths = [[path for path, _ in each] for each in files]
    sizes = [checks.picture_sizes(spread(each, SIZES)) for each in paths]
    twins = compare_pictures(*paths)
    notes = [*getattr(train, "said", ()), *twins.notes]
    if max(map(len, paths)) > SIZES:
        notes.append(f"The sizes are those of {SIZES} pictures of a split.")
    found = checks.check_classes(train, val) + twins.findings
    dataset = Dataset(
        train.info.name,
        (len(train), len(val)),
        tuple(Counter(s for s in each if s) for each in sizes),
        rows,
        checks.ordered(found, args.allow),
        twins.unread,
        twins.pairs,
        notes,
        "pictures",
    )
    shown = readable(train, sum(OVERLAYS.values()))
    return dataset, class_gallery("Pictures", shown, names)


def readable_of(splits) -> list:
    """Return the examples of train and val that the page shows.

    Args:
        splits: Splits by name.
    """
    counts = OVERLAYS.items()
    return [each for n, count in counts for each in readable(splits[n], count)]


def readable(split, count: int) -> list:
    """Return so many examples of a split that can be read, evenly spread."""
    from dla_keras.choices import spread

    first = spread(range(len(split)), count)
    shown = {}
    # Where one is broken, a neighbor is shown.
    for index in [*first, *(i + 1 for i in first), *(i + 2 for i in first)]:
        if len(shown) < count and index < len(split) and index not in shown:
            with contextlib.suppress(ValueError, OSError):
                shown[index] = split[index]
    return [shown[index] for index in sorted(shown)]


# --- What to type next ---


def next_commands(args, task: str, dataset) -> list[tuple[str, str]]:
    """Return what to do next, and the command for it.

    Args:
        args: Parsed flags.
        task: Name of the task.
        dataset: Figures and findings.
    """
    name, run = dataset.name, f"runs/{dataset.name}"
    command, _, _ = PROPOSED[task]
    data = ["--dataset", args.dataset]
    if args.data_dir:
        data += ["--data-dir", args.data_dir]
    asked = working_size_flags(args)
    flags = training_flags(task, dataset, shutil.which("nvidia-smi"), asked)
    allow = ["--allow", *args.allow] if args.allow else []
    train = ["dla-keras", command, *data, *flags, *allow, "--run-dir", run]
    errors = any(row.error for row in dataset.findings)
    first = "When that is mended, train:" if errors else "Train:"
    export = ["dla-keras", "export-tflite", "--model", f"{run}/model.keras"]
    export += ["--precision", "int8", "--output", f"{name}.tflite"]
    predict = ["dla-keras", "predict", "--model", f"{name}.tflite"]
    predict += ["--input", "photos/", "--output", "predictions/"]
    return [
        (first, typed(train)),
        ("A file for phones and browsers:", typed(export)),
        ("On pictures of your own:", typed(predict)),
    ]


def working_size_flags(args) -> list[str]:
    """Return the working size that was asked for, as flags."""
    read_fit(args)  # refuses what no picture can have
    if args.resize:
        return ["--resize", args.resize]
    return [] if args.max_side is None else ["--max-side", str(args.max_side)]


def typed(words, width: int = 76) -> str:
    """Return a command as one would type it, in lines that fit a terminal.

    Example:

    >>> print(typed(["dla-keras", "check", "--dataset", "a b"], 20))
    dla-keras check \\
      --dataset 'a b'
    """
    lines = [""]
    for index, word in enumerate(words):
        # A flag stays with its value.
        value = words[index + 1 : index + 2] if word[:2] == "--" else []
        value = [text for text in value if text[:2] != "--"]
        if len(shlex.join([lines[-1], word, *value])) > width:
            lines.append(" ")
        lines[-1] += f" {shlex.quote(word)}" if lines[-1] else word
    return " \\\n".join(lines)


def training_flags(task: str, dataset, card, asked=()) -> list[str]:
    """Return the size, model, weights and length that fit a dataset.

    Args:
        task: Name of the task.
        dataset: Figures and findings.
        card: Whether there is a GPU to train on.
        asked: Working size as flags. Defaults to `()`: what fits the crops.
    """
    _, batch, epochs = PROPOSED[task]
    sizes = sum(dataset.sizes, Counter())
    width, height = sizes.most_common(1)[0][0] if sizes else (256, 256)
    pictures = dataset.pictures[0]
    flags = ["--weights", "imagenet"]
    if task == "classification":
        side = min(224, max(64, 32 * (min(width, height) // 32)))
        flags += ["--size", f"{side}x{side}"]
    else:
        # Crops of the pictures' shape, as large as training is patient.
        area = 512 * 512 if card else AREAS[task]
        scale = min(1.0, (area / (width * height)) ** 0.5)
        crop = [max(64, 32 * round(s * scale / 32)) for s in (height, width)]
        flags += ["--size", f"{crop[0]}x{crop[1]}"]
        side = working_side(task, dataset, crop, max(width, height))
        flags += asked or (["--max-side", str(side)] if side else [])
    if task == "segmentation":
        known = [row.shares[0] for row in dataset.classes if row.shares[0]]
        if min(known, default=1.0) < RARE:
            flags += ["--class-weighting", "0.3"]
    if task == "classification":
        flags += [] if card else ["--variant", "dla46_c"]
    elif not card or task == "detection":
        flags += ["--phone", "base" if card else "small"]
    batch = min(2 * batch if card else batch, pictures)
    steps = epochs * pictures // batch
    steps = max(1000, min(steps, 40_000 if card else 4000))
    return [*flags, "--batch-size", str(batch), "--steps", str(steps)]


def working_side(task: str, dataset, crop, longest: int) -> int | None:
    """Return the side that pictures are shrunk to, `None` for their own.

    Args:
        task: Name of the task.
        dataset: Figures and findings.
        crop: Height and width of the crops.
        longest: Longer side of the pictures.
    """
    from dla_keras.report.dataset_page import SMALL

    if task == "segmentation":
        # A crop shall show half of each side, or it hardly shows what is what.
        side = 2 * max(crop)
    else:
        # A crop shows all of it, unless many boxes became too small.
        sides = sorted(dataset.sides[0]) if dataset.sides else ()
        many = sides[len(sides) // 4] if len(sides) else SMALL
        side = max(max(crop), 32 * math.ceil(longest * SMALL / many / 32))
    return side if longest > side else None


def print_summary(dataset, commands, path) -> None:
    """Print the table, the findings, and what to type next.

    Args:
        dataset: Figures and findings.
        commands: Pairs of a purpose and the command for it.
        path: Path of the page.
    """
    from dla_keras.report.dataset_page import box_table
    from dla_keras.report.dataset_page import class_table
    from dla_keras.report.dataset_page import size_table
    from dla_keras.tables import text_table

    print(text_table(*size_table(dataset)), end="\n\n")
    if dataset.sides:
        print(text_table(*box_table(dataset)), end="\n\n")
    header, rows = class_table(dataset)
    print(text_table(header, rows[:CLASSES]), end="\n\n")
    if len(rows) > CLASSES:
        print(f"and {len(rows) - CLASSES} more classes: see the page")
    for row in dataset.findings:
        print(f"{'error' if row.error else 'warning'}: {row.message}")
    for fault in dataset.faults[:FAULTS]:
        print(f"  {fault}")
    if len(dataset.faults) > FAULTS:
        print(f"  and {len(dataset.faults) - FAULTS} more: see the page")
    for note in dataset.notes:
        print(note)
    print(f"Written to {path}")
    for why, command in commands:
        print(f"\n{why}\n{command}")


if __name__ == "__main__":
    sys.exit(main())
