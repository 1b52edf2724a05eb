"""The scripts of `benchmarks/` run."""

import input_pipeline
from list_folder import write_folder


def test_input_pipeline_runs_on_list_files(tmp_path, capsys):
    folder = write_folder(tmp_path)
    small = "--size 40 --batch-size 2 --steps 2 --rounds 1"
    assert input_pipeline.main(["--data-dir", folder, *small.split()]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].endswith("crops of 40 x 40") and len(table) == 7
