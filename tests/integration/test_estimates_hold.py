"""What `fmload run` says that a run will cost is within a tenth of what it then costs, where its assumptions hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.config.loading import load
from fmload.launch.session import estimate_of
from fmload.plan.estimate import prices_of
from fmload.plan.stages import plan
from fmload.pricing.table import load_prices
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import emulator, run_file, started

TOKENS = {"input_per_1m": 10.0, "output_per_1m": 100.0}
SHORT = {"ramp": "1s", "warmup": "1s", "window": "8s", "drain": "10s", "workers": 1}
# Load, price, tokens of an answer. Where users wait for answers, those come as assumed: after 0.5 s, at 50 tokens/s.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "arrivals by the token": ({"rate": [20], "arrivals": "constant", **SHORT}, TOKENS, 5),
    "users by the token": ({"concurrency": [8], **SHORT}, TOKENS, 10),
    "so many requests and no more": ({"concurrency": [8], "requests": {"exactly": 80}, "workers": 1}, TOKENS, 5),
    "two levels by the hour": ({"concurrency": [2, 4], **SHORT}, {"hourly": 36.0}, 5),
    "arrivals by the hour": ({"rate": [10], **SHORT}, {"hourly": 7.2, "count": 3}, 20)}


@pytest.mark.parametrize("name", RUNS)
def test_the_estimate_is_within_a_tenth_of_what_the_run_costs(tmp_path: Path, name: str) -> None:
    on, price, tokens = RUNS[name]
    with emulator(tmp_path, "--ttft", "500ms", "--gap", "20ms") as server:
        path = run_file(tmp_path, {"a": server.url}, on)
        told = yaml.safe_load(path.read_text())
        told["endpoints"][0]["price"] = price
        told["prompts"][0] |= {"input_tokens": 200, "output_tokens": tokens}  # a chat template adds a few tokens more
        path.write_text(yaml.safe_dump(told))
        with started(["-m", "fmload", "run", str(path), "--out", str(tmp_path / "out"), "--yes"], tmp_path) as run:
            assert run.wait() in (0, 4), run.output()  # 4: the audit of a busy machine
    planned = load(path)
    expected = estimate_of(planned, run.results, plan(planned), prices_of(planned, load_prices())).usd
    cost = analyse_run(open_run(run.results.root)).total_usd
    assert expected is not None and cost is not None
    assert abs(expected - cost) <= 0.1 * cost, f"estimated {expected:.4f} USD, cost {cost:.4f} USD"
    assert f"about {expected:.2g}"[:9] in run.output() or f"about {expected:.2f}" in run.output()
