"""`toy_streets`: drawn street scenes with exact labels.

`builder.py` is the door: pictures by index, and the TFDS dataset of them.
"""
