"""The training engine: what `training/train_*.py` share, TensorFlow only.

options, recipes -> run_folder -> strategies -> optimizers -> steps -> loop
                                     checkpoints, history, stopping <-'
"""
