"""What goes with the package agrees with it."""

import re

from paths import ROOT

import dla_keras


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search("^version: (.*)$", text, re.M)[1] == dla_keras.__version__
