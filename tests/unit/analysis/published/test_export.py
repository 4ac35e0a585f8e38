"""Stages in other tools' files: what those tools' readers find there are our figures, and their columns agree."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml
from handmade import request, stage, write

from fmload.cli.main import main
from fmload.plugins import EXPORTS
from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.sweep import read_published


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two users, each with one request after the other: first token after 50 ms, then 9 tokens 10 ms apart."""
    root = tmp_path_factory.mktemp("run")
    records = [request(f"{user}-{at}", 150.0 * at + user, [150.0 * at + user + 50 + 10 * k for k in range(10)])
               for user in (0, 1) for at in range(40)]
    write(root, [stage(window_ms=6_050, concurrency=2)], records)
    return root


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_what_is_exported_reads_as_that_tools_and_holds_our_figures(folder: Path, name: str) -> None:
    assert main(["report", str(folder), "--export", name]) == 0
    (path,) = (folder / f"export-{name}").iterdir()
    published = read_published(path)
    assert published.tool == {"br0.2": "llm-d"}.get(name, name)
    (row,) = audit_published(published, load_prices())
    accused = [check for check in row.checks if check.result == "FAIL"]
    assert not accused, accused
    assert row.row.value("ttft_mean") == pytest.approx(0.05)
    assert row.row.value("tpot_mean") == pytest.approx(0.01)
    assert row.row.value("e2e_p99") == pytest.approx(0.14)
    assert row.row.value("concurrency") == 2
    assert row.row.value("completed") == 80
    assert row.row.value("output_tokens_per_s") == pytest.approx(800 / 5.991)


def test_a_benchmark_report_has_what_its_schema_requires(folder: Path) -> None:
    assert main(["report", str(folder), "--export", "br0.2"]) == 0
    (path,) = (folder / "export-br0.2").iterdir()
    content = yaml.safe_load(path.read_text())
    assert content["version"] == "0.2"
    assert content["run"]["uid"]
    load = content["scenario"]["load"]
    assert {"metadata", "standardized", "native"} == set(load)
    assert {"tool", "tool_version", "source", "input_seq_len"} <= set(load["standardized"])
    found = content["results"]["request_performance"]["aggregate"]
    assert found["requests"]["total"] == 80
    for kind in ("throughput", "latency"):
        assert all({"units", "mean"} <= set(stats) and math.isfinite(stats["mean"]) for stats in found[kind].values())


def test_inference_perfs_stages_are_named_and_told_as_its_plots_look_for_them(folder: Path) -> None:
    assert main(["report", str(folder), "--export", "inference-perf"]) == 0
    (path,) = (folder / "export-inference-perf").glob("stage_*_lifecycle_metrics.json")
    load = json.loads(path.read_text())["load_summary"]
    assert load["concurrency"] == 2
    assert load["achieved_rate"] == pytest.approx(80 / load["send_duration"])


def test_aiperfs_export_holds_what_its_own_model_asks_for(folder: Path) -> None:
    """`aiperf.common.models.export_models.JsonExportData` of 0.13 reads it: models, endpoint, data sets, phases."""
    assert main(["report", str(folder), "--export", "aiperf"]) == 0
    (path,) = (folder / "export-aiperf").iterdir()
    config = json.loads(path.read_text())["input_config"]
    assert config["endpoint"]["urls"] and config["models"]["items"]
    assert config["datasets"][0]["prompts"]["osl"]["mean"] == 10
    assert config["phases"] == [{"name": "profiling", "kind": "profiling", "requests": 80, "type": "concurrency",
                                 "concurrency": 2}]


def test_an_unknown_format_is_an_error_with_the_known_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "--export", "vlm"]) == 2
    assert "did you mean 'vllm'" in capsys.readouterr().err
