"""Requests that other tools recorded become a results folder of ours, with every metric of ours."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write
from right_files import aiperf, simulated

from fmload.cli.main import main
from fmload_analysis.published.rows.sweep import read_published

SIMULATED = simulated(5)


def aiperf_lines() -> str:
    """`profile_export.jsonl`: times in ms, instants in ns of the wall clock; two of the warm-up and one failure."""
    load, lines = SIMULATED, []
    for at in range(load.count):
        start = 1_795_950_139_833_449_491 + round(load.send[at] * 1e9)
        phase = "warmup" if at < 2 else "profiling"
        metrics = {"request_latency": {"value": load.e2e[at] * 1e3, "unit": "ms"},
                   "time_to_first_token": {"value": load.ttft[at] * 1e3, "unit": "ms"},
                   "output_sequence_length": {"value": int(load.made[at]), "unit": "tokens"},
                   "input_sequence_length": {"value": int(load.given[at]), "unit": "tokens"},
                   "inter_chunk_latency": {"value": [gap * 1e3 for gap in load.gaps[at].tolist()], "unit": "ms"}}
        line: dict[str, Any] = {"metadata": {
            "benchmark_phase": phase, "request_start_ns": start, "credit_issued_ns": start,
            "request_end_ns": start + round(load.e2e[at] * 1e9)}, "metrics": metrics}
        if at == 2:
            line |= {"metrics": {}, "error": {"code": 503, "type": "ServerError", "message": "no"}}
        lines.append(json.dumps(line))
    return "\n".join(lines) + "\n"


def guidellm_report() -> dict[str, Any]:
    load = SIMULATED
    entries = [{"request_id": str(at), "info": {"timings": {
        "targeted_start": 1.78e9 + send, "request_start": 1.78e9 + send, "first_token_iteration": 1.78e9 + first,
        "last_token_iteration": 1.78e9 + last, "request_end": 1.78e9 + last + 0.001}},
        "input_metrics": {"text_tokens": int(given)}, "output_metrics": {"text_tokens": int(made)}}
        for at, (send, first, last, given, made) in enumerate(zip(
            load.send.tolist(), load.first.tolist(), load.last.tolist(), load.given, load.made, strict=True))]
    return {"benchmarks": [{"config": {"strategy": {"type_": "concurrent", "streams": load.users}}, "metrics": {
        "request_totals": {"successful": load.count - 1, "errored": 0, "incomplete": 1, "total": load.count}},
        "requests": {"successful": entries[:-1], "incomplete": entries[-1:], "errored": []}}]}


def inference_perf_requests() -> list[dict[str, Any]]:
    load = SIMULATED
    return [{"stage_id": 0, "scheduled_time": float(load.send[at]), "start_time": float(load.send[at]),
             "end_time": float(load.last[at]), "request_data": "{}", "error": None,
             "info": {"input_tokens": int(load.given[at]), "response_metrics": {
                 "output_tokens": int(load.made[at]), "output_token_times": [
                     float(load.first[at]), *(load.first[at] + load.gaps[at].cumsum()).tolist()]}}}
            for at in range(load.count)]


def llmeter_lines() -> str:
    load = SIMULATED
    return "\n".join(json.dumps({
        "response_text": "", "id": str(at), "time_to_first_token": float(load.ttft[at]),
        "time_to_last_token": float(load.e2e[at]), "num_tokens_input": int(load.given[at]),
        "num_tokens_output": int(load.made[at]), "error": None,
        "request_time": f"2026-11-29T00:{int(load.send[at] // 60):02}:{load.send[at] % 60:09.6f}+00:00"})
        for at in range(load.count)) + "\n"


FILES = {"profile_export.jsonl": aiperf_lines, "benchmarks.json": lambda: json.dumps(guidellm_report()),
         "per_request_lifecycle_metrics.json": lambda: json.dumps(inference_perf_requests()),
         "responses.jsonl": llmeter_lines}


@pytest.mark.parametrize("name", sorted(FILES))
def test_recorded_requests_have_our_metrics(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_text(FILES[name]())
    assert main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "run"
    assert (folder / "report.html").exists()
    with (folder / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    left_out = {"profile_export.jsonl": 3, "benchmarks.json": 1}.get(name, 0)
    assert int(row["requests"]) - int(row["errors"]) == SIMULATED.count - left_out
    assert float(row["output_tokens_mean"]) == pytest.approx(SIMULATED.made.mean(), rel=0.02)
    assert float(row["ttft_mean_s"]) == pytest.approx(SIMULATED.ttft.mean(), rel=0.02)
    assert float(row["tpot_mean_s"]) == pytest.approx(SIMULATED.tpot.mean(), rel=0.02)
    assert float(row["e2e_mean_s"]) == pytest.approx(SIMULATED.e2e.mean(), rel=0.02)


def test_a_failure_and_an_unfinished_request_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "profile_export.jsonl").write_text(aiperf_lines())
    (tmp_path / "benchmarks.json").write_text(json.dumps(guidellm_report()))
    (failed,) = read_published(tmp_path / "profile_export.jsonl").rows
    assert (failed.value("errors"), failed.value("requests")) == (1, SIMULATED.count - 2)
    assert [one.status for one in failed.requests if one.error] == [503]
    (cut,) = read_published(tmp_path / "benchmarks.json").rows
    assert sum(one.cut_off for one in cut.requests) == 1


def test_chunk_gaps_that_were_kept_are_ours(tmp_path: Path) -> None:
    source = tmp_path / "profile_export.jsonl"
    source.write_text(aiperf_lines())
    assert main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "run" / "summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["icl_mean_s"]) == pytest.approx(SIMULATED.all_gaps.mean(), rel=0.02)
    assert float(row["itl_mean_s"]) == pytest.approx(SIMULATED.all_gaps.mean(), rel=0.02)


def test_a_sweep_of_files_is_compared_with_a_run_of_ours_by_load(tmp_path: Path,
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "ours", [stage(window_ms=6_050, concurrency=4)], [
        request(f"{user}-{at}", 150.0 * at + user, [150.0 * at + user + 50 + 10 * k for k in range(10)])
        for user in range(4) for at in range(40)])
    for seed in (1, 2, 5):
        load = simulated(seed)
        (tmp_path / f"c{load.users}-{seed}.json").write_text(json.dumps(aiperf(load), default=float))
    assert main(["compare", str(tmp_path / "ours"), str(tmp_path / "c*.json"), "--metrics", "ttft_p50,e2e_mean"]) == 0
    out = capsys.readouterr().out
    users = {simulated(seed).users for seed in (1, 2, 5)}
    assert ("| 4 users | ttft_p50 | 50 ms |" in out) == (4 in users)
    assert "Only in the candidate" in out
    assert "Definitions of other tools: its inter-token latency is one value a request: our TPOT" in out


def test_files_of_a_folder_are_one_sweep_and_what_is_none_is_named(tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        (tmp_path / f"{seed}.json").write_text(json.dumps(aiperf(simulated(seed)), default=float))
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["import", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "2 stages of aiperf" in out
    assert "left out:" in out and "notes.txt" in out


def test_the_report_of_another_tools_file_is_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c4.json").write_text(json.dumps(aiperf(simulated(5)), default=float))
    assert main(["report", "c4.json"]) == 0
    page = (tmp_path / "results" / "imported-c4" / "report.html").read_text()
    assert "c4.json, re-examined" in page
    assert "by its own other columns" in page


@pytest.mark.parametrize("command", ["report", "audit"])
def test_an_empty_folder_is_no_results_folder(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path)]) == 2
    assert "is not a results folder" in capsys.readouterr().err
