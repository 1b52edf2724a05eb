"""The flags on inference that `evaluate.py` and `predict.py` share."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dla_keras.commands.shared import parse_size

if TYPE_CHECKING:
    from dla_keras.inference.model_files import ModelFile


def add_flags(parser) -> None:
    """Adds what `evaluate.py` and `predict.py` share to a parser."""
    add = parser.add_argument
    add("--threads", type=int, default=2, help="for .tflite files")
    add("--scales", help="average over these, for instance 0.5,1,1.5")
    add("--flip", action="store_true", help="average over the mirror image")
    add("--tile", help="a tile at a time, height x width: little memory")
    add(
        "--overlap",
        type=int,
        help="pixels that tiles share; default: 128",
    )


def open_predictor(path, args) -> "tuple[Callable, ModelFile]":
    """A model file as a function from picture to mask, as the flags ask.

    Args:
        path: of the model file.
        args: what a parser with `add_flags` gave.

    Returns:
        The function, and the model file.

    Raises:
        FileNotFoundError: without a file there.
        ValueError: for wrong flags, or some that the file cannot follow.
    """
    from dla_keras.inference.model_files import open_model
    from dla_keras.inference.multiscale import averaged
    from dla_keras.inference.multiscale import parse_scales
    from dla_keras.inference.predictor import most_likely
    from dla_keras.inference.tiling import DEFAULT_OVERLAP
    from dla_keras.inference.tiling import check_tile
    from dla_keras.inference.tiling import tiled

    scales = parse_scales(args.scales) if args.scales else (1.0,)
    tile = parse_size(args.tile) if args.tile else None
    overlap = DEFAULT_OVERLAP if args.overlap is None else args.overlap
    if tile:
        check_tile(tile, overlap)
    elif args.overlap is not None:
        raise ValueError("--overlap is of tiles: pass --tile HEIGHTxWIDTH.")
    opened = open_model(path, args.threads)
    views = scales != (1.0,) or args.flip
    if not (views or tile):
        return opened.masks, opened
    _check_file(path, opened, scales, tile)
    predict = opened.probabilities
    if views:
        predict = averaged(predict, scales, args.flip)
    if tile:
        return tiled(predict, tile, overlap), opened
    return most_likely(predict), opened


def open_boundary_finder(path, args) -> Callable:
    """A model file as a function from example to boundary map, likewise.

    Args:
        path: of the model file.
        args: what a parser with `add_flags` gave; `nms` of theirs, unless
            `False`, has ridges kept only.

    Raises:
        FileNotFoundError: without a file there.
        ValueError: for wrong flags, or a file without boundaries.
    """
    from dla_keras.inference.model_files import open_boundaries
    from dla_keras.inference.multiscale import parse_scales
    from dla_keras.tasks.boundary import soft_boundaries

    scales = parse_scales(args.scales) if args.scales else (1.0,)
    if args.tile or args.overlap is not None:
        raise ValueError("--tile and --overlap are for segmentation only.")
    predict = open_boundaries(path, args.threads)
    if predict.size and scales != (1.0,):
        raise ValueError(
            f"--scales needs a model that takes any size, and {path} takes "
            f"{predict.size[0]}x{predict.size[1]} only."
        )
    return soft_boundaries(predict, scales, args.flip, args.nms is not False)


def _check_file(path, opened, scales, tile):
    """Whether a file can do what is asked."""
    if opened.probabilities is None:
        raise ValueError(
            "--scales, --flip and --tile need probabilities, and "
            f"{path} gives masks only. Export it with --head logits, or use "
            "the .keras file."
        )
    size = opened.probabilities.size
    if size and scales != (1.0,):
        raise ValueError(
            f"--scales needs a model that takes any size, and {path} takes "
            f"{size[0]}x{size[1]} only: leave --scales away, or use the "
            ".keras file."
        )
    if size and tile and tile != size:
        raise ValueError(
            f"{path} takes {size[0]}x{size[1]} only: pass --tile "
            f"{size[0]}x{size[1]}. Received: {tile[0]}x{tile[1]}."
        )
