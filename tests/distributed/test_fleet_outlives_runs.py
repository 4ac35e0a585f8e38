"""Workers of a fleet serve one run after the other, and a master that takes the place of one that was killed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fmload.base.resources import resource
from tests.load_rig import emulator, fmload_run, free_port, ids, run_file, wait_until

LOAD = {"concurrency": [2, 4], "ramp": "100ms", "warmup": "100ms", "window": "2s", "drain": "5s"}


@contextmanager
def restarted_worker(folder: Path, port: int) -> Iterator[int]:
    """A worker as docs/distributed.md starts one: begun anew whenever it has ended. Yields the loop's process id."""
    command = shlex.join([sys.executable, "-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--worker",
                          "--master-host", "127.0.0.1", "--master-port", str(port)])
    with (folder / "worker.log").open("ab") as output:
        loop = subprocess.Popen(["sh", "-c", f"while true; do {command}; sleep 1; done"], stdout=output, stderr=output,
                                start_new_session=True, cwd=folder)
    try:
        yield loop.pid
    finally:
        os.killpg(loop.pid, signal.SIGKILL)
        loop.wait(10)


def test_a_fleet_serves_run_after_run_and_a_restarted_master(tmp_path: Path) -> None:
    port = free_port()
    remote = ("--remote-workers", "1", "--bind", f"127.0.0.1:{port}")
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server, restarted_worker(tmp_path, port) as loop:
        path = run_file(tmp_path, {"a": server.url}, LOAD)
        with fmload_run(tmp_path, path, *remote, out="first") as first:
            assert first.wait() == 0, first.output()
        with fmload_run(tmp_path, path, *remote, out="second") as second:
            wait_until(second.in_window, 60, "a window")
            kill_all(second.process.pid, *children(second.process.pid))
            second.process.wait(10)
            kill_all(*children(loop), sent=signal.SIGTERM)  # by itself it ends a minute after its master
        with fmload_run(tmp_path, path, *remote, "--resume", out="second") as again:
            assert again.wait() == 0, again.output()
        assert [stage["status"] for stage in again.stages()] == ["superseded", "done", "done"]
        served = {one.request_id for one in server.requests() if one.outcome == "ok"}
        assert ids(first.records()) | ids(again.records()) >= served


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in listed.stdout.split()]


def kill_all(*pids: int, sent: signal.Signals = signal.SIGKILL) -> None:
    """A signal to each process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sent)
