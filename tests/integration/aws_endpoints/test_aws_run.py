"""`fmload run` on AWS protocols: faults end as their outcomes in the records, in the report and in Locust."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import yaml
from handmade import pages

from tests.load_rig import emulator, fmload_run

LOAD = {"concurrency": [4], "ramp": "200ms", "warmup": "300ms", "window": "4s", "drain": "10s", "workers": 1,
        "side_by_side": True}
FAULTS = ("ThrottlingException:at=20+41", "error:after=3,at=25+46", "cut:after=2,at=30+51", "truncate:after=2,at=35+56")


def test_faults_are_counted_in_records_report_and_locust(tmp_path: Path) -> None:
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms", *faults) as server:
        shared = {"region": "us-east-1", "url": server.url, "emulated": "steady"}
        path = tmp_path / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "test", "load": LOAD,
            "endpoints": [{"name": "sm", "protocol": "sagemaker", "payload_format": "tgi", **shared},
                          {"name": "br", "protocol": "bedrock", "model": "amazon.nova-lite-v1:0", **shared}],
            "prompts": [{"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 5,
                         "count": 800}]}))
        with fmload_run(tmp_path, path) as run:
            assert run.wait() in (0, 4), run.output()  # 4: the audit, on a busy machine
    records = run.records()
    outcomes = Counter(record.outcome for record in records)
    assert {name: outcomes[name] for name in ("throttled", "stream_error", "truncated")} == {
        "throttled": 2, "stream_error": 2, "truncated": 4}
    assert set(outcomes) == {"ok", "throttled", "stream_error", "truncated"}
    for record in records:
        if record.outcome == "ok":
            assert record.stamp == "kernel" and record.output_tokens == 5 == len(record.chunk_ns)
    rows = list(csv.DictReader(run.results.summary_csv.open()))
    assert {row["endpoint"] for row in rows} == {"sm", "br"}
    report = pages(run.results)
    assert "throttled" in report and "truncated" in report
    locust = (run.results.logs / "master.log").read_text()
    assert "throttled: ThrottlingException: " in locust
    assert "truncated: " in locust and "stream_error: " in locust
