"""The flags on inference that `evaluate` and `predict` share."""

from dla_keras.choices import parse_size
from dla_keras.commands.shared import read_config
from dla_keras.commands.task_flags import FLAGS
from dla_keras.commands.task_flags import add_task_flags


def add_flags(parser) -> None:
    """Add the flags that both commands have to a parser."""
    add = parser.add_argument
    add(
        "--task",
        choices=tuple(FLAGS),
        help="one of a model for several; default: all that the model is for",
    )
    add("--threads", type=int, default=2, help="for .tflite files")
    add("--scales", help="average over these, for instance 0.5,1,1.5")
    add("--flip", action="store_true", help="average over the mirror image")
    add("--tile", help="a tile at a time, height x width: little memory")
    add("--overlap", type=int, help="of tiles, in pixels; default: 128")
    for task in FLAGS:
        add_task_flags(parser, task, "inference")


def read_views(args, model_path=None):
    """Return what a model sees of a picture, as the flags ask.

    Args:
        args: Parsed flags.
        model_path: Path of the model file; what the flags leave open is as in
            its run. Defaults to `None`.

    Raises:
        ValueError: If a flag is wrong.
    """
    from dla_keras.inference.views import DEFAULT_OVERLAP
    from dla_keras.inference.views import Views
    from dla_keras.inference.views import check_tile
    from dla_keras.inference.views import parse_scales

    tile = parse_size(args.tile) if args.tile else None
    overlap = DEFAULT_OVERLAP if args.overlap is None else args.overlap
    if tile:
        check_tile(tile, overlap)
    elif args.overlap is not None:
        raise ValueError("--overlap is of tiles: pass --tile HEIGHTxWIDTH.")
    run = read_config(model_path) if model_path else {}
    size = args.size or run.get("size")
    return Views(
        scales=parse_scales(args.scales) if args.scales else (1.0,),
        flip=args.flip,
        tile=tile,
        overlap=overlap,
        nms=args.nms is not False,
        size=parse_size(size) if size else None,
        crop_fraction=args.crop_fraction or run.get("crop_fraction"),
    )


def chosen_tasks(opened, task: str | None) -> tuple[str, ...]:
    """Return the tasks to do with a model file: one, or all that it is for.

    Args:
        opened: An opened model file.
        task: Value of `--task`, or `None`.

    Raises:
        ValueError: If the file is not for that task.
    """
    if task is None:
        return opened.tasks
    if task not in opened.tasks:
        raise ValueError(
            f"Expected a model for {task}. Received: {opened.name}, which is "
            f"for {' and '.join(opened.tasks)}; leave --task out, or pass "
            "another --model."
        )
    return (task,)
