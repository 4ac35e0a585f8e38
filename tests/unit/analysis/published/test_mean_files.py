"""Mean files: a key twice, units that are none, nothing completed, a negative duration, a wrong --from, like names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from right_files import aiperf, genai_bench, llmeter, sglang, simulated, vllm

from fmload.base.errors import FmloadError
from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_sweep
from fmload_analysis.published.page import in_one_sentence
from fmload_analysis.published.rows.sweep import read_published, read_sweep


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_key_that_stands_twice_is_refused_by_its_name(tmp_path: Path) -> None:
    text = json.dumps(vllm(simulated(7)))[:-1] + ', "request_throughput": 99999}'
    with pytest.raises(FmloadError, match=r"r\.json: 'request_throughput' stands twice"):
        read_published(written(tmp_path / "r.json", text))


def test_a_key_that_stands_twice_is_found_in_a_later_line(tmp_path: Path) -> None:
    line = json.dumps(vllm(simulated(7)))
    spoilt = line[:-1] + ', "duration": 3}'
    with pytest.raises(FmloadError, match=r"r\.jsonl, line 2: 'duration' stands twice"):
        read_published(written(tmp_path / "r.jsonl", line + "\n" + spoilt + "\n"))


@pytest.mark.parametrize("unit", ["fortnights", None, 3])
def test_a_time_without_a_unit_of_time_is_refused(tmp_path: Path, unit: Any) -> None:
    """It was taken for seconds: a mean latency of 8 minutes."""
    content = aiperf(simulated(7))
    content["request_latency"]["unit"] = unit
    with pytest.raises(FmloadError, match=r"request_latency\.unit holds .* not one of s, sec"):
        read_published(written(tmp_path / "r.json", content))


def of_none(content: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {key: 0 if isinstance(value, int | float) else value for key, value in content.items()} | changed


@pytest.mark.parametrize("content", [
    of_none(vllm(simulated(7)), num_prompts=10, max_concurrency=8), of_none(vllm(simulated(7))),
    of_none(llmeter(simulated(7)), total_requests=10, failed_requests=10, clients=2)])
def test_a_run_that_completed_nothing_is_a_failure_not_an_agreement(tmp_path: Path, content: Any) -> None:
    sweep = read_sweep([written(tmp_path / "r.json", content)])
    (row,) = audit_sweep(sweep, load_prices())
    assert row.audit == "FAIL"
    assert "No request was completed" in in_one_sentence(sweep, [row])


def test_a_negative_duration_is_what_the_sentence_says(tmp_path: Path) -> None:
    sweep = read_sweep([written(tmp_path / "r.json", vllm(simulated(7)) | {"duration": -5.0})])
    rows = audit_sweep(sweep, load_prices())
    assert "nothing is negative: duration -5 s: below 0" in in_one_sentence(sweep, rows)
    assert "the load was not on" not in str(rows[0].checks)


def test_a_wrong_from_names_the_tool_whose_content_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json", aiperf(simulated(7)))
    with pytest.raises(FmloadError) as caught:
        read_published(path, "sglang")
    assert "(read as sglang)" in caught.value.message and "aiperf's" in (caught.value.hint or "")


def test_two_sweeps_whose_files_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    for folder in ("before", "after"):
        written(tmp_path / folder / "c8.json", vllm(simulated(7)))
    labels = [row.label for part in read_sweep([tmp_path]).parts for row in part.rows]
    assert labels == ["8 users (after/c8)", "8 users (before/c8)"]


def test_the_same_load_twice_in_one_file_is_numbered(tmp_path: Path) -> None:
    lines = [json.dumps(vllm(simulated(7)))] * 3
    sweep = read_sweep([written(tmp_path / "r.jsonl", "\n".join(lines))])
    assert [row.label for row in sweep.parts[0].rows] == ["8 users", "8 users, 2", "8 users, 3"]


def test_a_folder_of_right_and_spoilt_files_reads_the_right_ones_and_names_the_others(tmp_path: Path) -> None:
    written(tmp_path / "a.json", vllm(simulated(7)))
    written(tmp_path / "b.json", json.dumps(sglang(simulated(8)))[:300])
    written(tmp_path / "c.json", genai_bench(simulated(8)))
    sweep = read_sweep([tmp_path])
    assert sweep.tool == "genai-bench, vllm"
    assert len(sweep.skipped) == 1 and "b.json, line 1" in sweep.skipped[0]
