"""Several addresses of one model in the analysis: told apart, and judged against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handmade import request, stage, write

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import addresses
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import Check, StageResult

A, B = "http://a:80", "http://b:80"


def alternating(slow_ms: float = 0, count: int = 60, failing: int = 0) -> list[Record]:
    """Requests every 10 ms, A and B in turn; B takes `slow_ms` longer, and fails the first `failing` of its own."""
    records = []
    for index in range(count):
        at, here = 10 * index, (A, B)[index % 2]
        if here == B and index // 2 < failing:
            records.append(request(f"r{index}", at, address=B, outcome="http_5xx", status=500, end_ms=at + 1))
            continue
        first = at + 20 + (slow_ms if here == B else 0) + index % 5
        records.append(request(f"r{index}", at, [first, first + 10], address=here))
    return records


def analysed(root: Path, records: list[Record], window_ms: int = 600, **endpoint: Any) -> StageResult:
    spec = {"endpoints": [{"name": "a", "urls": [f"{A}/v1", f"{B}/v1"], **endpoint}]}
    write(root, [stage(window_ms=window_ms)], records, spec=spec)
    analysis = analyse_run(open_run(root))
    section = addresses.render(analysis)
    assert section is not None
    result, = analysis.results
    return result


def check(result: StageResult) -> Check:
    return next(one for one in result.checks if one.name == "addresses alike")


def test_requests_tokens_and_latencies_are_told_apart_by_address(tmp_path: Path) -> None:
    result = analysed(tmp_path, alternating(slow_ms=30, failing=3))
    a, b = result.summary.addresses
    assert (a.address, a.requests, a.failed, a.share) == (A, 30, 0, 0.5)
    assert (b.address, b.requests, b.failed, b.counted) == (B, 30, 3, 30)
    assert (a.latency_p50, b.latency_p50) == (0.022, 0.052)
    assert (a.output_tokens_per_s or 0) + (b.output_tokens_per_s or 0) == result.value("output_tokens_per_s")


def test_like_addresses_pass_the_audit(tmp_path: Path) -> None:
    assert check(analysed(tmp_path, alternating())).result == "PASS"


def test_a_slower_address_is_named(tmp_path: Path) -> None:
    found = check(analysed(tmp_path, alternating(slow_ms=30)))
    assert found.result == "WARN"
    assert f"{B} was slower: 52 ms at the median, 22 ms elsewhere." in found.sentence


def test_a_failing_address_is_named_and_a_dead_one_fails_the_stage(tmp_path: Path) -> None:
    found = check(analysed(tmp_path / "some", alternating(failing=15)))
    assert found.result == "WARN"
    assert f"{B} failed 50.0% of its requests, the others 0.0%." in found.sentence
    assert check(analysed(tmp_path / "all", alternating(failing=30))).result == "FAIL"


def test_unequal_shares_are_a_fault_of_taking_turns_and_the_purpose_of_least_busy(tmp_path: Path) -> None:
    records = [one for one in alternating(count=400) if one.address == A or int(one.request_id[1:]) % 4 == 1]
    found = check(analysed(tmp_path / "turns", records, 4000))
    assert found.result == "WARN"
    assert "got 66.7% of the requests, not 50.0%" in found.sentence
    assert check(analysed(tmp_path / "least", records, 4000, balance="least_busy")).result == "PASS"


def test_an_address_that_got_nothing_is_told(tmp_path: Path) -> None:
    result = analysed(tmp_path, [one for one in alternating() if one.address == A], balance="least_busy")
    assert check(result).sentence == f"{B} got no request."
    assert [one.requests for one in result.summary.addresses] == [30, 0]


def test_an_endpoint_of_one_address_has_no_table(tmp_path: Path) -> None:
    write(tmp_path, [stage()], [one for one in alternating() if one.address == A])
    analysis = analyse_run(open_run(tmp_path))
    assert addresses.render(analysis) is None
    assert not any(one.name == "addresses alike" for one in analysis.results[0].checks)
