"""Make the docstrings' examples readable for the API reference.

`mkdocstrings` reads the sources without running them. It knows `Examples:` with
an indented example; the docstrings have `Example:` as Keras writes it.
"""

import re
import textwrap

import griffe

EXAMPLE = re.compile(
    r"^Example:\n\n(.*?)(?=\n\n\w[\w ]*:\n|\Z)", re.DOTALL | re.MULTILINE
)


class Examples(griffe.Extension):
    """Indent the example of each docstring below `Examples:`."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(
                lambda match: "Examples:\n" + textwrap.indent(match[1], "    "),
                obj.docstring.value,
            )
