"""Render the tables of figures in the docs from CSV files: each number once.

    python docs/tables.py        # renews the tables in README.md and docs/

A page asks for a table by a comment, `<!-- table: camvid -->`, or for some of
its columns, `<!-- table: camvid; MB; mIoU -->`, and holds it between that
comment and `<!-- end -->`, so that it can be read without building the site.

A file of `benchmarks/results/` has a column for each one shown, then how its
rows were made: `command`, `machine` and `date`.
"""

import csv
import pathlib
import re
import runpy

ROOT = pathlib.Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SOURCE = ("command", "machine", "date")
REQUEST = re.compile(r"<!-- table: (.+?) -->")
RENDERED = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"-?[\d.,]+( %)?( / [\d.]+)?")

PEERS_COMMAND = (
    "python benchmarks/edge_peers.py --authors DLA_REPOSITORY --torch-python "
    "VENV/bin/python --litert-torch-python VENV/bin/python --csv "
    "benchmarks/edge_peers.csv"
)
PEERS = {
    "float32": "ours, float32",
    "float32 to mask": "ours, float32, to the mask",
    "float32 network alone": "ours, float32, network alone",
    "float32, learned": "ours, float32, learned upsampling",
    "int8": "ours, int8",
    "int8 to mask": "ours, int8, to the mask",
    "int8 network alone": "ours, int8, network alone",
    "int8, learned": "ours, int8, learned upsampling",
    "PyTorch": "authors', PyTorch 2.13",
    "PyTorch channels_last": "authors', PyTorch channels_last",
    "ONNX Runtime": "authors', ONNX Runtime 1.32",
    "litert-torch": "authors', litert-torch 0.10",
    "4096x512 times 512x512, float32": "matrix products, float32",
    "4096x512 times 512x512, int8": "matrix products, int8",
}
# What is divided by the fastest of what, and the most that it may be.
RATIOS = {
    "float32 / the best of PyTorch and ONNX Runtime": (
        "float32",
        ("PyTorch", "PyTorch channels_last", "ONNX Runtime"),
        0.95,
    ),
    "float32 / litert-torch": ("float32", ("litert-torch",), 0.65),
    "float32, learned upsampling / litert-torch": (
        "float32, learned",
        ("litert-torch",),
        0.65,
    ),
    "int8 / float32": ("int8", ("float32",), 0.26),
    "float32, image to mask / network alone": (
        "float32 to mask",
        ("float32 network alone",),
        1.10,
    ),
    "int8, image to mask / network alone": (
        "int8 to mask",
        ("int8 network alone",),
        1.10,
    ),
}
SHARES = {  # of the matrix products' rate, at least 0.9
    "float32, network alone, of the products' rate": "float32 network alone",
    "int8, network alone, of the products' rate": "int8 network alone",
}
TRAINING = {
    "segmentation": "train-seg",
    "boundary": "train-boundary",
    "classification": "train-cls",
    "detection": "train-det",
}
LATENCY_COMMAND = "dla-keras benchmark --model runs/camvid/tflite/*.tflite"


# === Reading ===


def read(path) -> list[dict[str, str]]:
    with open(BENCHMARKS / path, newline="") as file:
        return list(csv.DictReader(file))


def raw_source(row, command) -> dict[str, str]:
    """Return where a row of a benchmark's own file comes from."""
    machine = f"{row['cores']} cores, {row['processor']}"
    return {"command": command, "machine": machine, "date": row["date"][:10]}


def edge_peers():
    """Return DLA-34-Up on other runtimes, a row for each."""
    for row in read("edge_peers.csv"):
        if row["contender"] in PEERS:
            yield {
                "DLA-34-Up, 512x512, 19 classes": PEERS[row["contender"]],
                "ms": f"{float(row['median_ms']):.1f}",
                "ratio": f"{float(row['ratio']):.2f}",
                "GFLOP/s": f"{float(row['gflop_per_s']):.0f}",
                "of the matrix products' rate": (
                    f"{float(row['share_of_rate']):.2f}"
                ),
                **raw_source(row, PEERS_COMMAND),
            }


def edge_aims():
    """Return what DLA-34-Up's files aim at, computed from `edge_peers`."""
    rows = {row["contender"]: row for row in read("edge_peers.csv")}
    ms = {name: float(row["median_ms"]) for name, row in rows.items()}
    source = raw_source(rows["float32"], PEERS_COMMAND)

    def line(name, figure, aim, met):
        return {
            "what we aim at": name,
            "figure": f"{figure:.2f}",
            "aim": aim,
            "": "met" if met else "not met",
            **source,
        }

    for name, (ours, others, most) in RATIOS.items():
        figure = ms[ours] / min(ms[other] for other in others)
        yield line(name, figure, f"at most {most:.2f}", figure <= most)
    for name, ours in SHARES.items():
        figure = float(rows[ours]["share_of_rate"])
        yield line(name, figure, "at least 0.90", figure >= 0.9)


def camvid_latency():
    """Return what each precision of CamVid's network takes, by threads."""
    for row in read("intel-xeon-processor-2-cores.csv"):
        yield {
            "CamVid, 384x480": row["precision"],
            "threads": row["threads"],
            "prepare, ms": f"{float(row['pre_median_ms']):.1f}",
            "inference, ms": f"{float(row['inference_median_ms']):.0f}",
            "mask, ms": f"{float(row['post_median_ms']):.1f}",
            **raw_source(row, LATENCY_COMMAND),
        }


def camvid_files():
    """Return CamVid's files, with what each takes on two threads."""
    ms = {
        row["CamVid, 384x480"]: row["inference, ms"]
        for row in camvid_latency()
        if row["threads"] == "2"
    }
    for row in read("results/camvid_precisions.csv"):
        yield {**row, "ms, 2 threads": ms.get(row["CamVid"], "")}


def recipes():
    """Return the recipes of training; they are not measured."""
    path = ROOT / "dla_keras" / "tasks" / "recipes.py"
    for task, (rows, _) in runpy.run_path(str(path))["RECIPES"].items():
        for name, recipe in rows.items():
            length = "steps" if "steps" in recipe else "epochs"
            yield {
                "command": f"`{TRAINING[task]} --recipe {name}`",
                "network": recipe.get("phone", recipe.get("variant", "dla34")),
                "start": recipe.get("weights", ""),
                "crop": recipe["size"],
                "batch": str(recipe["batch_size"]),
                "length": f"{recipe[length]} {length}",
                "optimizer": recipe["optimizer"],
                "learning rate": f"{recipe['learning_rate']:g}",
                "schedule": recipe["schedule"],
            }


VIEWS = {
    "recipes": recipes,
    "camvid_files": camvid_files,
    "edge_peers": edge_peers,
    "edge_aims": edge_aims,
    "camvid_latency": camvid_latency,
}


def names() -> list[str]:
    """Return the names of all tables."""
    files = (BENCHMARKS / "results").glob("*.csv")
    return sorted([*VIEWS, *(file.stem for file in files)])


def rows_of(name) -> list[dict[str, str]]:
    if name not in names():
        raise ValueError(
            f"Expected a table, one of {', '.join(names())}. Received: {name}. "
            "Add a file to benchmarks/results/."
        )
    return list(VIEWS[name]() if name in VIEWS else read(f"results/{name}.csv"))


# === Rendering ===


def render(request) -> str:
    """Return the Markdown of a table, with a line that says how it was made.

    Args:
        request: Name of the table, then the columns to show, all by default,
            separated by `;`. The column `no source` leaves that line out.
    """
    name, *columns = (word.strip() for word in request.split(";"))
    rows = rows_of(name)
    source = "no source" not in columns
    columns = [c for c in columns if c != "no source"]
    columns = columns or [c for c in rows[0] if c not in SOURCE]
    if missing := [c for c in columns if c not in rows[0]]:
        raise ValueError(
            f"Expected columns of {name}: {', '.join(rows[0])}. Received: "
            f"{', '.join(missing)}."
        )
    cells = [[row[column] for column in columns] for row in rows]
    numeric = [
        all(NUMBER.fullmatch(cell) for cell in each if cell)
        for each in zip(*cells, strict=True)
    ]
    lines = [
        columns,
        ["---:" if right else "---" for right in numeric],
        *cells,
    ]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return table + ("\n" + sources(rows, columns[0]) if source else "")


def sources(rows, label) -> str:
    """Return one line for each way in which rows were made."""
    made = {}
    for row in rows:
        key = tuple(row[column] for column in SOURCE)
        made.setdefault(key, []).append(row.get(label, ""))
    lines = []
    for (command, machine, date), which in made.items():
        of = f"{', '.join(dict.fromkeys(which))}: " if len(made) > 1 else ""
        lines.append(f"<small>{of}`{command}`; {machine}, {date}.</small>\n")
    return "\n".join(lines)


def renewed(text: str) -> str:
    """Return a page's text with its tables as the CSV files have them."""
    return RENDERED.sub(
        lambda match: f"{match[1]}{render(match[2])}{match[3]}", text
    )


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text("utf-8")), "utf-8")
