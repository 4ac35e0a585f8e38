"""Right files of odd but legal shapes: short runs, failures, one request, time units: read exactly and not accused."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from right_files import aiperf, genai_bench, simulated

from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.checks.latency import SUM
from fmload_analysis.published.rows.published import AuditedRow, Row
from fmload_analysis.published.rows.sweep import read_published


def audited(tmp_path: Path, content: Any, name: str = "r.json") -> list[AuditedRow]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list(audit_published(read_published(path), load_prices()))


def accusations(rows: list[AuditedRow]) -> list[str]:
    """What is held against the files; that requests failed is no contradiction."""
    return [f"{check.name}: {check.sentence}" for row in rows for check in row.checks
            if check.result != "PASS" and check.name != "requests succeed"] + [
        f"{correction.figure} corrected" for row in rows for correction in row.corrections]


def llmeter_of_one_second(**changed: Any) -> dict[str, Any]:
    """Five requests sent within 32 ms: llmeter's requests a minute are over the time between first and last start."""
    return {"total_requests": 5, "clients": 5, "n_requests": 1, "total_test_time": 0.9538, "model_id": "m",
            "start_time": "2026-11-29T18:25:30Z", "first_request_time": "2026-11-29T18:25:30Z",
            "last_request_time": "2026-11-29T18:25:30Z", "failed_requests": 0, "failed_requests_rate": 0.0,
            "total_input_tokens": 300.0, "total_output_tokens": 150.0, "time_to_last_token-average": 0.911,
            "time_to_last_token-p50": 0.912, "time_to_first_token-average": 0.68,
            "time_per_output_token-average": 0.008, "num_tokens_output-average": 30,
            "requests_per_minute": 5 * 60 / 0.0321} | changed


def test_requests_a_minute_of_a_run_whose_requests_start_within_a_second_are_no_contradiction(tmp_path: Path) -> None:
    rows = audited(tmp_path, llmeter_of_one_second())
    assert accusations(rows) == []
    assert rows[0].row.value("transactions_per_minute") == pytest.approx(5 / 0.9538 * 60)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mean_tpot_without_the_fastest_requests_is_no_contradiction_where_the_file_tells_them(
        tmp_path: Path, kept: bool) -> None:
    """genai-bench drops the TPOT of answers that came too fast: those which a busy client read in one go."""
    content = genai_bench(simulated(8))
    requests = content["individual_request_metrics"]
    for one in requests[: len(requests) // 2]:
        one.update(ttft=one["e2e_latency"] - 0.0005, tpot=None)
    for name in ("ttft", "tpot"):
        values = [one[name] for one in requests if one[name] is not None]
        content["aggregated_metrics"]["stats"][name] = {"mean": sum(values) / len(values)}
    if not kept:
        content["individual_request_metrics"] = []
    found = accusations(audited(tmp_path, content))
    assert bool(found) is not kept and all("TPOT" in one or "corrected" in one for one in found)


def test_failures_beside_an_error_rate_of_0_are_told_by_their_share(tmp_path: Path) -> None:
    content = genai_bench(simulated(8))
    content["aggregated_metrics"] |= {"num_error_requests": 10, "num_requests": 10 + content["aggregated_metrics"][
        "num_completed_requests"]}
    share = 10 / content["aggregated_metrics"]["num_requests"]
    told = next(check for row in audited(tmp_path, content) for check in row.checks if check.name == "requests succeed")
    assert told.sentence.startswith(f"{share:.1%} of the requests failed")


def test_requests_a_minute_that_no_window_of_its_starts_gives_are_a_contradiction(tmp_path: Path) -> None:
    """The starts lie nine seconds apart: 30 requests cannot be 4000 a minute."""
    spoilt = llmeter_of_one_second(
        total_requests=30, total_test_time=10.0, last_request_time="2026-11-29T18:25:39Z", total_output_tokens=900.0,
        total_input_tokens=1800.0, requests_per_minute=4000.0)
    assert [name for name in accusations(audited(tmp_path, spoilt)) if name.startswith("requests ÷ duration")]
    untold = llmeter_of_one_second()
    del untold["first_request_time"], untold["last_request_time"]
    assert accusations(audited(tmp_path, untold))


def aiperf_of_a_phase(**changed: Any) -> dict[str, Any]:
    """AIPerf 0.13 in an open loop: the first one comes 8 s after the phase began, and rates are over it."""
    content = aiperf(simulated(3))
    seconds, count = content["benchmark_duration"]["avg"], content["request_count"]["avg"]
    for name in ("request_throughput", "output_token_throughput", "total_token_throughput", "effective_concurrency"):
        content[name]["avg"] *= seconds / (seconds + 8)
    begun = datetime.fromisoformat("2026-11-29T18:44:10.282158")
    ended = begun + timedelta(seconds=seconds + 8)
    assert count > 60
    return content | {"start_time": begun.isoformat(), "end_time": ended.isoformat()} | changed


def test_rates_of_aiperf_over_its_whole_phase_are_no_contradiction(tmp_path: Path) -> None:
    (row,) = audited(tmp_path, content := aiperf_of_a_phase())
    assert accusations([row]) == []
    assert row.row.value("duration_s") == pytest.approx(content["benchmark_duration"]["avg"] + 8, abs=1e-5)
    assert row.row.value("first_to_last_s") == content["benchmark_duration"]["avg"]


def test_a_benchmark_longer_than_its_phase_is_a_contradiction(tmp_path: Path) -> None:
    content = aiperf_of_a_phase()
    content["benchmark_duration"]["avg"] *= 1.5
    assert accusations(audited(tmp_path, content))


def test_requests_that_do_not_fit_between_the_first_and_the_last_are_a_contradiction(tmp_path: Path) -> None:
    """A closed loop of 8 users whose benchmark is told to have taken half as long as its requests did."""
    content = aiperf(simulated(7))
    begun = datetime.fromisoformat("2026-11-29T18:44:10.282158")
    ended = begun + timedelta(seconds=content["benchmark_duration"]["avg"])
    content |= {"start_time": begun.isoformat(), "end_time": ended.isoformat()}
    assert accusations(audited(tmp_path, content)) == []
    content["benchmark_duration"]["avg"] *= 0.5
    assert [name for name in accusations(audited(tmp_path, content)) if name.startswith("requests × latency")]


def test_a_csv_of_aiperf_whose_rates_are_over_a_longer_phase_is_not_accused(tmp_path: Path) -> None:
    text = ("Metric,avg,min,max,p50,p90,p99,std\nRequest Latency (ms),292.06,268.86,327.38,291.11,315.2,326.1,16.9\n"
            "Output Sequence Length (tokens),30.00,30.00,30.00,30.00,30.00,30.00,0.00\n\nMetric,Value\n"
            "Benchmark Duration (sec),5.11\nOutput Token Throughput (tokens/sec),60.90\nRequest Count,12.00\n"
            "Request Throughput (requests/sec),2.03\nTotal Output Sequence Length (tokens),360.00\n")
    rows = audited(tmp_path, text, "r.csv")
    assert accusations(rows) == []
    assert rows[0].row.figures["first_to_last_s"] == 5.11
    spoilt = audited(tmp_path, text.replace("60.90", "90.90"), "r.csv")
    assert accusations(spoilt)


@pytest.mark.parametrize(("e2e", "told", "result"), [
    (0.5830, True, "PASS"), (0.5830, False, "WARN"), (1.5, True, "FAIL"), (0.40, True, "WARN")])
def test_time_after_the_last_token_is_allowed_where_the_file_tells_when_that_came(e2e: float, told: bool,
                                                                                 result: str) -> None:
    """GuideLLM's E2E goes to the end of the request, its time per output token to the last token."""
    row = Row("4 users", {"e2e_mean": e2e, "ttft_mean": 0.2622, "tpot_mean": 0.006007, "output_tokens_mean": 35.03,
                          "output_tokens_std": 0.0} | ({"tpot_with_ttft_mean": 0.013322} if told else {}))
    assert SUM.result(row) == result


@pytest.mark.parametrize(("inflight", "accused"), [(8.62, False), (1.0, True)])
def test_rates_of_guidellm_may_differ_by_the_requests_that_end_after_the_run(tmp_path: Path, inflight: float,
                                                                            accused: bool) -> None:
    """Poisson at 20/s for 4 s: 72 of 77 answers are in its request rate, and all in its prompt tokens a second."""
    told = {"requests_per_second": 18.0, "prompt_tokens_per_second": 607.0, "output_tokens_per_second": 376.4,
            "request_concurrency": inflight, "prompt_token_count": 31.53, "output_token_count": 20.0}
    metrics: dict[str, Any] = {name: {"successful": {"mean": value, "count": 77}} for name, value in told.items()}
    metrics["request_totals"] = {"successful": 77, "errored": 0, "incomplete": 9, "total": 86}
    rows = audited(tmp_path, {"benchmarks": [{"metrics": metrics}]})
    assert bool(accusations(rows)) is accused
