"""Importers written from their tools' sources alone: MLCommons endpoints, SageMaker's jobs; and packed files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from right_files import Load, aiperf, mlcommons, simulated

from fmload.base.errors import FmloadError
from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.recorded import write_run
from fmload_analysis.published.rows.published import AuditedRow, Published
from fmload_analysis.published.rows.sweep import read_published, read_sweep


def mlcommons_events(load: Load) -> str:
    """`events.jsonl`: a warm-up sample before the tracked part, and one failure in it."""
    events: list[dict[str, Any]] = [{"event_type": "session.started", "timestamp_ns": 5, "sample_uuid": ""},
                                    {"event_type": "sample.issued", "timestamp_ns": 6, "sample_uuid": "w"},
                                    {"event_type": "sample.complete", "timestamp_ns": 9, "sample_uuid": "w"},
                                    {"event_type": "session.start_performance_tracking", "timestamp_ns": 10,
                                     "sample_uuid": ""}]
    timed = []
    for at in range(load.count):
        start = 1_000_000_000 + round(load.send[at] * 1e9)
        stamps = [start + round(load.ttft[at] * 1e9), *(
            start + ((load.ttft[at] + load.gaps[at].cumsum()) * 1e9).round().astype(int)).tolist()]
        told = [(start, "sample.issued", None), *((stamp, "sample.recv_non_first" if k else "sample.recv_first", None)
                                                 for k, stamp in enumerate(stamps))]
        if at == 3:
            told = [told[0], (start + 10, "error.client", ["ErrorData", "TimeoutError", "no answer"])]
        timed += [*((*one, str(at)) for one in told), (stamps[-1], "sample.complete", None, str(at))]
    events += [{"event_type": kind, "timestamp_ns": stamp, "sample_uuid": uuid, "data": data}
               for stamp, kind, data, uuid in sorted(timed, key=lambda one: one[0])]
    return "\n".join(map(json.dumps, events)) + "\n"


def audited(tmp_path: Path, content: Any, name: str = "r.json") -> tuple[Published, list[AuditedRow]]:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    published = read_published(path)
    return published, list(audit_published(published, load_prices()))


def test_right_summaries_of_mlcommons_are_read_and_not_accused(tmp_path: Path) -> None:
    for seed in range(1, 41):
        load = simulated(seed)
        published, (row,) = audited(tmp_path, mlcommons(load))
        assert published.tool == "mlcommons"
        assert [check.sentence for check in row.checks if check.result != "PASS"] == [], seed
        assert row.corrections == () and len(row.checks) >= 9
        assert row.row.value("ttft_p99") == pytest.approx(float(np.percentile(load.ttft, 99, method="lower")), abs=2e-9)
        assert row.row.value("output_tokens") == load.made.sum()
        assert (row.row.value("concurrency"), row.row.value("offered_per_s")) == (load.users, load.rate)


@pytest.mark.parametrize("key", ["qps", "tps", "n_samples_completed"])
@pytest.mark.parametrize("seed", [1, 3])
def test_a_changed_figure_of_mlcommons_is_found(tmp_path: Path, key: str, seed: int) -> None:
    content = mlcommons(simulated(seed))
    content[key] = content[key] * 2
    _, (row,) = audited(tmp_path, content)
    assert row.audit != "PASS"


def test_failed_samples_of_mlcommons_are_not_among_the_completed(tmp_path: Path) -> None:
    content = mlcommons(simulated(1))
    content["n_samples_failed"] = 5
    _, (row,) = audited(tmp_path, content)
    assert row.row.value("completed") == content["n_samples_completed"] - 5
    assert row.row.figures["ended_per_minute"] == pytest.approx(content["qps"] * 60)


def test_the_events_of_mlcommons_are_requests_with_their_chunks(tmp_path: Path) -> None:
    load = simulated(5)
    published, (row,) = audited(tmp_path, mlcommons_events(load), "events.jsonl")
    assert published.tool == "mlcommons"
    assert (row.row.value("completed"), row.row.value("errors")) == (load.count - 1, 1)
    kept = [at for at in range(load.count) if at != 3]
    assert row.row.value("ttft_mean") == pytest.approx(load.ttft[kept].mean(), rel=1e-6)
    assert row.row.value("icl_mean") == pytest.approx(np.concatenate([load.gaps[at] for at in kept]).mean(), rel=1e-6)
    assert [one.error for one in row.row.requests if one.error] == ["TimeoutError: no answer"]
    assert write_run(tmp_path / "run", read_sweep([tmp_path / "events.jsonl"]))


RECOMMENDED = {
    "AIRecommendationJobName": "j", "AIRecommendationJobStatus": "Completed", "Recommendations": [{
        "DeploymentConfiguration": {"InstanceType": "ml.g6e.12xlarge", "InstanceCount": 2},
        "ExpectedPerformance": [
            {"Metric": "throughput", "Stat": "average", "Value": "512.0", "Unit": "tokens/second"},
            {"Metric": "ttft-ms", "Stat": "p99", "Value": "210.5", "Unit": "milliseconds"},
            {"Metric": "request_throughput", "Stat": "average", "Value": "3.5", "Unit": "requests/sec"},
            {"Metric": "new-one", "Value": "7", "Unit": "things"}]}]}


def test_an_ai_recommendations_expected_performance_is_read_and_unknown_metrics_keep_their_name(tmp_path: Path) -> None:
    published, (row,) = audited(tmp_path, RECOMMENDED)
    assert (published.tool, row.row.instance_type) == ("sagemaker-jobs", "ml.g6e.12xlarge")
    assert dict(row.row.figures) == pytest.approx({
        "output_tokens_per_s": 512.0, "ttft_p99": 0.2105, "transactions_per_minute": 210.0, "new_one_mean": 7.0,
        "instance_count": 2.0})


def test_inference_recommender_is_read_with_its_prices(tmp_path: Path) -> None:
    published, (row,) = audited(tmp_path, {"JobName": "j", "Status": "COMPLETED", "InferenceRecommendations": [{
        "Metrics": {"CostPerHour": 1.515, "CostPerInference": 2.525e-05, "MaxInvocations": 1000, "ModelLatency": 52000},
        "EndpointConfiguration": {"InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}}]})
    assert published.tool == "sagemaker-jobs"
    assert row.row.value("model_latency") == pytest.approx(0.052)
    assert row.row.value("transactions_per_minute") == 1000
    assert any(check.name == "price arithmetic" for check in row.checks)


def test_an_ai_benchmark_job_says_where_its_figures_are(tmp_path: Path) -> None:
    (tmp_path / "j.json").write_text(json.dumps({"AIBenchmarkJobName": "j", "OutputConfig": {
        "S3OutputLocation": "s3://bucket/results/"}}))
    with pytest.raises(FmloadError, match=r"tells no figures; they are in s3://bucket/results/") as error:
        read_published(tmp_path / "j.json")
    assert "output.tar.gz" in (error.value.hint or "")


def test_a_job_that_failed_says_why(tmp_path: Path) -> None:
    (tmp_path / "j.json").write_text(json.dumps({
        "AIRecommendationJobName": "j", "AIRecommendationJobStatus": "Failed", "FailureReason": "no capacity"}))
    with pytest.raises(FmloadError, match="no recommendations; the job's status is Failed") as error:
        read_published(tmp_path / "j.json")
    assert error.value.hint == "no capacity"


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_the_archive_of_a_benchmark_job_is_read_as_aiperfs(tmp_path: Path) -> None:
    result = json.dumps(aiperf(simulated(1)), default=float).encode()
    (tmp_path / "output.tar.gz").write_bytes(packed({
        "run/logs/a.log": b"x", "run/inputs.json": b"{}", "run/profile_export_aiperf.json": result}))
    published = read_published(tmp_path / "output.tar.gz")
    assert (published.tool, published.rows[0].value("completed")) == ("aiperf", simulated(1).count)


def test_a_gzip_of_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "r.json.gz").write_bytes(gzip.compress(json.dumps(aiperf(simulated(1)), default=float).encode()))
    assert read_published(tmp_path / "r.json.gz").tool == "aiperf"


@pytest.mark.parametrize(("data", "told"), [
    (packed({"a.json": b"{}", "b.json": b"{}"}), "holds a.json, b.json, and not one result file"),
    (packed({"a.log": b"x"}), "holds a.log, and not one result file"),
    (gzip.compress(b"{}" * 50)[:-12], "cut off or no gzip"), (b"\x1f\x8bnonsense", "cut off or no gzip")],
    ids=["two results", "a log only", "cut off", "no gzip"])
def test_an_archive_without_one_result_is_told_with_a_remedy(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "output.tar.gz").write_bytes(data)
    with pytest.raises(FmloadError, match=told) as error:
        read_published(tmp_path / "output.tar.gz")
    assert error.value.hint


def test_a_sparse_file_that_tells_of_a_terabyte_is_refused_by_what_it_tells(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        bomb = tarfile.TarInfo("profile_export_aiperf.json")
        bomb.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1"}
        bomb.size = 1
        archive.addfile(bomb, io.BytesIO(b"{"))
    (tmp_path / "output.tar.gz").write_bytes(gzip.compress(buffer.getvalue()))
    with pytest.raises(FmloadError, match="unpacks to more than"):
        read_published(tmp_path / "output.tar.gz")
