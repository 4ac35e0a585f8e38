"""How often the answers of an asynchronous endpoint were looked for stands beside their latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import back_to_back, stage, write

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import Check


def check_of(folder: Path, asynchronous: dict[str, Any] | None, length_ms: int = 100) -> Check | None:
    """Of a stage whose requests take so long."""
    write(folder, [stage(window_ms=20_000)], back_to_back(20_000 // length_ms, length_ms=length_ms),
          spec={"endpoints": [{"name": "a", "asynchronous": asynchronous}]})
    result, = analyse_run(open_run(folder)).results
    return next((check for check in result.checks if check.name == "answers are looked for often enough"), None)


def test_an_endpoint_that_sends_its_answers_has_no_such_check(tmp_path: Path) -> None:
    assert check_of(tmp_path, None) is None


def test_a_pause_between_looks_that_is_much_of_the_latency_is_a_warning(tmp_path: Path) -> None:
    found = check_of(tmp_path, {"poll": "50ms"})
    assert found is not None and found.result == "WARN" and "every 50 ms" in found.sentence
    assert found.figures["every_s"] == 0.05


def test_a_short_one_is_told_and_passes(tmp_path: Path) -> None:
    found = check_of(tmp_path, {"poll": "10ms"}, length_ms=400)
    assert found is not None and found.result == "PASS" and found.figures["share"] == pytest.approx(0.025, rel=0.05)
    assert f"{found.figures['share']:.1%} of the median" in found.sentence
