"""Validation, shared by all devices and machines; the scores are those of one.

Each picture is measured once, somewhere; the records of all machines come
together in the order of the pictures, and are summed up everywhere.
"""

import contextlib
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from dla_keras.choices import spread


class Stopped(Exception):
    """Raised inside a long validation that a signal interrupts."""


class FirstPictures(Sequence):
    """The beginning of a split.

    Args:
        split: Sequence of examples with `info`.
        count: Number of pictures, at most. Defaults to `1`.
    """

    def __init__(self, split: Sequence, count: int = 1):
        self.split = split
        self.info = split.info
        self.count = min(count, len(split))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.split[range(self.count)[index]]


class Validation:
    """Scores a network's copies on a split.

    Args:
        row: Row of the task, a module of `dla_keras.tasks`.
        finders: Device -> finder around the copy of the network on it. A
            device of `None` is TensorFlow's choice.
        split: Sequence of examples with `info`.
        pictures: Number of pictures, evenly spread, that are scored on the
            way. Defaults to `None`: all.
        flags: Flags of the row's `measure`, by name. Defaults to none.
        exchange: Function from `make_exchange`. Defaults to `None`: this
            process is alone.
        place: Number of this process, and of all. Defaults to `(0, 1)`.
    """

    def __init__(
        self,
        row,
        finders: dict[str | None, Callable],
        split: Sequence,
        pictures: int | None = None,
        flags: dict | None = None,
        exchange: Callable | None = None,
        place: tuple[int, int] = (0, 1),
    ):
        self.row = row
        self.finders = finders
        self.split = split
        self.pictures = pictures
        self.flags = flags or {}
        self.exchange = exchange or (lambda content: [content])
        self.place = place

    @property
    def is_bounded(self) -> bool:
        """Return whether pictures are left out on the way."""
        return self.pictures is not None and self.pictures < len(self.split)

    def __call__(self, watch: Callable = iter, whole: bool = False) -> dict:
        """Return the scores, by name.

        Args:
            watch: Wrapper of indices that raises `Stopped` after a signal.
                Defaults to none.
            whole: Whether all pictures are scored. Defaults to `False`.

        Raises:
            Stopped: If there was a signal to any process.
        """
        count = None if whole else self.pictures
        indices = spread(range(len(self.split)), count)
        batches = [
            indices[start : start + self.row.BATCH]
            for start in range(0, len(indices), self.row.BATCH)
        ]
        try:
            mine = self._measure(batches, watch)
        except Stopped:
            mine = None
        parts = self.exchange(mine)
        if any(part is None for part in parts):
            raise Stopped
        records = dict(pair for part in parts for pair in part)
        ordered = [records[index] for index in indices]
        return self.row.summarize(ordered, self.split.info, **self.flags)

    def rehearse(self) -> tuple[Callable, Sequence, dict]:
        """Score a batch as it is scored later, to find now what is wrong.

        The finder is compiled for that batch, and stays compiled.

        Returns:
            A finder, the pictures it scored, and their scores.
        """
        device, find = next(iter(self.finders.items()))
        count = min(self.row.BATCH, self.pictures or self.row.BATCH)
        few = FirstPictures(self.split, count)
        records = self._measure_on(device, find, [*range(len(few))], iter)
        records = [record for _, record in records]
        return find, few, self.row.summarize(records, few.info, **self.flags)

    def _measure(self, batches, watch):
        """Return this process' part of the pictures, with their indices."""
        first, processes = self.place
        parts = processes * len(self.finders)
        jobs = []
        for number, (device, find) in enumerate(self.finders.items()):
            share = batches[first * len(self.finders) + number :: parts]
            jobs.append((device, find, sum(share, [])))
        if len(jobs) == 1:
            return self._measure_on(*jobs[0], watch)
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [pool.submit(self._measure_on, *j, watch) for j in jobs]
            return [pair for each in running for pair in each.result()]

    def _measure_on(self, device, find, indices, watch):
        place = tf.device(device) if device else contextlib.nullcontext()
        with place:
            records = self.row.measure(
                find, self.split, watch(indices), **self.flags
            )
            return list(zip(indices, records, strict=True))
