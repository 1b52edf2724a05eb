"""Signals that end a run: noted at once, obeyed between steps."""

import signal
import sys

EXIT_CODE = 128  # and the signal's number: what a shell reports too


class Stopped(Exception):
    """Raised inside a long validation that a signal interrupts."""


class StopSignals:
    """Notes SIGTERM and the first SIGINT for as long as the block runs.

    A second one acts as ever, for whoever cannot wait.

    Example:

    >>> with StopSignals() as signals:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     signals.number == signal.SIGTERM
    True
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.number = 0

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in self.SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.number = number
        for each, handler in self._before.items():
            signal.signal(each, handler)
        name = signal.Signals(number).name
        print(f"\n{name}: saving, then stopping.", file=sys.stderr)

    def watch(self, items):
        """The items, one by one, until there is a signal.

        Raises:
            Stopped: once there is one.
        """
        for item in items:
            if self.number:
                raise Stopped
            yield item
