"""A 64-bit ARM Python with LiteRT on an x86 machine, emulated.

Debian's packages are downloaded with the machine's own `apt-get` and unpacked
into the cache: nothing is installed, and no rights are needed. The emulator is
that of Debian 13: version 7.2 of Debian 12 computes wrong int8 results.
"""

import os
import platform
import shutil
import sys

from runtimes.environments import PIP
from runtimes.environments import NotInstalledError
from runtimes.environments import Python
from runtimes.environments import made_once
from runtimes.environments import run

EMULATOR = "qemu-user"
PYTHON = "3.13"  # Debian 13's
PACKAGES = (
    f"python{PYTHON}-minimal", f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib", "libbz2-1.0", "libc6", "libexpat1",
    "libffi8", "libgcc-s1", "liblzma5", "libssl3t64", "libstdc++6",
    "libuuid1", "zlib1g",
)  # fmt: skip
WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64",
          "manylinux2014_aarch64")  # fmt: skip
CPU = "cortex-a76"  # with the int8 dot products of phones since 2018

SOURCE = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    "http://deb.debian.org/debian trixie main\n"
)
# All of apt's files in a folder of its own.
CONFIGURATION = """
Dir::State "{0}/state";
Dir::State::status "{0}/status";
Dir::Cache "{0}/cache";
Dir::Etc::SourceList "{0}/sources.list";
Dir::Etc::SourceParts "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; "arm64"; }};
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


def emulated_arm(cache, requirements: tuple[str, ...]) -> Python:
    """Return a Python for ARM and an emulator, made once.

    Args:
        cache: Folder that holds them.
        requirements: Packages that pip installs for it.

    Raises:
        NotInstalledError: If the system is another one, or without network.
    """
    if platform.machine() in ("aarch64", "arm64"):
        raise NotInstalledError("this machine is ARM itself")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise NotInstalledError("the emulator needs Linux on x86-64")
    missing = [c for c in ("apt-get", "dpkg-deb") if not shutil.which(c)]
    if missing:
        raise NotInstalledError(f"it needs Debian's {' and '.join(missing)}")

    def fill(folder):
        _unpack_debian(folder)
        _install_wheels(folder / "site", requirements)

    recipe = (EMULATOR, *PACKAGES, *requirements)
    folder = made_once(cache, "arm64", recipe, fill)
    root = folder / "root"
    command = (
        str(folder / "qemu-aarch64"),
        *("-cpu", CPU, "-L", str(root)),
        str(root / "usr" / "bin" / f"python{PYTHON}"),
    )
    return Python(command, (("PYTHONPATH", str(folder / "site")),))


def _unpack_debian(folder):
    apt, debs = folder / "apt", folder / "debs"
    for path in (debs, apt / "state/lists/partial", apt / "cache"):
        path.mkdir(parents=True)
    (apt / "sources.list").write_text(SOURCE)
    (apt / "status").touch()
    configuration = apt / "apt.conf"
    configuration.write_text(CONFIGURATION.format(apt))
    variables = os.environ | {"APT_CONFIG": str(configuration)}
    run(["apt-get", "update"], env=variables)
    wanted = [f"{EMULATOR}:amd64", *(f"{name}:arm64" for name in PACKAGES)]
    run(["apt-get", "download", *wanted], cwd=debs, env=variables)
    emulators = folder / "emulators"  # the package has all processors
    for deb in sorted(debs.iterdir()):
        ours = deb.name.startswith(EMULATOR)
        target = emulators if ours else folder / "root"
        run(["dpkg-deb", "-x", str(deb), str(target)])
    shutil.move(emulators / "usr" / "bin" / "qemu-aarch64", folder)
    # A package that is not among them would make this link.
    (folder / "root" / "lib").symlink_to("usr/lib")
    for workshop in (apt, debs, emulators):
        shutil.rmtree(workshop)


def _install_wheels(folder, requirements):
    command = [sys.executable, *PIP, "install", "--target", str(folder)]
    for wheel in WHEELS:
        command += ["--platform", wheel]
    command += ["--only-binary=:all:", "--implementation", "cp"]
    run([*command, "--python-version", PYTHON, *requirements])
