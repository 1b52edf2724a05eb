"""The run's folder: which run it holds, where to go on, what is written.

config.json   what ran: run_id, settings, command, versions, hardware, git
checkpoints/  step-00000120.npz, ..., best.npz
.lock         the process that trains in it
history.csv  steps.csv  events.out.tfevents.*.dla_keras    while it runs
model.keras  best.keras  metrics.json ...        results
"""

import contextlib
import datetime
import hashlib
import itertools
import json
import os
import pathlib
import platform
import secrets
import shutil
import sys
import warnings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

import keras
import numpy as np
import tensorflow as tf

from dla_keras.data.checks import label_coding
from dla_keras.data.file_cache import file_stamp
from dla_keras.engine.checkpoints import ORIGIN
from dla_keras.engine.checkpoints import Checkpoint
from dla_keras.engine.checkpoints import Checkpoints
from dla_keras.engine.checkpoints import read_checkpoint
from dla_keras.engine.loggers import EVENTS
from dla_keras.engine.strategies import describe_devices
from dla_keras.files import check_folder
from dla_keras.files import is_alive
from dla_keras.files import read_json
from dla_keras.files import write_json
from dla_keras.provenance import RENAMED
from dla_keras.provenance import git_commit
from dla_keras.provenance import local_time
from dla_keras.provenance import processor
from dla_keras.version import __version__

CONFIG = "config.json"
FINISHED = "metrics.json"  # written last
LOCK = ".lock"

# Settings that change neither what is learned nor its results.
FREE = {
    "allow",
    "checkpoint_minutes",
    "checkpoint_steps",
    "config",
    "data_dir",
    "device",
    "keep",
    "logger",
    "overwrite",
    "resume",
    "run_dir",
    "steps_per_execution",
    "strategy",
}
# Those of validations: free until the first one. From then on the best score so
# far, and `best.keras`, are those of the flags it was found with.
SCORED = {"crop_fraction", "thresholds", "val_pictures", "validate_every"}
# Those that say which network it is, beside the shapes of its variables.
NETWORK = ("variant", "node", "upsampling", "head_stride", "compute")
# What `--overwrite` removes of a run, beside what its successor replaces.
OURS = (
    FINISHED,
    "checkpoints/step-*.npz*",
    "checkpoints/best.npz*",
    "checkpoints/.*.npz.*",  # half-written ones of a killed process
    "history.csv",
    "steps.csv",
    "*.csv.damaged*",
    EVENTS,
    "model.keras",
    "best.keras",
    "report.html",
    "loggers.json",
)


def choose_run_dir(args) -> pathlib.Path:
    """Return a run's folder: `--run-dir`, that of `--resume`, or a new one.

    A new one is made, so that no run that begins in the same second has it.

    Raises:
        ValueError: If several machines would each choose a new one.
    """
    if args.run_dir:
        return pathlib.Path(args.run_dir)
    if args.resume not in ("auto", "never"):
        folder = pathlib.Path(args.resume).resolve().parents[1]
        if recorded(folder):
            return folder
    if os.environ.get("TF_CONFIG"):
        raise ValueError("Several machines need --run-dir, one for all.")
    name = pathlib.Path(args.dataset).name
    now = datetime.datetime.now()
    name = f"runs/{name}-{args.variant}-{now:%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = pathlib.Path(f"{name}-{number}" if number > 1 else name)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


@contextlib.contextmanager
def hold_run_dir(args, chief: bool = True):
    """Keep other processes from training in a run's folder during the block.

    The kernel lets go of it with the process, however that ends. Reading needs
    no lock, and machines that share a run leave it to their chief.

    Args:
        args: Parsed flags of training.
        chief: Whether this process writes the run's files. Defaults to `True`.

    Yields:
        The folder. If no run begins in a new one, it is removed.

    Raises:
        ValueError: If it is none for a run, or another process holds it.
    """
    run_dir = choose_run_dir(args)
    check_run_dir(run_dir, vars(args), args.overwrite)
    if not chief:
        yield run_dir
        return
    new = not args.run_dir or not run_dir.exists()
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock = (run_dir / LOCK).open("a+", errors="replace")
    except OSError:  # one may read what is finished, and write nothing
        lock = None
    if lock is None:
        yield run_dir
        return
    with lock:
        _lock(lock, run_dir)
        lock.truncate(0)
        lock.write(f"{os.getpid()} {platform.node()} {local_time()}\n")
        lock.flush()
        try:
            yield run_dir
        finally:
            lock.truncate(0)
            if new and os.listdir(run_dir) == [LOCK]:
                (run_dir / LOCK).unlink()
                run_dir.rmdir()


def _lock(file, run_dir):
    """Lock a file, or raise `ValueError` that names who has."""
    file.seek(0)
    number, host, time = [*file.read().split(), "?", "?", "?"][:3]
    message = (
        f"{run_dir} is in use: process {number} on {host} has trained in it "
        f"since {time}. Wait for its end, stop it, or choose another --run-dir."
    )
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(message) from error
    except (OSError, AttributeError):  # not on this system, or of these files
        if host == platform.node() and number != str(os.getpid()):
            if number.isdecimal() and is_alive(int(number)):
                raise ValueError(message) from None
        elif host not in ("?", platform.node()):
            warnings.warn(
                f"Process {number} on {host} may still train in {run_dir}: "
                "these files cannot be locked.",
                stacklevel=4,
            )


def check_run_dir(run_dir, settings: dict, overwrite: bool = False) -> None:
    """Refuse a folder that holds anything but a run.

    Args:
        run_dir: Folder of the run.
        settings: Settings of the run, by flag.
        overwrite: Whether a run in it would be lost. Defaults to `False`.

    Raises:
        ValueError: If it is a file, holds files and no run, or if a run would
            begin in the folder of its data.
    """
    run_dir = pathlib.Path(run_dir)
    check_folder(run_dir, "--run-dir")
    for name in ("model.keras", "best.keras", "report.html", FINISHED):
        if (run_dir / name).is_dir():  # found at the end otherwise
            raise ValueError(
                f"{run_dir / name} is a folder, where a file of the run "
                "belongs. Move it, or choose another --run-dir."
            )
    run = recorded(run_dir)
    if run and not overwrite:
        return  # also in the folder of its data, as earlier versions let it
    if not run_dir.is_dir():
        return
    named = [settings.get(flag) for flag in ("dataset", "data_dir")]
    if os.path.realpath(run_dir) in [os.path.realpath(n) for n in named if n]:
        raise ValueError(
            f"Expected --run-dir to be a folder of its own. Received: {run_dir}"
            ", which is that of the data; choose another --run-dir."
        )
    there = sorted(f.name for f in run_dir.iterdir() if f.name[0] != ".")
    if there and not run:
        raise ValueError(
            "Expected --run-dir to be a new folder, or one with a run. "
            f"Received: {run_dir}, which holds {', '.join(there[:3])}"
            f"{', ...' if there[3:] else ''} and no {CONFIG} of a run; choose "
            "another --run-dir."
        )


def find_start(
    run_dir, settings: dict, resume: str = "auto", overwrite: bool = False
) -> Checkpoint | None:
    """Return the checkpoint that a run goes on from, `None` for a fresh start.

    Nothing is written.

    Args:
        run_dir: Folder of the run.
        settings: Settings of the run, by flag.
        resume: `"auto"` (the folder's newest checkpoint, if any), `"never"`,
            or the path of a checkpoint. Defaults to `"auto"`.
        overwrite: Whether to ignore the folder's content. Defaults to `False`.

    Raises:
        ValueError: If the folder is none for a run (`check_run_dir`), it
            holds a run of other settings, `resume` is `"never"` and it holds
            any run, or `overwrite` would remove the checkpoint.
        SystemExit: If that run is finished; the exit code is 0.
    """
    run_dir = pathlib.Path(run_dir)
    check_run_dir(run_dir, settings, overwrite)
    before = {} if overwrite else recorded(run_dir)
    if before:
        finished = _is_finished(run_dir)
        free = FREE if finished else FREE | SCORED
        _check_settings(run_dir, before, settings, free)
        if resume == "never":
            raise ValueError(
                f"{run_dir} holds an earlier run. Choose another --run-dir, "
                "pass --overwrite to lose it, or --resume auto to go on."
            )
        if resume == "auto" and finished:
            print(
                f"{run_dir} holds this run, finished: {FINISHED} is there. "
                "To train anew, choose another --run-dir or pass --overwrite."
            )
            raise SystemExit(0)
    start = _open_start(run_dir, resume, overwrite)
    if start:
        found = resume == "auto"
        _check_origin(start, before.get("run_id"), settings, found)
        if before and start.facts.get("rows"):  # validated with these flags
            _check_settings(run_dir, before, settings, FREE)
    return start


def _is_finished(run_dir):
    """Return whether the scores of the end are there, and not cut off."""
    try:
        scores = json.loads((run_dir / FINISHED).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(scores, dict)


def _open_start(run_dir, resume, overwrite):
    """Return the checkpoint that `resume` asks for, if there is one."""
    if resume not in ("auto", "never"):
        inside = run_dir.resolve() in pathlib.Path(resume).resolve().parents
        if overwrite and inside:
            raise ValueError(
                f"--overwrite would remove {resume}, which --resume goes on "
                "from. Leave one of the two out, or choose another --run-dir."
            )
        return read_checkpoint(resume)
    if resume == "never" or overwrite:
        return None
    return Checkpoints(run_dir / "checkpoints").newest()


def _check_origin(start, run_id, settings, found: bool):
    """Raise `ValueError` if a checkpoint belongs to something else.

    Args:
        start: Checkpoint to go on from.
        run_id: Id of the run in the folder.
        settings: Settings of the run, by flag.
        found: Whether it was found in the folder. One that was named may be of
            another run, if network and classes are the same.
    """
    theirs = start.facts.get(ORIGIN)
    if theirs is None:  # by a version that did not note it
        return
    ours = identity("", settings)
    differing = [
        f"{_flag(name)} {ours['network'][name]} (there: {other})"
        for name, other in theirs["network"].items()
        if ours["network"].get(name, other) != other
    ]
    data = differences(ours["data"], theirs["data"])
    if found and theirs["id"] != run_id:
        differing += data or [f"run_id {run_id} (there: {theirs['id']})"]
        cure = "move it away, or pass it to --resume with another --run-dir"
    else:
        cure = "pass what it was trained with, or only its --weights"
        both = (ours["data"], theirs["data"])
        classes = differences(*map(_only_classes, both))
        differing += classes
        if data and not found and not classes:
            warnings.warn(
                f"{start.path} was trained on other data: {', '.join(data)}.",
                stacklevel=3,
            )
    if differing:
        raise ValueError(
            f"{start.path} is of another run: {', '.join(differing)}; {cure}."
        )


def _only_classes(data):
    return {"class_names": data.get("class_names", ())}


def identity(run_id: str, settings: dict) -> dict:
    """Return what tells a run from others, for its checkpoints.

    Args:
        run_id: Id of the run.
        settings: Settings of the run, by flag.
    """
    network = {name: settings[name] for name in NETWORK if name in settings}
    facts = {"id": run_id, "network": network, "data": settings.get("data", {})}
    return json.loads(json.dumps(facts))


def _flag(name):
    return f"--{name.replace('_', '-')}"


def recorded(run_dir) -> dict:
    """Return what `config.json` says of a run, by today's names of flags.

    Args:
        run_dir: Folder of the run.

    Returns:
        Nothing where there is no such file, or it is of something else.

    Raises:
        ValueError: If it is no JSON.
    """
    path = pathlib.Path(run_dir) / CONFIG
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except ValueError as error:
        raise ValueError(
            f"{error} Choose another --run-dir, or restore that file."
        ) from error
    versions = content.get("versions") if isinstance(content, dict) else None
    if not isinstance(versions, dict) or "dla_keras" not in versions:
        return {}
    for name, kind in (("starts", list), ("data", dict), ("dataset", str)):
        if not isinstance(content.get(name, kind()), kind):
            raise ValueError(
                f"{path} is no config of a run: {name!r} is "
                f"{content[name]!r:.80}. Choose another --run-dir, or restore "
                "that file."
            )
    return {RENAMED.get(name, name): v for name, v in content.items()}


def _check_settings(run_dir, theirs, settings, free):
    theirs = dict(theirs)
    if (there := theirs.get("dataset")) and pathlib.Path(there).is_dir():
        theirs["dataset"] = os.path.abspath(there)  # as typed, at first
    ours = json.loads(json.dumps(settings))
    # The run may have begun with an earlier version that lacks some flags. They
    # make no difference when they are off.
    ours = {n: v for n, v in ours.items() if n in theirs or v}
    here, there = ours.pop("data", {}), theirs.get("data")
    differing = differences(here, there) if there else []
    differing += [
        f"{_flag(name)} {ours[name]} (there: {theirs.get(name)})"
        for name in ours
        if name not in free and ours[name] != theirs.get(name)
    ]
    if differing:
        raise ValueError(
            f"{run_dir} holds a run of other data or settings: "
            f"{', '.join(differing)}. Choose another --run-dir (with "
            f"--resume {_newest_name(run_dir)} it goes on from there), or "
            "pass --overwrite to lose that run."
        )


def _newest_name(run_dir):
    saved = Checkpoints(run_dir / "checkpoints").paths()
    return saved[-1] if saved else "CHECKPOINT"


def claim(
    run_dir, settings: dict, strategy, step: int, overwrite: bool
) -> dict:
    """Take the folder for a run, and write its facts to `config.json`.

    Args:
        run_dir: Folder of the run.
        settings: Settings of the run, by flag.
        strategy: Strategy it runs on.
        step: Step it goes on from; `0` for a fresh start.
        overwrite: Whether to remove the files of an earlier run.

    Returns:
        Identity of the run, for its checkpoints.
    """
    run_dir = pathlib.Path(run_dir)
    before = recorded(run_dir)
    if overwrite and before:
        _remove_run(run_dir)
    starts = [] if overwrite else before.get("starts", [])
    run_id = None if overwrite else before.get("run_id")
    run_id = run_id or secrets.token_hex(8)
    facts = {
        "replicas": strategy.num_replicas_in_sync,
        "command": ["python", *sys.argv],
        "versions": {
            "dla_keras": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "hardware": _hardware(strategy),
        "git": git_commit(),
    }
    starts.append({"time": local_time(), "step": step, **facts})
    config = {**settings, "run_id": run_id, "run_dir": str(run_dir), **facts}
    write_json(run_dir / CONFIG, {**config, "starts": starts})
    return identity(run_id, settings)


def _remove_run(run_dir):
    """Remove what a run wrote, but for its config: that is replaced at once.

    Other machines may be looking for it.
    """
    for pattern in OURS:
        for old in run_dir.glob(pattern):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    with contextlib.suppress(OSError):  # not there, or not empty
        (run_dir / "checkpoints").rmdir()


def _hardware(strategy) -> dict:
    """Return the devices that train, and the processor."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "device": describe_devices(strategy),
        "devices": list(strategy.extended.worker_devices),
        "gpus": gpus,
        "cpu": processor(),
        "cores": os.cpu_count(),
    }


# --- Which data it is ---


def fingerprint(train, val) -> dict:
    """Return what tells one dataset from another, for `config.json`.

    Args:
        train: Training split.
        val: Validation split.

    Returns:
        `class_names`, `coding`, and for each split the number of `pictures`
        and a hash of their `files`: names within the data's folder, and sizes.
    """
    names = list(getattr(train.info, "class_names", ()))
    facts = {"class_names": names, "coding": label_coding(train.info)}
    for name, split in (("train", train), ("val", val)):
        facts[name] = {"pictures": len(split)}
        if pairs := getattr(split, "pairs", None):
            facts[name]["files"] = _files_hash(pairs)
    return facts


def _files_hash(pairs):
    """Return a hash of names and sizes that a moved folder keeps."""
    files = [file for pair in pairs for file in pair]
    paths = [os.path.abspath(getattr(file, "path", file)) for file in files]
    root = os.path.commonpath(paths)
    lines = [
        f"{os.path.relpath(path, root)} {(file_stamp((path,)) or [None])[0]}"
        for path in paths
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def differences(ours: dict, theirs: dict) -> list[str]:
    """Return what differs between the data of two runs, in words.

    Args:
        ours: Fingerprint of the data at hand.
        theirs: Fingerprint that an earlier run recorded.

    Example:

    >>> ours = {"class_names": ["a"], "train": {"pictures": 3}}
    >>> differences(ours, {"class_names": ["b"], "train": {"pictures": 3}})
    ['classes a (there: b)']
    """
    said = []
    ours_names, names = (x.get("class_names", ()) for x in (ours, theirs))
    if [*ours_names] != [*names]:
        said.append(
            f"classes {', '.join(ours_names)} (there: {', '.join(names)})"
        )
    if ours.get("coding") != theirs.get("coding"):
        said.append(
            f"meaning of labels' values {json.dumps(ours.get('coding'))} "
            f"(there: {json.dumps(theirs.get('coding'))})"
        )
    for split in ("train", "val"):
        one, other = ours.get(split, {}), theirs.get(split, {})
        if one.get("pictures") != other.get("pictures"):
            said.append(
                f"{one.get('pictures')} pictures of {split} (there: "
                f"{other.get('pictures')})"
            )
        elif one != other:
            said.append(f"other files in {split}, by their names and sizes")
    return said
