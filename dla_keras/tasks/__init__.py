"""The tasks that are learned: a row each, with the same functions.

A row is a module with the names of `ROW`; commands loop over rows and never
ask which task it is. A finder is a function that finds in an example what the
task is about.
"""

NAMES = ("segmentation", "boundary", "classification", "detection")

# What every row has, in the order of the data.
ROW = {
    "TITLE": "name for people",
    "COLUMNS": "score -> its name in tables; the first decides what is best",
    "SPLIT_FLAGS": "flags that `open_split` takes",
    "MEASURE_FLAGS": "flags that `measure` and `summarize` take",
    "EVALUATE_FLAGS": "flags that `evaluate` takes",
    "LEFT_OUT": "scores that `metrics.json` does without",
    # training
    "open_split": "dataset, split, data_dir, beside -> sequence of examples",
    "check": "train, val, allow -> findings about their labels",
    "working_split": "split, rule, scored -> split that trains or is scored",
    "augmentation": "args -> function: image, label, seed -> both, augmented",
    "drawing_rule": "args, train -> function that draws a picture, or None",
    "mixing": "args, info -> function that mixes a batch, or None",
    "make_model": "args, info -> Keras model",
    "make_teacher": "args, info -> function: images -> what is learned beside "
    "the labels, or None",
    "loss_sums": "args, train -> function: labels, outputs -> sum, weight",
    # scores
    "model_finder": "model, args -> finder around a model in memory",
    "file_finder": "opened, views -> finder around a model file",
    "open_recorded": "predictions, truth, nms -> split, finder among files",
    "evaluate": "finder, split, progress -> scores; among them `pictures`, "
    "their number, and `milliseconds` of one",
    "BATCH": "number of pictures that are scored at a time",
    "measure": "finder, split, indices -> what each picture counts, as JSON",
    "summarize": "what all pictures count, info -> scores, as of `evaluate`",
    "baselines": "train, val -> name -> scores without learning",
    # what people see
    "drawing": "finder, val -> function that draws what it finds, or None",
    "figures": "finder, split, results -> file name -> function of a path",
    "galleries": "finder, split, scores -> galleries of the report",
    "cells": "scores -> column -> text",
    # predictions
    "find_in": "finder, image -> what it finds",
    "open_results": "output, classes -> writer of what is found",
    "facts": "classes -> what `predictions.json` says of them",
    "draw_over": "found, classes, image -> image with it; or None",
    # exported files
    "fit": "image, size, crop_fraction, rule -> image that a file takes",
    "file_output": "head -> names of the file's outputs",
    "file_outputs": "model, outputs -> name -> tensor",
    "KIND": "name of what must agree",
    "MIN_AGREEMENT": "precision -> least agreement, if not the precision's own",
    "COMPRESSED": "scores of what `quantize` makes; none: it does not take it",
    "FILE_COLUMNS": "scores that files are compared by, beside masks",
    "file_scores": "model, outputs, probabilities -> scores, one tensor",
    "file_finding": "model, image -> scores, size, rule -> function: image -> "
    "what must agree",
    "compared": "opened -> name -> function: image -> what must agree",
    "same": "expected, found -> what of it is the same, bools",
    "sameness": "outputs, class names -> what is said of all images, or None",
}


def __getattr__(name):
    """Import the rows when the table is first asked for.

    Flags and recipes are read from this room without Keras.
    """
    if name != "TASKS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    rows = {row: importlib.import_module(f"{__name__}.{row}") for row in NAMES}
    globals()["TASKS"] = rows
    return rows


def options(args, names: tuple[str, ...]) -> dict:
    """Return those of some flags that a command has, by name.

    Args:
        args: Parsed flags.
        names: Flags that a row's function takes, for instance `SPLIT_FLAGS`.

    Example:

    >>> from types import SimpleNamespace
    >>> options(SimpleNamespace(thresholds=9), ("thresholds", "processes"))
    {'thresholds': 9}
    """
    known = vars(args)
    return {name: known[name] for name in names if name in known}
