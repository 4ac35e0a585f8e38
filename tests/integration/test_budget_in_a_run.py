"""A token-priced run over two workers stops before its limit is passed, says so, and goes on with a higher one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from handmade import pages

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import Run, emulator, run_file, started

LOAD = {"concurrency": [6], "ramp": "500ms", "warmup": "500ms", "window": "60s", "drain": "10s", "workers": 2}
BY_TOKEN = {"input_per_1m": 10.0, "output_per_1m": 100.0}  # about 0.0007 USD a request of 20 tokens in and 5 out


def priced(folder: Path, url: str, limit: float, price: dict[str, float]) -> Path:
    path = run_file(folder, {"a": url}, LOAD, max_cost=limit)
    told = yaml.safe_load(path.read_text())
    told["endpoints"][0]["price"] = price
    path.write_text(yaml.safe_dump(told))
    return path


def ran(folder: Path, *options: str) -> Run:
    with started(["-m", "fmload", "run", str(folder / "run.yml"), "--out", str(folder / "out"), "--yes", *options],
                 folder) as run:
        assert run.wait() == 6, run.output()
    return run


def spent(run: Run) -> float:
    analysis = analyse_run(open_run(run.results.root))
    assert analysis.total_usd is not None
    return analysis.total_usd + (analysis.repeated_usd or 0.0)


@pytest.mark.parametrize(("price", "limit"), [(BY_TOKEN, 0.2), ({"hourly": 36.0}, 0.06)], ids=["tokens", "hours"])
def test_the_limit_is_not_passed_and_the_run_goes_on_with_a_higher_one(
        tmp_path: Path, price: dict[str, float], limit: float) -> None:
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "2ms") as server:
        priced(tmp_path, server.url, limit, price)
        run = ran(tmp_path)
        assert 0.3 * limit < spent(run) <= 1.02 * limit
        assert [event["kind"] for event in run.events()][:1] == ["budget"]
        assert not any(record.outcome == "cancelled" for record in run.records())
        assert "stopped by its budget" in pages(run.results)
        live: dict[str, Any] = json.loads((run.results.logs / "live.json").read_text())["run"]
        assert live["spent_usd"] == pytest.approx(spent(run), rel=0.02)
        run = ran(tmp_path, "--resume", "--set", f"max_cost={2 * limit}")
        assert 1.2 * limit < spent(run) <= 1.02 * 2 * limit


def test_a_limit_below_the_first_requests_sends_none(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "2ms") as server:
        priced(tmp_path, server.url, 0.001, BY_TOKEN)
        ran(tmp_path)
        assert server.requests() == []


def test_an_unknown_price_cannot_keep_a_limit(tmp_path: Path) -> None:
    run_file(tmp_path, {"a": "http://127.0.0.1:9"}, LOAD, max_cost=1.0)
    with started(["-m", "fmload", "run", str(tmp_path / "run.yml"), "--out", str(tmp_path / "out")], tmp_path) as run:
        assert run.wait() != 0
