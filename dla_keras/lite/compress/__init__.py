"""Training with quantization, pruning and clustering in the loop."""
