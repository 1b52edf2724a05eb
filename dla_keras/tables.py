"""Figures as text: what a terminal and a Markdown page both show well."""


def text_table(header, rows) -> str:
    """A table in Markdown, its columns aligned, numbers to the right.

    Args:
        header: names of the columns.
        rows: one sequence of cells per row; the first column is text.

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
