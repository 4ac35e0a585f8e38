"""A server that stands still for two seconds, seen at the same time by a closed and by an open loop.

The server cannot answer before it goes on, so the open loop's bounds are arithmetic: whatever was due at an instant of
the stall waits for the stall's end at least. A slow machine only adds to that.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage.distribution import Distribution
from fmload_analysis.verdict.table import StageResult
from tests.load_rig import Run, Server, emulator, locust, run_file, wait_until

STALL_S, WINDOW_S, USERS, RATE = 2.0, 6.0, 2, 40
PHASES = {"ramp": 0, "warmup": "200ms", "window": f"{WINDOW_S}s", "drain": "10s"}


@pytest.mark.alone
def test_an_open_loop_shows_a_stall_as_arithmetic_has_it_and_a_closed_loop_hides_it(tmp_path: Path) -> None:
    loads = {"closed": {"concurrency": [USERS], **PHASES}, "open": {"rate": [RATE], "arrivals": "constant", **PHASES}}
    for name in loads:
        (tmp_path / name).mkdir()
    with emulator(tmp_path, "--ttft", "8ms", "--gap", "1ms") as server:
        files = {name: run_file(tmp_path / name, {"a": server.url}, load, report={"percentile_floor": False})
                 for name, load in loads.items()}
        with locust(tmp_path / "closed", "--headless", "--fmload-config", str(files["closed"])) as closed, \
                locust(tmp_path / "open", "--headless", "--fmload-config", str(files["open"])) as opened:
            wait_until(lambda: closed.in_window() and opened.in_window(), 60, "both windows")
            begin_ns, end_ns = _stall(server)
            assert closed.in_window() and opened.in_window(), "a window closed before the stall was over"
            assert (closed.wait(), opened.wait()) == (0, 0), closed.output() + opened.output()
    stall_s = (end_ns - begin_ns) / 1e9
    waiting = [(end_ns - record.scheduled_ns) / 1e9 for record in _in_the_way(opened, end_ns)
               if record.scheduled_ns >= begin_ns]
    assert len(waiting) == pytest.approx(RATE * stall_s, abs=1.5)  # every arrival that was due, and each only once
    assert np.mean(waiting) == pytest.approx(stall_s / 2, abs=1 / RATE)
    assert 1 <= len(_in_the_way(closed, end_ns)) <= USERS

    seen, hidden = _summary(opened), _summary(closed)
    assert seen.n >= RATE * (WINDOW_S - 1)
    assert _p99(seen) >= stall_s - (0.01 * seen.n + 2) / RATE  # only 1 % of the requests waited longer
    assert hidden.n > 100 * USERS, "too few requests for a p99 without those in the stall's way"
    assert _p99(hidden) < stall_s / 2
    assert (hidden.maximum or 0.0) > 0.9 * stall_s  # in its data, and in its maximum alone


def _stall(server: Server) -> tuple[int, int]:
    """The server stands still: instants after the beginning and before the end."""
    server.process.send_signal(signal.SIGSTOP)
    begin_ns = time.monotonic_ns()
    time.sleep(STALL_S)
    end_ns = time.monotonic_ns()
    server.process.send_signal(signal.SIGCONT)
    return begin_ns, end_ns


def _in_the_way(run: Run, end_ns: int) -> list[Record]:
    """Requests that were due before the stall's end and were not answered until then."""
    return [record for record in run.records() if record.scheduled_ns < end_ns <= (record.last_token_ns or 0)]


def _summary(run: Run) -> Distribution:
    result: StageResult
    result, = analyse_run(open_run(run.results.root)).results
    return result.summary.distributions["e2e_scheduled"]


def _p99(distribution: Distribution) -> float:
    return distribution.percentiles[99.0] or 0.0
