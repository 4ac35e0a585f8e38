"""What befalls a distributed run, one fault a test: what is kept, what is marked, how it ends. Real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from fmload.journal import compact
from fmload.record import Record
from tests.load_rig import Cluster, Run, Server, cluster, emulator, ids, locust, run_file, sweep, wait_until

PACE = ("--ttft", "20ms", "--gap", "10ms")
LOAD = {"concurrency": [4], "ramp": "200ms", "warmup": "300ms", "window": "3s", "drain": "10s"}
TWO_STAGES = {**LOAD, "concurrency": [4, 2]}


def finished(server: Server) -> set[str]:
    """Ids of the requests that the server answered to the end."""
    return {one.request_id for one in server.requests() if one.outcome == "ok"}


def kinds(run: Run) -> set[str]:
    return {event["kind"] for event in run.events()}


def marks(run: Run, stage: int) -> set[str]:
    return {mark["kind"] for mark in run.stages()[stage]["marks"]}


def records_of(run: Run) -> list[Record]:
    compact(run.results)
    return run.records()


def window_of(found: Cluster) -> None:
    wait_until(found.master.in_window, 60, "the window")


def test_a_killed_worker_is_marked_and_its_journal_kept(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server, \
            cluster(tmp_path, run_file(tmp_path, {"a": server.url}, TWO_STAGES)) as all:
        window_of(all)
        all.workers[0].process.kill()
        assert all.master.wait() == 0, all.master.output()
        served = server.requests()
    run = all.master
    assert marks(run, 0) == {"worker_lost"}
    assert marks(run, 1) == set()
    assert [stage["status"] for stage in run.stages()] == ["done", "done"]
    assert run.stages()[1]["users"] == 2, "the next stage runs in full on the worker that is left"
    assert sum(worker["lost_ns"] is not None for worker in run.workers()) == 1
    kept = ids(records_of(run))
    # What the killed worker had in flight ends at the server without a record, at most one a user of that worker.
    assert kept <= {one.request_id for one in served}
    assert len(finished(server) - kept) <= 2


def test_users_of_a_lost_worker_are_given_to_the_others_when_asked(tmp_path: Path) -> None:
    load = {**LOAD, "respread": True, "window": "7s"}
    with emulator(tmp_path, *PACE) as server, cluster(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as all:
        window_of(all)
        all.workers[0].process.kill()
        assert all.master.wait() == 0, all.master.output()
    run = all.master
    stage, = run.stages()
    lost_ns = max(worker["lost_ns"] or 0 for worker in run.workers())
    after = [(record.send_ns, record.end_ns) for record in records_of(run)
             if record.send_ns and record.end_ns and record.send_ns > lost_ns + 10**9]
    peak = max(sum(start <= at < end for start, end in after) for at, _ in after)
    assert peak == stage["users"] == 4


def test_a_frozen_worker_is_marked_and_sends_nothing_into_a_later_stage(tmp_path: Path) -> None:
    load = {**TWO_STAGES, "window": "7s", "drain": "1s"}
    with emulator(tmp_path, *PACE) as server, cluster(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as all:
        window_of(all)
        frozen = all.workers[0].process
        frozen.send_signal(signal.SIGSTOP)
        wait_until(lambda: "worker_lost" in kinds(all.master), 20, "the silence to be noticed")
        frozen.send_signal(signal.SIGCONT)
        wait_until(lambda: "worker_frozen" in kinds(all.master), 20, "the worker to be back")
        assert all.master.wait() == 0, all.master.output()
    run = all.master
    assert marks(run, 0) >= {"worker_lost", "worker_frozen"}
    records = records_of(run)
    assert finished(server) <= ids(records)
    second = run.stages()[1]
    assert all_between([record for record in records if record.stage == 0], 0, second["ramp_start_ns"])
    assert second["users"] == 2


def all_between(records: list[Record], start_ns: int, end_ns: int) -> bool:
    return all(start_ns <= (record.send_ns or 0) <= end_ns for record in records)


def test_a_late_joiner_is_marked_and_takes_its_share(tmp_path: Path) -> None:
    load = {**LOAD, "window": "8s"}
    with emulator(tmp_path, *PACE) as server, cluster(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as all:
        window_of(all)
        all.join()
        assert all.master.wait() == 0, all.master.output()
    run = all.master
    assert marks(run, 0) == {"worker_joined_late"}
    records = records_of(run)
    assert finished(server) == ids(records)
    assert len({record.worker for record in records}) == 3
    assert run.stages()[0]["users"] == 4


def test_a_killed_master_stops_the_load_and_the_workers_journals_have_everything(tmp_path: Path) -> None:
    load = {**LOAD, "window": "60s"}
    with emulator(tmp_path, *PACE) as server, cluster(tmp_path, run_file(tmp_path, {"a": server.url}, load)) as all:
        window_of(all)
        all.master.process.kill()
        wait_until(lambda: all_quiet(server), 40, "the workers to stop sending")
        for worker in all.workers:
            worker.process.send_signal(signal.SIGTERM)
        for worker in all.workers:
            worker.wait(30)
    assert finished(server) == {record.request_id for record in records_of(all.master) if record.outcome == "ok"}


def all_quiet(server: Server) -> bool:
    """No request has come for two seconds."""
    newest = max((one.received_ns for one in server.requests()), default=0)
    return time.monotonic_ns() - newest > 2 * 10**9


def test_a_worker_with_a_full_disk_sends_its_records_to_the_master(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server, \
            cluster(tmp_path, run_file(tmp_path, {"a": server.url}, LOAD), file_limit=8000) as all:
        assert all.master.wait() == 0, all.master.output()
    run = all.master
    assert marks(run, 0) == {"journal_failed"}
    assert {one.request_id for one in server.requests()} == ids(run.records())
    workers = [path for path in run.results.journal.glob("*.log") if not path.name.startswith("master")]
    small = min(path.stat().st_size for path in workers)
    assert 0 < small <= 8000


def test_a_master_that_stands_still_loses_nothing_and_says_so(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server, cluster(tmp_path, run_file(tmp_path, {"a": server.url}, LOAD)) as all:
        window_of(all)
        all.master.process.send_signal(signal.SIGSTOP)
        time.sleep(3.5)
        all.master.process.send_signal(signal.SIGCONT)
        assert all.master.wait() == 0, all.master.output()
    assert "master_stalled" in marks(all.master, 0)
    assert {one.request_id for one in server.requests()} == ids(all.master.records())


def test_ctrl_c_in_the_terminal_reaches_master_and_workers_and_loses_nothing(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server:
        path = run_file(tmp_path, {"a": server.url}, {**LOAD, "window": "60s"})
        with sweep(tmp_path, path) as run:
            wait_until(run.in_window, 60, "the window")
            os.killpg(run.process.pid, signal.SIGINT)
            assert run.wait(60) == 130, run.output()
        served = server.requests()
    assert run.stages()[0]["status"] == "interrupted"
    assert "interrupted" in marks(run, 0)
    assert {one.request_id for one in served} == ids(run.records())


def test_one_locust_process_is_master_and_worker_at_once(tmp_path: Path) -> None:
    with emulator(tmp_path, *PACE) as server:
        with locust(tmp_path, "--headless", "-H", f"{server.url}/v1", "-u", "3", "-r", "30", "-t", "3s",
                    "--fmload-model", "m", "--fmload-warmup", "500ms", "--fmload-output-tokens", "5") as run:
            assert run.wait() == 0, run.output()
        served = server.requests()
    stage, = run.stages()
    assert (stage["load"]["value"], stage["users"], stage["status"]) == (3, 3, "done")
    assert {one.request_id for one in served} == ids(run.records())
