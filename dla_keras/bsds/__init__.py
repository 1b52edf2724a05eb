"""The BSDS500 boundary benchmark; imports nothing else of this package."""
