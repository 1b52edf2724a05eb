"""Tables as text, for a terminal and for Markdown, and their cells."""


def text_table(header, rows) -> str:
    """Return a Markdown table with aligned columns, numbers to the right.

    Args:
        header: Names of the columns.
        rows: One sequence of cells per row; the first column is text.

    Example:

    >>> print(text_table(("model", "mIoU"), [("a.keras", "0.5")]))
    | model   | mIoU |
    | ------- | ---: |
    | a.keras |  0.5 |
    """
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(4, *map(len, column)) for column in zip(*lines, strict=True)]
    ruler = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]

    def line(cells):
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1])]
        padded += [cell.rjust(width) for cell, width in rest]
        return "| " + " | ".join(padded) + " |"

    return "\n".join(map(line, (lines[0], ruler, *lines[1:])))


def score_text(score: float | None, digits: int = 4) -> str:
    """Return a score as a cell of a table.

    Args:
        score: Score, or `None` for one that rests on nothing.
        digits: Digits behind the point. Defaults to `4`.

    Example:

    >>> score_text(0.75, 3), score_text(None)
    ('0.750', '-')
    """
    return "-" if score is None else f"{score:.{digits}f}"
