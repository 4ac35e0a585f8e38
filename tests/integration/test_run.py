"""`fmload run` from the run file to the report, with real processes and sockets."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from handmade import pages

from tests.load_rig import emulator, fmload_run, ids, run_file, started, sweep, wait_until

SHORT = {"ramp": "300ms", "warmup": "500ms", "window": "2s", "drain": "10s", "workers": 2}


def test_a_sweep_leaves_every_file_and_loses_no_record(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "10ms") as server:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [1, 3], **SHORT})
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        served = server.requests()
    records = run.records()
    assert len(records) == len(ids(records)) == len(served)
    assert ids(records) == {one.request_id for one in served}
    assert [stage["status"] for stage in run.stages()] == ["done", "done"]
    for name in ("run.yml", "environment.json", "stages.json", "workers.json", "health.jsonl", "summary.csv",
                 "audit.json", "report.md", "report.html"):
        assert (run.results.root / name).stat().st_size > 0, name
    assert "report.html" in run.output()


def test_files_beside_a_run_that_are_called_like_the_packages_do_not_take_their_place(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "2ms") as server:
        for name in ("fmload.py", "fmload_analysis.py", "locust.py"):
            (tmp_path / name).write_text("raise SystemExit('taken for another')")
        monkeypatch.chdir(tmp_path)
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [1], **SHORT, "window": "1s"})
        with started(["-P", "-m", "fmload", "run", str(path), "--out", str(tmp_path / "out")], tmp_path) as run:
            assert run.wait() in (0, 4), run.output()  # 4: the audit of a busy machine


def test_concurrency_is_exact_in_every_window_and_stages_do_not_mix(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "40ms", "--gap", "10ms") as a, \
            emulator(tmp_path, "--ttft", "40ms", "--gap", "10ms", name="second") as b:
        path = run_file(tmp_path, {"a": a.url, "b": b.url}, {"concurrency": [1, 4, 3], "side_by_side": True, **SHORT})
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    records = run.records()
    for stage in run.stages():
        mine = [record for record in records if record.stage == stage["stage"]]
        assert {record.endpoint for record in mine} == {stage["endpoint"]}
        assert all(stage["ramp_start_ns"] <= record.scheduled_ns <= stage["window_end_ns"] + 10**8 for record in mine)
        assert all(record.end_ns <= stage["drain_end_ns"] for record in mine if record.end_ns)
        start, end = stage["window_start_ns"], stage["window_end_ns"]
        busy = sum(min(record.end_ns or end, end) - max(record.send_ns or start, start) for record in mine
                   if (record.end_ns or end) > start and (record.send_ns or end) < end)
        # Between two requests of a user the client needs a moment, more of it when the machine is busy.
        assert 0.7 * stage["load"]["value"] <= busy / (end - start) <= stage["load"]["value"], stage["stage"]
        instants = sorted([(record.send_ns or 0, 1) for record in mine] + [(record.end_ns or 0, -1) for record in mine],
                          key=lambda instant: (instant[0], instant[1]))
        in_flight = peak = 0
        for _, change in instants:
            in_flight += change
            peak = max(peak, in_flight)
        assert peak == stage["load"]["value"] == stage["users"]


def test_an_open_loop_sends_at_scheduled_instants_whatever_the_answers_do(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "300ms", "--gap", "10ms") as server:
        path = run_file(tmp_path, {"a": server.url}, {"rate": [20], **SHORT})
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    stage, = run.stages()
    due = sorted(record.scheduled_ns for record in run.records())
    assert [round((instant - stage["ramp_start_ns"]) / 5e7) for instant in due] == list(range(len(due)))
    assert len(due) >= 20 * 2.5


def test_a_window_may_be_as_many_requests_and_answers_are_kept_when_asked(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "5ms") as server:
        # The warm-up has more requests than the window is to have: they are not counted in it.
        load = {"concurrency": [4], "ramp": 0, "warmup": "2s", "requests": 30, "drain": "10s", "workers": 2}
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load, keep_answers=True)) as run:
            assert run.wait() == 0, run.output()
    stage, = run.stages()
    answers = pq.read_table(run.results.answers_parquet).to_pylist()
    assert {answer["request_id"] for answer in answers} == ids(run.records())
    assert all(answer["text"] for answer in answers)
    inside = [record for record in run.records() if (record.end_ns or 0) <= stage["window_end_ns"]
              and (record.end_ns or 0) >= stage["window_start_ns"]]
    assert len(inside) >= 30
    assert stage["window_closed"] == "requests"


def test_a_stage_may_last_until_its_metric_is_known_and_its_warm_up_until_it_is_steady(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "15ms", "--gap", "5ms", "--jitter", "0.2") as server:
        load = {"concurrency": [8], "ramp": 0, "drain": "10s", "workers": 2,
                "warmup": {"steady": True, "at_most": "15s"},
                "until": {"metric": "e2e_p50", "within": "5%", "at_least": "1s", "at_most": "20s"}}
        with fmload_run(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as run:
            assert run.wait() == 0, run.output()
    stage, = run.stages()
    assert (stage["warmup_ended"], stage["window_closed"]) == ("steady", "precise")
    assert stage["reached"]["half_width"] <= 0.05
    assert stage["reached"]["low"] <= stage["reached"]["value"] <= stage["reached"]["high"]
    assert stage["window_end_ns"] - stage["window_start_ns"] < 15e9
    report = pages(run.results)
    assert "when e2e had come to rest" in report
    assert "was known to ± 5 % (95% confidence); it was ±" in report


def test_requests_that_outlast_the_drain_are_censored_and_kept(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "3s") as server:
        load = {"concurrency": [2], "ramp": 0, "warmup": 0, "window": "1s", "drain": "500ms", "workers": 2}
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as run:
            run.wait()
    assert {record.outcome for record in run.records()} == {"censored"}
    assert all(record.first_token_ns for record in run.records())


def test_a_wrong_model_is_told_before_the_load(tmp_path: Path) -> None:
    with emulator(tmp_path, "--model", "other") as server:
        with fmload_run(tmp_path, run_file(tmp_path, {"a": server.url}, {"concurrency": [2], **SHORT})) as run:
            assert run.wait() == 4, run.output()
        assert not [one for one in server.requests() if one.outcome == "ok"]
    address = server.url.removesuffix("/v1")
    assert f"endpoint 'a' refuses a first request ({address}): HTTP 404: The model `m` does not exist" in run.output()
    assert "check the endpoint's model: 'fmload init --url URL' shows what the server serves" in run.output()
    assert "Traceback" not in run.output()


def test_an_endpoint_that_refuses_its_first_request_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "1ms") as server, emulator(
            tmp_path, "--model", "other", name="strict") as strict:
        path = run_file(tmp_path, {"a": strict.url, "b": server.url}, {"concurrency": [2], **SHORT})
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == 4, run.output()
        assert not [one for one in strict.requests() if one.outcome == "ok"]
    told = f"endpoint 'a' refuses a first request ({strict.url.removesuffix('/v1')}): HTTP 404"
    assert told in run.output() and "The other endpoints are measured without it" in run.output()
    assert {record.endpoint for record in run.records()} == {"b"}
    assert [(stage["endpoint"], stage["status"], [mark["kind"] for mark in stage["marks"]])
            for stage in run.stages()] == [("a", "pending", ["endpoint_refused"]), ("b", "done", [])]
    checks = {stage["endpoint"]: stage["checks"] for stage in json.loads(run.results.audit_json.read_text())["stages"]}
    assert told in checks["a"][0]["sentence"]


def test_a_dead_endpoint_is_told_before_the_load(tmp_path: Path) -> None:
    path = run_file(tmp_path, {"a": "http://127.0.0.1:9"}, {"concurrency": [1], **SHORT})
    with fmload_run(tmp_path, path) as run:
        assert run.wait() == 4
    assert "endpoint 'a': nothing answers at http://127.0.0.1:9" in run.output()


def test_an_endpoint_that_dies_is_an_event_and_its_failures_do_not_flood(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "5ms") as server:
        load = {"concurrency": [20], "ramp": 0, "warmup": 0, "window": "4s", "drain": "5s", "workers": 1}
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as run:
            wait_until(run.in_window, 60, "the window")
            server.process.kill()
            run.wait()
    assert "endpoint_dead" in {event["kind"] for event in run.events()}
    assert "endpoint_dead" in {mark["kind"] for stage in run.stages() for mark in stage["marks"]}
    failed = [record for record in run.records() if record.outcome == "connect"]
    assert 0 < len(failed) <= 20 * 6


def test_ctrl_c_keeps_the_records_and_resume_goes_on(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "10ms") as server:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [2, 1], **SHORT})
        with fmload_run(tmp_path, path) as run:
            wait_until(run.in_window, 60, "the first window")
            run.process.send_signal(signal.SIGINT)
            assert run.wait() == 130, run.output()
        assert [stage["status"] for stage in run.stages()] == ["interrupted", "pending"]
        assert len(run.records()) == len(server.requests())
        with fmload_run(tmp_path, path, "--resume") as again:
            assert again.wait() == 0, again.output()
        served = server.requests()
    assert [stage["status"] for stage in again.stages()] == ["superseded", "done", "done"]
    assert [stage["load"]["value"] for stage in again.stages()] == [2, 1, 2]
    assert len(again.records()) == len(ids(again.records())) == len(served)
    assert len({record.prompt_id for record in again.records()}) == len(served), "a prompt was sent twice"
    assert len(again.workers()) == 4


def test_ctrl_c_twice_ends_at_once_and_what_was_journaled_is_kept(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "500ms") as server:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [4], **SHORT, "window": "30s"})
        with fmload_run(tmp_path, path) as run:
            wait_until(lambda: len(server.requests()) >= 4, 60, "finished requests")
            run.process.send_signal(signal.SIGINT)
            wait_until(lambda: "again ends at once" in run.output(), 10, "the first Ctrl-C")
            run.process.send_signal(signal.SIGINT)
            assert run.wait(60) == 130, run.output()
        commands = map(_command, Path("/proc").glob("[0-9]*/cmdline"))
        assert not [command for command in commands if str(tmp_path) in command and "locust" in command]
    finished = [one for one in server.requests() if one.outcome == "ok"]
    assert {one.request_id for one in finished} <= ids(run.records())


def _command(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
