"""AWS Neuron devices, by neuron-monitor's JSON lines (user guide of neuron-monitor, AWS Neuron documentation)."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from fmload.config.model import Strict
from fmload.results.samples import Sample, Window

LATENCIES = ("p50", "p99")
ECC = ("mem_ecc_corrected", "mem_ecc_uncorrected", "sram_ecc_corrected", "sram_ecc_uncorrected")
END_LIMIT_S = 3.0


class NeuronMonitorOptions(Strict):
    """neuron-monitor on the host that has the devices."""

    endpoint: str | None = Field(None, description="the endpoint that it tells of")
    command: list[str] = Field(default_factory=lambda: ["neuron-monitor"],
                               description="prints JSON lines; for example [ssh, host, neuron-monitor]")


class NeuronMonitor:
    """Keeps the command running and takes its lines as they come; each is stamped when it is read."""

    Options = NeuronMonitorOptions

    def __init__(self, source: str, options: NeuronMonitorOptions) -> None:
        self.every_s: float | None = 0.5
        self._source = source
        self._command = options.command
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

    def collect(self) -> Iterable[Sample]:
        """What came since the last call. Raises OSError when the command cannot start, ValueError on a torn line,
        RuntimeError when it ended."""
        process = self._process or self._start()
        ended = process.poll() is not None and self._lines.empty()
        while not self._lines.empty():
            at_ns, line = self._lines.get()
            yield from self.parse(json.loads(line), at_ns)
        if ended:
            raise RuntimeError(f"{self._command[0]} ended with code {process.returncode}")

    def _start(self) -> subprocess.Popen[str]:
        process = self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                                   stdin=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                self._lines.put((time.monotonic_ns(), line))

    def parse(self, report: dict[str, Any], at_ns: int) -> Iterator[Sample]:
        """Utilisation of every NeuronCore in use, device and host memory, executions, errors and latencies of every
        runtime; CPU and memory of the host; ECC events of every device."""
        for runtime in report.get("neuron_runtime_data") or []:
            labels = {"pid": str(runtime.get("pid", "")), "tag": str(runtime.get("neuron_runtime_tag", ""))}
            for metric, more, value in _figures(_part(runtime, "report")):
                yield Sample(self._source, metric, at_ns, float(value), {**labels, **more})
        for metric, more, value in _host(_part(report, "system_data")):
            yield Sample(self._source, metric, at_ns, float(value), more)

    def after(self, window: Window) -> Iterable[Sample]:
        """Nothing more."""
        return ()

    def close(self) -> None:
        """End the command; one that does not end when asked to is killed."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _figures(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    cores = _part(_part(report, "neuroncore_counters"), "neuroncores_in_use")
    for core, counters in cores.items():
        yield "neuroncore_utilization_percent", {"core": str(core)}, counters["neuroncore_utilization"]
    memory = _part(_part(report, "memory_used"), "neuron_runtime_used_bytes")
    for place in ("host", "neuron_device"):
        if place in memory:
            yield f"neuron_memory_{place}_bytes", {}, memory[place]
    yield from _cpu("neuron_runtime_cpu_percent", _part(_part(report, "neuron_runtime_vcpu_usage"), "vcpu_usage"))
    yield from _executions(_part(report, "execution_stats"))


def _host(system: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    yield from _cpu("neuron_host_cpu_percent", _part(_part(system, "vcpu_usage"), "average_usage"))
    memory = _part(system, "memory_info")
    for name in ("memory_used_bytes", "memory_total_bytes", "swap_used_bytes"):
        if name in memory:
            yield f"neuron_host_{name}", {}, memory[name]
    for device in _part(system, "neuron_hw_counters").get("neuron_devices") or []:
        for kind in ECC:
            if kind in device:
                yield "neuron_ecc_events_total", {"device": str(device.get("neuron_device_index", "")),
                                                  "kind": kind}, device[kind]


def _cpu(metric: str, usage: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Per cent of all vCPUs by what they did; idling is left out."""
    for mode, percent in usage.items():
        if mode != "idle":
            yield metric, {"mode": mode}, percent


def _executions(stats: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    for name, count in _part(stats, "execution_summary").items():
        yield "neuron_executions", {"status": name}, count
    for name, count in _part(stats, "error_summary").items():
        yield "neuron_errors", {"kind": name}, count
    for kind, latencies in _part(stats, "latency_stats").items():
        for percentile in LATENCIES:
            if latencies and percentile in latencies:
                yield f"neuron_{kind}_s", {"percentile": percentile}, latencies[percentile]


def _part(report: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of a report; empty where it is absent or null, as it is for a runtime that has only begun."""
    return report.get(name) or {}
