"""Real result files of other tools: each is read, and called what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from published_data import published_cases, published_data

from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def audited(path: Path, prices: PriceTable) -> list[AuditedRow]:
    return list(audit_published(read_published(path), prices))


@pytest.mark.parametrize("name", [
    "vllm_inferencex_c128_right.json", "sglang_c8_in61_out62_right.jsonl", "aiperf-0.10.0_c16.json",
    "guidellm-0.3_in120_out128_right_norequests.json", "sglang-old_online.jsonl"])
def test_a_right_file_is_not_accused(prices: PriceTable, name: str) -> None:
    for row in audited(published_cases() / name, prices):
        assert (row.audit, row.corrections) == ("PASS", ())
        assert len(row.checks) > 3


def test_ten_of_250_that_did_not_complete_are_an_error_rate_of_4_percent(prices: PriceTable) -> None:
    (row,) = audited(published_cases() / "vllm_10-of-250-failed.json", prices)
    assert (row.row.value("errors"), row.row.value("requests"), row.row.value("error_rate")) == (10, 250, 0.04)
    (found,) = [check for check in row.checks if check.result != "PASS"]
    assert found.sentence.startswith("10 of 250 requests did not complete, an error rate of 4.0%")


def test_sglangs_concurrency_and_e2e_are_read() -> None:
    (row,) = read_published(published_cases() / "sglang_c8_in61_out62_right.jsonl").rows
    assert row.value("achieved_concurrency") == 7.771601081305936
    assert row.value("e2e_p99") == pytest.approx(0.7118622327689087)
    assert row.value("concurrency") == 8


def test_old_sglang_lines_are_a_stage_each() -> None:
    published = read_published(published_cases() / "sglang-old_online.jsonl")
    assert published.tool == "sglang"
    assert [row.value("offered_per_s") for row in published.rows][:5] == [1, 2, 4, 8, 16]
    assert published.rows[0].value("e2e_mean") == pytest.approx(7.840616212638561)


def test_guidellms_totals_stand_beside_its_metrics_and_unfinished_requests_are_no_failures() -> None:
    (row,) = read_published(published_cases() / "guidellm-0.3_in120_out128_right_norequests.json").rows
    assert (row.value("completed"), row.value("errors"), row.value("incomplete")) == (586, 0, 23)
    assert (row.value("offered_per_s"), row.value("error_rate")) == (10, 0)


def test_aiperfs_concurrency_is_that_of_the_profiling_phase(prices: PriceTable) -> None:
    (row,) = audited(published_cases() / "aiperf-0.10.0_c16.json", prices)
    assert row.row.value("concurrency") == 16
    law = next(check for check in row.checks if check.group == 1)
    assert law.result == "PASS"
    assert "its last requests have no successors" in law.sentence


@pytest.mark.parametrize("name", ["aiperf-0.1.csv", "aiperf-0.1_records-ttft.json"])
def test_early_aiperf_files_are_read_with_their_failures(name: str) -> None:
    (row,) = read_published(published_cases() / name).rows
    assert row.value("ttft_mean") == pytest.approx(2.34322, abs=1e-5)
    assert (row.value("completed"), row.value("errors"), row.value("error_rate")) == (89, 11, 0.11)
    assert row.value("e2e_p99") == pytest.approx(9.29761, abs=1e-5)


def test_inference_perfs_stage_is_read_and_its_tpot_is_the_gap_between_chunks(prices: PriceTable) -> None:
    (row,) = audited(published_cases() / "inference-perf_stage3.json", prices)
    assert (row.row.value("completed"), row.row.value("offered_per_s")) == (6715, 111.92)
    assert row.row.value("e2e_p99") == 2.056480849154759
    (tpot,) = row.corrections
    assert tpot.corrected == pytest.approx((1.6979482656 - 0.1462338554) / 61.80029784564)
    assert {check.name for check in row.checks if check.result != "PASS"} == {"TPOT is by tokens"}


def test_the_fork_with_names_of_its_own_is_read_and_64_users_were_not_in_flight(prices: PriceTable) -> None:
    rows = {row.row.label: row for row in audited(published_cases() / "llmperf-fork_a10g_nim.csv", prices)}
    one, last = rows["1 user"], rows["64 users"]
    assert one.row.value("ttft_mean") == pytest.approx(0.13541076456991505)
    assert one.row.value("itl_with_ttft_mean") == pytest.approx(0.030331924801253578)
    assert one.row.value("output_tokens_per_s") == 32.21235140322287
    assert last.audit == "FAIL"
    assert {found.figure: round(found.corrected, 1) for found in last.corrections}["concurrency"] == 16.5


def test_every_file_of_the_earlier_data_is_read_or_refused_in_words(prices: PriceTable) -> None:
    refused = set()
    for path in sorted(each for each in published_data().rglob("*") if each.suffix in (".md", ".csv", ".json")):
        if path.parent.name == "prices" or path.name.startswith("README"):
            continue
        try:
            assert all(row.row.figures for row in audited(path, prices))
        except Exception as error:
            refused.add((path.name, type(error).__name__))
    assert refused == {("7db0faa1__EC2_system_metrics.csv", "FmloadError"),
                       ("llama-recipes-inference-benchmark.md", "FmloadError")}


@pytest.mark.parametrize("name", ["fmbench-llama2-7b-inf2.48xlarge.md", "llmperf-llama3-8b-inf2.xlarge-tgi.md"])
def test_a_document_as_txt_is_read_as_its_md(tmp_path: Path, name: str, prices: PriceTable) -> None:
    source = published_data() / "published" / name
    copy = tmp_path / Path(name).with_suffix(".txt")
    copy.write_text(source.read_text())
    assert [(row.row.label, row.audit, row.corrections) for row in audited(copy, prices)] == [
        (row.row.label, row.audit, row.corrections) for row in audited(source, prices)]


def test_llmperfs_64_users_were_not_in_flight_and_two_thirds_failed(prices: PriceTable) -> None:
    folder = published_data() / "llmperf"
    path = next(folder.glob("*/result_*_64/*summary.json"))
    (row,) = audited(path, prices)
    corrected = {found.figure: found.corrected for found in row.corrections}
    assert corrected["concurrency"] == pytest.approx(10.10, abs=0.01)
    assert {check.name for check in row.checks if check.result == "FAIL"} == {
        "concurrency = throughput × latency", "requests succeed"}
