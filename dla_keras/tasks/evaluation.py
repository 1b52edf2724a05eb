"""The door for Python: the scores of a model on a split of a dataset."""

import os
import warnings

from dla_keras.choices import choose
from dla_keras.inference.loaded_model import LoadedModel
from dla_keras.inference.loaded_model import load
from dla_keras.inference.model_files import describe_model
from dla_keras.inference.views import Views
from dla_keras.models.classes import in_model_order
from dla_keras.tasks import TASKS


def evaluate(
    model,
    dataset: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    split: str = "val",
    task: str | None = None,
    threads: int = 2,
    classes_by_number: bool = False,
) -> dict:
    """Return the scores of a model on a split of a dataset.

    Args:
        model: Model in memory, what `dla_keras.load` returns, or the path of
            a model file of any kind.
        dataset: Name of a dataset, or a folder.
        data_dir: Folder of a named dataset's files. Defaults to `None`: that
            of TensorFlow Datasets.
        split: Name of the split. Defaults to `"val"`.
        task: Name of one of the model's tasks. Defaults to `None`: the first.
        threads: Threads that a `.tflite` file runs on. Defaults to `2`.
        classes_by_number: Whether class 0 is class 0, and so on, where the
            names of the model's classes and the dataset's differ. Defaults to
            `False`: the same names in another order are matched, with a
            warning, and others are an error.

    Returns:
        The scores by name: `miou`, `per_class_iou` and `pixel_accuracy` of a
        segmenter, `ods_f`, `ois_f` and `ap` of a boundary detector, `top1` and
        `top5` of a classifier, and the number of `pictures`, among others.

    Raises:
        FileNotFoundError: If the model or the dataset is not there.
        ValueError: If the model is not for the task, or the dataset does not
            fit or has other classes.

    Example:

    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, channels in {"image.png": 3, "label.png": 1}.items():
    ...     pixels = np.zeros((32, 64, channels))
    ...     keras.utils.save_img(folder / name, pixels, scale=False)
    >>> for name, text in {
    ...     "info.json": '{"classes": 3}',
    ...     "val_images.txt": "image.png",
    ...     "val_labels.txt": "label.png",
    ... }.items():
    ...     _ = (folder / name).write_text(text)
    >>> model = dla_keras.DLASegmenter("dla46_c", num_classes=3)
    >>> scores = evaluate(model, folder)
    >>> scores["pictures"], 0 <= scores["miou"] <= 1
    (1, True)
    """
    if isinstance(model, (str, os.PathLike)):
        model = load(model, threads)
    if not isinstance(model, LoadedModel):
        model = LoadedModel(describe_model(model, "a model in memory"))
    name = task or model.tasks[0]
    choose("task", name, dict.fromkeys(model.tasks))
    row, file = TASKS[name], model.file
    if isinstance(dataset, os.PathLike):
        dataset = os.fspath(dataset)
    source = dataset, split, data_dir
    first = TASKS[model.tasks[0]]
    opened = in_model_order(
        first.open_split(*source),
        file.classes,
        classes_by_number,
        warnings.warn,
    )
    if row is not first:
        opened = row.open_split(*source, beside=opened)
    scored = row.working_split(opened, file.fit, scored=True)
    return row.evaluate(row.file_finder(file, Views()), scored)
