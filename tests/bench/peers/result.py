"""The result of the bench as one JSON file: machine, versions, loads, and a row for every run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.peers.measured import Row
from tests.bench.peers.tool import Load


@dataclass(frozen=True, slots=True)
class Result:
    """`versions`: of each tool, None where it was not there. `servers`: how each server was started. `nice`: the
    priority of servers and tools."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str | None]
    servers: Mapping[str, str]
    loads: Mapping[str, Sequence[Load]]
    seed: int
    nice: int
    began: str
    took_s: float
    rows: Sequence[Row]


def machine() -> dict[str, Any]:
    """What the bench runs on, and how busy that was at the start."""
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release().split("-")[0], "python": platform.python_version(),
            "load_at_the_start": round(os.getloadavg()[0], 2)}


def write(result: Result, path: Path) -> None:
    """As JSON, a line a row."""
    told = asdict(result)
    rows = ",\n".join(json.dumps(row) for row in told.pop("rows"))
    head = json.dumps(told, indent=1)
    path.write_text(f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n')


def read(path: Path) -> Result:
    """What `write` wrote."""
    told = json.loads(path.read_text())
    told["loads"] = {name: [Load(**load) for load in loads] for name, loads in told["loads"].items()}
    told["rows"] = [_row(row) for row in told["rows"]]
    return Result(**told)


def _row(told: dict[str, Any]) -> Row:
    return Row(**{key: tuple(value) if isinstance(value, list) else value for key, value in told.items()})
