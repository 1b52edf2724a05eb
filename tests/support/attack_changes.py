"""What is done to whole files to break them: each function makes a `Change`.

Paths are those in the folder of a case.
"""

import io
import json
import os
import shutil
import zipfile

import h5py
import numpy as np
from attack import Change
from PIL import Image

from dla_keras.inference.model_checks import NO_DIGEST
from dla_keras.inference.model_checks import digest_place
from dla_keras.inference.model_checks import sealed
from dla_keras.lite.file.tflite_file import TfliteFile

# --- Any file ---


def text(path, content, encoding="utf-8"):
    """Write a text; of anything but a text, its JSON."""
    if not isinstance(content, str):
        content = json.dumps(content)
    return raw(path, content.encode(encoding))


def raw(path, content: bytes):
    return Change(path, lambda p: write(p, content))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def gone(path):
    return Change(
        path, lambda p: shutil.rmtree(p) if p.is_dir() else p.unlink()
    )


def moved(path, target):
    """Move a file to a path beside it."""

    def do(p):
        (p.parent / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(p, p.parent / target)

    return Change(path, do)


def doubled(path, target):
    """Copy a file or a folder to a path beside it."""

    def do(p):
        (p.parent / target).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if p.is_dir() else shutil.copy2)(p, p.parent / target)

    return Change(path, do)


def folder(path):
    return Change(path, lambda p: p.mkdir(parents=True))


def pipe(path):
    """Put a pipe that nobody writes to in the place of a file."""

    def do(p):
        p.unlink(missing_ok=True)
        p.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(p)

    return Change(path, do)


def link(path, target):
    def do(p):
        p.unlink(missing_ok=True)
        p.parent.mkdir(parents=True, exist_ok=True)
        p.symlink_to(target)

    return Change(path, do)


def sparse(path, size):
    """Make a file as large as it is said, which takes no disk."""

    def do(p):
        p.parent.mkdir(parents=True, exist_ok=True)
        with p.open("ab") as file:
            file.truncate(size)

    return Change(path, do)


def changed(path, change):
    """Change the bytes of a file by a function of them."""
    return Change(path, lambda p: p.write_bytes(change(p.read_bytes())))


def cut(path, share):
    return changed(path, lambda data: data[: int(share * len(data))])


def flipped(path, share):
    """Change one bit, so far into the file."""

    def change(data):
        data = bytearray(data)
        data[int(share * len(data))] ^= 4
        return bytes(data)

    return changed(path, change)


def replaced(path, old, new):
    """Change words of a text."""

    def change(data):
        assert old.encode() in data, old
        return data.replace(old.encode(), new.encode())

    return changed(path, change)


# --- JSON, arrays, archives ---


def said(path, **values):
    """Set keys of a JSON object; `None` removes one."""

    def change(data):
        content = {**json.loads(data), **values}
        content = {k: v for k, v in content.items() if v is not None}
        return json.dumps(content).encode()

    return changed(path, change)


def picture(path, pixels, **options):
    """Write pixels in the format of the path's suffix."""

    def do(p):
        p.parent.mkdir(parents=True, exist_ok=True)
        image = pixels
        if not isinstance(image, Image.Image):
            image = Image.fromarray(np.asarray(image))
        image.save(p, **options)

    return Change(path, do)


def relabelled(path, change):
    """Change the pixels of a PNG by a function of them."""

    def do(p):
        pixels = np.array(Image.open(p))
        Image.fromarray(change(pixels)).save(p)

    return Change(path, do)


def array(path, values):
    def do(p):
        p.parent.mkdir(parents=True, exist_ok=True)
        np.save(p, values)

    return Change(path, do)


def arrays(path, change):
    """Change the arrays of an `.npz` by a function of their dictionary."""

    def do(p):
        with np.load(p) as stored:
            found = {name: stored[name] for name in stored.files}
        change(found)
        with p.open("wb") as file:
            np.savez(file, **found)

    return Change(path, do)


def recorded(path, **values):
    """Set facts in the JSON of a checkpoint; `None` removes one."""

    def change(found):
        facts = json.loads(found["facts.json"].tobytes())
        facts = {k: v for k, v in {**facts, **values}.items() if v is not None}
        found["facts.json"] = np.frombuffer(json.dumps(facts).encode(), "u1")

    return arrays(path, change)


def members(path, change):
    """Change the files in a zip by a function of their dictionary."""

    def do(data):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {n: archive.read(n) for n in archive.namelist()}
        change(found)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in found.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return changed(path, do)


def configured(path, change):
    """Change the configuration of a `.keras` file by a function of it."""

    def do(found):
        content = json.loads(found["config.json"])
        change(content)
        found["config.json"] = json.dumps(content).encode()

    return members(path, do)


def trained(path, change):
    """Change the weights of a `.keras` file by a function of its HDF5."""

    def do(found):
        buffer = io.BytesIO(found["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        found["model.weights.h5"] = buffer.getvalue()

    return members(path, do)


def weights(path, change):
    """Change an HDF5 file by a function of it."""

    def do(p):
        with h5py.File(p, "r+") as file:
            change(file)

    return Change(path, do)


def first_dataset(file, ending="vars/0"):
    """Return the first array of an HDF5 file whose name ends so."""
    names = []
    file.visit(names.append)
    return next(n for n in names if n.endswith(ending))


def tensors(path, change):
    """Change a `.safetensors` by a function of its header and its bytes.

    The function may return another header, and other bytes.
    """

    def do(data):
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        body = bytearray(data[8 + length :])
        found = change(header, body)
        header, body = found or (header, body)
        packed = header
        if not isinstance(header, bytes):
            packed = json.dumps(header).encode()
        return len(packed).to_bytes(8, "little") + packed + bytes(body)

    return changed(path, do)


# --- .tflite ---


def facts(path, change, seal=True):
    """Change the facts of a `.tflite`, which stays valid around them.

    Args:
        path: Path of the file.
        change: Function of the facts, which may return other ones.
        seal: Whether the file's digest is made anew, as by a hostile exporter.
            Defaults to `True`.
    """

    def do(data):
        start = data.index(b'{"format"')
        content, length = json.JSONDecoder().raw_decode(
            data[start:].decode("utf-8", "replace")
        )
        content = change(content) or content
        if isinstance(content, dict) and "digest" in content:
            content["digest"] = NO_DIGEST
        packed = content
        if not isinstance(content, bytes):
            packed = json.dumps(content, separators=(",", ":")).encode()
        assert len(packed) <= length, (len(packed), length)
        data = data[:start] + packed.ljust(length) + data[start + length :]
        return sealed(data) if seal and digest_place(data) else data

    return changed(path, do)


def rebuilt(path, change):
    """Change the objects of a `.tflite` by a function of its `TfliteFile`."""

    def do(data):
        file = TfliteFile(data)
        change(file)
        return file.pack()

    return changed(path, do)


# --- What came of it ---


def printed(*words):
    """Return a check that the output holds words."""

    def check(outcome):
        text = outcome.out + outcome.err
        missing = [word for word in words if word not in text]
        return f"does not say {missing}" if missing else None

    return check


def warned(*words):
    """Return a check that a warning holds words."""

    def check(outcome):
        lines = [x for x in outcome.err.splitlines() if "arning" in x]
        missing = [w for w in words if not any(w in x for x in lines)]
        return f"does not warn of {missing}" if missing else None

    return check


def there(*paths):
    """Return a check that files exist."""

    def check(outcome):
        missing = [p for p in paths if not (outcome.folder / p).exists()]
        return f"without {missing}" if missing else None

    return check


def same_picture(path, expected, least=1.0):
    """Return a check that a picture holds the values of another one.

    Args:
        path: Path of the picture.
        expected: Path of the other one, or an array.
        least: Share of the pixels that must be equal. Defaults to all.
    """

    def check(outcome):
        found = np.array(Image.open(outcome.folder / path))
        other = expected
        if isinstance(expected, str):
            other = np.array(Image.open(outcome.folder / expected))
        if found.shape != other.shape:
            return f"{found.shape} instead of {other.shape}"
        share = (found == other).mean()
        return None if share >= least else f"{share:.3f} of {path} agree"

    return check


def same_model(path, expected):
    """Return a check that two `.keras` files hold the same numbers."""

    def check(outcome):
        one, other = (
            keras_arrays(outcome.folder / each) for each in (path, expected)
        )
        differ = [n for n in other if not np.array_equal(one.get(n), other[n])]
        return (
            f"{len(differ)} of {len(other)} arrays differ" if differ else None
        )

    return check


def keras_arrays(path):
    found = {}

    def note(name, value):
        if isinstance(value, h5py.Dataset):
            found[name] = value[()]

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(note)
    return found


def scored(path, **expected):
    """Return a check that a JSON file holds these values."""

    def check(outcome):
        found = json.loads((outcome.folder / path).read_text())
        wrong = {
            k: found.get(k) for k, v in expected.items() if found.get(k) != v
        }
        return f"received {wrong}, expected {expected}" if wrong else None

    return check


def every(*checks):
    """Return a check that makes several."""

    def check(outcome):
        return next(filter(None, (each(outcome) for each in checks)), None)

    return check
