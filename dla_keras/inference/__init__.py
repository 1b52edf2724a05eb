"""From a picture and a model file of any kind to masks, boundaries, classes."""
