"""A proxy between client and server is named by the audit, with what it takes beside the latencies that hold it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from handmade import back_to_back, stage, write

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import Check

NAME = "the proxy's time is small"


def check_of(folder: Path, proxy: str | None, told: Any) -> Check | None:
    """Of a stage whose median TTFT is 25 ms."""
    results = write(folder, [stage(window_ms=20_000)], back_to_back(),
                    spec={"endpoints": [{"name": "a", "proxy": proxy}]})
    results.environment_json.write_text(json.dumps({"proxies": {"a": told}}))
    result, = analyse_run(open_run(folder)).results
    return next((check for check in result.checks if check.name == NAME), None)


def test_an_endpoint_that_is_asked_directly_has_no_such_check(tmp_path: Path) -> None:
    assert check_of(tmp_path, None, {"connect_s": 1.0}) is None
    assert check_of(tmp_path, "none", {"connect_s": 1.0}) is None


def test_a_quick_proxy_passes_and_is_named_without_its_password(tmp_path: Path) -> None:
    found = check_of(tmp_path, "http://me:hunter2@p:3128", {"connect_s": 0.0002, "answer_s": 0.0005})
    assert found is not None and found.result == "PASS"
    assert "http://(masked)@p:3128" in found.sentence and "hunter2" not in found.sentence
    assert "a connection to it took 0.2 ms, an answer of its own 0.5 ms" in found.sentence
    assert "2.0% of the median TTFT" in found.sentence


def test_a_proxy_that_takes_a_good_part_of_the_latency_is_a_warning(tmp_path: Path) -> None:
    found = check_of(tmp_path, "http://p:3128", {"connect_s": 0.0002, "answer_s": 0.005})
    assert found is not None and found.result == "WARN" and "20.0% of the median TTFT" in found.sentence


def test_of_a_tunnel_the_way_to_the_proxy_is_judged_and_its_making_told(tmp_path: Path) -> None:
    found = check_of(tmp_path, "http://p:3128", {"connect_s": 0.0005, "answer_s": None, "tunnel_s": 0.3})
    assert found is not None and found.result == "PASS" and "a tunnel through it 300 ms" in found.sentence


@pytest.mark.parametrize("told", [None, [], {}, {"connect_s": None}, {"connect_s": "x", "answer_s": -1}])
def test_what_was_not_measured_is_not_said_to_be_small(tmp_path: Path, told: Any) -> None:
    found = check_of(tmp_path, "http://p:3128", told)
    assert found is not None and found.result == "WARN" and "not measured" in found.sentence
