"""Containers of this host, by `docker stats`."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Seconds
from fmload.results.samples import Sample, Window

LIMIT_S = 15.0
_SIZE = re.compile(r"([\d.]+)\s*([kKMGT]?i?)B")
_UNITS = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class DockerStatsOptions(Strict):
    """Containers by name; all that run when none is named."""

    endpoint: str | None = Field(None, description="the endpoint that it tells of")
    containers: list[str] = Field(default_factory=list)
    every_s: Seconds = Field(2.0, alias="every", ge=0.01)
    command: list[str] = Field(default_factory=lambda: ["docker"])


class DockerStats:
    """One call, one sample a container and metric."""

    Options = DockerStatsOptions

    def __init__(self, source: str, options: DockerStatsOptions) -> None:
        self.every_s: float | None = options.every_s
        self._source = source
        self._command = [*options.command, "stats", "--no-stream", "--format", "{{json .}}", *options.containers]

    def collect(self) -> Iterable[Sample]:
        """Raises OSError when there is no docker, RuntimeError with its words when it fails."""
        done = subprocess.run(self._command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"docker stats: {done.stderr.strip()}")
        return list(self.parse(done.stdout, time.monotonic_ns()))

    def parse(self, text: str, at_ns: int) -> Iterator[Sample]:
        """CPU in per cent of one core, memory in bytes, network and block traffic in bytes since the start."""
        for line in filter(None, map(str.strip, text.splitlines())):
            row = json.loads(line)
            labels = {"container": row["Name"]}
            if not row["CPUPerc"].startswith("--"):
                yield Sample(self._source, "container_cpu_percent", at_ns, float(row["CPUPerc"].rstrip("%")), labels)
            for metric, column, place in (("memory_used", "MemUsage", 0), ("network_received", "NetIO", 0),
                                          ("network_sent", "NetIO", 1), ("block_read", "BlockIO", 0),
                                          ("block_written", "BlockIO", 1)):
                size = size_bytes(row[column].partition("/")[2 * place])
                if size is not None:
                    yield Sample(self._source, f"container_{metric}_bytes", at_ns, size, labels)

    def after(self, window: Window) -> Iterable[Sample]:
        """Nothing more."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


def size_bytes(text: str) -> float | None:
    """Bytes of docker's `1.5GiB` or `12.3kB`; None of `--`."""
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None
