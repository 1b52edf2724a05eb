"""Where tests find the checkout, golden outputs and the real data beside it."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SUPPORT = ROOT / "tests" / "support"
SHARED = ROOT.parent / "shared" / "data"
