"""Pythons with a runtime: the running one, or one made in a cache folder."""

import dataclasses
import hashlib
import importlib.util
import pathlib
import shutil
import subprocess
import sys

from dla_keras.files import new_folder
from dla_keras.lite.measure.cost import last_words

COMPLETE = "complete"  # marks a folder that is complete
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")
SECONDS = 900  # for a download


class NotInstalledError(ImportError):
    """A runtime cannot be installed here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Python:
    """A command that starts a Python.

    Args:
        command: Words before the script.
        variables: Environment variables to add. Defaults to `()`.
    """

    command: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()


def this_python(cache, module: str) -> Python:
    """Return the running Python, if it has a module.

    Args:
        cache: Folder of the cache, not used here.
        module: Name of a top-level module.

    Raises:
        NotInstalledError: If it lacks the module.
    """
    if importlib.util.find_spec(module) is None:
        raise NotInstalledError(f"{module} is not installed in {sys.prefix}")
    return Python((sys.executable,))


def own_python(
    cache, requirements: tuple[str, ...], versions: tuple[str, ...] = ()
) -> Python:
    """Return a virtual environment in the cache, made once.

    Args:
        cache: Folder that holds all of them.
        requirements: Packages that pip installs there.
        versions: Versions of Python that the packages exist for. Defaults to
            `()`: the running one.

    Raises:
        NotInstalledError: If there is no such Python, or pip fails.
    """
    base = _find_python(versions)

    def fill(folder):
        run([base, "-m", "venv", str(folder)])
        python = str(folder / "bin" / "python")
        run([python, *PIP, "install", *requirements])

    folder = made_once(cache, requirements[0], (base, *requirements), fill)
    return Python((str(folder / "bin" / "python"),))


def made_once(cache, name: str, recipe: tuple[str, ...], fill) -> pathlib.Path:
    """Return a folder of the cache, filled unless it is there already.

    Args:
        cache: Folder of the cache.
        name: Beginning of the folder's name, for people.
        recipe: Words that decide its content; another recipe makes another
            folder.
        fill: Function that writes the content into a folder.
    """
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]
    folder = pathlib.Path(cache).resolve() / f"{name}-{digest}"
    if not (folder / COMPLETE).exists():
        with new_folder(folder, COMPLETE) as workshop:
            fill(workshop)
            (workshop / COMPLETE).write_text("\n".join(recipe) + "\n")
    return folder


def run(command, **options) -> None:
    """Run a command that makes a part of an environment.

    Raises:
        NotInstalledError: If it fails; the message is the end of its output.
    """
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            **options,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise NotInstalledError(last_words(error)) from error


def _find_python(versions):
    this = "{}.{}".format(*sys.version_info)
    if not versions or this in versions:
        return sys.executable
    for version in versions:
        found = shutil.which(f"python{version}")
        # Version managers leave commands of Pythons that do not exist.
        if found and not subprocess.call(
            [found, "-c", ""], stderr=subprocess.DEVNULL
        ):
            return found
    raise NotInstalledError(
        f"it needs Python {' or '.join(versions)}; this is {this}, and none "
        "of them is on the PATH"
    )
