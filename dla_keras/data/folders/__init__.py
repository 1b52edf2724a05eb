"""Folders as people have them: `layouts.find_layout` is the door."""
