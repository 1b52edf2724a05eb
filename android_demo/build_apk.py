"""Makes an APK of the compiled classes, and looks whether a phone may take it.

python android_demo/build_apk.py --model mine.tflite

`make android` compiles first and calls this. ProGuard, dx and the libraries lie
in `build/`, where `toolchain.xml` puts them; aapt2 and apksigner are Debian's.
The signing key is made once, in `build/`: it is no secret, and a phone updates
the app only with the same one.
"""

import argparse
import filecmp
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zipfile

HERE = pathlib.Path(__file__).parent
BUILD = HERE / "build"
FRAMEWORK = "/usr/share/android-framework-res/framework-res.apk"
JAVA = ("java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", "build/tools/*")
KEY = ("--ks", "build/debug.p12", "--ks-pass", "pass:android")
ABI = "arm64-v8a"
SDK, TARGET_SDK = "26", "35"
TESTS = ("Bytes", "Faults", "Geometry", "Masks")
PAGE = 16384  # bytes; phones with Android 15 may have such pages
ALIGNMENT_FIELD = 0xD935  # apksigner keeps what it asks for


def run(*command) -> str:
    """Return what a command prints; its failure ends the build.

    Args:
        *command: Program and arguments, run in this folder.
    """
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        lines = f"{done.stdout}{done.stderr}".splitlines()
        sys.exit("\n".join((" ".join(command), *lines[-30:])))
    return done.stdout


def make_dex() -> None:
    """Turn `build/maven/classes` and the libraries into `build/classes.dex`."""
    with zipfile.ZipFile(BUILD / "app" / "jna.aar") as aar:
        (BUILD / "app" / "jna.jar").write_bytes(aar.read("classes.jar"))
    run(*JAVA, "proguard.ProGuard", "@app.pro")
    run(
        *JAVA, "com.android.dx.command.Main", "--dex",
        f"--min-sdk-version={SDK}", "--output=build/classes.dex",
        "build/app.jar",
    )  # fmt: skip


def make_resources() -> None:
    """Compile manifest and `res/` into `build/base.apk`."""
    run("aapt2", "compile", "--dir", "res", "-o", "build/res.zip")
    run(
        "aapt2", "link", "-I", FRAMEWORK, "--manifest", "AndroidManifest.xml",
        "--min-sdk-version", SDK, "--target-sdk-version", TARGET_SDK,
        "--version-code", "1", "--version-name", "1.0",
        "-o", "build/base.apk", "build/res.zip",
    )  # fmt: skip


def libraries() -> dict[str, bytes]:
    """Return the phone's libraries, each under its name in the APK."""
    sources = {
        "jna.aar": f"jni/{ABI}/libjnidispatch.so",
        "tensorflow-lite-android-arm64.jar": (
            f"lib/{ABI}/libjnitensorflowlite.so"
        ),
    }
    found = {}
    for archive, name in sources.items():
        with zipfile.ZipFile(BUILD / "app" / archive) as file:
            library = name.rpartition("/")[2]
            found[f"lib/{ABI}/{library}"] = file.read(name)
    return found


def put(archive, name, data, align=None) -> None:
    """Add a file to a ZIP archive, dated 1980.

    Args:
        archive: Open `zipfile.ZipFile`.
        name: Path inside it.
        data: Content.
        align: Number whose multiple the content begins at, uncompressed, so
            that a phone can map it. Defaults to `None`: compressed.
    """
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    if align:
        info.compress_type = zipfile.ZIP_STORED
        padding = -(archive.fp.tell() + 30 + len(name.encode())) % align
        padding += -(-max(0, 6 - padding) // align) * align  # the field itself
        info.extra = struct.pack(
            "<HHH", ALIGNMENT_FIELD, padding - 4, align
        ) + bytes(padding - 6)
    archive.writestr(info, data)


def pack(model: bytes, sample: bytes, target: pathlib.Path) -> None:
    """Write an unsigned APK."""
    with zipfile.ZipFile(target, "w") as apk:
        with zipfile.ZipFile(BUILD / "base.apk") as base:
            for name in base.namelist():
                plain = name.endswith((".arsc", ".png"))
                put(apk, name, base.read(name), 4 if plain else None)
        put(apk, "classes.dex", (BUILD / "classes.dex").read_bytes())
        put(apk, "assets/model.tflite", model, 16)
        put(apk, "assets/sample.png", sample, 4)
        for name, data in libraries().items():
            put(apk, name, data, PAGE)


def sign(unsigned: pathlib.Path, target: pathlib.Path) -> None:
    """Sign an APK with the key in `build/`, made if it is missing."""
    if not (BUILD / "debug.p12").exists():
        run(
            "keytool", "-genkeypair", "-keystore", "build/debug.p12",
            "-storetype", "PKCS12", "-storepass", "android", "-alias", "debug",
            "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000",
            "-dname", "CN=debug",
        )  # fmt: skip
    run(
        "apksigner", "sign", *KEY, "--min-sdk-version", SDK,
        "--v4-signing-enabled", "false", "--out", str(target), str(unsigned),
    )  # fmt: skip


def build(model: bytes, sample: bytes, target: pathlib.Path) -> None:
    """Make a signed APK of what Maven compiled."""
    make_dex()
    make_resources()
    unsigned = BUILD / "unsigned.apk"
    pack(model, sample, unsigned)
    sign(unsigned, target)


def segments(library: bytes) -> list[tuple[int, int, int]]:
    """Return `(offset, address, alignment)` of what a 64-bit ELF file loads."""
    (start,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    headers = struct.Struct("<IIQQQQQQ").iter_unpack(
        library[start : start + size * count]
    )
    return [
        (offset, address, alignment)
        for kind, _, offset, address, _, _, _, alignment in headers
        if kind == 1  # to be loaded
    ]


def data_offset(apk: pathlib.Path, info: zipfile.ZipInfo) -> int:
    """Return where a stored file's bytes begin."""
    with open(apk, "rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + name + extra


def faults(apk: pathlib.Path, model: bytes) -> list[str]:
    """Return what would keep an APK off a phone, or stop the app there."""
    badging = run("aapt", "dump", "badging", str(apk))
    wanted = (
        "uses-feature-not-required: name='android.hardware.camera'",
        "package: name='org.dlakeras.demo'", f"sdkVersion:'{SDK}'",
        f"targetSdkVersion:'{TARGET_SDK}'", "android.permission.CAMERA",
        "launchable-activity: name='org.dlakeras.demo.MainActivity'",
        f"native-code: '{ABI}'",
    )  # fmt: skip
    found = [f"badging lacks {text}" for text in wanted if text not in badging]
    verified = run("apksigner", "verify", "--verbose", str(apk))
    found += [
        f"not signed by {scheme}"
        for scheme in ("v2", "v3")
        if not re.search(rf"{scheme} scheme .*: true", verified)
    ]
    dex = run("dexdump", "-d", str(BUILD / "classes.dex"))
    if count := dex.count("invoke-custom"):
        found.append(f"{count} invoke-custom, which no phone can run")
    with zipfile.ZipFile(apk) as archive:
        if archive.read("assets/model.tflite") != model:
            found.append("the model is not its source")
        for info in archive.infolist():
            found += misplaced(apk, info, archive.read(info))
    return found


def misplaced(apk, info, data) -> list[str]:
    """Return why a phone could not map one file of an APK."""
    endings = {".so": PAGE, ".arsc": 4, ".tflite": 16}
    align = endings.get(pathlib.Path(info.filename).suffix)
    if align is None:
        return []
    found = []
    if info.compress_type != zipfile.ZIP_STORED:
        found.append(f"{info.filename} is compressed")
    if data_offset(apk, info) % align:
        found.append(f"{info.filename} begins at no multiple of {align}")
    if align == PAGE:
        for offset, address, alignment in segments(data):
            if alignment < PAGE or (offset - address) % PAGE:
                found.append(f"{info.filename} is not made for 16-KB pages")
    return found


def run_tests() -> str:
    """Run the tests of plain Kotlin on what ProGuard made; return its words."""
    here = "build/native/org/bytedeco/tensorflowlite/linux-x86_64"
    # Tests call more of Kotlin's library than the app does: the whole of it.
    classes = (
        "build/app/kotlin-stdlib.jar", "build/app.jar",
        "build/maven/test-classes", "build/tools/*",
        "build/app/android-all.jar",
    )  # fmt: skip
    tests = [f"org.dlakeras.demo.{name}Test" for name in TESTS]
    return run(
        *JAVA[:-2], f"-Djna.library.path={here}", "-cp", ":".join(classes),
        "org.junit.runner.JUnitCore", *tests,
    )  # fmt: skip


def shipped_files() -> tuple[pathlib.Path, pathlib.Path]:
    """Return the segmenter of streets that ships, and a photograph."""
    from PIL import Image

    from dla_keras.variants import shipped_path

    model, sample = shipped_path("streets-int8"), BUILD / "street.png"
    Image.open(model.with_suffix(".jpg")).save(sample)
    return model, sample


def drawn_sample(model: pathlib.Path) -> pathlib.Path:
    """Return a drawn street on which a model is as good as on most."""
    from small_model import draw_samples
    from small_model import typical_pictures

    try:
        draw_samples(BUILD, typical_pictures(model.read_bytes(), 1))
    except (OSError, ValueError) as error:
        sys.exit(f"{model} cannot be packed. {error}")
    return BUILD / "street-1.png"


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a .tflite file of export-tflite")
    parser.add_argument("--sample", help="a PNG file to begin with")
    parser.add_argument("--out", default=str(BUILD / "dla_streets.apk"))
    parser.add_argument(
        "--again", action="store_true", help="a second time, and compare both"
    )
    args = parser.parse_args(argv)
    sys.path.insert(0, str(HERE.parent / "tools"))
    model, sample = args.model, args.sample
    if not model:
        model, photograph = shipped_files()
        sample = sample or photograph
    model = pathlib.Path(model).resolve()
    sample = pathlib.Path(sample or drawn_sample(model))
    out = pathlib.Path(args.out).resolve()
    build(model.read_bytes(), sample.read_bytes(), out)
    found = faults(out, model.read_bytes())
    if args.again:
        print(run_tests().splitlines()[-2])
        first = out.with_suffix(".first.apk")
        shutil.move(out, first)
        build(model.read_bytes(), sample.read_bytes(), out)
        if not filecmp.cmp(first, out, shallow=False):
            found.append("two builds differ")
        first.unlink()
    if found:
        sys.exit(f"{out.name} is not fit: {'; '.join(found)}.")
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {model.name} inside")


if __name__ == "__main__":
    main()
