"""Opening results folders: whole, after a crash, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from handmade import MS, request, stage, write

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.model.record import pack
from fmload.pricing.resolve import Terms
from fmload.results.folder import Results
from fmload.results.journal import Journal
from fmload.results.samples import Sample, SampleLog
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run


def test_records_are_made_from_the_journals_where_they_are_missing(tmp_path: Path) -> None:
    write(tmp_path, [stage()])
    for name in ("w0", "master"):  # both hold every record; each counts once
        journal = Journal(Results(tmp_path).journal / f"{name}.log")
        for i in range(3):
            journal.append(pack(request(f"r{i}", 10 * i, [10 * i + 5, 10 * i + 9])))
        journal.close()
    assert analyse_run(open_run(tmp_path)).results[0].totals.completed == 3


def test_the_telemetry_of_a_killed_run_is_made_from_its_log(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()])
    log = SampleLog(results.telemetry_log)
    for k in range(2):
        log.add([Sample("s", "m", k, 1.0)])
        assert open_run(tmp_path).stages and pq.read_metadata(results.telemetry_parquet).num_rows == k + 1
    log.close()


@pytest.mark.parametrize("status", ["running", "interrupted"])  # as the run left it; as --resume calls it
def test_a_stage_that_a_killed_run_left_open_is_measured_up_to_its_last_request(tmp_path: Path, status: str) -> None:
    records = [request(f"r{i}", 100 * i, [100 * i + 50, 100 * i + 90]) for i in range(4)]
    write(tmp_path, [stage(status=status, window_end_ns=None, drain_end_ns=None)], records,
          workers=[{"worker": "w0", "clock_offset_ns": 10 * MS}])
    (found,) = analyse_run(open_run(tmp_path)).results
    assert found.totals.window_s == pytest.approx(0.38)  # the last ended at 390 ms of its worker, whose clock is ahead
    assert found.totals.completed == 3  # an end is not inside
    assert found.summary.stage.status == "interrupted" and found.audit == "FAIL"
    assert {mark.kind for mark in found.summary.stage.marks} == {"interrupted"}


def test_a_stage_that_a_killed_run_left_before_its_window_has_none(tmp_path: Path) -> None:
    write(tmp_path, [stage(status="running", window_start_ns=None, window_end_ns=None)], [request("r", 0, [5])])
    (found,) = analyse_run(open_run(tmp_path)).results
    assert (found.summary.stage.window_ns, found.summary.stage.status) == (0, "interrupted")


def test_a_folder_that_is_no_results_folder_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="not a results folder") as caught:
        open_run(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(("written", "told"), [
    ('{"schema": 1, "stages": [', "is not JSON"), ("[]", "holds no list of stages"),
    ('{"schema": 1, "run_id": "r"}', "holds no list of stages"),
    ('{"schema": 1, "stages": [{"stage": 0}]}', "entry 0 is no stage: endpoint: Field required"),
    ('{"schema": 1, "stages": ["a"]}', "entry 0 is no stage"), ('{"schema": "x", "stages": []}', "schema is no number"),
    ('{"schema": 99, "stages": []}', "has schema 99; this fmload reads up to 2"), ("[" * 100_000, "is not JSON")])
def test_a_spoilt_or_newer_plan_is_an_error_with_a_remedy(tmp_path: Path, written: str, told: str) -> None:
    results = write(tmp_path, [stage()])
    results.stages_json.write_text(written)
    with pytest.raises(FmloadError, match=told) as caught:
        open_run(tmp_path)
    assert str(results.stages_json) in caught.value.message and caught.value.hint


def test_records_that_cannot_be_read_are_named_with_a_remedy(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()], [request("a", 0, [10])])
    spoilt = results.records / "stage-0000.parquet"
    spoilt.write_bytes(b"PAR1 no more")
    with pytest.raises(FmloadError, match="cannot be read") as caught:
        analyse_run(open_run(tmp_path))
    assert str(spoilt) in caught.value.message and "journal/" in str(caught.value.hint)


def test_a_torn_last_line_of_the_health_file_is_left_out(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()], health=[{"worker": "w0", "at_ns": 1}])
    with results.health_jsonl.open("a") as file:
        file.write('{"worker": "w0", "at')
    assert len(open_run(tmp_path).health) == 1


def test_a_copy_that_died_in_the_window_marks_its_endpoints_stage_and_no_other(tmp_path: Path) -> None:
    results = write(tmp_path, [stage(0, endpoint="balanced"), stage(1, endpoint="other")])
    told = open_run(tmp_path).stages[0]
    lost = {"at_ns": told.window_start_ns + 1, "kind": "endpoint_degraded", "worker": None, "stage": None,
            "endpoint": "balanced", "detail": "balanced: ec2-instance i: copy 3: dead, taken out of the balancer"}
    late = {**lost, "at_ns": (told.drain_end_ns or told.window_end_ns or 0) + 1}
    results.events_jsonl.write_text(json.dumps(lost) + "\n" + json.dumps(late) + "\n")
    first, second = open_run(tmp_path).stages
    assert [(mark.kind, mark.detail) for mark in first.marks] == [("endpoint_degraded", lost["detail"])]
    assert list(second.marks) == []


def test_the_clients_health_is_put_on_the_masters_line(tmp_path: Path) -> None:
    write(tmp_path, [stage()], workers=[{"worker": "w0", "clock_offset_ns": 400}],
          health=[{"worker": "w0", "at_ns": 1000}])
    assert open_run(tmp_path).health[0]["at_ns"] == 600


def test_an_endpoint_that_the_run_file_does_not_name_is_a_bare_one(tmp_path: Path) -> None:
    write(tmp_path, [stage(endpoint="elsewhere")])
    endpoint = open_run(tmp_path).endpoint("elsewhere")
    assert (endpoint.name, endpoint.terms, endpoint.instance_type) == ("elsewhere", Terms(), None)


@pytest.mark.parametrize(("entry", "usd_per_hour", "output_per_1m"), [
    ({"price": {"hourly": 0.5, "count": 2}}, 1.0, None),
    ({"deploy": {"target": "sagemaker", "instance_type": "ml.inf2.xlarge", "instance_count": 3}}, 3 * 0.99, None),
    ({"instance_type": "g5.xlarge"}, 1.006, None),
    ({"protocol": "bedrock", "model": "amazon.nova-lite-v1:0"}, None, 0.24),
    ({"price": {"model": "amazon.nova-lite-v1:0"}, "model": "alias"}, None, 0.24),
    ({"protocol": "bedrock", "model": "nobody.knows"}, None, None), ({}, None, None)])
def test_an_endpoint_is_priced_by_the_run_file_its_deployment_or_its_model(
        tmp_path: Path, entry: dict[str, Any], usd_per_hour: float | None, output_per_1m: float | None) -> None:
    write(tmp_path, [stage()], spec={"endpoints": [{"name": "a", **entry}], "region": "us-east-1"})
    pricing = analyse_run(open_run(tmp_path)).results[0].pricing
    assert (pricing and pricing.usd_per_hour, pricing and pricing.output_per_1m) == (
        usd_per_hour and pytest.approx(usd_per_hour), output_per_1m)


def test_audit_of_a_run_prints_what_did_not_pass_and_exits_with_4_on_failure(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [stage(concurrency=8)], [request(f"r{i}", 10 * i, [10 * i + 5, 10 * i + 9]) for i in range(100)])
    assert main(["audit", str(tmp_path)]) == 4
    told = capsys.readouterr().out
    assert "achieved = offered" in told
    assert "streams are streamed" not in told
    assert Results(tmp_path).audit_json.exists()
    assert main(["audit", str(tmp_path), "--all"]) == 4
    assert "concurrency = throughput" in capsys.readouterr().out


def test_a_stage_has_none_of_the_records_of_one_whose_number_begins_with_its_own(tmp_path: Path) -> None:
    write(tmp_path, [stage(1000), stage(10_000)],
          [request("a", 0, [5], stage=1000), request("b", 0, [5], stage=10_000), request("c", 10, [15], stage=10_000)])
    run = open_run(tmp_path)
    assert [run.count(one) for one in run.stages] == [1, 2]
