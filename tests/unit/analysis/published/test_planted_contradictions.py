"""Contradictions planted in right files: found, with the right correction where one is made; and right files let be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from right_files import CLOSED_ONLY, WRITERS, aiperf, simulated, vllm, written

from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published
from tests.plants import FOUND, NOT_FINDABLE, Plant, page

_SEEDS = range(1, 41)


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def audited(path: Path, text: str, prices: PriceTable) -> AuditedRow:
    path.write_text(text)
    published = read_published(path)
    (row,) = audit_published(published, prices)
    return row


@pytest.mark.parametrize("tool", sorted(WRITERS))
def test_right_files_are_not_accused(tmp_path: Path, prices: PriceTable, tool: str) -> None:
    seeds = [seed for seed in _SEEDS if tool not in CLOSED_ONLY or simulated(seed).users is not None]
    assert len(seeds) >= 20
    for seed in seeds:
        row = audited(tmp_path / "r.json", written(tool, simulated(seed)), prices)
        accused = [check.sentence for check in row.checks if check.result != "PASS"
                   and check.name != "ITL is without TTFT"]  # llmperf's is none, and said to be none
        assert not accused, (seed, accused)
        assert {found.figure for found in row.corrections} <= {"tpot_p50", "tpot_mean"} if tool == "llmperf" else (
            not row.corrections)
        assert len(row.checks) >= 5


def test_aiperfs_duration_and_rates_may_end_at_different_events_of_the_last_response(tmp_path: Path,
                                                                                    prices: PriceTable) -> None:
    """Seen with 0.13.0: 8 requests, a duration of 1.0717 s, rates over 1.0876 s."""
    content = aiperf(simulated(1))
    for name in ("request_throughput", "output_token_throughput", "total_token_throughput"):
        content[name]["avg"] *= simulated(1).duration / (simulated(1).duration + 0.016)
    row = audited(tmp_path / "r.json", json.dumps(content, default=float), prices)
    assert (row.audit, row.corrections) == ("PASS", ())
    assert row.row.steps["duration_s"] == 0.1


def test_right_files_with_every_request_agree_with_it(tmp_path: Path, prices: PriceTable) -> None:
    for seed in range(1, 9):
        row = audited(tmp_path / "r.json", json.dumps(vllm(simulated(seed), detailed=True), default=float), prices)
        assert row.audit == "PASS"
        assert any("own requests" in check.name for check in row.checks)


@pytest.mark.parametrize("plant", FOUND, ids=lambda plant: f"{plant.tool}: {plant.name}")
def test_a_planted_contradiction_is_found_and_no_other_figure_is_corrected(tmp_path: Path, prices: PriceTable,
                                                                          plant: Plant) -> None:
    content = json.loads(written(plant.tool, simulated(plant.seed)))
    right = audited(tmp_path / "right.json", json.dumps(content), prices)
    plant.change(content)
    row = audited(tmp_path / "planted.json", json.dumps(content), prices)
    assert row.audit in ("FAIL", "WARN")
    for found in row.corrections:
        if plant.tool == "llmperf" and found.figure.startswith("tpot_"):
            continue
        assert found.figure == plant.figure, "a right figure was corrected"
        expected = right.row.value(found.figure)
        if found.figure == "concurrency":  # what was in flight: at most the users, at least all of them but the tail
            assert found.corrected <= (expected or 0) * 1.05
        else:
            assert found.corrected == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(("plant", "reason"), NOT_FINDABLE, ids=lambda value: value.name if isinstance(
    value, Plant) else None)
def test_what_the_columns_do_not_contradict_is_not_accused(tmp_path: Path, prices: PriceTable, plant: Plant,
                                                          reason: str) -> None:
    content = json.loads(written(plant.tool, simulated(plant.seed)))
    plant.change(content)
    assert audited(tmp_path / "planted.json", json.dumps(content), prices).audit == "PASS", reason


def test_the_page_of_plants_says_what_becomes_of_each() -> None:
    assert (Path(__file__).parents[4] / "docs" / "published-plants.md").read_text() == page()


def test_most_planted_figures_are_named(tmp_path: Path, prices: PriceTable) -> None:
    """Where the columns single out the figure that was changed, it is corrected."""
    named, single = 0, [plant for plant in FOUND if plant.figure]
    for plant in single:
        content = json.loads(written(plant.tool, simulated(plant.seed)))
        plant.change(content)
        row = audited(tmp_path / "planted.json", json.dumps(content), prices)
        named += any(found.figure == plant.figure for found in row.corrections)
    assert named >= 0.75 * len(single), f"{named} of {len(single)}"


def test_a_file_with_its_requests_gives_every_planted_figure_back(tmp_path: Path, prices: PriceTable) -> None:
    for name, ours in (("mean_ttft_ms", "ttft_mean"), ("median_itl_ms", "icl_p50"), ("p99_ttft_ms", "ttft_p99"),
                       ("total_output_tokens", "output_tokens")):
        content = json.loads(json.dumps(vllm(simulated(3), detailed=True), default=float))
        right = content[name]
        content[name] *= 1.5
        row = audited(tmp_path / "planted.json", json.dumps(content), prices)
        found = {correction.figure: correction.corrected for correction in row.corrections}
        assert found[ours] == pytest.approx(right / (1e3 if name.endswith("_ms") else 1), rel=1e-6)
