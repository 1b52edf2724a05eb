"""Training with quantisation, pruning and clustering in the loop."""
