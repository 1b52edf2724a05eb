"""`report.html`: a run on one page that opens without a network.

What is on it is in `report_sections.py`; pictures come as galleries.
"""

import csv
import json
import pathlib
from collections.abc import Sequence

from dla_keras.files import atomic_path
from dla_keras.report.galleries import Gallery
from dla_keras.report.html_page import gallery
from dla_keras.report.html_page import page
from dla_keras.report.sections import SECTIONS
from dla_keras.report.sections import Run
from dla_keras.report.sections import duration


def write_report(
    path, scores: dict, run_dir, galleries: Sequence[Gallery] = ()
) -> None:
    """Writes the page.

    Args:
        path: of the page, for instance `run_dir / "report.html"`.
        scores: what `evaluate`, `evaluate_classifier` or
            `evaluate_boundary_split` gives, perhaps with `baselines`: name ->
            scores.
        run_dir: of the training; what it lacks is left out.
        galleries: best and worst pictures. Defaults to none.
    """
    run_dir = pathlib.Path(run_dir)
    run = Run(
        scores,
        _read_json(run_dir / "config.json"),
        _read_csv(run_dir / "history.csv"),
        _read_csv(run_dir / "steps.csv"),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(report_page(run, galleries), encoding="utf-8")


def report_page(run: Run, galleries: Sequence[Gallery] = ()) -> str:
    """The page's HTML."""
    sections = [(title, write(run)) for title, write in SECTIONS]
    shown = [(g.title, gallery(g)) for g in galleries if g.pictures]
    at = [title for title, _ in SECTIONS].index("Run")
    config = run.config
    data = config.get("dataset") or run.scores.get("dataset") or "a dataset"
    return page(
        f"{pathlib.Path(data).name} · {config.get('variant', 'a model')}",
        _subtitle(run),
        (*sections[:at], *shown, *sections[at:]),
    )


def _subtitle(run):
    pictures = run.scores["pictures"]
    count = pictures if isinstance(pictures, int) else len(pictures)
    parts = [f"{count} pictures"]
    if run.history:
        parts.insert(0, f"{run.history[-1]['step']} steps")
        parts.append(f"trained in {duration(run.history[-1]['seconds'])}")
    if run.config.get("starts"):
        parts.append(run.config["starts"][-1]["time"][:10])
    return ", ".join(parts)


def _read_json(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _read_csv(path):
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
