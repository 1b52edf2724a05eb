"""What a training run leaves while it runs: `history.csv` and TensorBoard."""

import csv
import pathlib

import tensorflow as tf

from dla_keras.files import atomic_path


class History:
    """Figures by step, as a table and as curves.

    Args:
        run_dir: the run's folder. `history.csv` is written whole at each row;
            `tensorboard --logdir` on the folder shows the curves.
    """

    def __init__(self, run_dir):
        self.path = pathlib.Path(run_dir) / "history.csv"
        self.writer = tf.summary.create_file_writer(str(run_dir))
        self.rows = []

    def add(self, row: dict) -> None:
        """Adds figures by name; `"step"` is one of them."""
        self.rows.append(row)
        with (
            atomic_path(self.path) as temporary,
            temporary.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)
        with self.writer.as_default(step=row["step"]):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
