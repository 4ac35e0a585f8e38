"""What servers say of each request with its answer, beside the client's own times."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage.own_timings import own_times_s
from tests import handmade


def check_of(root: Path, detail: object) -> tuple[str, str] | None:
    """The audit's verdict on requests of 20 ms TTFT and 10 ms a token whose answers say this."""
    requests = [handmade.request(f"r{i}", 100 * i, [100 * i + at for at in (20, 30, 40, 50, 60)],
                                 detail=json.dumps(detail)) for i in range(9)]
    handmade.write(root, [handmade.stage()], requests)
    result, = analyse_run(open_run(root)).results
    checks = (check for check in result.checks
              if check.name == "server's times = ours" and check.result != "NOT APPLICABLE")
    return next(((check.result, check.sentence) for check in checks), None)


@pytest.mark.parametrize(("detail", "verdict"), [
    ({"timings": {"predicted_n": 5, "predicted_ms": 40.0}}, "PASS"),
    ({"timings": {"predicted_n": 5, "predicted_ms": 80.0}}, "FAIL"),
    ({"metrics": {"mean_itl_ms": 9.9, "time_to_first_token_ms": 19.0}}, "PASS"),
    ({"metrics": {"mean_itl_ms": 9.9, "time_to_first_token_ms": 45.0}}, "FAIL"),
])
def test_times_that_come_with_the_answers_are_laid_beside_ours(tmp_path: Path, detail: object, verdict: str) -> None:
    found = check_of(tmp_path, detail)
    assert found is not None and found[0] == verdict
    assert "TPOT mean 10 ms here" in found[1]


@pytest.mark.parametrize("detail", [{"latencyMs": 3}, {"timings": {}},
                                    {"timings": {"predicted_n": 1, "predicted_ms": 3}}])
def test_answers_that_tell_nothing_of_the_kind_are_no_check(tmp_path: Path, detail: object) -> None:
    assert check_of(tmp_path, detail) is None
    run = open_run(tmp_path)
    assert own_times_s(run, run.stages[0]) == {}


@pytest.mark.parametrize(("ttft_ms", "verdict"), [(18.0, "PASS"), (40.0, "FAIL")])
def test_bedrocks_time_to_first_token_is_laid_beside_ours_and_its_throttles_are_counted(
        tmp_path: Path, ttft_ms: float, verdict: str) -> None:
    spec = {"endpoints": [{"name": "a"}], "telemetry": [{"name": "cw", "collector": "cloudwatch", "endpoint": "a"}]}
    requests = [handmade.request(f"r{i}", 100 * i, [100 * i + at for at in (20, 30, 40)]) for i in range(9)]
    results = handmade.write(tmp_path, [handmade.stage()], requests, spec=spec)
    inside, before = handmade.BASE_NS + 10**8, handmade.BASE_NS - 10**9
    rows = [("TimeToFirstToken", inside, ttft_ms), ("TimeToFirstToken", before, 900.0),
            ("InvocationThrottles", inside, 30.0), ("InvocationThrottles", before, 500.0)]
    frame = pd.DataFrame(rows, columns=["metric", "at_ns", "value"]).assign(source="cw", labels="{}")
    frame.to_parquet(results.telemetry_parquet)
    result, = analyse_run(open_run(tmp_path)).results
    checks = {check.name: check for check in result.checks}
    assert checks["server's times = ours"].result == verdict
    assert checks["throttles seen by both"].figures == {"server": 30.0, "ours": 0}
