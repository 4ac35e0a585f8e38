from __future__ import annotations

import csv
from pathlib import Path

from fmload.config import parse
from fmload.prompts.preparation import prepare

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: "http://127.0.0.1:1/v1", model: m}]
prompts: [{name: p, source: csv, files: ["{folder}/p.csv"]}]
load: {concurrency: [1]}
"""


def test_reading_a_small_csv_leaves_the_limit_of_the_process_as_large_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\nshort\n")
    before = csv.field_size_limit()
    prepare(parse(RUN.replace("{folder}", str(tmp_path)), "run.yml", tmp_path), tmp_path / "out")
    assert csv.field_size_limit() >= before
