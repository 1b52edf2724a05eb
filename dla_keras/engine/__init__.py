"""The training engine: what the training commands share, TensorFlow only.

    assembly -> run_folder -> strategies -> steps -> loop
                              checkpoints, averages, optimizers,
                              validation, loggers

`assembly` puts a run together from a task's row and flags, `run_folder` finds
where it begins, `strategies` says on which devices, and `loop` repeats the
compiled step of `steps` until the run ends. `validation` scores it on the way,
and `loggers` take its figures.
"""
