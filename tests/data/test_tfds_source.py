"""Data that TFDS has written, read by index from either of its formats."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dla_keras.data.classification import open_classification_split
from dla_keras.data.datasets import DATASETS
from dla_keras.data.datasets import DatasetInfo
from dla_keras.data.segmentation import open_split


class TinyPets(tfds.core.GeneratorBasedBuilder):
    """A dataset that TFDS itself writes, with its features' real names."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        counts = {"train": 7, "test": 3}
        return {s: self._generate_examples(n) for s, n in counts.items()}

    def _generate_examples(self, count):
        for index in range(count):
            yield (
                index,
                {
                    "image": np.full((6, 5 + index, 3), index, np.uint8),
                    "label": index % 2,
                    "segmentation_mask": np.full(
                        (6, 5 + index, 1), 1 + index % 3, np.uint8
                    ),
                },
            )


def write(folder, file_format, num_shards):
    builder = tfds.builder(
        "tiny_pets", data_dir=folder, file_format=file_format
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=num_shards)
    )
    assert len(list(folder.rglob("*-train.*"))) == num_shards


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_data_that_tfds_has_written_is_read_by_index(tmp_path, file_format):
    """TFRecord, TFDS' default, is what a user's folder may hold already."""
    write(tmp_path, file_format, num_shards=3)
    folder = str(tmp_path)
    train = open_classification_split("tiny_pets", "train", folder)
    assert train.info.class_names == ("cat", "dog")
    for index in (5, 0, 6, 1, 2, 3, 4):  # over all shards
        assert train[index].label == index % 2
        assert train[index].image.shape == (6, 5 + index, 3)
        assert train[index].image.max() == index
    assert len(train) == 7
    with pytest.raises(IndexError):
        train[7]
    val = open_classification_split("tiny_pets", "val", folder)
    assert len(val) == 3 and val[0].name == "tiny_pets/test/0"
    part = open_classification_split("tiny_pets", "train[2:4]", folder)
    assert [example.image.max() for example in part] == [2, 3]

    with pytest.raises(ValueError, match="split 'extra'.*train"):
        open_classification_split("tiny_pets", "extra", folder)

    names = DATASETS["oxford_iiit_pet"].tfds
    pets = DatasetInfo(
        "oxford_iiit_pet",
        ("a", "b", "c"),
        ((0, 0, 0),) * 3,
        label_values={1: 0, 2: 1, 3: 2},
        tfds=dataclasses.replace(names, builder="tiny_pets"),
    )
    with mock.patch.dict(DATASETS, {"oxford_iiit_pet": pets}):
        split = open_split("oxford_iiit_pet", "train", folder)
    assert [int(example.label.max()) for example in split] == [
        index % 3 for index in range(7)
    ]


def test_truncated_tfrecord_is_named(tmp_path):
    write(tmp_path, "tfrecord", num_shards=1)
    (path,) = tmp_path.rglob("tiny_pets-train.tfrecord*")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="train.tfrecord.* ends within a"):
        open_classification_split("tiny_pets", "train", str(tmp_path))
