"""A page that opens without a network, and what stands on it.

Texts become HTML here and nowhere else, so that no file name or class name
can break a page.
"""

import base64
import html
import io
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

from dla_keras.report.galleries import Gallery

STYLE = pathlib.Path(__file__).with_suffix(".css")


def page(title: str, subtitle: str, sections: Iterable[tuple[str, str]]) -> str:
    """A whole page.

    Args:
        title: text.
        subtitle: text.
        sections: heading -> HTML, of which empty ones are left out.
    """
    body = "".join(
        f"<section><h2>{html.escape(heading)}</h2>{content}</section>"
        for heading, content in sections
        if content
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        # Nothing is ever fetched, whatever a file name may hold.
        '<meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title>"
        f"<style>{STYLE.read_text()}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(subtitle)}</p></header>"
        f"<main>{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts that scrolls where it is too wide."""

    def line(cells, tag):
        inner = "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table>{line(header, "th")}{body}</table></div>'


def bar_list(
    values: dict[str, float], full: float = 1.0, form: str = ".3f"
) -> str:
    """A bar for each value, in their order.

    Args:
        values: name -> number, not below 0.
        full: what the longest possible bar stands for. Defaults to `1.0`.
        form: of the numbers. Defaults to `".3f"`.
    """
    lines = "".join(
        f"<dt>{html.escape(name)}</dt><dd>"
        f'<s style="width:{85 * value / full:.1f}%"></s>{value:{form}}</dd>'
        for name, value in values.items()
    )
    return f'<dl class="bars">{lines}</dl>'


def facts_list(rows: Iterable[tuple[str, object]]) -> str:
    """Names and what is known of them; what is not is left out."""
    lines = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in rows
        if value not in (None, "")
    )
    return f'<dl class="facts">{lines}</dl>'


def gallery(shown: Gallery) -> str:
    """Pictures side by side under a legend."""
    legend = "".join(
        f'<span><i style="background:rgb({r},{g},{b})"></i>'
        f"{html.escape(name)}</span>"
        for name, (r, g, b) in shown.colors
    )
    pictures = "".join(map(_figure, shown.pictures))
    if legend:
        legend = f'<p class="legend">{legend}</p>'
    return f'{legend}<div class="gallery">{pictures}</div>'


def _figure(picture):
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
