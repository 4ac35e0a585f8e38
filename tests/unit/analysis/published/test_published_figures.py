"""The figures that FMBench and llmperf published, from their inputs by our formulas; the audit's verdict on each."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from published_data import published_data

from fmload.metrics.definitions import Totals
from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.importers.fmbench import budgets
from fmload_analysis.published.importers.llmperf import recomputed
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published
from fmload_analysis.verdict.cost import Pricing, cost_of, priced
from fmload_analysis.verdict.objectives import judge, parse_objectives


def of_a_minute(usd_per_hour: float, transactions: int, tokens_in: float = 0, tokens_out: float = 0) -> Totals:
    """The totals of one minute with so many transactions of so many tokens each."""
    return Totals(window_s=60, completed=transactions, usd_per_hour=usd_per_hour, tokens_out=transactions * tokens_out,
                  completed_tokens_in=transactions * tokens_in, completed_tokens_out=transactions * tokens_out)


@pytest.mark.parametrize(("hourly", "per_minute", "published"), [
    (15.58, 82, "0.003167"), (1.624, 35, "0.000773"), (37.688, 591, "0.001063"), (88.0, 55, "0.026667")])
def test_price_per_transaction_of_the_fmbench_reports(hourly: float, per_minute: int, published: str) -> None:
    cost = cost_of(of_a_minute(hourly, per_minute), Pricing("test", usd_per_hour=hourly))
    assert f"{cost.price_per_transaction:.6f}" == published


@pytest.mark.parametrize(("hourly", "per_minute", "published"), [
    (15.58, 29, "89.54"), (15.58, 42, "61.83"), (1.624, 55, "4.92"), (20.36, 5, "678.67")])
def test_price_per_10k_transactions_of_the_failed_experiments(hourly: float, per_minute: int, published: str) -> None:
    cost = cost_of(of_a_minute(hourly, per_minute), Pricing("test", usd_per_hour=hourly))
    assert f"{cost.price_per_10k_transactions:.2f}" == published


def test_price_per_token_of_the_g5_report() -> None:
    cost = cost_of(of_a_minute(1.624, 35, 837, 40), Pricing("test", usd_per_hour=1.624))
    assert f"{cost.price_per_token:.8f}" == "0.00000088"


@pytest.mark.parametrize(("hourly", "seconds", "published"), [(15.58, 8.7146, "0.037715"), (1.624, 30.593, "0.013801")])
def test_cost_of_the_experiments(hourly: float, seconds: float, published: str) -> None:
    cost = cost_of(Totals(window_s=60), Pricing("test", usd_per_hour=hourly), stage_s=seconds)
    assert f"{cost.stage_usd:.6f}" == published


@pytest.mark.parametrize(("tokens_per_s", "published"), [
    (16.23, "13.01"), (29.2, "7.23"), (48.08, "4.39"), (72.16, "2.93"), (142.72, "1.48")])
def test_price_per_1m_output_tokens_of_the_llmperf_table(tokens_per_s: float, published: str) -> None:
    totals = Totals(window_s=100, completed=1, tokens_out=100 * tokens_per_s, usd_per_hour=0.76)
    assert f"{cost_of(totals, Pricing('test', usd_per_hour=0.76)).price_per_1m_output_tokens:.2f}" == published


def test_token_priced_transactions_cost_their_tokens() -> None:
    pricing = Pricing("test", input_per_1m=3.0, output_per_1m=15.0, cached_input_per_1m=0.3)
    totals = priced(Totals(window_s=60, completed=10, completed_tokens_in=10_000, completed_tokens_out=2_000,
                           completed_tokens_cached=4_000), pricing)
    cost = cost_of(totals, pricing)
    assert cost.stage_usd == pytest.approx((6_000 * 3 + 4_000 * 0.3 + 2_000 * 15) / 1e6)
    assert cost.price_per_transaction == pytest.approx(0.00492)


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def audited(path: Path, prices: PriceTable) -> dict[str, AuditedRow]:
    return {found.row.label: found for found in audit_published(read_published(path), prices)}


def corrected(found: AuditedRow) -> dict[str, float]:
    return {correction.figure: correction.corrected for correction in found.corrections}


def test_the_row_of_16_users_fails_with_what_its_own_columns_allow(prices: PriceTable) -> None:
    rows = audited(published_data() / "published" / "llmperf-llama3-8b-inf2.xlarge-tgi.md", prices)
    found = rows["16 users"]
    assert found.audit == "FAIL"
    assert corrected(found)["output_tokens_per_s"] == pytest.approx(78.46, abs=0.005)
    assert f"{corrected(found)['price_per_1m_output_tokens']:.2f}" == "2.69"
    assert corrected(found)["concurrency"] == pytest.approx(7.62, abs=0.005)
    assert {check.name for check in found.checks if check.result == "FAIL"} == {
        "concurrency = throughput × latency", "token throughput = requests × tokens"}
    assert all(row.audit == "WARN" for label, row in rows.items() if label != "16 users")


@pytest.mark.parametrize(("users", "tpot_ms", "usd"), [
    (1, 46.8, 11.18), (2, 50.5, 6.32), (4, 48.8, 3.87), (8, 51.4, 2.59), (16, 54.6, 2.69)])
def test_the_llmperf_table_re_examined(prices: PriceTable, users: int, tpot_ms: float, usd: float) -> None:
    rows = audited(published_data() / "published" / "llmperf-llama3-8b-inf2.xlarge-tgi.md", prices)
    found = corrected(rows[f"{users} user{'s' if users > 1 else ''}"])
    assert found["tpot_p50"] * 1000 == pytest.approx(tpot_ms, abs=0.05)
    assert found["price_per_1m_output_tokens"] == pytest.approx(usd, abs=0.005)


def test_the_329_completion_tokens_are_flagged_as_an_echo(prices: PriceTable) -> None:
    rows = audited(published_data() / "published" / "fmbench-llama2-7b-inf2.48xlarge.md", prices)
    best = next(row for label, row in rows.items() if label.startswith("best:"))
    assert best.audit == "WARN"
    assert corrected(best)["output_tokens_mean"] == 25
    price = next(check for check in best.checks if check.group == 8)
    assert price.result == "PASS"
    assert price.figures["usd_per_hour"] == 15.58


def test_more_transactions_than_fit_into_a_minute_fail(prices: PriceTable, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text("| Information | Value |\n|---|---|\n| payload_file | p |\n| concurrency | 1 |\n"
                      "| latency_mean | 2.96 |\n| transactions_per_minute | 911 |\n| price_per_txn | 0.000022 |\n")
    (found,) = audited(report, prices).values()
    assert found.audit == "FAIL"
    assert corrected(found)["transactions_per_minute"] == pytest.approx(20.27, abs=0.005)
    assert corrected(found)["price_per_transaction"] == pytest.approx(0.000989, abs=1e-5)


def test_every_llmperf_summary_is_recomputed_from_its_responses_with_no_difference() -> None:
    folders = sorted((published_data() / "llmperf").glob("*/result_*"))
    assert len(folders) == 7
    for folder in folders:
        responses = json.loads(next(folder.glob("*individual_responses.json")).read_text())
        published = json.loads(next(folder.glob("*summary.json")).read_text())
        ours = recomputed(responses)
        differences = {name: (value, published[name]) for name, value in ours.items()
                       if float(published[name]) != value}
        assert not differences, folder.name
        assert len(ours) == 64


def test_llmperfs_overall_throughput_follows_from_its_responses() -> None:
    for folder in (published_data() / "llmperf").glob("*/result_*"):
        published = json.loads(next(folder.glob("*summary.json")).read_text())
        responses = json.loads(next(folder.glob("*individual_responses.json")).read_text())
        good = [response for response in responses if response["error_code"] is None]
        duration_s = len(good) / published["results_num_completed_requests_per_min"] * 60
        assert sum(response["number_output_tokens"] for response in good) / duration_s == pytest.approx(
            published["results_mean_output_throughput_token_per_s"], rel=1e-9)


def test_every_fmbench_row_has_its_price_and_its_budget_verdict() -> None:
    folder = published_data() / "fmbench"
    seen = 0
    for path in sorted(folder.glob("*scores.csv")):
        objectives = parse_objectives(budgets(_report_of(path).read_text()))
        assert len(objectives) == 3
        for row, cells in zip(read_published(path).rows, csv.DictReader(path.open()), strict=True):
            hourly = {"g5.4xlarge": 1.624, "trn1.32xlarge": 21.5}[cells["instance_type"]]
            totals = of_a_minute(hourly, int(cells["transactions_per_minute"]))
            cost = cost_of(totals, Pricing("test", usd_per_hour=hourly))
            assert cost.price_per_transaction == pytest.approx(float(cells["price_per_txn"]), rel=1e-9)
            failed = not all(verdict.met for verdict in judge(objectives, row.value))
            assert str(failed) == cells["any_criterion_failed"], row.label
            seen += 1
    assert seen == 23


def _report_of(csv_path: Path) -> Path:
    return csv_path.with_name(csv_path.name.replace("summary_metrics_for_dataset_w_scores.csv", "report.md"))
