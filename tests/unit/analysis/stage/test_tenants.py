"""Tenants in the analysis: what each asked for and got, its objectives and price, and how fair that was."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from fmload.model.record import Record
from fmload_analysis.document.document import Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import missed, tenants
from fmload_analysis.run import open_run
from fmload_analysis.stage.tenants import fairness
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.recommend import recommend
from fmload_analysis.verdict.tenants import write_tenants
from tests import handmade

HOURLY = {"name": "a", "protocol": "openai", "price": {"hourly": 3.6}}
BY_TOKEN = {"name": "a", "protocol": "openai", "price": {"input_per_1m": 1.0, "output_per_1m": 10.0}}


def sent(tenant: str | None, count: int, *, ttft_ms: int = 20, outcome: str = "ok", stage: int = 0,
         **columns: Any) -> list[Record]:
    """Requests of 10 tokens in and two out, one every 2 ms from 10 ms on."""
    return [handmade.request(f"{tenant}{stage}.{i}", 10 + 2 * i,
                             [10 + 2 * i + ttft_ms, 30 + 2 * i + ttft_ms] if outcome == "ok" else [],
                             end_ms=40 + 2 * i + ttft_ms, outcome=outcome, tenant=tenant, stage=stage, **columns)
            for i in range(count)]


def analysed(folder: Path, requests: list[Record], *, named: Any = ("gold", "free"), endpoint: Any = HOURLY,
             stages: Any = None, weights: Any = None, **spec: Any) -> Analysis:
    given = [{"name": name} if isinstance(name, str) else name for name in named]
    prompts = [{"name": "p", "source": "synthetic", **({"tenants": weights} if weights else {})}]
    handmade.write(folder, stages or [handmade.stage()], requests,
                   spec={"endpoints": [endpoint], "prompts": prompts, "tenants": given, **spec})
    return analyse_run(open_run(folder))


def by_name(analysis: Analysis, stage: int = 0) -> dict[str, Any]:
    return {one.summary.name: one for one in analysis.results[stage].tenants}


@pytest.mark.parametrize(("values", "jain"), [
    ({"a": 0.5, "b": 0.5, "c": 0.5}, 1.0), ({"a": 1.0, "b": 0.0}, 0.5), ({"a": 1.0, "b": 0.5}, 2.25 / 2.5),
    ({"a": 0.9, "b": None, "c": 0.3}, 1.44 / 1.8)])
def test_the_index_is_jains_over_the_tenants_that_asked(values: dict[str, float | None], jain: float) -> None:
    found = fairness(values)
    assert found is not None
    assert found.jain == pytest.approx(jain)
    assert found.share == min(value for value in values.values() if value is not None)


@pytest.mark.parametrize("values", [{"a": 1.0}, {"a": 0.0, "b": 0.0}, {"a": None, "b": 0.4}, {}])
def test_one_tenant_or_none_that_got_anything_has_no_fairness(values: dict[str, float | None]) -> None:
    assert fairness(values) is None


def test_each_tenant_has_its_own_figures_and_the_sums_are_those_of_the_stage(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, sent("gold", 10) + sent("free", 30, ttft_ms=200) + sent(None, 5))
    found, stage = by_name(analysis), analysis.results[0]
    assert list(found) == ["free", "gold", ""]  # nobody's requests come last
    assert [one.value("ttft_p50") for one in found.values()] == pytest.approx([0.2, 0.02, 0.02])
    assert sum(one.totals.completed for one in found.values()) == stage.totals.completed == 45
    assert sum(one.totals.tokens_out for one in found.values()) == stage.totals.tokens_out
    assert sum(one.part for one in found.values()) == pytest.approx(1.0)
    assert found["gold"].part == pytest.approx(10 / 45)  # all requests weigh the same
    assert sum(one.cost.stage_usd for one in found.values()) == pytest.approx(stage.cost.stage_usd)
    assert sum(one.totals.usd_per_hour for one in found.values()) == pytest.approx(3.6)


def test_hours_are_shared_by_tokens_worked_on_and_not_by_waiting(tmp_path: Path) -> None:
    slow = sent("free", 10, ttft_ms=800)
    cached = sent("gold", 10, cached_tokens=10)
    found = by_name(analysed(tmp_path, slow + cached))
    assert found["free"].part == pytest.approx((10 + 2 * 2) / (10 + 2 * 2 + 2 * 2))
    assert found["gold"].summary.service == pytest.approx(10 * (0 + 2 * 2))


def test_a_tenants_own_missed_objective_is_the_stages_though_the_whole_keeps_its_own(tmp_path: Path) -> None:
    named = [{"name": "gold", "objectives": {"ttft_p50": "100ms"}}, {"name": "free"}]
    analysis = analysed(tmp_path, sent("gold", 40, ttft_ms=300) + sent("free", 360), named=named,
                        objectives={"ttft_p50": "100ms"})
    result = analysis.results[0]
    assert [(one.objective.name, one.state) for one in result.verdicts] == [
        ("ttft_p50", "met"), ("gold: ttft_p50", "missed")]
    assert result.objectives == "missed"
    assert recommend([result]).best is None
    assert by_name(analysis)["free"].objectives == "met"  # by those of the run
    section = missed.render(analysis)
    assert section is not None
    assert any("gold: ttft_p50" in column.label for block in section.blocks if isinstance(block, Table)
               for column in block.columns)


def test_goodput_goes_by_each_tenants_own_limits(tmp_path: Path) -> None:
    named = [{"name": "gold", "objectives": {"ttft": "100ms"}}, {"name": "free", "objectives": {"ttft": "1s"}}]
    analysis = analysed(tmp_path, sent("gold", 10, ttft_ms=300) + sent("free", 30, ttft_ms=300), named=named,
                        objectives={"ttft": "1ms"})
    found = by_name(analysis)
    assert (found["gold"].totals.good, found["free"].totals.good) == (0, 30)
    assert analysis.results[0].totals.good == 30


def test_a_tenant_without_a_request_is_told_and_its_objective_is_unknown(tmp_path: Path) -> None:
    named = [{"name": "gold", "objectives": {"ttft_p95": "1s"}}, {"name": "free"}]
    analysis = analysed(tmp_path, sent("free", 60), named=named, weights={"gold": 1, "free": 3})
    gold = by_name(analysis)["gold"]
    assert (gold.summary.due, gold.summary.served_share, gold.objectives) == (0, None, "unknown")
    assert analysis.results[0].objectives == "unknown"
    section = tenants.render(analysis)
    assert section is not None
    fair = [block for block in section.blocks if isinstance(block, Table)][1]
    assert [cell.text for cell in fair.rows[0][4:]] == ["n/a"] * 4  # one tenant alone asked
    check = next(one for one in analysis.results[0].checks if one.name == "share of the tenants")
    assert check.result == "WARN"
    assert "gold" in check.sentence


def test_a_tenant_of_which_all_requests_failed_got_nothing(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, sent("gold", 20, outcome="http_4xx") + sent("free", 20))
    gold = by_name(analysis)["gold"]
    assert (gold.value("error_rate"), gold.summary.served_share) == (1.0, 0.0)
    assert gold.cost.price_per_1m_output_tokens is None
    write_tenants(tmp_path / "t.csv", analysis.results)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert {row["fairness_served"] for row in rows} == {"0.5"}
    assert {row["tenant"]: row["served_share"] for row in rows} == {"free": "1.0", "gold": "0.0"}


def test_a_share_beyond_chance_warns_and_one_within_passes(tmp_path: Path) -> None:
    def of(folder: str, gold: int, free: int) -> str:
        (tmp_path / folder).mkdir()
        analysis = analysed(tmp_path / folder, sent("gold", gold) + sent("free", free), weights={"gold": 1, "free": 3})
        return next(one.result for one in analysis.results[0].checks if one.name == "share of the tenants")

    assert of("fair", 25, 75) == "PASS"
    assert of("far", 60, 40) == "WARN"


def test_tokens_are_paid_at_the_price_of_the_tenants_own_tier(tmp_path: Path) -> None:
    named = [{"name": "gold", "service_tier": "priority", "price": {"input_per_1m": 2.0, "output_per_1m": 20.0}},
             {"name": "free"}]
    analysis = analysed(tmp_path, sent("gold", 10) + sent("free", 10), named=named, endpoint=BY_TOKEN)
    found = by_name(analysis)
    each = 10 * 1e-6 + 2 * 10e-6
    assert found["free"].cost.stage_usd == pytest.approx(10 * each)
    assert found["gold"].cost.stage_usd == pytest.approx(20 * each)
    assert analysis.results[0].cost.stage_usd == pytest.approx(30 * each)


def test_a_tier_without_a_price_gives_no_price_at_all_and_says_whose_it_is(tmp_path: Path) -> None:
    named = [{"name": "gold", "service_tier": "priority"}, {"name": "free"}]
    analysis = analysed(tmp_path, sent("gold", 10) + sent("free", 10), named=named, endpoint=BY_TOKEN)
    assert analysis.results[0].cost.stage_usd is None
    assert "tenant 'gold'" in analysis.unpriced["a"].reason
    assert by_name(analysis)["free"].cost.stage_usd is not None
    (tmp_path / "other").mkdir()
    without = analysed(tmp_path / "other", sent("free", 10), named=named, endpoint=BY_TOKEN)
    assert without.results[0].cost.stage_usd is not None  # nobody sent anything at that tier


def test_components_of_a_mix_share_the_hours_and_fairness_is_over_all_of_them(tmp_path: Path) -> None:
    parts = [{"component": place, "share": 0.5, "shares": [0.5, 0.5], "first": 0, "rate": None} for place in (0, 1)]
    stages = [handmade.stage(place, step=0, prompt_set="pq"[place], mix=part) for place, part in enumerate(parts)]
    mix = [{"endpoint": "a", "prompts": "p", "tenant": "gold"}, {"endpoint": "a", "prompts": "q"}]
    failed = sent(None, 5, stage=1) + sent("free", 5, stage=1) + sent("free", 5, stage=1, outcome="http_5xx")
    analysis = analysed(tmp_path, sent("gold", 10) + failed, stages=stages, load={"concurrency": [2], "mix": mix})
    gold, others = by_name(analysis), by_name(analysis, 1)
    assert gold["gold"].part + others["free"].part + others[""].part == pytest.approx(1.0)
    section = tenants.render(analysis)
    assert section is not None
    fair = [block for block in section.blocks if isinstance(block, Table)][1]
    assert [cell.text for cell in fair.rows[0]][:5] == ["0, 1", "a", "the whole mix", fair.rows[0][3].text, "0.900"]


def test_records_of_an_earlier_schema_and_runs_without_tenants_have_no_section(tmp_path: Path) -> None:
    handmade.write(tmp_path, [handmade.stage()], handmade.back_to_back(5))
    analysis = analyse_run(open_run(tmp_path))
    assert tenants.render(analysis) is None
    (tmp_path / "t.csv").write_text("of an earlier report")
    write_tenants(tmp_path / "t.csv", analysis.results)
    assert not (tmp_path / "t.csv").exists()


def test_a_label_of_odd_characters_steers_neither_a_spreadsheet_nor_a_page(tmp_path: Path) -> None:
    from fmload_analysis.report.report import render

    odd = '=HYPERLINK("http://x")|<script>alert(1)</script>\n\x1b[31m'
    analysis = analysed(tmp_path, sent(odd, 5) + sent("free", 5), named=())
    write_tenants(tmp_path / "t.csv", analysis.results)
    rows = list(csv.DictReader((tmp_path / "t.csv").open(newline="")))
    assert len(rows) == 2
    assert not any(row["tenant"].startswith(("=", "+", "@", "-")) for row in rows)
    render(analysis)
    assert "<script>alert" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("spoilt", [
    {"tenants": [{"objectives": {"ttft_p95": "1s"}}]}, {"tenants": [{"name": 3}]},
    {"prompts": [{"name": "p", "tenants": {"gold": "many"}}]}, {"prompts": [{"name": "p", "tenants": ["gold"]}]}])
def test_a_run_file_that_was_spoilt_afterwards_loses_its_tenants_and_not_the_report(tmp_path: Path,
                                                                                   spoilt: dict[str, Any]) -> None:
    handmade.write(tmp_path, [handmade.stage()], sent("gold", 5), spec=spoilt)
    assert [one.summary.name for one in analyse_run(open_run(tmp_path)).results[0].tenants] == ["gold"]
