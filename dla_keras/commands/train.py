"""What the training commands share: a task's row, from data to a report."""

from dla_keras.choices import parse_size
from dla_keras.commands.task_flags import FLAGS
from dla_keras.commands.task_flags import add_task_flags
from dla_keras.commands.training_flags import parse_arguments
from dla_keras.commands.training_flags import training_parser
from dla_keras.tables import text_table
from dla_keras.tasks.recipes import RECIPES


def read_flags(task: str, command: str, doc: str, argv=None):
    """Return the flags of a training command, over the recipe they name.

    Args:
        task: Name of the task.
        command: Name of the command, for instance `"train-seg"`.
        doc: Docstring of its module.
        argv: Words of the command line. Defaults to `None`: the process' own.
    """
    parser = training_parser(command, doc)
    add_task_flags(parser, task, "training")
    args = parse_arguments(parser, *RECIPES[task], argv)
    for flag, table in (FLAGS[task].presets or {}).items():
        vars(args).update(table.get(vars(args)[flag], {}))
    return args


def train(task: str, args) -> None:
    """Train as the flags say, from the data to the run folder's files."""
    from dla_keras.engine.assembly import run
    from dla_keras.engine.assembly import set_up
    from dla_keras.models.backbone import check_input_shape
    from dla_keras.tasks import TASKS
    from dla_keras.tasks import options

    row = TASKS[task]
    check_input_shape((*parse_size(args.size), 3))
    strategy = set_up(args)
    source = {"data_dir": args.data_dir, **options(args, row.SPLIT_FLAGS)}
    splits = [
        row.open_split(args.dataset, split, **source)
        for split in ("train", "val")
    ]
    run_dir, scores = run(row, args, strategy, *splits)
    if scores:
        finish(row, run_dir, scores, *splits)


def finish(row, run_dir, scores: dict, train, val) -> None:
    """Write what a run leaves at its end, and print its table.

    Args:
        row: Row of the task.
        run_dir: The run's folder, with `model.keras`.
        scores: Scores of the model on `val`.
        train: Training split.
        val: Validation split.
    """
    from dla_keras.commands.evaluate import write_results
    from dla_keras.inference.model_files import open_model
    from dla_keras.inference.views import Views

    baselines = row.baselines(train, val)
    if baselines:
        scores["baselines"] = baselines
    opened = open_model(run_dir / "model.keras")
    find = row.file_finder(opened, Views())
    write_results(row, run_dir, find, val, {"this model": scores}, run_dir)
    rows = {**baselines, "trained": scores}
    table = {name: row.cells(each) for name, each in rows.items()}
    print(
        text_table(
            ("on val", *table["trained"]),
            [(name, *cells.values()) for name, cells in table.items()],
        )
    )
    print(f"Written to {run_dir}: model.keras, metrics.json, report.html")
