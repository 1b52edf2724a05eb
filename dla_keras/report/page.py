"""Write `report.html`: a run on one page that opens without a network.

Everything becomes HTML in the template `page.html`, which escapes what it is
given, so no file name or class name can break a page.
"""

import base64
import functools
import io
import json
import pathlib
import shlex
import warnings
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

import numpy as np

from dla_keras.files import atomic_path
from dla_keras.files import read_json
from dla_keras.files import read_numbers
from dla_keras.report import charts
from dla_keras.report.galleries import WIDTH
from dla_keras.report.galleries import Gallery
from dla_keras.report.galleries import resized
from dla_keras.tables import score_text

CONFUSIONS = 12  # rows of the table of what is confused most

# Ending of a model's file -> what to do next, and the command for it.
_PREDICT = (
    "On pictures of your own:",
    "dla-keras predict --model {model} --input pictures/ --output predictions/",
)
NEXT = {
    ".keras": (
        _PREDICT,
        (
            "A small file for phones and browsers:",
            "dla-keras export-tflite --model {model} --precision int8 "
            "--output {exported}",
        ),
        (
            "Both, scored side by side:",
            "dla-keras evaluate --model {model} {exported}",
        ),
    ),
    ".tflite": (
        _PREDICT,
        (
            "Its speed on this machine:",
            "dla-keras benchmark --model {model}",
        ),
    ),
}
_POINT = ("precision", "recall", "f")


@dataclass(frozen=True)
class Run:
    """Everything that the page is made from.

    Args:
        row: Row of the task, a module of `dla_keras.tasks`, for its name and
            those of its scores.
        scores: Scores of a task, perhaps with `baselines`.
        config: Content of `config.json`; empty where there is none.
        history: Rows of `history.csv`, one per validation.
        steps: Rows of `steps.csv`, one per step.
        colors: Class name -> RGB color. Defaults to none.
        model: Path of the model file. Defaults to `None`.
    """

    row: object
    scores: dict
    config: dict
    history: list[dict]
    steps: list[dict]
    colors: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    model: str | None = None


def write_report(
    path, row, scores: dict, run_dir, galleries: Sequence[Gallery] = ()
) -> None:
    """Write the page of a run.

    Args:
        path: Path of the page, for instance `run_dir / "report.html"`.
        row: Row of the task, a module of `dla_keras.tasks`.
        scores: Scores of a task, perhaps with `baselines` (name -> scores)
            and the path of the scored `model`.
        run_dir: Folder of the training; what it lacks is left out.
        galleries: Best and worst pictures, whose legends give the classes
            their colors. Defaults to none.
    """
    run_dir = pathlib.Path(run_dir)
    trained = run_dir / "model.keras"
    model = scores.get("model") or (str(trained) if trained.exists() else None)
    run = Run(
        row,
        scores,
        _read_config(run_dir / "config.json"),
        _read_table(run_dir / "history.csv", ("step", "seconds")),
        _read_table(run_dir / "steps.csv", ("step", "loss")),
        {name: color for shown in galleries for name, color in shown.colors},
        model,
    )
    folder = pathlib.Path(path).absolute().parent
    page = report_page(run, galleries, folder.name)
    with atomic_path(path) as temporary:
        # A file name that is no UTF-8 shall not stop it.
        temporary.write_text(page, encoding="utf-8", errors="replace")


def report_page(
    run: Run, galleries: Sequence[Gallery] = (), title: str = "A model"
) -> str:
    """Return the HTML of a run's page.

    Args:
        run: Everything but the pictures.
        galleries: Best and worst pictures. Defaults to none.
        title: Title where neither data nor model are known. Defaults to
            `"A model"`.
    """
    data = run.config.get("dataset") or run.scores.get("dataset")
    model = run.config.get("variant") or run.model
    names = [pathlib.Path(name).name for name in (data, model) if name]
    sections = (
        ("Result", _result(run)),
        ("Curves", _curves(run)),
        ("Precision and recall", _precision_recall(run)),
        ("Classes", _classes(run)),
        ("Confusion", _confusion(run)),
        *gallery_sections(galleries),
        ("Run", _facts(run)),
        ("Next", _next(run)),
    )
    title = " · ".join(names) or title
    return render(title, _subtitle(run), sections)


def render(title: str, subtitle: str, sections: Iterable[tuple]) -> str:
    """Return a whole page.

    Args:
        title: Heading of the page.
        subtitle: Line below it.
        sections: Pairs of a heading and blocks. A block is the name of a
            macro of `page.html` and its arguments; a section without blocks
            is left out.
    """
    return _template().render(
        title=title, subtitle=subtitle, sections=sections, theme=charts.THEME
    )


@functools.cache
def _template():
    import jinja2  # only those who write a page need it

    folder = pathlib.Path(__file__).parent
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("page.html")


def gallery_sections(galleries: Iterable[Gallery]) -> list[tuple]:
    """Return a section for each gallery that has a picture."""
    return [(g.title, [("gallery", g)]) for g in galleries if g.pictures]


def _subtitle(run):
    parts = [run.row.TITLE, f"{run.scores['pictures']} pictures"]
    if run.history:
        parts.insert(1, f"{run.history[-1]['step']} steps")
        parts.append(f"trained in {duration(run.history[-1]['seconds'])}")
    if run.config.get("starts"):
        parts.append(run.config["starts"][-1]["time"][:10])
    return ", ".join(parts)


def _result(run):
    """Return the scores in large print, beside those of the baselines."""
    columns = run.row.COLUMNS
    names = {key: columns[key] for key in columns if key in run.scores}
    values = [
        (name, score_text(run.scores[key], 3)) for key, name in names.items()
    ]
    blocks = [("tiles", values)]
    if baselines := run.scores.get("baselines"):
        rows = [
            (name, *(score_text(row[key], 3) for key in names))
            for name, row in {**baselines, "this model": run.scores}.items()
        ]
        blocks.append(("table", ("", *names.values()), rows))
    return blocks


def _curves(run):
    """Return charts of loss, scores and learning rate by step."""
    validation = {f"val_{key}": name for key, name in run.row.COLUMNS.items()}
    rate = {"learning_rate": "learning rate"}
    # Older runs noted the rate at their validations only.
    rates = _columns(run.steps, rate) or _columns(run.history, rate)
    drawn = [
        ("training loss", _columns(run.steps, {"loss": "loss"})),
        ("scores on validation", _columns(run.history, validation)),
        ("learning rate", rates),
    ]
    shown = [
        (caption, lines if len(lines) > 1 else (), svg)
        for caption, lines in drawn
        if (svg := charts.line_chart(lines, "step", caption))
    ]
    return [("charts", shown)] if shown else []


def _columns(rows, names):
    """Name -> steps and values of the columns that the rows have."""
    columns = {}
    for key, name in names.items():
        known = [row for row in rows if row.get(key)]
        if known:
            columns[name] = tuple(
                [float(row[column]) for row in known]
                for column in ("step", key)
            )
    return columns


def _classes(run):
    """Return IoU by class, or its share that is found; the best first."""
    names = run.scores.get("class_names", ())
    values = run.scores.get("per_class_iou")
    what = "Share of the pixels, and IoU."
    if "objects" in run.scores:
        present = np.array([run.scores["objects"][name] for name in names])
        values = run.scores["per_class_ap"]
        what = "Share of the objects, and AP."
    elif "confusion" in run.scores:
        counts = np.asarray(run.scores["confusion"], np.float64)
        present = counts.sum(1)
    else:
        return []
    if values is None:
        found = np.diag(charts.row_shares(counts)).tolist()
        found = [f if n else None for f, n in zip(found, present, strict=True)]
        values = dict(zip(names, found, strict=True))
        what = "Share of the pictures, and how many of them are found."
    shares = dict(zip(names, present / max(present.sum(), 1), strict=True))
    known = {name: v for name, v in values.items() if v is not None}
    rows = [
        (name, 85 * v, f"{v:.3f}", run.colors.get(name), f"{shares[name]:.1%}")
        for name, v in sorted(known.items(), key=lambda item: -item[1])
    ]
    blocks = [("text", what), ("bars", rows), *_reported(run.scores)]
    if absent := ", ".join(name for name in values if name not in known):
        blocks.append(("text", f"Neither there nor found: {absent}."))
    return blocks


def _reported(scores):
    """Return precision, recall and F1 by class, where they are known."""
    keys = [f"per_class_{name}" for name in ("precision", "recall", "f1")]
    if not all(key in scores for key in keys):  # scored by an earlier version
        return []
    rows = [
        (name, *(score_text(scores[key].get(name), 3) for key in keys))
        for name in scores["class_names"]
    ]
    return [("table", ("", "precision", "recall", "F1"), rows)]


def _precision_recall(run):
    """Return a detector's precision over recall, and its best points."""
    if not any(row["f"] > 0 for row in run.scores.get("thresholds", ())):
        return []
    svg = charts.precision_recall_chart({"this model": run.scores})
    rows = [
        (name, *(f"{run.scores[key][k]:.3f}" for k in _POINT))
        for key, name in (("ods", "ODS"), ("ois", "OIS"), ("best", "best F"))
        if key in run.scores
    ]
    chart = ("charts", [("Green lines join points of equal F.", (), svg)])
    header = ("", "precision", "recall", "F")
    return [("columns", ([chart], [("table", header, rows)]))]


def _confusion(run):
    """Return the matrix, if classes are few, and the commonest confusions."""
    if "confusion" not in run.scores:
        return []
    names = run.scores["class_names"]
    shares = charts.row_shares(run.scores["confusion"])
    parts = []
    if len(names) <= charts.MOST_CLASSES:
        words = "Percent of each true class (rows) found as (columns)."
        svg = charts.confusion_chart(shares, names)
        parts.append([("text", words), ("matrix", svg)])
    wrong = shares - np.diag(np.diag(shares))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    rows = [
        (names[true], names[found], f"{wrong[true, found]:.1%}")
        for true, found in pairs
        if wrong[true, found]
    ]
    header = ("most confused: true", "found as", "share")
    if rows:
        parts.append([("table", header, rows)])
    return [("columns", parts)]


def _facts(run):
    """Return command, versions, hardware, time; settings behind a fold."""
    config = run.config
    if not config:
        return []
    hardware = config.get("hardware") or {}
    devices = [*(hardware.get("gpus") or ()), hardware.get("cpu")]
    versions = config.get("versions") or {}
    rows = [
        ("command", shlex.join(config.get("command") or ())),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        ("commit", config.get("git")),
        ("device", hardware.get("device")),
        ("hardware", ", ".join(filter(None, devices))),
        ("cores", hardware.get("cores")),
        ("replicas", config.get("replicas")),
        *_times(run),
    ]
    settings = json.dumps(config, indent=1)
    return [("facts", rows), ("fold", "config.json", settings)]


def _times(run):
    starts = run.config.get("starts") or ()
    times = [f"{s['time']} at step {s['step']}" for s in starts]
    yield "started", ", ".join(times)
    if run.history:
        last = run.history[-1]
        seconds, steps = float(last["seconds"]), int(last["step"])
        each = f"{1000 * seconds / max(steps, 1):.0f} ms a step"
        if speed := last.get("pictures_per_second"):
            each += f", {float(speed):.1f} pictures a second"
        yield "training", f"{duration(seconds)}, {each}"
    if "milliseconds" in run.scores:
        yield "prediction", f"{run.scores['milliseconds']:.1f} ms a picture"


def _next(run):
    """Return the commands that a reader may want to type next."""
    model = pathlib.Path(run.model or "")
    paths = {
        "model": shlex.quote(str(model)),
        "exported": shlex.quote(str(model.parent / "int8.tflite")),
    }
    lines = [
        (why, command.format(**paths))
        for why, command in NEXT.get(model.suffix, ())
    ]
    return [("commands", lines)] if lines else []


def duration(seconds) -> str:
    """Return a time in the two largest units that it has.

    Example:

    >>> duration(5400), duration("75"), duration(9.4)
    ('1 h 30 min', '1 min 15 s', '9 s')
    """
    minutes, rest = divmod(round(float(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _data_uri(image):
    """Return few colors as PNG, which keeps edges; photographs as JPEG."""
    image = resized(image, min(WIDTH, image.width))
    kind = "png" if image.mode == "P" else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind};base64,{encoded}"


def _read_config(path):
    """Return what a run's config says; a damaged one is left out."""
    if not path.exists():
        return {}
    try:
        return dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        _warn(path, f"cannot be read: {error}")
        return {}


def _read_table(path, needed):
    """Return the whole rows of a run's table; damaged ones are left out."""
    rows, damage = read_numbers(path, needed)
    if damage:
        _warn(path, damage)
    return rows


def _warn(path, what):
    warnings.warn(f"{path} {what}; the report leaves it out.", stacklevel=4)
