"""Backbone, classifiers and segmenter."""
