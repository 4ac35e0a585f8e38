"""Sections, one rule at a time; whole reports are in tests/golden."""

from __future__ import annotations

import csv
import importlib
import json
import pkgutil
from pathlib import Path

import pandas as pd
import pytest
from handmade import BASE_NS, MS, request, stage, write
from hypothesis import given
from hypothesis import strategies as st

from fmload.plugins import SECTIONS
from fmload.results.folder import Results
from fmload_analysis.document import plots
from fmload_analysis.document.document import Chart, Section, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.published import fmbench_csv
from fmload_analysis.report import sections
from fmload_analysis.report.report import rendered
from fmload_analysis.report.sections import cost, endpoint_metrics, limits, price_performance, repeats, timeline
from fmload_analysis.run import open_run
from fmload_analysis.stage.deployment import deployed
from fmload_analysis.stage.failures import failures
from fmload_analysis.verdict.analysis import Analysis, emulated


def two_levels(root: Path, **spec: object) -> Results:
    """One endpoint at 1 and 2 users: ten requests of 90 ms each, the second level also fails twice."""
    records = [request(f"{level}-{k}", 100 * k, [100 * k + 50, 100 * k + 70, 100 * k + 90], stage=level)
               for level in (0, 1) for k in range(10)]
    records += [request(f"bad{k}", 100 * k, stage=1, outcome="throttled", status=429, error="slow down", end_ms=99)
                for k in range(2)]
    stages = [stage(0, concurrency=1), stage(1, concurrency=2)]
    return write(root, stages, records, spec={"endpoints": [{"name": "a", "price": {"hourly": 3.6}}], **spec})


def analysed(results: Results) -> Analysis:
    return analyse_run(open_run(results.root))


def tables(section: Section | None) -> list[Table]:
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Table)]


def test_every_section_file_is_registered() -> None:
    files = {module.name for module in pkgutil.iter_modules(sections.__path__)}
    assert files == set(SECTIONS)


def test_every_section_renders_from_any_analysis_and_ids_differ(tmp_path: Path) -> None:
    found = list(rendered(analysed(two_levels(tmp_path / "r"))))
    assert len({section.id for section in found}) == len(found)
    charts = [block.name for section in found for block in section.blocks if isinstance(block, Chart)]
    assert len(set(charts)) == len(charts)


def test_every_row_has_a_cell_for_every_column(tmp_path: Path) -> None:
    spec = {"objectives": {"e2e_p95": "1s"}, "report": {"threshold_tokens_per_s": 20, "percentile_floor": False}}
    for section in rendered(analysed(two_levels(tmp_path / "r", **spec))):
        for table in tables(section):
            assert {len(row) for row in table.rows} <= {len(table.columns)}, table.caption


def test_an_emulation_is_told_by_the_environment_and_by_the_run_file(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r")
    assert emulated(analysed(results)) == {}
    results.environment_json.write_text(json.dumps({"emulated": {"a": "a g5"}}))
    assert emulated(analysed(results)) == {"a": "a g5"}
    marked = two_levels(tmp_path / "s", endpoints=[{"name": "a", "emulated": "an inf2"}])
    assert emulated(analysed(marked)) == {"a": "an inf2"}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_the_front_is_what_nothing_beats(spots: list[tuple[int, int]]) -> None:
    front = price_performance.front([(float(x), float(y)) for x, y in spots])
    beaten = {(x, y) for x, y in spots for a, b in spots if a >= x and b <= y and (a, b) != (x, y)}
    assert set(front) == set(spots) - beaten


def test_a_missing_price_is_na_and_prices_nothing(tmp_path: Path) -> None:
    section = cost.render(analysed(two_levels(tmp_path / "r", endpoints=[{"name": "a"}])))
    assert tables(section) == []  # nothing but why, and what to do
    assert section is not None
    assert section.gist == "Not known: no price is given."
    assert "a: n/a, as no price is given. To have it: " in str(section.blocks)


def test_messages_of_failures_are_counted(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r")
    assert [(each.outcome, each.status, each.message, each.count) for each in failures(open_run(results.root))] == [
        ("throttled", 429, "slow down", 2)]


def test_deployed_resources_are_paid_from_creation_to_deletion(tmp_path: Path) -> None:
    lines = [{"at": "2026-01-01T00:00:00+00:00", "event": "run", "run": "r"},
             _event("00:00:00", "creating", 3.6), _event("00:05:00", "created", 3.6),
             _event("01:00:00", "deleted", 3.6), _event("00:00:00", "creating", None, "other"),
             _event("00:00:00", "creating", 0, "free")]
    (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    paid, unknown = deployed(tmp_path)
    assert (paid.duration_s, paid.usd) == (3600.0, pytest.approx(3.6))
    assert (unknown.name, unknown.duration_s, unknown.usd) == ("other", None, None)
    assert deployed(tmp_path / "nowhere") == []


def _event(time: str, event: str, hourly: float | None, name: str = "n") -> dict[str, object]:
    return {"at": f"2026-01-01T{time}+00:00", "event": event, "endpoint": "a", "kind": "endpoint", "name": name,
            "region": "us-east-1", "hourly": hourly, "detail": {}}


def test_telemetry_has_a_section_only_where_it_was_collected(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r")
    analysis = analysed(results)
    assert endpoint_metrics.render(analysis) is None
    told = {"source": "a", "labels": '{"model": "m"}'}
    rows = [{**told, "metric": metric, "at_ns": BASE_NS + k * 100 * MS, "value": value} for k in range(40)
            for metric, value in (("running", 2.0), ("tokens_total", 5.0 * k), ("ttft_seconds_bucket", 1.0),
                                  ("waiting", 0.0), ("temperature", 60.0 + k % 2))]
    pd.DataFrame(rows).to_parquet(results.telemetry_parquet)
    section = endpoint_metrics.render(analysis)
    assert section is not None
    shown = {cells[2].text: [cell.text for cell in cells[5:]] for cells in tables(section)[0].rows}
    # a gauge as it is, a counter as a rate; no histogram, nothing that never moved from 0
    assert shown == {"`running`": ["2.00"] * 5, "`tokens/s`": ["50.0"] * 5,
                     "`temperature`": ["60.0", "60.0", "60.0", "61.0", "61.0"]}
    assert "temperature" in [block.title for block in section.blocks if isinstance(block, Chart)]
    assert "running" not in [block.title for block in section.blocks if isinstance(block, Chart)]  # it stood still


def test_the_limits_pictures_have_one_unit_each_and_mark_the_stages(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r")
    told = {"source": "s", "labels": "{}"}
    rows = [{**told, "metric": metric, "at_ns": BASE_NS + (k - 5) * 100 * MS, "value": value} for k in range(40)
            for metric, value in (("vllm:num_requests_running", 2.0), ("vllm:num_requests_waiting", float(k % 3)),
                                  ("vllm:kv_cache_usage_perc", 0.25), ("gpu_memory_used_mib", 2048.0))]
    pd.DataFrame(rows).to_parquet(results.telemetry_parquet)
    section = limits.render(analysed(results))
    assert section is not None
    charts = {block.title: block for block in section.blocks if isinstance(block, Chart)}
    assert list(charts) == ["a: requests", "a: output", "a: in use"]  # memory stood still
    requests = charts["a: requests"]
    assert [series.name for series in requests.series] == ["In flight, by the client", "Batch", "Queue"]
    assert [rule.label for rule in requests.rules] == ["0, 1"]  # they began together
    assert len({chart.x.span for chart in charts.values()}) == 1  # the same seconds
    assert plots.draw(requests).axes[0].get_xlim() == requests.x.span
    assert all(point.x >= 0 for chart in charts.values() for series in chart.series for point in series.points)
    medians = tables(section)[1]
    assert [row[6].text for row in medians.rows] == ["25 %"] * len(medians.rows)
    assert "Power" not in [column.label for column in medians.columns]  # nobody told


def test_an_event_told_twice_is_shown_once(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r")
    mark = {"kind": "worker_lost", "at_ns": BASE_NS + 300 * MS, "worker": "w0", "detail": "gone"}
    plan = json.loads(results.stages_json.read_text())
    plan["stages"][0]["marks"] = [mark]
    results.stages_json.write_text(json.dumps(plan))
    results.events_jsonl.write_text(json.dumps(mark) + "\n" + json.dumps({**mark, "kind": "interrupted"}) + "\n")
    events = tables(timeline.render(analysed(results)))[0]
    assert [[cell.text for cell in row[:2]] for row in events.rows] == [
        ["300 ms", "worker_lost"], ["300 ms", "interrupted"]]


def test_repeats_are_compared_only_where_there_are_any(tmp_path: Path) -> None:
    assert repeats.render(analysed(two_levels(tmp_path / "r"))) is None
    again = [stage(0), stage(1, repeat=1)]
    records = [request(f"{number}-{k}", 100 * k, [100 * k + 50, 100 * k + 70 + 10 * number], stage=number)
               for number in (0, 1) for k in range(8)]
    rows = tables(repeats.render(analysed(write(tmp_path / "s", again, records))))[0].rows
    tpot = next(row for row in rows if row[3].value == "tpot_p50")
    assert [cell.text for cell in tpot[5:8]] == ["2", "25.0", "7.07"]


def test_fmbench_names_hold_our_numbers(tmp_path: Path) -> None:
    results = two_levels(tmp_path / "r", objectives={"error_rate": 0, "price_per_10k_transactions": 50})
    fmbench_csv.write(tmp_path / "f.csv", analysed(results).results)
    with (tmp_path / "f.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["transactions_per_minute"]) == 600
    assert float(first["price_per_txn"]) == pytest.approx(3.6 / 60 / 600)
    assert float(first["latency_p50"]) == pytest.approx(0.09)
    assert first["latency_p95"] == ""  # ten requests are too few
    assert (first["error_rate_criterion_failed"], second["error_rate_criterion_failed"]) == ("False", "True")
    assert (first["latency_criterion_failed"], second["any_criterion_failed"]) == ("", "True")


def test_a_section_module_says_what_it_is(tmp_path: Path) -> None:
    for name in SECTIONS:
        module = importlib.import_module(f"fmload_analysis.report.sections.{name}")
        assert module.__doc__
        assert module.render.__doc__
