"""From a Keras model to a file for the edge, checked and run."""
