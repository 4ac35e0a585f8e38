"""The table at the end of a run, on terminals of any width."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import BASE_NS, request, stage, write
from rich.console import Console

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.terminal import between, headline
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    records = [request(f"r{k}", 100 * k, [100 * k + 50, 100 * k + 99]) for k in range(10)]
    endpoint = {"name": "a", "price": {"hourly": 3.6}, "emulated": "an inf2"}
    spec = {"endpoints": [endpoint], "objectives": {"error_rate": 0}}
    return analyse_run(open_run(write(tmp_path / "run", [stage()], records, spec=spec).root))


def shown(analysis: Analysis, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(headline(analysis))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [50, 80, 100, 160])
def test_no_figure_is_cut_short(analysis: Analysis, width: int) -> None:
    lines = shown(analysis, width)
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= width


FIGURES = ("TTFT p50", "TTFT p95", "E2E p50", "E2E p95", "tokens/s", "requests/s", "requests", "errors", "$/10k",
           "objectives", "audit")


@pytest.mark.parametrize("width", [50, 80, 100, 200])
def test_every_figure_is_there_at_every_width_below_what_tells_the_stages_apart(analysis: Analysis, width: int) -> None:
    heads = [line for line in shown(analysis, width) if line.split()[:1] == ["load"]]
    assert len(heads) == 1 if width == 200 else len(heads) > 1
    assert all(any(label in head for head in heads) for label in FIGURES)


def test_what_is_the_same_everywhere_stands_above_the_table_and_empty_columns_go(tmp_path: Path) -> None:
    records = [request(f"r{k}", 100 * k, [100 * k + 50, 100 * k + 99]) for k in range(10)]
    text = shown(analyse_run(open_run(write(tmp_path, [stage()], records).root)), 200)
    assert text[0].strip().endswith("a · p")
    assert not any(word in "\n".join(text) for word in ("$/10k", "objectives", "n/a", "endpoint"))


def test_a_percentile_of_few_requests_is_shown_by_its_bounds(tmp_path: Path) -> None:
    records = [request(f"r{k}", 100 * k, [100 * k + 50 + k, 100 * k + 99]) for k in range(10)]
    lines = shown(analyse_run(open_run(write(tmp_path, [stage()], records).root)), 200)
    row = next(line for line in lines if line.strip().startswith("1 user"))
    assert "≥ " in row
    assert any(line.startswith("≥, ≤ or a range: too few requests") for line in lines)


@pytest.mark.parametrize(("low", "high", "written"), [
    (0.018, 0.024, "18.0–24.0 ms"), (0.9, 1.2, "900 ms–1.20 s"), (0.018, None, "≥ 18.0 ms"), (None, 0.024, "≤ 24.0 ms"),
    (None, None, "?"), (0.5, 0.5, "500 ms")])
def test_bounds_are_written_short(low: float | None, high: float | None, written: str) -> None:
    assert between(low, high) == written


def test_it_names_emulations_and_ends_with_the_recommendation(analysis: Analysis) -> None:
    text = "\n".join(shown(analysis, 160))
    assert "EMULATED: a imitates an inf2" in text
    assert text.rstrip().endswith(analysis.best[0].sentence[-40:])


def test_it_says_what_failed_and_why_an_audit_failed(tmp_path: Path) -> None:
    records = [request(f"r{k}", 100 * k, outcome="http_5xx", status=503, end_ms=100 * k + 5,
                       error="HTTP 503: no\x1broom") for k in range(12)]
    results = write(tmp_path, [stage(0), stage(1, start_ns=BASE_NS + 10**12)], records)
    text = " ".join("\n".join(shown(analyse_run(open_run(results.root)), 160)).split())
    assert "12 requests of a failed (http_5xx): HTTP 503: no room (warm-up and drain included)" in text
    assert "audit FAIL at stages 0 and 1, enough requests: 0 requests succeeded" in text
    assert "For p, nothing was measured: all 10 requests failed." in text


def test_what_failed_in_a_superseded_stage_is_in_no_count(tmp_path: Path) -> None:
    failed = [request(f"r{number}{k}", 100 * k, outcome="http_5xx", status=503, end_ms=100 * k + 5, stage=number,
                      error="no room") for number in (0, 1) for k in range(3)]
    stages = [stage(0, status="superseded"), stage(1)]
    text = " ".join(" ".join(shown(analyse_run(open_run(write(tmp_path, stages, failed).root)), 160)).split())
    assert "3 requests of a failed (http_5xx): no room" in text


def test_each_run_of_a_stage_is_told_from_the_others(tmp_path: Path) -> None:
    records = [request(f"r{number}{k}", 100 * k, [100 * k + 50], stage=number) for number in (0, 1) for k in range(10)]
    lines = shown(analyse_run(open_run(write(tmp_path, [stage(0), stage(1, repeat=1)], records).root)), 160)
    assert [line.strip().split("  ")[0] for line in lines if line.strip().startswith("1 user")] == [
        "1 user", "1 user (run 2)"]


def test_a_run_without_a_failure_says_nothing_of_failures(analysis: Analysis) -> None:
    assert not any("failed" in line for line in shown(analysis, 160) if "audit FAIL" not in line)
