"""What a training run leaves while it runs: tables and TensorBoard's curves.

`history.csv` has a row for each validation, `steps.csv` one for each step.
"""

import csv
import os
import pathlib

import numpy as np
import tensorflow as tf

from dla_keras.files import atomic_path

CURVE_EVERY = 10  # steps between points of TensorBoard's loss curve


class History:
    """Figures by step. A resumed run goes on as if it had never stopped.

    Args:
        run_dir: the run's folder. `tensorboard --logdir` on it shows the
            curves.
        step: what lies beyond it is removed: the run takes these steps again.
            Defaults to `0`.
        rows: of `history.csv` up to there. Defaults to none.
    """

    def __init__(self, run_dir, step: int = 0, rows=()):
        self.run_dir = pathlib.Path(run_dir)
        self.rows = list(rows)
        _cut_steps(self.run_dir / "steps.csv", step)
        for path in self.run_dir.glob("events.out.tfevents.*"):
            _cut_events(path, step)
        self._write_rows()
        self.writer = tf.summary.create_file_writer(str(run_dir))
        self.steps = (self.run_dir / "steps.csv").open("a", newline="")

    def add_losses(self, first: int, losses, rate) -> None:
        """Adds the losses of consecutive steps.

        Args:
            first: number of the first step, from 1.
            losses: of this step and those behind it.
            rate: step -> its learning rate.
        """
        with self.writer.as_default():
            for step, loss in enumerate(losses, start=first):
                self.steps.write(f"{step},{loss!r}\n")
                if step % CURVE_EVERY == 0:
                    tf.summary.scalar("train/loss", loss, step)
                    tf.summary.scalar("train/learning_rate", rate(step), step)
        self.steps.flush()

    def add(self, row: dict, picture=None) -> None:
        """Adds figures by name; `"step"` is one of them.

        A row of the same step is replaced.

        Args:
            row: name -> figure.
            picture: a PIL image of predictions, for TensorBoard. Defaults to
                `None`.
        """
        self.rows = [r for r in self.rows if r["step"] != row["step"]]
        self.rows.append(row)
        self._write_rows()
        with self.writer.as_default(step=row["step"]):
            for name, value in row.items():
                tf.summary.scalar(name, value)
            if picture is not None:
                pixels = np.asarray(picture.convert("RGB"))
                tf.summary.image("predictions", pixels[None])
        self.writer.flush()

    def sync(self) -> None:
        """Puts all of it on the disk, before a checkpoint counts on it."""
        self.writer.flush()
        self.steps.flush()
        os.fsync(self.steps.fileno())

    def _write_rows(self):
        path = self.run_dir / "history.csv"
        if not self.rows:
            path.unlink(missing_ok=True)
            return
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)


def _cut_steps(path, step):
    """Keeps the rows up to `step`."""
    rows = path.read_text().splitlines()[1:] if path.exists() else []
    kept = [row + "\n" for row in rows if int(row.split(",")[0]) <= step]
    with atomic_path(path) as temporary:
        temporary.write_text("step,loss\n" + "".join(kept))


def _cut_events(path, step):
    """Keeps TensorBoard's events up to `step`."""
    with atomic_path(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            try:
                for record in tf.data.TFRecordDataset(str(path)):
                    event = tf.compat.v1.Event.FromString(record.numpy())
                    if event.step <= step:
                        writer.write(record.numpy())
            except tf.errors.DataLossError:
                pass  # the last one, half-written by a killed process
