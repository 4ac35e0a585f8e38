"""NVIDIA GPUs of this host, by nvidia-smi."""

from __future__ import annotations

import csv
import io
import subprocess
import time
from collections.abc import Iterable, Iterator

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Seconds
from fmload.results.samples import Sample, Window

# nvidia-smi's field: metric, unit in its name
FIELDS = {"utilization.gpu": "gpu_utilization_percent", "utilization.memory": "gpu_memory_utilization_percent",
          "memory.used": "gpu_memory_used_mib", "memory.total": "gpu_memory_total_mib", "power.draw": "gpu_power_w",
          "enforced.power.limit": "gpu_power_limit_w", "temperature.gpu": "gpu_temperature_c",
          "clocks.sm": "gpu_sm_clock_mhz"}
LIMIT_S = 10.0


class NvidiaSmiOptions(Strict):
    """The GPUs of the master's host."""

    endpoint: str | None = Field(None, description="the endpoint that it tells of")
    every_s: Seconds = Field(1.0, alias="every", ge=0.01)
    command: list[str] = Field(default_factory=lambda: ["nvidia-smi"], description="for example through ssh")


class NvidiaSmi:
    """One row a GPU and call."""

    Options = NvidiaSmiOptions

    def __init__(self, source: str, options: NvidiaSmiOptions) -> None:
        self.every_s: float | None = options.every_s
        self._source = source
        self._command = [*options.command, f"--query-gpu=index,{','.join(FIELDS)}", "--format=csv,noheader,nounits"]

    def collect(self) -> Iterable[Sample]:
        """Raises OSError when there is no nvidia-smi, RuntimeError with its words when it fails."""
        asked_ns = time.monotonic_ns()
        done = subprocess.run(self._command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"nvidia-smi: {(done.stderr or done.stdout).strip()}")
        return list(self.parse(done.stdout, (asked_ns + time.monotonic_ns()) // 2))

    def parse(self, text: str, at_ns: int) -> Iterator[Sample]:
        """The samples of its CSV; what a GPU does not tell ([N/A]) is absent."""
        for index, *values in csv.reader(io.StringIO(text), skipinitialspace=True):
            for metric, value in zip(FIELDS.values(), values, strict=True):
                if not value.startswith("["):
                    yield Sample(self._source, metric, at_ns, float(value), {"gpu": index})

    def after(self, window: Window) -> Iterable[Sample]:
        """Nothing more."""
        return ()

    def close(self) -> None:
        """Nothing is held."""
