"""Collectors whose source is killed, stuck or refusing in mid-run: a warning with the remedy; what came is kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fmload.config.schema import TelemetrySpec
from fmload.results.folder import Results
from fmload.telemetry.recorder import Recorder
from tests.handmade import stage
from tests.integration.test_telemetry import FOR_EVER, series_of
from tests.load_rig import emulator, wait_until
from tests.prometheus import prometheus

GPU = "0, 87, 40, 20480, 81559, 231.5, 700.00, 61, 1980"
CONTAINER = json.dumps({"Name": "vllm", "CPUPerc": "50%", "MemUsage": "1GiB / 2GiB", "NetIO": "0B / 0B",
                        "BlockIO": "0B / 0B"})


def twice(folder: Path, line: str) -> list[str]:
    """A command that prints this line two times it is called, and is killed in the middle of every later call."""
    script = folder / "command.py"
    script.write_text(f"import os, pathlib\nfile = pathlib.Path({str(folder / 'calls')!r})\n"
                      "calls = len(file.read_text()) if file.exists() else 0\nfile.write_text('x' * (calls + 1))\n"
                      f"print({line!r}, flush=True)\ncalls < 2 or os.kill(os.getpid(), {int(signal.SIGKILL)})\n")
    return [sys.executable, str(script)]


@pytest.mark.parametrize(("collector", "line", "metric"), [
    ("nvidia_smi", GPU, "gpu_power_w"), ("docker", CONTAINER, "container_cpu_percent")])
def test_a_command_killed_in_the_run_is_a_warning_and_what_it_brought_is_kept(tmp_path: Path, collector: str,
                                                                              line: str, metric: str) -> None:
    results = Results(tmp_path / "out").create()
    recorder = Recorder([TelemetrySpec.model_validate(
        {"name": "s", "collector": collector, "command": twice(tmp_path, line), "every": "50ms"})], results)
    recorder.start()
    wait_until(lambda: recorder.problems, 20, "the command's end")
    recorder.stop()
    assert len(series_of(results.telemetry_parquet)[metric]) == 2
    assert "s" in json.loads(results.telemetry_problems_json.read_text())


def test_neuron_monitor_killed_in_the_run_is_a_warning(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    recorder = Recorder([TelemetrySpec.model_validate(
        {"name": "s", "collector": "neuron_monitor", "command": [sys.executable, "-c", FOR_EVER]})], results)
    recorder.start()
    log = results.logs / "telemetry.jsonl"
    wait_until(lambda: log.exists() and log.read_text(), 20, "a line")
    child = next(one for one in psutil.Process().children() if FOR_EVER in one.cmdline())
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: recorder.problems, 20, "the warning")
    recorder.stop()
    assert "ended with code -9" in str(recorder.problems["s"]["message"])
    assert series_of(results.telemetry_parquet)["neuroncore_utilization_percent"]


def test_a_monitor_that_will_not_end_is_killed_and_all_figures_are_written(tmp_path: Path) -> None:
    deaf = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOR_EVER}"
    results = Results(tmp_path).create()
    recorder = Recorder([TelemetrySpec.model_validate(
        {"name": "s", "collector": "neuron_monitor", "command": [sys.executable, "-c", deaf]})], results)
    recorder.start()
    log = results.logs / "telemetry.jsonl"
    wait_until(lambda: log.exists() and log.read_text(), 20, "a line")
    child = next(one for one in psutil.Process().children() if deaf in one.cmdline())
    try:
        recorder.stop()
        assert not child.is_running()
    finally:
        if child.is_running():
            child.kill()
    assert series_of(results.telemetry_parquet)["neuroncore_utilization_percent"]


@contextmanager
def hung() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def recorder_of(results: Results, **spec: Any) -> Recorder:
    return Recorder([TelemetrySpec.model_validate({"name": "s", **spec})], results)


def test_an_exporter_killed_in_the_run_is_a_warning_that_names_it_and_what_it_brought_is_kept(tmp_path: Path) -> None:
    results = Results(tmp_path / "out").create()
    with emulator(tmp_path) as server:
        recorder = recorder_of(results, collector="prometheus", url=f"{server.url}/metrics", every="50ms")
        recorder.start()
        log = results.logs / "telemetry.jsonl"
        wait_until(lambda: log.exists() and log.read_text(), 20, "a scrape")
        os.kill(server.process.pid, signal.SIGKILL)
        wait_until(lambda: recorder.problems, 20, "the warning")
        recorder.stop()
    told = json.loads(results.telemetry_problems_json.read_text())["s"]
    assert f"{server.url}/metrics" in told["message"] and "check that it runs" in told["hint"]
    assert series_of(results.telemetry_parquet)["vllm:num_requests_running"]


def test_an_exporter_that_hangs_is_a_warning_and_does_not_hold_the_run_up(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    with hung() as url:
        recorder = recorder_of(results, collector="prometheus", url=f"{url}/metrics", every="50ms", timeout="200ms")
        recorder.start()
        wait_until(lambda: recorder.problems, 20, "the warning")
        begun = time.monotonic()
        recorder.stop()
    assert time.monotonic() - begun < 10
    assert "no answer in time" in recorder.problems["s"]["message"]
    assert "timeout" in recorder.problems["s"]["hint"]


@pytest.mark.parametrize("kind", ["killed", "hung"])
def test_a_prometheus_server_killed_or_hung_in_the_run_is_a_warning(tmp_path: Path, kind: str) -> None:
    results = Results(tmp_path / "out").create()
    now_ns = time.monotonic_ns()
    ran = stage(ramp_start_ns=now_ns - 10**9, drain_end_ns=now_ns, window_end_ns=now_ns)
    results.stages_json.write_text(json.dumps({"stages": [ran], "wall_anchor_ns": time.time_ns() - now_ns}))
    with hung() as stuck, prometheus(tmp_path, {}) as url:
        recorder = recorder_of(results, collector="prometheus_query", url=url if kind == "killed" else stuck,
                               delay="0s", timeout="200ms")
        recorder.start()
        for process in psutil.Process().children():
            if process.name() == "prometheus":
                process.kill()
                process.wait(10)
        recorder.stop()
    told = json.loads(results.telemetry_problems_json.read_text())["s"]
    assert "/api/v1/" in told["message"]
    assert told["hint"]
    assert results.telemetry_parquet.exists()
