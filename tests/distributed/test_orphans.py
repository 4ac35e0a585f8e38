"""`fmload run` is killed, or its terminal closed: master and workers end in order, and nobody goes on loading."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fmload.results import stage_file
from fmload.results.journal import compact
from tests.distributed.faults import LOAD, quiet
from tests.load_rig import Run, Server, emulator, fmload_run, ids, run_file, wait_until


@contextmanager
def loading(folder: Path) -> Iterator[tuple[Run, Server, list[psutil.Process]]]:
    """`fmload run` with two workers, its window open; and the processes that it has started."""
    with emulator(folder, "--ttft", "10ms", "--gap", "5ms") as server:
        path = run_file(folder, {"a": server.url}, {**LOAD, "window": "60s"})
        with fmload_run(folder, path, "--workers", "2") as run:
            wait_until(run.in_window, 60, "the window")
            children = psutil.Process(run.process.pid).children(recursive=True)
            assert len(children) == 3, children
            yield run, server, children


def gone(children: list[psutil.Process]) -> bool:
    return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_master_and_workers_end_in_order_when_fmload_run_is_killed(tmp_path: Path) -> None:
    with loading(tmp_path) as (run, server, children):
        run.process.kill()
        run.process.wait(10)
        wait_until(lambda: quiet(server), 15, "the load to stop")
        wait_until(lambda: gone(children), 40, "the processes to end")
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    stage, = stage_file.read(run.results).stages
    assert stage.status == "interrupted" and stage.window_end_ns
    compact(run.results)
    assert served <= ids(run.records())


def test_a_closed_terminal_ends_the_run_as_ctrl_c_does_and_leaves_a_report(tmp_path: Path) -> None:
    with loading(tmp_path) as (run, server, children):
        os.killpg(run.process.pid, signal.SIGHUP)
        assert run.wait(60) == 130, run.output()
        wait_until(lambda: gone(children), 10, "the processes to end")
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
    assert served <= ids(run.records())
    assert run.results.report_html.exists()
