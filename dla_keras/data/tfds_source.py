"""Opens a TFDS dataset for reading by index, whatever its file format."""

import bisect
import itertools
import os
import struct
from collections.abc import Sequence


def check_places(dataset: str, data_dir: str | None) -> None:
    """Raise `ValueError` if a dataset's place is none.

    Args:
        dataset: Name of the dataset, or its folder.
        data_dir: Folder of the data, or the one in which TFDS keeps its data,
            which it may make.
    """
    if not isinstance(dataset, (str, os.PathLike)) or not os.fspath(dataset):
        raise ValueError(
            "`dataset` is the name of a dataset, or a folder. Received: "
            f"{dataset!r}."
        )
    made = data_dir is None or os.path.isdir(data_dir)
    if not made and (os.path.isdir(dataset) or os.path.exists(data_dir)):
        raise ValueError(
            f"`data_dir` is a folder. Received: {data_dir}, which "
            + ("is a file" if os.path.exists(data_dir) else "is not there")
            + "; pass the folder of the data (--data-dir), or leave it out."
        )


def open_builder(name: str, data_dir: str | None = None):
    """Return a TFDS builder with its data prepared.

    Args:
        name: Name of the builder, with its config after a slash if it has any.
        data_dir: Folder in which TFDS keeps its data. Defaults to `None`:
            TFDS' own default.

    Raises:
        ValueError: If TFDS has no such dataset.
        FileNotFoundError: If files must be downloaded by hand; the message
            holds TFDS' instructions.
    """
    import tensorflow_datasets as tfds

    import dla_keras.data.toy_streets  # noqa: F401 registers it

    prepared = data_dir and os.path.isdir(os.path.join(data_dir, name))
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            # ArrayRecord files, unlike TFRecord, have an index of records.
            builder = tfds.builder(
                name, data_dir=data_dir, file_format="array_record"
            )
            builder.download_and_prepare()
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f"TFDS has no dataset {name!r}; tensorflow.org/datasets lists "
            "what it has."
        ) from error
    except AssertionError as error:
        # TFDS raises it for files that only a person may download.
        how = " ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
        raise FileNotFoundError(f"{name}: {error} {how}".strip()) from error
    except Exception as error:  # whatever its readers raise of a damaged folder
        if not prepared:
            raise
        raise ValueError(_damaged(name, data_dir, error)) from error
    return builder


def _damaged(name, data_dir, error):
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"The data of {name} in {data_dir} cannot be read: {said}; restore "
        f"{os.path.join(data_dir or '', name)}, or remove it."
    )


def open_source(builder, split: str, pictures: Sequence[str]) -> Sequence:
    """Return the rows of a split, by index, with encoded images.

    Args:
        builder: Builder from `open_builder`.
        split: TFDS' name of the split, for instance `"validation"`.
        pictures: Features to leave encoded.

    Raises:
        ValueError: If the dataset has no such split.
    """
    import tensorflow_datasets as tfds

    decoders = {name: tfds.decode.SkipDecoding() for name in pictures}
    data_dir, name = builder.data_dir, builder.name
    damaged = (KeyError, TypeError, RuntimeError)
    try:
        if not builder.info.splits[split].num_examples:
            raise ValueError(
                f"The data of {name} in {data_dir} has no example of {split}."
            )
    except damaged as error:
        raise ValueError(_damaged(name, data_dir, error)) from error
    if builder.info.file_format is tfds.core.FileFormat.TFRECORD:
        return TFRecordSource(builder.info, split, decoders)
    return builder.as_data_source(split, decoders=decoders)


class TFRecordSource(Sequence):
    """A split that TFDS wrote as TFRecord files, read by index.

    A TFRecord file has no index, so the records' lengths are followed once
    from the first to the last.

    Args:
        info: `builder.info`.
        split: TFDS' name of the split.
        decoders: `decoders` of `builder.as_data_source`.

    Raises:
        ValueError: If a file ends within a record.
    """

    def __init__(self, info, split: str, decoders):
        self._features, self._decoders = info.features, decoders
        self._shards = []  # (path, offsets of its records)
        for shard in info.splits[split].file_instructions:
            end = None if shard.take < 0 else shard.skip + shard.take
            starts = _record_starts(shard.filename)
            self._shards.append((shard.filename, starts[shard.skip : end]))
        counts = [len(starts) for _, starts in self._shards]
        self._ends = list(itertools.accumulate(counts))
        expected = info.splits[split].num_examples
        if len(self) != expected:
            raise ValueError(
                f"Expected {expected} examples in {self._shards[0][0]}"
                + ", ..." * (len(counts) > 1)
                + f". Received: {len(self)}; restore it."
            )

    def __len__(self):
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index):
        shard = bisect.bisect_right(self._ends, index)
        path, starts = self._shards[shard]
        first = self._ends[shard] - len(starts)
        with open(path, "rb") as file:
            file.seek(starts[index - first])
            (length,) = struct.unpack("<Q4x", file.read(12))
            record = file.read(length)
        return self._features.deserialize_example_np(
            record, decoders=self._decoders
        )


def _record_starts(path):
    # A record: length (8 bytes), its checksum (4), data, its checksum (4).
    starts = []
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        start = 0
        while start < size:
            file.seek(start)
            header = file.read(8)
            end = start + 16 + int.from_bytes(header, "little")
            if len(header) < 8 or end > size:
                raise ValueError(f"{path} ends within a record; restore it.")
            if end == start + 16:
                raise ValueError(f"{path} holds an empty record; restore it.")
            starts.append(start)
            start = end
    return starts
