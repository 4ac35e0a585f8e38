"""The report's section on the capacity plan: what the plan said, and nothing where there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from handmade import pages

sys.path.insert(0, str(Path(__file__).parents[1] / "capacity"))
from engines import measured

import fmload
from fmload.cli.main import main
from fmload_analysis.pipeline import analyse


def test_the_report_shows_the_plan_that_was_made_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = measured(tmp_path, rates=(0.5, 3, 12), window_s=30)
    analyse(tmp_path)
    assert "Capacity plan" not in pages(results)
    main(["capacity", str(tmp_path), "--demand", "9/s", "--seeds", "2", "--requests", "300"])
    replicas = json.loads(results.capacity_json.read_text())["options"][0]["replicas"]
    analyse(tmp_path)
    for text in (pages(results), results.report_html.read_text()):
        assert "Capacity plan" in text
        assert f"{replicas} replicas" in text


@pytest.mark.parametrize("spoilt", ["", "[]", '{"demand": 3}'])
def test_a_spoilt_plan_leaves_the_report_as_it_is(tmp_path: Path, spoilt: str) -> None:
    results = measured(tmp_path, rates=(3,), window_s=20)
    results.capacity_json.write_text(spoilt)
    analyse(tmp_path)
    assert "Capacity plan" not in pages(results)


def test_a_plan_from_python_is_that_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = measured(tmp_path, rates=(0.5, 3, 12), window_s=30)
    found = fmload.open_run(tmp_path).capacity("9/s", seeds=2, requests=300)
    main(["capacity", str(tmp_path), "--demand", "9/s", "--seeds", "2", "--requests", "300"])
    assert found["options"] == json.loads(results.capacity_json.read_text())["options"]
