"""Comparisons: what is a difference, what is noise, what is not to be compared."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.compare import as_markdown, compare


def requests(scale: float, seed: int, count: int = 200, **columns: Any) -> list[Record]:
    """Requests one after another, of 80 to 120 ms times `scale`."""
    draw, at, records = random.Random(seed), 0.0, []
    for i in range(count):
        length = draw.uniform(80, 120) * scale
        records.append(request(f"r{i}.{columns.get('stage', 0)}", at, [at + length / 2, at + length], **columns))
        at += length
    return records


def run_of(folder: Path, records: list[Record], stages: list[dict[str, Any]] | None = None,
           environment: dict[str, Any] | None = None, objectives: dict[str, Any] | None = None) -> Analysis:
    results = write(folder, stages or [stage(window_ms=20_000)], records,
                    spec={"endpoints": [{"name": "a", "price": {"hourly": 1.0}}], "objectives": objectives or {}})
    results.environment_json.write_text(json.dumps(environment or {}))
    return analyse_run(open_run(folder))


def test_a_slower_candidate_is_a_regression_with_its_size_and_effect(tmp_path: Path) -> None:
    found = compare(run_of(tmp_path / "a", requests(1, 1)), run_of(tmp_path / "b", requests(1.3, 2)))
    worse = {difference.metric: difference for difference in found.regressions(0.05)}
    assert {"e2e_p50", "e2e_p95", "requests_per_s", "price_per_transaction"} <= set(worse)
    assert worse["e2e_p50"].change == pytest.approx(0.3, abs=0.05)
    assert worse["e2e_p50"].effect is not None and worse["e2e_p50"].effect > 0.8
    assert not found.regressions(0.5)


@pytest.mark.parametrize(("scale", "count", "state"), [(1.0, 200, "met"), (1.0, 30, "unknown"), (2.0, 200, "missed")])
def test_objectives_are_told_of_both_runs_and_only_missed_ones_are_broken(
        tmp_path: Path, scale: float, count: int, state: str) -> None:
    limits = {"e2e_p95": "150ms"}
    before = run_of(tmp_path / "a", requests(1, 1), objectives=limits)
    found = compare(before, run_of(tmp_path / "b", requests(scale, 2, count), objectives=limits))
    (judged,) = found.judged
    assert (judged.baseline, judged.candidate) == ("met", state)
    assert bool(found.broken) == (state == "missed")
    assert f"| objectives | met | {state} |" in as_markdown(found)


def test_noise_is_no_regression(tmp_path: Path) -> None:
    found = compare(run_of(tmp_path / "a", requests(1, 1)), run_of(tmp_path / "b", requests(1, 2)))
    assert not found.regressions(0.0)


def test_a_faster_candidate_is_no_regression(tmp_path: Path) -> None:
    found = compare(run_of(tmp_path / "a", requests(1.3, 1)), run_of(tmp_path / "b", requests(1, 2)))
    assert not found.regressions(0.0)
    assert any(difference.significant for difference in found.differences)


def test_failures_that_were_not_there_before_are_a_regression_from_nothing(tmp_path: Path) -> None:
    failures = [request(f"f{i}", i, outcome="http_5xx", end_ms=i + 1) for i in range(40)]
    found = compare(run_of(tmp_path / "a", requests(1, 1)), run_of(tmp_path / "b", requests(1, 2) + failures))
    (worse,) = (difference for difference in found.regressions(0.05) if difference.metric == "error_rate")
    assert worse.change is None


def test_repeats_are_taken_together(tmp_path: Path) -> None:
    from handmade import BASE_NS

    stages = [stage(window_ms=20_000), stage(1, 20_000, start_ns=BASE_NS, repeat=1)]
    both = run_of(tmp_path / "a", requests(1, 1) + requests(1.2, 3, stage=1), stages)
    found = compare(both, run_of(tmp_path / "b", requests(1.1, 2)))
    e2e = next(difference for difference in found.differences if difference.metric == "e2e_p50")
    assert e2e.baseline == pytest.approx(0.11, rel=0.03)


def test_stages_of_one_side_are_named(tmp_path: Path) -> None:
    other = [stage(window_ms=20_000, concurrency=2)]
    found = compare(run_of(tmp_path / "a", requests(1, 1)), run_of(tmp_path / "b", requests(1, 2), other))
    assert found.differences == ()
    assert (found.only_baseline, found.only_candidate) == (("a · p · 1 user",), ("a · p · 2 users",))


def test_unlike_environments_are_refused_unless_forced_and_then_named(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", requests(1, 1), environment={"cpus": 2})
    b = run_of(tmp_path / "b", requests(1, 2), environment={"cpus": 64})
    with pytest.raises(FmloadError, match="cpus: 2 and 64"):
        compare(a, b)
    assert "cpus: 2 and 64" in as_markdown(compare(a, b, force=True))


def test_what_is_emulated_is_told_in_words(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", requests(1, 1), environment={"emulated": {"a": "llama3-8b", "b": "gpt"}})
    b = run_of(tmp_path / "b", requests(1, 2), environment={"emulated": {}})
    with pytest.raises(FmloadError, match="emulated: a as llama3-8b, b as gpt and nothing"):
        compare(a, b)


def test_values_have_their_units(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", requests(1, 1)), run_of(tmp_path / "b", requests(1, 1))
    table = as_markdown(compare(a, b, ["e2e_p50", "ttft_p50", "error_rate", "requests_per_s"]))
    cells = {line.split(" | ")[1]: line.split(" | ")[2] for line in table.splitlines() if line.startswith("| a")}
    assert cells == {"e2e_p50": "99.8 ms", "ttft_p50": "49.9 ms", "error_rate": "0 %", "requests_per_s": "10.00"}


def test_the_gate_exits_with_3_and_prints_a_markdown_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "a", requests(1, 1))
    run_of(tmp_path / "b", requests(1.3, 2))
    arguments = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--metrics", "e2e_p50"]
    assert main([*arguments, "--fail-on", "5%"]) == 3
    assert "| a · p · 1 user | e2e_p50 |" in capsys.readouterr().out
    assert main([*arguments, "--fail-on", "50%"]) == 0
    assert main(arguments) == 0


def test_runs_that_give_no_text_are_compared_by_what_they_give(tmp_path: Path) -> None:
    def gave(name: str, scale: float, **columns: Any) -> Analysis:
        return run_of(tmp_path / name, requests(scale, 1, streamed=False, **columns))
    for kind, metrics in ({"images": 2}, {"images_per_minute", "time_per_image_p50", "price_per_1k_images"}), (
            {"inputs": 8}, {"inputs_per_s", "price_per_1m_inputs"}), (
            {"audio_in_s": 3.0}, {"audio_per_s", "real_time_factor_p50", "price_per_audio_hour"}):
        found = compare(gave(f"a-{next(iter(kind))}", 1, **kind), gave(f"b-{next(iter(kind))}", 1.5, **kind))
        told = {difference.metric: difference for difference in found.differences}
        assert metrics <= set(told) and all(told[name].worse for name in metrics)
        assert "output_tokens_per_s" not in told
    plain = compare(run_of(tmp_path / "c", requests(1, 1)), run_of(tmp_path / "d", requests(1, 2)))
    assert not {"images_per_minute", "audio_per_s", "inputs_per_s"} & {one.metric for one in plain.differences}


def test_an_unknown_metric_is_a_usage_error(tmp_path: Path) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path), "--metrics", "speed"]) == 2
