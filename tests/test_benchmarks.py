"""The scripts of `benchmarks/` run."""

import input_pipeline
from list_folder import write_folder


def test_input_pipeline_runs_on_list_files(tmp_path, capsys):
    folder = write_folder(tmp_path)
    small = "--size 40 --batch-size 2 --steps 2 --rounds 1"
    figures = tmp_path / "figures.csv"
    flags = ["--data-dir", folder, "--csv", str(figures), *small.split()]
    assert input_pipeline.main(flags) == 0
    assert len(figures.read_text().splitlines()) == 5
    table = capsys.readouterr().out.splitlines()
    assert table[0].endswith("crops of 40 x 40") and len(table) == 7
