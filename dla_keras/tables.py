"""Tables as text, for a terminal and for Markdown."""


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
