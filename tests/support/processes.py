"""Processes for tests of what happens to a process.

One server imports TensorFlow and is forked for each of them, which saves five
seconds a process. It has no device and no thread of TensorFlow yet, so devices,
signals and environment are the fork's own.
"""

import importlib
import multiprocessing
import os
import pathlib
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing import forkserver
from unittest import mock

SCRIPTS = ("tiny_run", "replicas", "legacy_replicas")
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["dla_keras", *SCRIPTS])


@dataclass
class Started:
    """A script that runs.

    Args:
        process: Its process.
        log: Path of what it prints, until it ends.
    """

    process: multiprocessing.Process
    log: pathlib.Path

    def is_alive(self):
        return self.process.is_alive()

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.process.kill()
        self.process.join()
        self.log.unlink()

    def printed(self):
        return self.log.read_text(encoding="utf-8")

    def finish(self, code=0):
        """Wait until it ends with an exit code; return what it printed."""
        self.process.join(300)
        printed = self.printed()
        assert self.process.exitcode == code, printed
        self.log.unlink()
        return printed


def start(script, *arguments, environment=None):
    """Start a script of `SCRIPTS`.

    Args:
        script: Name of the module.
        arguments: Words after its name.
        environment: Variables that it has beside ours.
    """
    descriptor, log = tempfile.mkstemp(prefix=f"{script}-", suffix=".log")
    os.close(descriptor)
    words = [str(word) for word in arguments]
    _serve()
    process = FORKS.Process(
        target=_run, args=(script, words, environment or {}, log)
    )
    process.start()
    return Started(process, pathlib.Path(log))


def _serve():
    """Start the server, if none is there, where it finds what it preloads.

    Python 3.11 does not tell it our `sys.path`, and misses a module silently.
    """
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()


def _run(script, arguments, environment, log):
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    raise SystemExit(importlib.import_module(script).main(arguments))
