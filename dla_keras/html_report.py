"""`report.html`: a run on one page that opens without a network.

What is on it is in `report_sections.py`; pictures come as galleries.
"""

import base64
import csv
import html
import io
import json
import pathlib
from collections.abc import Sequence

from dla_keras.files import atomic_path
from dla_keras.report_pictures import Gallery
from dla_keras.report_sections import SECTIONS
from dla_keras.report_sections import Run
from dla_keras.report_sections import duration

STYLE = pathlib.Path(__file__).with_name("html_report.css")


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
    page = report_page(run, galleries)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def report_page(run: Run, galleries: Sequence[Gallery] = ()) -> str:
    """The page's HTML."""
    sections = [(title, write(run)) for title, write in SECTIONS]
    shown = [(g.title, _gallery(g)) for g in galleries if g.pictures]
    at = [title for title, _ in SECTIONS].index("Run")
    body = "".join(
        f"<section><h2>{html.escape(title)}</h2>{content}</section>"
        for title, content in (*sections[:at], *shown, *sections[at:])
        if content
    )
    config = run.config
    data = config.get("dataset") or run.scores.get("dataset") or "a dataset"
    title = f"{pathlib.Path(data).name} · {config.get('variant', 'a model')}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        # Nothing is ever fetched, whatever a file name may hold.
        '<meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title>"
        f"<style>{STYLE.read_text()}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(_subtitle(run))}</p></header>"
        f"<main>{body}</main></body></html>\n"
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


def _gallery(gallery):
    legend = "".join(
        f'<span><i style="background:rgb({r},{g},{b})"></i>'
        f"{html.escape(name)}</span>"
        for name, (r, g, b) in gallery.colors
    )
    pictures = "".join(map(_shown, gallery.pictures))
    if legend:
        legend = f'<p class="legend">{legend}</p>'
    return f'{legend}<div class="gallery">{pictures}</div>'


def _shown(picture):
    views = "".join(
        f'<div><img alt="{html.escape(title or "picture", quote=True)}" '
        f'src="{_data_uri(image)}"><small>{html.escape(title)}</small></div>'
        for title, image in picture.views.items()
    )
    return (
        f"<figure><figcaption>{html.escape(picture.caption)}<br><code>"
        f"{html.escape(picture.name)}</code></figcaption>"
        f'<div class="views">{views}</div></figure>'
    )


def _data_uri(image):
    """Masks as PNG, which keeps their edges; pictures as JPEG."""
    kind = "png" if image.mode == "P" else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, kind)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind};base64,{encoded}"


def _read_json(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _read_csv(path):
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
