"""Importers: files of every tool, recognised by content, in our names and units."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.plugins import IMPORTERS
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.reading import Source
from fmload_analysis.published.rows.sweep import read_published


def only(tmp_path: Path, content: Any, name: str = "result.json") -> tuple[str, Row]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    published = read_published(path)
    (row,) = published.rows
    return published.tool, row


VLLM = {"model_id": "m", "request_rate": "inf", "max_concurrency": 8, "duration": 60.0, "completed": 100, "failed": 4,
        "num_prompts": 104, "total_input_tokens": 50_000, "total_output_tokens": 15_000, "request_throughput": 1.6667,
        "output_throughput": 250.0, "mean_ttft_ms": 400.0, "median_ttft_ms": 380.0, "p99_ttft_ms": 900.0,
        "mean_tpot_ms": 30.0, "mean_itl_ms": 31.0, "mean_e2el_ms": 4870.0}


def test_vllm_milliseconds_become_seconds_and_its_itl_is_our_icl(tmp_path: Path) -> None:
    tool, row = only(tmp_path, VLLM)
    assert tool == "vllm"
    assert (row.value("ttft_p50"), row.value("icl_mean"), row.value("itl_mean")) == (0.38, 0.031, None)
    assert (row.value("output_tokens_mean"), row.value("requests"), row.value("concurrency")) == (150, 104, 8)


def test_vllm_files_of_one_object_a_line_have_a_row_each(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(VLLM) + "\n" + json.dumps({**VLLM, "max_concurrency": 16}) + "\n")
    assert [row.value("concurrency") for row in read_published(path).rows] == [8, 16]


def summary(mean: float) -> dict[str, Any]:
    percentiles = {"p50": mean, "p95": 2 * mean, "p99": 3 * mean}
    return {"successful": {"mean": mean, "median": mean, "percentiles": percentiles}}


def test_guidellm_itl_is_our_tpot_and_its_own_tpot_is_left_out(tmp_path: Path) -> None:
    tool, row = only(tmp_path, {"benchmarks": [{
        "config": {"strategy": {"type_": "concurrent", "streams": 4}},
        "metrics": {"request_totals": {"successful": 90, "errored": 10, "incomplete": 2, "total": 102},
                    "requests_per_second": summary(1.5), "request_concurrency": summary(3.9),
                    "request_latency": summary(2.5), "time_to_first_token_ms": summary(200.0),
                    "inter_token_latency_ms": summary(20.0), "time_per_output_token_ms": summary(25.0),
                    "output_tokens_per_second": summary(150.0), "output_token_count": summary(100.0),
                    "prompt_token_count": summary(500.0)}}]})
    assert tool == "guidellm"
    assert (row.value("tpot_mean"), row.value("ttft_p95"), row.value("e2e_mean")) == (0.02, 0.4, 2.5)
    assert (row.value("concurrency"), row.value("transactions_per_minute"), row.value("requests")) == (4, 90, 100)


def metric(unit: str, avg: float, **stats: float) -> dict[str, Any]:
    return {"unit": unit, "avg": avg, **stats}


@pytest.mark.parametrize("nested", [False, True])
def test_aiperf_units_are_followed(tmp_path: Path, nested: bool) -> None:
    metrics = {"request_throughput": metric("requests/sec", 2.0), "request_count": metric("requests", 120.0),
               "error_request_count": metric("requests", 5.0), "time_to_first_token": metric("ms", 150.0, p99=300.0),
               "inter_token_latency": metric("ms", 12.5), "request_latency": metric("ms", 1400.0, p50=1300.0),
               "output_token_throughput": metric("tokens/sec", 200.0),
               "output_sequence_length": metric("tokens", 100.0),
               "benchmark_duration": metric("sec", 60.0)}
    config = {"phases": [{"name": "profiling", "concurrency": 3}]}
    tool, row = only(tmp_path, {"records": metrics, "input_config": config} if nested else {
        **metrics, "input_config": config})
    assert tool == "aiperf"
    assert (row.value("ttft_mean"), row.value("ttft_p99"), row.value("tpot_mean")) == (0.15, 0.3, 0.0125)
    assert (row.value("transactions_per_minute"), row.value("requests"), row.value("duration_s")) == (120, 125, 60)
    assert row.value("concurrency") == 3


def test_llmperf_responses_alone_are_summarised_without_their_failures(tmp_path: Path) -> None:
    good = {"error_code": None, "inter_token_latency_s": 0.05, "ttft_s": 0.5, "end_to_end_latency_s": 5.0,
            "request_output_throughput_token_per_s": 20.0, "number_input_tokens": 10, "number_output_tokens": 100}
    tool, row = only(tmp_path, [good, good, {**good, "error_code": -1, "end_to_end_latency_s": 0}])
    assert tool == "llmperf"
    assert (row.value("e2e_mean"), row.value("errors"), row.value("requests")) == (5.0, 1, 3)


def test_fmbench_csv_rows_keep_their_numbers(tmp_path: Path) -> None:
    tool, row = only(tmp_path, "experiment_name,payload_file,instance_type,concurrency,error_rate,latency_p95,"
                               "transactions_per_minute,price_per_txn,error_rate_text\n"
                               "x,p,g5.4xlarge,2,0.01,2.14,55,0.000492,<span style='color:red'>**0.01**</span>\n",
                     "scores.csv")
    assert tool == "fmbench"
    assert (row.value("e2e_p95"), row.value("error_rate"), row.instance_type) == (2.14, 0.01, "g5.4xlarge")
    assert row.value("price_per_10k_transactions") == pytest.approx(4.92)


def test_what_nobody_recognises_is_an_error_that_names_the_tools(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(FmloadError, match=r"aiperf, fmbench, .*guidellm, .*llmperf, .*vllm"):
        read_published(path)


@pytest.mark.parametrize("name", sorted(IMPORTERS))
def test_every_importer_reads_and_recognises(name: str) -> None:
    importer = IMPORTERS.load(name)
    assert callable(importer.recognises) and callable(importer.read)
    assert not importer.recognises(Source(Path("x"), "nothing of the kind"))


def test_import_writes_published_beside_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "r.json"
    source.write_text(json.dumps({**VLLM, "output_throughput": 500.0}))
    assert main(["import", str(source), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "published.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["output_tokens_per_s"]) == 500.0
    assert float(row["output_tokens_per_s_corrected"]) == pytest.approx(250.0, rel=1e-9)
    assert row["audit"] == "FAIL"
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| 8 users | output tokens/s | 500 | 250 | ✗ **FAIL** | with it alone changed all columns agree" in page


def test_audit_of_a_file_exits_with_4_when_a_row_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(VLLM))
    bad.write_text(json.dumps({**VLLM, "output_throughput": 500.0}))
    assert main(["audit", str(good)]) == 0
    assert main(["audit", str(bad)]) == 4
    assert "token throughput = requests × tokens" in capsys.readouterr().out
    assert main(["audit", str(bad), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["stages"][0]["audit"] == "FAIL"
