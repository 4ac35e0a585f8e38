"""Requests given up on purpose, after a stage whose drain was too short and behind a safety check."""

from __future__ import annotations

from pathlib import Path

from tests.load_rig import emulator, run_file, sweep


def test_giving_up_counts_from_the_sending_and_a_drain_cut_short_before_changes_nothing(tmp_path: Path) -> None:
    load = {"concurrency": [2, 3], "ramp": 0, "warmup": "100ms", "window": "2s", "drain": "100ms",
            "safe_check": {"before": {"latency": "250ms"}}, "cancel": {"share": "50%", "after": "200ms"}}
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "100ms") as server:
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, load), processes=1) as run:
            assert run.wait() == 0, run.output()
        served = {one.request_id: one for one in server.requests()}
    records = run.records()
    first, second = run.stages()
    assert any(record.outcome == "censored" for record in records if record.stage == first["stage"])
    closed_ns = second["window_end_ns"]
    given_up = [record for record in records if record.stage == second["stage"] and record.outcome == "cancelled"
                and record.send_ns is not None]  # the drain's end may have come while a prompt was checked
    assert len(given_up) >= 3
    for record in given_up:
        assert record.send_ns is not None and record.end_ns is not None and 0 < len(record.chunk_ns) < 5
        assert 0.15e9 < record.end_ns - record.send_ns < 0.4e9
        assert served[record.request_id].outcome != "ok"  # the server saw the connection close
    censored = [record for record in records if record.stage == second["stage"] and record.outcome == "censored"]
    assert all((record.end_ns or 0) >= closed_ns for record in censored)
